"""Where commands write: standard output, a file or a folder, put in place only when it is whole."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from tagger.errors import InputError


@contextmanager
def open_output(path: Path | None) -> Iterator[TextIO]:
    """Standard output or a file, in UTF-8 and with line ends as they are, whatever the locale says.

    An earlier file stays as it is until the new one is whole.

    Raises:
        InputError: The file cannot be written.
    """
    if path is None:
        reconfigure = getattr(sys.stdout, "reconfigure", None)
        if reconfigure:
            reconfigure(encoding="utf-8", newline="")
        yield sys.stdout
        sys.stdout.flush()
        return
    target = path.resolve()
    is_kept = path.is_file()
    is_device = path.exists() and not is_kept
    temporary = target.with_name(f".{target.name}.new")
    try:
        # A file's name may hold what is no UTF-8; JSON reads the escape.
        with (path if is_device else temporary).open(
            "w", encoding="utf-8", errors="backslashreplace", newline=""
        ) as file:
            yield file
        if is_kept:
            shutil.copymode(target, temporary)
        if not is_device:
            temporary.replace(target)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); free space or write it somewhere else."
        ) from None
    finally:
        if not is_device:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextmanager
def open_folder(path: Path) -> Iterator[Path]:
    """A new folder to write into, which gets its name when all of it is there.

    Raises:
        InputError: There is something of that name, but for an empty folder; or it cannot be written.
    """
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.new")
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise InputError(f"{path}: there is something already; name a new folder, or an empty one.")
        shutil.rmtree(temporary, ignore_errors=True)  # what a killed command left
        temporary.mkdir()
        yield temporary
        temporary.replace(target)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); free space or write it somewhere else."
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
