"""Sequence labelling with a BiLSTM-CRF: train on a CoNLL file, tag raw text, measure the right context."""

import os
from importlib import import_module

from tagger.version import __version__ as __version__

# From 1.29, onnxruntime sends usage data to its maker, unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# Imported on first access: the command installs its signal handlers before any slow import.
_MODULES = {
    "EpochRecord": "tagger.training.loop",
    "InputError": "tagger.errors",
    "ModelScores": "tagger.evaluation.model_scores",
    "Sentence": "tagger.text.sentence",
    "Span": "tagger.text.sentence",
    "StepRecord": "tagger.training.loop",
    "StreamingTagger": "tagger.runtime.stream",
    "Tagger": "tagger.runtime.tagger",
    "distil": "tagger.api",
    "evaluate": "tagger.runtime.scoring",
    "measure_forgetting": "tagger.runtime.scoring",
    "read_corpus": "tagger.corpus.loading",
    "train": "tagger.api",
    "write_corpus": "tagger.corpus.loading",
}
_TRAINING_PACKAGES = ("torch", "torchcrf", "accelerate", "matplotlib")
__all__ = [
    "EpochRecord",
    "InputError",
    "ModelScores",
    "Sentence",
    "Span",
    "StepRecord",
    "StreamingTagger",
    "Tagger",
    "distil",
    "evaluate",
    "measure_forgetting",
    "read_corpus",
    "train",
    "write_corpus",
]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'tagger' has no attribute {name!r}")
    try:
        value: object = getattr(import_module(_MODULES[name]), name)
    except ModuleNotFoundError as error:
        if error.name not in _TRAINING_PACKAGES:
            raise
        from tagger.errors import InputError

        raise InputError(
            f"tagger.{name} needs the package {error.name}. Install the extra `train` (see README).",
            code="package.missing",
        ) from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
