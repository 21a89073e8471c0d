"""Layouts of vectors files with separators other than single spaces.

The first row determines the layout of the whole file, and a later row with another layout is an error, so
that a number never becomes part of a word: ``word<TAB>1 2``, ``word<TAB>1<TAB>2``, ``word 1,2``, ``word [1,
2]``, ``word,1,2`` and ``word;1;2``, with or without a header.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from tagger.errors import InputError

_HEADS = {b"", b"word", b"words", b"token", b"tokens", b"key", b"term"}
_AROUND = b" []()"


@dataclass(frozen=True, slots=True)
class Layout:
    """Layout of the rows of a vectors file.

    Attributes:
        after_word: Separator of word and values: a tab, space, comma, semicolon or opening bracket.
        between: Separator of values: a tab, comma, semicolon or space.
        size: Number of values of a row.
    """

    after_word: bytes
    between: bytes
    size: int

    def cut(self, path: Path, number: int, row: bytes) -> list[bytes]:
        """Return a row's word and its values joined by spaces, or an empty list for an empty row.

        Raises:
            InputError: The row does not have this layout.
        """
        if not row:
            return []
        word, values = self._split(row)
        is_whole = len(values) == self.size and all(map(is_number_like, values))
        if not is_whole or not self._is_word(word):
            raise InputError(
                f"expected a word and {self.size} values, separated as in the first row. Write every row as "
                "`word 0.1 0.2 ...`.",
                code="vectors.format",
                where=f"{path}:{number}",
            )
        return [_unquoted(word) if self.after_word == self.between else word, b" ".join(values)]

    def _split(self, row: bytes) -> tuple[bytes, list[bytes]]:
        if self.after_word == b"\t":
            word, _, rest = row.partition(b"\t")
        elif self.after_word == b"[":
            word, _, rest = row.rpartition(b"[")
        elif self.after_word == b" ":
            head, *others = row.rsplit(self.between, self.size - 1)
            word, _, value = head.rstrip().rpartition(b" ")
            return word.strip(), [value, *(other.strip() for other in others)]
        else:
            word, *values = row.rsplit(self.between, self.size)
            return word, [value.strip() for value in values]
        rest = rest.strip(_AROUND)
        values = rest.split() if self.between == b" " else rest.split(self.between)
        return word.strip(), [value.strip() for value in values]

    def _is_word(self, word: bytes) -> bool:
        """True if these bytes can be a complete word: they contain no value, separator or tab."""
        if b"\t" in word or any(map(holds_number, word.split(b" ")[1:])):
            return False
        is_table = self.after_word == self.between != b"\t"
        is_quoted = len(word) > 1 and word[:1] == word[-1:] == b'"'
        return not is_table or is_quoted or self.between not in word or not word.strip(self.between)


def find_layout(path: Path, number: int, first: bytes) -> Layout | None:
    """Return the layout of a first row; None if it is a word and values separated by spaces.

    Args:
        path: The file, for the error message.
        number: Line number of the row.
        first: The row.

    Raises:
        InputError: The row is ambiguous or has no known layout.
    """
    row = first.strip(b" \r\n")
    for layout in _candidates(row):
        word, values = layout._split(row)
        if len(values) != layout.size or not all(map(is_number_like, values)):
            continue
        if layout.between in b",;" and layout.size == 2 and b"." not in b"".join(values):
            break  # 0,5 may be one number or two
        if layout._is_word(word):
            return layout
    else:
        if b"\t" not in row:
            return None
        if is_table_header(first):
            return None
    raise InputError(
        "it is not clear where the word ends and which values follow (decimal commas or mixed separators). "
        "Write every row as `word 0.1 0.2 ...`.",
        code="vectors.format",
        where=f"{path}:{number}",
    )


def _candidates(row: bytes) -> list[Layout]:
    layouts = []
    if b"\t" in row or row.endswith(b"]"):
        after = b"\t" if b"\t" in row else b"["
        rest = (row.partition(b"\t") if after == b"\t" else row.rpartition(b"["))[2].strip(_AROUND)
        between = next((mark for mark in (b"\t", b",", b";") if mark in rest), b" ")
        size = len(rest.split()) if between == b" " else rest.count(between) + 1
        return [Layout(after, between, size)]
    for between in (b",", b";"):
        pieces = [piece.strip() for piece in row.split(between)]
        count = len(list(takewhile(is_number_like, reversed(pieces[1:]))))
        if not count:
            continue
        head = between.join(row.split(between)[: len(pieces) - count]).rstrip()
        if b" " in head and is_number_like(head.rpartition(b" ")[2]):
            layouts.append(Layout(b" ", between, count + 1))
        elif count > 1:
            layouts.append(Layout(between, between, count))
    return layouts


def is_table_header(first: bytes) -> bool:
    """True if a first row is the header of a table: ``word,d1,d2``, or pandas' ``,0,1,2``."""
    row = first.strip(b" \r\n")
    between = next((mark for mark in (b"\t", b",", b";") if mark in row), None)
    if between is None:
        return False
    head, *names = (name.strip(b' "') for name in row.split(between))
    if head.lower() not in _HEADS:
        return False
    if not any(is_number_like(part) for name in names for part in name.split()):
        return all(names)
    return names in ([b"%d" % n for n in range(k, k + len(names))] for k in (0, 1))


def is_number_like(value: bytes) -> bool:
    """True if Python reads this as a number, including NaN and infinity, which the reader rejects later."""
    try:
        float(value)
    except ValueError:
        return False
    return True


def holds_number(value: bytes) -> bool:
    """True if a field is a number or contains one between commas or semicolons."""
    return any(map(is_number_like, value.replace(b";", b",").split(b",")))


def _unquoted(word: bytes) -> bytes:
    if len(word) > 1 and word[:1] == word[-1:] == b'"':
        return word[1:-1].replace(b'""', b'"')
    return word
