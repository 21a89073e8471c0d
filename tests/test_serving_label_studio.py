"""Label Studio's ML backend: one result per task, which Label Studio's own SDK validates if installed."""

import asyncio
import itertools
import json
import math
from concurrent.futures import ThreadPoolExecutor

import pytest
from bundles import every_legal_path
from hypothesis import given
from hypothesis import strategies as st
from input_errors import raises
from servers import LONE_SURROGATE, expected_entities, make_served_model, mutations, request, serve

from tagger.corpus.labelstudio import read_labelstudio
from tagger.corpus.reading import Reading
from tagger.errors import InputError
from tagger.runtime.sentence_tagger import emission_batches
from tagger.serving.http_app import make_gate
from tagger.serving.label_config import LONGEST_CONFIG, Control, read_label_config
from tagger.serving.label_studio import predict_tasks

TEXT = "\U0001f600 Mira Lang met Tom in New Ayr.\r\nRain fell on Mira Lang and Ayr."
TEXTS = [TEXT, "Ayr lost 2-0.", "e\u0301 \U00010400 Tom met Mira \U0001f469\u200d\U0001f467 in Ayr"]
CONFIG = """<View>
  <Header value="Mark the names"/>
  <Labels name="label" toName="text">
    <Label value="PER" background="red"/><Label value="LOC"/><Label value="ORG"/><Label value="Other"/>
  </Labels>
  <Text name="text" value="$text" granularity="word"/>
</View>"""


def config_of(labels='<Label value="PER"/>', text='<Text name="text" value="$text"/>', name="label"):
    return f'<View><Labels name="{name}" toName="text">{labels}</Labels>{text}</View>'


def tasks_of(texts, key="text"):
    return [{"id": number, "data": {key: text}} for number, text in enumerate(texts, 7)]


@pytest.fixture(scope="module")
def models():
    return [make_served_model("first", 0), make_served_model("second", 1)]


@pytest.fixture(scope="module")
def server(models):
    with serve(make_gate(models, version="1.2.3")) as address:
        yield address


def predict(server, tasks, config=CONFIG, path="/predict"):
    body = {"tasks": tasks, "label_config": config, "project": "1.2", "params": {"context": None}}
    status, answer = request(server, path, {name: one for name, one in body.items() if one is not None})
    assert status == 200, answer
    assert len(answer["results"]) == len(tasks)
    return answer


def spans(result):
    return [
        (
            one["value"]["labels"],
            one["value"]["start"],
            one["value"]["end"],
            one["value"]["text"],
            one["score"],
        )
        for one in result["result"]
    ]


def expected_spans(model, text, labels=("PER", "LOC", "ORG")):
    return [
        ([one["entity_group"]], one["start"], one["end"], one["word"], one["score"])
        for one in expected_entities(model, text)
        if one["entity_group"] in labels
    ]


@pytest.mark.parametrize(
    ("number", "path"), [(0, ""), (0, "/label-studio/first"), (1, "/label-studio/second")]
)
def test_a_project_is_set_up_and_predicted(server, models, number, path):
    model = models[number]
    assert request(server, f"{path}/health") == (200, {"status": "UP", "model_class": "tagger"})
    version = {"model_version": model.version}
    assert request(server, f"{path}/setup", {"project": "1.2", "schema": CONFIG}) == (200, version)
    answer = predict(server, tasks_of(TEXTS), path=f"{path}/predict")
    assert answer["model_version"] == model.version
    for text, result in zip(TEXTS, answer["results"], strict=True):
        assert result["model_version"] == model.version
        assert spans(result) == expected_spans(model, text)
        assert all(text[start:end] == covered for _, start, end, covered, _ in spans(result))
        assert {(one["from_name"], one["to_name"], one["type"]) for one in result["result"]} <= {
            ("label", "text", "labels")
        }
        ids = [one["id"] for one in result["result"]]
        assert len(set(ids)) == len(ids)
    assert sum(len(one["result"]) for one in answer["results"]) > 3
    assert request(server, f"{path}/webhook", {"action": "ANNOTATION_CREATED"}) == (200, {})


def test_the_score_is_the_probability_of_the_best_sequences(server, models):
    """Against the enumeration of all tag sequences of short sentences."""
    texts = ["Tom met Mira.", "Ayr lost. Tom fell.", ""]
    tagger = models[0].tagger
    answer = predict(server, tasks_of(texts))
    (task,) = [one for one in tagger.tasks if one.name == "ner"]
    transitions = tagger.engine.transitions["ner"]
    for text, result in zip(texts, answer["results"], strict=True):
        best = 1.0
        for indices, _, emissions in emission_batches(tagger, sentences := tagger.tokenizer(text)):
            for row, index in enumerate(indices):
                length = len(sentences[index])
                _, probabilities = every_legal_path(task, length, transitions, emissions["ner"][row])
                best *= probabilities.max()
        assert result["score"] == pytest.approx(best, rel=1e-4)


def test_tasks_without_text_have_an_empty_result_in_their_place(server, models):
    bad = [
        {},
        {"data": {}},
        {"data": {"text": None}},
        {"data": {"text": 3}},
        {"data": {"text": ["a"]}},
        {"data": {"text": f"Mira {LONE_SURROGATE}"}},
        {"data": []},
        {"data": {"body": "Mira met Tom."}},
        None,
        "Mira met Tom.",
        [],
    ]
    good = tasks_of(TEXTS)
    mixed = [bad[0], good[0], *bad[1:5], good[1], *bad[5:], good[2], bad[0]]
    results = predict(server, mixed)["results"]
    for task, result in zip(mixed, results, strict=True):
        if task in good:
            assert spans(result) == expected_spans(models[0], task["data"]["text"])
            assert 0 < result["score"] < 1
        else:
            assert (result["result"], result["score"]) == ([], None)
    empty = predict(server, tasks_of(["", " \n"]))["results"]
    assert [(one["result"], one["score"]) for one in empty] == [([], 1.0), ([], 1.0)]
    assert predict(server, [])["results"] == []


class FailingService:
    """A service whose model fails on texts with a given word."""

    def __init__(self, model, word):
        self.model, self.word, self.sizes = model, word, []

    async def tag_and_finish(self, model, documents, options, finish):
        self.sizes.append(len(documents))
        if any(self.word in document for document in documents):
            raise InputError("the text is bad. Send another.", code="input.size")
        tagger = self.model.tagger
        return finish(list(tagger.pipe(documents, n_best=options.n_best, scores=options.has_scores)))


def test_a_text_that_fails_costs_the_others_nothing(models):
    texts = [TEXTS[0], "Rain fell on Ayr.", TEXTS[1], "Rain"]
    service = FailingService(models[0], "Rain fell on Ayr.")
    controls = read_label_config(CONFIG)
    with ThreadPoolExecutor(1) as pool:  # Playwright has a running loop in this thread
        answer = pool.submit(
            asyncio.run, predict_tasks(service, models[0], tasks_of(texts), controls)
        ).result()
    results = json.loads(answer)["results"]
    assert [spans(one) for one in results] == [
        [] if text == texts[1] else expected_spans(models[0], text) for text in texts
    ]
    assert results[1]["score"] is None
    assert service.sizes == [4, 1, 1, 1, 1]


def test_label_studios_reader_of_this_package_reads_the_predictions(server, models, write_file):
    tasks = tasks_of(TEXTS)
    results = predict(server, tasks)["results"]
    export = [{**task, "predictions": [one]} for task, one in zip(tasks, results, strict=True)]
    path = write_file(json.dumps(export), "export.json")
    errors = []
    sentences = list(read_labelstudio(path, Reading(on_error=errors.append, warn=lambda _: None)))
    assert errors == []
    found = [(span.label, span.text) for one in sentences for span in one.spans["ner"]]
    assert len(found) == sum(len(one["result"]) for one in results)


CONFIGS = [
    CONFIG,
    config_of('<Label value="Person" alias="PER"/><Label value="LOC"/>'),
    config_of('<Label value="Person" predicted_values="PER, HUM"/><Label value="LOC" alias="Place"/>'),
    config_of('<Label value="Nothing"/>'),
    """<View><Text name="a" value="$title"/><Text name="b" value="$text"/>
    <Labels name="people" toName="b"><Label value="PER"/></Labels>
    <Labels name="places" toName="a,b"><View><Label value="LOC"/><Label value="PER"/></View></Labels>
    <Choices name="mood" toName="a"><Choice value="good"/></Choices></View>""",
]


@pytest.mark.parametrize("config", CONFIGS)
def test_the_sdk_of_label_studio_accepts_the_predictions(server, config):
    label_interface = pytest.importorskip("label_studio_sdk.label_interface")
    interface = label_interface.LabelInterface(config)
    tasks = [{"data": {"text": text, "title": "Tom met Mira Lang."}} for text in TEXTS]
    for task, result in zip(tasks, predict(server, tasks, config)["results"], strict=True):
        assert interface.validate_prediction(result, return_errors=True) == []
        assert interface.validate_task(task)
    controls = read_label_config(config)
    assert {one.name for one in controls} == {
        name for name, control in interface._controls.items() if control.tag == "Labels"
    }
    for control in controls:
        assert set(control.labels.values()) <= set(interface.get_control(control.name).labels)


def test_labels_are_those_of_the_config(server, models):
    for config, names in zip(
        CONFIGS[1:4], ({"PER": "PER", "LOC": "LOC"}, {"PER": "Person", "LOC": "Place"}, {}), strict=True
    ):
        results = predict(server, tasks_of(TEXTS), config)["results"]
        for text, result in zip(TEXTS, results, strict=True):
            expected = expected_spans(models[0], text, names)
            assert spans(result) == [([names[label]], *rest) for ([label], *rest) in expected]
            assert result["score"] > 0


def test_several_labels_tags_mark_their_own_texts(server, models):
    title = "Tom met Mira Lang."
    tasks = [{"data": {"text": TEXT, "title": title}}, {"data": {"text": TEXT}}]
    results = predict(server, tasks, CONFIGS[4])["results"]
    for has_title, result in zip((True, False), results, strict=True):
        found = {}
        for one, values in zip(result["result"], spans(result), strict=True):
            found.setdefault((one["from_name"], one["to_name"]), []).append(values)
        both = ("PER", "LOC")
        expected = {
            ("people", "b"): expected_spans(models[0], TEXT, ("PER",)),
            ("places", "a"): expected_spans(models[0], title, both) if has_title else [],
            ("places", "b"): expected_spans(models[0], TEXT, both),
        }
        assert found == {name: one for name, one in expected.items() if one}
    alone = [predict(server, tasks_of([text]))["results"][0]["score"] for text in (TEXT, title)]
    assert [one["score"] for one in results] == pytest.approx([math.prod(alone), alone[0]], rel=1e-5)


def test_a_labels_tag_with_the_name_of_a_task_shows_that_task(server, models):
    tags = sorted({tag for one in models[0].tagger.tag(TEXT) for tag in one.tags["pos"]})
    config = config_of("".join(f'<Label value="{tag}"/>' for tag in tags), name="pos")
    (result,) = predict(server, tasks_of([TEXT]), config)["results"]
    tagged = models[0].tagger.tag(TEXT)
    assert [(labels, text) for labels, _, _, text, _ in spans(result)] == [
        ([tag], token) for one in tagged for tag, token in zip(one.tags["pos"], one.tokens, strict=True)
    ]
    assert request(server, "/setup", {"schema": config})[0] == 200
    other = config_of("".join(f'<Label value="{tag}"/>' for tag in tags), name="label")
    assert request(server, "/setup", {"schema": other})[0] == 422  # no labels of ner


def test_without_a_config_the_default_names_are_used(server, models):
    for config in (None, ""):
        (result,) = predict(server, tasks_of([TEXT]), config)["results"]
        assert spans(result) == expected_spans(models[0], TEXT, models[0].tagger.labels)
    assert request(server, "/setup", {})[0] == 200


def test_a_config_without_a_label_of_the_model_cannot_be_set_up(server):
    status, answer = request(server, "/setup", {"schema": config_of('<Label value="Person"/>')})
    assert (status, answer["code"]) == (422, "corpus.labels")
    assert "Person" in answer["detail"]


def test_a_config_is_read():
    assert read_label_config(CONFIGS[4]) == [
        Control("people", "b", "text", {"PER": "PER"}),
        Control("places", "a", "title", {"LOC": "LOC", "PER": "PER"}),
        Control("places", "b", "text", {"LOC": "LOC", "PER": "PER"}),
    ]
    assert read_label_config(CONFIGS[2])[0].labels == {
        "Person": "Person",
        "PER": "Person",
        "HUM": "Person",
        "LOC": "Place",
        "Place": "Place",
    }
    declaration = '<?xml version="1.0" encoding="latin-1"?>'
    (control,) = read_label_config(declaration + config_of('<Label value="Å"/>'))
    assert control.labels == {"Å": "Å"}


BILLION = "<!DOCTYPE a [<!ENTITY a 'lol'>{}]>".format(
    "".join(f"<!ENTITY {b} '{f'&{a};' * 10}'>" for a, b in itertools.pairwise("abcdefghij"))
)


@pytest.mark.parametrize(
    "config",
    [
        "<View>",
        "no markup",
        "<a></b>",
        "<View><Text name='t' value='$t'/></View>",
        "<View><Labels name='l' toName='t'><Label value='PER'/></Labels></View>",
        config_of(text='<Text name="text" value="$url" valueType="url"/>'),
        config_of(text='<Text name="text" value="constant"/>'),
        config_of(text='<HyperText name="text" value="$text"/>'),
        BILLION + "<View>&j;</View>",
        '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + config_of('<Label value="&a;"/>'),
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd">' + config_of(),
        config_of('<Label value="&unknown;"/>'),
        "<View>" + " " * LONGEST_CONFIG + "</View>",
        "<a>" * 100_000,
        "<View>\x00</View>",
    ],
)
def test_an_unusable_config_is_an_error(server, config):
    with raises("corpus.record", file="label_config"):
        read_label_config(config)
    for path, name in (("/setup", "schema"), ("/predict", "label_config")):
        status, answer = request(server, path, {name: config, "tasks": tasks_of(TEXTS)})
        assert (status, answer["code"]) == (422, "corpus.record")
        assert len(answer["detail"]) < 500


BODIES = {
    "/predict": {"tasks": tasks_of(["Ayr."]), "label_config": CONFIG, "params": {"context": {}}},
    "/setup": {"project": "1.2", "schema": CONFIG, "hostname": "a", "access_token": "b"},
    "/label-studio/second/webhook": {"action": "ANNOTATION_CREATED", "annotation": {}},
}


@pytest.mark.slow
@pytest.mark.parametrize("path", BODIES)
@given(data=st.data())
def test_no_json_is_a_server_error(server, path, data):
    assert request(server, path, json.dumps(data.draw(mutations(BODIES[path]))).encode())[0] in (200, 422)


@pytest.mark.slow
@given(
    pieces=st.lists(
        st.sampled_from([*CONFIG.split(">"), *CONFIG.split('"'), "&#0;", "<", "\ud7ff"]), max_size=9
    )
)
def test_no_config_is_a_server_error(server, pieces):
    for config in ("".join(pieces), ">".join(pieces)):
        body = {"tasks": tasks_of(["Ayr."]), "label_config": config}
        assert request(server, "/predict", body)[0] in (200, 422)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[" * 100_000, b"null", b'{"tasks": ' + b"9" * 5000 + b"}"]
)
def test_malformed_bodies_are_client_errors(server, body):
    for path in ("/predict", "/setup"):
        status, answer = request(server, path, body)
        assert status == 422
        assert answer["detail"]


def test_the_examples_of_the_description_are_valid(server):
    _, description = request(server, "/openapi.json")
    for path in ("/setup", "/predict", "/label-studio/{model}/setup", "/label-studio/{model}/predict"):
        body = description["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        assert request(server, path.replace("{model}", "first"), body["example"])[0] == 200


def test_an_unknown_model_is_not_found(server):
    assert request(server, "/label-studio/third/health")[0] == 404
    assert request(server, "/label-studio/third/predict", BODIES["/predict"])[0] == 404
