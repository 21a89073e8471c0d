"""Routes for clients of other servers, with these clients or by the documented form."""

import importlib.util
import json
from pathlib import Path

import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from hypothesis import given
from hypothesis import strategies as st
from servers import expected_entities, make_served_model, mutations, request, serve

from tagger.serving.http_app import make_gate
from tagger.serving.service import ServedModel

TEXT = "\U0001f600 Mira Lang met Tom in New Ayr.\r\nRain fell on Mira Lang and Ayr."
TEXTS = [TEXT, "", "Ayr lost 2-0.", " \n"]


@pytest.fixture(scope="module")
def models():
    return [make_served_model("first", 0), make_served_model("second", 1)]


@pytest.fixture(scope="module")
def server(models):
    with serve(make_gate(models, version="1.2.3")) as address:
        yield address


def test_the_text_has_entities_of_both_models(models):
    for model in models:
        assert len({one["entity_group"] for one in model.tagger.as_pipeline()(TEXT)}) > 1


def without_entity(found):
    """Return the client's items without the field of single tokens."""
    names = ("entity_group", "score", "word", "start", "end")
    return [{name: one[name] for name in names} for one in found]


@pytest.mark.parametrize("strategy", [None, "simple", "first", "average", "max"])
def test_the_client_of_hugging_face_gets_the_expected_entities(server, models, strategy):
    for model in models:
        client = InferenceClient(model=f"{server}/models/{model.name}")
        for text in TEXTS:
            found = client.token_classification(text, aggregation_strategy=strategy)
            assert without_entity(found) == expected_entities(model, text)
    # No model in the address: the first.
    found = InferenceClient(model=f"{server}/models").token_classification(TEXT)
    assert [one.word for one in found] == [one["word"] for one in expected_entities(models[0], TEXT)]


def test_the_client_of_hugging_face_gets_tokens_without_aggregation(server, models):
    client = InferenceClient(model=f"{server}/models/first")
    tagged = models[0].tagger.tag(TEXT, scores=True)
    for ignored in (None, [], ["O", "B-PER"]):
        found = client.token_classification(TEXT, aggregation_strategy="none", ignore_labels=ignored)
        left_out = ["O"] if ignored is None else ignored
        tokens = [
            (tag, pytest.approx(score, abs=1e-6), token, *offsets)
            for one in tagged
            for tag, score, token, offsets in zip(
                one.tags["ner"], one.tag_scores["ner"], one.tokens, one.offsets, strict=True
            )
        ]
        assert [(one.entity, one.score, one.word, one.start, one.end) for one in found] == [
            token for token in tokens if token[0] not in left_out
        ]
        assert [tokens[one["index"] - 1][2] for one in found] == [one.word for one in found]


def test_the_client_of_hugging_face_can_ignore_labels_and_reports_errors(server, models):
    client = InferenceClient(model=f"{server}/models/first")
    labels = {one["entity_group"] for one in expected_entities(models[0], TEXT)}
    ignored = sorted(labels)[0]
    found = client.token_classification(TEXT, ignore_labels=[ignored])
    assert {one.entity_group for one in found} == labels - {ignored}
    with pytest.raises(HfHubHTTPError, match="there is no model 'third'") as caught:
        InferenceClient(model=f"{server}/models/third").token_classification(TEXT)
    assert caught.value.response.status_code == 404
    with pytest.raises(HfHubHTTPError, match="aggregation_strategy"):
        client.token_classification(TEXT, aggregation_strategy="loudest")


def test_hugging_face_accepts_several_texts(server, models):
    status, answer = request(server, "/models/second", {"inputs": TEXTS, "options": {"use_cache": False}})
    assert (status, answer) == (200, [expected_entities(models[1], text) for text in TEXTS])


@pytest.fixture(scope="module")
def gliner(server):
    """Return GLiNER's own client, loaded without its package, which needs torch and a model."""
    package = importlib.util.find_spec("gliner")
    if package is None or package.origin is None:
        pytest.skip("gliner is not installed")
    path = Path(package.origin).parent / "serve" / "client.py"
    if not path.exists():
        pytest.skip("this gliner has no client")
    spec = importlib.util.spec_from_file_location("gliner_client", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def gliner_entities(model, text, labels, threshold=0.0):
    return [
        {"start": one["start"], "end": one["end"], "text": one["word"], "label": labels[one["entity_group"]]}
        for one in model.tagger.as_pipeline(min_score=threshold)(text)
        if one["entity_group"] in labels
    ]


def test_the_client_of_gliner_gets_the_expected_entities(server, models, gliner):
    labels = {"PER": "per", "LOC": "Loc"}
    for model, prefix in ((models[0], "/gliner"), (models[1], "/gliner/second")):
        client = gliner.GLiNERClient(server, prefix)
        for threshold in (None, 0.5):
            answers = client.predict(TEXTS, [*labels.values()], threshold=threshold)
            for text, answer in zip(TEXTS, answers, strict=True):
                scores = [one.pop("score") for one in answer["entities"]]
                assert all(score >= (threshold or 0) for score in scores)
                assert answer == {"entities": gliner_entities(model, text, labels, threshold or 0.0)}
        assert client.predict(TEXT, {"PER": "a person"}) == client.predict(TEXT, ["PER"])
        assert client.predict(TEXT, []) == {"entities": []}
        with pytest.raises(gliner.GLiNERClientError, match="422"):
            client.predict(TEXT, ["person"])
        with pytest.raises(gliner.GLiNERClientError, match="422"):
            client.predict(TEXT, ["PER"], flat_ner=False)


GLINER = {
    "text": "Mira met Tom in New Ayr.",
    "labels": ["PER", "LOC"],
    "flat_ner": True,
    "multi_label": False,
    "threshold": 0.0,
}


def test_gliners_form(server, models):
    labels = {"PER": "PER", "LOC": "LOC"}
    status, answer = request(server, "/gliner?model=second", GLINER)
    scores = [one.pop("score") for one in answer["entities"]]
    assert status == 200
    assert all(0 <= score <= 1 for score in scores)
    assert answer["entities"] == gliner_entities(models[1], GLINER["text"], labels)
    for wrong in (
        {"labels": ["person"]},
        {"multi_label": True},
        {"relations": ["works at"]},
        {"adapter_id": "a"},
        {"threshold": 2},
    ):
        status, answer = request(server, "/gliner", GLINER | wrong)
        assert status == 422
        assert next(iter(wrong)) in answer["detail"]


@pytest.mark.filterwarnings("ignore")  # the package uses pydantic's old interface
def test_doccanos_pipeline_reads_the_answer_with_the_documented_template(server, models):
    pytest.importorskip("auto_labeling_pipeline")
    from auto_labeling_pipeline.labels import SequenceLabels
    from auto_labeling_pipeline.mappings import MappingTemplate
    from auto_labeling_pipeline.models import RequestModelFactory
    from auto_labeling_pipeline.pipeline import pipeline
    from auto_labeling_pipeline.postprocessing import PostProcessor

    attributes = {"url": f"{server}/doccano", "method": "POST", "params": {}, "headers": {}}
    for text in TEXTS:
        custom = RequestModelFactory.create(
            "Custom REST Request", {**attributes, "body": {"text": "{{ text }}"}}
        )
        template = MappingTemplate(SequenceLabels, "{{ input | tojson }}")
        found = pipeline(text, custom, template, PostProcessor({}))
        assert [(one.label, one.start_offset, one.end_offset) for one in found.labels] == [
            (one["entity_group"], one["start"], one["end"]) for one in expected_entities(models[0], text)
        ]


def test_doccanos_form(server, models):
    for text in TEXTS:
        status, answer = request(server, "/doccano/second", {"text": text})
        assert status == 200
        assert answer == [
            {"label": one["entity_group"], "start_offset": one["start"], "end_offset": one["end"]}
            for one in expected_entities(models[1], text)
        ]


def test_displacy_renders_the_answer(server):
    displacy = pytest.importorskip("spacy.displacy")
    _, answer = request(server, "/displacy", {"text": TEXT, "title": "A title"})
    page = displacy.render(answer, style="ent", manual=True, jupyter=False)
    assert page.count("<mark") == len(answer["ents"]) > 1
    assert "A title" in page


def test_displacys_form(server, models):
    for text in TEXTS:
        status, answer = request(server, "/displacy/first", {"text": text})
        ents = [
            {"start": one["start"], "end": one["end"], "label": one["entity_group"]}
            for one in expected_entities(models[0], text)
        ]
        assert (status, answer) == (200, {"text": text, "ents": ents, "title": None})


BODIES = {
    "/models/first": {
        "inputs": ["Ayr lost.", ""],
        "parameters": {"aggregation_strategy": "none", "ignore_labels": ["O"], "stride": 1},
    },
    "/gliner": GLINER,
    "/doccano": {"text": "Ayr lost."},
    "/displacy": {"text": "Ayr lost.", "title": "t"},
}
STATUSES = (200, 400, 422)


@pytest.mark.parametrize("path", BODIES)
def test_the_fuzzed_bodies_begin_with_valid_ones(server, path):
    assert request(server, path, BODIES[path])[0] == 200


def test_the_examples_of_the_description_are_valid(server):
    _, description = request(server, "/openapi.json")
    for path, name in (
        ("/models", "EntityRequest"),
        ("/gliner", "GlinerRequest"),
        ("/doccano", "TextRequest"),
        ("/displacy", "DisplacyRequest"),
    ):
        (example,) = description["components"]["schemas"][name]["examples"]
        assert request(server, path, example)[0] == 200


@pytest.mark.slow
@pytest.mark.parametrize("path", BODIES)
@given(data=st.data())
def test_no_json_is_a_server_error(server, path, data):
    body = json.dumps(data.draw(mutations(BODIES[path]))).encode()
    assert request(server, path, body)[0] in STATUSES


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"text": "\\ud83d", "inputs": "\\ud83d", "labels": []}',
        b'{"text": ' + b"9" * 5000 + b"}",
        b"null",
    ],
)
def test_malformed_bodies_are_client_errors(server, path, body):
    status, answer = request(server, path, body)
    assert status in STATUSES[1:]
    assert answer["detail"]


@pytest.mark.parametrize(
    "text", ["\x00a\x00", "a" * 1_000_000, "a " * 2_000, "\u2028\ufeff", "\U0001f600" * 999]
)
def test_long_and_strange_texts_are_tagged(server, text):
    for path, name in (("/models", "inputs"), ("/displacy", "text"), ("/doccano", "text")):
        assert request(server, path, {name: text})[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/gliner/third",
        "/doccano/third",
        "/displacy?model=third",
        "/models/third",
    ],
)
def test_an_unknown_model_is_not_found(server, path):
    status, answer = request(server, path, {**GLINER, "inputs": "Ayr."})
    assert (status, answer["code"]) == (404, "bundle.missing")


@pytest.mark.slow
def test_a_model_without_spans_answers_with_tokens(pos_model):
    model = ServedModel.load(pos_model)
    text = "Ada met Otto.\r\nThe dog lives in Oslo."
    expected = expected_entities(model, text)
    places = [(one["start"], one["end"], one["entity_group"]) for one in expected]
    assert len(expected) > 5
    with serve(make_gate([model])) as address:
        found = InferenceClient(model=f"{address}/models").token_classification(text)
        assert without_entity(found) == expected
        _, ents = request(address, "/displacy", {"text": text})
        assert [(one["start"], one["end"], one["label"]) for one in ents["ents"]] == places
        _, labels = request(address, "/doccano", {"text": text})
        assert [(one["start_offset"], one["end_offset"], one["label"]) for one in labels] == places
        status, problem = request(address, "/gliner", {"text": text, "labels": [places[0][2]]})
        assert (status, problem["code"]) == (422, "corpus.labels")
        tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": [text]}
        _, answer = request(address, f"/v2/models/{model.name}/infer", {"inputs": [tensor]})
        assert json.loads(answer["outputs"][1]["data"][0]) == expected
        _, answer = request(address, "/predict", {"tasks": [{"data": {"text": text}}]})
        (result,) = answer["results"]
        regions = [one["value"] for one in result["result"]]
        assert [(one["start"], one["end"], *one["labels"]) for one in regions] == places
        assert 0 < result["score"] <= 1
