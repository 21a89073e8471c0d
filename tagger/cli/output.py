"""Where commands write text: standard output, a file, or messages on standard error."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, cast

from tagger.errors import InputError, escape_line
from tagger.storage import replace_file

MOST_NOTES = 20  # of one command that are printed


def tell(message: str) -> None:
    """Write one line to standard error; what would move the cursor is escaped."""
    sys.stderr.write(f"{escape_line(message)}\n")


def say(line: str) -> None:
    """Print a line on standard error, with the program's name."""
    tell(f"tagger: {' '.join(line.splitlines())}")


class Notes:
    """Prints what a command changes or leaves out, at most ``MOST_NOTES`` lines of it.

    Attributes:
        count: How many notes there were.
    """

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, note: str) -> None:
        """Print a note, unless there were many before."""
        self.count += 1
        if self.count <= MOST_NOTES:
            say(note)

    def close(self) -> None:
        """Say how many there were, if any."""
        hidden = f" (the first {MOST_NOTES} above)" if self.count > MOST_NOTES else ""
        if self.count:
            say(f"notes on what was changed or left out: {self.count:,}{hidden}")


@contextmanager
def open_output(path: Path | None, *, is_growing: bool = False) -> Iterator[TextIO]:
    """Standard output or a file, in UTF-8 and with line ends as they are, whatever the locale says.

    An earlier file stays as it is until the new one is whole. One that is called ``.gz`` is packed.

    Args:
        path: The file, or None for standard output.
        is_growing: Whether the file takes an earlier one's place at once, so that it can be read while it is
            written, and keeps what was written however that ends.

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
    placed = _in_place(path) if is_growing else replace_file(path)
    with placed as place, _open(place, is_packed=path.suffix.lower() == ".gz") as file:
        yield file


@contextmanager
def _in_place(path: Path) -> Iterator[Path]:
    try:
        yield path
    except OSError as error:
        problem = error.strerror or error
        raise InputError(
            f"{path}: cannot be written ({problem}); free space or name another place."
        ) from None


def _open(place: Path, *, is_packed: bool) -> TextIO:
    # A file's name may hold what is no UTF-8; JSON reads the escape.
    opened = gzip.open if is_packed else open
    return cast(TextIO, opened(place, "wt", encoding="utf-8", errors="backslashreplace", newline=""))
