"""Files and folders that take their place by one rename, so that none is ever half written."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tagger.errors import InputError


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
def replace_file(path: Path) -> Iterator[Path]:
    """Give a place to write a file to; it takes the place of ``path`` when it is whole and on the disk.

    A link keeps pointing where it points, and a device is written as it is.

    Raises:
        InputError: It cannot be written; an earlier file stays as it is.
    """
    target = Path(os.path.realpath(path))  # not Path.resolve, for which a loop of links is no OSError
    with writing(path):
        is_kept = path.is_file()
        if path.exists() and not is_kept:
            if path.is_dir():
                raise InputError(f"{path}: this is a folder; name a file in it.")
            yield path
            return
        temporary = target.with_name(f".{target.name}.new")
        try:
            yield temporary
            _sync(temporary)
            if is_kept:
                shutil.copymode(target, temporary)
            temporary.replace(target)
            _sync(target.parent)  # the new name
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a folder to write into, which gets its name when all of it is there.

    Raises:
        InputError: There is something of that name, but for an empty folder; or it cannot be written.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.new")
    with writing(path):
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise InputError(f"{path}: there is something already; name a new folder, or an empty one.")
        shutil.rmtree(temporary, ignore_errors=True)  # what a killed command left
        try:
            temporary.mkdir()
            yield temporary
            temporary.replace(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


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
    try:
        import fcntl  # here, since Windows has none
    except ImportError:
        yield
        return
    with writing(folder):
        handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
    """Write a file in the place of an earlier one.

    Raises:
        InputError: It cannot be written; the earlier one stays as it is.
    """
    with replace_file(path) as place:
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
