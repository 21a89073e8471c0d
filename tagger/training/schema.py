"""Pydantic models of what a run writes for later calls: checkpoints, epochs and scores."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Count = Annotated[int, Field(ge=0, le=2**53)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Amount = Annotated[float, Field(ge=0.0)]  # seconds, tokens per second


class Saved(BaseModel):
    """Base of all models: values have their own types, numbers are finite, unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class SavedScore(Saved):
    """Scores of some spans or of one tag."""

    precision: Share
    recall: Share
    f1: Share
    support: Count


class SavedStrict(Saved):
    """Scores of spans by the rules of their scheme."""

    precision: Share
    recall: Share
    f1: Share
    scheme: str


class SavedSpanScores(SavedScore):
    """Scores of a task with spans, as ``evaluation.tasks.score_task`` returns them."""

    by_label: dict[str, SavedScore]
    strict: SavedStrict
    seen: SavedScore
    unseen: SavedScore
    repairs: Count


class SavedAccuracy(Saved):
    """Accuracy over some tokens."""

    accuracy: Share
    support: Count


class SavedTagScores(SavedAccuracy):
    """Scores of a task without spans, as ``evaluation.tasks.score_task`` returns them."""

    by_label: dict[str, SavedScore]
    seen: SavedAccuracy
    unseen: SavedAccuracy


TaskScores = SavedSpanScores | SavedTagScores


class SavedPoint(Saved):
    """One epoch in the learning curve of a comparison's run."""

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
    """The two numbers of numpy's PCG64."""

    state: int = Field(ge=0, lt=2**128)
    inc: int = Field(ge=0, lt=2**128)


class SavedGenerator(Saved):
    """State of a numpy random generator."""

    bit_generator: Literal["PCG64"]
    state: SavedStream
    has_uint32: int = Field(ge=0, le=1)
    uinteger: int = Field(ge=0, lt=2**32)


class SavedProgress(Saved):
    """All of ``Progress`` but its tensors."""

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
    """A checkpoint but its tensors; ``epochs`` is declared by the two kinds below."""

    run: dict[str, str]
    is_finished: bool
    progress: SavedProgress | None


class SavedTraining(SavedState):
    """State of a run of ``tagger train``."""

    epochs: list[SavedEpoch]


class SavedCurve(SavedState):
    """State of a run of ``tagger compare``."""

    epochs: list[SavedPoint]


def validate(model: type[Saved], values: object) -> None:
    """Check JSON values against a model.

    Raises:
        ValueError: They do not match; the message is one printable line that names the first wrong value.
    """
    try:
        model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the content"
        raise ValueError(_one_line(f"{place}: {first['msg']} (got {_short(first['input'])})")) from None


def require_equal(what: str, value: object, expected: object) -> None:
    """Check a value that other values decide.

    Raises:
        ValueError: It is another one; the message is one printable line.
    """
    if value != expected:
        raise ValueError(_one_line(f"{what} must be {_short(expected)} (got {_short(value)})"))


def require_consecutive(epochs: Iterable[Mapping[str, Any]]) -> None:
    """Check that epochs are numbered from 1.

    Raises:
        ValueError: They are not.
    """
    for number, epoch in enumerate(epochs, start=1):
        require_equal(f"epochs.{number - 1}.epoch", epoch["epoch"], number)


def _short(value: object) -> str:
    text = reprlib.repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _one_line(text: str) -> str:
    """Escape what is not printable ASCII: keys of a damaged file may hold line breaks."""
    return text.encode("unicode_escape").decode()
