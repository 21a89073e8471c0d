"""``tagger compare``: its output, report, resumption and option errors."""

import itertools
import json
import signal
from pathlib import Path

import pytest
from command_line import input_error, options, run, run_error
from input_errors import check

from tagger.experiments import run_training
from tagger.training.loop import train

pytestmark = pytest.mark.slow

GRID = {"--directions": "forward,bidirectional", "--heads": "softmax", "--seeds": 2}


def arguments(corpus: Path, output: Path, *more: object) -> list[object]:
    files = ["--train", corpus / "train.conll", "--dev", corpus / "dev.conll", "--output", output]
    grid = [word for option in GRID.items() if option[0] not in more for word in option]
    return ["compare", *files, *options({"train.epochs": 2}), *grid, *more]


@pytest.fixture(scope="module")
def finished(corpus: Path, folder: Path) -> tuple[Path, str]:
    """Return the folder of a finished comparison, and the output of the command."""
    code, output, error = run(*arguments(corpus, folder / "compare"))
    assert (code, error) == (0, "")
    return folder / "compare", output


def after_the_files(output: str) -> list[str]:
    """Return the lines after those that say how the training and the dev file were read."""
    lines = output.splitlines()
    assert all("columns token, pos, ner; scheme IOB2" in line for line in lines[:2])
    return lines[2:]


def test_output_has_a_line_per_run_a_table_and_the_conclusion(finished):
    folder, output = finished
    lines = after_the_files(output)
    assert [line.split("  ")[0] for line in lines[:4]] == ["1/4", "2/4", "3/4", "4/4"]
    assert lines[0].startswith("1/4  forward, softmax, seed 1: ")
    assert any("seed 1" in line and "seed 2" in line and "mean" in line for line in lines)
    assert lines[-2].startswith("Adding a backward direction ")
    assert lines[-1] == f"report: {folder / 'report.html'}"


def test_the_report_has_the_printed_scores(finished):
    folder, output = finished
    assert {path.name for path in folder.iterdir()} == {"runs", "results.json", "report.md", "report.html"}
    runs = json.loads((folder / "results.json").read_text(encoding="utf-8"))["runs"]
    assert len(runs) == 4
    for one in runs:
        assert f"{100 * one['scores']['dev']['f1']:.2f}" in output


def test_the_default_scheme_is_iob2(corpus, finished, tmp_path):
    results = json.loads((finished[0] / "results.json").read_text(encoding="utf-8"))
    assert results["settings"]["config"]["model"]["scheme"] == "IOB2"
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[model]\nscheme = "BIOES"\n')
    error = input_error(*arguments(corpus, finished[0]), recipe)
    assert error.code == "run.mismatch"
    assert 'model.scheme is "BIOES", was "IOB2"' in error.message


def test_finished_runs_are_reused(corpus, finished):
    folder, output = finished
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs").iterdir()}
    code, again, _ = run(*arguments(corpus, folder), terminal=True)
    assert code == 0
    assert after_the_files(again)[0].startswith("4 of 4 runs already finished")
    assert {path: path.stat().st_mtime_ns for path in (folder / "runs").iterdir()} == before
    assert output.splitlines()[-1] == again.splitlines()[-1]


def dev_scores(folder: Path) -> list[dict]:
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return [one["scores"]["dev"] for one in results["runs"]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_comparison_is_resumed(corpus, finished, tmp_path, monkeypatch, number):
    steps = itertools.count()

    def train_until_signal(*given):
        for record in train(*given):
            if next(steps) == 30:  # a run has 18 steps and 2 epochs
                signal.raise_signal(number)
            yield record

    monkeypatch.setattr(run_training, "train", train_until_signal)
    code, output, error = run(*arguments(corpus, tmp_path))
    assert (code, error) == (128 + number, "")
    assert output.splitlines()[-1] == "stopped with 1 of 4 runs finished; run the same command to continue"
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["forward-softmax-1.json"]
    code, output, error = run(*arguments(corpus, tmp_path))
    assert (code, error) == (0, "")
    assert after_the_files(output)[0].startswith("1 of 4 runs already finished")
    assert dev_scores(tmp_path) == dev_scores(finished[0])


@pytest.mark.parametrize(
    ("more", "code", "option", "fragment"),
    [
        (
            ["--directions", "forward,up"],
            "option.unknown",
            "--directions",
            "forward, backward, bidirectional, separated by commas (got 'forward,up')",
        ),
        (
            ["--merge-modes", "max"],
            "option.unknown",
            "--merge-modes",
            "concat, sum, mul, ave, separated by commas (got 'max')",
        ),
        (["--heads", ","], "option.value", "--heads", "crf, softmax, separated by commas (got ',')"),
        (["--lookahead", "1,-2"], "option.value", "--lookahead", "'full', separated by commas (got '1,-2')"),
        (["--lookahead", ""], "option.value", "--lookahead", "(got '')"),
        (
            ["--task", "pos,ner", "--columns", "token,pos,ner"],
            "option.value",
            "data.tasks",
            "(got 2: pos, ner)",
        ),
        (["--set", "train.patience=2"], "option.value", "train.patience", "(got 2)"),
        (["--set", "model.head=crf"], "option.conflict", "--heads", "--set model.head"),
        (["--directions", "forward,backward", "--lookahead", "1"], "option.conflict", "--directions", ""),
        (["--lookahead", "9" * 5000], "option.value", "--lookahead", "(got '999"),
    ],
)
def test_invalid_comparisons_are_rejected_before_training(corpus, tmp_path, more, code, option, fragment):
    error = input_error(*arguments(corpus, tmp_path, *more))
    assert (error.code, error.option) == (code, option)
    assert fragment in error.message
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize(
    ("more", "code", "properties"),
    [
        (
            ["--set", "model.hiden_size=3"],
            "option.unknown",
            {"option": "model.hiden_size", "mentions": "model.hidden_size?"},
        ),
        (["--test", "nowhere.conll"], "file.missing", {"file": "nowhere.conll"}),
    ],
)
def test_unknown_settings_and_files_are_rejected_before_training(corpus, tmp_path, more, code, properties):
    check(input_error(*arguments(corpus, tmp_path, *more)), code, **properties)
    assert not list(tmp_path.rglob("*.json"))


def test_a_number_of_seeds_below_one_is_rejected(corpus, tmp_path):
    assert "Invalid value for '--seeds'" in run_error(*arguments(corpus, tmp_path, "--seeds", "0"))
    assert not list(tmp_path.rglob("*.json"))


def test_an_output_that_is_a_file_is_rejected(corpus, tmp_path):
    (tmp_path / "taken").write_text("")
    check(input_error(*arguments(corpus, tmp_path / "taken")), "file.unwritable", file="taken/runs")
