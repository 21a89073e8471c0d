"""Read the lines and CSV rows of a table of texts, or of a part of it."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tagger.corpus.lines import LONGEST_LINE, raw_lines
from tagger.errors import InputError
from tagger.storage import limited_lines, open_input


class TablePart(NamedTuple):
    """Consecutive rows of a file.

    Attributes:
        begin: The first byte, which begins a row; in a Parquet file, the first row group.
        end: The position after the last byte or row group.
        n_lines: The number of lines before it; 0 for Parquet.
        n_rows: The number of rows before it; 0 for JSONL, whose rows are numbered by lines.
    """

    begin: int
    end: int
    n_lines: int = 0
    n_rows: int = 0


class TableLines:
    """Decoded lines of a text file, with their line ends.

    Attributes:
        number: The number of lines read so far.
        position: The number of bytes read so far.
        problem: The error of the first line that is not UTF-8 since it was last reset, or None.

    Args:
        path: The file.
        part: The part to read; None for the whole file, which may be compressed.
    """

    def __init__(self, path: Path, part: TablePart | None = None) -> None:
        self.number = part.n_lines if part else 0
        self.position = part.begin if part else 0
        self.problem: InputError | None = None
        self._path = path
        self._part = part

    def __iter__(self) -> Iterator[str]:
        for raw in _range_lines(self._path, self._part) if self._part else raw_lines(self._path):
            self.number += 1
            self.position += len(raw)
            where = f"{self._path}:{self.number}"
            if len(raw) > LONGEST_LINE:
                raise InputError(
                    f"the line has more than {LONGEST_LINE:,} bytes. Shorten it.",
                    code="input.size",
                    where=where,
                )
            line = raw.removeprefix(codecs.BOM_UTF8) if self.number == 1 else raw
            try:
                yield line.decode()
            except UnicodeDecodeError as error:
                self.problem = self.problem or InputError(
                    f"byte {error.start + 1} of the line (0x{line[error.start]:02x}) is not UTF-8. Convert "
                    "the file to UTF-8, e.g. with iconv.",
                    code="corpus.encoding",
                    where=where,
                )
                yield line.decode(errors="replace")


def _range_lines(path: Path, part: TablePart) -> Iterator[bytes]:
    """Yield the lines of a part of a file that is not compressed."""
    try:
        with open_input(path) as file:
            file.seek(part.begin)
            position = part.begin
            for line in limited_lines(file, max_bytes=LONGEST_LINE):
                if position >= part.end:
                    return
                position += len(line)
                yield line
    except OSError as error:
        raise InputError(
            f"the file cannot be read ({error.strerror or error}). Check it.",
            code="file.unreadable",
            where=path,
        ) from None


def csv_cells(
    lines: TableLines, path: Path, delimiter: str
) -> Iterator[tuple[str, Sequence[str], InputError | None]]:
    """Yield the ``file:line`` and the cells of each row after the header; skip blank lines."""
    rows = csv.reader(iter(lines), delimiter=delimiter, strict=True)
    is_header = lines.position == 0
    while True:
        where = f"{path}:{lines.number + 1}"
        cells: Sequence[str] | None = ()
        try:
            cells = next_row(rows)
        except csv.Error as error:
            lines.problem = lines.problem or no_csv(where, error)
        if cells is None:
            return
        problem, lines.problem = lines.problem, None
        if not cells and not problem:
            continue
        if not is_header:
            yield where, cells, problem
        is_header = False


def next_row(rows: Iterator[list[str]]) -> list[str] | None:
    """Return the next row, or None at the end. The limit of a cell, which is global, is raised meanwhile."""
    limit = csv.field_size_limit(LONGEST_LINE)
    try:
        return next(rows, None)
    finally:
        csv.field_size_limit(limit)


def no_csv(where: str, error: csv.Error) -> InputError:
    """Return the error for a row that the csv module rejects."""
    return InputError(
        f"the row cannot be read as CSV ({error}). Correct its quotation marks.",
        code="corpus.record",
        where=where,
    )
