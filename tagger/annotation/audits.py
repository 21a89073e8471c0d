"""Annotations of a project that are probably wrong, for a second look."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa

from tagger.annotation.store import AnnotationStore
from tagger.corpus import project_tables as tables
from tagger.runtime.label_errors import Suspicion, find_label_errors
from tagger.runtime.tagger import Tagger


def find_audits(store: AnnotationStore, tagger: Tagger) -> dict[int, list[Suspicion]]:
    """List the accepted sentences with likely label errors, most suspicious first.

    Sentences of the random share are left out: to correct them where the model disagrees would favour the
    model in each estimate of its quality. So are sentences that were audited before, and labels that the
    model or the project does not have.

    Args:
        store: The project.
        tagger: A model with the project's task.

    Returns:
        For the id of each sentence its suspicions; see ``runtime.label_errors``.
    """
    settings = store.settings
    identifiers, gold = [], []
    for annotation, sentence in store.annotated():
        if annotation.tags is not None and annotation.arm not in ("random", "audit"):
            identifiers.append(annotation.sentence)
            gold.append(replace(sentence, starts_document=True))
    if not gold:
        return {}
    (task,) = [task for task in tagger.tasks if task.name == settings.task]
    known = set(tagger.labels) if task.scheme else set(task.tags)
    audits: dict[int, list[Suspicion]] = {}
    for suspicion in find_label_errors(tagger, gold, tasks=[settings.task]):
        annotated, proposed = suspicion.outcome.gold, suspicion.outcome.predicted
        if annotated and annotated.label not in known:
            continue
        if proposed and proposed.label not in settings.labels:
            continue
        audits.setdefault(identifiers[suspicion.sentence], []).append(suspicion)
    return audits


def read_tags(store: AnnotationStore, identifier: int) -> tuple[str, ...] | None:
    """Return the T tags in effect of a sentence; None if it is skipped or not annotated."""
    query = sa.select(tables.effective.c.tags).select_from(tables.EFFECTIVE)
    with store.reading() as connection:
        tags = connection.scalar(query.where(tables.IS_ANNOTATED, tables.effective.c.sentence == identifier))
    return None if tags is None else tuple(tags)
