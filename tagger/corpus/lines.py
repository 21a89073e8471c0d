"""Files as numbered lines of text, whatever their packing, with line ends of Unix or Windows."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from tagger.errors import Refuse, refuse
from tagger.storage import limited_lines, open_input

_GZIP_MAGIC = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
BOM = "\ufeff"
LONGEST_LINE = 1 << 27  # bytes; Label Studio writes a whole corpus as one line


def _ignore(_: str) -> None:
    pass


def numbered_lines(
    path: str | Path, *, refuse: Refuse = refuse, note: Callable[[str], object] = _ignore
) -> Iterator[tuple[int, str]]:
    r"""Read a UTF-8 file line by line.

    Lines end at ``\n`` or ``\r\n`` and nowhere else (a form feed or U+2028 may be part of a token). A file
    that begins with gzip's magic bytes is unpacked, whatever its name. Byte order marks at the starts of
    lines are dropped: files that were joined have them in their middle, too.

    Args:
        path: The file.
        refuse: What is told of a problem. If it returns, what is not UTF-8 becomes U+FFFD, of a line with a
            carriage return inside only the part before it is read, and a file that cannot be read (on) ends.
        note: Receives a line for each byte order mark after the first line.

    Yields:
        The line's number, counted from 1, and the line without its end.

    Raises:
        InputError: If the file is missing, a folder, unreadable, damaged, or not UTF-8 (with line and byte);
            if a line holds a carriage return, as with the line ends of old Macs; if a line is longer than
            ``LONGEST_LINE``, or the file is a device or socket.
    """
    for number, raw in enumerate(_raw_lines(path, refuse), 1):
        if len(raw) > LONGEST_LINE:
            refuse(
                f"{path}:{number}: the line has more than {LONGEST_LINE:,} bytes; give a text file with line "
                "ends."
            )
            return
        line = raw
        if raw.startswith(_BOM):
            line = raw.removeprefix(_BOM)
            if number > 1:
                note(f"{path}:{number}: a byte order mark at the start of the line is left out.")
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            refuse(
                f"{path}:{number}: byte {error.start + 1} of the line (0x{error.object[error.start]:02x}) is "
                "not UTF-8; convert the file to UTF-8, for instance with iconv."
            )
            text = line.decode(errors="replace")
        text = text.rstrip("\r\n")
        if "\r" in text:
            refuse(
                f"{path}:{number}: there is a carriage return inside the line; convert the line ends "
                "to line feeds, for instance with mac2unix."
            )
            text = text.partition("\r")[0]
        yield number, text


def _raw_lines(path: str | Path, refuse: Refuse) -> Iterator[bytes]:
    try:
        with open_input(path) as file:
            is_packed = file.peek(2).startswith(_GZIP_MAGIC)  # peek, not seek: the file may be a pipe
            unpacked = cast(BinaryIO, gzip.GzipFile(fileobj=file) if is_packed else file)
            yield from limited_lines(unpacked, most=LONGEST_LINE)
        return
    except FileNotFoundError:
        problem = "there is no such file; check the path."
    except IsADirectoryError:
        problem = "this is a folder; name a file in it."
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        problem = f"the gzip data are damaged ({error}); get the file again."
    except OSError as error:
        problem = f"the file cannot be read ({error.strerror or error})."
    refuse(f"{path}: {problem}")
