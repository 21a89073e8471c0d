"""Output of the commands: standard output, files, and messages on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TextIO

from tagger.errors import InputError, escape_line
from tagger.storage import open_text, replace_file

MOST_NOTES = 20  # most notes that one command prints


_before_message: ContextVar[Callable[[], object] | None] = ContextVar("before_message", default=None)


@contextmanager
def before_messages(action: Callable[[], object]) -> Iterator[None]:
    """Call a function before each message on standard error, e.g. to hide a progress bar."""
    token = _before_message.set(action)
    try:
        yield
    finally:
        _before_message.reset(token)


def print_stderr(message: str) -> None:
    """Write one line to standard error, with control characters escaped."""
    action = _before_message.get()
    if action:
        action()
    sys.stderr.write(f"{escape_line(message)}\n")


def print_message(line: str) -> None:
    """Print one line on standard error, prefixed with the program name."""
    print_stderr(f"tagger: {' '.join(line.splitlines())}")


class Notes:
    """Print notes on data that a command changes or leaves out, at most ``MOST_NOTES`` of them.

    Attributes:
        count: Number of notes so far, printed or not.
    """

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, note: str) -> None:
        """Print a note, unless ``MOST_NOTES`` have been printed."""
        self.count += 1
        if self.count <= MOST_NOTES:
            print_message(note)

    def close(self) -> None:
        """Print the number of notes, if there are any."""
        hidden = f" (first {MOST_NOTES} shown above)" if self.count > MOST_NOTES else ""
        if self.count:
            print_message(f"notes on changed or skipped data: {self.count:,}{hidden}")


@contextmanager
def open_output(path: Path | None, *, is_growing: bool = False) -> Iterator[TextIO]:
    """Open standard output or a file, in UTF-8 and with unchanged line ends, whatever the locale.

    The file replaces an existing one only when it is complete. A file named ``.gz`` is compressed.

    Args:
        path: The file, or None for standard output.
        is_growing: True to write to the final path at once. The file can then be read while it grows, and
            keeps its content after an error.

    Raises:
        InputError: The file cannot be written.
    """
    if path is None:
        reconfigure = getattr(sys.stdout, "reconfigure", None)
        if reconfigure:
            reconfigure(encoding="utf-8", errors="backslashreplace", newline="")
        yield sys.stdout
        sys.stdout.flush()
        return
    opened = _in_place(path) if is_growing else replace_file(path)
    with opened as target, open_text(target, is_compressed=path.suffix.lower() == ".gz") as file:
        yield file


@contextmanager
def _in_place(path: Path) -> Iterator[Path]:
    try:
        yield path
    except OSError as error:
        problem = error.strerror or error
        raise InputError(
            f"cannot be written ({problem}). Free disk space or use another path.",
            code="file.unwritable",
            where=path,
        ) from None
