"""CoNLL-U, the format of Universal Dependencies (https://universaldependencies.org/format.html)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

from tagger.corpus.alignment import MISMATCH, divide, join, locate, text_comment
from tagger.corpus.conllu_columns import (
    COLUMN_COUNT,
    FIELDS,
    FORM,
    MISC,
    TokenLines,
    find_token_lines,
    plus_columns,
)
from tagger.corpus.lines import numbered_lines
from tagger.errors import Counted, InputError, OnError, Warn, ignore, raise_error
from tagger.text.sentence import Offset, Sentence

_NEW_DOCUMENT = re.compile(r"# *newdoc(?: |$)")
_NUMBER = re.compile(r"[0-9]{1,9}")
_RANGE = re.compile(r"(\d+)-(\d+)")
_EMPTY_NODE = re.compile(r"\d+\.\d+")
_BREAKS = re.compile("[\t\r\n]")


def read_conllu(
    path: str | Path,
    *,
    columns: str | None = None,
    tasks: Sequence[str] | None = None,
    on_error: OnError = raise_error,
    warn: Warn = ignore,
) -> Iterator[Sentence]:
    """Read sentences from a CoNLL-U file, one at a time.

    A first line ``# global.columns = …`` names the columns of CoNLL-U Plus
    (https://universaldependencies.org/ext-format.html), ``ID`` and ``FORM`` among them. Its other columns
    become tags with lower-case names.

    Tokens are the syntactic words. The lines of multi-word tokens and empty nodes are kept in
    ``extra_lines``. A ``# newdoc`` comment starts a document, and so does the start of the file. ``text`` is
    the comment ``# text = …``, and offsets refer to it. If it is missing or does not match the forms, the
    text is rebuilt from the forms and ``SpaceAfter=No``. The words of a multi-word token cover parts of its
    surface form if they concatenate to it (``do`` and ``n't`` in ``don't``); otherwise each covers all of it.

    Args:
        path: The file.
        columns: Not supported: the columns of this format are fixed.
        tasks: Names from ``FIELDS`` to read into ``tags``, by default all (UPOS as ``pos``). Other names are
            MISC attributes, as in ``ner=B-PER``; a token without the attribute gets the tag O.
        on_error: Receives each error. If it returns, a line that is not CoNLL-U becomes one of the
            sentence's ``extra_lines``, a line with a wrong number becomes a token, and reading continues.
        warn: Receives a warning about ``# text`` comments that do not match the tokens, and byte order marks
            at the starts of lines.

    Yields:
        Sentences with ``tags`` by name.

    Raises:
        InputError: If columns are given (immediately); while reading, with file and line, if the file cannot
            be read, has no sentences, or a line is not CoNLL-U; at its end, if no token has a task.
    """
    if columns is not None:
        raise InputError(
            "the columns of CoNLL-U are fixed. Leave them out, or choose the format conll.",
            code="corpus.columns",
            where=path,
            option="--columns",
        )
    return _read(path, tasks, Counted(on_error), warn)


def write_conllu(sentences: Iterable[Sentence], file: TextIO, *, misc: Sequence[str] = ()) -> None:
    """Write sentences in the format that ``read_conllu`` reads.

    Without the tag ``misc``, the offsets determine ``SpaceAfter=No``. A comment ``# text`` is added if there
    is none, and ``# newdoc`` if a document starts without one after the file's first sentence.

    Args:
        sentences: The sentences to write.
        file: The file to write to.
        misc: Tags without a CoNLL-U column to write as MISC attributes, ``ner=B-PER``. Other tags without a
            column are dropped.

    Raises:
        InputError: If a token or tag is empty or has a tab or line break, or an attribute contains ``|``.
    """
    for count, sentence in enumerate(sentences):
        if sentence.starts_document and count and not any(map(_NEW_DOCUMENT.match, sentence.comments)):
            file.write("# newdoc\n")
        # Drop the column names of CoNLL-U Plus: the writer writes the ten columns of CoNLL-U.
        comments = [comment for comment in sentence.comments if plus_columns(comment) is None]
        file.writelines(f"{comment}\n" for comment in comments)
        if text_comment(sentence.comments) is None:
            file.write(f"# text = {_BREAKS.sub(' ', sentence.text)}\n")
        extra: dict[int, list[str]] = {}
        for index, line in sentence.extra_lines:
            extra.setdefault(index, []).append(line)
        for index, line in enumerate(_lines(sentence, misc)):
            file.writelines(f"{extra_line}\n" for extra_line in extra.get(index, ()))
            file.write(line)
        file.writelines(f"{extra_line}\n" for extra_line in extra.get(len(sentence), ()))
        file.write("\n")


@dataclass(frozen=True, slots=True)
class _MultiWord:
    """A surface form of several tokens, ``start`` to ``end`` (half-open)."""

    start: int
    end: int
    form: str
    has_space_after: bool


@dataclass(slots=True)
class _Block:
    """The lines of one sentence while it is read. ``shift`` is the excess of their token numbers."""

    number: int = 0
    shift: int = 0
    rows: list[list[str]] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    extra: list[tuple[int, str]] = field(default_factory=list)
    multiwords: list[_MultiWord] = field(default_factory=list)


def _read(path: str | Path, tasks: Sequence[str] | None, on_error: Counted, warn: Warn) -> Iterator[Sentence]:
    lines = numbered_lines(path, on_error=on_error, warn=warn)
    head = list(islice(lines, 1))
    layout = find_token_lines(path, head[0][1] if head else "", tasks, on_error, warn)
    if layout is None:
        return
    block = _Block()
    is_first = True
    absent = set(layout.tasks).difference(layout.indices)
    problems = 0
    for number, line in chain(head, lines, [(0, "")]):
        if line and not line.isspace():
            _add_line(block, number, line, layout, on_error)
            continue
        if block.rows:
            yield _sentence(block, layout, on_error, absent, is_first=is_first)
            block, is_first = _Block(), False
        else:
            if block.extra and on_error.count == problems:
                on_error(
                    InputError(
                        "the sentence that ends here has no tokens. Add tokens.",
                        code="corpus.record",
                        where=f"{path}:{block.number}",
                    )
                )
            block = _Block(comments=block.comments)
        problems = on_error.count
    if is_first and not on_error.count:
        on_error(
            InputError("the file has no sentences. Pass a CoNLL-U file.", code="corpus.empty", where=path)
        )
    if not is_first:
        _report_absent(layout, absent, on_error)


def _add_line(block: _Block, number: int, line: str, layout: TokenLines, on_error: OnError) -> None:
    if line[0] == "#":
        block.comments.append(line)
        return
    fields = line.split("\t")
    if not block.rows:
        block.number = number
    expected = str(len(block.rows) + 1 + block.shift)
    is_token = len(fields) == layout.count and fields[0] == expected and "" not in fields
    if is_token or _add_other(block, line, fields, f"{layout.path}:{number}", layout, on_error):
        block.rows.append(fields)


def _report_absent(layout: TokenLines, absent: set[str], on_error: OnError) -> None:
    for task in sorted(absent):
        on_error(
            InputError(
                f"CoNLL-U has no column {task!r}, and no token has it in MISC "
                f"({task}=…); the tags of CoNLL-U are {', '.join(layout.indices)}.",
                code="corpus.task",
                where=layout.path,
            )
        )


def _add_other(
    block: _Block, line: str, fields: Sequence[str], where: str, layout: TokenLines, on_error: OnError
) -> bool:
    """Store the line of a multi-word token or an empty node. Report all other lines.

    Returns:
        True if the line is a token with a wrong number. The following tokens are then numbered from it.
    """
    index = len(block.rows)
    match = _RANGE.fullmatch(fields[0])
    is_malformed = len(fields) != layout.count or "" in fields
    if len(fields) != layout.count:
        on_error(
            InputError(
                f"expected {layout.count} columns separated by tabs, got {len(fields)}. Correct the "
                "line, or read the file as CoNLL columns.",
                code="corpus.columns",
                where=where,
            )
        )
    elif "" in fields:
        on_error(
            InputError(
                f"column {fields.index('') + 1} is empty. Write _ for no value.",
                code="corpus.record",
                where=where,
            )
        )
    elif match:
        start, end = int(match[1]) - 1 - block.shift, int(match[2]) - block.shift
        if not start == index < end or (block.multiwords and block.multiwords[-1].end > start):
            on_error(
                InputError(
                    f"the multi-word token {fields[0]} does not begin with the next token, "
                    f"{index + 1 + block.shift}. Correct its range.",
                    code="corpus.record",
                    where=where,
                )
            )
        else:
            block.multiwords.append(
                _MultiWord(start, end, fields[layout.form], _has_space_after(fields, layout))
            )
    elif not _EMPTY_NODE.fullmatch(fields[0]):
        on_error(
            InputError(
                f"expected token {index + 1 + block.shift}, got {fields[0]!r}. Correct the line, or put "
                "a blank line between sentences.",
                code="corpus.record",
                where=where,
            )
        )
        if _NUMBER.fullmatch(fields[0]):
            block.shift = int(fields[0]) - 1 - index
            return True
    if is_malformed and fields[0] == str(index + 1 + block.shift):
        block.shift += 1  # the token is dropped, but its number is used
    block.extra.append((index, line))
    return False


def _sentence(
    block: _Block, layout: TokenLines, on_error: OnError, absent: set[str], *, is_first: bool
) -> Sentence:
    """Build a sentence, and remove from ``absent`` the tasks that its MISC contains."""
    path = layout.path
    last = block.multiwords[-1] if block.multiwords else None
    if last and last.end > len(block.rows):
        on_error(
            InputError(
                f"the multi-word token {last.form!r} exceeds the sentence's "
                f"{len(block.rows)} tokens. Correct its range.",
                code="corpus.record",
                where=f"{path}:{block.number}",
            )
        )
        block.multiwords.pop()
    text, offsets = _surface(block, layout)
    fields = list(zip(*block.rows, strict=True))
    tags = {task: fields[layout.indices[task]] for task in layout.tasks if task in layout.indices}
    for task in layout.tasks:
        if task not in layout.indices:
            miscs = fields[layout.misc] if layout.misc is not None else ("_",) * len(block.rows)
            values = [misc_attributes(misc).get(task) for misc in miscs]
            tags[task] = tuple(value or "O" for value in values)
            if any(values):
                absent.discard(task)
    return Sentence(
        tokens=fields[layout.form],
        offsets=tuple(offsets),
        text=text,
        tags=tags,
        starts_document=is_first or any(map(_NEW_DOCUMENT.match, block.comments)),
        source=f"{path}:{block.number}",
        has_token_lines=True,
        comments=tuple(block.comments),
        extra_lines=tuple(block.extra),
    )


def _surface(block: _Block, layout: TokenLines) -> tuple[str, list[Offset]]:
    """Return the sentence's text and the (T, 2) offsets of its tokens."""
    words = [row[layout.form] for row in block.rows]
    units = _units(block, layout)
    forms = [unit.form for unit in units]
    text = text_comment(block.comments)
    form_offsets = locate(forms, text) if text else None
    if text is None or form_offsets is None:
        if text is not None:
            layout.warn(f"{layout.path}:{block.number}: {MISMATCH}")
        text, form_offsets = join(forms, [unit.has_space_after for unit in units])
    offsets = []
    for unit, (start, end) in zip(units, form_offsets, strict=True):
        if unit.end - unit.start == 1:
            offsets.append((start, end))
        else:
            inner = divide(unit.form, words[unit.start : unit.end])
            offsets += [(start + first, start + last) for first, last in inner]
    return text, offsets


def _units(block: _Block, layout: TokenLines) -> list[_MultiWord]:
    """Return the multi-word tokens, and each other token as a unit of one word."""
    units: list[_MultiWord] = []
    starts = {unit.start: unit for unit in block.multiwords}
    for index, row in enumerate(block.rows):
        if index in starts:
            units.append(starts[index])
        elif not units or units[-1].end <= index:
            units.append(_MultiWord(index, index + 1, row[layout.form], _has_space_after(row, layout)))
    return units


def _has_space_after(fields: Sequence[str], layout: TokenLines) -> bool:
    return layout.misc is None or "SpaceAfter=No" not in fields[layout.misc].split("|")


def _lines(sentence: Sentence, misc: Sequence[str]) -> Iterator[str]:
    """Yield the lines of the sentence's tokens, with the tags ``misc`` as MISC attributes."""
    absent = ("_",) * len(sentence)
    columns: list[Sequence[str]] = [absent] * COLUMN_COUNT
    columns[0] = [str(index + 1) for index in range(len(sentence))]
    columns[FORM] = sentence.tokens
    columns[MISC] = _space_after(sentence)
    for name, values in _known_tags(sentence.tags).items():
        columns[FIELDS[name]] = values
    for name in misc:
        if name in sentence.tags:
            columns[MISC] = [
                _with_attribute(before, name, tag, sentence)
                for before, tag in zip(columns[MISC], sentence.tags[name], strict=True)
            ]
    for row in zip(*columns, strict=True):
        if not all(row) or _BREAKS.search("".join(row)):
            raise InputError(
                f"the token {row[FORM]!r} cannot be written as CoNLL-U: it or its tags are empty or "
                "contain a tab or line break. Leave the sentence out.",
                code="corpus.output",
                where=sentence.source,
            )
        yield "\t".join(row) + "\n"


def misc_attributes(misc: str) -> dict[str, str]:
    """Return the ``name=value`` pairs of a token's MISC."""
    pairs = (attribute.partition("=") for attribute in misc.split("|"))
    return {name: value for name, equals, value in pairs if equals}


def _with_attribute(misc: str, name: str, tag: str, sentence: Sentence) -> str:
    if "|" in tag or not re.fullmatch(r"[^=|\s]+", name):
        raise InputError(
            f"MISC cannot hold the attribute '{name}={tag}': | ends a value, and = ends a name. Rename it.",
            code="corpus.output",
            where=sentence.source,
        )
    attributes = [
        attribute for attribute in misc.split("|") if attribute != "_" and attribute.partition("=")[0] != name
    ]
    return "|".join([*attributes, f"{name}={tag}"])


def _known_tags(tags: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    return {name: values for name, values in tags.items() if name in FIELDS}


def _space_after(sentence: Sentence) -> list[str]:
    """Compute MISC from the offsets. It is empty inside a multi-word token and at the end."""
    misc = ["_"] * len(sentence)
    inside: set[int] = set()
    for _, line in sentence.extra_lines:
        match = _RANGE.match(line)
        if match:
            inside.update(range(int(match[1]) - 1, int(match[2])))
    for index in range(len(sentence) - 1):
        if index not in inside and sentence.offsets[index][1] == sentence.offsets[index + 1][0]:
            misc[index] = "SpaceAfter=No"
    return misc
