"""Models included in the package, and their lookup by name."""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import input_error, rows, run

from tagger import InputError, Tagger, included
from tagger.included import _installed_models, find_model, included_models, model_name

TEXT = "Ada met Otto in Oslo."


@pytest.fixture
def package_folder(model, tmp_path, monkeypatch) -> Path:
    """Return a package with the models ``en`` and ``toy``; change to an empty working directory."""
    folder = tmp_path / "package"
    for name in ("toy", "en"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(model)
    (folder / "empty").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setattr(included, "included_folder", lambda: folder)
    monkeypatch.setattr(included, "_installed_models", dict)
    monkeypatch.chdir(tmp_path / "here")
    return folder


def test_a_model_is_found_by_name_and_a_folder_takes_precedence(package_folder, model):
    assert included_models() == {name: package_folder / name for name in ("en", "toy")}
    assert find_model("toy") == package_folder / "toy"
    assert find_model(Path("en")) == package_folder / "en"
    assert find_model(model) == model
    assert Tagger.load("toy").tag(TEXT) == Tagger.load(model).tag(TEXT)
    shutil.copytree(model, "toy")
    assert find_model("toy") == Path("toy")


def occupy_with_folder(name):
    Path(name).mkdir()


def occupy_with_texts(name):
    Path(name).mkdir()
    (Path(name) / "config.json").write_text('{"lang": "en"}')


def occupy_with_file(name):
    Path(name).write_text("Ada met Otto.")


def occupy_with_broken_link(name):
    Path(name).symlink_to("nowhere")


def occupy_with_pipe(name):
    os.mkfifo(name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "occupy",
    [occupy_with_folder, occupy_with_texts, occupy_with_file, occupy_with_broken_link, occupy_with_pipe],
)
def test_paths_without_a_model_do_not_hide_included_models(package_folder, model, corpus, tmp_path, occupy):
    commands = (
        ("tag", "--text", TEXT),
        ("tag", "-m", "en"),
        ("tag", "-m", "en", "-"),
        ("info", "en"),
        ("evaluate", "en", corpus / "dev.conll", "--json"),
        ("shrink", "en", tmp_path / "small"),
        ("export", "en", tmp_path / "model.onnx"),
    )
    expected = [run(*command, stdin=TEXT.encode())[0] for command in commands]
    assert expected == [0] * len(commands)
    shutil.rmtree(tmp_path / "small")
    occupy("en")
    for command in commands:
        code, _, error = run(*command, stdin=TEXT.encode())
        assert code == 0, error
    assert find_model("en") == find_model(Path("en")) == package_folder / "en"
    assert Tagger.load("en").tag(TEXT) == Tagger.load(model).tag(TEXT)
    with pytest.raises(InputError):
        Tagger.load("./en")  # a path, not a name


def test_the_default_model_is_never_in_the_working_directory(package_folder, pos_model, model):
    shutil.copytree(pos_model, "en")
    assert find_model("en") == Path("en")
    (named,) = rows(run("tag", "-m", "en", stdin=TEXT.encode())[1])
    assert list(named["tags"]) == ["pos"]
    Path("letter.txt").write_text(TEXT)
    for words, text in (
        (("--text", TEXT), b""),
        ((), TEXT.encode()),
        (("letter.txt",), b""),
        (("-",), TEXT.encode()),
    ):
        (row,) = rows(run("tag", *words, stdin=text)[1])
        assert list(row["tags"]) == ["pos", "ner"]


@pytest.mark.parametrize("name", ["", "ne", "empty", "../en", "en/", "en\0", "x" * 5000, "runs/news"])
def test_the_error_for_an_unknown_name_lists_the_included_models(package_folder, name, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # runs/news may be on the hub
    with pytest.raises(InputError, match=r"\(the included models are en, toy\)") as error:
        find_model(name)
    assert (error.value.code, error.value.file) == ("bundle.missing", name)
    monkeypatch.setattr(included, "included_folder", lambda: package_folder / "none")
    with pytest.raises(InputError, match=r"\(no models are included\)") as error:
        find_model(name)
    assert (error.value.code, error.value.file) == ("bundle.missing", name)


def test_every_command_accepts_a_name(package_folder, model, corpus, tmp_path):
    for name, folder in (("toy", model), ("en", model)):
        assert run("info", name) == run("info", folder)
        assert run("evaluate", name, corpus / "dev.conll")[::2] == (0, "")
        assert run("tag", "-m", name, stdin=TEXT.encode()) == run("tag", "-m", folder, stdin=TEXT.encode())
    assert run("evaluate", "toy", corpus / "dev.conll", "--errors", tmp_path / "e.html")[0] == 0
    assert "toy" in (tmp_path / "e.html").read_text() or model.name in (tmp_path / "e.html").read_text()
    for command in (("info",), ("evaluate",), ("export",), ("tag", "-m")):
        more = {"evaluate": [corpus / "dev.conll"], "export": [tmp_path / "x.onnx"]}.get(command[0], [])
        error = input_error(*command, "ne", *more)
        assert (error.code, error.file) == ("bundle.missing", "ne")


def test_a_missing_default_model_is_not_looked_up_in_the_working_directory(package_folder, model):
    (package_folder / "en").unlink()
    with pytest.raises(InputError, match="Install the extra `en`"):
        Tagger.load("en")
    shutil.copytree(model, "en")
    error = input_error("tag", "--text", TEXT)
    assert (error.code, error.file, error.option) == ("bundle.missing", "en", "--model")
    assert run("tag", "-m", "en", "--text", TEXT)[0] == 0


@pytest.mark.parametrize("package", ["toy_model", "missing_package"])
def test_a_model_is_found_by_its_entry_point(package_folder, model, tmp_path, monkeypatch, package):
    site = tmp_path / "site"
    shutil.copytree(model, site / "toy_model")
    (site / "toy_model" / "__init__.py").write_text("raise AssertionError('imported')\n")
    (site / "toy_model-1.dist-info").mkdir()
    (site / "toy_model-1.dist-info" / "entry_points.txt").write_text(f"[tagger.models]\nnews = {package}\n")
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(included, "_installed_models", _installed_models.__wrapped__)
    if package == "missing_package":
        assert "news" not in included_models()
        return
    assert find_model("news") == site / "toy_model"
    tagger = Tagger.load("news")
    assert "news" in repr(tagger)
    assert model_name(find_model("news")) == "news"
    assert pickle.loads(pickle.dumps(tagger)).tag(TEXT) == tagger.tag(TEXT)


def test_included_folder_is_that_of_this_checkout():
    assert included.included_folder() == Path(included.__file__).parent / "models"


@pytest.mark.skipif("en" not in included_models(), reason="the English model is not built here")
def test_the_english_model_works_in_any_directory(tmp_path):
    command = [sys.executable, "-m", "tagger", "tag", "--text", "Angela Merkel visited Paris in May."]
    package = str(Path(included.__file__).parent.parent)
    done = subprocess.run(
        command, capture_output=True, check=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": package}
    )
    (row,) = rows(done.stdout.decode())
    assert [(span["text"], span["label"]) for span in row["spans"]["ner"]] == [
        ("Angela Merkel", "PER"),
        ("Paris", "LOC"),
    ]
    assert row["tags"]["pos"] == ["PROPN", "PROPN", "VERB", "PROPN", "ADP", "PROPN", "PUNCT"]
    code, output, error = run("info", "en")
    assert (code, error) == (0, "")
    assert "LOC, ORG, PER" in output
    assert Tagger.load("en").tag("")[0:] == []


@pytest.mark.skipif("en" not in included_models(), reason="the English model is not built here")
def test_the_english_model_card_names_its_sources_and_the_model_is_small():
    folder = find_model("en")
    card = (folder / "README.md").read_text()
    for word in ("CC BY-SA 4.0", "PDDL", "UD English EWT", "Universal NER", "Limits", "lower"):
        assert word in card
    assert sum(path.stat().st_size for path in folder.iterdir()) < 13_500_000  # bytes, uncompressed
    if folder.parent == included.included_folder():  # an installed model has its licence in the metadata
        assert (folder.parent / "LICENSE").exists()
