"""Read the text of `tagger tag`, by line or as it arrives; shared options of corpus readers."""

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

from tagger.cli.output import print_message
from tagger.corpus.conll import DOCUMENT_START
from tagger.corpus.lines import BOM
from tagger.corpus.reading import Offsets
from tagger.errors import InputError
from tagger.storage import open_input
from tagger.text.sentence import Sentence

Read = Callable[[int], bytes]

STDIN = Path("-")
PIECE_BYTES = 65_536  # most bytes of a line per read
LONGEST_LINE = 100_000  # most tokens of a pretokenized sentence; memory grows with the longest one
LONGEST_TEXT_LINE = 1 << 27  # most characters of a pretokenized line
BORDER_FILLERS = ("-X-", "-", "O", "_")  # other columns of a document border
_BORDER_LINE = re.compile(rf"{DOCUMENT_START}(?:[ \t]+(?:{'|'.join(BORDER_FILLERS)}))*\s*")
# ASCII white space only: a token may contain a no-break space.
_TOKEN = re.compile(r"[^ \t\n\r\f\v]+")

OffsetsOption = Annotated[
    Offsets,
    typer.Option(
        metavar="|".join(get_args(Offsets)),
        help="Unit of span offsets; auto detects it from the texts of the spans.",
    ),
]
LabelNamesOption = Annotated[
    str | None,
    typer.Option(metavar="NAMES", help="Names of numeric tags, starting at 0, e.g. O,B-PER,I-PER."),
]


def before_errors(lines: Iterable[str], errors: list[InputError]) -> Iterator[str]:
    """Yield lines until the first error; append the error to ``errors`` instead of raising it."""
    try:
        yield from lines
    except InputError as error:
        errors.append(error)


def read_lines(path: Path, *, is_live: bool = False) -> Iterator[str]:
    r"""Yield the lines of a text file, line ends included.

    Lines end at ``\n``. Very long lines are yielded in pieces.

    Args:
        path: The file, or ``STDIN``.
        is_live: True to yield available text at once instead of waiting for the end of the line.

    Raises:
        InputError: The file cannot be read, or a byte is not UTF-8 (the message gives line and byte).
    """
    try:
        if path == STDIN:
            with suppress(UnsupportedOperation):  # a replaced stdin may have no descriptor
                os.set_blocking(sys.stdin.fileno(), True)  # else a pause reads as the end of the text
            if sys.stdin.isatty():
                sys.stderr.write("tagger: reading from the terminal; press Ctrl-D to end the text\n")
            yield from _decode(_reader(sys.stdin.buffer, is_live), "standard input")
        else:
            with open_input(path) as file:
                yield from _decode(_reader(file, is_live), str(path))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(
            f"the file cannot be read ({error.strerror}). Check it.",
            code="file.unreadable",
            where=path,
        ) from None


def read_tokens(lines: Iterable[str], *, start: int = 0) -> Iterator[Sentence]:
    """Yield pretokenized sentences, one per line; skip lines without tokens.

    A line of ``-DOCSTART-`` and fillers, as in CoNLL files, starts a document. A byte order mark at the start
    of a line is dropped. A line of more than ``LONGEST_LINE`` tokens is split into sentences of that length.

    Args:
        lines: The lines, or pieces of them.
        start: Character offset of the first line in the document.
    """
    position, starts_document = start, False
    for line in _whole_lines(lines):
        first = len(BOM) if line.startswith(BOM) else 0
        if first and position:
            note_byte_order_mark(line[first:])
        if line.startswith(DOCUMENT_START, first) and _BORDER_LINE.fullmatch(line, first):
            position += len(line)
            starts_document = True
            continue
        token_offsets = map(re.Match.span, _TOKEN.finditer(line, first))
        while offsets := list(islice(token_offsets, LONGEST_LINE)):
            begin, stop = offsets[0][0], offsets[-1][1]
            yield Sentence(
                tokens=tuple(line[start:end] for start, end in offsets),
                offsets=tuple((position + start, position + end) for start, end in offsets),
                text=line[begin:stop],
                text_start=position + begin,
                starts_document=starts_document,
            )
            starts_document = False
        position += len(line)


def note_byte_order_mark(text: str) -> None:
    """Print that the mark before this text was dropped; joined files have such marks."""
    print_message(f"dropped a byte order mark before {text.strip()[:40]!r}.")


def _reader(file: BinaryIO, is_live: bool) -> Read:
    return cast(BufferedIOBase, file).read1 if is_live else file.readline


def _decode(read: Read, name: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, position = 1, 0  # line number, and bytes of the line read so far
    while True:
        raw = read(PIECE_BYTES)
        pending = len(decoder.getstate()[0])  # bytes of an incomplete character of the last piece
        try:
            text = decoder.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            yield error.object[: error.start].decode()
            line, position = _advance(error.object[: error.start], line, position - pending)
            raise InputError(
                f"byte {position + 1} of the line (0x{error.object[error.start]:02x}) is not UTF-8. Convert "
                "the text to UTF-8, e.g. with iconv.",
                code="corpus.encoding",
                where=f"{name}:{line}",
            ) from None
        line, position = _advance(raw, line, position)
        if text:
            yield text
        if not raw:
            return


def _advance(raw: bytes, line: int, position: int) -> tuple[int, int]:
    """Return the line number, and the bytes read of that line, after reading ``raw``."""
    last = raw.rfind(b"\n")
    return (line, position + len(raw)) if last < 0 else (line + raw.count(b"\n"), len(raw) - last - 1)


def _whole_lines(pieces: Iterable[str]) -> Iterator[str]:
    held: list[str] = []  # pieces of an unfinished line
    size = number = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size > LONGEST_TEXT_LINE:
            raise InputError(
                f"line {number + 1} of the text must have at most {LONGEST_TEXT_LINE:,} characters. Write "
                "one sentence per line.",
                code="input.size",
                option="--pretokenized",
            )
        if piece.endswith("\n"):
            yield "".join(held)
            held, size, number = [], 0, number + 1
    if held:
        yield "".join(held)


def split_names(values: Iterable[str] | None) -> list[str]:
    """Return the names that ``--task`` gives, repeated or with commas.

    Raises:
        InputError: A name is given twice.
    """
    names = [name.strip() for value in values or () for name in value.split(",") if name.strip()]
    repeated = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if repeated:
        raise InputError(
            f"--task {repeated} is given twice. Give it once.",
            code="option.conflict",
            option="--task",
        )
    return names
