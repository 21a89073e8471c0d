"""The store of an annotation project: its pool, queue, leases, annotations and models.

Every method is one transaction of the database, so that threads, processes and servers can share a project.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from tagger.annotation import decisions, leasing, project_progress
from tagger.annotation.project_records import (
    Annotation,
    Arm,
    Decision,
    Lease,
    ModelVersion,
    Progress,
    QueueEntry,
)
from tagger.corpus import project_tables as tables
from tagger.corpus.project_database import (
    lock_project,
    open_project,
    project_name,
    reading,
    writing,
)
from tagger.corpus.project_documents import (
    ProjectSettings,
    add_documents,
    new_key,
    read_settings,
    set_up_project,
    stored_sentence,
)
from tagger.errors import InputError
from tagger.text.sentence import Sentence

LEASE_SECONDS = 600.0
_ROWS = 1000  # rows per statement


class AnnotationStore:
    """An open annotation project. Threads may share it; processes open their own.

    Args:
        location: The SQLite file, or the URL of a PostgreSQL database.
        lease_seconds: How long a lease lasts without ``renew``.
        clock: Returns the time in seconds since 1970. All processes of a project need about the same.

    Raises:
        InputError: There is no such project, or it cannot be used.

    Attributes:
        settings: What the project annotates.
        name: The location, for messages.
        clock: Returns the time in seconds since 1970.
        reading: Opens a transaction that reads, for other modules of this package.
        writing: Opens a transaction that writes.
    """

    def __init__(
        self,
        location: str | Path,
        *,
        lease_seconds: float = LEASE_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._lease_seconds = lease_seconds
        self._pool = project_progress.PoolSize()
        self.clock = clock
        self._engine = open_project(location)
        self.reading = partial(reading, self._engine, location)
        self.writing = partial(writing, self._engine, location)
        self.name = project_name(location)
        try:
            with self.reading() as connection:
                self.settings = read_settings(connection, self.name)
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(
        cls,
        location: str | Path,
        settings: ProjectSettings,
        *,
        lease_seconds: float = LEASE_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """Create a project, or open an existing one with the same settings.

        Args:
            location: A new SQLite file, or the URL of an empty PostgreSQL database.
            settings: What to annotate.
            lease_seconds: As for the class.
            clock: As for the class.

        Raises:
            InputError: The database holds a project with other settings, or cannot be used.
        """
        set_up_project(location, settings)
        return cls(location, lease_seconds=lease_seconds, clock=clock)

    def close(self) -> None:
        """Close the connections of this process."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The pool

    def add_pool(self, sentences: Iterable[Sentence]) -> int:
        """Add the documents whose text is not in the pool; their tags are ignored.

        Args:
            sentences: The sentences of the documents, in order; the first of each ``starts_document``.

        Returns:
            The number of added sentences; 0 if the pool has all documents.
        """
        with self.writing() as connection:
            lock_project(connection)
            return sum(1 for _ in add_documents(connection, sentences, skips_known=True))

    def sentence(self, identifier: int) -> Sentence:
        """Return a sentence of the pool, without tags.

        Raises:
            InputError: There is no such sentence.
        """
        with self.reading() as connection:
            content = connection.scalar(
                sa.select(tables.sentences.c.content).where(tables.sentences.c.id == identifier)
            )
        if content is None:
            raise InputError(
                f"there is no sentence {identifier}. Pass the id of a lease.",
                code="argument.value",
                where=self.name,
            )
        return self._sentence(identifier, content)

    def document(self, identifier: int) -> list[tuple[int, Sentence]]:
        """Return the ids and sentences of the document that contains a sentence, in order."""
        table = tables.sentences
        document = sa.select(table.c.document).where(table.c.id == identifier).scalar_subquery()
        query = sa.select(table.c.id, table.c.content).where(table.c.document == document)
        with self.reading() as connection:
            rows = connection.execute(query.order_by(table.c.id)).all()
        return [(row.id, self._sentence(row.id, row.content)) for row in rows]

    def unannotated(self) -> Iterator[tuple[int, Sentence]]:
        """Yield the ids and sentences that are neither accepted nor skipped, in the order of the pool."""
        table = tables.sentences
        query = sa.select(table.c.id, table.c.content).where(~leasing.annotated(table.c.id))
        with self.reading() as connection:
            stream = connection.execution_options(yield_per=_ROWS)
            for row in stream.execute(query.order_by(table.c.id)):
                yield row.id, self._sentence(row.id, row.content)

    # The queue and its leases

    def replace_queue(self, entries: Iterable[QueueEntry]) -> None:
        """Replace the queue; each sentence may occur once. Leases stay.

        Args:
            entries: The sentences to annotate, first ones first.
        """
        rows = [
            {
                "rank": rank,
                "sentence": entry.sentence,
                "arm": entry.arm,
                "strategy": entry.strategy,
                "model_version": entry.model_version,
            }
            for rank, entry in enumerate(entries)
        ]
        with self.writing() as connection:
            lock_project(connection)
            connection.execute(sa.delete(tables.queue))
            if rows:
                connection.execute(sa.insert(tables.queue), rows)

    def lease_next(self, annotator: str) -> Lease | None:
        """Lease the first sentence of the queue that is neither annotated nor leased.

        Args:
            annotator: Who annotates it. The same name may hold several leases, for instance in two tabs.

        Returns:
            The lease, or None if no sentence waits.
        """
        while True:
            now = self.clock()
            with self.writing() as connection:
                taken = leasing.take_next(connection, self._new_lease(annotator, now), now)
            if taken:
                return taken
            with self.reading() as connection:
                if connection.execute(leasing.waiting(now).limit(1)).first() is None:
                    return None

    def lease(self, annotator: str, sentence: int, *, arm: Arm = "audit", strategy: str = "") -> Lease | None:
        """Lease one sentence, for instance to check its annotation.

        Args:
            annotator: Who annotates it.
            sentence: Its id.
            arm: Why it is annotated.
            strategy: What chose it.

        Returns:
            The lease, or None if the sentence is leased or does not exist.
        """
        now = self.clock()
        lease = self._new_lease(annotator, now, sentence, arm, strategy)
        with self.writing() as connection:
            return leasing.take(connection, lease, now)

    def renew(self, key: str) -> bool:
        """Extend a lease; return False if somebody else has taken the sentence."""
        table = tables.leases
        expires = self.clock() + self._lease_seconds
        with self.writing() as connection:
            renewed = connection.execute(sa.update(table).where(table.c.key == key).values(expires=expires))
            return renewed.rowcount == 1

    def release(self, key: str) -> None:
        """End a lease, so that others can take the sentence at once."""
        with self.writing() as connection:
            leasing.drop(connection, key)

    # Annotations

    def record(self, key: str, decision: Decision) -> int:
        """Store a decision, supersede the sentence's earlier one and end the lease.

        The annotation is on disk when the method returns. A repeated call with the same key changes nothing,
        so that a request whose answer was lost can be sent again.

        Args:
            key: The key of the lease. It may have expired if nobody else has taken the sentence.
            decision: The decision.

        Returns:
            The id of the annotation.

        Raises:
            InputError: Somebody else has taken the sentence, or a tag does not belong to the project.
        """
        with self.writing() as connection:
            lease = decisions.find_lease(connection, key)
            if lease is None:
                known = decisions.find_annotation(connection, key)
                if known is None:
                    raise self._taken("the lease has ended. Lease another sentence")
                return known
            table = tables.sentences
            n_tokens = connection.execute(
                sa.select(table.c.n_tokens).where(table.c.id == lease.sentence)
            ).scalar_one()
            decisions.check_decision(decision, self.settings, n_tokens, f"{self.name}:{lease.sentence}")
            leasing.drop(connection, key)
            return decisions.insert_decision(connection, lease, decision, self.clock())

    def undo(self, annotator: str) -> tuple[Lease, Annotation] | None:
        """Undo the annotator's last decision that is in effect, and lease its sentence again.

        The decision that it had superseded is in effect again. Calls can be repeated to undo earlier ones.

        Returns:
            The lease, and the annotation that was undone; None if the annotator has none in effect.

        Raises:
            InputError: Somebody else is annotating the sentence.
        """
        now = self.clock()
        with self.writing() as connection:
            undone = decisions.last_decision(connection, annotator)
            if undone is None:
                return None
            lease = self._new_lease(annotator, now, undone.sentence, undone.arm, undone.strategy)
            is_taken = leasing.take(connection, lease, now) is None
            if is_taken or not decisions.insert_undone(connection, undone, annotator, now):
                raise self._taken("somebody else is annotating the sentence. Try again later")
            return lease, undone

    def annotations(self) -> Iterator[Annotation]:
        """Yield all annotations, also superseded and undone ones, in the order of time."""
        with self.reading() as connection:
            stream = connection.execution_options(yield_per=_ROWS)
            for row in stream.execute(sa.select(tables.annotations).order_by(tables.annotations.c.id)):
                yield decisions.as_annotation(row)

    def annotated(self, arm: Arm | None = None) -> Iterator[tuple[Annotation, Sentence]]:
        """Yield the annotations in effect that were accepted or skipped, in the order of time.

        Args:
            arm: Only sentences with an annotation in this arm, in effect or earlier: a sentence of the random
                share stays in it when it is checked again. By default all.

        Yields:
            The annotation and its sentence, which has ``tags`` if it was accepted.
        """
        query = (
            sa.select(tables.effective, tables.sentences.c.content)
            .select_from(
                tables.EFFECTIVE.join(tables.sentences, tables.sentences.c.id == tables.effective.c.sentence)
            )
            .where(tables.IS_ANNOTATED)
            .order_by(tables.effective.c.id)
        )
        if arm is not None:
            table = tables.annotations
            drawn = sa.select(table.c.sentence).where(table.c.arm == arm)
            query = query.where(tables.effective.c.sentence.in_(drawn))
        with self.reading() as connection:
            for row in connection.execution_options(yield_per=_ROWS).execute(query):
                annotation = decisions.as_annotation(row)
                sentence = self._sentence(annotation.sentence, row.content)
                if annotation.tags is not None:
                    sentence = replace(sentence, tags={self.settings.task: annotation.tags})
                yield annotation, sentence

    def progress(self) -> Progress:
        """Count the pool, and the work by annotator and arm."""
        with self.reading() as connection:
            self._pool = project_progress.count_pool(connection, self._pool)
            return project_progress.measure_progress(connection, leasing.waiting(math.inf), self._pool)

    # Models

    def models(self) -> list[ModelVersion]:
        """Return all versions of the model, first ones first."""
        with self.reading() as connection:
            return project_progress.list_models(connection)

    def add_model(self, folder: str | Path, scores: Mapping[str, Any]) -> int:
        """Add a version of the model, which ``activate`` makes the active one.

        Args:
            folder: Its folder or name.
            scores: Its scores on the random share, as JSON values.

        Returns:
            The number of the version.
        """
        with self.writing() as connection:
            return project_progress.insert_model(connection, str(folder), scores, self.clock())

    def activate(self, version: int) -> None:
        """Make a version the active one, which proposes tags; earlier versions can be activated again.

        Raises:
            InputError: There is no such version.
        """
        with self.writing() as connection:
            if not project_progress.activate_model(connection, version):
                raise InputError(
                    f"there is no model version {version}. Pass one of `models`.",
                    code="argument.value",
                    where=self.name,
                )

    def _sentence(self, identifier: int, content: dict[str, Any]) -> Sentence:
        return stored_sentence(content, f"{self.name}:{identifier}")

    def _new_lease(
        self,
        annotator: str,
        now: float,
        sentence: int = 0,
        arm: Arm | None = None,
        strategy: str | None = None,
    ) -> Lease:
        return Lease(new_key(), sentence, annotator, now + self._lease_seconds, arm, strategy)

    def _taken(self, problem: str) -> InputError:
        return InputError(f"{problem}.", code="run.exists", where=self.name)
