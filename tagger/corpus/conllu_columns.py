"""Which column of CoNLL-U and CoNLL-U Plus holds what."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tagger.errors import Refuse

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
"""Place of each tag in a line; ``pos`` and ``upos`` are two names of one."""

ALL_TAGS = tuple(name for name in FIELDS if name != "upos")
"""A name for each tag in a line."""
COLUMN_COUNT = 10
FORM, MISC = 1, 9
_PLUS = re.compile(r"# *global\.columns *=(.*)")


def plus_columns(line: str) -> dict[str, int] | None:
    """Return the places of the columns that a CoNLL-U Plus file names in its first line, None if it is none.

    ``pos`` and ``upos`` are two names of one.
    """
    match = _PLUS.match(line)
    if match is None:
        return None
    places = {name.lower(): place for place, name in enumerate(match[1].split())}
    return places | ({"pos": places["upos"]} if "upos" in places else {})


@dataclass(frozen=True, slots=True)
class TokenLines:
    """How the lines of one file are read.

    Attributes:
        path: The file, for messages.
        count: Columns of a line.
        places: The place of each column's tags, by name.
        form: The place of the token.
        misc: The place of MISC, None if there is none.
        tasks: The tags to read.
        note: Receives what is read in an unusual way.
    """

    path: str | Path
    count: int
    places: Mapping[str, int]
    form: int
    misc: int | None
    tasks: Sequence[str]
    note: Callable[[str], object]


def find_token_lines(
    path: str | Path, first: str, tasks: Sequence[str] | None, refuse: Refuse, note: Callable[[str], object]
) -> TokenLines | None:
    """Take the columns from the file's first line, if it names them; None if they are no tokens' columns."""
    named = plus_columns(first)
    if named is None:
        wanted = ALL_TAGS if tasks is None else tasks
        return TokenLines(path, COLUMN_COUNT, FIELDS, FORM, MISC, wanted, note)
    if named.get("id") != 0 or "form" not in named:
        refuse(
            f"{path}:1: CoNLL-U Plus needs the columns ID, as the first, and FORM (got {first!r:.80}). Name "
            "them, or read the file as CoNLL columns with --format conll."
        )
        return None
    places = {name: place for name, place in named.items() if name not in ("id", "form")}
    wanted = [name for name in places if name != "upos"] if tasks is None else tasks
    count = max(named.values()) + 1
    return TokenLines(path, count, places, named["form"], named.get("misc"), wanted, note)
