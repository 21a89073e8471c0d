"""Read text files as numbered lines: plain or gzip, with Unix or Windows line ends."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from tagger.errors import Code, InputError, OnError, Warn, ignore, raise_error
from tagger.storage import limited_lines, open_input

_GZIP_MAGIC = b"\x1f\x8b"
BOM = "\ufeff"
LONGEST_LINE = 1 << 27  # bytes; Label Studio writes a whole corpus on one line


def numbered_lines(
    path: str | Path, *, on_error: OnError = raise_error, warn: Warn = ignore
) -> Iterator[tuple[int, str]]:
    r"""Read a UTF-8 file line by line.

    Lines end at ``\n`` or ``\r\n`` only (tokens may contain a form feed or U+2028). Files that begin with
    gzip's magic bytes are decompressed, whatever their name. Byte order marks at the starts of lines are
    dropped: concatenated files have them in the middle, too.

    Args:
        path: The file.
        on_error: Receives each error. If it returns, invalid UTF-8 becomes U+FFFD, a line with a
            carriage return ends there, and reading stops at the point where the file becomes unreadable.
        warn: Receives a warning for each byte order mark after the first line.

    Yields:
        The line's number, counted from 1, and the line without its end.

    Raises:
        InputError: If the file is missing, a folder, unreadable, damaged, or not UTF-8 (with line and byte);
            if a line contains a carriage return, as with old Mac line ends; if a line is longer than
            ``LONGEST_LINE``, or the file is a device or socket.
    """
    for number, raw in enumerate(raw_lines(path, on_error), 1):
        if len(raw) > LONGEST_LINE:
            on_error(
                InputError(
                    f"the line has more than {LONGEST_LINE:,} bytes. Pass a text file with line ends.",
                    code="input.size",
                    where=f"{path}:{number}",
                )
            )
            return
        line = raw
        if raw.startswith(codecs.BOM_UTF8):
            line = raw.removeprefix(codecs.BOM_UTF8)
            if number > 1:
                warn(f"{path}:{number}: dropped a byte order mark at the start of the line.")
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            on_error(
                InputError(
                    f"byte {error.start + 1} of the line (0x{error.object[error.start]:02x}) is "
                    "not UTF-8. Convert the file to UTF-8, for instance with iconv.",
                    code="corpus.encoding",
                    where=f"{path}:{number}",
                )
            )
            text = line.decode(errors="replace")
        text = text.rstrip("\r\n")
        if "\r" in text:
            on_error(
                InputError(
                    "the line contains a carriage return. Convert the line ends "
                    "to line feeds, for instance with mac2unix.",
                    code="corpus.format",
                    where=f"{path}:{number}",
                )
            )
            text = text.partition("\r")[0]
        yield number, text


def raw_lines(path: str | Path, on_error: OnError = raise_error) -> Iterator[bytes]:
    """Yield the lines of a file with their line ends, decompressed (see ``numbered_lines``).

    Of a line longer than ``LONGEST_LINE``, only the start is yielded, and it is the last one.

    Args:
        path: The file.
        on_error: Receives an error if the file cannot be read. If it returns, reading stops.

    Raises:
        InputError: The file cannot be read.
    """
    try:
        with open_input(path) as file:
            is_compressed = file.peek(2).startswith(_GZIP_MAGIC)  # peek, not seek: the file may be a pipe
            unpacked = cast(BinaryIO, gzip.GzipFile(fileobj=file) if is_compressed else file)
            yield from limited_lines(unpacked, max_bytes=LONGEST_LINE)
        return
    except FileNotFoundError:
        problem = "there is no such file. Check the path."
        code: Code = "file.missing"
    except IsADirectoryError:
        problem = "this is a folder. Name a file in it."
        code = "file.kind"
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        problem = f"the gzip data are damaged ({error}). Download or copy the file again."
        code = "file.unreadable"
    except OSError as error:
        problem = f"the file cannot be read ({error.strerror or error})."
        code = "file.unreadable"
    on_error(InputError(problem, code=code, where=path))
