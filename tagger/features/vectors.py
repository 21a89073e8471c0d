"""Read static word vectors from GloVe, word2vec, fastText and table files, optionally gzipped."""

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
_MAX_SIZE = 100_000  # maximum vector size; a wrong header could make the whole file one vector
_MAX_ROW_BYTES = 1 << 22  # maximum size of a text row, or of a word in a binary file

Rows = Iterator[tuple[str, NDArray[np.float32]]]


@dataclass(frozen=True, slots=True)
class Vectors:
    """Vectors of the requested words.

    Attributes:
        trainable: Trainable vectors, each of shape (D,), by normalised word of the training set.
        frozen_words: N further words with frozen vectors, in the order of the file (usually by frequency).
        frozen: (N, D) float16 frozen vectors of ``frozen_words``; larger values are clipped to the type's
            range.
        size: D.
        duplicates: Number of skipped rows that repeat a kept word.
    """

    trainable: dict[str, NDArray[np.float32]]
    frozen_words: tuple[str, ...]
    frozen: NDArray[np.float16]
    size: int
    duplicates: int


def read_vectors(
    path: Path, words: Collection[str], *, limit: int, normalise: Callable[[str], str] = str
) -> Vectors:
    """Stream a vectors file and read the required rows, skipping the values of all others.

    Each word of the file provides the vector of its normalised form. If several words have the same form
    ("Apple", "apple"), the one equal to the form wins, else the first. A word of the training set that is not
    in the file gets the vector of its lower-case form.

    Args:
        path: The vectors file.
        words: Normalised words of the training set.
        limit: Maximum number of kept words that are not in ``words``.
        normalise: Function that normalises a word.

    Raises:
        InputError: The file is missing, empty or malformed; the message names the row.
    """
    selection = _Selection(words, limit, normalise)
    for word, values in _rows(path, selection.is_required):
        selection.keep(word, values)
    if selection.is_empty:
        raise _malformed("the vectors file is empty. Pass a GloVe, word2vec or fastText file.", path)
    frozen = list(selection.frozen.values())
    return Vectors(
        trainable=selection.trainable | _copy_lowercase(selection, words),
        frozen_words=tuple(selection.frozen),
        frozen=np.stack(frozen) if frozen else np.zeros((0, selection.size), np.float16),
        size=selection.size,
        duplicates=selection.duplicates,
    )


def _copy_lowercase(selection: _Selection, words: Iterable[str]) -> dict[str, NDArray[np.float32]]:
    """Return vectors of the lower-case forms for words that the file does not have."""
    copies = {}
    for word in words:
        lower = word.lower()
        if word not in selection.trainable and lower in selection.trainable:
            copies[word] = selection.trainable[lower]
        elif word not in selection.trainable and lower in selection.frozen:
            copies[word] = selection.frozen[lower].astype(np.float32)
    return copies


class _Selection:
    """The rows of a vectors file that are kept, decided row by row."""

    def __init__(self, words: Collection[str], limit: int, normalise: Callable[[str], str]) -> None:
        self.words = words
        self.limit = limit
        self.normalise = normalise
        self.is_empty = True
        self.kept: set[str] = set()
        self.duplicates = 0
        self.size = 0
        self.trainable: dict[str, NDArray[np.float32]] = {}
        self.frozen: dict[str, NDArray[np.float16]] = {}

    def is_required(self, word: str) -> bool:
        """True if the values of this word's row are required; called for every row of the file."""
        self.is_empty = False
        return self._has_capacity(self.normalise(word))

    def keep(self, word: str, values: NDArray[np.float32]) -> None:
        """Keep a required row, unless a better spelling of its form is already kept."""
        form = self.normalise(word)
        self.size = len(values)
        if word in self.kept:
            self.duplicates += 1
        elif self._has_capacity(form):  # a row of the same block may have reached the limit
            self.kept.add(word)
            if form in self.words:
                if form == word or form not in self.trainable:
                    self.trainable[form] = values
            elif form == word or form not in self.frozen:
                self.frozen[form] = np.clip(values, -_LARGEST, _LARGEST).astype(np.float16)

    def _has_capacity(self, form: str) -> bool:
        return form in self.words or form in self.frozen or len(self.frozen) < self.limit


def _rows(path: Path, is_required: Callable[[str], bool]) -> Rows:
    try:
        with open_input(path) as file:
            is_compressed = file.peek(2).startswith(b"\x1f\x8b")
            yield from _parse(
                path, cast(BinaryIO, gzip.GzipFile(fileobj=file) if is_compressed else file), is_required
            )
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"the vectors cannot be read ({error}). Check the path.", code="file.unreadable", where=path
        ) from None


def _parse(path: Path, file: BinaryIO, is_required: Callable[[str], bool]) -> Rows:
    lines = _lines(path, file)
    first = next(lines, b"").removeprefix(codecs.BOM_UTF8)
    header = first.split()
    if len(header) == 2 and all(part.isdigit() for part in header):
        if max(map(len, header)) > 18 or not 0 < int(header[1]) <= _MAX_SIZE:
            raise _malformed(
                "the first line gives a count or size that no vectors file has. Download it again.", path, 1
            )
        count, size = int(header[0]), int(header[1])
        second = file.readline(_MAX_ROW_BYTES)
        layout = find_layout(path, 2, second) if _is_printable(second) else None
        if layout and layout.size == size:
            rows = _check_count(path, chain([second], lines), count)
            yield from _parse_text(path, rows, size, 2, is_required, layout)
            return
        if _is_text_row(second, size):
            yield from _parse_text(
                path, _check_count(path, chain([second], lines), count), size, 2, is_required
            )
            return
        # A row of float32 values has at least this length and is almost never printable.
        start = second + file.read(4 * size) + file.readline(_MAX_ROW_BYTES)
        if _is_printable(start):
            raise _malformed(
                f"expected a word and {size} values, as the first line says. Download it again.", path, 2
            )
        yield from _parse_binary(path, file, start, count, size, is_required)
        return
    number = 1
    if is_table_header(first):
        first, number = next(lines, b""), 2
    layout = find_layout(path, number, first)
    rows = chain([first] if first else [], lines)
    yield from _parse_text(path, rows, layout.size if layout else _width(first), number, is_required, layout)


def _width(first: bytes) -> int:
    """Return the number of values of a first row; its word may contain spaces but no number."""
    fields = first.split()
    values = len(list(takewhile(is_number_like, reversed(fields[1:]))))
    has_number = any(map(holds_number, fields[1 : len(fields) - values]))
    return len(fields) - 1 if has_number or not values else values


def _lines(path: Path, file: BinaryIO) -> Iterator[bytes]:
    for line in limited_lines(file, max_bytes=_MAX_ROW_BYTES):
        if len(line) > _MAX_ROW_BYTES:
            raise _malformed(f"a line has more than {_MAX_ROW_BYTES:,} bytes. Pass a vectors file.", path)
        yield line


def _check_count(path: Path, lines: Iterable[bytes], count: int) -> Iterator[bytes]:
    """Yield the rows; raise InputError if their number differs from the count in the first line."""
    rows = 0
    for line in lines:
        rows += not line.isspace()
        yield line
    if rows != count:
        raise _malformed(f"the first line says {count} vectors, but {rows} follow. Download it again.", path)


def _is_printable(start: bytes) -> bool:
    try:
        return all(character.isprintable() or character.isspace() for character in start.decode())
    except UnicodeDecodeError:
        return False


def _is_text_row(line: bytes, size: int) -> bool:
    """True if a word2vec file has text rows; raw float32 values almost never read as numbers."""
    fields = line.split()
    return len(fields) > size and all(map(_is_number, fields[len(fields) - size :]))


def _parse_text(
    path: Path,
    lines: Iterator[bytes],
    size: int,
    line_number: int,
    is_required: Callable[[str], bool],
    layout: Layout | None = None,
) -> Rows:
    if size < 1:
        if next(lines, None) is not None:
            raise _malformed(
                "expected a word and its values, separated by spaces. Pass a GloVe, word2vec or fastText "
                "file.",
                path,
                line_number,
            )
        return
    while block := list(islice(lines, 4096)):
        words, values, numbers = [], [], []
        for number, line in enumerate(block, start=line_number):
            # A word may contain spaces (GloVe 840B), its values never do: split from the right.
            row = line.rstrip()
            if layout:
                fields = layout.cut(path, number, row)
            elif row.count(b" ") == size and b"\t" not in row:
                fields = row.split(b" ", 1)
            else:
                fields = _split_from_right(path, number, row, size)
            if fields and is_required(word := fields[0].decode("utf-8", errors="replace")):
                words.append(word)
                values.append(fields[1])
                numbers.append(number)
        yield from zip(words, _to_floats(path, values, numbers, size), strict=True)
        line_number += len(block)


def _malformed(message: str, path: Path, line: int | None = None) -> InputError:
    return InputError(message, code="vectors.format", where=f"{path}:{line}" if line else path)


def _split_from_right(path: Path, number: int, row: bytes, size: int) -> list[bytes]:
    parts = row.replace(b"\t", b" \t ").split(b" ")  # a tab becomes a field that is not a number
    parts = [part for part in parts if part]
    if not parts:
        return []
    word, values = parts[: len(parts) - size], parts[max(0, len(parts) - size) :]
    if not word or any(map(holds_number, word[1:])) or not all(map(_is_number, values)) or b"\t" in word:
        raise _malformed(
            f"expected a word and {size} values, got {len(parts) - 1} values. All vectors of a file must "
            "have the same size.",
            path,
            number,
        )
    return [b" ".join(word), b" ".join(values)]


def _to_floats(path: Path, values: list[bytes], numbers: list[int], size: int) -> NDArray[np.float32]:
    if not values:
        return np.zeros((0, size), np.float32)
    matrix = np.zeros((len(values), size), np.float32)
    try:
        # numpy and Python also accept control characters and the _ of 1_000 in numbers.
        if b"".join(values).translate(None, _NUMERALS):
            raise ValueError
        matrix[:] = np.loadtxt(values, dtype=np.float32, delimiter=" ", comments=None, ndmin=2)
        bad = ~np.isfinite(matrix).all(axis=1)
    except ValueError:
        bad = np.array([not all(map(_is_number, row.split(b" "))) for row in values])
    if bad.any():
        raise _malformed(
            "a value of the vector is not a finite number. Correct that row or remove it.",
            path,
            numbers[int(bad.argmax())],
        )
    return matrix


def _is_number(value: bytes) -> bool:
    try:
        return not value.translate(None, _NUMERALS) and math.isfinite(float(value))
    except ValueError:
        return False


def _parse_binary(
    path: Path, file: BinaryIO, start: bytes, count: int, size: int, is_required: Callable[[str], bool]
) -> Rows:
    buffer, begin, width = start, 0, 4 * size
    for number in range(1, count + 1):
        while (space := buffer.find(b" ", begin)) < 0 or len(buffer) < space + 1 + width:
            more = file.read(1 << 20)
            if not more:
                raise _malformed(f"the file ends within vector {number} of {count}. Download it again.", path)
            if len(buffer) - begin > _MAX_ROW_BYTES + width:
                raise _malformed(
                    f"vector {number} of {count} has no space after its word. Download it again.", path
                )
            buffer, begin = buffer[begin:] + more, 0
        word = buffer[begin:space].lstrip(b"\n").decode("utf-8", errors="replace")
        begin = space + 1 + width
        if is_required(word):
            values = np.frombuffer(buffer, dtype="<f4", count=size, offset=space + 1).astype(np.float32)
            if not np.isfinite(values).all():
                raise _malformed(
                    f"vector {number} ({word!r}) has a value that is not finite. Download it again.", path
                )
            yield word, values
