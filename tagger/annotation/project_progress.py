"""How far an annotation project is: counts by annotator and arm, and the versions of its model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from tagger.annotation.project_records import ModelVersion, Progress, Share
from tagger.corpus import project_tables as tables


class PoolSize(NamedTuple):
    """The size of a pool up to a sentence: its id, the number of sentences and of tokens."""

    last: int = 0
    sentences: int = 0
    tokens: int = 0


def count_pool(connection: sa.Connection, known: PoolSize) -> PoolSize:
    """Count the pool. Only sentences after an earlier count are read: a pool grows at its end."""
    table = tables.sentences.c
    columns = sa.func.max(table.id), sa.func.count(), sa.func.sum(table.n_tokens)
    last, n_sentences, n_tokens = connection.execute(sa.select(*columns).where(table.id > known.last)).one()
    return PoolSize(last, known.sentences + n_sentences, known.tokens + n_tokens) if n_sentences else known


def measure_progress(connection: sa.Connection, queued: sa.Select[Any], pool: PoolSize) -> Progress:
    """Count the work.

    Args:
        connection: A transaction.
        queued: Selects the entries of the queue that are not annotated.
        pool: The size of the pool.
    """
    effective, sentences, annotations = tables.effective.c, tables.sentences.c, tables.annotations.c
    is_accepted = effective.kind == "accepted"
    counted = sa.select(
        effective.annotator,
        effective.arm,
        sa.func.sum(sa.case((is_accepted, 1), else_=0)),
        sa.func.sum(sa.case((is_accepted, 0), else_=1)),
        sa.func.sum(sa.case((is_accepted, sentences.n_tokens), else_=0)),
    ).select_from(tables.EFFECTIVE.join(tables.sentences, sentences.id == effective.sentence))
    counts = {
        (annotator, arm): (accepted, skipped, tokens)
        for annotator, arm, accepted, skipped, tokens in connection.execute(
            counted.where(tables.IS_ANNOTATED).group_by(effective.annotator, effective.arm)
        )
    }
    timed = sa.select(annotations.annotator, annotations.arm, sa.func.sum(annotations.seconds))
    timed = timed.group_by(annotations.annotator, annotations.arm)
    shares = [
        Share(annotator, arm, *counts.get((annotator, arm), (0, 0, 0)), seconds)
        for annotator, arm, seconds in connection.execute(timed)
    ]
    n_queued = connection.scalar(sa.select(sa.func.count()).select_from(queued.subquery())) or 0
    shares.sort(key=lambda share: (share.annotator, share.arm or ""))
    return Progress(pool.sentences, pool.tokens, n_queued, tuple(shares))


def list_models(connection: sa.Connection) -> list[ModelVersion]:
    """Return all versions of the model, first ones first."""
    rows = connection.execute(sa.select(tables.models).order_by(tables.models.c.version))
    return [ModelVersion(**row._mapping) for row in rows]


def insert_model(connection: sa.Connection, folder: str, scores: Mapping[str, Any], now: float) -> int:
    """Add a version of the model, not active, and return its number."""
    table = tables.models
    version: int = connection.execute(
        sa.insert(table)
        .values(folder=folder, created=now, scores=dict(scores), is_active=False)
        .returning(table.c.version)
    ).scalar_one()
    return version


def activate_model(connection: sa.Connection, version: int) -> bool:
    """Make one version the active one; return False if it does not exist."""
    table = tables.models
    if connection.scalar(sa.select(table.c.version).where(table.c.version == version)) is None:
        return False
    connection.execute(sa.update(table).values(is_active=table.c.version == version))
    return True
