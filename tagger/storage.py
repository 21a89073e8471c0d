"""Files that are safe to read, and files and folders that take their place by one rename."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from tagger.errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_STEM = 60  # characters of an output's name in that of its temporary file, for names near the system's limit


def open_input(path: str | Path, *, is_stored: bool = False) -> BufferedReader:
    """Open a regular file or a pipe for reading; terminals and the null device are read as pipes are.

    Args:
        path: The file; links are followed.
        is_stored: True for a file of a model's folder: then a pipe is an error, too, and opening it does not
            wait for a writer.

    Raises:
        OSError: The file cannot be opened, or it is a folder, socket or device without end.
    """
    more = os.O_NOCTTY | (os.O_NONBLOCK if is_stored else 0)
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | more))  # noqa: SIM115
    try:
        _require_readable(os.fstat(file.fileno()), file.isatty(), is_stored=is_stored)
    except OSError as error:
        file.close()
        raise OSError(error.errno, error.strerror, str(path)) from None
    return file


def read_input(path: str | Path, *, most: int, is_stored: bool = False) -> bytes:
    """Read a whole file, see ``open_input``.

    Args:
        path: The file.
        most: Bytes at most, so that a file without end does not fill the memory.
        is_stored: See ``open_input``.

    Raises:
        OSError: As ``open_input``, or the file is longer.
    """
    with open_input(path, is_stored=is_stored) as file:
        size = os.fstat(file.fileno()).st_size  # 0 also of pipes and of files that the system makes up
        content = file.read(min(size or most, most) + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"more than {most:,} bytes", str(path))
    return content


def limited_lines(file: BinaryIO, *, most: int) -> Iterator[bytes]:
    """Yield a file's lines; one that is longer ends the file, with ``most`` + 1 bytes of it."""
    for line in iter(partial(file.readline, most + 1), b""):
        yield line
        if len(line) > most:
            return


def _require_readable(status: os.stat_result, is_terminal: bool, *, is_stored: bool) -> None:
    mode = status.st_mode
    if stat.S_ISREG(mode):
        return
    if is_stored:
        raise OSError(errno.EINVAL, "not a file")
    is_null = stat.S_ISCHR(mode) and status.st_rdev == Path(os.devnull).stat().st_rdev
    if not (stat.S_ISFIFO(mode) or is_null or is_terminal):
        raise OSError(errno.EINVAL, "a device or socket; give a file or pipe")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name the path when it cannot be written.

    Raises:
        InputError: In place of any OSError.
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}); free space or name another place (what "
            f"was there before is whole)."
        ) from None


@contextmanager
def replace_file(path: Path, *, follows_links: bool = True) -> Iterator[Path]:
    """Give a place to write a file to; it takes the place of ``path`` when it is whole and on the disk.

    Writing to a device writes the device itself. Temporary files of killed processes are removed.

    Args:
        path: The file.
        follows_links: True if a link keeps pointing where it points, as for a path that the user gave. False
            replaces the link itself: in a folder from elsewhere it may lead to a file of the user's.

    Raises:
        InputError: It cannot be written; an earlier file stays as it is.
    """
    # Not Path.resolve, for which a loop of links is no OSError.
    target = Path(os.path.realpath(path)) if follows_links else path
    with writing(path):
        is_kept = target.is_file() and not target.is_symlink()
        if target.is_dir() and not target.is_symlink():
            raise InputError(f"{path}: this is a folder; name a file in it.")
        if follows_links and target.exists() and not is_kept:
            yield path
            return
        with _temporary(target.parent, target.name, is_folder=False) as temporary:
            yield temporary
            _sync(temporary)
            if is_kept:
                shutil.copymode(target, temporary)
            temporary.replace(target)
            _sync(target.parent)  # the new name


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a folder to write into, which gets its name when all of it is there.

    Raises:
        InputError: There is something of that name, but for an empty folder; or it cannot be written.
    """
    target = Path(os.path.realpath(path))
    with writing(path):
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise InputError(f"{path}: there is something already; name a new folder, or an empty one.")
        with temporary_folder(target.parent, target.name) as temporary:
            yield temporary
            temporary.replace(target)


@contextmanager
def temporary_folder(parent: Path, name: str) -> Iterator[Path]:
    """Make a folder that is removed at the end, with those that killed processes made for the same name.

    Args:
        parent: Where it is made.
        name: What it is for; its own name contains it.

    Raises:
        OSError: It cannot be made.
    """
    with _temporary(parent, name, is_folder=True) as temporary:
        yield temporary


@contextmanager
def _temporary(parent: Path, name: str, *, is_folder: bool) -> Iterator[Path]:
    """Make a file or folder under a name of its own; a lock tells it from those of killed processes."""
    stem = f".{name[:_STEM]}."
    _remove_abandoned(parent, stem)
    made: Path | None = None
    handle = None
    try:
        while handle is None:
            path = parent / f"{stem}{secrets.token_hex(4)}.new"
            if is_folder:
                path.mkdir()
            else:
                # A link of that name, which somebody may have laid, is an error.
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
            made = path
            handle = _lock(path)
        yield path
    finally:
        if made is not None:
            _remove(made)
        if handle is not None:
            os.close(handle)


def _flock(handle: int) -> None:
    """Lock an open file or folder for this process.

    Raises:
        BlockingIOError: Another process has locked it.
        OSError: The system, or the file system, has no such locks.
    """
    if fcntl is None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _lock(path: Path) -> int | None:
    """Lock a new file or folder while the handle is open; None if another process removed it meanwhile."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with suppress(OSError):  # some file systems have no locks
        _flock(handle)
    if os.path.lexists(path):
        return handle
    os.close(handle)
    return None


def _remove_abandoned(parent: Path, stem: str) -> None:
    """Remove temporary files that no process holds."""
    with suppress(OSError):
        for path in parent.iterdir():
            if re.fullmatch(rf"{re.escape(stem)}[0-9a-f]{{8}}\.new", path.name):
                with suppress(OSError):  # held by a process at work, or on a file system without locks
                    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
                    try:
                        _flock(handle)
                        _remove(path)
                    finally:
                        os.close(handle)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
    shutil.rmtree(path, ignore_errors=True)  # a folder, never one that a link leads to


def make_own_folder(path: Path) -> None:
    """Make a folder inside a model's or comparison's folder, if it is not there.

    Raises:
        OSError: It cannot be made.
        InputError: A link has its name: what is written there would go elsewhere.
    """
    if path.is_symlink():
        raise InputError(f"{path}: must be a folder (got a link). Delete the link, or name another --output.")
    path.mkdir(parents=True, exist_ok=True)


@contextmanager
def claim_folder(path: Path) -> Iterator[None]:
    """Create a folder and lock it for this process; the operating system frees the lock when that ends.

    Folders that are created here and stay empty are removed again. Where the system cannot lock a folder
    (Windows, some network file systems), it is used without a lock.

    Raises:
        InputError: The folder cannot be created or written, or another process has locked it.
    """
    created = [folder for folder in (path, *path.parents) if not folder.exists()]
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass  # the only reliable test: permissions do not show a read-only file system
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
            if not os.fstat(handle).st_nlink:  # the process that had locked it removed it meanwhile
                raise BlockingIOError
        except BlockingIOError:
            raise InputError(
                f"{folder}: another process is writing to this folder. Wait until it ends, or name another "
                f"folder with --output."
            ) from None
        except OSError:
            pass
        yield
    finally:
        os.close(handle)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file of a model's or comparison's folder in the place of an earlier one, or of a link.

    Raises:
        InputError: It cannot be written; the earlier one stays as it is.
    """
    with replace_file(path, follows_links=False) as place:
        place.write_bytes(content)


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and wait until it is on the disk.

    Raises:
        OSError: It cannot be written.
    """
    path.write_bytes(content)
    _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
