"""The Open Inference Protocol, with Triton's client and by the specification."""

import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from servers import expected_entities, make_served_model, mutations, request, serve

from tagger.runtime.json_lines import SCORE_DIGITS
from tagger.serving.http_app import make_gate
from tagger.text.sentence import sentence_values

TEXTS = ["\U0001f600 Mira Lang met Tom in New Ayr.\r\nRain fell on Ayr.", "", "Ayr lost 2-0.", " \n"]
PATH = "/v2/models/first/infer"


@pytest.fixture(scope="module")
def models():
    return [make_served_model("first", 0), make_served_model("second", 1)]


@pytest.fixture(scope="module")
def server(models):
    with serve(make_gate(models, version="1.2.3")) as address:
        yield address


@pytest.fixture(scope="module")
def triton(server):
    http = pytest.importorskip("tritonclient.http")
    with http.InferenceServerClient(server.removeprefix("http://")) as client:
        yield http, client


@pytest.mark.parametrize("has_binary_input", [True, False])
@pytest.mark.parametrize("binary_outputs", [None, (True, True), (False, True), (False, False)])
@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_the_client_of_triton_infers(triton, models, has_binary_input, binary_outputs, shape):
    http, client = triton
    tensor = http.InferInput("text", shape, "BYTES")
    tensor.set_data_from_numpy(
        np.array([text.encode() for text in TEXTS], object).reshape(shape), binary_data=has_binary_input
    )
    outputs = binary_outputs and [
        http.InferRequestedOutput(name, binary_data=is_binary)
        for name, is_binary in zip(("entities", "sentences"), binary_outputs, strict=True)
    ]
    model = models[1]
    result = client.infer("second", [tensor], outputs=outputs, request_id="7", model_version=model.version)
    head = result.get_response()
    assert (head["model_name"], head["model_version"], head["id"]) == ("second", model.version, "7")
    found = {name: result.as_numpy(name) for name in ("entities", "sentences")}
    assert {one.shape for one in found.values()} == {shape}
    assert [json.loads(one) for one in found["entities"].flat] == [
        expected_entities(model, text) for text in TEXTS
    ]
    for text, value in zip(TEXTS, found["sentences"].flat, strict=True):
        expected = [
            sentence_values(one, ["ner", "pos"], digits=SCORE_DIGITS) for one in model.tagger.tag(text)
        ]
        values = json.loads(value)
        for one in (*expected, *values):
            for spans in one["spans"].values():
                for span in spans:
                    span["score"] = pytest.approx(span["score"], abs=2e-6)
        assert values == json.loads(json.dumps(expected, default=lambda one: one.expected))


def test_the_client_of_triton_sees_health_and_metadata(triton, models):
    http, client = triton
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata() == {
        "name": "tagger",
        "version": "1.2.3",
        "extensions": ["binary_tensor_data"],
    }
    for model in models:
        assert client.is_model_ready(model.name)
        assert client.is_model_ready(model.name, model.version)
        assert not client.is_model_ready(model.name, "1")
        metadata = client.get_model_metadata(model.name)
        assert metadata == client.get_model_metadata(model.name, model.version)
        assert (metadata["name"], metadata["versions"]) == (model.name, [model.version])
        assert [(one["name"], one["datatype"]) for one in metadata["inputs"]] == [("text", "BYTES")]
        assert [one["name"] for one in metadata["outputs"]] == ["sentences", "entities"]
    assert not client.is_model_ready("third")
    tensor = http.InferInput("text", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([TEXTS[0].encode()], object))
    unknown = [http.InferRequestedOutput("scores")]
    for name, outputs, message in (
        ("third", None, r"^\[404\] model: there is no model 'third'\. The models are first, second\.$"),
        ("first", unknown, r"^\[422\] outputs\.0\.name: "),
    ):
        with pytest.raises(http.InferenceServerException, match=message):
            client.infer(name, [tensor], outputs=outputs)


INFERENCE = {
    "id": "a",
    "inputs": [{"name": "text", "shape": [2], "datatype": "BYTES", "data": ["Ayr.", "Tom."]}],
    "outputs": [{"name": "entities", "parameters": {"binary_data": False}}],
    "parameters": {"binary_data_output": False},
}


@pytest.mark.parametrize(
    ("data", "shape", "status"),
    [
        ([["a"], ["b"]], [2, 1], 200),
        (["a", "b"], [2, 1], 200),
        ([], [0], 200),
        (["a"], [2], 422),
        (["a", "b"], [1, 1, 2], 422),
        ([], [-1], 422),
        (None, [1], 422),
    ],
)
def test_shape_and_data_of_an_inference_must_match(server, data, shape, status):
    tensor = {"name": "text", "shape": shape, "datatype": "BYTES", "data": data}
    found, answer = request(server, PATH, {"inputs": [tensor]})
    assert found == status
    if status == 200:
        assert [one["shape"] for one in answer["outputs"]] == [shape, shape]
    else:
        assert answer["detail"]


@pytest.mark.parametrize(
    ("binary", "declared", "header"),
    [
        (b"", 0, None),
        (b"\x01\x00\x00\x00a", 4, None),
        (b"\x01\x00\x00\x00a", None, None),
        (b"\x02\x00\x00\x00a", 5, None),
        (b"\x01\x00\x00", 3, None),
        (b"\x01\x00\x00\x00\xff", 5, None),
        (b"\xff\xff\xff\xff", 4, None),
        (b"\x01\x00\x00\x00a", 5, "-1"),
        (b"\x01\x00\x00\x00a", 5, "999999"),
        (b"\x01\x00\x00\x00a", 5, "9" * 5000),
        (b"\x01\x00\x00\x00a", 5, "²"),
    ],
)
def test_wrong_binary_data_is_an_error(server, binary, declared, header):
    parameters = {} if declared is None else {"parameters": {"binary_data_size": declared}}
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", **parameters}
    head = json.dumps({"inputs": [tensor]}).encode()
    headers = {"Inference-Header-Content-Length": header or str(len(head))}
    status, answer = request(server, PATH, head + binary, headers)
    assert status == 422
    assert answer["detail"]


def test_an_inference_is_answered_as_specified(server, models):
    status, answer = request(server, PATH, INFERENCE)
    (output,) = answer.pop("outputs")
    assert status == 200
    assert answer == {"model_name": "first", "model_version": models[0].version, "id": "a"}
    texts = INFERENCE["inputs"][0]["data"]
    assert [json.loads(one) for one in output.pop("data")] == [
        expected_entities(models[0], text) for text in texts
    ]
    assert output == {"name": "entities", "datatype": "BYTES", "shape": [2]}


@pytest.mark.slow
@given(body=mutations(INFERENCE))
def test_no_json_is_a_server_error(server, body):
    assert request(server, PATH, json.dumps(body).encode())[0] in (200, 422)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"id": "\\ud83d"}', b"9" * 5000, b"null"]
)
def test_malformed_bodies_are_client_errors(server, body):
    status, answer = request(server, PATH, body)
    assert status == 422
    assert answer["detail"]


def test_the_example_of_the_description_is_valid(server):
    _, description = request(server, "/openapi.json")
    body = description["paths"]["/v2/models/{name}/infer"]["post"]["requestBody"]
    assert request(server, PATH, body["content"]["application/json"]["example"])[0] == 200


def test_an_unknown_version_is_not_found(server):
    status, answer = request(server, "/v2/models/first/versions/1/infer", INFERENCE)
    assert (status, answer["code"]) == (404, "bundle.missing")


@pytest.mark.slow
@given(content=st.binary(max_size=60), header=st.none() | st.integers(-2, 70).map(str) | st.just("x"))
@example(content=b"", header="0")
def test_no_binary_data_is_a_server_error(server, content, header):
    headers = {} if header is None else {"Inference-Header-Content-Length": header}
    assert request(server, PATH, content, headers)[0] in (200, 422)
