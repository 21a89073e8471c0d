"""Fixtures shared by several test modules."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from annotation_projects import find_postgres, new_database, postgres_server
from bundles import make_bundle
from command_line import train_joint_model, train_pos_model, write_corpus
from hypothesis import settings

from tagger.bundle import save_bundle
from tagger.storage import write_whole
from tagger.training import curves, run_folder

REPOSITORY = Path(__file__).resolve().parent.parent

# A shell ignores Ctrl-C in what it runs in the background, and programs that are started inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("tagger", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("tagger")

# A second thread does not speed up such small matrices, and slows tests down on a busy machine.
torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a browser or the real corpora, by their fixtures."""
    for item in items:
        for name in {"browser", "corpora"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(name)


@pytest.fixture(scope="session", autouse=True)
def blank_curves() -> Iterator[None]:
    """Let training in this process write empty plots; drawing one takes longer than a small training run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_folder, "draw_curves", lambda _, path: write_whole(path, b"<svg/>"))
        yield


@pytest.fixture(scope="module")
def drawn_curves(blank_curves: None) -> Iterator[None]:
    """Let training in this module draw its learning curves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_folder, "draw_curves", curves.draw_curves)
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Run a PostgreSQL server, and return the URL of its first database; skip the test if there is none."""
    programs, reason = find_postgres()
    if programs is None:
        pytest.skip(reason)
    with postgres_server(programs) as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the location of an empty database for an annotation project."""
    if request.param == "sqlite":
        return str(tmp_path / "case.db")
    return new_database(request.getfixturevalue("postgres"))


@pytest.fixture(scope="session")
def corpora() -> Path:
    """Return the folder of real corpora; skip the test if it does not exist."""
    folder = Path(os.environ.get("TAGGER_CORPORA", REPOSITORY.parent / "shared" / "corpora"))
    if not folder.is_dir():
        pytest.skip("real corpora not found (set TAGGER_CORPORA to their folder)")
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write_file(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes text or bytes to a named file and returns its path."""

    def write(content: str | bytes, name: str) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for the files of one test module."""
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a synthetic corpus (see ``command_line.write_corpus``); read-only."""
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def model(corpus: Path) -> Path:
    """Return a joint pos and ner model, trained by the command; read-only."""
    return train_joint_model(corpus)


@pytest.fixture(scope="session")
def pos_model(corpus: Path) -> Path:
    """Return a pos model; read-only."""
    return train_pos_model(corpus)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Yield a Chromium without background traffic; skip the test if none is installed.

    Playwright's event loop runs in the main thread until the end of the module: code that calls
    ``asyncio.run`` needs a thread there.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("Chromium is not installed")
    quiet = ("no-sandbox", "disable-gpu", "no-first-run", "disable-sync")
    networking = ("disable-background-networking", "disable-component-update")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(
            executable_path=path, args=[f"--{option}" for option in (*quiet, *networking)]
        )
        yield running
        running.close()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return a model folder for the test to damage, with two tasks and two frozen vectors."""
    folder = tmp_path / "model"
    save_bundle(make_bundle()[1], folder)
    return folder
