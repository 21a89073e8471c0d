"""CoNLL-U, the format of Universal Dependencies (https://universaldependencies.org/format.html)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from tagger.corpus.alignment import divide, join, locate, text_comment
from tagger.corpus.lines import numbered_lines
from tagger.errors import InputError
from tagger.text.sentence import Offset, Sentence

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

_COLUMN_COUNT = 10
_FORM, _MISC = 1, 9
_ALL = tuple(name for name in FIELDS if name != "upos")
_NEW_DOCUMENT = re.compile(r"# *newdoc(?: |$)")
_RANGE = re.compile(r"(\d+)-(\d+)")
_EMPTY_NODE = re.compile(r"\d+\.\d+")
_BREAKS = re.compile("[\t\r\n]")


def read_conllu(
    path: str | Path, *, columns: str | None = None, tasks: Sequence[str] | None = None
) -> Iterator[Sentence]:
    """Read sentences from a CoNLL-U file, one at a time.

    Tokens are the syntactic words. The lines of multi-word tokens and empty nodes are kept in
    ``extra_lines``; a ``# newdoc`` comment starts a document, and so does the file. ``text`` is the comment
    ``# text = …`` and offsets count in it; if that is missing or does not fit the forms, the text is rebuilt
    from the forms and ``SpaceAfter=No``. The words of a multi-word token lie inside its surface form where
    they make it up (``do`` and ``n't`` in ``don't``); else each covers all of it.

    Args:
        path: The file.
        columns: Not for this format, whose columns are fixed.
        tasks: Names from ``FIELDS`` to read into ``tags``; all of them when not said (UPOS as ``pos``).

    Yields:
        Sentences with ``tags`` by name.

    Raises:
        InputError: If columns are given or a task is unknown (at once); while reading, with file and line, if
            the file cannot be read, holds no sentence, or a line is not CoNLL-U.
    """
    if columns is not None:
        raise InputError(
            f"{path}: the columns of CoNLL-U are fixed; leave them out, or say the format conll."
        )
    for task in tasks or ():
        if task not in FIELDS:
            raise InputError(f"{path}: CoNLL-U holds no {task!r}; its tags are {', '.join(FIELDS)}.")
    return _read(path, _ALL if tasks is None else tasks)


def write_conllu(sentences: Iterable[Sentence], file: TextIO) -> None:
    """Write sentences as ``read_conllu`` reads them.

    Tags that CoNLL-U does not know have no place in it. Without ``misc``, ``SpaceAfter=No`` is told from the
    offsets. A comment ``# text`` is added where there is none, ``# newdoc`` where a document starts without
    one after the file's first sentence.

    Raises:
        InputError: If a token or tag is empty or holds a tab or line break.
    """
    for count, sentence in enumerate(sentences):
        if sentence.starts_document and count and not any(map(_NEW_DOCUMENT.match, sentence.comments)):
            file.write("# newdoc\n")
        file.writelines(f"{comment}\n" for comment in sentence.comments)
        if text_comment(sentence.comments) is None:
            file.write(f"# text = {_BREAKS.sub(' ', sentence.text)}\n")
        extra: dict[int, list[str]] = {}
        for place, line in sentence.extra_lines:
            extra.setdefault(place, []).append(line)
        for place, line in enumerate(_lines(sentence)):
            file.writelines(f"{one}\n" for one in extra.get(place, ()))
            file.write(line)
        file.writelines(f"{one}\n" for one in extra.get(len(sentence), ()))
        file.write("\n")


@dataclass(frozen=True, slots=True)
class _MultiWord:
    """A surface form that stands for several tokens, ``start`` to ``end`` (half-open)."""

    start: int
    end: int
    form: str
    has_space_after: bool


@dataclass(slots=True)
class _Block:
    """The lines of one sentence while they are read."""

    number: int = 0
    rows: list[list[str]] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    extra: list[tuple[int, str]] = field(default_factory=list)
    multiwords: list[_MultiWord] = field(default_factory=list)


def _read(path: str | Path, tasks: Sequence[str]) -> Iterator[Sentence]:
    block = _Block()
    is_first = True
    for number, line in numbered_lines(path):
        if line and not line.isspace():
            if line[0] == "#":
                block.comments.append(line)
                continue
            fields = line.split("\t")
            block.number = block.number if block.rows else number
            if len(fields) == _COLUMN_COUNT and fields[0] == str(len(block.rows) + 1) and "" not in fields:
                block.rows.append(fields)
            else:
                _add_extra(block, line, fields, f"{path}:{number}")
        elif block.rows or block.extra:
            yield _sentence(block, path, tasks, is_first=is_first)
            block, is_first = _Block(), False
    if block.rows or block.extra:
        yield _sentence(block, path, tasks, is_first=is_first)
    elif is_first:
        raise InputError(f"{path}: the file holds no sentence; give a CoNLL-U file.")


def _add_extra(block: _Block, line: str, fields: Sequence[str], where: str) -> None:
    """Add the line of a multi-word token or an empty node.

    Raises:
        InputError: If the line is neither.
    """
    if len(fields) != _COLUMN_COUNT:
        raise InputError(
            f"{where}: expected {_COLUMN_COUNT} columns separated by tabs, got {len(fields)}; correct the "
            "line, or read the file as CoNLL columns."
        )
    if "" in fields:
        raise InputError(f"{where}: column {fields.index('') + 1} is empty; write _ for nothing.")
    place = len(block.rows)
    match = _RANGE.fullmatch(fields[0])
    if match:
        start, end = int(match[1]) - 1, int(match[2])
        if not start == place < end or (block.multiwords and block.multiwords[-1].end > start):
            raise InputError(
                f"{where}: the multi-word token {fields[0]} does not begin with the next token, {place + 1}; "
                "correct its range."
            )
        block.multiwords.append(_MultiWord(start, end, fields[_FORM], _has_space_after(fields)))
    elif not _EMPTY_NODE.fullmatch(fields[0]):
        raise InputError(
            f"{where}: expected token {place + 1}, got {fields[0]!r}; correct the line, or put a blank line "
            "between sentences."
        )
    block.extra.append((place, line))


def _sentence(block: _Block, path: str | Path, tasks: Sequence[str], *, is_first: bool) -> Sentence:
    if not block.rows:
        raise InputError(
            f"{path}:{block.number}: the sentence has this line but no token; add tokens, or leave it out."
        )
    last = block.multiwords[-1] if block.multiwords else None
    if last and last.end > len(block.rows):
        raise InputError(
            f"{path}:{block.number}: the multi-word token {last.form!r} reaches beyond the sentence's "
            f"{len(block.rows)} tokens; correct its range."
        )
    text, offsets = _surface(block)
    fields = list(zip(*block.rows, strict=True))
    return Sentence(
        tokens=fields[_FORM],
        offsets=tuple(offsets),
        text=text,
        tags={task: fields[FIELDS[task]] for task in tasks},
        starts_document=is_first or any(map(_NEW_DOCUMENT.match, block.comments)),
        source=f"{path}:{block.number}",
        comments=tuple(block.comments),
        extra_lines=tuple(block.extra),
    )


def _surface(block: _Block) -> tuple[str, list[Offset]]:
    """Return the sentence's text and the T places of its tokens in it."""
    words = [row[_FORM] for row in block.rows]
    units = _units(block)
    forms = [unit.form for unit in units]
    text = text_comment(block.comments)
    places = locate(forms, text) if text else None
    if text is None or places is None:
        text, places = join(forms, [unit.has_space_after for unit in units])
    offsets = []
    for unit, (start, end) in zip(units, places, strict=True):
        if unit.end - unit.start == 1:
            offsets.append((start, end))
        else:
            inner = divide(unit.form, words[unit.start : unit.end])
            offsets += [(start + first, start + last) for first, last in inner]
    return text, offsets


def _units(block: _Block) -> list[_MultiWord]:
    """Return the multi-word tokens and, as units of one word, the tokens outside them."""
    units: list[_MultiWord] = []
    starts = {unit.start: unit for unit in block.multiwords}
    for place, row in enumerate(block.rows):
        if place in starts:
            units.append(starts[place])
        elif not units or units[-1].end <= place:
            units.append(_MultiWord(place, place + 1, row[_FORM], _has_space_after(row)))
    return units


def _has_space_after(fields: Sequence[str]) -> bool:
    return "SpaceAfter=No" not in fields[_MISC].split("|")


def _lines(sentence: Sentence) -> Iterator[str]:
    """Return the lines of the sentence's tokens."""
    absent = ("_",) * len(sentence)
    columns: list[Sequence[str]] = [absent] * _COLUMN_COUNT
    columns[0] = [str(place + 1) for place in range(len(sentence))]
    columns[_FORM] = sentence.tokens
    columns[_MISC] = _space_after(sentence)
    for name, values in _known_tags(sentence.tags).items():
        columns[FIELDS[name]] = values
    for row in zip(*columns, strict=True):
        if not all(row) or _BREAKS.search("".join(row)):
            where = f"{sentence.source}: " if sentence.source else ""
            raise InputError(
                f"{where}the token {row[_FORM]!r} cannot be written as CoNLL-U, it or its tags are empty or "
                "hold a tab or line break; leave the sentence out."
            )
        yield "\t".join(row) + "\n"


def _known_tags(tags: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    return {name: values for name, values in tags.items() if name in FIELDS}


def _space_after(sentence: Sentence) -> list[str]:
    """Tell MISC from the offsets; inside a multi-word token, and at the end, there is nothing to say."""
    misc = ["_"] * len(sentence)
    inside: set[int] = set()
    for _, line in sentence.extra_lines:
        match = _RANGE.match(line)
        if match:
            inside.update(range(int(match[1]) - 1, int(match[2])))
    for place in range(len(sentence) - 1):
        if place not in inside and sentence.offsets[place][1] == sentence.offsets[place + 1][0]:
            misc[place] = "SpaceAfter=No"
    return misc
