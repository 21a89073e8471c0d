"""Fixtures that several rooms share."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import train_joint_model, train_pos_model, write_corpus
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parent.parent

# A shell ignores Ctrl-C in what it runs in the background, and programs that are started inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("tagger", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("tagger")

# On matrices as small as these a second thread gains nothing and, on a busy machine, loses a great deal.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of real corpora; tests that measure on them are skipped where it is missing."""
    folder = Path(os.environ.get("TAGGER_CORPORA", REPOSITORY.parent / "shared" / "corpora"))
    if not folder.is_dir():
        pytest.skip("the real corpora are not on this machine (set TAGGER_CORPORA to their folder)")
    return folder


@pytest.fixture
def write_file(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes text or bytes to a file of this name and returns its path."""

    def write(content: str | bytes, name: str) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the files of one test module."""
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a made-up corpus (see ``command_line.write_corpus``); its files are only read."""
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def model(corpus: Path) -> Path:
    """A model of parts of speech and names, trained by the command; it is only read."""
    return train_joint_model(corpus)


@pytest.fixture(scope="session")
def pos_model(corpus: Path) -> Path:
    """A model of parts of speech alone; it is only read."""
    return train_pos_model(corpus)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A Chromium that does nothing of its own; tests in it are skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("there is no Chromium on this machine")
    quiet = ("no-sandbox", "disable-gpu", "no-first-run", "disable-sync")
    networking = ("disable-background-networking", "disable-component-update")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(
            executable_path=path, args=[f"--{option}" for option in (*quiet, *networking)]
        )
        yield running
        running.close()
