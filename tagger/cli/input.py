"""Reading text for `tagger tag`, line by line or as it comes, and options of how corpus files are read."""

from __future__ import annotations

import codecs
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from io import BufferedIOBase, UnsupportedOperation
from itertools import islice
from pathlib import Path
from typing import Annotated, BinaryIO, cast, get_args

import typer

from tagger.corpus.conll import BORDER
from tagger.corpus.reading import Offsets
from tagger.errors import InputError
from tagger.storage import open_input
from tagger.text.sentence import Sentence

Read = Callable[[int], bytes]

STDIN = Path("-")
PIECE_BYTES = 65_536  # of a line that is read at once
LONGEST_LINE = 100_000  # ready tokens of a sentence at most, since memory grows with the longest one
LONGEST_TEXT_LINE = 1 << 27  # characters of a line of ready tokens at most
# White space of ASCII only: a token may hold a no-break space.
_BORDER_LINE = re.compile(rf"{BORDER}(?:[ \t]+(?:-X-|[-O_]))*\s*")
_TOKEN = re.compile(r"[^ \t\n\r\f\v]+")

OffsetsOption = Annotated[
    str,
    typer.Option(
        metavar="|".join(get_args(Offsets)),
        help="What offsets of spans count; auto goes by the texts of the spans.",
        autocompletion=lambda: list(get_args(Offsets)),
    ),
]
LabelNamesOption = Annotated[
    str | None,
    typer.Option(metavar="NAMES", help="Names of tags given as numbers, from 0 on, as O,B-PER,I-PER."),
]


def before_errors(lines: Iterable[str], errors: list[InputError]) -> Iterator[str]:
    """Pass on what can be read; an error ends the text and is kept for later."""
    try:
        yield from lines
    except InputError as error:
        errors.append(error)


def read_lines(path: Path, *, as_it_comes: bool = False) -> Iterator[str]:
    r"""A file's text line by line, ends included; lines end at ``\n``, and very long ones come in pieces.

    Args:
        path: The file, or ``STDIN``.
        as_it_comes: Whether to wait for no line's end: pieces are then what is there to be read.

    Raises:
        InputError: While reading, if the file cannot be read or a byte is not UTF-8 (line and byte of it).
    """
    try:
        if path == STDIN:
            with suppress(UnsupportedOperation):  # what stands in its place may be no file
                os.set_blocking(sys.stdin.fileno(), True)  # or a pause would be taken for the end
            if sys.stdin.isatty():
                sys.stderr.write("tagger: reading from the terminal; Ctrl-D ends the text\n")
            yield from _decode(_reader(sys.stdin.buffer, as_it_comes), "standard input")
        else:
            with open_input(path) as file:
                yield from _decode(_reader(file, as_it_comes), str(path))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(f"{path}: the file cannot be read ({error.strerror}); check it.") from None


def read_tokens(lines: Iterable[str], *, start: int = 0) -> Iterator[Sentence]:
    """Sentences of ready tokens, one a line; lines without a token are passed over.

    A line of ``-DOCSTART-`` and fillers, as CoNLL files have it, starts a document instead. A line of more
    than ``LONGEST_LINE`` tokens is cut into sentences of so many.

    Args:
        lines: The lines, or pieces of them.
        start: Position of the first line in the document, in characters.
    """
    position, starts_document = start, False
    for line in _whole_lines(lines):
        if line.startswith(BORDER) and _BORDER_LINE.fullmatch(line):
            position += len(line)
            starts_document = True
            continue
        # A byte order mark before the first token is none of its characters.
        first = 1 if position == 0 and line.startswith("\ufeff") else 0
        found = map(re.Match.span, _TOKEN.finditer(line, first))
        while places := list(islice(found, LONGEST_LINE)):
            begin, stop = places[0][0], places[-1][1]
            yield Sentence(
                tokens=tuple(line[start:end] for start, end in places),
                offsets=tuple((position + start, position + end) for start, end in places),
                text=line[begin:stop],
                text_start=position + begin,
                starts_document=starts_document,
            )
            starts_document = False
        position += len(line)


def _reader(file: BinaryIO, as_it_comes: bool) -> Read:
    return cast(BufferedIOBase, file).read1 if as_it_comes else file.readline


def _decode(read: Read, name: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, position = 1, 0  # bytes of the line that were read
    while True:
        raw = read(PIECE_BYTES)
        held = len(decoder.getstate()[0])  # bytes of a character that the last piece cut
        try:
            text = decoder.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            yield error.object[: error.start].decode()
            line, position = _advance(error.object[: error.start], line, position - held)
            raise InputError(
                f"{name}:{line}: byte {position + 1} of the line (0x{error.object[error.start]:02x}) is not "
                "UTF-8; convert the text to UTF-8, for instance with iconv."
            ) from None
        line, position = _advance(raw, line, position)
        if text:
            yield text
        if not raw:
            return


def _advance(raw: bytes, line: int, position: int) -> tuple[int, int]:
    """The line's number and how many bytes of it were read, after some more bytes."""
    last = raw.rfind(b"\n")
    return (line, position + len(raw)) if last < 0 else (line + raw.count(b"\n"), len(raw) - last - 1)


def _whole_lines(pieces: Iterable[str]) -> Iterator[str]:
    held: list[str] = []
    size = number = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size > LONGEST_TEXT_LINE:
            raise InputError(
                f"line {number + 1} of the text has more than {LONGEST_TEXT_LINE:,} characters; give a "
                "sentence a line."
            )
        if piece.endswith("\n"):
            yield "".join(held)
            held, size, number = [], 0, number + 1
    if held:
        yield "".join(held)
