"""Where commands write text: standard output or a file."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, cast

from tagger.storage import replace_file


@contextmanager
def open_output(path: Path | None) -> Iterator[TextIO]:
    """Standard output or a file, in UTF-8 and with line ends as they are, whatever the locale says.

    An earlier file stays as it is until the new one is whole. One that is called ``.gz`` is packed.

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
    with replace_file(path) as place, _open(place, is_packed=path.suffix.lower() == ".gz") as file:
        yield file


def _open(place: Path, *, is_packed: bool) -> TextIO:
    # A file's name may hold what is no UTF-8; JSON reads the escape.
    opened = gzip.open if is_packed else open
    return cast(TextIO, opened(place, "wt", encoding="utf-8", errors="backslashreplace", newline=""))
