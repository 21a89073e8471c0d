"""The command `tagger compare`: a grid in, a report out, and what becomes of it when it is stopped."""

import itertools
import json
import signal
from pathlib import Path

import pytest
from command_line import options, refusal, run

from tagger.experiments import run_training
from tagger.training.loop import train

GRID = {"--directions": "forward,bidirectional", "--heads": "softmax", "--seeds": 2}


def arguments(corpus: Path, output: Path, *more: object) -> list[object]:
    files = ["--train", corpus / "train.conll", "--dev", corpus / "dev.conll", "--output", output]
    grid = [word for option in GRID.items() if option[0] not in more for word in option]
    return ["compare", *files, *options({"train.epochs": 2}), *grid, *more]


@pytest.fixture(scope="module")
def finished(corpus: Path, folder: Path) -> tuple[Path, str]:
    """The folder of a finished comparison, and what the command said."""
    code, output, error = run(*arguments(corpus, folder / "compare"))
    assert (code, error) == (0, "")
    return folder / "compare", output


def test_a_line_a_run_a_table_and_the_answer(finished):
    folder, output = finished
    lines = output.splitlines()
    assert [line.split("  ")[0] for line in lines[:4]] == ["1/4", "2/4", "3/4", "4/4"]
    assert lines[0].startswith("1/4  forward, softmax, seed 1: ")
    assert any("seed 1" in line and "seed 2" in line and "mean" in line for line in lines)
    assert lines[-2].startswith("Adding a backward direction ")
    assert lines[-1] == f"report: {folder / 'report.html'}"


def test_the_report_is_there_and_tells_the_scores_that_were_shown(finished):
    folder, output = finished
    assert {path.name for path in folder.iterdir()} == {"runs", "results.json", "report.md", "report.html"}
    runs = json.loads((folder / "results.json").read_text(encoding="utf-8"))["runs"]
    assert len(runs) == 4
    for one in runs:
        assert f"{100 * one['scores']['dev']['f1']:.2f}" in output


def test_spans_are_learnt_as_iob2_unless_something_else_is_asked_for(corpus, finished, tmp_path):
    results = json.loads((finished[0] / "results.json").read_text(encoding="utf-8"))
    assert results["settings"]["config"]["model"]["scheme"] == "IOB2"
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[model]\nscheme = "BIOES"\n')
    error = refusal(*arguments(corpus, finished[0]), recipe)
    assert 'model.scheme is "BIOES", was "IOB2"' in error


def test_a_second_call_makes_nothing_again(corpus, finished):
    folder, output = finished
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs").iterdir()}
    code, again, _ = run(*arguments(corpus, folder), terminal=True)
    assert code == 0
    assert again.startswith("4 of 4 runs were made before")
    assert {path: path.stat().st_mtime_ns for path in (folder / "runs").iterdir()} == before
    assert output.splitlines()[-1] == again.splitlines()[-1]


def dev_scores(folder: Path) -> list[dict]:
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return [one["scores"]["dev"] for one in results["runs"]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_comparison_that_is_stopped_goes_on(corpus, finished, tmp_path, monkeypatch, number):
    steps = itertools.count()

    def train_until_signal(*given):
        for record in train(*given):
            if next(steps) == 30:  # a run has 18 steps and 2 epochs
                signal.raise_signal(number)
            yield record

    monkeypatch.setattr(run_training, "train", train_until_signal)
    code, output, error = run(*arguments(corpus, tmp_path))
    assert (code, error) == (128 + number, "")
    assert output.splitlines()[-1] == "stopped with 1 of 4 runs made; the same command goes on"
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["forward-softmax-1.json"]
    code, output, error = run(*arguments(corpus, tmp_path))
    assert (code, error) == (0, "")
    assert output.startswith("1 of 4 runs were made before")
    assert dev_scores(tmp_path) == dev_scores(finished[0])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ["--directions", "forward,up"],
            "--directions takes by commas any of forward, backward, bidirectional",
        ),
        (["--merge-modes", "max"], "--merge-modes takes by commas any of concat, sum, mul, ave, not 'max'"),
        (["--heads", ","], "--heads takes by commas any of crf, softmax, not ','"),
        (["--match", "hidden,width"], "--match takes one of hidden, width, parameters, not 'hidden,width'"),
        (["--lookahead", "1,-2"], "--lookahead takes numbers of words and 'full' by commas, not '1,-2'"),
        (["--lookahead", ""], "--lookahead takes numbers"),
        (["--task", "pos,ner", "--columns", "token,pos,ner"], "must have exactly one task (got 2: pos, ner)"),
        (["--set", "train.patience=2"], "train.patience must be 0"),
        (["--set", "model.hiden_size=3"], "did you mean model.hidden_size"),
        (["--set", "model.head=crf"], "--set model.head would be the same in all runs; use --heads instead"),
        (["--directions", "forward,backward", "--lookahead", "1"], "put bidirectional into --directions"),
        (["--lookahead", "9" * 5000], "--lookahead takes numbers"),
        (["--seeds", "0"], "Invalid value for '--seeds'"),
        (["--test", "nowhere.conll"], "nowhere.conll"),
    ],
)
def test_what_cannot_be_compared_is_refused_at_once(corpus, tmp_path, more, message):
    assert message in refusal(*arguments(corpus, tmp_path, *more))
    assert not list(tmp_path.rglob("*.json"))


def test_a_file_in_the_place_of_the_folder_is_named(corpus, tmp_path):
    (tmp_path / "taken").write_text("")
    assert "taken" in refusal(*arguments(corpus, tmp_path / "taken"))
