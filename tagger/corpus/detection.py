"""Detect the format, columns and tasks of a corpus file from its name and content."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from tagger.corpus.columns import TOKEN, parse_columns
from tagger.corpus.conll import is_document_start, split_fields
from tagger.corpus.conllu import misc_attributes
from tagger.corpus.conllu_columns import ALL_TAGS, FIELDS, plus_columns
from tagger.corpus.files import FORMATS, by_content, find_format
from tagger.corpus.layout import SKIPPED, Layout, find_layout, find_mismatch
from tagger.corpus.lines import numbered_lines
from tagger.corpus.offsets import require_offsets
from tagger.corpus.reading import Offsets, Reading
from tagger.corpus.table_header import find_header
from tagger.errors import InputError, ignore
from tagger.text.schemes import is_span_tag
from tagger.text.sentence import Sentence

HEAD_SENTENCES = 2_000  # number of sentences that detection reads

_OF_LINES = [name for name, known in FORMATS.items() if known.has_token_lines]
_CONLLU_COLUMNS, _MISC = 10, FIELDS["misc"]
_CONLLU_NUMBER = re.compile(r"[1-9]\d*|\d+[-.]\d+")


@dataclass(frozen=True, slots=True)
class Detected:
    """The detected properties of a file.

    Attributes:
        path: The file.
        format: A key of ``FORMATS``.
        columns: Names of its columns as ``parse_columns`` reads them. None if the format names them itself.
        tasks: The tasks of its first sentences. Empty if the format names the tasks of each record itself.
        is_tabbed: True if tabs separate its columns, in a CoNLL file.
        offsets: The unit of span offsets. ``auto`` leaves the decision to ``read``.
        label_names: Tag names of integer tags. If empty, ``read`` decides.
        problem: Why it cannot be read in this format, or None.
        missing: Requested tasks that no column can be assigned to.
    """

    path: str | Path
    format: str
    columns: str | None = None
    tasks: tuple[str, ...] = ()
    is_tabbed: bool = False
    problem: InputError | None = None
    offsets: Offsets = "auto"
    label_names: Sequence[str] = ()
    missing: tuple[str, ...] = ()

    def read(self, reading: Reading) -> Iterator[Sentence]:
        """Read the file's sentences in the detected format. The columns of ``reading`` are ignored.

        Args:
            reading: The reader options. By default all tasks are read.
        """
        columns = self.columns if self.format == "conll" or self.columns else None
        return FORMATS[self.format].read(
            self.path,
            replace(
                reading,
                columns=columns,
                tasks=reading.tasks or self.tasks,
                offsets=reading.offsets if self.offsets == "auto" else self.offsets,
                label_names=self.label_names or reading.label_names,
            ),
        )

    def describe(self) -> str:
        """Describe the file, for instance ``train.conll: conll; columns _, token, pos, ner``."""
        columns = f"; columns {', '.join(self.columns.split(','))}" if self.columns else ""
        return f"{self.path}: {self.format}{columns}"

    def require_columns(self) -> None:
        """Check that every requested task has a column.

        Raises:
            InputError: If a task has no column, or if the first lines of the file cannot be read.
        """
        if not self.missing:
            return
        plain = Reading(columns=None, tasks=self.missing[:1])
        next(FORMATS[self.format].read(self.path, plain), None)  # an unreadable file raises its own error
        names = (self.columns or TOKEN).split(",")
        tags = [name for name in names if name not in (TOKEN, SKIPPED)]
        example = [TOKEN, *[SKIPPED] * (len(names) - 1 - len(self.missing)), *self.missing]
        hint = f"Pass --task {tags[0]}, or name" if len(tags) == 1 else "Name"
        raise InputError(
            f"no column could be assigned to {' and '.join(map(repr, self.missing))} (got "
            f"{', '.join(names)}). {hint} the columns in the file's order, for instance --columns "
            f"{','.join(example)}.",
            code="corpus.task",
            where=self.path,
            option="--columns",
        )

    def find_missing_task(self, task: str, reading: Reading) -> InputError | None:
        """Return why the first sentences of the file have no tags for a task; None if they have some.

        Args:
            task: The task.
            reading: The reader options. Misaligned spans are skipped.
        """
        path = Path(self.path)
        if path.exists() and not path.is_file() and not path.is_dir():  # a pipe can be read only once
            return None
        if self.format == "conllu" and task not in ("upos", *self.tasks):
            message = f"no token has {task!r} in MISC ({task}=…)."
            return InputError(message, code="corpus.task", where=self.path)
        try:
            if task in self.missing:
                self.require_columns()
            next(self.read(replace(reading, tasks=(task,), on_misaligned="skip")), None)
        except InputError as error:
            return error
        return None


def detect(
    path: str | Path,
    *,
    format: str | None = None,
    columns: str | None = None,
    tasks: Sequence[str] = (),
    usual: str | None = None,
    offsets: Offsets = "auto",
    label_names: Sequence[str] = (),
) -> Detected:
    """Detect the properties of a file from its name and first sentences. Single lines are not validated.

    A requested format takes precedence. Otherwise the suffix decides, and the content where the suffix is
    ambiguous: a file that would be read as CoNLL columns may be JSON, CSV or CoNLL-U, and a ``.json`` file
    may be a Label Studio export or other records. Columns are named ``token`` (the first that does not
    number tokens or sentences), ``pos`` (most values are UD or Penn Treebank tags), ``chunk`` and ``ner``
    (span tags, with phrase labels or other labels). A second column of a kind is named ``ner2``; an unknown
    column is named ``column3``, counted from 1. A requested task names the only column that can hold it.

    Args:
        path: The file, or another path that the format reads.
        format: A key of ``FORMATS``.
        columns: Names of the columns, if they are known and the format has columns.
        tasks: The requested tasks.
        usual: Default column names, used if a file does not show which columns hold the tasks and has as many
            columns.
        offsets: The unit of span offsets.
        label_names: Tag names of integer tags, in the order of the integers.

    Raises:
        InputError: If the format or unit does not exist, or the columns cannot be parsed.
    """
    require_offsets(offsets)
    detected = _detect(path, format, columns, tasks, usual)
    return replace(detected, offsets=offsets, label_names=tuple(label_names))


def _detect(
    path: str | Path, format: str | None, columns: str | None, tasks: Sequence[str], usual: str | None
) -> Detected:
    name = find_format(path, format)
    if format is None:
        name = by_content(path, name)
    if name not in _OF_LINES or not Path(path).is_file():  # a pipe can be read only once
        return Detected(path, name, usual if columns is None and name == "conll" else columns)
    blocks = list(islice(_blocks(path), HEAD_SENTENCES))
    named = plus_columns(_first_line(path))
    if format is None:
        name = "conllu" if named else _format_of(blocks, name)
    if name not in _OF_LINES:
        return Detected(path, name, columns)
    if name == "conllu":
        tags = ALL_TAGS if named is None else [tag for tag in named if tag not in ("id", "form", "upos")]
        return Detected(path, name, columns, tasks=(*tags, *_span_attributes(blocks)))
    layout = find_layout(blocks)
    names, missing = layout.assign(tasks) if columns is None else (layout.names, ())
    if missing and usual is not None and _matches(layout, usual, tasks):
        columns, missing = usual, ()
    chosen = columns or ",".join(names)
    parsed = parse_columns(chosen)
    problem = None
    if reason := layout.problem or _find_header(blocks, layout.is_tabbed):
        problem = InputError(reason, code="corpus.format", where=path)
    elif columns and (reason := find_mismatch(layout, blocks, columns)):
        problem = InputError(reason, code="corpus.columns", where=path, option="--columns")
    elif not columns and layout.doubt:
        problem = InputError(layout.doubt, code="corpus.format", where=path)
    return Detected(
        path,
        name,
        chosen,
        tuple(parsed.tags),
        layout.is_tabbed,
        problem,
        missing=missing,
    )


def _find_header(blocks: Sequence[Sequence[str]], is_tabbed: bool) -> str | None:
    """Return the error message if the first line is a header; None if it holds a token."""
    fields = split_fields(blocks[0][0], is_tabbed) if blocks else []
    header = find_header("\t".join(fields)) if len(fields) > 1 else None
    if header is None or not header.is_certain or header.tokens is None:
        return None
    remedy = "read the file as csv" if is_tabbed else "separate the columns by tabs and read the file as csv"
    return f"the first line is a header (got {' '.join(fields)!r:.60}). Remove it, or {remedy}."


def _matches(layout: Layout, columns: str, tasks: Sequence[str]) -> bool:
    """Return True if the named columns hold the tasks and match the file's number of columns."""
    parsed = parse_columns(columns)
    return parsed.count in (None, len(layout.names)) and set(tasks) <= set(parsed.tags)


def _first_line(path: str | Path) -> str:
    return next((line for _, line in numbered_lines(path, on_error=ignore)), "")


def _blocks(path: str | Path) -> Iterator[list[str]]:
    """Yield blocks of consecutive lines, without leading comments and ``-DOCSTART-`` lines."""
    block: list[str] = []
    for _, line in numbered_lines(path, on_error=ignore):
        if not line or line.isspace() or is_document_start(line):
            if block:
                yield block
            block = []
        elif block or not line.startswith("#"):
            block.append(line)
    if block:
        yield block


def _format_of(blocks: Sequence[Sequence[str]], named: str) -> str:
    """Return the format that the first line of data shows, else the named one."""
    first = blocks[0][0] if blocks else ""
    fields = first.split("\t")
    if len(fields) == _CONLLU_COLUMNS and _CONLLU_NUMBER.fullmatch(fields[0]):
        return "conllu"
    return named


def _span_attributes(blocks: Sequence[Sequence[str]]) -> list[str]:
    """Return the names of MISC attributes whose values are all span tags, as in ``ner=B-PER``."""
    values: dict[str, set[str]] = {}
    for block in blocks:
        for line in block:
            fields = line.split("\t")
            if len(fields) == _CONLLU_COLUMNS and "=" in fields[_MISC]:
                for name, value in misc_attributes(fields[_MISC]).items():
                    values.setdefault(name, set()).add(value)
    return [
        name
        for name, tags in values.items()
        if name not in FIELDS and all(tag == "O" or ("-" in tag and is_span_tag(tag)) for tag in tags)
    ]
