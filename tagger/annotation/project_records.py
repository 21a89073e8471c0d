"""What an annotation store takes and returns: queue entries, leases, decisions and annotations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["accepted", "skipped", "undone"]
Arm = Literal["random", "chosen", "audit"]
"""Why a sentence is annotated: drawn at random, chosen by a strategy, or checked again. Only the random arm
gives unbiased estimates."""


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """A sentence to annotate.

    Attributes:
        sentence: Its id.
        arm: Why it is annotated.
        strategy: The strategy that chose it.
        model_version: The model that chose it, if any.
    """

    sentence: int
    arm: Arm
    strategy: str
    model_version: int | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """A sentence that nobody else can annotate until a time.

    Attributes:
        key: The secret that ``record``, ``renew`` and ``release`` take.
        sentence: Id of the sentence.
        annotator: Who has it.
        expires: When others may take it, in seconds since 1970.
        arm: Why it is annotated.
        strategy: The strategy that chose it.
    """

    key: str
    sentence: int
    annotator: str
    expires: float
    arm: Arm | None = None
    strategy: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What an annotator decided about a sentence of T tokens.

    Attributes:
        tags: T tags; a token may stay unknown (``?``). None to skip the sentence.
        seconds: The time that it took.
        proposed: The T tags that a model had proposed, if any.
        scores: T probabilities of the proposed tags.
        model_version: The model that proposed them.
    """

    tags: tuple[str, ...] | None
    seconds: float = 0.0
    proposed: tuple[str, ...] | None = None
    scores: tuple[float, ...] | None = None
    model_version: int | None = None


@dataclass(frozen=True, slots=True)
class Annotation:
    """A stored decision. It never changes, except that a later one can supersede it.

    Attributes:
        id: Its number; later annotations have larger numbers.
        key: Its key, that of its lease.
        sentence: Id of the sentence.
        annotator: Who decided.
        created: When, in seconds since 1970.
        seconds: The time that it took.
        kind: ``accepted``, ``skipped``, or ``undone`` for the record that an annotation was undone.
        tags: T tags if it was accepted.
        proposed: The T tags that a model had proposed, if any.
        scores: T probabilities of the proposed tags.
        model_version: The model that proposed them.
        arm: Why the sentence was annotated; None for work that was imported.
        strategy: The strategy that chose the sentence.
        restores: Of the kind ``undone``: id of the earlier annotation that is in effect again, if any.
        superseded_by: The key of the annotation that replaces it.
    """

    id: int
    key: str
    sentence: int
    annotator: str
    created: float
    seconds: float
    kind: Kind
    tags: tuple[str, ...] | None
    proposed: tuple[str, ...] | None
    scores: tuple[float, ...] | None
    model_version: int | None
    arm: Arm | None
    strategy: str | None
    restores: int | None
    superseded_by: str | None


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A model of the project.

    Attributes:
        version: Its number, from 1.
        folder: Its folder or name.
        created: When it was added, in seconds since 1970.
        scores: Its scores on the random share.
        is_active: True for the model that proposes tags.
    """

    version: int
    folder: str
    created: float
    scores: Mapping[str, Any]
    is_active: bool


@dataclass(frozen=True, slots=True)
class Share:
    """The work of one annotator in one arm.

    Attributes:
        annotator: Who.
        arm: Which arm; None for imported work.
        accepted: Number of accepted sentences.
        skipped: Number of skipped sentences.
        tokens: Number of tokens of the accepted sentences.
        seconds: Time of all decisions, also of those that were superseded or undone.
    """

    annotator: str
    arm: Arm | None
    accepted: int
    skipped: int
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a project is.

    Attributes:
        sentences: Number of sentences of the pool.
        tokens: Number of tokens of the pool.
        queued: Number of sentences of the queue that are not annotated.
        shares: The work by annotator and arm.
    """

    sentences: int
    tokens: int
    queued: int
    shares: tuple[Share, ...]
