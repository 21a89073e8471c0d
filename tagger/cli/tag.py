"""``tagger tag``: raw text in, tags out, as a stream."""

from __future__ import annotations

import codecs
import difflib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from tagger.cli.formats import FORMATS, Document, View
from tagger.cli.output import open_output
from tagger.errors import InputError
from tagger.features.vocab import Task
from tagger.runtime.tagger import MOST_ALTERNATIVES, Tagger, choose_tasks
from tagger.text.documents import stream_sentences
from tagger.text.schemes import SCHEMES, normalise_scheme
from tagger.text.sentence import Sentence
from tagger.training.card import task_labels

EXAMPLES = """Examples:

tagger tag runs/news letter.txt

tagger tag runs/news --format jsonl < letter.txt > letter.jsonl

tagger tag runs/news --format html --output page.html a.txt b.txt"""

STDIN = Path("-")
PIECE_BYTES = 65_536  # of a line that is read at once
LONGEST_LINE = 100_000  # ready tokens of a sentence at most, since memory grows with the longest one
# White space of ASCII only: a token may hold a no-break space.
_TOKEN = re.compile(r"[^ \t\n\r\f\v]+")


def tag_command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder that `tagger train` wrote.")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE...|-", help="Texts in UTF-8; standard input when none is given."),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(FORMATS),
            help="What is written; text on a terminal, else jsonl.",
            autocompletion=lambda: list(FORMATS),
        ),
    ] = None,
    pretokenized: Annotated[
        bool,
        typer.Option(
            "--pretokenized",
            help=f"A sentence a line, tokens separated by spaces or tabs; cut after {LONGEST_LINE:,} tokens.",
        ),
    ] = False,
    scheme: Annotated[
        str,
        typer.Option(
            metavar="SCHEME",  # the names joined would be cut anywhere
            help=f"How tags of spans are written: {', '.join(SCHEMES)}.",
            autocompletion=lambda: list(SCHEMES),
        ),
    ] = "IOB2",
    task: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only these of the model's tasks (repeatable, or with commas)."),
    ] = None,
    scores: Annotated[
        bool, typer.Option("--scores", help="Write each tag's probability, in jsonl and conll.")
    ] = False,
    n_best: Annotated[
        int,
        typer.Option(
            metavar="K",
            help=f"Write the K likeliest tag sequences, in jsonl; at most {MOST_ALTERNATIVES}.",
        ),
    ] = 0,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to a file, not to standard output.")
    ] = None,
    color: Annotated[
        bool | None,
        typer.Option("--color/--no-color", help="Colours in the text format; by default on a terminal."),
    ] = None,
) -> None:
    """Tag raw text (or ready tokens) with a trained model.

    Each FILE is a document of its own: offsets count its characters (a byte
    order mark is one). Text and html show one task, the first that has spans.
    """
    style = format or ("text" if output is None and sys.stdout.isatty() else "jsonl")
    if style not in FORMATS:
        near = difflib.get_close_matches(style, FORMATS, n=1, cutoff=0.0)[0]
        raise InputError(f"There is no format {style!r}; did you mean {near} (of {', '.join(FORMATS)})?")
    _require_room(style, scores=scores, n_best=n_best)
    paths = files or [STDIN]
    if paths.count(STDIN) > 1:
        raise InputError("Standard input (-) is named twice but can be read once; leave one out.")
    for path in paths:
        _require_readable(path, output)
    tagger = Tagger.load(model, scheme=normalise_scheme(scheme))
    view = make_view(tagger, split_names(task), is_coloured=_is_coloured(color, output))

    def tag(lines: Iterable[str]) -> Iterator[Sentence]:
        cut = read_tokens(lines) if pretokenized else stream_sentences(lines, tagger.tokenizer)
        return tagger.tag_sentences(cut, n_best=n_best, scores=scores)

    names = document_names(paths)
    errors: list[InputError] = []
    documents = [
        Document(name, _before_errors(read_lines(path), errors))
        for name, path in zip(names, paths, strict=True)
    ]
    with open_output(output) as file:
        file.writelines(FORMATS[style](documents, tag, view))
        if errors:  # all that could be read has been tagged; a file is left as it was
            file.flush()
            raise errors[0]


def _before_errors(lines: Iterable[str], errors: list[InputError]) -> Iterator[str]:
    """Pass on what can be read; an error ends the text and is kept for later."""
    try:
        yield from lines
    except InputError as error:
        errors.append(error)


def document_names(paths: Sequence[Path]) -> list[str]:
    """The files' names, or whole paths if different files have one name."""
    named = {path: "standard input" if path == STDIN else path.name for path in paths}
    is_clear = len(set(named.values())) == len(named)
    return [named[path] if is_clear or path == STDIN else str(path) for path in paths]


def split_names(values: Iterable[str] | None) -> list[str]:
    """Names that were given by repeating an option, or with commas, or both."""
    names = [name.strip() for value in values or () for name in value.split(",")]
    return [name for name in names if name]


def make_view(tagger: Tagger, tasks: Sequence[str], *, is_coloured: bool) -> View:
    """What is shown of a model's tags.

    Args:
        tagger: The model.
        tasks: Names of the tasks to show; all when empty.
        is_coloured: Whether running text is coloured for a terminal.

    Raises:
        InputError: A task is none of the model's.
    """
    names = choose_tasks(tagger, tasks)
    by_name: dict[str, Task] = {one.name: one for one in tagger.tasks}
    with_spans = [name for name in names if by_name[name].scheme]
    labels = task_labels(tagger.bundle.vocabulary)[with_spans[0]] if with_spans else []
    return View(names, (with_spans or names)[0], labels, is_coloured)


def read_lines(path: Path) -> Iterator[str]:
    r"""A file's text line by line, ends included; lines end at ``\n``, and very long ones come in pieces.

    Raises:
        InputError: While reading, if the file cannot be read or a byte is not UTF-8 (line and byte of it).
    """
    try:
        if path == STDIN:
            if sys.stdin.isatty():
                sys.stderr.write("tagger: reading from the terminal; Ctrl-D ends the text\n")
            yield from _decode(sys.stdin.buffer, "standard input")
        else:
            with path.open("rb") as file:
                yield from _decode(file, str(path))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(f"{path}: the file cannot be read ({error.strerror}); check it.") from None


def read_tokens(lines: Iterable[str]) -> Iterator[Sentence]:
    """Sentences of ready tokens, one a line; lines without a token are passed over.

    A line of more than ``LONGEST_LINE`` tokens is cut into sentences of so many.
    """
    position = 0
    for line in _whole_lines(lines):
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
            )
        position += len(line)


def _decode(file: BinaryIO, name: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, position = 1, 0  # bytes of the line that were read
    while True:
        raw = file.readline(PIECE_BYTES)
        held = len(decoder.getstate()[0])  # bytes of a character that the last piece cut
        try:
            text = decoder.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            yield error.object[: error.start].decode()
            place = position - held + error.start + 1
            raise InputError(
                f"{name}:{line}: byte {place} of the line (0x{error.object[error.start]:02x}) is not UTF-8; "
                "convert the text to UTF-8, for instance with iconv."
            ) from None
        line, position = (line + 1, 0) if raw.endswith(b"\n") else (line, position + len(raw))
        if text:
            yield text
        if not raw:
            return


def _whole_lines(pieces: Iterable[str]) -> Iterator[str]:
    held: list[str] = []
    for piece in pieces:
        held.append(piece)
        if piece.endswith("\n"):
            yield "".join(held)
            held = []
    if held:
        yield "".join(held)


def _require_room(style: str, *, scores: bool, n_best: int) -> None:
    """Refuse a number that is out of bounds, and what the format does not hold."""
    if not 0 <= n_best <= MOST_ALTERNATIVES:
        raise InputError(f"--n-best is {n_best}; use 0 for no alternatives, or at most {MOST_ALTERNATIVES}.")
    if n_best and style != "jsonl":
        raise InputError(f"The format {style} does not hold --n-best sequences; use --format jsonl.")
    if scores and style not in ("jsonl", "conll"):
        raise InputError(f"The format {style} does not hold --scores; use --format jsonl or conll.")


def _require_readable(path: Path, output: Path | None) -> None:
    """Find a wrong name before the first line is written."""
    if path == STDIN:
        if sys.stdin is None:
            raise InputError("Standard input is closed; name a file or give a pipe.")
        return
    if not path.exists():
        raise InputError(f"{path}: there is no such file; check the path.")
    if path.is_dir():
        raise InputError(f"{path}: this is a folder; name a file in it.")
    if output is not None and output.is_file() and output.samefile(path):
        raise InputError(f"{output}: the output would overwrite the text; use another --output.")


def _is_coloured(wish: bool | None, output: Path | None) -> bool:
    if wish is not None:
        return wish
    is_wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return is_wanted and output is None and sys.stdout.isatty()
