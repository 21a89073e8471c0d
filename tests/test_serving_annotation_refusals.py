"""The routes of ``tagger annotate`` refuse what is not of the project, and other sites."""

import json

import pytest
from annotation_desks import TEXTS, decide, in_effect, make_model, make_store, opened, take, work_of
from hypothesis import given, settings
from servers import mutations

from tagger.serving.annotation_routes import LOOPBACK


@pytest.fixture(scope="module")
def model(folder):
    return make_model(folder)


@pytest.fixture
def store(tmp_path, model):
    with make_store(tmp_path / "case.db", TEXTS, model) as store:
        yield store


@pytest.fixture
def client(store):
    with opened(store) as client:
        yield client


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("corpus.record", {"n_tokens": 99}),
        ("corpus.labels", {"spans": [(0, 1, "SHIP")]}),
        ("argument.value", {"spans": [(0, 2, "PER"), (1, 2, "ORG")]}),
        ("argument.value", {"spans": [(1, 1, "PER")]}),
        ("argument.value", {"spans": [(0, 99, "PER")]}),
        ("argument.value", {"spans": [(0, 1, "PER")], "unknown": [0]}),
        ("argument.value", {"unknown": [99]}),
        ("", {"n_tokens": 0}),
        ("", {"n_tokens": 10**9}),
        ("", {"unknown": [-1]}),
        ("", {"tags": ["O"]}),
    ],
)
def test_work_that_is_not_of_the_sentence_is_refused(store, client, code, changes):
    answer = take(client)
    extra = {name: changes.pop(name) for name in ("n_tokens", "tags") if name in changes}
    work = work_of(answer, **{"spans": [], **changes}) | extra
    body = {"key": answer["lease"]["key"], "work": work, "seconds": 1}
    refused = client.post("/annotation/decide", json=body)
    assert (refused.status_code, refused.json().get("code", "")) == (422, code)
    assert in_effect(store) == {}
    decide(client, answer)  # the lease is still there


def test_names_and_keys_are_checked(client):
    for name in ("", "  ", "a\0b", "a\nb", "x" * 101, None, 3):
        assert client.post("/annotation/next", json={"annotator": name}).status_code == 422
    assert take(client, " Zoë ‏שלום ".strip())["lease"]
    for key in ("", "0" * 31, "g" * 32, "0" * 32 + "'"):
        assert client.post("/annotation/release", json={"key": key}).status_code == 422
    unknown = client.post("/annotation/decide", json={"key": "0" * 32, "work": None, "seconds": 0})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "run.exists")


KEY = "0" * 32
BODIES = {
    "next": {"annotator": "ada", "audit": False},
    "undo": {"annotator": "ada", "key": KEY},
    "decide": {
        "key": KEY,
        "work": {"n_tokens": 2, "spans": [{"start": 0, "end": 1, "label": "PER"}], "unknown": [1]},
        "seconds": 1.5,
    },
    "model": {"version": 1},
}


@pytest.fixture(scope="module")
def shared_client(folder, model):
    with make_store(folder / "case.db", TEXTS, model) as store, opened(store) as client:
        yield client


@pytest.mark.parametrize("name", BODIES)
def test_no_body_breaks_the_server(shared_client, name):
    @settings(max_examples=60)
    @given(mutations(BODIES[name]))
    def check(body):
        content = json.dumps(body).encode()
        answer = shared_client.post(f"/annotation/{name}", content=content, headers=JSON)
        assert answer.status_code in (200, 422), answer.text

    check()


JSON = {"Content-Type": "application/json"}


def test_other_sites_cannot_use_the_server(store):
    with opened(store, hosts=LOOPBACK) as client:
        for host, status in (
            ("127.0.0.1:8000", 200),
            ("localhost", 200),
            ("[::1]:8000", 200),
            ("evil.test", 400),
        ):
            assert client.get("/annotation/project", headers={"Host": host}).status_code == status
        simple = {"Host": "localhost", "Content-Type": "text/plain"}  # what a form of another site can send
        assert (
            client.post("/annotation/next", content=b'{"annotator": "eve"}', headers=simple).status_code
            == 422
        )
    assert in_effect(store) == {}


def test_the_token_opens_all_but_the_files_of_the_page(store):
    with opened(store, token="sesame") as client:
        assert client.get("/").status_code == client.get("/page/annotate.js").status_code == 200
        assert "Annotate" in client.get("/").text
        for path in ("project", "progress"):
            assert client.get(f"/annotation/{path}").status_code == 401
        assert client.post("/annotation/next", json={"annotator": "eve"}).status_code == 401
        authorised = {"Authorization": "Bearer sesame"}
        assert client.get("/annotation/project", headers=authorised).json()["name"] == "case.db"
