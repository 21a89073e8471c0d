"""Interpret the arguments of `tagger tag`: a model, files, standard input, or a text."""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tagger.cli.formats import FORMATS
from tagger.cli.input import STDIN, read_lines
from tagger.cli.output import print_stderr
from tagger.corpus.conll import is_document_start
from tagger.corpus.layout import find_layout
from tagger.errors import InputError
from tagger.included import DEFAULT, included_models
from tagger.storage import open_input
from tagger.text.schemes import is_span_tag

COLUMN_INPUTS = ("conll", "conllu")
INPUTS = ("text", *COLUMN_INPUTS)
_SUFFIXES = (".conll", ".conllu", ".conllup", ".iob", ".iob2", ".bio", ".bioes")
_RECORDS = (".jsonl", ".ndjson", ".json", ".csv")
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


def choose_model(words: Sequence[str], model: str | None) -> tuple[str, Sequence[str]]:
    """Separate the model from the inputs.

    The first argument is the model if it is a folder or the name of a packaged model. ``DEFAULT`` is used if
    no model is named.

    Args:
        words: The arguments of the command.
        model: The value of ``--model``.

    Returns:
        The folder or name of the model, and the remaining arguments.

    Raises:
        InputError: The first of several arguments is neither a model nor a file.
    """
    if model is not None or not words:
        return (DEFAULT if model is None else model), words
    first, rest = words[0], words[1:]
    if os.path.isdir(first) or first in included_models():  # noqa: PTH112, never raises
        return first, rest
    if rest and first != str(STDIN) and not os.path.lexists(first):
        raise InputError(
            f"{first}: there is no such model or file (packaged models: "
            f"{', '.join(included_models()) or 'none'}). Check the name, or put a text in quotes."
        )
    return DEFAULT, words


def find_sources(words: Sequence[str], *, is_text_likely: bool) -> list[Source]:
    """Return the inputs: files, standard input, or one text.

    An argument that names no file is a text, unless it looks like a path.

    Args:
        words: The arguments to tag; standard input if empty.
        is_text_likely: True if an argument without white space may be a text. False after a model argument,
            where a file is expected.

    Raises:
        InputError: A file does not exist, or a text is given together with other inputs.
    """
    sources = [_find_source(word, is_text_likely=is_text_likely) for word in words] or [Source(STDIN)]
    texts = [source for source in sources if source.text is not None]
    if texts and len(sources) > 1:
        raise InputError(
            f"{texts[0].text}: there is no such file, and a text must be the only input. Give one text in "
            "quotes, or files."
        )
    return sources


def _find_source(word: str, *, is_text_likely: bool) -> Source:
    path = Path(word)
    if path == STDIN or os.path.lexists(word):
        return Source(path)
    if _looks_like_path(word) or not (is_text_likely or re.search(r"\s", word.strip())):
        raise InputError(f"{word}: there is no such file. Check the path.")
    try:
        word.encode()
    except UnicodeEncodeError:  # undecodable bytes, which Python passes as surrogates
        raise InputError(f"{word}: the text is not UTF-8. Pass it on standard input or in a file.") from None
    return Source(Path("text"), word)


def _looks_like_path(word: str) -> bool:
    """True if a missing file name looks like a path: it has an existing folder, or a suffix."""
    folder = os.path.dirname(word)  # noqa: PTH120, `Path` drops "./" and a final slash
    if folder and os.path.isdir(folder):  # noqa: PTH112, never raises
        return True
    return os.path.isabs(word) or (not re.search(r"\s", word) and bool(folder or Path(word).suffix))  # noqa: PTH117


def warn_if_text(words: Sequence[str], sources: Sequence[Source]) -> None:
    """Warn that a single word is tagged as text, since it may be a misspelled model name."""
    if len(words) == 1 and sources[0].text is not None and not re.search(r"\s", words[0]):
        print_stderr(f"tagger: there is no file or model named {words[0]!r}; tagging it as text")


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
    if suffix in _RECORDS:
        raise InputError(
            f"{path}: this is a file of records. Convert it first, e.g. with `tagger convert {path.name} "
            "tokens.conll`, or pass --input text to tag it as running text."
        )
    if suffix in _SUFFIXES:
        format = "conllu" if suffix.startswith(".conllu") else "conll"
    else:
        try:
            with open_input(path) as file:
                head = file.read(_HEAD_BYTES).decode(errors="replace").split("\n")
        except OSError:
            return  # reading the text raises the error
        if not _holds_columns([line for line in head[:-1] if _may_be_token(line)]):
            return
        format = "conll"
    raise InputError(
        f"{path}: this is a column file with one token per line. Pass --input {format} to tag its tokens, or "
        "--input text to tag it as running text."
    )


def default_format(input: str | None, output: Path | None, *, is_stream: bool) -> str:
    """Return the default output format of `tagger tag`."""
    if input in COLUMN_INPUTS:
        return str(input)
    if is_stream:
        return "conll"
    return "text" if output is None and sys.stdout.isatty() else "jsonl"


def require_format(style: str, input: str | None) -> None:
    """Raise InputError if the output format is unknown or cannot hold the input."""
    if input not in (None, *INPUTS):
        raise InputError(f"--input must be one of {', '.join(INPUTS)} (got {input!r}).")
    known = (*COLUMN_INPUTS, "jsonl") if input in COLUMN_INPUTS else tuple(FORMATS)
    if style not in known:
        near = difflib.get_close_matches(style, known, n=1, cutoff=0.0)[0]
        raise InputError(f"--format must be one of {', '.join(known)} (got {style!r}). Did you mean {near}?")


def require_input(
    input: str | None, columns: str | None, sources: Sequence[Source], *, others: Mapping[str, bool]
) -> None:
    """Raise InputError for options that the input format does not support."""
    if columns is not None and input != "conll":
        raise InputError("--columns needs --input conll. Pass both, or leave --columns out.")
    if input not in COLUMN_INPUTS:
        return
    for option, is_given in others.items():
        if is_given:
            raise InputError(f"{option} needs running text (got --input {input}). Leave one of them out.")
    if any(source.text is not None for source in sources):
        raise InputError(f"--input {input} needs a file (got a text). Name a file.")


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
