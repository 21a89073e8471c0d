"""The metadata of both distributions, and the files that name versions and packages."""

import re
import tomllib
from pathlib import Path

import pytest

import tagger
from tagger.included import GROUP

ROOT = Path(__file__).resolve().parent.parent


def read_project(folder: Path) -> dict:
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]


CODE, MODEL = read_project(ROOT), read_project(ROOT / "tagger" / "models")


def test_the_version_of_the_code_is_in_one_place():
    assert CODE["dynamic"] == ["version"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {tagger.__version__}\n" in citation


def test_the_extra_en_is_the_model_of_this_repository():
    (requirement,) = CODE["optional-dependencies"]["en"]
    assert re.split(r"[><=!~]", requirement)[0] == MODEL["name"] == f"{CODE['name']}-en"
    assert list(MODEL["entry-points"]) == [GROUP]
    assert (CODE["license"], MODEL["license"]) == ("MIT", "CC-BY-SA-4.0")


@pytest.mark.parametrize("extra", sorted(CODE["optional-dependencies"]))
def test_extras_name_only_extras_that_exist(extra: str):
    for requirement in CODE["optional-dependencies"][extra]:
        own = re.fullmatch(rf"{CODE['name']}\[(.+)\]", requirement)
        assert not own or set(own[1].split(",")) <= set(CODE["optional-dependencies"])
        assert not requirement.startswith("tagger")
