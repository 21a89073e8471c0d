"""Annotation on a server for tests: projects with a model of random weights, and clients of the routes."""

from contextlib import contextmanager
from dataclasses import replace
from time import monotonic

from bundles import make_bundle
from servers import LONGEST_WAIT
from starlette.testclient import TestClient

from tagger.annotation.background_training import TrainingStatus
from tagger.annotation.model_versions import start_with
from tagger.annotation.store import AnnotationStore
from tagger.bundle import save_bundle
from tagger.corpus.project_documents import ProjectSettings
from tagger.errors import InputError
from tagger.serving.annotation_desk import Desk
from tagger.serving.annotation_routes import make_annotation_gate
from tagger.text.sentence import from_tokens

TEXTS = ["Mira met Tom in New Ayr", "Rain fell", "Ayr lost", "Tom 😀 fell", "שלום Mira", "Lang and her dog"]
SETTINGS = ProjectSettings("ner", ("PER", "LOC", "ORG"))


class Clock:
    """A clock that tests set."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class FakeTraining:
    """A training whose state tests set; it counts as ended only if they say so.

    Attributes:
        current: The state.
        calls: What has been called: the values of ``restart``, and the seconds to stop.
    """

    def __init__(self, folder):
        self.folder = folder
        self.current = TrainingStatus()
        self.calls = []

    def start(self, *, restart=False):
        if self.current.is_running:
            raise InputError("a model is being trained. Wait for it, or stop it.", code="run.exists")
        self.calls.append(restart)
        self.current = TrainingStatus("starting")

    def status(self):
        return self.current

    def stop(self, *, seconds=0.0):
        self.calls.append(seconds)
        if self.current.is_running:
            self.current = replace(self.current, state="stopped")


def make_model(folder, seed=0):
    """Write a model with random weights, and return its folder."""
    save_bundle(make_bundle(seed)[1], folder / f"model{seed}")
    return folder / f"model{seed}"


def make_store(location, sentences, model=None, settings=SETTINGS, **options):
    """Create a project with sentences, each a document of its own, and a model."""
    store = AnnotationStore.create(location, settings, **options)
    store.add_pool(from_tokens(sentence.split(), starts_document=True) for sentence in sentences)
    if model:
        start_with(store, str(model))
    return store


def work_of(answer, spans=None, unknown=()):
    """Return the work that accepts a sentence, with its own spans or others."""
    own = [{name: span[name] for name in ("start", "end", "label")} for span in answer["spans"]]
    return {
        "n_tokens": len(answer["tokens"]),
        "spans": own
        if spans is None
        else [dict(zip(("start", "end", "label"), one, strict=True)) for one in spans],
        "unknown": list(unknown),
    }


@contextmanager
def opened(store, training=None, **options):
    """Yield a client of the app of a project."""
    with TestClient(make_annotation_gate(Desk(store, training=training), **options)) as client:
        yield client


def post(client, name, **body):
    """Send a request that must succeed, and return the answer."""
    answer = client.post(f"/annotation/{name}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def take(client, annotator="ada", **options):
    """Return the next sentence, once the queue is ready."""
    deadline = monotonic() + LONGEST_WAIT
    while monotonic() < deadline:
        answer = post(client, "next", annotator=annotator, **options)
        if answer.get("state") != "preparing":
            return answer
    raise AssertionError("the queue was not filled")


def decide(client, answer, seconds=1.0, **changes):
    """Accept a sentence with the spans that it has, or with those of ``changes`` (see ``work_of``)."""
    return post(
        client, "decide", key=answer["lease"]["key"], work=work_of(answer, **changes), seconds=seconds
    )


def in_effect(store):
    """Return the tags in effect by sentence, None for skipped ones."""
    return {one.sentence: one.tags for one, _ in store.annotated()}
