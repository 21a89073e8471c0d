"""Sequence labelling with a BiLSTM-CRF: train on a CoNLL file, tag raw text, measure the right context."""

from importlib import import_module

# Imported on first access: the command installs its signal handlers before any slow import.
_MODULES = {
    "InputError": "tagger.errors",
    "ModelScores": "tagger.evaluation.model_scores",
    "Sentence": "tagger.text.sentence",
    "Span": "tagger.text.sentence",
    "StreamingTagger": "tagger.runtime.stream",
    "Tagger": "tagger.runtime.tagger",
}
__all__ = ["InputError", "ModelScores", "Sentence", "Span", "StreamingTagger", "Tagger"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'tagger' has no attribute {name!r}")
    value: object = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
