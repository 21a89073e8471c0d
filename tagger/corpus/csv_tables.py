"""Tables with a header, CSV or TSV: one token per row, or one text per row."""

from __future__ import annotations

import ast
import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from tagger.corpus.alignment import has_other_spaces, locate
from tagger.corpus.columns import TOKEN, parse_features
from tagger.corpus.lines import numbered_lines
from tagger.corpus.reading import Reading, Writing
from tagger.corpus.records import SPAN_LISTS, Records
from tagger.corpus.table_header import TEXT, Header, find_header, split_cells
from tagger.corpus.token_records import PLAIN_TAGS, is_tag_name, name_tags, possible_tag_names, task_of
from tagger.corpus.values import join_names
from tagger.errors import Counted, InputError
from tagger.text.sentence import UNSPECIFIED, Sentence, from_tokens


def read_table(path: str | Path, reading: Reading) -> Iterator[Sentence]:
    """Read sentences from a CSV or TSV file whose first line names its columns, one at a time.

    Where a column holds tokens, each row is one token. A sentence ends at a blank row, or where the column
    ``sentence`` (``Sentence #``, ``sentence_id``) changes; an empty cell there continues the sentence. A
    document begins where ``document`` (``doc_id``) changes. The tags of a task T are in the column ``T``,
    ``T_tags``, ``T_tag`` or ``T_labels``, those of the only requested task also in ``tag`` or ``label``;
    ``reading.columns`` maps other names, as in ``token=Wort,ner=Klasse``. Without requested tasks all other
    columns are tags, and ``tag`` and ``label`` are those of ``ner``.

    Where columns hold a text and its spans, each row is a record, with the spans as a JSON or Python list.

    Args:
        path: The file, which may be compressed with gzip.
        reading: The reader options.

    Raises:
        InputError: If the columns cannot be parsed; while reading, if the file cannot be read, has no header,
            or has no sentences. All other errors go to ``reading.on_error``.
    """
    counted = Counted(reading.on_error)
    lines = numbered_lines(path, on_error=counted)
    number, line = next(((number, line) for number, line in lines if line.strip()), (1, ""))
    header = find_header(line, reading.columns)
    if header is None:
        if not counted.count:
            reading.on_error(
                InputError(
                    f"the first line names no token column (got {line!r:.60}). Write a "
                    "header such as token,ner, or name the columns, as in --columns token=word,ner=tag.",
                    code="corpus.columns",
                    where=f"{path}:{number}",
                    option="--columns",
                )
            )
        return
    reading = replace(reading, on_error=counted)
    is_empty = True
    read_rows = _texts if header.tokens is None else _sentences
    for sentence in read_rows(path, header, lines, reading):
        is_empty = False
        yield sentence
    if is_empty and not counted.count:
        reading.on_error(
            InputError(
                "the file has no sentences. Pass a file with one token or text per row.",
                code="corpus.empty",
                where=path,
            )
        )


def write_table(sentences: Iterable[Sentence], file: TextIO, writing: Writing) -> None:
    """Write one row per token: document, sentence, token, the tags of each task, and the text.

    The first row of a sentence holds its text if it is not the tokens joined by single spaces. Missing tags
    are written as ``_``.
    """
    table = csv.writer(file, lineterminator="\n")
    table.writerow(["document", "sentence", TOKEN, *writing.tasks, TEXT])
    document = 0
    for number, sentence in enumerate(sentences, 1):
        document += sentence.starts_document or number == 1
        tags = [sentence.tags.get(task, (UNSPECIFIED,) * len(sentence)) for task in writing.tasks]
        text = sentence.text if has_other_spaces(sentence) and _fits_row(sentence) else ""
        for row in zip(sentence.tokens, *tags, strict=True):
            table.writerow([document, number, *row, text])
            text = ""


def _fits_row(sentence: Sentence) -> bool:
    """Return True if the text fits on one line and determines the tokens' offsets."""
    start = sentence.text_start
    offsets = [(first - start, end - start) for first, end in sentence.offsets]
    return not set("\r\n") & set(sentence.text) and locate(sentence.tokens, sentence.text) == offsets


def _row(line: str, header: Header, where: str) -> list[str]:
    """Split a line into as many cells as the header has.

    Raises:
        InputError: If the number of cells differs, or a quotation mark is not closed.
    """
    cells = split_cells(line, header.delimiter)
    if header.delimiter == "\t" and (cells is None or len(cells) != len(header.names)):
        cells = line.split("\t")  # a literal quotation mark
    if cells is None:
        raise InputError(
            'a quotation mark is not closed. Write """" for a token that is a quotation mark.',
            code="corpus.record",
            where=where,
        )
    if len(cells) < len(header.names) and not any(cells):
        return [""] * len(header.names)
    if len(cells) != len(header.names):
        raise InputError(
            f"expected {len(header.names)} columns as in the header ({join_names(header.names)}), got "
            f"{len(cells)}. Correct the row.",
            code="corpus.columns",
            where=where,
        )
    return cells


def _sentences(
    path: str | Path, header: Header, lines: Iterable[tuple[int, str]], reading: Reading
) -> Iterator[Sentence]:
    """Yield the sentences of a table with one token per row."""
    try:
        tags = find_tag_columns(path, header, reading)
    except InputError as error:
        reading.on_error(error)
        return
    block = TokenRows(path, header, tags, reading)
    blanks = rows = 0
    for number, line in lines:
        where = f"{path}:{number}"
        try:
            cells = _row(line, header, where)
        except InputError as error:
            reading.on_error(error)
            continue
        is_blank = not any(cell.strip() for cell in cells)
        blanks, rows = blanks + is_blank, rows + 1
        if (is_blank and header.sentence is None) or (not is_blank and block.is_next(cells)):
            yield from block.take()
        if not is_blank:
            block.add(cells, where)
    if header.sentence is None and not blanks and rows > 1:
        what = f"all {rows:,} rows are" if header.document is None else "each document is"
        reading.warn(f"{path}: there are no blank rows and no sentence column, so {what} one sentence.")
    yield from block.take()


class TokenRows:
    """Collects the rows of one sentence at a time, for a table with one token per row.

    Args:
        path: The file or table, for messages.
        header: The roles of its columns.
        tags: The index of each task's column.
        reading: The reader options.
    """

    def __init__(self, path: str | Path, header: Header, tags: Mapping[str, int], reading: Reading) -> None:
        self._header = header
        self._tags = tags
        self._reading = reading
        self._rows: list[list[str]] = []
        self._where = str(path)
        self._ids: dict[int, str] = {}  # current sentence and document ids by column index
        self._document: str | None = None
        self._starts = True

    def is_next(self, cells: Sequence[str]) -> bool:
        """Return True if a row begins a new sentence."""
        id_columns = [index for index in (self._header.sentence, self._header.document) if index is not None]
        changed = [index for index in id_columns if cells[index] and cells[index] != self._ids.get(index)]
        self._ids.update({index: cells[index] for index in changed})
        return bool(changed)

    def add(self, cells: list[str], where: str) -> None:
        """Add the row of a token, or report an empty cell."""
        assert self._header.tokens is not None
        if not self._rows:
            self._where = where
            document = None if self._header.document is None else self._ids.get(self._header.document)
            self._starts |= document != self._document
            self._document = document
        for name, index in {TOKEN: self._header.tokens, **self._tags}.items():
            if not cells[index].strip():
                self._reading.on_error(
                    InputError(
                        f"the column {join_names([name])} is empty. Write O or _ for no tag.",
                        code="corpus.record",
                        where=where,
                    )
                )
                return
        token = cells[self._header.tokens]
        if _is_list(token) and any(_is_list(cells[index]) for index in self._tags.values()):
            self._reading.on_error(
                InputError(
                    f"a row holds lists of tokens and tags (got {token!r:.60}). Write one token per "
                    'row, or JSON records such as {"tokens": […], "ner_tags": […]}.',
                    code="corpus.format",
                    where=where,
                )
            )
            return
        self._rows.append(cells)

    def take(self) -> Iterator[Sentence]:
        """Yield the current sentence if it has tokens, and begin the next one."""
        rows, self._rows = self._rows, []
        if not rows:
            return
        header = self._header
        assert header.tokens is not None
        sentence = from_tokens(row[header.tokens] for row in rows)
        text = "" if header.text is None else rows[0][header.text]
        offsets = locate(sentence.tokens, text) if text else None
        if offsets is not None:
            sentence = replace(sentence, text=text, offsets=tuple(offsets))
        elif text:
            self._reading.warn(f"{self._where}: the text does not match the tokens; it was ignored.")
        try:
            tags = {task: self._named(rows, index) for task, index in self._tags.items()}
        except InputError as error:
            self._reading.on_error(error)
            return
        yield replace(sentence, tags=tags, source=self._where, starts_document=self._starts)
        self._starts = False

    def _named(self, rows: Sequence[Sequence[str]], index: int) -> tuple[str, ...]:
        """Return the tags of a column, with integers replaced by their names if the user gave names."""
        values, name = [row[index] for row in rows], self._header.names[index]
        if not self._reading.tasks and not is_tag_name(name.strip().lower()):
            return tuple(values)
        return name_tags(values, len(values), self._reading.label_names, join_names([name]), self._where)


def _is_list(cell: str) -> bool:
    return len(cell) > 2 and cell[0] == "[" and cell[-1] == "]"


def find_tag_columns(path: str | Path, header: Header, reading: Reading) -> dict[str, int]:
    """Return the column of each task.

    Raises:
        InputError: If a task has no column.
    """
    known = {name.strip().lower(): index for name, index in header.tags.items()}
    plain = next((known[name] for name in PLAIN_TAGS if name in known), None)
    named = parse_features(reading.columns) if reading.columns else {}
    named.pop(TOKEN, None)
    tasks = dict.fromkeys([*reading.tasks, *named])
    result: dict[str, int] = {}
    for task in tasks:
        names = [named[task] or task] if task in named else possible_tag_names(task)
        index = next((known[name.lower()] for name in names if name.lower() in known), None)
        may_be_plain = index is None and (task == "ner" or len(reading.tasks or named) == 1)
        index = plain if may_be_plain else index
        if index is None and task not in reading.tasks and named[task] is None:
            continue  # the column belongs to other files
        if index is None:
            example = f"{TOKEN}={join_names([header.names[header.tokens or 0]])},{task}=COLUMN"
            raise InputError(
                f"no column has the tags of {task}; the columns are "
                f"{join_names(header.names)}. Name it, as in --columns {example}.",
                code="corpus.task",
                where=path,
                option="--columns",
            )
        result[task] = index
    if not tasks:
        for name, index in header.tags.items():
            is_plain = index == plain and "ner" not in known
            result["ner" if is_plain else task_of(name.strip().lower())] = index
    return result


def _texts(
    path: str | Path, header: Header, lines: Iterable[tuple[int, str]], reading: Reading
) -> Iterator[Sentence]:
    """Yield the sentences of a table with one text and its spans per row."""
    assert header.text is not None
    assert header.spans is not None
    numbers = iter(lines)
    last = [1]

    def physical_lines() -> Iterator[str]:
        for number, line in numbers:
            last[0] = number
            yield line + "\n"

    records = Records(path, reading)
    table = csv.reader(physical_lines(), delimiter=header.delimiter, strict=True)
    while True:
        where = f"{path}:{last[0] + 1}"
        try:
            cells = next(table, None)
        except csv.Error as error:
            reading.on_error(
                InputError(
                    f"the row cannot be read as CSV ({error}). Correct its quotation marks.",
                    code="corpus.record",
                    where=where,
                )
            )
            break
        if cells is None:
            break
        if not any(cells):
            continue
        if len(cells) != len(header.names):
            reading.on_error(
                InputError(
                    f"expected {len(header.names)} columns as in the header, got {len(cells)}.",
                    code="corpus.columns",
                    where=where,
                )
            )
            continue
        try:
            spans = _parse_list(cells[header.spans], where)
        except InputError as error:
            reading.on_error(error)
            continue
        yield from records.read({TEXT: cells[header.text], SPAN_LISTS[0]: spans}, where)
    others = [name for index, name in enumerate(header.names) if index not in (header.text, header.spans)]
    if others:
        reading.warn(
            f"{path}: the columns {join_names(others)} were ignored; sentences have no field for them."
        )
    records.finish()


def _parse_list(cell: str, where: str) -> object:
    """Parse the list of spans in a cell, written in JSON or Python syntax."""
    for parse in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return parse(cell or "[]")
    raise InputError(
        f"the spans {cell!r:.60} are not a list. Write [[start, end, label], …].",
        code="corpus.record",
        where=where,
    )
