"""Inputs of `tagger tag`: files, standard input or a text; formats that suit them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tagger.bundle_schema import CONFIG
from tagger.cli.formats import FORMATS
from tagger.cli.input import STDIN, read_lines
from tagger.corpus.conll import is_document_start
from tagger.corpus.layout import find_layout
from tagger.corpus.text_tables import table_format
from tagger.errors import InputError
from tagger.included import included_models
from tagger.storage import open_input
from tagger.text.schemes import is_span_tag

InputFormat = Literal["text", "conll", "conllu"]
OutputStyle = Literal["jsonl", "conll", "text", "html", "conllu"]  # conllu needs --input
COLUMN_INPUTS: tuple[InputFormat, ...] = ("conll", "conllu")
_SUFFIXES = (".conll", ".conllu", ".conllup", ".iob", ".iob2", ".bio", ".bioes")
_HEAD_BYTES = 1 << 16
_FEW_LINES = 3


@dataclass(frozen=True, slots=True)
class Source:
    """One input of `tagger tag`.

    Attributes:
        path: A file, or ``STDIN``.
        text: The text, if it is given on the command line.
    """

    path: Path
    text: str | None = None

    def lines(self, *, is_live: bool = False) -> Iterator[str]:
        """Yield the text in pieces (see ``read_lines``); a command-line text gets a final newline."""
        if self.text is None:
            return read_lines(self.path, is_live=is_live)
        return iter([f"{self.text}\n"])


def find_sources(files: Sequence[str], text: str | None) -> list[Source]:
    """Return the inputs: files, standard input, or the text of ``--text``.

    Args:
        files: The arguments of the command, ``-`` for standard input; standard input if empty.
        text: The value of ``--text``.

    Raises:
        InputError: A file does not exist, a folder is named instead, or there are both files and a text.
    """
    if text is None:
        return [_find_source(word) for word in files] or [Source(STDIN)]
    if files:
        raise InputError(
            f"--text cannot be combined with files (got {files[0]}). Leave one of them out.",
            code="option.conflict",
            option="--text",
        )
    try:
        text.encode()
    except UnicodeEncodeError:  # undecodable bytes, which Python passes as surrogates
        raise InputError(
            "--text must be UTF-8. Pass the text on standard input or in a file.",
            code="corpus.encoding",
            option="--text",
        ) from None
    return [Source(Path("text"), text)]


def _find_source(word: str) -> Source:
    # os.path instead of Path: its functions never raise, whatever the word.
    is_folder = os.path.isdir(word)  # noqa: PTH112
    if Path(word) == STDIN or (os.path.lexists(word) and not is_folder):
        return Source(Path(word))
    if word in included_models() or (is_folder and os.path.isfile(os.path.join(word, CONFIG))):  # noqa: PTH113, PTH118
        raise InputError(
            f"this is a model, not a file. Name it with -m, as in -m {word}.",
            code="file.kind",
            where=word,
            option="--model",
        )
    if is_folder:
        raise InputError("this is a folder. Name a file in it.", code="file.kind", where=word)
    raise InputError(
        "there is no such file. Check the path, or pass a text with --text.",
        code="file.missing",
        where=word,
        option="--text",
    )


def reject_column_file(path: Path, *, has_tokens: bool = False) -> None:
    """Reject column files and record files that would be tagged as running text.

    Detection uses the suffix, then the first lines: several columns, one of them of tags.

    Args:
        path: The file.
        has_tokens: True if the file should hold one pretokenized sentence per line; ignores the suffix.

    Raises:
        InputError: The file has columns or records. The message names the option that reads it.
    """
    if not path.is_file():
        return
    suffix = "" if has_tokens else path.suffix.lower()
    format = None if has_tokens else table_format(path)
    if suffix == ".json" or (format and suffix != ".tsv"):
        raise _is_table(path, format)
    if suffix in _SUFFIXES:
        columns = "conllu" if suffix.startswith(".conllu") else "conll"
    else:
        try:
            with open_input(path) as file:
                head = file.read(_HEAD_BYTES).decode(errors="replace").split("\n")
        except OSError:
            return  # reading the text raises the error
        if not _holds_columns([line for line in head[:-1] if _may_be_token(line)]):
            if format:
                raise _is_table(path, format)
            return
        columns = "conll"
    raise InputError(
        f"this is a column file with one token per line. Pass --input {columns} to tag its tokens, or "
        "--input text to tag it as running text.",
        code="corpus.format",
        where=path,
        option="--input",
    )


def _is_table(path: Path, format: str | None) -> InputError:
    how = "Name its column of texts, e.g. with --text-column text; or" if format else "Convert it first:"
    return InputError(
        f"this is a file of records. {how} convert a corpus with `tagger convert {path.name} tokens.conll`, "
        "or pass --input text to tag it as running text.",
        code="corpus.format",
        where=path,
        option="--text-column" if format else "--input",
    )


def default_format(input: InputFormat | None, output: Path | None, *, is_stream: bool) -> OutputStyle:
    """Return the default output format of `tagger tag`."""
    if input == "conll" or input == "conllu":
        return input
    if is_stream:
        return "conll"
    return "text" if output is None and sys.stdout.isatty() else "jsonl"


def require_format(style: str, input: InputFormat | None) -> None:
    """Raise InputError if the output format cannot hold the input."""
    known = (*COLUMN_INPUTS, "jsonl") if input in COLUMN_INPUTS else tuple(FORMATS)
    if style not in known:
        raise InputError(
            f"--format must be one of {', '.join(known)} with --input {input or 'text'} (got {style}). Pass "
            "one of them.",
            code="option.conflict",
            option="--format",
        )


def require_input(
    input: InputFormat | None, columns: str | None, sources: Sequence[Source], *, others: Mapping[str, bool]
) -> None:
    """Raise InputError for options that the input format does not support."""
    if columns is not None and input != "conll":
        raise InputError(
            "--columns needs --input conll. Pass both, or leave --columns out.",
            code="option.conflict",
            option="--columns",
        )
    if input not in COLUMN_INPUTS:
        return
    for option, is_given in others.items():
        if is_given:
            raise InputError(
                f"{option} needs running text (got --input {input}). Leave one of them out.",
                code="option.conflict",
                option=option,
            )
    if any(source.text is not None for source in sources):
        raise InputError(
            f"--input {input} needs a file (got --text). Name a file.",
            code="option.conflict",
            option="--input",
        )


def _may_be_token(line: str) -> bool:
    return bool(line.strip()) and line[0] != "#" and not is_document_start(line)


def _holds_columns(lines: Sequence[str]) -> bool:
    """Return True if the lines have several columns, one of them of tags."""
    if len(lines) < _FEW_LINES:
        return False
    layout = find_layout([lines])
    rows = [line.rstrip(" \t").split("\t") if layout.is_tabbed else line.split() for line in lines]
    if layout.problem or any(len(row) != len(layout.names) for row in rows):
        return False
    tags = {row[index] for index, name in enumerate(layout.names) if name in ("ner", "chunk") for row in rows}
    return "pos" in layout.names or any("-" in tag and is_span_tag(tag) for tag in tags)
