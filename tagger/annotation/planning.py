"""Fill the queue of a project with the sentences to annotate next, and estimate the time that they take."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import sqlalchemy as sa

from tagger.annotation import leasing
from tagger.annotation.annotation_cost import PRIOR, AnnotationCost, fit_cost
from tagger.annotation.project_records import QueueEntry
from tagger.annotation.selection import random_order, select
from tagger.annotation.store import AnnotationStore
from tagger.annotation.strategies import StrategyName
from tagger.corpus import project_tables as tables
from tagger.corpus.project_documents import stored_sentence
from tagger.runtime.model_calibration import Watch
from tagger.runtime.tagger import Tagger
from tagger.text.sentence import Sentence

QUEUE_SIZE = 100  # sentences that are chosen at once
SEED = 1  # of the random share; all processes of a project must draw the same
OBSERVATIONS = 1000  # latest decisions from which the cost is fitted
_ROWS = 1000  # rows in memory


class ProjectPool:
    """All sentences of a project, read from the database at each iteration.

    The sentence with index ``i`` has the id ``i + 1``: ids are positions in the pool.

    Args:
        store: The project.
    """

    def __init__(self, store: AnnotationStore) -> None:
        self._store = store

    def __iter__(self) -> Iterator[Sentence]:
        table = tables.sentences
        query = sa.select(table.c.id, table.c.content).order_by(table.c.id)
        with self._store.reading() as connection:
            for row in connection.execution_options(yield_per=_ROWS).execute(query):
                yield stored_sentence(row.content, f"{self._store.name}:{row.id}")


def choose_sentences(
    store: AnnotationStore,
    tagger: Tagger,
    version: int,
    *,
    strategy: StrategyName = "uncertainty",
    random_share: float = 0.2,
    watch: Watch = iter,
) -> list[QueueEntry]:
    """Choose ``QUEUE_SIZE`` sentences of the whole pool that nobody has annotated, see ``selection.select``.

    Args:
        store: The project.
        tagger: The active model.
        version: Its version.
        strategy: A key of ``STRATEGIES``.
        random_share: Share of the sentences that is drawn at random.
        watch: Receives the sentences as they are ranked and yields them unchanged.

    Returns:
        Entries for ``AnnotationStore.replace_queue``, fewer than ``QUEUE_SIZE`` at the end of the pool.
    """
    choices = select(
        ProjectPool(store),
        tagger,
        task=store.settings.task,
        n_sentences=QUEUE_SIZE,
        strategy=strategy,
        random_share=random_share,
        seed=SEED,
        cost=measure_cost(store),
        excluded=(sentence for _, sentence in store.annotated()),
        watch=watch,
    )
    return [QueueEntry(choice.index + 1, choice.arm, choice.strategy, version) for choice in choices]


def draw_sentences(store: AnnotationStore, random_share: float) -> list[QueueEntry]:
    """Draw the next ``QUEUE_SIZE`` sentences at random, without a model.

    They come in the order in which ``choose_sentences`` draws its random share. Only a part of them belongs
    to the random share: the others train the first model.

    Args:
        store: The project.
        random_share: Share of the sentences that belongs to the random share.
    """
    table = tables.sentences
    with store.reading() as connection:
        count = connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
        done = connection.scalars(sa.select(table.c.id).where(leasing.annotated(table.c.id))).all()
    order = random_order(count, SEED) + 1
    left = np.flatnonzero(np.isin(order, np.array(done, np.int64), invert=True))[:QUEUE_SIZE]
    # The position in the order decides, so that a sentence has the same arm whenever the queue is filled.
    counts = np.floor(random_share * np.stack([left, left + 1]) + 0.5)
    return [
        QueueEntry(identifier, "random" if is_random else "chosen", "random")
        for identifier, is_random in zip(order[left].tolist(), counts[1] > counts[0], strict=True)
    ]


def top_up(store: AnnotationStore, random_share: float) -> None:
    """Append sentences that are drawn at random to the queue, which would run empty before others are chosen.

    Args:
        store: The project.
        random_share: See ``draw_sentences``.
    """
    table = tables.queue
    query = sa.select(table).where(~leasing.annotated(table.c.sentence)).order_by(table.c.rank)
    with store.reading() as connection:
        rows = connection.execute(query).all()
    queued = [QueueEntry(row.sentence, row.arm, row.strategy, row.model_version) for row in rows]
    known = {entry.sentence for entry in queued}
    drawn = draw_sentences(store, random_share)
    store.replace_queue([*queued, *(entry for entry in drawn if entry.sentence not in known)])


def count_waiting(store: AnnotationStore) -> int:
    """Return the number of sentences of the queue that are neither annotated nor leased."""
    waiting = leasing.waiting(store.clock()).subquery()
    with store.reading() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(waiting)) or 0


def measure_cost(store: AnnotationStore) -> AnnotationCost:
    """Fit the cost of annotation to the seconds of the latest decisions; ``PRIOR`` if there are too few."""
    annotations, sentences = tables.annotations, tables.sentences
    query = (
        sa.select(sentences.c.n_tokens, annotations.c.seconds)
        .join(sentences, sentences.c.id == annotations.c.sentence)
        .where(annotations.c.kind == "accepted", annotations.c.seconds > 0)
        .order_by(annotations.c.id.desc())
        .limit(OBSERVATIONS)
    )
    with store.reading() as connection:
        rows = connection.execute(query).all()
    return fit_cost(*zip(*rows, strict=True)) if rows else PRIOR
