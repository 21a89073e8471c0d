"""Safe reading of input files, and atomic writing of files and folders."""

from __future__ import annotations

import errno
import gzip
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from tagger.errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# Windows lacks these flags of os.open; 0 has no effect.
_NO_TERMINAL, _NO_WAIT, _NO_LINK, _CLOSE_ON_EXEC = (
    getattr(os, name, 0) for name in ("O_NOCTTY", "O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC")
)
_OBSERVED_BYTES = 65_536  # bytes per read of an observed file
_on_read: ContextVar[Callable[[int], object] | None] = ContextVar("on_read", default=None)
_MAX_STEM = 60  # maximum characters of a target's name in a temporary name; systems limit a name's length


def open_input(path: str | Path, *, is_stored: bool = False) -> BufferedReader:
    """Open a regular file, pipe, terminal or the null device for reading.

    Args:
        path: The file; links are followed.
        is_stored: True for a file of a model folder. A pipe is then an error, too, and opening it does not
            wait for a writer.

    Raises:
        OSError: The file cannot be opened, or it is a folder, socket or device.
    """
    extra_flags = _NO_TERMINAL | (_NO_WAIT if is_stored else 0)

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | extra_flags)

    on_read = _on_read.get()
    if on_read and not is_stored:
        file: BufferedReader = BufferedReader(
            cast(FileIO, _ObservedFile(path, opener, on_read)), _OBSERVED_BYTES
        )
    else:
        file = open(path, "rb", opener=opener)  # noqa: SIM115
    try:
        _require_readable(os.fstat(file.fileno()), file.isatty(), is_stored=is_stored)
    except OSError as error:
        file.close()
        raise OSError(error.errno, error.strerror, str(path)) from None
    return file


class _ObservedFile(FileIO):
    """File that reports the number of bytes of each read."""

    def __init__(
        self, path: str | Path, opener: Callable[[str, int], int], on_read: Callable[[int], object]
    ) -> None:
        super().__init__(path, "rb", opener=opener)
        self._on_read = on_read

    def readinto(self, buffer: Any, /) -> int | None:
        n_bytes = super().readinto(buffer)
        self._on_read(n_bytes or 0)
        return n_bytes


@contextmanager
def reads_observed(on_read: Callable[[int], object]) -> Iterator[None]:
    """Report the reads of all input files that are opened in the block, except those of model folders.

    Args:
        on_read: Receives the number of bytes of each read.
    """
    token = _on_read.set(on_read)
    try:
        yield
    finally:
        _on_read.reset(token)


def read_input(path: str | Path, *, max_bytes: int, is_stored: bool = False) -> bytes:
    """Read a whole file, see ``open_input``.

    Args:
        path: The file.
        max_bytes: Maximum size, so that an endless file does not fill the memory.
        is_stored: See ``open_input``.

    Raises:
        OSError: As for ``open_input``, or the file is longer.
    """
    with open_input(path, is_stored=is_stored) as file:
        size = os.fstat(file.fileno()).st_size  # also 0 for pipes and virtual files such as those in /proc
        content = file.read(min(size or max_bytes, max_bytes) + 1)
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"more than {max_bytes:,} bytes", str(path))
    return content


def limited_lines(file: BinaryIO, *, max_bytes: int) -> Iterator[bytes]:
    """Yield a file's lines; of a line longer than ``max_bytes``, yield only ``max_bytes`` + 1 and stop."""
    for line in iter(partial(file.readline, max_bytes + 1), b""):
        yield line
        if len(line) > max_bytes:
            return


def _require_readable(status: os.stat_result, is_terminal: bool, *, is_stored: bool) -> None:
    mode = status.st_mode
    if stat.S_ISREG(mode):
        return
    if is_stored:
        raise OSError(errno.EINVAL, "not a regular file")
    is_null = stat.S_ISCHR(mode) and status.st_rdev == Path(os.devnull).stat().st_rdev
    if not (stat.S_ISFIFO(mode) or is_null or is_terminal):
        raise OSError(errno.EINVAL, "must be a file or pipe, not a device or socket")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Convert OSErrors while writing to InputErrors that name the path.

    Raises:
        InputError: An OSError occurred.
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot be written ({error.strerror or error}). Free space or name another path; an earlier "
            "file is unchanged.",
            code="file.unwritable",
            where=path,
        ) from None


@contextmanager
def replace_file(path: Path, *, follows_links: bool = True) -> Iterator[Path]:
    """Yield a temporary path to write to; at the end, sync it to disk and rename it to ``path``.

    A device is written directly. Temporary files of killed processes are removed.

    Args:
        path: The file.
        follows_links: True to write to the target of a link, as for a path from the user. False to replace
            the link itself: in a folder from another source, it can point to one of the user's files.

    Raises:
        InputError: The file cannot be written; an earlier file is unchanged.
    """
    # Unlike Path.resolve, os.path.realpath accepts loops of links; writing then raises an OSError.
    target = Path(os.path.realpath(path)) if follows_links else path
    with writing(path):
        is_regular = target.is_file() and not target.is_symlink()
        if target.is_dir() and not target.is_symlink():
            raise InputError(
                "must be a file (got a folder). Name a file in it.", code="file.kind", where=path
            )
        if follows_links and target.exists() and not is_regular:
            yield path
            return
        with _temporary(target.parent, target.name, is_folder=False) as temporary:
            yield temporary
            _sync(temporary)
            if is_regular:
                shutil.copymode(target, temporary)
            temporary.replace(target)
            _sync(target.parent)  # makes the rename durable


def open_text(path: Path, *, is_compressed: bool) -> TextIO:
    """Open a text file for writing in UTF-8 with unchanged line ends, optionally compressed with gzip.

    File names may contain bytes that are not UTF-8: they are written as escapes, which JSON readers
    understand.
    """
    opener = gzip.open if is_compressed else open
    return cast(TextIO, opener(path, "wt", encoding="utf-8", errors="backslashreplace", newline=""))


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder to write into; at the end, rename it to ``path``.

    Raises:
        InputError: The path exists and is not an empty folder, or it cannot be written.
    """
    target = Path(os.path.realpath(path))
    with writing(path):
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise InputError(
                "must not exist, or be an empty folder. Name another folder.", code="file.kind", where=path
            )
        with temporary_folder(target.parent, target.name) as temporary:
            yield temporary
            temporary.replace(target)


@contextmanager
def temporary_folder(parent: Path, name: str) -> Iterator[Path]:
    """Create a folder, and remove it at the end; also remove folders of this name that killed processes left.

    Args:
        parent: The folder to create it in.
        name: The temporary folder's name contains this name.

    Raises:
        OSError: The folder cannot be created.
    """
    with _temporary(parent, name, is_folder=True) as temporary:
        yield temporary


@contextmanager
def _temporary(parent: Path, name: str, *, is_folder: bool) -> Iterator[Path]:
    """Create a file or folder with a unique name, and lock it to distinguish it from abandoned ones."""
    stem = f".{name[:_MAX_STEM]}."
    remove_abandoned(parent, re.escape(stem))
    created: Path | None = None
    handle = None
    try:
        while handle is None:
            path = parent / f"{stem}{secrets.token_hex(4)}.new"
            if is_folder:
                path.mkdir()
            else:
                # O_EXCL: an existing link of that name, possibly planted, is an error.
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _CLOSE_ON_EXEC, 0o666))
            created = path
            handle = _lock(path)
        yield path
    finally:
        if created is not None:
            _remove(created)
        if handle is not None:
            os.close(handle)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Wait for other processes in such a block with the same lock file; no effect without file locks."""
    with path.open("ab") as file:
        with suppress(OSError, AttributeError):  # AttributeError on Windows
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _flock(handle: int) -> None:
    """Lock an open file or folder for this process.

    Raises:
        BlockingIOError: Another process has locked it.
        OSError: The system or the file system does not support these locks.
    """
    if fcntl is None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _lock(path: Path) -> int | None:
    """Lock a new file or folder and return its handle; None if another process has just removed it."""
    try:
        handle = os.open(path, os.O_RDONLY | _NO_LINK | _CLOSE_ON_EXEC)
    except FileNotFoundError:
        return None
    with suppress(OSError):  # some file systems do not support locks
        _flock(handle)
    if os.path.lexists(path):
        return handle
    os.close(handle)
    return None


def remove_abandoned(parent: Path, stem: str) -> None:
    """Remove temporary files that no process has locked; the pattern ``stem`` matches the start of a name."""
    with suppress(OSError):
        for path in parent.iterdir():
            if re.fullmatch(rf"{stem}[0-9a-f]{{8}}\.new", path.name):
                with suppress(OSError):  # locked by a running process, or locks are not supported
                    handle = os.open(path, os.O_RDONLY | _NO_LINK | _NO_WAIT | _CLOSE_ON_EXEC)
                    try:
                        _flock(handle)
                        _remove(path)
                    finally:
                        os.close(handle)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
    shutil.rmtree(path, ignore_errors=True)  # removes folders, but does not follow links


def make_own_folder(path: Path) -> None:
    """Create a sub-folder of a model or comparison folder, if it does not exist.

    Raises:
        OSError: The folder cannot be created.
        InputError: The path is a link, so that files would be written elsewhere.
    """
    if path.is_symlink():
        raise InputError(
            "must be a folder (got a link). Delete the link, or name another --output.",
            code="file.kind",
            where=path,
            option="--output",
        )
    path.mkdir(parents=True, exist_ok=True)


@contextmanager
def claim_folder(path: Path) -> Iterator[None]:
    """Create a folder and lock it; the operating system releases the lock when the process ends.

    Newly created folders that stay empty are removed at the end. If the system cannot lock folders (Windows,
    some network file systems), the folder is used without a lock.

    Raises:
        InputError: The folder cannot be created or written, or another process has locked it.
    """
    created = [folder for folder in (path, *path.parents) if not folder.exists()]
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass  # the only reliable test: permissions do not reveal a read-only file system
    with _locked(path):
        try:
            yield
        finally:
            with suppress(OSError):
                for folder in created:
                    folder.rmdir()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with writing(folder):
        handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            _flock(handle)
            if not os.fstat(handle).st_nlink:  # the process that held the lock has just removed it
                raise BlockingIOError
        except BlockingIOError:
            raise InputError(
                "another process is writing to this folder. Wait until it ends, or name another folder with "
                "--output.",
                code="run.exists",
                where=folder,
                option="--output",
            ) from None
        except OSError:
            pass
        yield
    finally:
        os.close(handle)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file of a model or comparison folder atomically; replace an earlier file or a link.

    Raises:
        InputError: The file cannot be written; the earlier file is unchanged.
    """
    with replace_file(path, follows_links=False) as temporary:
        temporary.write_bytes(content)


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and sync it to disk.

    Raises:
        OSError: The file cannot be written.
    """
    path.write_bytes(content)
    _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
