"""An HTTP server in a thread for tests of protocols with their real clients, and requests to it."""

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from bundles import make_bundle
from hypothesis import strategies as st

from tagger import Tagger
from tagger.serving.service import ServedModel

LONGEST_WAIT = 30  # seconds

LONE_SURROGATE = "\ud83d"
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(LONE_SURROGATE)
)
JSON_VALUES = st.recursive(
    SCALARS,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=6), values, max_size=3),
    max_leaves=8,
)
"""JSON values of any shape, with the constants that Python writes for NaN and infinity."""


@contextmanager
def serve(app: Any, **config: Any) -> Iterator[str]:
    """Serve an ASGI application on a free port of the loopback interface; yield its address.

    Args:
        app: The application.
        config: More options of ``uvicorn.Config``.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", **config))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            deadline = monotonic() + LONGEST_WAIT
            while not server.started:
                thread.join(0.01)
                assert thread.is_alive(), "the server ended while it started"
                assert monotonic() < deadline, "the server did not start"
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(LONGEST_WAIT)
        assert not thread.is_alive(), "the server did not end"


def make_served_model(name: str = "en", seed: int = 0) -> ServedModel:
    """Return a model with random weights and the tasks ner and pos."""
    return ServedModel(name, Tagger(make_bundle(seed)[1], threads=1), f"{seed:064x}")


def expected_entities(model: ServedModel, text: str) -> list[dict[str, Any]]:
    """Return the entities of a text, with scores that match those in batches."""
    found = model.tagger.as_pipeline()(text)
    return [{**one, "score": pytest.approx(one["score"], abs=1e-6)} for one in found]


def request(
    address: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
) -> tuple[int, Any]:
    """Send a request, GET without a body, else POST; return the status and the answer, parsed if it is JSON.

    Args:
        address: The server's address.
        path: The path and the query.
        body: Bytes, or a value that is sent as JSON.
        headers: Headers of the request.
    """
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    connection = HTTPConnection(urlsplit(address).netloc, timeout=LONGEST_WAIT)
    try:
        sent = {"Content-Type": "application/json", **(headers or {})}
        connection.request("GET" if content is None else "POST", path, content, sent)
        response = connection.getresponse()
        answer = response.read()
        kind = response.headers.get("Content-Type", "").partition(";")[0]
        is_json = kind.endswith(("/json", "+json"))  # but not lines of JSON
        return response.status, json.loads(answer) if is_json else answer
    finally:
        connection.close()


def mutations(valid: object) -> st.SearchStrategy[object]:
    """Return JSON values that differ from a valid one in a single place, or in everything."""
    places = list(_places(valid, ()))
    changed = st.builds(_replace, st.just(valid), st.sampled_from(places), JSON_VALUES)
    return changed | JSON_VALUES


def _places(value: object, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places(item, (*path, key))


def _replace(value: Any, path: tuple[Any, ...], new: object) -> object:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _replace(value[path[0]], path[1:], new)
    return copy
