"""The table of corpus file formats: the reader and writer of each, and the content that it supports."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal, TextIO, get_args

from tagger.corpus.brat import read_brat, write_brat
from tagger.corpus.conll import read_conll, write_conll
from tagger.corpus.conllu import read_conllu, write_conllu
from tagger.corpus.conllu_columns import FIELDS
from tagger.corpus.csv_tables import read_table, write_table
from tagger.corpus.hub import parse_address, read_dataset, write_dataset
from tagger.corpus.jsonl import json_records, read_jsonl, write_doccano, write_jsonl
from tagger.corpus.labelstudio import is_export, read_labelstudio, write_labelstudio
from tagger.corpus.lines import numbered_lines
from tagger.corpus.projects import read_project, write_project
from tagger.corpus.reading import Reading, Writing
from tagger.corpus.table_header import find_header
from tagger.errors import InputError, ignore
from tagger.text.sentence import Sentence

FormatName = Literal[
    "conll", "conllu", "jsonl", "doccano", "csv", "labelstudio", "brat", "datasets", "project"
]
Content = Literal[
    "tokens",
    "sentences",
    "documents",
    "text",
    "tags",
    "unknown tags",
    "spans",
    "comments",
    "extra lines",
    "span scores",
    "tag scores",
    "alternatives",
]
"""What a file can hold: the boundaries of tokens, sentences and documents; the text with its original white
space; one tag per token; the unknown tag ``?`` in tasks with spans; labelled spans; comment lines; CoNLL-U
lines that are not tokens; probabilities of spans and tags; and the n-best tag sequences."""


@dataclass(frozen=True, slots=True)
class Format:
    """A file format.

    Attributes:
        read: Streams the sentences of a file.
        write: Writes sentences to an open text file. None if the format is a folder or a database.
        write_folder: Writes sentences into an empty folder. None if the format is a file.
        write_database: Writes sentences to a new database. None if the format is a text file or a folder.
        holds: The content that survives writing and reading.
        suffixes: The usual file suffixes.
        has_token_lines: True if each token has its own line, from ``Sentence.source`` on.
        has_columns: True if ``Reading.columns`` can name its columns or features.
    """

    read: Callable[[str | Path, Reading], Iterator[Sentence]]
    write: Callable[[Iterable[Sentence], TextIO, Writing], None] | None
    holds: frozenset[Content]
    suffixes: tuple[str, ...] = ()
    write_folder: Callable[[Iterable[Sentence], Path, Writing], None] | None = None
    write_database: Callable[[Iterable[Sentence], Path, Writing], None] | None = None
    has_token_lines: bool = False
    has_columns: bool = False


_TABLES = (".tsv", ".tab", ".txt")  # may also be columns without a header
_JSON_BEGINNING = re.compile(r"\s*(?:\{|\[\s*(?:[\[{\"]|$))")
_HEAD = 100  # number of records that determine the dialect of a JSON file
_SERVER = re.compile(r"postgresql(?:\+\w+)?:/")

FORMATS: dict[str, Format] = {
    "conll": Format(
        read=lambda path, reading: read_conll(
            path, columns=reading.columns, tasks=reading.tasks, on_error=reading.on_error, warn=reading.warn
        ),
        write=lambda sentences, file, writing: write_conll(
            sentences,
            file,
            columns=writing.tasks,
            separator=writing.separator,
            has_texts=writing.has_texts,
        ),
        holds=frozenset(
            {"tokens", "sentences", "documents", "text", "tags", "unknown tags", "spans", "comments"}
        ),
        suffixes=(".conll",),
        has_token_lines=True,
        has_columns=True,
    ),
    "conllu": Format(
        read=lambda path, reading: read_conllu(
            path,
            columns=reading.columns,
            tasks=reading.tasks or None,
            on_error=reading.on_error,
            warn=reading.warn,
        ),
        write=lambda sentences, file, writing: write_conllu(
            sentences, file, misc=[task for task in writing.tasks if task not in FIELDS]
        ),
        holds=frozenset(
            {
                "tokens",
                "sentences",
                "documents",
                "text",
                "tags",
                "unknown tags",
                "spans",
                "comments",
                "extra lines",
            }
        ),
        suffixes=(".conllu", ".conllup"),
        has_token_lines=True,
    ),
    "jsonl": Format(
        read=read_jsonl,
        write=write_jsonl,
        holds=frozenset(get_args(Content)),
        suffixes=(".jsonl", ".ndjson"),
    ),
    "doccano": Format(
        read=read_jsonl,
        write=write_doccano,
        holds=frozenset({"documents", "text", "spans"}),
    ),
    "csv": Format(
        read=read_table,
        write=write_table,
        holds=frozenset({"tokens", "sentences", "documents", "text", "tags", "unknown tags", "spans"}),
        suffixes=(".csv",),
        has_columns=True,
    ),
    "labelstudio": Format(
        read=read_labelstudio,
        write=write_labelstudio,
        holds=frozenset({"documents", "text", "spans", "span scores"}),
        suffixes=(".json",),
    ),
    "brat": Format(
        read=read_brat,
        write=None,
        holds=frozenset({"documents", "text", "spans"}),
        suffixes=(".ann",),
        write_folder=write_brat,
    ),
    "datasets": Format(
        read=read_dataset,
        write=None,
        holds=frozenset(
            {
                "tokens",
                "sentences",
                "documents",
                "text",
                "tags",
                "unknown tags",
                "spans",
                "comments",
                "extra lines",
            }
        ),
        suffixes=(".parquet", ".arrow"),
        write_folder=write_dataset,
        has_columns=True,
    ),
    "project": Format(
        read=read_project,
        write=None,
        holds=frozenset(
            {
                "tokens",
                "sentences",
                "documents",
                "text",
                "unknown tags",
                "spans",
                "comments",
                "extra lines",
            }
        ),
        suffixes=(".db", ".sqlite", ".sqlite3"),
        write_database=write_project,
    ),
}


def read_sentences(
    path: str | Path,
    *,
    columns: str | None = None,
    tasks: Sequence[str] = ("ner",),
    format: str | None = None,
    reading: Reading | None = None,
) -> Iterator[Sentence]:
    """Read a file with the reader of its format, one sentence at a time.

    Args:
        path: The file, which may be compressed with gzip, or a brat folder. For HF datasets also a folder, or
            a name on the hub; ``NAME:SPLIT`` selects a split (see ``read_dataset``).
        columns: Names of its columns (see ``read_conll``).
        tasks: The tasks that every sentence must have tags for. An empty sequence reads all tasks.
        format: A key of ``FORMATS``. By default the suffix (before ``.gz``) decides, and for JSON and tables
            the content. Files with other suffixes are read as CoNLL columns.
        reading: All other reader options. Its columns and tasks are ignored.

    Raises:
        InputError: If the format does not exist; if the format does not support the arguments; while reading,
            if the file is missing, empty or malformed.
    """
    reading = replace(reading or Reading(), columns=columns, tasks=tasks)
    name = find_format(path, format)
    return FORMATS[name if format else by_content(path, name)].read(path, reading)


def by_content(path: str | Path, named: str) -> str:
    """Return the format of a file by its content, where its name is ambiguous: JSON and tables.

    Args:
        path: The file. Errors in it are ignored.
        named: The format of its suffix.
    """
    if named not in ("conll", "labelstudio") or not os.path.isfile(path):  # noqa: PTH113 - it never raises
        return named
    lines = numbered_lines(path, on_error=ignore)
    number, line = next(((number, line) for number, line in lines if line and not line.isspace()), (0, ""))
    if line.lstrip(" \t")[:1] not in ("{", "["):
        may_be_table = named == "conll" and Path(path).suffix.lower() in _TABLES and "\t" in line
        header = find_header(line) if may_be_table else None
        return "csv" if header and header.is_certain else named
    if named == "conll" and not _JSON_BEGINNING.match(line):
        return named
    detected = None
    for where, value in islice(json_records(path, ignore), _HEAD):
        if named == "conll" and not detected and line.startswith("{") and where != f"{path}:{number}":
            break  # a line of columns that begins with a brace
        kind = is_export(value)
        if kind is not None:
            return "labelstudio" if kind else "jsonl"
        detected = "labelstudio" if line.lstrip().startswith("[") else "jsonl"
    return detected or named


def is_database_url(path: str | Path) -> bool:
    """Return True for the URL of a PostgreSQL database, in which ``Path`` may have joined the slashes."""
    return _SERVER.match(str(path)) is not None


def find_format(path: str | Path, format: str | None = None) -> str:
    """Return the format to read a file in: the requested one, else the one of its suffix.

    A folder with ``.ann`` files is a brat folder. A URL of PostgreSQL is an annotation project. Other
    folders, and names ``NAME:SPLIT`` that are not files, are HF datasets, loaded from the hub if they are not
    local. All other paths are CoNLL columns. A dataset on the hub therefore needs a split or an explicit
    format.

    Raises:
        InputError: If the format does not exist.
    """
    if format is None:
        if is_database_url(path):
            return "project"
        address = parse_address(path)
        is_folder = os.path.isdir(path)  # noqa: PTH112 - it never raises
        if is_folder and next(Path(path).glob("*.ann"), None):
            return "brat"
        suffixes = [suffix.lower() for suffix in Path(address.name).suffixes if suffix.lower() != ".gz"]
        ending = suffixes[-1] if suffixes else ""
        is_dataset = address.split is not None or is_folder
        default = "datasets" if is_dataset else "conll"
        return next((name for name, known in FORMATS.items() if ending in known.suffixes), default)
    if format not in FORMATS:
        near = difflib.get_close_matches(format, FORMATS, n=1, cutoff=0.0)[0]
        raise InputError(
            f"There is no format {format!r}; did you mean {near}? The formats are {', '.join(FORMATS)}.",
            code="corpus.format",
            option="--format",
        )
    return format
