"""Fixtures that several rooms share."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parent.parent

settings.register_profile("tagger", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("tagger")


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of real corpora; tests that measure on them are skipped where it is missing."""
    folder = Path(os.environ.get("TAGGER_CORPORA", REPOSITORY.parent / "shared" / "corpora"))
    if not folder.is_dir():
        pytest.skip("the real corpora are not on this machine (set TAGGER_CORPORA to their folder)")
    return folder
