"""HF datasets: which paths are datasets, and what the hub is asked."""

import os
import subprocess
import sys
from pathlib import Path

import datasets
import huggingface_hub
import pytest
from corpus_builders import EXPECTED, make, parquet, read
from input_errors import raises

from tagger.corpus.files import find_format, read_sentences
from tagger.corpus.hub import Address, parse_address, read_dataset, to_dataset
from tagger.corpus.reading import Reading

pytestmark = pytest.mark.slow


def test_addresses(here):
    assert parse_address("a/b") == Address("a/b")
    assert parse_address("a/b@v1:en-x:train") == Address("a/b@v1", "en-x", "train")
    assert parse_address("C:/data/x.conll") == Address("C:/data/x.conll")
    Path("a:b").touch()
    assert parse_address("a:b") == Address("a:b")


@pytest.mark.parametrize(
    ("path", "format"),
    [
        ("x.parquet", "datasets"),
        ("x.PARQUET:dev", "datasets"),
        ("user/name:train", "datasets"),
        ("user/name", "conll"),
        ("missing.conll", "conll"),
        ("missing.conll:train", "conll"),
        ("C:\\data\\x.conll", "conll"),
        (".", "datasets"),
        ("x" * 5000, "conll"),
    ],
)
def test_which_paths_are_datasets(here, path, format):
    assert find_format(path) == format


def test_missing_files_are_not_requested_from_the_hub(here, monkeypatch):
    monkeypatch.delattr(huggingface_hub.HfApi, "dataset_info")
    for path in ("missing.parquet:train", "./missing:train", "a/b/c:train"):
        with raises("file.missing", file=path.removesuffix(":train")):
            read(path)


def test_an_unreachable_hub_is_requested_once(here, monkeypatch):
    calls = []

    def fail(*names, **options):
        calls.append((names[1:], options))
        raise OSError("no route\nto host")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", fail)
    monkeypatch.setattr(datasets, "load_dataset", fail)
    with raises("file.unreadable", file="user/name@v1", mentions="(no route to host)"):
        read("user/name@v1:en:train")
    assert calls == [(("user/name",), {"revision": "v1", "timeout": 10.0})]


def test_a_name_on_the_hub_is_streamed(here, monkeypatch):
    asked = []

    def load(*names, **options):
        asked.append((names, options))
        return datasets.IterableDatasetDict(train=make().to_iterable_dataset())

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *_, **__: None)
    monkeypatch.setattr(datasets, "load_dataset", load)
    assert read("user/name@v1:en:train") == EXPECTED
    assert asked == [(("user/name", "en"), {"revision": "v1", "streaming": True})]


def test_offline_makes_no_request_and_keeps_stderr_clean(here):
    code = (
        "from tagger.corpus.files import read_sentences\n"
        "try: list(read_sentences('user/name:train'))\n"
        "except ValueError as error: print(error)"
    )
    offline = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(here / "hf")},
    )
    assert offline.stdout.startswith(
        "user/name: there is no such file or folder, and the hub request failed ("
    )
    assert offline.stderr == ""
    assert offline.stdout.count("\n") == 1


def test_the_users_settings_of_datasets_are_restored(here):
    before = (datasets.logging.get_verbosity(), datasets.config.STREAMING_READ_MAX_RETRIES)
    for _ in read_dataset(parquet(), Reading()):
        assert not datasets.are_progress_bars_disabled()
        assert before == (datasets.logging.get_verbosity(), datasets.config.STREAMING_READ_MAX_RETRIES)


def test_without_the_package_the_extra_is_named(here, monkeypatch):
    path = parquet()
    monkeypatch.setitem(sys.modules, "datasets", None)
    for use in (lambda: list(read_sentences(path)), lambda: to_dataset([], [])):
        with raises("package.missing", mentions="`train`"):
            use()
