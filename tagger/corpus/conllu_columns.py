"""Columns of CoNLL-U and CoNLL-U Plus."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tagger.errors import InputError, OnError, Warn

FIELDS = {
    "pos": 3,
    "upos": 3,
    "xpos": 4,
    "lemma": 2,
    "feats": 5,
    "head": 6,
    "deprel": 7,
    "deps": 8,
    "misc": 9,
}
"""Column index of each tag. ``pos`` is an alias of ``upos``."""

ALL_TAGS = tuple(name for name in FIELDS if name != "upos")
"""One name per tag column."""
COLUMN_COUNT = 10
FORM, MISC = 1, 9
_PLUS = re.compile(r"# *global\.columns *=(.*)")


def plus_columns(line: str) -> dict[str, int] | None:
    """Return the column indices that the first line of a CoNLL-U Plus file declares, or None.

    ``pos`` is an alias of ``upos``.
    """
    match = _PLUS.match(line)
    if match is None:
        return None
    indices = {name.lower(): index for index, name in enumerate(match[1].split())}
    return indices | ({"pos": indices["upos"]} if "upos" in indices else {})


@dataclass(frozen=True, slots=True)
class TokenLines:
    """How to read the token lines of one file.

    Attributes:
        path: The file, for messages.
        count: The number of columns.
        indices: The column index of each tag, by name.
        form: The column index of the token.
        misc: The column index of MISC, or None.
        tasks: The tags to read.
        warn: Receives warnings.
    """

    path: str | Path
    count: int
    indices: Mapping[str, int]
    form: int
    misc: int | None
    tasks: Sequence[str]
    warn: Warn


def find_token_lines(
    path: str | Path,
    first: str,
    tasks: Sequence[str] | None,
    on_error: OnError,
    warn: Warn,
) -> TokenLines | None:
    """Determine the columns from the file's first line. None if a column declaration lacks ID or FORM."""
    named = plus_columns(first)
    if named is None:
        requested = ALL_TAGS if tasks is None else tasks
        return TokenLines(path, COLUMN_COUNT, FIELDS, FORM, MISC, requested, warn)
    if named.get("id") != 0 or "form" not in named:
        on_error(
            InputError(
                f"CoNLL-U Plus requires the columns ID, as the first, and FORM (got {first!r:.80}). "
                "Name them, or read the file as CoNLL columns with --format conll.",
                code="corpus.columns",
                where=f"{path}:1",
                option="--format",
            )
        )
        return None
    indices = {name: index for name, index in named.items() if name not in ("id", "form")}
    requested = [name for name in indices if name != "upos"] if tasks is None else tasks
    count = max(named.values()) + 1
    return TokenLines(path, count, indices, named["form"], named.get("misc"), requested, warn)
