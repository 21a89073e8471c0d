"""Files and folders take their place whole, or not at all."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tagger.errors import InputError
from tagger.storage import claim_folder, new_folder, replace_file, write_whole


def test_a_file_is_replaced_when_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.html"
    path.write_text("old")
    path.chmod(0o640)

    def write_half():
        with replace_file(path) as place:
            place.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert (path.read_text(), list(tmp_path.iterdir())) == ("old", [path])
    with replace_file(path) as place:
        place.write_text("new")
        assert path.read_text() == "old"
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o640)
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_earlier_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a"
    write_whole(path, b"old")

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(InputError, match=r"a: cannot be written \(No space left on device\); free space"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_a_file_is_named(tmp_path):
    with pytest.raises(InputError, match="this is a folder"):
        write_whole(tmp_path, b"")
    with pytest.raises(InputError, match="No such file or directory"):
        write_whole(tmp_path / "no" / "x", b"")


def test_a_link_keeps_pointing_and_a_device_is_written(tmp_path):
    (tmp_path / "link").symlink_to("target")
    write_whole(tmp_path / "link", b"content")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"content"
    write_whole(Path(os.devnull), b"content")
    assert not Path(os.devnull).is_file()


def test_a_folder_is_there_when_all_of_it_is(tmp_path):
    path = tmp_path / "out"

    def write_half():
        with new_folder(path) as place:
            (place / "a").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert not list(tmp_path.iterdir())
    (tmp_path / ".out.new").mkdir()  # what a killed process left
    (tmp_path / ".out.new" / "old").write_text("")
    path.mkdir()
    with new_folder(path) as place:
        (place / "a").write_text("all")
        assert not list(path.iterdir())
    assert [one.name for one in path.iterdir()] == ["a"]
    with pytest.raises(InputError, match="there is something already"), new_folder(path):
        pass
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


def test_a_folder_is_held_by_one_at_a_time(tmp_path):
    folder = tmp_path / "a" / "b"
    with claim_folder(folder):
        with (
            pytest.raises(InputError, match=r"b: another process is writing to this folder"),
            claim_folder(folder),
        ):
            pass
        assert list(folder.iterdir()) == []
    with claim_folder(folder):
        pass
    assert list(tmp_path.iterdir()) == []  # a folder that nothing was written to does not stay
    with claim_folder(folder):
        (folder / "kept").write_text("")
    assert [path.name for path in folder.iterdir()] == ["kept"]


def test_a_folder_is_used_without_a_lock_where_python_has_no_fcntl(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)  # as on Windows: importing it fails
    with claim_folder(tmp_path), claim_folder(tmp_path):
        pass
    code = (
        "import sys; sys.modules['fcntl'] = None; import tagger; from importlib import import_module; "
        "from tagger.cli.main import COMMANDS; [import_module(f'tagger.cli.{name}') for name in COMMANDS]"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_folder_is_used_where_none_can_be_held_and_named_where_none_can_be_made(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with claim_folder(tmp_path), claim_folder(tmp_path):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/a: cannot be written"), claim_folder(tmp_path / "file" / "a"):
        pass
