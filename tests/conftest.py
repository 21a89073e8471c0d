"""Fixtures that several rooms share."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from command_line import train_joint_model, train_pos_model, write_corpus
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parent.parent

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
