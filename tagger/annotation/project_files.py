"""Read the pool of a project from a file, and import annotations from Label Studio, doccano, Prodigy or brat.

An import compares texts without white space, so that it finds a document of the pool even if the other tool
has changed sentences, tokens or line breaks. Its spans are then placed on the tokens of the pool.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, islice
from pathlib import Path

import sqlalchemy as sa

from tagger.annotation import decisions, leasing
from tagger.annotation.project_records import Decision, Lease
from tagger.annotation.store import AnnotationStore
from tagger.corpus import project_tables as tables
from tagger.corpus.detection import detect
from tagger.corpus.loading import FileOptions, load_split
from tagger.corpus.project_database import lock_project
from tagger.corpus.project_documents import (
    ProjectSettings,
    add_documents,
    by_document,
    new_key,
    stored_sentence,
    text_digest,
)
from tagger.corpus.reading import Reading
from tagger.errors import Warn
from tagger.text.schemes import convert_tags, spans_to_tags, tags_to_spans
from tagger.text.sentence import UNKNOWN_TAG, UNSPECIFIED, Sentence, Span

_DOCUMENTS = 100  # per transaction of an import: annotators wait until it ends
_MAX_QUOTED = 60  # maximum number of characters of a sentence in a message


@dataclass(slots=True)
class ImportCounts:
    """What happened to the sentences of an import.

    Attributes:
        annotated: Sentences of the pool that are now annotated.
        added: Sentences that the pool did not have; they were added and are annotated.
        kept: Sentences of the pool that were already annotated, or that somebody is annotating.
        misaligned: Sentences of the pool that stay without annotation, because a span does not begin and end
            at their tokens.
    """

    annotated: int = 0
    added: int = 0
    kept: int = 0
    misaligned: int = 0


def read_pool(path: str | Path, *, format: str | None = None) -> Iterator[Sentence]:
    """Yield the sentences of a file for ``AnnotationStore.add_pool``, without tags.

    Args:
        path: A file of JSON records with texts, or any corpus file.
        format: A key of ``corpus.files.FORMATS``; by default it is detected.

    Raises:
        InputError: The file cannot be read.
    """
    detected = detect(path, format=format)
    if detected.problem:
        raise detected.problem
    # Spans do not matter: misaligned ones are no error, and records without any deserve no warning.
    for sentence in detected.read(Reading(tasks=(), on_misaligned="skip")):
        yield sentence.with_tags({})


def import_work(
    store: AnnotationStore,
    path: str | Path,
    annotator: str,
    *,
    options: FileOptions = FileOptions(),  # noqa: B008
    reading: Reading = Reading(),  # noqa: B008
) -> ImportCounts:
    """Import a file of any corpus format as accepted annotations.

    Existing annotations stay, so that the same file can be imported again, also after an interruption.

    Args:
        store: The project.
        path: The file or folder.
        annotator: Whose work it is.
        options: The options for the file; by default they are detected from it.
        reading: The reader options; ``warn`` also receives a message for each sentence that is misaligned.

    Raises:
        InputError: The file cannot be read, or has labels that the project does not have.
    """
    settings = store.settings
    split = load_split([path], [settings.task], options=options, reading=reading)
    scheme = split.schemes[settings.task]
    sentences = [_in_scheme(sentence, settings, scheme) for sentence in split.sentences]
    for sentence in sentences:
        decision = Decision(sentence.tags[settings.task])
        decisions.check_decision(decision, settings, len(sentence), sentence.source)
    counts = ImportCounts()
    documents = by_document(sentences)
    while batch := list(islice(documents, _DOCUMENTS)):
        with store.writing() as connection:
            lock_project(connection)
            work = _Import(connection, settings, annotator, store.clock(), reading.warn, counts)
            for document in batch:
                work.add(document)
    return counts


def _in_scheme(sentence: Sentence, settings: ProjectSettings, scheme: str | None) -> Sentence:
    tags: Sequence[str] = sentence.tags[settings.task]
    if scheme and settings.scheme:
        tags = convert_tags(tags, scheme, settings.scheme)
    else:  # one tag per token: load_split has replaced unknown tags
        tags = [UNKNOWN_TAG if tag == UNSPECIFIED else tag for tag in tags]
    return sentence.with_tags({settings.task: tags})


class _Import:
    """One transaction of an import.

    Args:
        connection: A transaction that writes.
        settings: The settings of the project.
        annotator: Whose work it is.
        now: The time of the annotations.
        warn: Receives a message for each sentence that is misaligned.
        counts: What has happened so far; it is updated.
    """

    def __init__(
        self,
        connection: sa.Connection,
        settings: ProjectSettings,
        annotator: str,
        now: float,
        warn: Warn,
        counts: ImportCounts,
    ) -> None:
        self._counts = counts
        self._connection = connection
        self._settings = settings
        self._annotator = annotator
        self._now = now
        self._warn = warn

    def add(self, document: Sequence[Sentence]) -> None:
        """Import the sentences of a document."""
        table = tables.documents
        digest = text_digest(sentence.text for sentence in document)
        known = self._connection.scalar(sa.select(table.c.id).where(table.c.digest == digest).limit(1))
        if known is not None:
            self._annotate(document, self._find(tables.sentences.c.document == known))
            return
        missing = []
        for sentence in document:
            found = self._find(tables.sentences.c.digest == text_digest([sentence.text]))
            if found:  # of several, the first without annotation
                waiting = [one for one in found if not self._is_annotated(one[0])]
                self._annotate([sentence], (waiting or found)[:1])
            else:
                missing.append(sentence)
        if missing:
            missing[0] = replace(missing[0], starts_document=True)
            for identifier, sentence in add_documents(self._connection, missing, skips_known=False):
                self._store(identifier, sentence.tags[self._settings.task])
                self._counts.added += 1

    def _find(self, condition: sa.ColumnElement[bool]) -> list[tuple[int, Sentence]]:
        """Return sentences of the pool in its order."""
        table = tables.sentences
        query = sa.select(table.c.id, table.c.content).where(condition).order_by(table.c.id)
        return [(row.id, stored_sentence(row.content, "")) for row in self._connection.execute(query)]

    def _annotate(self, work: Sequence[Sentence], pool: Sequence[tuple[int, Sentence]]) -> None:
        task, scheme = self._settings.task, self._settings.scheme
        aligned = align_tags(work, [sentence for _, sentence in pool], task, scheme)
        for (identifier, sentence), tags in zip(pool, aligned, strict=True):
            if tags is None:
                self._counts.misaligned += 1
                self._warn(
                    f"{work[0].source}: a span or tag does not begin and end at the tokens of "
                    f"{sentence.text[:_MAX_QUOTED]!r}; the sentence stays without annotation."
                )
            elif self._store(identifier, tags):
                self._counts.annotated += 1
            else:
                self._counts.kept += 1

    def _store(self, identifier: int, tags: Sequence[str]) -> bool:
        """Annotate a sentence; return False if it is annotated, or leased by an annotator."""
        lease = Lease(new_key(), identifier, self._annotator, self._now)
        if leasing.take(self._connection, lease, self._now) is None:
            return False
        is_known = self._is_annotated(identifier)
        if not is_known:
            decisions.insert_decision(self._connection, lease, Decision(tuple(tags)), self._now)
        leasing.drop(self._connection, lease.key)
        return not is_known

    def _is_annotated(self, identifier: int) -> bool:
        return bool(self._connection.scalar(sa.select(leasing.annotated(sa.literal(identifier)))))


def align_tags(
    work: Sequence[Sentence], pool: Sequence[Sentence], task: str, scheme: str | None
) -> list[tuple[str, ...] | None]:
    """Transfer tags to other sentences and tokens of the same text.

    Args:
        work: Sentences with tags for the task.
        pool: Sentences whose text is the same, except for white space.
        task: The task.
        scheme: The scheme of the tags; None for one tag per token.

    Returns:
        For each sentence of the pool its tags; None if a span does not begin and end at its tokens.
    """
    tagged = [
        (tokens, sentence.tags[task]) for tokens, sentence in zip(_token_ranges(work), work, strict=True)
    ]
    spans = [span for tokens, tags in tagged for span in _span_ranges(tokens, tags, scheme)]
    known = {one: tag for tokens, tags in tagged for one, tag in zip(tokens, tags, strict=True)}
    unknown = [one for one, tag in known.items() if tag == UNKNOWN_TAG]
    result: list[tuple[str, ...] | None] = []
    for tokens in _token_ranges(pool):
        begin, end = tokens[0][0], tokens[-1][1]
        own = [span for span in spans if span[0] < end and span[1] > begin]
        same = tuple(known[token] for token in tokens if token in known)
        if len(same) == len(tokens) and _span_ranges(tokens, same, scheme) == own:
            result.append(same)
        else:
            result.append(_place(own, unknown, tokens, scheme) if scheme else None)
    return result


_Range = tuple[int, int]
_SpanRange = tuple[int, int, str]


def _token_ranges(sentences: Iterable[Sentence]) -> Iterator[list[_Range]]:
    """Yield the half-open ranges of the T tokens of each sentence, in the common text without white space."""
    before = 0
    for sentence in sentences:
        at = [*accumulate((not character.isspace() for character in sentence.text), initial=before)]
        first = sentence.text_start
        yield [(at[start - first], at[end - first]) for start, end in sentence.offsets]
        before = at[-1]


def _span_ranges(tokens: Sequence[_Range], tags: Sequence[str], scheme: str | None) -> list[_SpanRange]:
    """Return the ranges and labels of the spans of T tags."""
    spans = tags_to_spans(tags, scheme) if scheme else ()
    return [(tokens[span.start][0], tokens[span.end - 1][1], span.label) for span in spans]


def _place(
    spans: Sequence[_SpanRange], unknown: Sequence[_Range], tokens: Sequence[_Range], scheme: str
) -> tuple[str, ...] | None:
    """Return the tags of other tokens than those that were annotated; None if a span does not match them."""
    starts = {first: index for index, (first, _) in enumerate(tokens)}
    ends = {last: index for index, (_, last) in enumerate(tokens, 1)}
    if any(first not in starts or last not in ends for first, last, _ in spans):
        return None
    placed = [Span(starts[first], ends[last], label) for first, last, label in spans]
    tags = spans_to_tags(placed, len(tokens), scheme)
    return tuple(
        UNKNOWN_TAG if tag == "O" and any(first < end and last > begin for first, last in unknown) else tag
        for tag, (begin, end) in zip(tags, tokens, strict=True)
    )
