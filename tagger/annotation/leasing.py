"""Leases: which annotator works on which sentence, for several processes on one database."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tagger.annotation.project_records import Lease
from tagger.corpus import project_tables as tables

_INSERTS: dict[str, Callable[[sa.Table], sqlite.Insert | postgresql.Insert]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}


def annotated(sentence: sa.ColumnElement[int]) -> sa.Exists:
    """Return the condition that a sentence has been accepted or skipped."""
    return sa.exists().where(tables.current.c.sentence == sentence, tables.IS_ANNOTATED)


def waiting(now: float) -> sa.Select[tuple[int, str, str]]:
    """Select the entries of the queue that are neither annotated nor leased.

    Args:
        now: The time, in seconds since 1970.
    """
    queue, leases = tables.queue, tables.leases
    is_leased = sa.exists().where(leases.c.sentence == queue.c.sentence, leases.c.expires > now)
    return sa.select(queue.c.sentence, queue.c.arm, queue.c.strategy).where(
        ~annotated(queue.c.sentence), ~is_leased
    )


def take_next(connection: sa.Connection, lease: Lease, now: float) -> Lease | None:
    """Lease the first waiting sentence of the queue, in one statement.

    Args:
        connection: A transaction that writes.
        lease: The lease; its sentence, arm and strategy come from the queue.
        now: The time, in seconds since 1970.

    Returns:
        The lease. None if nothing waits, or if another transaction took the sentence at the same moment.
    """
    # PostgreSQL passes over entries that other transactions are taking; SQLite has one writer at a time.
    first = waiting(now).order_by(tables.queue.c.rank).limit(1)
    taken = _take(connection, first.with_for_update(of=tables.queue, skip_locked=True), lease, now)
    # The state that the statement saw may be older than the end of another annotator's expired lease.
    if taken and connection.scalar(sa.select(annotated(sa.literal(taken.sentence)))):
        drop(connection, taken.key)
        return None
    return taken


def take(connection: sa.Connection, lease: Lease, now: float) -> Lease | None:
    """Lease a sentence, in one statement, even if it is annotated.

    Returns:
        The lease. None if there is no such sentence, or if it is leased.
    """
    wanted = sa.select(
        tables.sentences.c.id,
        sa.literal(lease.arm, sa.String),
        sa.literal(lease.strategy, sa.String),
    ).where(tables.sentences.c.id == lease.sentence)
    return _take(connection, wanted, lease, now)


def drop(connection: sa.Connection, key: str) -> None:
    """End a lease, if it exists."""
    connection.execute(sa.delete(tables.leases).where(tables.leases.c.key == key))


def _take(
    connection: sa.Connection, wanted: sa.Select[tuple[int, str, str]], lease: Lease, now: float
) -> Lease | None:
    """Lease a sentence.

    Args:
        connection: A transaction that writes.
        wanted: Selects the sentence, its arm and its strategy.
        lease: The other values of the lease.
        now: The time; leases that expired before are taken over.
    """
    leases = tables.leases
    selected = wanted.add_columns(
        sa.literal(lease.key), sa.literal(lease.annotator), sa.literal(lease.expires, sa.Float)
    )
    insert = _INSERTS[connection.dialect.name](leases)
    insert = insert.from_select(["sentence", "arm", "strategy", "key", "annotator", "expires"], selected)
    statement = insert.on_conflict_do_update(
        index_elements=[leases.c.sentence],
        set_={column.name: insert.excluded[column.name] for column in leases.c if not column.primary_key},
        where=leases.c.expires <= now,
    ).returning(*leases.c)
    row = connection.execute(statement).first()
    return None if row is None else Lease(**row._mapping)
