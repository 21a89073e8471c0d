"""Pydantic models of the JSON values that a run saves: checkpoints, epochs and scores."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Count = Annotated[int, Field(ge=0, le=2**53)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Amount = Annotated[float, Field(ge=0.0)]  # seconds, tokens per second


class Saved(BaseModel):
    """Base class of all models: strict types, finite numbers only, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class SavedScore(Saved):
    """Scores of spans or of one tag."""

    precision: Share
    recall: Share
    f1: Share
    support: Count


class SavedStrict(Saved):
    """Span scores in seqeval's strict mode, under a tag scheme."""

    precision: Share
    recall: Share
    f1: Share
    scheme: str


class SavedSpanScores(SavedScore, extra="ignore"):
    """Scores of a task with spans, from ``evaluation.tasks.score_task``; other metrics are allowed."""

    by_label: dict[str, SavedScore]
    strict: SavedStrict
    seen: SavedScore
    unseen: SavedScore
    repairs: Count


class SavedAccuracy(Saved):
    """Accuracy over tokens."""

    accuracy: Share
    support: Count


class SavedTagScores(SavedAccuracy, extra="ignore"):
    """Scores of a task without spans, from ``evaluation.tasks.score_task``; other metrics are allowed."""

    by_label: dict[str, SavedScore]
    seen: SavedAccuracy
    unseen: SavedAccuracy


TaskScores = SavedSpanScores | SavedTagScores


class SavedPoint(Saved):
    """One epoch of a learning curve of ``tagger compare``."""

    epoch: Count
    loss: float
    score: Share | None
    seconds: Amount
    tokens_per_second: Amount


class SavedEpoch(SavedPoint):
    """One epoch of a training run: a line of ``metrics.jsonl``."""

    learning_rate: Amount
    is_best: bool
    dev: dict[str, TaskScores]


class SavedStream(Saved):
    """State and increment of numpy's PCG64 bit generator."""

    state: int = Field(ge=0, lt=2**128)
    inc: int = Field(ge=0, lt=2**128)


class SavedGenerator(Saved):
    """State of a numpy random generator."""

    bit_generator: Literal["PCG64"]
    state: SavedStream
    has_uint32: int = Field(ge=0, le=1)
    uinteger: int = Field(ge=0, lt=2**32)


class SavedProgress(Saved):
    """The values of ``Progress`` other than tensors."""

    epoch: Count = Field(ge=1)
    step: Count
    loss_sum: float
    sentences: Count
    tokens: Count
    seconds: Amount
    epochs_without_gain: Count
    is_finished: bool
    best: Share | None
    generator: SavedGenerator
    order: SavedGenerator
    average_updates: Count | None = None


class SavedState(Saved):
    """The values of a checkpoint other than tensors; the subclasses declare ``epochs``."""

    run: dict[str, str]
    is_finished: bool
    progress: SavedProgress | None


class SavedTraining(SavedState):
    """Checkpoint values of ``tagger train``."""

    epochs: list[SavedEpoch]


class SavedCurve(SavedState):
    """Checkpoint values of ``tagger compare``."""

    epochs: list[SavedPoint]


def validate(model: type[Saved], values: object) -> None:
    """Validate JSON values against a model.

    Raises:
        ValueError: A value is invalid; the message is one printable line that names the first such value.
    """
    try:
        model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the content"
        raise ValueError(_one_line(f"{key}: {first['msg']} (got {_short(first['input'])})")) from None


def require_equal(name: str, value: object, expected: object) -> None:
    """Check that a value equals the one that other values determine.

    Raises:
        ValueError: The values differ; the message is one printable line.
    """
    if value != expected:
        raise ValueError(_one_line(f"{name} must be {_short(expected)} (got {_short(value)})"))


def require_consecutive(epochs: Iterable[Mapping[str, Any]]) -> None:
    """Check that epochs are numbered consecutively from 1.

    Raises:
        ValueError: An epoch has a wrong number; the message is one printable line.
    """
    for number, epoch in enumerate(epochs, start=1):
        require_equal(f"epochs.{number - 1}.epoch", epoch["epoch"], number)


def _short(value: object) -> str:
    text = reprlib.repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _one_line(text: str) -> str:
    """Escape all but printable ASCII, because keys of a damaged file may contain line breaks."""
    return text.encode("unicode_escape").decode()
