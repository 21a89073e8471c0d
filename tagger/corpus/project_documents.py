"""The content of an annotation project: its settings, its documents and their annotated sentences."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tagger.corpus import project_tables as tables
from tagger.corpus.project_database import create_project, lock_project, project_name, writing
from tagger.errors import InputError
from tagger.text.sentence import Sentence

_BATCH = 1000  # sentences per statement


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """What a project annotates.

    Attributes:
        task: The task, for instance ``"ner"``.
        labels: The labels of its spans, in the order of their keys; without a scheme, the tags.
        scheme: The tag scheme of the annotations; None for one tag per token.
        created: When the project was created, in seconds since 1970; not compared.
    """

    task: str
    labels: tuple[str, ...]
    scheme: str | None = "IOB2"
    created: float = field(default_factory=time.time, compare=False)


def write_settings(connection: sa.Connection, values: ProjectSettings) -> None:
    """Store the settings of a new project."""
    connection.execute(
        sa.insert(tables.settings),
        [
            {"name": "task", "value": values.task},
            {"name": "labels", "value": list(values.labels)},
            {"name": "scheme", "value": [values.scheme]},  # a list: the column holds no None
            {"name": "created", "value": values.created},
        ],
    )


def read_settings(connection: sa.Connection, name: str) -> ProjectSettings:
    """Return the settings of a project.

    Args:
        connection: A transaction.
        name: The name of the project for the message.

    Raises:
        InputError: The project has no settings, because its creation was interrupted, or they are damaged.
    """
    values = {row.name: row.value for row in connection.execute(sa.select(tables.settings))}
    try:
        return ProjectSettings(
            str(values["task"]), tuple(values["labels"]), values["scheme"][0], float(values["created"])
        )
    except (IndexError, KeyError, TypeError, ValueError):
        raise InputError(
            "the project has no settings. Create it again with `tagger annotate`, or restore a copy.",
            code="corpus.format",
            where=name,
        ) from None


def set_up_project(location: str | Path, settings: ProjectSettings) -> None:
    """Create a project, unless one with the same settings exists.

    Args:
        location: As for ``open_project``.
        settings: The settings.

    Raises:
        InputError: The database holds a project with other settings, or cannot be used.
    """
    engine = create_project(location)
    try:
        with writing(engine, location) as connection:
            lock_project(connection)
            try:
                known = read_settings(connection, project_name(location))
            except InputError:
                known = settings
                write_settings(connection, settings)
    finally:
        engine.dispose()
    if known != settings:
        raise InputError(
            f"the project annotates {_describe(known)} (got {_describe(settings)}). Open it without labels, "
            "or name a new project.",
            code="run.mismatch",
            where=project_name(location),
        )


def new_key() -> str:
    """Return a random key of a lease or annotation."""
    return secrets.token_hex(16)


def squeeze(text: str) -> str:
    """Return a text without white space; its positions are the same whatever the line breaks."""
    return "".join(text.split())


def text_digest(texts: Iterable[str]) -> str:
    """Return the digest of a text, given in pieces, that does not depend on white space."""
    digest = hashlib.blake2b(digest_size=16)
    for text in texts:
        digest.update(squeeze(text).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def add_documents(
    connection: sa.Connection, new: Iterable[Sentence], *, skips_known: bool
) -> Iterator[tuple[int, Sentence]]:
    """Add documents at the end of the pool. The caller holds ``lock_project``.

    One document at a time is in memory, or as many as have 1,000 sentences.

    Args:
        connection: A transaction that writes.
        new: The sentences of the documents, in order; the first of each ``starts_document``.
        skips_known: True to skip each document whose text is in the pool.

    Yields:
        The id of each added sentence, and the sentence.
    """
    first = connection.scalar(sa.select(sa.func.max(tables.documents.c.id))) or 0
    last = connection.scalar(sa.select(sa.func.max(tables.sentences.c.id))) or 0
    for batch in _batches(new):
        digests = [text_digest(sentence.text for sentence in document) for document in batch]
        known = set[str]()
        if skips_known:
            known.update(
                connection.scalars(
                    sa.select(tables.documents.c.digest).where(tables.documents.c.digest.in_(digests))
                )
            )
        document_rows, sentence_rows, added = [], [], []
        for document, digest in zip(batch, digests, strict=True):
            if digest in known:
                continue
            if skips_known:
                known.add(digest)
            first += 1
            document_rows.append({"id": first, "name": document[0].source, "digest": digest})
            for number, sentence in enumerate(document):
                last += 1
                added.append((last, sentence))
                sentence_rows.append(
                    {
                        "id": last,
                        "document": first,
                        "number": number,
                        "n_tokens": len(sentence),
                        "digest": text_digest([sentence.text]),
                        "content": _content(sentence),
                    }
                )
        if added:
            connection.execute(sa.insert(tables.documents), document_rows)
            connection.execute(sa.insert(tables.sentences), sentence_rows)
        yield from added


def add_annotations(
    connection: sa.Connection, tagged: Iterable[tuple[int, Sequence[str]]], annotator: str, created: float
) -> None:
    """Store tags from elsewhere as accepted annotations of new sentences.

    Args:
        connection: A transaction that writes.
        tagged: Ids of sentences, each with its tags.
        annotator: The name of the annotator or of the source.
        created: The time of the annotations.
    """
    rows: list[dict[str, object]] = []
    constant = {"annotator": annotator, "created": created, "seconds": 0.0, "kind": "accepted"}
    for sentence, tags in tagged:
        rows.append({"key": new_key(), "sentence": sentence, "tags": list(tags), **constant})
        if len(rows) == _BATCH:
            connection.execute(sa.insert(tables.annotations), rows)
            rows = []
    if rows:
        connection.execute(sa.insert(tables.annotations), rows)


def _content(sentence: Sentence) -> dict[str, Any]:
    """Return the values of ``Sentence.to_dict`` without tags, and with tokens ``[start, end]``.

    A token that differs from its text, as in CoNLL-U, is ``[start, end, token]``.
    """
    values = sentence.with_tags({}).to_dict()
    text, begin = sentence.text, sentence.text_start
    values["tokens"] = [
        [start, end] if text[start - begin : end - begin] == token else [start, end, token]
        for token, (start, end) in zip(sentence.tokens, sentence.offsets, strict=True)
    ]
    return {name: value for name, value in values.items() if name not in ("tags", "spans")}


def stored_sentence(content: Mapping[str, Any], source: str) -> Sentence:
    """Build a sentence of the pool.

    Args:
        content: The column ``content``.
        source: Its location, ``PROJECT:ID``.

    Raises:
        InputError: The database is damaged.
    """
    try:
        text, begin = content["text"], content["start"]
        tokens = [
            {"start": start, "end": end, "text": form[0] if form else text[start - begin : end - begin]}
            for start, end, *form in content["tokens"]
        ]
        sentence = Sentence.from_dict({**content, "tokens": tokens})
        offsets = sentence.offsets
        is_whole = all(sentence.tokens) and list(offsets) == sorted(offsets) != []
        is_whole &= all(begin <= start < end <= begin + len(text) for start, end in offsets)
    except (AttributeError, KeyError, TypeError, ValueError):
        is_whole = False
    if not is_whole:
        raise _damaged(source)
    return replace(sentence, source=source, has_token_lines=False)


def _damaged(source: str) -> InputError:
    return InputError(
        "the stored sentence is damaged. Restore a copy of the project.", code="file.unreadable", where=source
    )


def read_annotated(
    connection: sa.Connection, task: str, name: str, condition: sa.ColumnElement[bool] | None = None
) -> Iterator[Sentence]:
    """Yield the sentences whose annotation was accepted, in the order of the pool, with ``tags``.

    Args:
        connection: A transaction.
        task: The task of the project.
        name: The name of the project; the source of a sentence is ``NAME:ID``.
        condition: Only sentences that meet this condition on ``tables.sentences``. By default all.

    Raises:
        InputError: The database is damaged.
    """
    query = (
        sa.select(
            tables.sentences.c.id,
            tables.sentences.c.document,
            tables.sentences.c.content,
            tables.effective.c.tags,
        )
        .select_from(
            tables.EFFECTIVE.join(tables.sentences, tables.sentences.c.id == tables.effective.c.sentence)
        )
        .where(tables.IS_ANNOTATED, tables.effective.c.kind == "accepted")
        .order_by(tables.sentences.c.id)
    )
    if condition is not None:
        query = query.where(condition)
    document = None
    for row in connection.execution_options(yield_per=_BATCH).execute(query):
        sentence = stored_sentence(row.content, f"{name}:{row.id}")
        is_whole = isinstance(row.tags, list) and list(map(type, row.tags)) == [str] * len(sentence)
        if not is_whole or not all(row.tags):
            raise _damaged(sentence.source)
        yield replace(sentence, tags={task: tuple(row.tags)}, starts_document=row.document != document)
        document = row.document


def _describe(settings: ProjectSettings) -> str:
    scheme = settings.scheme or "one tag per token"
    return f"{settings.task} in {scheme} with the labels {', '.join(settings.labels)}"


def by_document(sentences: Iterable[Sentence]) -> Iterator[list[Sentence]]:
    """Group sentences into documents; the first of each ``starts_document``."""
    document: list[Sentence] = []
    for sentence in sentences:
        if document and sentence.starts_document:
            yield document
            document = []
        document.append(sentence)
    if document:
        yield document


def _batches(new: Iterable[Sentence]) -> Iterator[list[list[Sentence]]]:
    """Group sentences into documents, and documents into batches of at least ``_BATCH`` sentences."""
    batch: list[list[Sentence]] = []
    count = 0
    for document in by_document(new):
        batch.append(document)
        count += len(document)
        if count >= _BATCH:
            yield batch
            batch, count = [], 0
    if batch:
        yield batch
