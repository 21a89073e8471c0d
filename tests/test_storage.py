"""Atomic writing of files and folders, and safe reading."""

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


def test_a_file_is_replaced_when_the_new_one_is_complete(tmp_path):
    path = tmp_path / "a.html"
    path.write_text("old")
    path.chmod(0o640)

    def write_partially():
        with replace_file(path) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_partially()
    assert (path.read_text(), list(tmp_path.iterdir())) == ("old", [path])
    with replace_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o640)
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_only_the_earlier_file(tmp_path, monkeypatch):
    path = tmp_path / "a"
    write_whole(path, b"old")

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(InputError, match="No space left on device") as caught:
        write_whole(path, b"new")
    assert (caught.value.code, caught.value.file) == ("file.unwritable", str(path))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_errors_name_the_path(tmp_path):
    for path, code in ((tmp_path, "file.kind"), (tmp_path / "no" / "x", "file.unwritable")):
        with pytest.raises(InputError) as caught:
            write_whole(path, b"")
        assert (caught.value.code, caught.value.file) == (code, str(path))


def test_links_are_followed_and_devices_are_written(tmp_path):
    (tmp_path / "link").symlink_to("target")
    with replace_file(tmp_path / "link") as temporary:
        temporary.write_bytes(b"content")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"content"
    with replace_file(Path(os.devnull)) as temporary:
        temporary.write_bytes(b"content")
    assert not Path(os.devnull).is_file()


def test_a_folder_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "out"

    def write_partially():
        with new_folder(path) as temporary:
            (temporary / "a").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_partially()
    assert not list(tmp_path.iterdir())
    (tmp_path / ".out.0123abcd.new").mkdir()  # left by a killed process
    (tmp_path / ".out.0123abcd.new" / "old").write_text("")
    path.mkdir()
    with new_folder(path) as temporary:
        (temporary / "a").write_text("all")
        assert not list(path.iterdir())
    assert [one.name for one in path.iterdir()] == ["a"]
    with pytest.raises(InputError) as caught, new_folder(path):
        pass
    assert (caught.value.code, caught.value.file) == ("file.kind", str(path))
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


def test_only_abandoned_temporary_files_are_removed(tmp_path):
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
    with replace_file(path) as temporary:  # removed abandoned files, but not the link
        temporary.write_text("third")
    assert {one.name for one in tmp_path.iterdir()} == {
        "e.html",
        users.name,
        "victim",
        ".e.html.9999ffff.new",
    }


def test_outputs_are_not_written_through_planted_links(tmp_path):
    victim, path = tmp_path / "victim", tmp_path / "metrics.jsonl"
    victim.write_text("precious")
    (tmp_path / ".metrics.jsonl.new").symlink_to(victim)  # the temporary name of earlier versions
    path.symlink_to(victim)
    write_whole(path, b"new")
    assert (path.read_bytes(), path.is_symlink(), victim.read_text()) == (b"new", False, "precious")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "runs").symlink_to("elsewhere")
    with pytest.raises(InputError) as caught:
        make_own_folder(tmp_path / "runs")
    assert (caught.value.code, caught.value.file) == ("file.kind", str(tmp_path / "runs"))
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
        assert read_input(path, max_bytes=7, is_stored=True) == b"content"
    with pytest.raises(OSError, match="more than 6 bytes"):
        read_input(tmp_path / "file", max_bytes=6)
    with pytest.raises(OSError, match="not a regular file"):  # does not wait for a writer
        open_input(tmp_path / "pipe", is_stored=True)
    with pytest.raises(IsADirectoryError):
        open_input(tmp_path)
    for device in ("/dev/zero", "/dev/full", "/dev/urandom"):
        with pytest.raises(OSError, match="must be a file or pipe, not a device or socket"):
            open_input(device)
    with open_input(os.devnull) as null:
        assert null.read() == b""
    ours, theirs = os.pipe()
    os.write(theirs, b"through a pipe")
    os.close(theirs)
    assert read_input(f"/dev/fd/{ours}", max_bytes=100) == b"through a pipe"
    os.close(ours)


def test_a_folder_is_locked_by_one_caller_at_a_time(tmp_path):
    folder = tmp_path / "a" / "b"
    with claim_folder(folder):
        with pytest.raises(InputError) as caught, claim_folder(folder):
            pass
        assert (caught.value.code, caught.value.file) == ("run.exists", str(folder))
        assert caught.value.option == "--output"
        assert list(folder.iterdir()) == []
    with claim_folder(folder):
        pass
    assert list(tmp_path.iterdir()) == []  # empty folders are removed
    with claim_folder(folder):
        (folder / "kept").write_text("")
    assert [path.name for path in folder.iterdir()] == ["kept"]


def test_folders_are_used_without_a_lock_if_python_lacks_fcntl(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "fcntl", None)  # as on Windows
    with claim_folder(tmp_path), claim_folder(tmp_path):
        pass


WINDOWS = """
import os, sys
from importlib import import_module
sys.modules["fcntl"] = None
for name in ("O_NOCTTY", "O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC", "geteuid"):
    delattr(os, name)
from tagger import Tagger
from tagger.cli.app import COMMANDS
from tagger.storage import read_input, write_whole
from pathlib import Path
for name in COMMANDS:
    import_module(f"tagger.cli.{name}")
write_whole(Path(sys.argv[1], "file"), b"content")
assert read_input(Path(sys.argv[1], "file"), max_bytes=9) == b"content"
assert Tagger.load(sys.argv[2]).tag("Ada met Otto.")
"""


def test_files_are_read_and_models_loaded_where_python_lacks_names_of_posix(tmp_path, model):
    subprocess.run([sys.executable, "-c", WINDOWS, tmp_path, model], check=True, timeout=120)


def test_folders_are_used_without_a_lock_if_locking_fails(tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(fcntl, "flock", fail)
    with claim_folder(tmp_path), claim_folder(tmp_path):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as caught, claim_folder(tmp_path / "file" / "a"):
        pass
    assert (caught.value.code, caught.value.file) == ("file.unwritable", str(tmp_path / "file" / "a"))


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


@pytest.mark.slow
def test_a_killed_evaluation_leaves_complete_files_and_the_next_one_cleans_up(corpus, model, tmp_path):
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


def test_reads_of_input_files_are_observed_but_not_those_of_model_folders(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"line\n" * 100_000)
    counts: list[int] = []
    with storage.reads_observed(counts.append):
        with storage.open_input(path) as file:
            assert sum(1 for _ in file) == 100_000
        storage.read_input(path, max_bytes=1_000_000, is_stored=True)
    with storage.open_input(path) as file:
        file.read()
    assert sum(counts) == path.stat().st_size
    assert len(counts) > 1
