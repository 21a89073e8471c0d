"""Static word vectors from a file: GloVe, word2vec, fastText, tables (see ``layouts``); also gzipped."""

from __future__ import annotations

import codecs
import gzip
import math
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from tagger.errors import InputError
from tagger.features.vector_rows import Layout, find_layout, holds_number, is_number_like, is_table_header
from tagger.storage import limited_lines, open_input

_LARGEST = np.finfo(np.float16).max
_NUMERALS = b"0123456789+-.eE "
_WIDEST = 100_000  # values of a vector; a first line that says more would have us read a whole file as one
_LONGEST_ROW = 1 << 22  # bytes of a row of text, or of a word in a binary file

Rows = Iterator[tuple[str, NDArray[np.float32]]]


@dataclass(frozen=True, slots=True)
class Vectors:
    """Vectors of the words that were asked for.

    Attributes:
        trained: Vectors of words of the train part, each of shape (D,), by the form they are looked up under.
        fixed_words: N further words of the file, in its order (the usual files begin with the frequent ones).
        fixed: (N, D) float16 vectors of ``fixed_words``; larger values are clipped to the type's range.
        size: D.
        duplicates: How many rows of the file repeated a word that was kept, and were left out.
    """

    trained: dict[str, NDArray[np.float32]]
    fixed_words: tuple[str, ...]
    fixed: NDArray[np.float16]
    size: int
    duplicates: int


def read_vectors(
    path: Path, words: Collection[str], *, limit: int, normalise: Callable[[str], str] = str
) -> Vectors:
    """Read the rows that are needed, as a stream; other rows are passed over without parsing their values.

    A word of the file stands for its normalised form; where several have the same form ("Apple", "apple"),
    the one that is written like the form wins, else the first. A word of train that the file lacks takes the
    vector of its lower-case form.

    Args:
        path: The vectors file.
        words: Normalised words of the train part.
        limit: Most rows to keep of words that are not in ``words``.
        normalise: The form under which words are looked up.

    Raises:
        InputError: The file is missing, empty or malformed; the message names the row.
    """
    choice = _Choice(words, limit, normalise)
    for word, values in _rows(path, choice.wants):
        choice.keep(word, values)
    if choice.is_empty:
        raise InputError(f"{path}: the vectors file is empty; give a GloVe, word2vec or fastText file.")
    fixed = list(choice.fixed.values())
    return Vectors(
        trained=choice.trained | _borrow(choice, words),
        fixed_words=tuple(choice.fixed),
        fixed=np.stack(fixed) if fixed else np.zeros((0, choice.size), np.float16),
        size=choice.size,
        duplicates=choice.duplicates,
    )


def _borrow(choice: _Choice, words: Iterable[str]) -> dict[str, NDArray[np.float32]]:
    """Vectors of the lower-case forms for words whose own form the file lacks: most files are lower-cased."""
    found = {}
    for word in words:
        lower = word.lower()
        if word not in choice.trained and lower in choice.trained:
            found[word] = choice.trained[lower]
        elif word not in choice.trained and lower in choice.fixed:
            found[word] = choice.fixed[lower].astype(np.float32)
    return found


class _Choice:
    """Which rows of the file are kept, decided row by row."""

    def __init__(self, words: Collection[str], limit: int, normalise: Callable[[str], str]) -> None:
        self.words = words
        self.limit = limit
        self.normalise = normalise
        self.is_empty = True
        self.kept: set[str] = set()
        self.duplicates = 0
        self.size = 0
        self.trained: dict[str, NDArray[np.float32]] = {}
        self.fixed: dict[str, NDArray[np.float16]] = {}

    def wants(self, word: str) -> bool:
        """Whether this row's values are needed; called for every row of the file."""
        self.is_empty = False
        return self._has_place(self.normalise(word))

    def keep(self, word: str, values: NDArray[np.float32]) -> None:
        """Take a wanted row in, unless its form is there already and better written."""
        form = self.normalise(word)
        self.size = len(values)
        if word in self.kept:
            self.duplicates += 1
        elif self._has_place(form):  # the limit may have been reached since the row was wanted
            self.kept.add(word)
            if form in self.words:
                if form == word or form not in self.trained:
                    self.trained[form] = values
            elif form == word or form not in self.fixed:
                self.fixed[form] = np.clip(values, -_LARGEST, _LARGEST).astype(np.float16)

    def _has_place(self, form: str) -> bool:
        return form in self.words or form in self.fixed or len(self.fixed) < self.limit


def _rows(path: Path, wants: Callable[[str], bool]) -> Rows:
    try:
        with open_input(path) as file:
            is_packed = file.peek(2).startswith(b"\x1f\x8b")
            yield from _parse(path, cast(BinaryIO, gzip.GzipFile(fileobj=file) if is_packed else file), wants)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: the vectors cannot be read ({error}); check the path.") from None


def _parse(path: Path, file: BinaryIO, wants: Callable[[str], bool]) -> Rows:
    lines = _lines(path, file)
    first = next(lines, b"").removeprefix(codecs.BOM_UTF8)
    header = first.split()
    if len(header) == 2 and all(part.isdigit() for part in header):
        if max(map(len, header)) > 18 or not 0 < int(header[1]) <= _WIDEST:
            raise InputError(
                f"{path}:1: the first line gives a count or width that no vectors file has; get it again."
            )
        count, size = int(header[0]), int(header[1])
        second = file.readline(_LONGEST_ROW)
        layout = find_layout(path, 2, second) if _is_printable(second) else None
        if layout and layout.size == size:
            rows = _counted(path, chain([second], lines), count)
            yield from _parse_text(path, rows, size, 2, wants, layout)
            return
        if _is_text_row(second, size):
            yield from _parse_text(path, _counted(path, chain([second], lines), count), size, 2, wants)
            return
        # A row of float32 values is at least so long, and as good as never readable.
        start = second + file.read(4 * size) + file.readline(_LONGEST_ROW)
        if _is_printable(start):
            raise InputError(
                f"{path}:2: expected a word and {size} values, as the first line says; get it again."
            )
        yield from _parse_binary(path, file, start, count, size, wants)
        return
    number = 1
    if is_table_header(first):
        first, number = next(lines, b""), 2
    layout = find_layout(path, number, first)
    rows = chain([first] if first else [], lines)
    yield from _parse_text(path, rows, layout.size if layout else _width(first), number, wants, layout)


def _width(first: bytes) -> int:
    """Values of a first row; its word may hold spaces itself, but no number."""
    fields = first.split()
    values = len(list(takewhile(is_number_like, reversed(fields[1:]))))
    has_number = any(map(holds_number, fields[1 : len(fields) - values]))
    return len(fields) - 1 if has_number or not values else values


def _lines(path: Path, file: BinaryIO) -> Iterator[bytes]:
    for line in limited_lines(file, most=_LONGEST_ROW):
        if len(line) > _LONGEST_ROW:
            raise InputError(f"{path}: a line has more than {_LONGEST_ROW:,} bytes; give a vectors file.")
        yield line


def _counted(path: Path, lines: Iterable[bytes], count: int) -> Iterator[bytes]:
    """Pass rows on, and refuse a file that holds more or fewer of them than its first line says."""
    found = 0
    for line in lines:
        found += not line.isspace()
        yield line
    if found != count:
        raise InputError(f"{path}: the first line says {count} vectors, but {found} follow; get it again.")


def _is_printable(start: bytes) -> bool:
    try:
        return all(character.isprintable() or character.isspace() for character in start.decode())
    except UnicodeDecodeError:
        return False


def _is_text_row(line: bytes, size: int) -> bool:
    """Whether a word2vec file goes on with numbers as text; raw float32 values hardly ever read as such."""
    fields = line.split()
    return len(fields) > size and all(map(_is_number, fields[len(fields) - size :]))


def _parse_text(
    path: Path,
    lines: Iterator[bytes],
    size: int,
    line_number: int,
    wants: Callable[[str], bool],
    layout: Layout | None = None,
) -> Rows:
    if size < 1:
        if next(lines, None) is not None:
            raise _no_values(path, line_number)
        return
    while block := list(islice(lines, 4096)):
        words, values, numbers = [], [], []
        for number, line in enumerate(block, start=line_number):
            # A word may hold spaces itself (GloVe 840B), its values never do: cut from the right.
            row = line.rstrip()
            if layout:
                fields = layout.cut(path, number, row)
            elif row.count(b" ") == size and b"\t" not in row:
                fields = row.split(b" ", 1)
            else:
                fields = _cut_from_right(path, number, row, size)
            if fields and wants(word := fields[0].decode("utf-8", errors="replace")):
                words.append(word)
                values.append(fields[1])
                numbers.append(number)
        yield from zip(words, _to_floats(path, values, numbers, size), strict=True)
        line_number += len(block)


def _no_values(path: Path, number: int) -> InputError:
    return InputError(
        f"{path}:{number}: expected a word and its values, separated by spaces; give a GloVe, word2vec or "
        "fastText file."
    )


def _cut_from_right(path: Path, number: int, row: bytes, size: int) -> list[bytes]:
    parts = row.replace(b"\t", b" \t ").split(b" ")  # a tab is a field that is no number
    parts = [part for part in parts if part]
    if not parts:
        return []
    word, values = parts[: len(parts) - size], parts[max(0, len(parts) - size) :]
    if not word or any(map(holds_number, word[1:])) or not all(map(_is_number, values)) or b"\t" in word:
        raise InputError(
            f"{path}:{number}: expected a word and {size} values, got {len(parts) - 1} values; all vectors "
            f"of a file must have one width."
        )
    return [b" ".join(word), b" ".join(values)]


def _to_floats(path: Path, values: list[bytes], numbers: list[int], size: int) -> NDArray[np.float32]:
    if not values:
        return np.zeros((0, size), np.float32)
    matrix = np.zeros((len(values), size), np.float32)
    try:
        # numpy and Python take other things for parts of a number, too: control characters, the _ of 1_000.
        if b"".join(values).translate(None, _NUMERALS):
            raise ValueError
        matrix[:] = np.loadtxt(values, dtype=np.float32, delimiter=" ", comments=None, ndmin=2)
        bad = ~np.isfinite(matrix).all(axis=1)
    except ValueError:
        bad = np.array([not all(map(_is_number, row.split(b" "))) for row in values])
    if bad.any():
        raise InputError(
            f"{path}:{numbers[int(bad.argmax())]}: a value of the vector is not a finite number; correct "
            "that row or leave it out."
        )
    return matrix


def _is_number(value: bytes) -> bool:
    try:
        return not value.translate(None, _NUMERALS) and math.isfinite(float(value))
    except ValueError:
        return False


def _parse_binary(
    path: Path, file: BinaryIO, start: bytes, count: int, size: int, wants: Callable[[str], bool]
) -> Rows:
    buffer, begin, width = start, 0, 4 * size
    for number in range(1, count + 1):
        while (space := buffer.find(b" ", begin)) < 0 or len(buffer) < space + 1 + width:
            more = file.read(1 << 20)
            if not more:
                raise InputError(f"{path}: the file ends within vector {number} of {count}; get it again.")
            if len(buffer) - begin > _LONGEST_ROW + width:
                raise InputError(f"{path}: vector {number} of {count} has no end of its word; get it again.")
            buffer, begin = buffer[begin:] + more, 0
        word = buffer[begin:space].lstrip(b"\n").decode("utf-8", errors="replace")
        begin = space + 1 + width
        if wants(word):
            values = np.frombuffer(buffer, dtype="<f4", count=size, offset=space + 1).astype(np.float32)
            if not np.isfinite(values).all():
                raise InputError(
                    f"{path}: vector {number} ({word!r}) holds a value that is not finite; get it again."
                )
            yield word, values
