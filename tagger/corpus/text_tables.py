"""Read tables of texts, one text per row: JSONL, CSV, TSV and Parquet."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tagger.corpus.jsonl import parse_json
from tagger.corpus.parquet_tables import parquet_columns, parquet_group_sizes, parquet_rows
from tagger.corpus.table_lines import TableLines, TablePart, csv_cells, next_row, no_csv
from tagger.corpus.values import join_names, string
from tagger.errors import InputError

TableFormat = Literal["jsonl", "csv", "tsv", "parquet"]
SUFFIXES: dict[str, TableFormat] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True, slots=True)
class TextRow:
    """One row of a table of texts.

    Attributes:
        number: Its line in a JSONL file; in other files its number from 1, without the header.
        where: ``file:line``, or the file and the row number, for messages.
        text: The text; None if it is null or if there is a problem.
        id: The value of the id column; None without one.
        values: All columns by name, with JSON values. Parquet cells are converted when they are read.
        line: The line of a JSONL file, without white space around it; else "".
        problem: Why the row cannot be tagged, or None.
    """

    number: int
    where: str
    text: str | None = None
    id: object = None
    values: Mapping[str, Any] = field(default_factory=dict)
    line: str = ""
    problem: InputError | None = None


@dataclass(frozen=True, slots=True)
class TextTable:
    """A file of texts, one per row.

    Attributes:
        path: The file. JSONL, CSV and TSV files may be compressed with gzip.
        format: Its format.
        text: The name of the column of texts.
        id: The name of the column that identifies rows in messages, or None.
        new_columns: Names of columns that will be added, which the table must not have.
        names: The columns in the order of the file; empty for JSONL, whose records may differ.
        delimiter: The delimiter of CSV and TSV.
    """

    path: Path
    format: TableFormat
    text: str
    id: str | None = None
    new_columns: Sequence[str] = ()
    names: tuple[str, ...] = ()
    delimiter: str = ""

    def rows(self, part: TablePart | None = None) -> Iterator[TextRow]:
        """Yield the rows in order, one at a time; those that cannot be tagged have a ``problem``.

        Args:
            part: The part of the file to read (see ``parts``), by default all of it.

        Raises:
            InputError: The file cannot be read.
        """
        return READERS[self.format](self, part)

    def parts(self, size: int) -> Iterator[TablePart | None]:
        """Cut the table into parts of consecutive rows; their rows in order are those of the table.

        Args:
            size: Size in bytes at which a part ends; in Parquet files, that of the row groups.

        Yields:
            The parts; None, which stands for the whole table, if the file is compressed.

        Raises:
            InputError: The file cannot be read.
        """
        if self.format == "parquet":
            yield from _cut_groups(self.path, size)
        elif self.path.suffix.lower() == ".gz":
            yield None
        else:
            yield from _cut_lines(self, size)


def table_format(path: Path) -> TableFormat | None:
    """Return the table format that the suffix names, or None. A further suffix ``.gz`` is ignored."""
    name = Path(path.name.lower())
    if name.suffix != ".gz":
        return SUFFIXES.get(name.suffix)
    format = SUFFIXES.get(Path(name.stem).suffix)
    return None if format == "parquet" else format


def open_table(path: Path, text: str, id: str | None = None, new_columns: Sequence[str] = ()) -> TextTable:
    """Check the columns of a table. The rows of a JSONL file are checked when they are read.

    The delimiter of a ``.csv`` file is the one among ``DELIMITERS`` that gives the header a column of texts.

    Args:
        path: The file; its suffix determines the format, see ``SUFFIXES``.
        text: The name of the column of texts.
        id: The name of the column that identifies rows in messages.
        new_columns: Names of columns that will be added.

    Raises:
        InputError: The suffix is unknown, the file cannot be read, a column is missing or not unique, or the
            table has one of the new columns.
    """
    format = table_format(path)
    if format is None:
        raise InputError(
            f"the suffix must be one of {', '.join(SUFFIXES)}, to name the format (got {path.suffix!r}). "
            "Rename or convert the file.",
            code="corpus.format",
            where=path,
        )
    names: tuple[str, ...] = ()
    delimiter = ""
    if format == "parquet":
        names = parquet_columns(path, text)
    elif format != "jsonl":
        delimiter, names = _read_header(path, text, DELIMITERS if format == "csv" else ("\t",))
    if format != "jsonl":
        _require_columns(path, names, text, id, new_columns)
    return TextTable(path, format, text, id, new_columns, names, delimiter)


def _require_columns(
    path: Path, names: Sequence[str], text: str, id: str | None, new_columns: Sequence[str]
) -> None:
    repeated = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if repeated is not None:
        raise InputError(
            f"column names must be unique (got {repeated!r} twice). Rename one of them.",
            code="corpus.columns",
            where=path,
        )
    for option, name in (("--text-column", text), ("--id-column", id)):
        if name is not None and name not in names:
            raise InputError(
                f"there is no column {name!r}; the columns are {join_names(names)}. Pass one of them with "
                f"{option}.",
                code="corpus.columns",
                where=path,
                option=option,
            )
    for name in new_columns:
        if name in names:
            raise _has_new_column(path, name)


def _has_new_column(where: object, name: str) -> InputError:
    return InputError(
        f"there is already a column {name!r}. Pass another name with --spans-column.",
        code="corpus.columns",
        where=where,
        option="--spans-column",
    )


def _jsonl_rows(table: TextTable, part: TablePart | None) -> Iterator[TextRow]:
    lines = TableLines(table.path, part)
    for content in lines:
        line = content.strip(" \t\r\n")
        if not line:
            continue
        where = f"{table.path}:{lines.number}"
        problem, lines.problem = lines.problem, None
        record: object = None
        try:
            record = None if problem else parse_json(line, where)
        except InputError as error:
            problem = error
        if not isinstance(record, dict):
            problem = problem or InputError(
                f"the line must be a JSON object (got {line!r:.60}). Write one record per line.",
                code="corpus.record",
                where=where,
            )
            yield TextRow(lines.number, where, line=line, problem=problem)
        else:
            yield _row(table, lines.number, where, record, line=line)


def _csv_rows(table: TextTable, part: TablePart | None) -> Iterator[TextRow]:
    lines = TableLines(table.path, part)
    first = part.n_rows + 1 if part else 1
    for number, (where, cells, problem) in enumerate(csv_cells(lines, table.path, table.delimiter), first):
        if not problem and len(cells) != len(table.names):
            problem = InputError(
                f"expected {len(table.names)} cells as in the header, got {len(cells)}. Correct the row.",
                code="corpus.columns",
                where=where,
            )
        values = dict(zip(table.names, cells, strict=False))
        yield _row(table, number, where, values, problem=problem)


def _read_header(path: Path, text: str, delimiters: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return the delimiter that gives the header a column of texts, else the most columns; and the names."""
    headers: dict[str, list[str]] = {}
    problem = InputError(
        "the file is empty. The first line must name the columns.", code="corpus.empty", where=path
    )
    for delimiter in delimiters:
        lines = TableLines(path)
        rows = csv.reader(iter(lines), delimiter=delimiter, strict=True)
        try:
            header = next_row(rows)
            while header == []:  # blank lines
                header = next_row(rows)
        except csv.Error as error:
            problem = no_csv(f"{path}:1", error)
            continue
        if lines.problem:
            raise lines.problem
        if header is not None:
            headers[delimiter] = header
    if not headers:
        raise problem
    delimiter = max(headers, key=lambda one: (text in headers[one], len(headers[one])))
    return delimiter, tuple(headers[delimiter])


def _parquet_rows(table: TextTable, part: TablePart | None) -> Iterator[TextRow]:
    first = part.n_rows + 1 if part else 1
    groups = (part.begin, part.end) if part else None
    for number, (values, reason) in enumerate(parquet_rows(table.path, table.text, groups), first):
        where = f"{table.path}: row {number}"
        problem = None
        if reason:
            problem = InputError(f"{reason} is not UTF-8. Correct it.", code="corpus.encoding", where=where)
        yield _row(table, number, where, values, problem=problem)


def _row(
    table: TextTable,
    number: int,
    where: str,
    values: Mapping[str, Any],
    *,
    line: str = "",
    problem: InputError | None = None,
) -> TextRow:
    """Check the text of a row."""
    id = values.get(table.id) if table.id is not None else None
    text: str | None = None
    try:
        if problem:
            raise problem
        if table.text not in values:
            raise InputError(
                f"the record has no key {table.text!r} (its keys are {join_names(values)}). Add the text, or "
                "null.",
                code="corpus.record",
                where=where,
            )
        if line:
            for name in table.new_columns:
                if name in values:
                    raise _has_new_column(where, name)
        value = values[table.text]
        text = None if value is None else string(value, table.text, where)
    except InputError as error:
        return TextRow(number, where, None, id, values, line, error)
    return TextRow(number, where, text, id, values, line)


def _cut_lines(table: TextTable, size: int) -> Iterator[TablePart]:
    lines = TableLines(table.path)
    records: Iterable[object] = lines
    if table.format != "jsonl":
        records = csv_cells(lines, table.path, table.delimiter)
    begin, n_lines, n_rows = 0, 0, 0
    for number, _ in enumerate(records, 1):
        if lines.position - begin >= size:
            yield TablePart(begin, lines.position, n_lines, n_rows)
            begin, n_lines, n_rows = lines.position, lines.number, 0 if table.format == "jsonl" else number
    if lines.position > begin:
        yield TablePart(begin, lines.position, n_lines, n_rows)


def _cut_groups(path: Path, size: int) -> Iterator[TablePart]:
    begin = n_rows = before = n_bytes = 0
    for group, (group_rows, group_bytes) in enumerate(parquet_group_sizes(path), 1):
        n_rows, n_bytes = n_rows + group_rows, n_bytes + group_bytes
        if n_bytes >= size:
            yield TablePart(begin, group, 0, before)
            begin, before, n_bytes = group, n_rows, 0
    if n_bytes:
        yield TablePart(begin, group, 0, before)


READERS: dict[TableFormat, Callable[[TextTable, TablePart | None], Iterator[TextRow]]] = {
    "jsonl": _jsonl_rows,
    "csv": _csv_rows,
    "tsv": _csv_rows,
    "parquet": _parquet_rows,
}
