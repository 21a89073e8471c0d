"""Desks for tests of annotation: a project with a model of random weights."""

from bundles import make_bundle

from tagger.annotation.proposals import start_with
from tagger.annotation.store import AnnotationStore
from tagger.bundle import save_bundle
from tagger.corpus.project_documents import ProjectSettings
from tagger.text.sentence import from_tokens

SETTINGS = ProjectSettings("ner", ("PER", "LOC", "ORG"))


class Clock:
    """A clock that tests set."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def make_model(folder, seed=0):
    """Write a model with random weights, and return its folder."""
    save_bundle(make_bundle(seed)[1], folder / f"model{seed}")
    return folder / f"model{seed}"


def make_store(location, sentences, model=None, settings=SETTINGS, **options):
    """Create a project with sentences, each a document of its own, and a model."""
    store = AnnotationStore.create(location, settings, **options)
    store.add_pool(from_tokens(sentence.split(), starts_document=True) for sentence in sentences)
    if model:
        start_with(store, model)
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
