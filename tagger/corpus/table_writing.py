"""Write tables of texts with new columns of spans: JSONL, CSV, TSV and Parquet."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from tagger.corpus.jsonl import json_line
from tagger.corpus.parquet_tables import infer_schema, open_parquet, write_parquet_rows
from tagger.corpus.text_tables import TableFormat, TextRow, TextTable

Cell = list[dict[str, Any]] | None
"""The spans of a text, each with ``start``, ``end``, ``label`` and ``score``; None for a null text."""
TaggedRow = tuple[TextRow, Mapping[str, Cell]]
"""A row, and its cells of the new columns by name."""


def write_text_table(rows: Iterable[TaggedRow], table: TextTable, file: TextIO, format: TableFormat) -> None:
    """Write rows as JSONL, CSV or TSV.

    A record of a JSONL file keeps its characters, and the new columns follow. In CSV, a null is an empty
    cell, a string is written unchanged, and other values are JSON. CSV keeps the delimiter of a CSV table.

    Args:
        rows: The rows.
        table: The table that they come from. A JSONL file is read once more if the output needs a header.
        file: The output, opened with unchanged line ends.
        format: The format of the output, other than Parquet.
    """
    if format == "jsonl":
        for row, spans in rows:
            file.write(_extended(row, spans))
        return
    names = table.names or tuple(dict.fromkeys(name for values in _records(table) for name in values))
    delimiter = "\t" if format == "tsv" else table.delimiter if table.format == "csv" else ","
    # The writer quotes cells with characters of its line end only, and cells may contain either.
    writer = csv.writer(_Lines(file), delimiter=delimiter, lineterminator="\r\n")
    writer.writerow([*names, *table.new_columns])
    for row, spans in rows:
        cells = [row.values.get(name) for name in names] + [spans[name] for name in table.new_columns]
        writer.writerow(map(_csv_cell, cells))


def write_parquet_table(rows: Iterable[TaggedRow], table: TextTable, path: Path) -> None:
    """Write rows as Parquet, with spans as lists of structs; memory does not grow with the table.

    A Parquet table keeps its types and metadata. The columns of CSV are strings; those of JSONL have the
    types of their values, for which the file is read once more.

    Args:
        rows: The rows.
        table: The table that they come from.
        path: The output.

    Raises:
        InputError: pyarrow is not installed, or the values of a column have several types.
    """
    if table.format == "parquet":
        with open_parquet(table.path) as file:
            schema = file.schema_arrow
    else:
        empty = dict.fromkeys(table.names, "")  # the cells of CSV are strings
        schema = infer_schema([empty] if empty else _records(table), table.path)
    cells = ((row.values, spans) for row, spans in rows)
    write_parquet_rows(cells, path, schema, table.new_columns)


def error_line(row: TextRow, table: TextTable) -> str:
    """Return the JSON line of a row that cannot be tagged: its number, its id if there is one, and why."""
    assert row.problem
    values = {"row": row.number} if table.id is None else {"row": row.number, "id": row.id}
    return json_line({**values, "code": row.problem.code, "error": str(row.problem)})


class _Lines:
    r"""Text file that receives lines with the end ``\r\n`` and ends them with ``\n``."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, line: str) -> None:
        self._file.write(line[:-2] + "\n")


def _records(table: TextTable) -> Iterator[Mapping[str, Any]]:
    """Yield the values of the rows that will be written."""
    return (row.values for row in table.rows() if not row.problem)


def _extended(row: TextRow, spans: Mapping[str, Cell]) -> str:
    """Return the line of a row, with new keys at the end."""
    if not row.line:
        return json_line({**row.values, **spans})
    separator = ", " if row.values else ""
    return f"{row.line[:-1].rstrip()}{separator}{json_line(spans)[1:]}"


def _csv_cell(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json_line(value).rstrip("\n")
