"""Read labelled data from memory: sentences, pairs, records, HF datasets and data frames."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from tagger.corpus.csv_tables import TokenRows, find_tag_columns
from tagger.corpus.dataset_rows import TAGS_SUFFIX
from tagger.corpus.hub import read_rows
from tagger.corpus.reading import Reading
from tagger.corpus.records import Records
from tagger.corpus.table_header import Header, find_roles
from tagger.errors import Counted, InputError, Warn
from tagger.text.sentence import Sentence

_FRAMES = {"pandas": "DataFrame", "polars": "DataFrame", "pyarrow": "Table"}
_DATASETS = {"datasets": "Dataset"}
_EXPECTED = (
    "Pass a path, or an iterable of Sentence objects, of (tokens, tags) pairs or of records such as "
    '{"text": …, "spans": […]}, an HF Dataset, or a data frame.'
)


@dataclass(frozen=True, slots=True)
class MemoryCorpus:
    """Labelled data in memory; takes the place of a detected file in ``corpus.loading``.

    Attributes:
        path: The name of the data in messages, for instance ``train_data``; its items are ``train_data[0]``,
            ``train_data[1]``, …
        data: The result of ``hold``: a dataset, a data frame or a list.
    """

    path: str
    data: Any

    @property
    def problem(self) -> InputError | None:
        """None: unlike a file, data in memory cannot contradict its name."""
        return None

    def require_columns(self) -> None:
        """Do nothing: ``read`` reports missing columns."""

    def describe(self) -> str:
        """Describe the data, for instance ``train_data: list in memory``."""
        return f"{self.path}: {type(self.data).__name__} in memory"

    def find_missing_task(self, task: str, reading: Reading) -> InputError | None:
        """Return why the first item has no tags for a task; None if it has some."""
        try:
            next(self.read(replace(reading, tasks=(task,), on_misaligned="skip")), None)
        except InputError as error:
            return error
        return None

    def read(self, reading: Reading) -> Iterator[Sentence]:
        """Yield the sentences.

        Raises:
            InputError: An item is invalid (the message gives its index), or there are no sentences.
        """
        if _is(self.data, _DATASETS):
            yield from read_rows(self.data, self.path, reading, lambda index: f"{self.path}[{index}]")
            return
        counted = Counted(reading.on_error)
        reading = replace(reading, on_error=counted)
        is_empty = True
        for sentence in _read_frame(self, reading) if _is(self.data, _FRAMES) else _read_items(self, reading):
            is_empty = False
            yield sentence
        if is_empty and not counted.count:
            counted(InputError(f"there are no sentences. {_EXPECTED}", code="corpus.empty", where=self.path))


Source = str | Path | MemoryCorpus
"""A corpus file, or data in memory."""


def as_sources(data: object, name: str) -> list[Source]:
    """Return the sources of a split.

    Args:
        data: A path, a list of ``Path`` objects, or data in memory (see ``hold``).
        name: The name of data in memory in messages.

    Raises:
        TypeError: The data has another type.
    """
    if isinstance(data, str | os.PathLike):
        return [Path(data)]
    if isinstance(data, Sequence) and data and all(isinstance(item, os.PathLike) for item in data):
        return [Path(path) for path in data]
    return [hold(data, name)]


def hold(data: object, name: str) -> MemoryCorpus:
    """Hold labelled data in memory; an iterator is read once.

    Args:
        data: An iterable of ``Sentence`` objects, of ``(tokens, tags)`` pairs, where ``tags`` is a list, or a
            mapping from tasks to lists, or of records (see ``corpus.records.read_record``); an HF
            ``Dataset``; or a data frame of pandas, polars or pyarrow, with a row per sentence (lists of
            tokens and tags) or a row per token (and a column of sentence ids, as in
            ``corpus.csv_tables.read_table``).
        name: The name of the data in messages.

    Raises:
        TypeError: The data is none of these.
    """
    if _is(data, _FRAMES) or _is(data, _DATASETS):
        return MemoryCorpus(name, data)
    if isinstance(data, str | bytes | Mapping) or not isinstance(data, Iterable):
        raise TypeError(f"{name} must be labelled data (got {type(data).__name__}). {_EXPECTED}")
    return MemoryCorpus(name, list(data))


def _is(data: object, classes: Mapping[str, str]) -> bool:
    """Return True if the object has one of these classes by package; imports no package."""
    return any(classes.get(kind.__module__.partition(".")[0]) == kind.__name__ for kind in type(data).__mro__)


def _read_items(corpus: MemoryCorpus, reading: Reading) -> Iterator[Sentence]:
    records = Records(corpus.path, reading)
    for index, item in enumerate(corpus.data):
        where = f"{corpus.path}[{index}]"
        if isinstance(item, Sentence):
            yield from _with_tasks(item, reading, where)
            continue
        try:
            record = _to_record(item, reading.tasks, where)
        except InputError as error:
            reading.on_error(error)
            continue
        if record.get("tokens") == []:
            _warn_empty(reading.warn, where)
            continue
        yield from records.read(record, where)
    records.finish()


def _warn_empty(warn: Warn, where: str) -> None:
    warn(f"{where}: there are no tokens; the item was skipped.")


def _with_tasks(sentence: Sentence, reading: Reading, where: str) -> Iterator[Sentence]:
    """Yield a sentence if it has tokens and the tags of every requested task."""
    for task in reading.tasks:
        tags = sentence.tags.get(task, ())
        wrong = next((tag for tag in tags if not isinstance(tag, str) or not tag), None)
        if wrong is not None:
            reading.on_error(
                InputError(
                    f"a tag of {task!r} must be a non-empty string (got {wrong!r}). Write O for a token "
                    "outside all spans.",
                    code="corpus.record",
                    where=where,
                )
            )
            return
        n_tags = len(tags)
        if n_tags != len(sentence):
            reading.on_error(
                InputError(
                    f"the sentence must have one tag of {task!r} per token (got {n_tags} tags for "
                    f"{len(sentence)} tokens). Add them with Sentence.with_tags, or leave the sentence out.",
                    code="corpus.record" if task in sentence.tags else "corpus.task",
                    where=where,
                )
            )
            return
    if sentence.tokens:
        yield sentence if sentence.source else replace(sentence, source=where)
    else:
        _warn_empty(reading.warn, where)


def _to_record(item: object, tasks: Sequence[str], where: str) -> dict[str, object]:
    """Convert an item to a record for ``Records.read``.

    Raises:
        InputError: It is neither a pair nor a record, or tags do not name their task.
    """
    if isinstance(item, Mapping):
        return {str(key): _plain(value) for key, value in item.items()}
    if not isinstance(item, Sequence) or isinstance(item, str | bytes) or len(item) != 2:
        raise InputError(
            "an item must be a Sentence, a (tokens, tags) pair or a record (got "
            f"{type(item).__name__}: {item!r:.60}). Correct it.",
            code="corpus.record",
            where=where,
        )
    tokens, tags = item
    if isinstance(tokens, str):
        if isinstance(tags, Mapping):
            return {**_to_record(tags, tasks, where), "text": tokens}
        return {"text": tokens, "spans": _plain(tags)}
    if not isinstance(tags, Mapping):
        if len(tasks) > 1:
            raise InputError(
                f"the tags must be a mapping, as there are several tasks (got {type(tags).__name__}). Pass "
                f'{{"{tasks[0]}": […], "{tasks[1]}": […]}}.',
                code="corpus.task",
                where=where,
            )
        tags = {tasks[0] if tasks else "ner": tags}
    named = {
        f"{task}{TAGS_SUFFIX}": _plain(values) for task, values in tags.items() if not tasks or task in tasks
    }
    return {"tokens": _plain(tokens), **named}


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: arrays and tuples as lists, missing values (NaN) as None."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    elif hasattr(value, "to_list"):
        value = value.to_list()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return None if isinstance(value, float) and value != value else value


def _read_frame(corpus: MemoryCorpus, reading: Reading) -> Iterator[Sentence]:
    rows = _rows(corpus.data)
    first = next(rows, {})
    header = find_roles([str(name) for name in first], reading.columns)
    rows = chain([first] if first else [], rows)
    if header and header.tokens is not None and isinstance([*first.values()][header.tokens], str):
        yield from _read_token_rows(corpus.path, header, rows, reading)
    else:
        yield from _read_items(replace(corpus, data=rows), reading)


def _rows(frame: Any) -> Iterator[dict[str, Any]]:
    """Yield the rows of a data frame as mappings from column to value."""
    if hasattr(frame, "iter_rows"):  # polars
        return iter(frame.iter_rows(named=True))
    if hasattr(frame, "to_pylist"):  # pyarrow
        return (row for batch in frame.to_batches() for row in batch.to_pylist())
    names = list(frame.columns)
    return (dict(zip(names, row, strict=True)) for row in frame.itertuples(index=False, name=None))


def _read_token_rows(
    path: str, header: Header, rows: Iterable[dict[str, Any]], reading: Reading
) -> Iterator[Sentence]:
    """Yield the sentences of a data frame with a row per token."""
    if header.sentence is None:
        raise InputError(
            "the rows are tokens, but no column tells sentences apart (columns "
            f"{', '.join(header.names)}). Add a column of sentence ids named sentence_id.",
            code="corpus.columns",
            where=path,
        )
    sentences = TokenRows(path, header, find_tag_columns(path, header, reading), reading)
    for index, row in enumerate(rows):
        cells = ["" if value is None else str(value) for value in map(_plain, row.values())]
        if sentences.is_next(cells):
            yield from sentences.take()
        sentences.add(cells, f"{path}[{index}]")
    yield from sentences.take()
