"""Files as numbered lines of text, whatever their packing, with line ends of Unix or Windows."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from tagger.errors import InputError

_GZIP_MAGIC = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"


def numbered_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    r"""Read a UTF-8 file line by line.

    Lines end at ``\n`` or ``\r\n`` and nowhere else (a form feed or U+2028 may be part of a token). A file
    that begins with gzip's magic bytes is unpacked, whatever its name; a byte order mark is dropped.

    Yields:
        The line's number, counted from 1, and the line without its end.

    Raises:
        InputError: If the file is missing, a folder, unreadable, damaged, or not UTF-8 (with line and byte);
            if a line holds a carriage return, as with the line ends of old Macs.
    """
    try:
        with Path(path).open("rb") as file:
            is_packed = file.peek(2).startswith(_GZIP_MAGIC)  # peek, not seek: the file may be a pipe
            for number, raw in enumerate(gzip.GzipFile(fileobj=file) if is_packed else file, 1):
                line = raw.removeprefix(_BOM) if number == 1 else raw
                text = line.decode().rstrip("\r\n")
                if "\r" in text:
                    raise InputError(
                        f"{path}:{number}: there is a carriage return inside the line; convert the line ends "
                        "to line feeds, for instance with mac2unix."
                    )
                yield number, text
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}:{number}: byte {error.start + 1} of the line (0x{error.object[error.start]:02x}) is not "
            "UTF-8; convert the file to UTF-8, for instance with iconv."
        ) from None
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; check the path.") from None
    except IsADirectoryError:
        raise InputError(f"{path}: this is a folder; name a file in it.") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: the gzip data are damaged ({error}); get the file again.") from None
    except OSError as error:
        raise InputError(f"{path}: the file cannot be read ({error.strerror or error}).") from None
