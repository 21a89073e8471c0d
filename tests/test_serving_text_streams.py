"""Texts in pieces have the lines of ``tagger tag`` for the whole text, and memory and time are bounded."""

import json
import socket

import pytest
from command_line import run
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import LONGEST_WAIT, serve
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from tagger.serving.gate import Limits
from tagger.serving.http_app import make_gate
from tagger.serving.server import LimitedProtocol
from tagger.serving.service import ServedModel

PARTS = ["Ada", "met", "Otto", "in", "Oslo.", "Émile", "🌊", ".", "\n\n", "  ", "\r\n", "Mr.", "Bonn!"]
TEXTS = st.lists(st.sampled_from(PARTS), max_size=40).map(" ".join)
PLAIN = {"Content-Type": "text/plain"}
LINES = {"Content-Type": "application/x-ndjson"}


@pytest.fixture(scope="module")
def client(model):
    with TestClient(make_gate([ServedModel.load(model)])) as client:
        yield client


def pieces_of(content, sizes):
    begin = 0
    for size in sizes:
        yield content[begin : begin + size]
        begin += size
    yield content[begin:]


@settings(max_examples=30, deadline=None)
@given(TEXTS, st.lists(st.integers(1, 9), max_size=30))
def test_a_document_in_pieces_has_the_lines_of_the_command(client, model, text, sizes):
    code, expected, _ = run("tag", "-m", model, "--format", "jsonl", "--scores", stdin=text.encode())
    assert code == 0
    pieces = pieces_of(text.encode(), sizes)
    answer = client.post("/tag/stream?scores=true", content=pieces, headers=PLAIN)
    assert (answer.status_code, answer.text) == (200, expected)


def test_many_documents_are_named_by_their_index(client, model):
    texts = ["Ada met Otto.\n\nOtto left.", "", "Mia saw Ada in Oslo."] * 50
    body = "".join(f"{json.dumps({'text': text})}\n\n" for text in texts)
    lines = client.post("/tag/stream?task=ner", content=body, headers=LINES).text.splitlines()
    answer = client.post("/tag", json={"texts": texts, "task": ["ner"]}).json()["documents"]
    expected = [
        sentence | {"document": str(number)}
        for number, document in enumerate(answer)
        for sentence in document["sentences"]
    ]
    assert list(map(json.loads, lines)) == expected


@pytest.mark.parametrize(
    ("content", "headers", "detail"),
    [
        (b"Ada met\xff Otto.", PLAIN, "the body must be UTF-8"),
        (b'{"text": "Ada"}\n{"text": 1}\n', LINES, "line 2: text: "),
        (b"{", LINES, "line 1: body: invalid JSON"),
    ],
)
def test_an_error_is_the_last_line(client, content, headers, detail):
    answer = client.post("/tag/stream", content=content, headers=headers)
    last = json.loads(answer.text.splitlines()[-1])
    assert answer.status_code == 200
    assert detail in last["error"]["detail"]
    assert last["error"]["status"] == 422


def test_unknown_names_are_errors_before_the_body_is_read(client):
    for query, status in (("model=no", 404), ("task=no", 422), ("min_score=2", 422), ("scores=x", 422)):
        answer = client.post(f"/tag/stream?{query}", content=b"Ada", headers=PLAIN)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_stream_that_pauses_too_long_is_ended(model):
    limits = Limits(body_seconds=0.05)
    with serve(make_gate([ServedModel.load(model)], limits=limits), http=LimitedProtocol) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=LONGEST_WAIT) as connection:
            connection.sendall(
                b"POST /tag/stream HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nAda met Otto. "
            )
            answer = b""
            while b"took too long" not in answer:
                piece = connection.recv(65_536)
                assert piece
                answer += piece


@settings(max_examples=30, deadline=None)
@given(TEXTS, st.lists(st.integers(1, 9), max_size=30), st.integers(0, 3))
def test_text_that_is_being_written_has_the_lines_of_the_command(client, model, text, sizes, lookahead):
    options = ("--stream", "--lookahead", lookahead, "--format", "jsonl")
    code, expected, _ = run("tag", "-m", model, *options, stdin=text.encode())
    assert code == 0
    lines = []
    with client.websocket_connect(f"/live?lookahead={lookahead}") as connection:
        for piece in pieces_of(text, sizes):
            if piece:
                connection.send_text(piece)
        connection.send_text("")
        while (message := connection.receive())["type"] == "websocket.send":
            lines.append(message["text"])
    assert message["code"] == 1000
    assert "".join(lines) == expected


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("lookahead=-1", "lookahead must be"),
        ("lookahead=101", "from 0 to 100"),
        ("model=no", "no model 'no'"),
    ],
)
def test_invalid_options_of_a_connection_are_told(client, query, detail):
    with client.websocket_connect(f"/live?{query}") as connection:
        assert detail in connection.receive_json()["error"]["detail"]
        with pytest.raises(WebSocketDisconnect):
            connection.receive_json()


def test_streams_are_limited(model):
    gate = make_gate([ServedModel.load(model)], limits=Limits(streams=1))
    with TestClient(gate) as client, client.websocket_connect("/live") as connection:
        answer = client.post("/tag/stream", content=b"Ada", headers=PLAIN)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect("/live"):
            pass
        assert refused.value.code == 1013
        assert client.post("/tag", json={"text": "Ada"}).status_code == 200
        connection.send_bytes(b"no text")  # ends the connection
        with pytest.raises(WebSocketDisconnect):
            connection.receive_text()
