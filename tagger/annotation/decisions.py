"""Store decisions about sentences: check them, supersede earlier ones, and undo them.

An annotation is never changed or deleted, except that ``superseded_by`` is set once.
"""

from __future__ import annotations

import sqlalchemy as sa

from tagger.annotation.project_records import Annotation, Decision, Lease
from tagger.corpus import project_tables as tables
from tagger.corpus.project_documents import ProjectSettings, new_key
from tagger.errors import InputError
from tagger.text.schemes import describe_violation, split_tag, violations
from tagger.text.sentence import UNKNOWN_TAG


def check_decision(decision: Decision, settings: ProjectSettings, n_tokens: int, where: str) -> None:
    """Check the tags of a decision.

    Args:
        decision: The decision.
        settings: The labels and the scheme.
        n_tokens: Number of tokens of the sentence.
        where: Location of the sentence for the message.

    Raises:
        InputError: A list does not have one item per token, or the tags are not of the labels and scheme.
    """
    for name in ("tags", "proposed", "scores"):
        values = getattr(decision, name)
        if values is not None and len(values) != n_tokens:
            raise InputError(
                f"the {name} must be one per token ({n_tokens}; got {len(values)}). Pass the sentence's own.",
                code="corpus.record",
                where=where,
            )
    scheme, allowed = settings.scheme, {*settings.labels, UNKNOWN_TAG}
    if scheme is not None:
        allowed |= {"O"}
    for tag in decision.tags or ():
        is_outside = scheme is None or tag in ("O", UNKNOWN_TAG)
        if (tag if is_outside else split_tag(tag)[1]) not in allowed:
            raise InputError(
                f"the tag {tag!r} has none of the project's labels ({', '.join(settings.labels)}). Use one "
                "of them.",
                code="corpus.labels",
                where=where,
            )
    if scheme is None or decision.tags is None:
        return
    broken = violations(decision.tags, scheme)
    if broken:
        raise InputError(
            f"{describe_violation(decision.tags, broken[0], scheme)}. Correct it.",
            code="corpus.scheme",
            where=where,
        )


def find_lease(connection: sa.Connection, key: str) -> Lease | None:
    """Return a lease, locked until the end of the transaction; None if it has ended."""
    table = tables.leases
    row = connection.execute(sa.select(table).where(table.c.key == key).with_for_update()).first()
    return None if row is None else Lease(**row._mapping)


def find_annotation(connection: sa.Connection, key: str) -> int | None:
    """Return the id of the annotation with a key, or None."""
    table = tables.annotations
    return connection.scalar(sa.select(table.c.id).where(table.c.key == key))


def insert_decision(connection: sa.Connection, lease: Lease, decision: Decision, now: float) -> int:
    """Store the decision of a lease, supersede the sentence's earlier annotation, and return the id."""
    table = tables.annotations
    connection.execute(
        sa.update(table)
        .where(table.c.sentence == lease.sentence, table.c.superseded_by.is_(None))
        .values(superseded_by=lease.key)
    )
    identifier: int = connection.execute(
        sa.insert(table)
        .values(
            key=lease.key,
            sentence=lease.sentence,
            annotator=lease.annotator,
            created=now,
            seconds=decision.seconds,
            kind="skipped" if decision.tags is None else "accepted",
            tags=decision.tags,
            proposed=decision.proposed,
            scores=decision.scores,
            model_version=decision.model_version,
            arm=lease.arm,
            strategy=lease.strategy,
        )
        .returning(table.c.id)
    ).scalar_one()
    return identifier


def last_decision(connection: sa.Connection, annotator: str) -> Annotation | None:
    """Return the last annotation of an annotator that is in effect, or None."""
    row = connection.execute(
        sa.select(tables.effective)
        .select_from(tables.EFFECTIVE)
        .where(tables.IS_ANNOTATED, tables.effective.c.annotator == annotator)
        .order_by(tables.effective.c.id.desc())
        .limit(1)
    ).first()
    return None if row is None else as_annotation(row)


def insert_undone(connection: sa.Connection, undone: Annotation, annotator: str, now: float) -> bool:
    """Supersede an annotation in effect by a record that restores the one before it.

    Args:
        connection: A transaction that holds the lease of the sentence.
        undone: The annotation.
        annotator: Who undoes it.
        now: The time, in seconds since 1970.

    Returns:
        False if the annotation is no longer in effect, because another transaction has just changed that.
    """
    table = tables.annotations
    before = connection.execute(sa.select(table).where(table.c.superseded_by == undone.key)).first()
    restores = None
    if before is not None:
        restores = before.restores if before.kind == "undone" else before.id
    key = new_key()
    is_in_effect = sa.func.coalesce(table.c.restores, table.c.id) == undone.id
    changed = connection.execute(
        sa.update(table)
        .where(table.c.sentence == undone.sentence, table.c.superseded_by.is_(None), is_in_effect)
        .values(superseded_by=key)
    )
    if changed.rowcount == 0:
        return False
    connection.execute(
        sa.insert(table).values(
            key=key,
            sentence=undone.sentence,
            annotator=annotator,
            created=now,
            seconds=0.0,
            kind="undone",
            restores=restores,
            arm=undone.arm,
            strategy=undone.strategy,
        )
    )
    return True


def as_annotation(row: sa.Row[tuple[object, ...]]) -> Annotation:
    """Convert a row that contains the columns of the table."""
    values = {name: row._mapping[name] for name in tables.annotations.c.keys()}  # noqa: SIM118 - columns
    for name in ("tags", "proposed", "scores"):
        values[name] = None if values[name] is None else tuple(values[name])
    return Annotation(**values)
