"""Who may enter, how many, how large and for how long; and an orderly end. The test holds the model up."""

import json
import signal
import socket
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from time import monotonic

import pytest
from bundles import make_bundle
from servers import LONGEST_WAIT, request, serve
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from tagger import InputError, Tagger
from tagger.serving import server as server_module
from tagger.serving.batcher import LONG_BATCH
from tagger.serving.gate import Limits
from tagger.serving.http_app import make_gate
from tagger.serving.server import LimitedProtocol, Server
from tagger.serving.service import ServedModel

BODY = {"text": "Mira met Tom."}


class HeldTagger(Tagger):
    """A tagger that waits for the test before it tags."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.free, self.is_busy = Event(), Event()
        self.free.set()

    def annotate(self, sentences, options):
        free = self.free
        self.is_busy.set()
        assert free.wait(LONGEST_WAIT)
        return super().annotate(sentences, options)

    def hold(self):
        self.is_busy.clear()
        self.free.clear()


@pytest.fixture
def held():
    tagger = HeldTagger(make_bundle()[1], threads=1)
    yield ServedModel("held", tagger, "0")
    tagger.free.set()


def wait_until(condition):
    deadline = monotonic() + LONGEST_WAIT
    while not condition():
        assert monotonic() < deadline
        Event().wait(0.005)


@contextmanager
def busy(held, body=BODY, **limits):
    """Serve a model that is tagging a first request; yield the address, the gate and a pool."""
    gate = make_gate([held], limits=Limits(**limits))
    with serve(gate, http=LimitedProtocol) as address, ThreadPoolExecutor(8) as pool:
        held.tagger.hold()
        first = pool.submit(request, address, "/tag", body)
        assert held.tagger.is_busy.wait(LONGEST_WAIT)
        try:
            yield address, gate, pool
        finally:
            held.tagger.free.set()
            first.result(LONGEST_WAIT)


def raw(address, content, *, count=65_536):
    """Send bytes, and return what the server sends until it closes the connection or the answer ends."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=LONGEST_WAIT) as connection:
        connection.sendall(content)
        answer = b""
        while b"\r\n\r\n" not in answer and (piece := connection.recv(count)):
            answer += piece
        return answer


def words(address):
    """Return the number of tagged words."""
    lines = request(address, "/metrics")[1].decode().splitlines()
    return float(next(line for line in lines if line.startswith("tagger_words_total")).split()[-1])


def post(headers, body=b"", path="/tag"):
    lines = [f"POST {path} HTTP/1.1", "Host: a", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def test_requests_beyond_the_limit_are_refused_before_their_body_is_read(held):
    with busy(held, waiting=2) as (address, gate, pool):
        second = pool.submit(request, address, "/tag", BODY)
        wait_until(lambda: gate.count == 2)
        answer = raw(address, post({"Content-Length": 100_000}))  # the body is not sent
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 1\r\n" in answer
        assert request(address, "/health/ready")[0] == 200
        held.tagger.free.set()
        assert second.result(LONGEST_WAIT)[0] == 200
        assert request(address, "/tag", BODY)[0] == 200


def test_long_bodies_count_by_their_size(held):
    size = len(json.dumps(BODY))
    with busy(held, waiting_bytes=3 * size) as (address, gate, pool):
        chunks = f"{size:x}\r\n{json.dumps(BODY)}\r\n0\r\n\r\n".encode()
        second = pool.submit(request, address, "/tag", BODY)
        third = pool.submit(raw, address, post({"Transfer-Encoding": "chunked"}, chunks))
        wait_until(lambda: gate.count == 3)
        wait_until(lambda: gate._bytes == 3 * size)
        assert raw(address, post({"Content-Length": 1})).startswith(b"HTTP/1.1 503 ")
        held.tagger.free.set()
        assert second.result(LONGEST_WAIT)[0] == 200
        assert third.result(LONGEST_WAIT).startswith(b"HTTP/1.1 200 ")
        wait_until(lambda: gate._bytes == 0)
        assert (
            request(address, "/tag", {"text": "Ayr " * size})[0] == 200
        )  # admitted alone, whatever its size


def test_a_request_that_waits_too_long_is_answered_and_not_tagged(held):
    with busy(held, seconds=0.05) as (address, *_):
        status, problem = request(address, "/tag", BODY)
        assert (status, problem["status"]) == (503, 503)
        assert "was not tagged" in problem["detail"]
        before = words(address)
        held.tagger.free.set()
        assert request(address, "/tag", {"text": "Ayr"})[0] == 200  # after the first request's batch
        wait_until(lambda: words(address) == before + 4 + 1)


def test_a_client_that_leaves_before_its_turn_is_not_tagged(held):
    with busy(held) as (address, gate, _):
        host, port = address.removeprefix("http://").split(":")
        content = json.dumps(BODY).encode()
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(post({"Content-Length": len(content)}, content))
            wait_until(lambda: gate.count == 2)
        wait_until(lambda: gate.count == 1)
        before = words(address)
        held.tagger.free.set()
        assert request(address, "/tag", {"text": "Ayr"})[0] == 200
        wait_until(lambda: words(address) == before + 4 + 1)


def test_a_short_request_does_not_wait_for_a_long_one(held):
    long = {"tokens": [["Ada", "met", "Otto"]] * (LONG_BATCH // 8)}
    with busy(held, long) as (address, gate, _):
        free_first, held.tagger.free = held.tagger.free, Event()
        held.tagger.free.set()
        assert request(address, "/tag", BODY)[0] == 200
        assert gate.count == 1  # the long one
        free_first.set()


@pytest.fixture(scope="module")
def served():
    return ServedModel("random", Tagger(make_bundle()[1], threads=1), "0")


def test_bodies_have_a_maximum_size(served):
    with serve(make_gate([served], limits=Limits(body_bytes=100))) as address:
        chunk = b"64\r\n" + b" " * 100 + b"\r\n"
        for content in (
            post({"Content-Length": 101}),
            post({"Content-Length": "9" * 18}),
            post({"Transfer-Encoding": "chunked"}, chunk + chunk),
        ):
            answer = raw(address, content)
            assert answer.startswith(b"HTTP/1.1 413 ")
            assert b"connection: close" in answer
        body = json.dumps(BODY).encode().ljust(100)
        assert raw(address, post({"Content-Length": 100}, body)).startswith(b"HTTP/1.1 200 ")


def test_slow_bodies_and_slow_or_large_headers_end_the_connection(served, monkeypatch):
    monkeypatch.setattr(server_module, "HEADER_SECONDS", 0.05)
    limits = Limits(body_seconds=0.05)
    with serve(make_gate([served], limits=limits), http=LimitedProtocol) as address:
        assert raw(address, post({"Content-Length": 100}, b"{")).startswith(b"HTTP/1.1 408 ")
        assert raw(address, b"POST /tag HTTP/1.1\r\nHost:") == b""
        assert raw(address, b"") == b""
        large = b"GET / HTTP/1.1\r\nX: " + b"x" * server_module.HEADER_BYTES
        monkeypatch.setattr(server_module, "HEADER_SECONDS", LONGEST_WAIT)
        assert raw(address, large).startswith(b"HTTP/1.1 431 ")
        assert raw(address, b"\0\0\r\n\r\n").startswith(b"HTTP/1.1 400 ")
        assert request(address, "/tag", BODY)[0] == 200


def test_a_token_protects_everything_but_health_probes(served):
    wrong = (
        "",
        "Bearer sesam",
        "Basic sesame",
        "Basic !",
        "Digest sesame",
        f"Basic {b64encode(b'a:b').decode()}",
    )
    with TestClient(make_gate([served], token="sesame")) as client:
        for headers in ({"Authorization": value} for value in wrong):
            for path in ("/metrics", "/models", "/openapi.json"):
                answer = client.get(path, headers=headers)
                assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert client.post("/tag", json=BODY, headers=headers).status_code == 401
        assert client.get("/health/live").status_code == client.get("/health/ready").status_code == 200
        assert client.get("/v2/health/ready").status_code == 200
        for value in ("bearer sesame", f"Basic {b64encode(b'label-studio:sesame').decode()}"):
            headers = {"Authorization": value}
            assert client.post("/tag", json=BODY, headers=headers).status_code == 200


def test_other_origins_need_permission(served):
    headers = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    allowed = "access-control-allow-origin"
    for origins in ((), ("https://example.org",)):
        with TestClient(make_gate([served], origins=origins)) as client:
            for answer in (
                client.options("/tag", headers=headers),
                client.post("/tag", json=BODY, headers=headers),
            ):
                assert answer.headers.get(allowed) == (origins[0] if origins else None)
    with TestClient(make_gate([served], origins=["https://example.org"], token="sesame")) as client:
        assert client.options("/tag", headers=headers).status_code == 200  # has no token
        answer = client.post("/tag", json=BODY, headers=headers)
        assert (answer.status_code, answer.headers[allowed]) == (401, "https://example.org")


@pytest.mark.parametrize(
    ("origins", "origin", "is_accepted"),
    [
        ((), None, True),
        ((), "http://testserver", True),
        ((), "https://example.org", False),
        (("https://example.org",), "https://example.org", True),
        (("*",), "https://example.org", True),
    ],
)
def test_connections_from_pages_of_other_origins_need_permission(served, origins, origin, is_accepted):
    headers = {"Origin": origin} if origin else {}
    with TestClient(make_gate([served], origins=origins)) as client:
        if is_accepted:
            with client.websocket_connect("/live", headers=headers) as connection:
                connection.send_text("")
        else:
            refused = client.websocket_connect("/live", headers=headers)
            with pytest.raises(WebSocketDisconnect):
                refused.__enter__()


@contextmanager
def running(gate, **options):
    """Run ``Server`` in a thread; yield it and its address."""
    urls = []
    server = Server(gate, host="127.0.0.1", port=0, on_start=urls.append, **options)
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(server.run, [server._socket])
        try:
            wait_until(lambda: urls or ended.done())
            yield server, urls[0]
        finally:
            gate.stop()
            server.should_exit = True
        ended.result(LONGEST_WAIT)


def test_the_end_answers_what_is_admitted_and_refuses_the_rest(held):
    gate = make_gate([held])
    with running(gate, drain_seconds=LONGEST_WAIT) as (server, address), ThreadPoolExecutor(2) as pool:
        held.tagger.hold()
        first = pool.submit(request, address, "/tag", BODY)
        assert held.tagger.is_busy.wait(LONGEST_WAIT)
        assert request(address, "/health/ready")[0] == 200
        server.handle_exit(signal.SIGTERM, None)
        assert request(address, "/health/ready")[0] == request(address, "/v2/health/ready")[0] == 503
        assert request(address, "/health/live")[0] == 200
        status, problem = request(address, "/tag", BODY)
        assert (status, problem["detail"]) == (503, "the server stops. Try again later.")
        held.tagger.free.set()
        assert first.result(LONGEST_WAIT)[0] == 200
        wait_until(lambda: server.should_exit)


def test_what_the_end_cuts_off_gets_503(held):
    gate = make_gate([held])
    with running(gate, drain_seconds=0.0) as (server, address), ThreadPoolExecutor(2) as pool:
        held.tagger.hold()
        first = pool.submit(request, address, "/tag", BODY)
        assert held.tagger.is_busy.wait(LONGEST_WAIT)
        server.handle_exit(signal.SIGTERM, None)
        assert first.result(LONGEST_WAIT)[0] == 503


def test_an_address_that_is_taken_is_an_input_error(served):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for host, number in (("127.0.0.1", port), ("no.such.host.invalid", 80)):
            with pytest.raises(InputError, match="cannot listen"):
                Server(
                    make_gate([served]), host=host, port=number, drain_seconds=1, on_start=lambda url: None
                )
