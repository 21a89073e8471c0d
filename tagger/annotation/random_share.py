"""The random share of an annotation project: annotations that measure models, and never train them.

A sentence belongs to the random share if the arm of its first annotation is ``random``, whoever changes or
checks the annotation later. All other annotations are for training. The two sets never change places, so that
no model has been trained on a sentence that measures it. Cross-fitting would also train on the random share,
but it needs several trainings for each model, and measures other models than the one that proposes tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import repeat
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from tagger.annotation.store import AnnotationStore
from tagger.corpus import project_tables as tables
from tagger.corpus.project_documents import ProjectSettings, read_annotated
from tagger.evaluation.breakdown import Counts, count_sentences, gold_items, predicted_items
from tagger.runtime.sentence_tagger import SentenceTagger
from tagger.text.schemes import convert_tags, split_tag
from tagger.text.sentence import UNSPECIFIED, Sentence

MIN_SUPPORT = 50
"""Fewest gold items for a useful estimate: with 50 spans and an F1 of 0.7, the interval is some 0.2 wide."""


@dataclass(frozen=True, slots=True)
class Effort:
    """An amount of annotation.

    Attributes:
        sentences: Number of accepted sentences.
        tokens: Number of their tokens.
        seconds: Time of all decisions, also to skip, change or undo.
    """

    sentences: int
    tokens: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class AnnotatedShare:
    """The training annotations of a project, or its random share.

    Attributes:
        sentences: The accepted sentences in the order of the pool, with tags that may be unknown (``?``).
        effort: What they cost.
    """

    sentences: list[Sentence]
    effort: Effort


@dataclass(frozen=True, slots=True)
class ShareScore:
    """The quality of a model on the random share.

    Attributes:
        f1: F1 of the spans; accuracy of the tags in a task without spans.
        low: Lower end of its 95 % bootstrap interval over sentences; None without sentences.
        high: Upper end.
        sentences: Number of sentences.
        support: Number of gold spans, or of tags.
    """

    f1: float
    low: float | None
    high: float | None
    sentences: int
    support: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        return asdict(self)


def read_share(store: AnnotationStore, *, is_random: bool) -> AnnotatedShare:
    """Read the random share, or the annotations for training.

    Args:
        store: The project.
        is_random: True for the random share.
    """
    first = sa.select(sa.func.min(tables.annotations.c.id)).group_by(tables.annotations.c.sentence)
    drawn = sa.select(tables.annotations.c.sentence).where(
        tables.annotations.c.id.in_(first), tables.annotations.c.arm == "random"
    )

    def is_member(column: sa.Column[Any]) -> sa.ColumnElement[bool]:
        return column.in_(drawn) if is_random else column.not_in(drawn)

    with store.reading() as connection:
        sentences = list(
            read_annotated(connection, store.settings.task, store.name, is_member(tables.sentences.c.id))
        )
        seconds = connection.scalar(
            sa.select(sa.func.coalesce(sa.func.sum(tables.annotations.c.seconds), 0.0)).where(
                is_member(tables.annotations.c.sentence)
            )
        )
    return AnnotatedShare(sentences, Effort(len(sentences), sum(map(len, sentences)), float(seconds or 0.0)))


def count_items(
    tagger: SentenceTagger, sentences: Sequence[Sentence], settings: ProjectSettings
) -> NDArray[np.int64]:
    """Count the correct, predicted and gold spans of each sentence, or tags in a task without spans.

    Spans with labels that the project does not have are left out, as in the proposals of the page; a model
    without the task predicts nothing. What touches an unknown tag is not counted (see
    ``scores.find_ignored``).

    Args:
        tagger: The model.
        sentences: S sentences with gold tags.
        settings: The task, labels and scheme of the project.

    Returns:
        (S, 3).
    """
    task, scheme = settings.task, settings.scheme
    if scheme is None:
        sentences = [sentence.without_unknown(task) for sentence in sentences]
    gold = [sentence.tags[task] for sentence in sentences]
    if task in {one.name for one in tagger.tasks}:
        predicted: list[Sequence[str]] = [one.tags[task] for one in tagger.tag_sentences(sentences)]
    else:
        predicted = [[UNSPECIFIED if scheme is None else "O"] * len(tags) for tags in gold]
    if scheme is not None:
        predicted = [convert_tags(tags, tagger.scheme, "IOB2") for tags in predicted]
        labels = frozenset(settings.labels)
        predicted = [[tag if split_tag(tag)[1] in labels else "O" for tag in tags] for tags in predicted]
    return count_sentences(gold_items(gold, scheme), predicted_items(gold, predicted, scheme)[1])


def score_items(counts: NDArray[np.int64]) -> ShareScore:
    """Score the counts of S sentences, (S, 3)."""
    from tagger.evaluation.significance import bootstrap_interval  # scipy is slow to import

    total = Counts(*counts.sum(axis=0).tolist())
    low, high = bootstrap_interval(counts) if len(counts) else repeat(None, 2)
    return ShareScore(total.score, low, high, len(counts), total.gold)


@dataclass(frozen=True, slots=True)
class Origin:
    """How a sentence came to be annotated.

    Attributes:
        rank: Orders the sentences by the time of their first annotations.
        arm: The arm of the first annotation; None for imported work.
        seconds: Time of all decisions about the sentence.
    """

    rank: int
    arm: str | None
    seconds: float


def read_origins(store: AnnotationStore) -> dict[str, Origin]:
    """Return the origin of each annotated sentence by its source, ``PROJECT:ID``."""
    table, first = tables.annotations, tables.annotations.alias("first")
    summed = (
        sa.select(sa.func.min(table.c.id).label("id"), sa.func.sum(table.c.seconds).label("seconds"))
        .group_by(table.c.sentence)
        .subquery()
    )
    query = sa.select(first.c.sentence, first.c.id, first.c.arm, summed.c.seconds).join(
        summed, summed.c.id == first.c.id
    )
    with store.reading() as connection:
        return {
            f"{store.name}:{row.sentence}": Origin(row.id, row.arm, row.seconds)
            for row in connection.execute(query)
        }
