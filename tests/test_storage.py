"""Files and folders take their place whole, or not at all."""

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import run

from tagger import storage
from tagger.errors import InputError
from tagger.storage import (
    claim_folder,
    make_own_folder,
    new_folder,
    open_input,
    read_input,
    replace_file,
    temporary_folder,
    write_whole,
)


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
    with replace_file(tmp_path / "link") as place:
        place.write_bytes(b"content")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"content"
    with replace_file(Path(os.devnull)) as place:
        place.write_bytes(b"content")
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
    (tmp_path / ".out.0123abcd.new").mkdir()  # what a killed process left
    (tmp_path / ".out.0123abcd.new" / "old").write_text("")
    path.mkdir()
    with new_folder(path) as place:
        (place / "a").write_text("all")
        assert not list(path.iterdir())
    assert [one.name for one in path.iterdir()] == ["a"]
    with pytest.raises(InputError, match="there is something already"), new_folder(path):
        pass
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


def test_what_killed_processes_left_is_removed_and_what_others_write_is_not(tmp_path):
    path, left, users = tmp_path / "e.html", tmp_path / ".e.html.0123abcd.new", tmp_path / ".e.html.my.new"
    left.write_text("half")
    users.write_text("mine")
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".e.html.9999ffff.new").symlink_to(victim)
    with replace_file(path) as first, replace_file(path) as second:
        assert first != second
        assert not left.exists()
        first.write_text("first")
        second.write_text("second")
        assert first.exists()
    assert (path.read_text(), victim.read_text(), users.read_text()) == ("first", "precious", "mine")
    with replace_file(path) as place:  # its folder was cleared of all but the link, which is nobody's output
        place.write_text("third")
    assert {one.name for one in tmp_path.iterdir()} == {
        "e.html",
        users.name,
        "victim",
        ".e.html.9999ffff.new",
    }


def test_no_output_is_written_through_a_link_that_was_laid_in_its_way(tmp_path):
    victim, path = tmp_path / "victim", tmp_path / "metrics.jsonl"
    victim.write_text("precious")
    (tmp_path / ".metrics.jsonl.new").symlink_to(victim)  # the name that earlier versions wrote to
    path.symlink_to(victim)
    write_whole(path, b"new")
    assert (path.read_bytes(), path.is_symlink(), victim.read_text()) == (b"new", False, "precious")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "runs").symlink_to("elsewhere")
    with pytest.raises(InputError, match=r"runs: must be a folder \(got a link\)\. Delete the link"):
        make_own_folder(tmp_path / "runs")
    make_own_folder(tmp_path / "a" / "b")
    make_own_folder(tmp_path / "a" / "b")
    with temporary_folder(tmp_path, "a") as folder:
        (folder / "x").mkdir()
    assert not folder.exists()


def test_only_files_and_pipes_are_read(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "file", tmp_path / "link"):
        assert read_input(path, most=7, is_stored=True) == b"content"
    with pytest.raises(OSError, match="more than 6 bytes"):
        read_input(tmp_path / "file", most=6)
    with pytest.raises(OSError, match="not a file"):  # does not wait for a writer
        open_input(tmp_path / "pipe", is_stored=True)
    with pytest.raises(IsADirectoryError):
        open_input(tmp_path)
    for device in ("/dev/zero", "/dev/full", "/dev/urandom"):
        with pytest.raises(OSError, match="a device or socket; give a file or pipe"):
            open_input(device)
    with open_input(os.devnull) as null:
        assert null.read() == b""
    ours, theirs = os.pipe()
    os.write(theirs, b"through a pipe")
    os.close(theirs)
    assert read_input(f"/dev/fd/{ours}", most=100) == b"through a pipe"
    os.close(ours)


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
    monkeypatch.setattr(storage, "fcntl", None)  # as on Windows
    with claim_folder(tmp_path), claim_folder(tmp_path):
        pass
    code = (
        "import sys; sys.modules['fcntl'] = None; import tagger; from importlib import import_module; "
        "from tagger.cli.app import COMMANDS; [import_module(f'tagger.cli.{name}') for name in COMMANDS]"
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


KILLED = """
import os, signal, sys
count = 0
def kill(event, given):
    global count
    if event == "os.rename" and str(given[0]).endswith(".new"):
        count += 1
        if count == 2:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(kill)
from tagger.cli.main import main
main(sys.argv[1:])
"""


def test_a_killed_evaluation_leaves_the_earlier_files_and_the_next_one_clears_up(corpus, model, tmp_path):
    outputs = {"--errors": "e.html", "--picture": "p.svg", "--reliability": "r.svg"}
    for name in outputs.values():
        (tmp_path / name).write_text("earlier")
    words = ["evaluate", model, corpus / "dev.conll"]
    words += [word for option, name in outputs.items() for word in (option, tmp_path / name)]
    done = subprocess.run([sys.executable, "-c", KILLED, *map(str, words)], timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL
    assert "Errors of" in (tmp_path / "e.html").read_text(encoding="utf-8")
    assert (tmp_path / "p.svg").read_text() == (tmp_path / "r.svg").read_text() == "earlier"
    assert len(list(tmp_path.iterdir())) == 4
    assert run(*words)[0] == 0
    assert {path.name for path in tmp_path.iterdir()} == set(outputs.values())
    assert "<svg" in (tmp_path / "p.svg").read_text(encoding="utf-8")
