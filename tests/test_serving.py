"""``POST /tag`` has the lines of ``tagger tag``, whatever else is in the batch; errors are problem JSON."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from command_line import run
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import mutations, request, serve
from starlette.testclient import TestClient

from tagger.serving import batcher
from tagger.serving.gate import Limits
from tagger.serving.http_app import make_gate
from tagger.serving.service import ServedModel
from tagger.text.schemes import SCHEMES

PARTS = [
    "Ada",
    "met",
    "Otto",
    "in",
    "Oslo",
    "Émile",
    "🌊",
    "the",
    ".",
    "\n\n",
    "  ",
    "\r\n",
    "lives",
    "Bonn.",
]
TEXTS = st.lists(st.sampled_from(PARTS), max_size=25).map(" ".join)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "scores": st.booleans(),
        "n_best": st.integers(0, 3),
        "min_score": st.sampled_from([0.0, 0.4, 1, {"PER": 0.6}]),
        "candidates": st.sampled_from([0, 0.01, 0.3]),
        "scheme": st.sampled_from(SCHEMES),
        "task": st.sampled_from([["ner"], ["pos", "ner"]]),
    },
)
LINES = {"Accept": "application/x-ndjson"}


@pytest.fixture(scope="module")
def served(model):
    return ServedModel.load(model)


@pytest.fixture(scope="module")
def address(served):
    with serve(make_gate([served])) as address:
        yield address


@pytest.fixture(scope="module")
def client(served):
    with TestClient(make_gate([served])) as client:
        yield client


def command_options(options):
    """Return the options of ``tagger tag`` for those of a request."""
    words = []
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        if isinstance(value, dict):
            values = [f"{label}={score}" for label, score in value.items()]
        for one in values:
            option = f"--{name.replace('_', '-')}"
            words += [option] * one if isinstance(one, bool) else [option, str(one)]
    return words


def tag_lines(model, *arguments):
    """Return the lines of ``tagger tag --format jsonl``."""
    code, output, error = run("tag", "-m", model, "--format", "jsonl", *arguments)
    assert (code, error) == (0, "")
    return output.encode()


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(TEXTS, OPTIONS), min_size=1, max_size=12))
def test_concurrent_requests_have_the_lines_of_the_command_each(address, model, requests):
    bodies = [{"text": text} | options for text, options in requests]
    with ThreadPoolExecutor(len(bodies)) as pool:
        answers = list(pool.map(lambda body: request(address, "/tag", body, LINES), bodies))
    for (text, options), answer in zip(requests, answers, strict=True):
        assert answer == (200, tag_lines(model, "--text", text, *command_options(options)))


def test_several_texts_are_named_by_their_index_as_files_are(client, model, tmp_path):
    texts = ["Ada met Otto.\n\nOtto left.", "", "Mia saw Ada in Oslo."]
    for number, text in enumerate(texts):
        (tmp_path / str(number)).write_text(text)
    expected = tag_lines(model, "--scores", *(tmp_path / str(number) for number in range(3)))
    answer = client.post("/tag", json={"texts": texts, "scores": True}, headers=LINES)
    assert answer.content == expected
    assert answer.headers["content-type"] == "application/x-ndjson"


def test_tokens_have_the_lines_of_pretokenized_text(client, model, write_file):
    tokens = [["Ada", "met", "Otto"], ["In", "Oslo", "🌊", "."]]
    file = write_file("\n".join(map(" ".join, tokens)), "tokens.txt")
    answer = client.post("/tag", json={"tokens": tokens}, headers=LINES)
    assert answer.content == tag_lines(model, "--pretokenized", file)


def test_json_answers_contain_the_same_lines(client, served):
    text = "Ada met Otto.\n\nMia lives in Oslo."
    lines = client.post("/tag", json={"text": text}, headers=LINES).text.splitlines()
    answer = client.post("/tag", json={"text": text})
    assert answer.json() == {
        "model": {"name": served.name, "version": served.version},
        "sentences": list(map(json.loads, lines)),
    }
    assert all(line in answer.text for line in lines)
    several = client.post("/tag", json={"texts": [text, ""]}).json()
    assert several["documents"] == [{"sentences": list(map(json.loads, lines))}, {"sentences": []}]


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"{", 422, "EOF while parsing"),
        (b"\xff", 422, "invalid JSON"),
        (b"", 422, "EOF while parsing"),
        (b"[]", 422, "should be an object"),
        (b'{"text": "\\ud800"}', 422, "invalid JSON"),
        (b'{"text": 1}', 422, "text: "),
        (b'{"text": "a", "unknown": 1}', 422, "unknown: "),
        (b"{}", 422, "must have one of text, texts and tokens (got none)"),
        (b'{"text": "a", "texts": []}', 422, "(got text, texts)"),
        (b'{"tokens": [["a"], []]}', 422, "tokens[1]: must have tokens"),
        (b'{"tokens": [["a", ""]]}', 422, "tokens[0]: must have tokens"),
        (b'{"text": "a", "n_best": -1}', 422, "n_best must be from 0 to 1000 (got -1)"),
        (b'{"text": "a", "min_score": 2}', 422, "min_score must be from 0 to 1 (got 2)"),
        (b'{"text": "a", "min_score": {"NO": 0.5}}', 422, "no label 'NO'"),
        (b'{"text": "a", "scheme": "BEER"}', 422, "no tag scheme 'BEER'"),
        (b'{"text": "a", "task": ["no"]}', 422, "no task 'no'"),
        (b'{"text": "a", "model": "no"}', 404, "no model 'no'"),
    ],
)
def test_invalid_bodies_are_problems_in_one_line(client, body, status, detail):
    answer = client.post("/tag", content=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert detail in problem["detail"]
    assert problem["detail"].isprintable()


@settings(max_examples=60, deadline=None)
@given(mutations({"texts": ["Ada", "Otto."], "min_score": {"PER": 0.5}, "n_best": 2, "task": ["ner"]}))
def test_no_json_is_an_internal_error(client, body):
    answer = client.post("/tag", content=json.dumps(body).encode())
    assert answer.status_code in (200, 404, 422)


@pytest.mark.parametrize("text", ["a\0b", "\0", "x" * 900_000, "\ufeffAda", "e\u0301" * 50, "\u202eAda"])
def test_odd_texts_have_the_lines_of_the_command(client, model, text):
    answer = client.post("/tag", json={"text": text}, headers=LINES)
    assert (answer.status_code, answer.content) == (200, tag_lines(model, "--text", text))


def test_a_word_of_ten_megabytes_is_tagged_or_too_large(served, client):
    body = {"text": "x" * 10_000_000}
    assert client.post("/tag", json=body).status_code == 413
    with TestClient(make_gate([served], limits=Limits(body_bytes=1 << 24))) as other:
        answer = other.post("/tag", json=body, headers=LINES)
    assert answer.status_code == 200
    assert json.loads(answer.text.splitlines()[0])["start"] == 0


def test_an_error_of_one_request_does_not_touch_the_others(served, monkeypatch):
    monkeypatch.setattr("tagger.runtime.labeller.MOST_POINTERS", 2000)
    long = {"text": "Ada met Otto " * 40, "n_best": 40}
    short = {"text": "Ada met Otto.", "n_best": 40}
    with serve(make_gate([served])) as address, ThreadPoolExecutor(8) as pool:
        alone = request(address, "/tag", short)
        answers = list(pool.map(lambda body: request(address, "/tag", body), [short, long, short, long] * 2))
    assert [status for status, _ in answers] == [200, 422, 200, 422] * 2
    assert all(answer == alone for answer in answers[::2])


def test_an_unexpected_error_is_answered_and_the_next_request_works(served, monkeypatch):
    def fail(*arguments):
        raise ZeroDivisionError

    with serve(make_gate([served]), log_config=None) as address:
        with monkeypatch.context() as patch:
            patch.setattr(batcher.Batcher, "_tag_jobs", fail)
            assert request(address, "/tag", {"text": "Ada"})[0] == 500
        assert request(address, "/tag", {"text": "Ada"})[0] == 200


def test_models_are_chosen_by_name(served, pos_model):
    other = ServedModel.load(pos_model)
    with TestClient(make_gate([served, other])) as client:
        names = [model["name"] for model in client.get("/models").json()]
        assert names == [served.name, other.name]
        for model in (served, other):
            answer = client.post("/tag", json={"text": "Ada", "model": model.name}).json()
            assert answer["model"] == {"name": model.name, "version": model.version}
            tasks = {task.name for task in model.tagger.tasks}
            assert answer["sentences"][0]["tags"].keys() == tasks
    with pytest.raises(ValueError, match="two models must not have the same name"):
        make_gate([served, served])


def test_the_description_of_the_api_has_examples_that_work(client):
    description = client.get("/openapi.json").json()
    body = description["paths"]["/tag"]["post"]["requestBody"]["content"]["application/json"]
    for example in body["examples"].values():
        assert client.post("/tag", json=example["value"]).status_code == 200


def test_the_description_of_the_api_has_all_path_parameters_and_errors(client):
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        for method, operation in methods.items():
            declared = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
            assert declared == set(re.findall(r"{(\w+)}", path)), path
            if method == "post":
                problems = {
                    status
                    for status, answer in operation["responses"].items()
                    if "application/problem+json" in answer.get("content", {})
                }
                assert problems == {"401", "404", "408", "413", "422", "503"}, path


def test_bodies_that_are_no_text_are_problems_on_all_routes(client):
    paths = client.get("/openapi.json").json()["paths"]
    for path in (path for path, methods in paths.items() if "post" in methods and "/webhook" not in path):
        path = re.sub(r"{(model|name)}", client.get("/models").json()[0]["name"], path)
        answer = client.post(path.replace("{version}", "1"), content=b'"\xff')
        # Streams have begun their answer when the text is read.
        assert answer.status_code == (404 if "/versions/" in path else 200 if "/stream" in path else 422), (
            path
        )


def test_metrics_count_requests_words_and_batches_and_hold_no_text(client):
    client.post("/tag", json={"text": "Secretword met Otto."})
    client.post("/tag", content=b"Secretword")
    client.get("/Secretword")
    text = client.get("/metrics").text
    assert "Secretword" not in text
    for sample in (
        'tagger_requests_total{route="/tag",status="200"}',
        'tagger_requests_total{route="/tag",status="422"}',
        'tagger_requests_total{route="other",status="404"}',
        "tagger_words_total",
        "tagger_batch_requests_bucket",
        "tagger_request_seconds_bucket",
        "tagger_waiting_requests 0.0",
        "tagger_model_info",
    ):
        assert sample in text
