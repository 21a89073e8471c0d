"""The metadata of both distributions, and the checks of a release."""

import io
import re
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import release_check

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


def write_distributions(folder: Path, *, in_wheel: list[str], in_sdist: list[str]) -> tuple[Path, Path]:
    wheel, sdist = folder / "a.whl", folder / "a.tar.gz"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in in_wheel:
            archive.writestr(name, "")
    with tarfile.open(sdist, "w:gz") as archive:
        for name in in_sdist:
            archive.addfile(tarfile.TarInfo(f"a-1/{name}"), io.BytesIO())
    return wheel, sdist


MODEL_FILES = ["README.md", "config.json"]
IN_WHEEL = [*(f"bilstm_tagger_en/{name}" for name in MODEL_FILES), "a-1.dist-info/licenses/LICENSE"]
IN_SDIST = ["PKG-INFO", "LICENSE", *(f"en/{name}" for name in MODEL_FILES)]


@pytest.mark.parametrize(
    ("in_wheel", "in_sdist", "message"),
    [
        (IN_WHEEL, IN_SDIST, ""),
        (IN_WHEEL[1:], IN_SDIST, "must have the committed files"),
        ([*IN_WHEEL, "bilstm_tagger_en/stray"], IN_SDIST, "must have the committed files"),
        ([*IN_WHEEL, "tests/test_a.py"], IN_SDIST, "must have the committed files"),
        (IN_WHEEL[:-1], IN_SDIST, "must have one licence"),
        (IN_WHEEL, [*IN_SDIST, "en/notes.txt"], "committed files only"),
    ],
)
def test_distributions_hold_the_committed_files(tmp_path, monkeypatch, in_wheel, in_sdist, message):
    committed = ["tagger/models/LICENSE", *(f"tagger/models/en/{name}" for name in MODEL_FILES)]
    monkeypatch.setattr(release_check, "git", lambda *_: "\n".join(committed))
    files = write_distributions(tmp_path, in_wheel=in_wheel, in_sdist=in_sdist)
    if not message:
        release_check.check_contents(release_check.MODEL, *files)
        return
    with pytest.raises(release_check.CheckError, match=message):
        release_check.check_contents(release_check.MODEL, *files)


def test_a_tag_must_be_the_version_of_code_and_changelog(tmp_path, monkeypatch):
    (tmp_path / "tagger").mkdir()
    (tmp_path / "tagger" / "version.py").write_text('__version__ = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [1.2.0]\n\n## [1.1.0]\n")
    monkeypatch.setattr(release_check, "ROOT", tmp_path)
    release_check.check_tag("v1.2.0")
    with pytest.raises(release_check.CheckError, match=r"tagger/version\.py"):
        release_check.check_tag("v1.1.0")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n")
    with pytest.raises(release_check.CheckError, match=r"CHANGELOG\.md"):
        release_check.check_tag("v1.2.0")


def test_every_action_is_pinned_by_a_commit():
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        for line in re.findall(r"uses: (.+)", path.read_text(encoding="utf-8")):
            assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), f"{path.name}: {line}"


def test_readme_begins_with_the_examples_of_the_release_check():
    command, shown, code, result = release_check.read_examples()
    assert command.startswith("tagger tag")
    assert 'Tagger.load("en")' in code
    assert shown
    assert result
