"""Models of the hub: names, pulls from a local hub, the cache, and everything that can fail."""

import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from command_line import input_error, run
from huggingface_hub import constants
from input_errors import check, raises
from local_hub import LocalHub, Repository, use_hub

from tagger import Tagger
from tagger.bundle import FILES
from tagger.included import find_model
from tagger.model_hub import (
    MAX_BYTES,
    HubAddress,
    display_name,
    find_hub_model,
    find_pulled,
    parse_hub_address,
    pull_model,
)

TEXT = "Ada met Otto in Oslo."
NEWS = HubAddress("ada/news", None)


@pytest.fixture(scope="module")
def files(model: Path) -> dict[str, bytes]:
    return {name: (model / name).read_bytes() for name in FILES}


@pytest.fixture
def hub(files, tmp_path, monkeypatch) -> Iterator[LocalHub]:
    """Serve a hub with a model and files that are none of its own; change to an empty folder."""
    hub = LocalHub()
    hub.repositories["ada/news"] = Repository()
    hub.repositories["ada/news"].commit(files | {"run.py": b"raise SystemExit", "encoder/x.bin": b"x"})
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with hub.serve():
        use_hub(hub.address, tmp_path / "cache", monkeypatch)
        yield hub


@pytest.fixture
def offline(monkeypatch) -> None:
    """Make every connection fail."""

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", fail)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ada/news", HubAddress("ada/news", None)),
        ("ada/news@v1.0", HubAddress("ada/news", "v1.0")),
        ("ada/news@refs/pr/1", HubAddress("ada/news", "refs/pr/1")),
        ("ada/news@" + "0" * 40, HubAddress("ada/news", "0" * 40)),
    ],
)
def test_addresses(text, expected):
    assert parse_hub_address(text) == expected
    assert str(expected) == text


def task_names(name: str) -> list[str]:
    return [task.name for task in Tagger.load(name).tasks]


NO_ADDRESSES = (
    "en", "", "ada/", "/news", "a/b/c", "./ada/news", "../news", "/ada/news", "ada/..", "~/news", "ada/news@",
    "ada/news@a@b", "ada/news@../x", "ada/news@/x", "ada\\news", "ada/néws", "ada/a b", "ada/a--b",
    "ada/new\0", "ada/" + "x" * 300, "https://huggingface.co/ada/news",
)  # fmt: skip


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_other_names_are_never_requested(text, offline, here):
    assert parse_hub_address(text) is None
    if text != "en":
        with raises("bundle.missing", file=text, mentions="no such folder or included model"):
            find_model(text)
    if "\0" not in text:
        check(input_error("pull", text), "argument.value", file=text)


def test_included_names_and_local_folders_take_precedence(hub, model, offline):
    assert find_model("en").name == "en"
    shutil.copytree(model, "ada/news")
    assert find_model("ada/news") == Path("ada/news")
    assert Tagger.load("ada/news").tag(TEXT) == Tagger.load(model).tag(TEXT)
    shutil.rmtree("ada/news")
    Path("ada/news").write_text("Ada")
    with raises("bundle.missing", file="ada/news/config.json"):
        Tagger.load("ada/news")
    assert hub.log == []


def test_a_model_is_pulled_once_and_then_found_without_requests(hub, files, model, tmp_path):
    expected = Tagger.load(model).tag(TEXT)
    assert find_pulled(NEWS) is None
    assert Tagger.load("ada/news").tag(TEXT) == expected
    assert {path.rpartition("/")[2] for method, path in hub.log if method == "GET"} == {"news", *files}
    folder = find_pulled(NEWS)
    names = [str(path.relative_to(folder)) for path in folder.rglob("*")]
    assert {name: (folder / name).read_bytes() for name in names} == files
    assert (display_name(folder), display_name(model)) == ("ada/news", model.name)
    count = len(hub.log)
    assert Tagger.load("ada/news").tag(TEXT) == expected
    assert Tagger.load(f"ada/news@{folder.name}").tag(TEXT) == expected
    assert run("tag", "-m", "ada/news", stdin=TEXT.encode()) == run("tag", "-m", model, stdin=TEXT.encode())
    assert len(hub.log) == count
    code, output, error = run("pull", "ada/news")
    assert (code, output) == (0, f"{folder}\n")
    size = sum(map(len, files.values()))
    assert error == f"ada/news@{folder.name}: {size:,} bytes\n"
    assert not [one for one in hub.log[count:] if "/resolve/" in one[1]]


def test_revisions_and_updates(hub, files, pos_model):
    repository = hub.repositories["ada/news"]
    first = repository.references["main"]
    repository.references |= {"v1": first, "refs/pr/1": first}
    for revision in ("v1", "refs/pr/1", first):
        folder = pull_model(HubAddress("ada/news", revision))
        assert folder.name == first
        assert find_pulled(HubAddress("ada/news", revision)) == folder
    assert find_pulled(NEWS) is None
    pull_model(NEWS)
    second = repository.commit({name: (pos_model / name).read_bytes() for name in FILES})
    assert find_hub_model(NEWS).name == first  # until it is pulled again
    assert pull_model(NEWS).name == second
    assert task_names("ada/news") == ["pos"]
    assert task_names("ada/news@v1") == ["pos", "ner"]


OFFLINE_CODE = """
import socket, sys
def fail(*_): raise AssertionError("a connection was opened")
socket.socket.connect = fail
from tagger import Tagger
print([Tagger.load(name).tag("Ada met Otto in Oslo.")[0].tags for name in sys.argv[1:]])
"""


@pytest.mark.slow
def test_a_moved_cache_works_offline_in_a_new_process(hub, model, tmp_path):
    """Use the environment variables: the pull of the command, and a process that may not connect."""
    environment = os.environ | {
        "HF_ENDPOINT": hub.address,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(tmp_path / "home"),
    }
    hub.repositories["ada/news"].references["v1"] = sha = hub.repositories["ada/news"].references["main"]
    for name in ("ada/news", "ada/news@v1"):
        command = [sys.executable, "-m", "tagger", "pull", name]
        pulled = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert Path(pulled.stdout.strip()).is_relative_to(tmp_path / "home")
    shutil.move(tmp_path / "home", tmp_path / "moved")
    environment["HF_HOME"] = str(tmp_path / "moved")
    names = ("ada/news", "ada/news@v1", f"ada/news@{sha}")
    for is_offline in ("0", "1"):
        environment["HF_HUB_OFFLINE"] = is_offline
        command = [sys.executable, "-c", OFFLINE_CODE, *names]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == str([Tagger.load(model).tag(TEXT)[0].tags] * 3)
        assert done.stderr == ""


def test_importing_tagger_and_tagging_with_a_folder_do_not_import_huggingface_hub(model):
    code = (
        "import sys; from tagger import Tagger; Tagger.load(sys.argv[1]).tag('Ada'); Tagger.load('en'); "
        "print('huggingface_hub' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, model], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def assert_fails(code: str, mentions: str, name: str = "ada/news") -> None:
    """Check that a pull and a lookup fail with one sentence, and that no model is found afterwards."""
    check(input_error("pull", name), code, file=name, mentions=mentions)
    error = input_error("tag", "-m", name, stdin=TEXT.encode())
    check(error, code, file=name, mentions=mentions)
    assert "there is no such folder" in str(error)
    assert find_pulled(parse_hub_address(name)) is None


def test_unknown_models_and_revisions(hub, tmp_path, monkeypatch):
    assert_fails("bundle.missing", "(status 404)", "ada/other")
    assert_fails("bundle.missing", "no such revision", "ada/news@v2")
    assert_fails("bundle.missing", "no such revision", "ada/news@" + "0" * 40)
    hub.repositories["ada/news"].is_private = True
    use_hub(hub.address, tmp_path / "cache", monkeypatch, token=None)
    assert_fails("bundle.missing", "`hf auth login`")
    use_hub(hub.address, tmp_path / "cache", monkeypatch, token="hf_wrong")
    assert_fails("file.unreadable", "(status 401)")
    use_hub(hub.address, tmp_path / "cache", monkeypatch)
    assert run("pull", "ada/news")[0] == 0


@pytest.mark.parametrize("status", [403, 429, 500, 503])
def test_errors_of_the_server(hub, status, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)  # huggingface_hub waits before it tries again
    hub.status = status
    assert_fails("file.unreadable", f"(status {status})")


def close_session():
    """Let huggingface_hub read its settings again; versions before 1.0 have another name for it."""
    getattr(huggingface_hub, "close_session", getattr(huggingface_hub.utils, "reset_sessions", None))()


def test_no_network_and_offline(hub, tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
    use_hub(address, tmp_path / "cache", monkeypatch)
    assert_fails("file.unreadable", "Check the network")
    use_hub(hub.address, tmp_path / "cache", monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    close_session()
    assert_fails("bundle.missing", "HF_HUB_OFFLINE")
    monkeypatch.undo()
    close_session()
    assert hub.log == []


@pytest.mark.parametrize("name", FILES)
def test_a_broken_transfer_leaves_no_model_and_is_resumed(hub, files, name, monkeypatch):
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    hub.broken[name] = 100
    check(input_error("pull", "ada/news"), "file.unreadable", file="ada/news", mentions="Check the network")
    assert find_pulled(NEWS) is None
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    close_session()
    with raises("bundle.missing", file="ada/news"):
        Tagger.load("ada/news")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    close_session()
    hub.broken.clear()
    folder = pull_model(NEWS)
    assert {name: (folder / name).read_bytes() for name in files} == files


def test_a_broken_update_keeps_the_earlier_model(hub, files, pos_model, monkeypatch):
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    earlier = pull_model(NEWS)
    hub.repositories["ada/news"].commit({name: (pos_model / name).read_bytes() for name in FILES})
    for name in FILES:
        hub.broken = {name: 100}
        with raises("file.unreadable", file="ada/news"):
            pull_model(NEWS)
        assert find_pulled(NEWS) == earlier
    assert task_names("ada/news") == ["pos", "ner"]


@pytest.mark.slow
def test_a_full_disk(hub, tmp_path):
    """Limit the size of files, so that writing the weights fails in the middle."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    environment = os.environ | {
        "HF_ENDPOINT": hub.address, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path / "home"),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-B", "-m", "tagger", "pull", "ada/news"],
        env=environment, preexec_fn=limit, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("tagger: ada/news: the hub's cache cannot be written (File too large). ")
    assert done.stderr.count("\n") == 1


def test_a_cache_that_cannot_be_written(hub, tmp_path):
    (tmp_path / "cache").write_text("")
    check(input_error("pull", "ada/news"), "file.unwritable", file="ada/news", mentions="HF_HOME")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "vocab.json", "encoder/model.onnx"])
def test_large_files_are_rejected_before_the_download(hub, files, name):
    hub.repositories["ada/news"].commit(files | {"encoder/model.onnx": b""})
    hub.sizes[name] = MAX_BYTES[name] + 1
    assert_fails("input.size", f"{MAX_BYTES[name]:,}")
    assert not [path for _, path in hub.log if "/resolve/" in path]


def test_repositories_that_are_no_models(hub, files):
    for name in files:
        if name != "README.md":
            hub.repositories["ada/news"].commit({one: files[one] for one in files if one != name})
            assert_fails("bundle.missing", name)
            hub.repositories["ada/news"].commit(files)
            hub.kinds = {name: "symlink"}
            assert_fails("bundle.missing", name)
            hub.kinds.clear()
    assert not [path for _, path in hub.log if "/resolve/" in path]
    hub.repositories["ada/news"].commit({name: files[name] for name in files if name != "README.md"})
    assert run("pull", "ada/news")[0] == 0


def test_links_out_of_the_cache_are_rejected(hub, model):
    folder = pull_model(NEWS)
    for name in FILES:
        kept = (folder / name).readlink()
        (folder / name).unlink()
        (folder / name).symlink_to(model / name)
        with raises("bundle.damaged", file="ada/news", mentions="link"):
            Tagger.load("ada/news")
        with raises("bundle.damaged", file=folder / name, mentions="link"):
            pull_model(NEWS)
        (folder / name).unlink()
        (folder / name).symlink_to(kept)
    assert find_pulled(NEWS) == folder


def test_without_the_package_the_extra_is_named(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    check(input_error("pull", "ada/news"), "package.missing", mentions="`train`")
    with raises("bundle.missing", file="ada/news", mentions="`train`"):
        Tagger.load("ada/news")
