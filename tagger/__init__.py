"""Sequence labelling with a BiLSTM-CRF: train on a CoNLL file, tag raw text, measure the right context."""

from importlib import import_module

# Imported when they are used: the command handles signals before anything large is imported.
_HOMES = {
    "InputError": "tagger.errors",
    "Sentence": "tagger.text.sentence",
    "Span": "tagger.text.sentence",
    "StreamingTagger": "tagger.runtime.stream",
    "Tagger": "tagger.runtime.tagger",
}
__all__ = ["InputError", "Sentence", "Span", "StreamingTagger", "Tagger"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'tagger' has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
