"""What the words of `tagger tag` stand for: a model, files, standard input, or a text itself."""

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
from tagger.cli.output import tell
from tagger.corpus.conll import is_border
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
    """Something to be tagged.

    Attributes:
        path: A file, or ``STDIN``.
        text: The text, if it stands on the command line.
    """

    path: Path
    text: str | None = None

    def lines(self, *, as_it_comes: bool = False) -> Iterator[str]:
        """The text in pieces, see ``read_lines``; one of the command line ends as a line does."""
        if self.text is None:
            return read_lines(self.path, as_it_comes=as_it_comes)
        return iter([f"{self.text}\n"])


def choose_model(words: Sequence[str], model: str | None) -> tuple[str, Sequence[str]]:
    """Which model tags, by folder or name, and the words that say what.

    The first word is the model if it is a folder or the name of a model in the package; what is tagged
    without a model being named is tagged with ``DEFAULT``.

    Args:
        words: The command's words.
        model: What ``--model`` says.

    Raises:
        InputError: The first of several words is neither a model nor a file.
    """
    if model is not None or not words:
        return (DEFAULT if model is None else model), words
    first, rest = words[0], words[1:]
    if os.path.isdir(first) or first in included_models():  # noqa: PTH112, never raises
        return first, rest
    if rest and first != str(STDIN) and not os.path.lexists(first):
        raise InputError(
            f"{first}: there is no such model or file; the models in the package are "
            f"{', '.join(included_models()) or 'none'}, and a text is given as one word, in quotes."
        )
    return DEFAULT, words


def find_sources(words: Sequence[str], *, is_text_likely: bool) -> list[Source]:
    """Files, standard input, or one text.

    A word that names no file is a text, unless it looks like a path.

    Args:
        words: What is to be tagged; standard input when there are none.
        is_text_likely: Whether also a word without white space may be a text: not where it stands behind a
            model, and so in the place of a file.

    Raises:
        InputError: A file is not there, or a text is not alone.
    """
    found = [_find_source(word, is_text_likely=is_text_likely) for word in words] or [Source(STDIN)]
    texts = [one for one in found if one.text is not None]
    if texts and len(found) > 1:
        raise InputError(
            f"{texts[0].text}: there is no such file, and a text is tagged alone; give one text in quotes, "
            "or files."
        )
    return found


def _find_source(word: str, *, is_text_likely: bool) -> Source:
    path = Path(word)
    if path == STDIN or os.path.lexists(word):
        return Source(path)
    if _looks_like_path(word) or not (is_text_likely or re.search(r"\s", word.strip())):
        raise InputError(f"{word}: there is no such file; check the path.")
    try:
        word.encode()
    except UnicodeEncodeError:  # bytes of the command line that Python keeps as halves of characters
        raise InputError(f"{word}: the text is not UTF-8; give it on standard input or in a file.") from None
    return Source(Path("text"), word)


def _looks_like_path(word: str) -> bool:
    """Whether a word that names no file was meant to: it has a folder that is there, or a suffix."""
    folder = os.path.dirname(word)  # noqa: PTH120, of a path `Path` leaves out a dot before, a slash behind
    if folder and os.path.isdir(folder):  # noqa: PTH112, never raises
        return True
    return os.path.isabs(word) or (not re.search(r"\s", word) and bool(folder or Path(word).suffix))  # noqa: PTH117


def warn_of_word(words: Sequence[str], sources: Sequence[Source]) -> None:
    """Say that a single word is tagged as a text: it may have been meant to name a model."""
    if len(words) == 1 and sources[0].text is not None and not re.search(r"\s", words[0]):
        tell(f"tagger: there is no file or model {words[0]!r}, so that it is tagged as a text")


def refuse_columns(path: Path, *, has_tokens: bool = False) -> None:
    """Raise InputError if a file to be tagged as running text holds tokens, a line each.

    Its suffix says so, or its first lines: columns of which one holds tags.

    Args:
        path: The file.
        has_tokens: True if it should hold a sentence of ready tokens a line; then its suffix says nothing.

    Raises:
        InputError: It does, with the option that reads it.
    """
    if not path.is_file():
        return
    suffix = "" if has_tokens else path.suffix.lower()
    if suffix in _RECORDS:
        raise InputError(
            f"{path}: this is a file of records. Convert it first, as with `tagger convert {path.name} "
            "tokens.conll`, or pass --input text to tag it as running text."
        )
    if suffix in _SUFFIXES:
        format = "conllu" if suffix.startswith(".conllu") else "conll"
    else:
        try:
            with open_input(path) as file:
                head = file.read(_HEAD_BYTES).decode(errors="replace").split("\n")
        except OSError:
            return  # whoever reads the text says what is wrong
        if not _holds_columns([line for line in head[:-1] if _may_be_token(line)]):
            return
        format = "conll"
    raise InputError(
        f"{path}: this is a file of tokens, a line each. Pass --input {format} to tag its tokens, or --input "
        "text to tag it as running text."
    )


def usual_format(input: str | None, output: Path | None, *, is_stream: bool) -> str:
    """Return the format that `tagger tag` writes by default."""
    if input in COLUMN_INPUTS:
        return str(input)
    if is_stream:
        return "conll"
    return "text" if output is None and sys.stdout.isatty() else "jsonl"


def require_format(style: str, input: str | None) -> None:
    """Raise InputError if there is no such format, or it does not hold the input."""
    if input not in (None, *INPUTS):
        raise InputError(f"--input must be one of {', '.join(INPUTS)} (got {input!r}).")
    known = (*COLUMN_INPUTS, "jsonl") if input in COLUMN_INPUTS else tuple(FORMATS)
    if style not in known:
        near = difflib.get_close_matches(style, known, n=1, cutoff=0.0)[0]
        raise InputError(f"There is no format {style!r}; did you mean {near} (of {', '.join(known)})?")


def require_input(
    input: str | None, columns: str | None, sources: Sequence[Source], *, others: Mapping[str, bool]
) -> None:
    """Raise InputError for options that do not go with the kind of input."""
    if columns is not None and input != "conll":
        raise InputError("--columns names the columns of --input conll. Pass both, or leave --columns out.")
    if input not in COLUMN_INPUTS:
        return
    for option, is_given in others.items():
        if is_given:
            raise InputError(f"{option} reads running text (got --input {input} too). Leave one of them out.")
    if any(source.text is not None for source in sources):
        raise InputError(f"--input {input} reads files (got a text). Name a file.")


def _may_be_token(line: str) -> bool:
    return bool(line.strip()) and line[0] != "#" and not is_border(line)


def _holds_columns(lines: Sequence[str]) -> bool:
    """True if lines have several columns, one of them of tags."""
    if len(lines) < _FEW_LINES:
        return False
    layout = find_layout([lines])
    rows = [line.rstrip(" \t").split("\t") if layout.is_tabbed else line.split() for line in lines]
    if layout.problem or any(len(row) != len(layout.names) for row in rows):
        return False
    tags = {row[place] for place, name in enumerate(layout.names) if name in ("ner", "chunk") for row in rows}
    return "pos" in layout.names or any("-" in tag and is_span_tag(tag) for tag in tags)
