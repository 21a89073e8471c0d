"""``tagger check --model`` and ``--folds``: the list of label errors, its JSON and its page."""

import json

import pytest
from command_line import input_error, options, run
from input_errors import check
from pages import Page

from tagger import Tagger, read_corpus
from tagger.runtime.label_errors import find_label_errors

COLUMNS = ("--columns", "token,pos,ner")


@pytest.fixture(scope="module")
def wrong(corpus, folder):
    """Return a copy of dev with an entity of another type in line 5, and the tag of a verb in line 11."""
    lines = (corpus / "dev.conll").read_text(encoding="utf-8").split("\n")
    assert (lines[4][-6:], lines[10][-7:]) == (" B-LOC", " VERB O")
    lines[4], lines[10] = lines[4][:-6] + " B-PER", lines[10][:-7] + " NOUN O"
    path = folder / "wrong.conll"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def table_rows(output, path):
    return [line.replace("|", " ").split() for line in output.split("\n")[1:] if f"{path}:" in line]


def test_the_errors_of_a_file_are_listed(model, wrong):
    code, output, error = run("check", wrong, "--model", model, *COLUMNS)
    assert (code, error) == (0, "")
    rows = table_rows(output, wrong)
    assert {tuple(row[:4]) for row in rows} >= {
        (f"{wrong}:5", "ner", "wrong", "type"),
        (f"{wrong}:11", "pos", "wrong", "tag"),
    }
    assert f"{len(rows)} probable label errors, the first {len(rows)}:" in output


def test_top_and_task_limit_the_rows(model, wrong):
    code, output, _ = run("check", wrong, "--model", model, *COLUMNS, "--task", "ner", "--top", "3")
    rows = table_rows(output, wrong)
    assert (code, len(rows)) == (0, 3)
    assert "the first 3:" in output
    assert all("pos" not in row for row in rows)


def test_json_equals_the_library(model, wrong):
    code, output, error = run("check", wrong, "--model", model, *COLUMNS, "--json", "--top", "1")
    assert (code, error) == (0, "")
    report = json.loads(output)
    sentences = read_corpus(wrong, columns=COLUMNS[1])
    found = find_label_errors(Tagger.load(model), sentences, tasks=["ner", "pos"])
    assert report["label_errors"] == [one.values() for one in found]
    assert report["read"][0].startswith(f"{wrong}: conll")


def test_labels_that_the_model_lacks_are_named(model, write_file):
    path = write_file("Ada PROPN B-DOG\nsang VERB O\n", "other.conll")
    code, output, _ = run("check", path, "--model", model, *COLUMNS)
    assert code == 0
    assert "ner: the model lacks these gold labels and doubts all of them: DOG (1)" in output
    assert "pos: the model lacks" not in output
    assert f"{path}:1 " in output


def test_a_file_without_label_errors(model, wrong, write_file, monkeypatch):
    monkeypatch.setattr("tagger.cli.suspicions.find_label_errors", lambda *_, **__: [])
    code, output, _ = run("check", wrong, "--model", model, *COLUMNS)
    assert (code, output.split("\n")[1:]) == (0, ["0 probable label errors", ""])


def test_the_page_has_an_article_per_label_error(model, wrong, tmp_path):
    path = tmp_path / "page.html"
    code, output, _ = run("check", wrong, "--model", model, *COLUMNS, "--page", path, "--json")
    assert code == 0
    page = Page(path.read_text(encoding="utf-8"))
    assert len(page.find("article")) == len(json.loads(output)["label_errors"])
    assert page.find("h1")[0]["text"] == "Probable label errors of wrong.conll"
    assert page.find("code")[0]["text"] == json.loads(output)["label_errors"][0]["source"]


@pytest.mark.slow
def test_folds_find_an_error_of_the_train_file(corpus, tmp_path):
    lines = (corpus / "train.conll").read_text(encoding="utf-8").split("\n")
    assert lines[2].endswith(" B-PER")
    lines[2] = lines[2][:-6] + " O"
    path = tmp_path / "train.conll"
    path.write_text("\n".join(lines), encoding="utf-8")
    command = ("check", path, "--folds", 2, *COLUMNS, *options({"train.epochs": 20}))
    code, output, error = run(*command, "--json", "--page", tmp_path / "page.html")
    assert (code, error) == (0, "")
    first = json.loads(output)["label_errors"][0]
    assert (first["source"], first["kind"], first["task"]) == (f"{path}:3", "missing", "ner")
    assert "a model of the other 1 of 2 folds" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert run(*command, "--json")[1] == output, "the seed is fixed"


MODE, EPOCHS = ("--model", "en"), ("--epochs", "3")


@pytest.mark.parametrize(
    ("words", "code", "option"),
    [
        (["--page", "p.html"], "option.conflict", "--page"),
        (["--top", "3"], "option.conflict", "--top"),
        (["--task", "ner"], "option.conflict", "--task"),
        (EPOCHS, "option.conflict", "--epochs"),
        ([*MODE, *EPOCHS], "option.conflict", "--epochs"),
        ([*MODE, "--set", "train.seed=2"], "option.conflict", "--set"),
        ([*MODE, "--vectors", "v"], "option.conflict", "--vectors"),
        ([*MODE, "--folds", "2"], "option.conflict", "--folds"),
        ([*MODE, "--strict"], "option.conflict", "--strict"),
        (["--folds", "13", *COLUMNS], "option.value", "--folds"),
    ],
)
def test_options_that_do_not_fit_together(corpus, words, code, option):
    check(input_error("check", corpus / "dev.conll", *words), code, option=option)


def test_invalid_outputs_and_tasks_are_found_first(model, corpus, tmp_path):
    dev = corpus / "dev.conll"
    command = ("check", dev, "--model", model)
    check(input_error(*command, "--page", dev), "option.conflict", file=dev)
    check(input_error(*command, "--page", tmp_path / "no" / "p.html"), "file.unwritable", file="no/p.html")
    check(input_error(*command, "--task", "chunk"), "corpus.task", mentions="'chunk'")
    check(
        input_error("check", dev, "--folds", 2, "--task", "chunk", *COLUMNS),
        "corpus.task",
        option="--columns",
    )
    assert run("check", dev, "--folds", 1)[0] == 2
