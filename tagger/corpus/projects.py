"""Annotation projects as a corpus format: the accepted sentences of a database."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from tagger.corpus.placement import require_one_task
from tagger.corpus.reading import Reading, Writing
from tagger.corpus.records import require_no_columns
from tagger.errors import InputError
from tagger.storage import writing as writing_file
from tagger.text.scheme_detection import SchemeEvidence
from tagger.text.schemes import split_tag
from tagger.text.sentence import UNSPECIFIED, Sentence


def read_project(path: str | Path, reading: Reading) -> Iterator[Sentence]:
    """Stream the accepted sentences of a project, in the order of its pool.

    Skipped sentences and those without annotation are left out. All sentences are of one state of the
    database, even if annotation goes on.

    Args:
        path: The SQLite file, or the URL of a PostgreSQL database.
        reading: The reader options.

    Yields:
        Sentences with ``tags``, which may be unknown (``?``). Their source is ``PROJECT:ID``.

    Raises:
        InputError: If columns are named. All other errors go to ``reading.on_error``.
    """
    require_no_columns(reading, path)
    _require_sqlalchemy()
    from tagger.corpus import project_database, project_documents

    try:
        engine = project_database.open_project(path, is_read_only=True)
        try:
            with project_database.reading(engine, path) as connection:
                name = project_database.project_name(path)
                task = project_documents.read_settings(connection, name).task
                for other in reading.tasks:
                    if other != task:
                        raise InputError(
                            f"there is no task {other!r}; the project annotates {task!r}. Request this task.",
                            code="corpus.task",
                            where=name,
                            option="--task",
                        )
                is_empty = True
                for sentence in project_documents.read_annotated(connection, task, name):
                    is_empty = False
                    yield sentence
                if is_empty:
                    raise InputError(
                        "the project has no accepted sentences. Annotate some first.",
                        code="corpus.empty",
                        where=name,
                    )
        finally:
            engine.dispose()
    except InputError as error:
        reading.on_error(error)


def write_project(sentences: Iterable[Sentence], path: Path, writing: Writing) -> None:
    """Write a new project whose sentences are all annotated. It is created in one transaction.

    Args:
        sentences: The sentences, with tags for the task.
        path: A file that does not exist; annotations of an existing project are never replaced.
        writing: The writer options.

    Raises:
        InputError: If there is not exactly one task, or the file exists or cannot be written.
    """
    task = require_one_task(writing, "A project")
    _require_sqlalchemy()
    from tagger.corpus import project_database, project_documents

    evidence = SchemeEvidence()

    def tagged(added: Iterator[tuple[int, Sentence]]) -> Iterator[tuple[int, tuple[str, ...]]]:
        for identifier, sentence in added:
            if task not in sentence.tags:
                raise InputError(
                    f"there are no tags of the task {task!r}. Leave the sentence out, or name another task.",
                    code="corpus.output",
                    where=sentence.source or "A sentence",
                )
            evidence.add(sentence.tags[task], sentence.tokens)
            yield identifier, sentence.tags[task]

    with writing_file(path):
        try:
            path.open("xb").close()
        except FileExistsError:
            raise InputError(
                "the file exists, and it may hold annotations. Name a new file.",
                code="file.unwritable",
                where=path,
            ) from None
    try:
        engine = project_database.create_project(path)
        try:
            with project_database.writing(engine, path) as connection:
                added = project_documents.add_documents(connection, sentences, skips_known=False)
                project_documents.add_annotations(connection, tagged(added), "corpus", time.time())
                scheme = evidence.scheme
                known, _ = evidence.split_unknown(scheme)
                labels = {split_tag(tag)[1] if scheme else tag for tag in known}
                labels -= {"", UNSPECIFIED}  # the label of O, and the tag of tokens without one
                settings = project_documents.ProjectSettings(task, tuple(sorted(labels)), scheme)
                project_documents.write_settings(connection, settings)
        finally:
            engine.dispose()
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


def _require_sqlalchemy() -> None:
    if find_spec("sqlalchemy") is None:
        raise InputError(
            "annotation projects need the package sqlalchemy. Install the extra `annotate` (see README).",
            code="package.missing",
        )
