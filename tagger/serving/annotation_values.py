"""JSON values that the page of ``tagger annotate`` receives."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from tagger.annotation.background_training import BackgroundTraining
from tagger.annotation.model_updates import has_unfinished_run
from tagger.annotation.model_versions import describe_version
from tagger.annotation.project_records import ModelVersion
from tagger.annotation.store import AnnotationStore
from tagger.errors import escape_line
from tagger.runtime.json_lines import SCORE_DIGITS
from tagger.text.sentence import Sentence, Span


def token_values(sentence: Sentence) -> dict[str, Any]:
    """Return the tokens with the text before each, so that a browser needs no offsets, which are UTF-16."""
    tokens, position = [], 0
    for start, end in sentence.offsets:
        start, end = start - sentence.text_start, end - sentence.text_start
        tokens.append({"before": sentence.text[position:start], "text": sentence.text[start:end]})
        position = end
    return {"tokens": tokens, "after": sentence.text[position:]}


def span_values(span: Span) -> dict[str, Any]:
    """Return a span with its probability, None if the model did not propose it."""
    score = None if span.score is None else round(span.score, SCORE_DIGITS)
    return {"start": span.start, "end": span.end, "label": span.label, "score": score}


def model_values(model: ModelVersion) -> dict[str, Any]:
    """Return a version of the model, without the place of its folder."""
    return {
        "version": model.version,
        "name": PurePath(model.folder).name,
        "created": model.created,
        "scores": dict(model.scores),
        "is_active": model.is_active,
    }


def training_values(training: BackgroundTraining, store: AnnotationStore) -> dict[str, Any]:
    """Return the state of the last training, and True in ``is_unfinished`` if another one would resume it."""
    status = training.status()
    return {
        "state": status.state,
        "is_running": status.is_running,
        "epoch": status.epoch,
        "epochs": status.epochs,
        "problem": escape_line(status.problem),
        "code": status.code,
        "result": describe_version(status.version) if status.version else "",
        "is_unfinished": has_unfinished_run(store, training.folder),
    }
