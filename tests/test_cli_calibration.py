"""``--min-score`` of ``tag`` and ``evaluate``, and the calibration output of ``evaluate``."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import input_error, rows, run, run_error
from input_errors import check

from tagger import Tagger
from tagger.bundle import load_bundle, save_bundle
from tagger.corpus.files import read_sentences
from tagger.runtime.model_calibration import fit_temperatures, measure_calibration

TEXT = "Ada met Otto in Oslo. Then Otto left for Lima. Mia saw New Bonn. The ship sang!\n" * 5
TEMPERATURES = {"ner": 2.0, "pos": 0.5}
SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "benchmarks" / "calibration.py"


@pytest.fixture(scope="module")
def calibrated(model, folder) -> Path:
    """Return the model with temperatures other than 1."""
    save_bundle(replace(load_bundle(model), temperatures=TEMPERATURES), folder / "calibrated")
    return folder / "calibrated"


@pytest.fixture(scope="module")
def min_score(calibrated) -> float:
    """Return a threshold that only some spans reach."""
    spans = [span for one in Tagger.load(calibrated).tag(TEXT) for span in one.spans["ner"]]
    scores = sorted(span.score for span in spans)
    assert scores[0] < scores[len(scores) // 2]
    return scores[len(scores) // 2]


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("--workers", "2")])
def test_jsonl_and_conll_agree_with_the_api(calibrated, min_score, more, tmp_path):
    expected = Tagger.load(calibrated).tag(TEXT, min_score=min_score)
    words = ("tag", "-m", calibrated, "--min-score", min_score, *more)
    code, output, error = run(*words, stdin=TEXT.encode())
    assert (code, error) == (0, "")
    full = rows(run("tag", "-m", calibrated, stdin=TEXT.encode())[1])
    dropped = 0
    for row, plain, sentence in zip(rows(output), full, expected, strict=True):
        assert row["tags"] == {task: list(tags) for task, tags in sentence.tags.items()}
        result = [(span["label"], span["start"], span["end"]) for span in row["spans"]["ner"]]
        assert result == [(span.label, span.start_char, span.end_char) for span in sentence.spans["ner"]]
        assert row["tags"]["pos"] == plain["tags"]["pos"]
        dropped += len(plain["spans"]["ner"]) - len(result)
    assert dropped
    (tmp_path / "out.conll").write_text(
        run(*words, "--format", "conll", stdin=TEXT.encode())[1], encoding="utf-8"
    )
    result = list(read_sentences(tmp_path / "out.conll", columns="token,pos,ner"))
    assert [one.tags for one in result] == [one.tags for one in expected]


def test_running_text_and_pages_mark_the_remaining_spans(calibrated, min_score):
    marks = sum(len(one.spans["ner"]) for one in Tagger.load(calibrated).tag(TEXT, min_score=min_score))
    words = ("tag", "-m", calibrated, "--task", "ner", "--min-score", min_score)
    assert run(*words, "--format", "text", stdin=TEXT.encode())[1].count("|") == marks
    assert run(*words, "--format", "html", stdin=TEXT.encode())[1].count("<b>") == marks


def test_parts_of_speech_are_not_filtered(pos_model):
    plain, filtered = (
        run("tag", "-m", pos_model, *more, stdin=TEXT.encode()) for more in ((), ("--min-score", "1"))
    )
    assert filtered == plain
    assert filtered[0] == 0


@pytest.mark.parametrize("value", ["1.5", "-0.1", "nan", "inf"])
def test_invalid_probabilities_are_rejected_before_the_model_is_loaded(tmp_path, corpus, value):
    none = tmp_path / "none"
    for command in (("tag", "-m", none), ("evaluate", none, corpus / "dev.conll")):
        error = input_error(*command, "--min-score", value)
        check(error, "option.value", option="--min-score", mentions=f"(got {float(value):g})")


def test_streams_do_not_support_min_score(model):
    error = input_error("tag", "-m", model, "--stream", "--min-score", "0.5")
    check(error, "option.conflict", option="--min-score")
    assert run("tag", "-m", model, "--stream", "--min-score", "0", stdin=b"Ada sang.")[0] == 0
    error = input_error("tag", "-m", model, "--min-score", "most")
    check(error, "option.type", option="--min-score", mentions="'most'")


def test_evaluate_filters_spans_but_calibrates_on_all(calibrated, corpus, min_score):
    words = ("evaluate", calibrated, corpus / "dev.conll", "--json")
    plain, filtered = (json.loads(run(*words, *more)[1]) for more in ((), ("--min-score", min_score)))
    assert (plain["min_score"], filtered["min_score"]) == (0, min_score)
    assert plain["calibration"] == filtered["calibration"]
    assert plain["tasks"]["pos"] == filtered["tasks"]["pos"]
    ner = plain["calibration"]["ner"]
    assert (ner["of"], ner["temperature"], ner["bins"]) == ("spans", 2.0, 15)
    assert plain["calibration"]["pos"]["of"] == "tokens"
    sentences = list(read_sentences(corpus / "dev.conll", columns="token,pos,ner"))
    measured = measure_calibration(Tagger.load(calibrated), sentences)["ner"]
    (row,) = measured.against([min_score])
    for key in ("precision", "recall", "f1"):
        assert plain["tasks"]["ner"][key] == pytest.approx(ner["thresholds"][0][key])
        assert filtered["tasks"]["ner"][key] == pytest.approx(row[key])
    errors = [ner[side]["expected_calibration_error"] for side in ("before", "after")]
    assert errors == pytest.approx(measured.errors)


@pytest.mark.parametrize("columns", [80, 100])
def test_evaluate_prints_errors_and_thresholds(calibrated, corpus, monkeypatch, columns):
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", str(columns))
    words = ("evaluate", calibrated, corpus / "dev.conll")
    code, output, _ = run(*words, terminal=True, encoding="utf-8")
    assert code == 0
    assert max(map(len, output.splitlines())) <= columns
    values = json.loads(run(*words, "--json")[1])["calibration"]
    flat = " ".join(output.split())
    for name, what in (("ner", "spans"), ("pos", "tokens")):
        before, after = (values[name][side]["expected_calibration_error"] for side in ("before", "after"))
        assert (
            f"{name}: expected calibration error {before:.4f} before, {after:.4f} after calibration "
            f"(temperature {TEMPERATURES[name]:g}); 15 bins, "
        ) in flat
        assert re.search(rf"15 bins, \d+ predicted {what}", flat)
    for row in values["ner"]["thresholds"]:
        scores = " +".join(f"{row[key]:.4f}" for key in ("precision", "recall", "f1"))
        assert re.search(rf"^ +{row['min_score']:g} +{row['found']} +{scores} *$", output, re.MULTILINE)
    assert "pos: with --min-score" not in output


def test_a_model_without_temperatures_is_reported_as_not_calibrated(model, corpus, tmp_path):
    save_bundle(replace(load_bundle(model), temperatures={}), tmp_path / "m")
    output = run("evaluate", tmp_path / "m", corpus / "dev.conll", "--task", "ner")[1]
    assert re.search(r"ner: expected calibration error 0\.\d{4}, not calibrated; 15 bins", output)
    assert re.search(r"^calibration +none *$", run("info", tmp_path / "m")[1], re.MULTILINE)


def test_info_shows_temperatures(calibrated):
    assert "temperature of pos 0.5, temperature of ner 2" in run("info", calibrated)[1]
    assert json.loads(run("info", calibrated, "--json")[1])["temperatures"] == TEMPERATURES


@pytest.mark.slow
def test_the_reliability_plot_is_written(calibrated, corpus, tmp_path):
    words = ("evaluate", calibrated, corpus / "dev.conll", "--reliability")
    assert run(*words, tmp_path / "a.svg")[0] == 0
    assert (tmp_path / "a.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert run(*words, tmp_path / "a.png", "--min-score", "0.5", "--task", "ner")[0] == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in tmp_path.iterdir()} == {"a.svg", "a.png"}


def test_invalid_plots_are_rejected_before_the_work(corpus, tmp_path, monkeypatch):
    words = ("evaluate", tmp_path / "none", corpus / "dev.conll")
    error = input_error(*words, "--reliability", tmp_path / "a.gif")
    assert (error.code, error.option) == ("option.value", "--reliability")
    assert error.file == str(tmp_path / "a.gif")
    picture = tmp_path / "a.svg"
    error = input_error(*words, "--reliability", picture, "--picture", picture)
    assert (error.code, error.file) == ("option.conflict", str(picture))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "evaluate --reliability` needs the package matplotlib" in run_error(
        *words, "--reliability", picture
    )


@pytest.mark.slow
def test_the_two_fold_calibration_script(model, corpus, tmp_path):
    words = [sys.executable, SCRIPT, model, corpus / "dev.conll", "--results", tmp_path]
    saved = [*words, "--halves", "sentences", "--save", tmp_path / "m"]
    done = subprocess.run(list(map(str, saved)), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    record = json.loads((tmp_path / f"calibration-{model.name}.json").read_text(encoding="utf-8"))
    ner = [row for row in record["rows"] if row["task"] == "ner"]
    assert [row["halves"] for row in ner if "halves" in row] == ["sentences"] * 2
    values = json.loads(run("evaluate", model, corpus / "dev.conll", "--json")[1])["calibration"]["ner"]
    assert [{"task": "ner", **row} for row in values["thresholds"]] == ner[2:]
    sentences = list(read_sentences(corpus / "dev.conll", columns="token,pos,ner"))
    fitted = fit_temperatures(Tagger.load(model), sentences)
    assert load_bundle(tmp_path / "m").temperatures == fitted
    assert load_bundle(model).temperatures == pytest.approx(fitted, rel=5e-3)  # by torch, in training
    whole = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    assert whole.returncode == 2
    assert "cannot split into halves by documents" in whole.stderr


@pytest.mark.parametrize("recall", [0.0, 0.3, 0.6, 1.0])
def test_recall_finds_the_highest_threshold_that_reaches_it(calibrated, corpus, recall):
    """Compared with the recall of spaced thresholds, each measured by ``--min-score``'s own filter."""
    command = ("evaluate", calibrated, corpus / "dev.conll", "--recall", recall)
    values = json.loads(run(*command, "--json")[1])["recall"]
    assert list(values) == ["ner"]
    (found,) = values.values()
    tagger = Tagger.load(calibrated)
    sentences = list(read_sentences(corpus / "dev.conll", columns="token,pos,ner"))

    def measure(threshold):
        return tagger.evaluate(sentences, task="ner", min_score=threshold).ner.recall

    assert (found["target"], found["best"]) == (recall, pytest.approx(measure(0.0)))
    output = run(*command)[1]
    if found["best"] < recall:
        assert found["threshold"] is None
        assert f"ner: no --min-score reaches recall {recall:g}; the best recall is" in output
        return
    threshold = found["threshold"]["min_score"]
    assert f"ner: --min-score {threshold:g} reaches recall {recall:g}" in output
    assert measure(threshold) == pytest.approx(found["threshold"]["recall"])
    assert found["threshold"]["recall"] >= recall
    if threshold < 1:
        assert measure(round(threshold + 1e-4, 4)) < recall


def test_an_unreachable_recall_is_stated_with_the_best(calibrated, tmp_path):
    path = tmp_path / "gold.conll"
    path.write_text("The DET B-PER\nsea NOUN O\n\nof ADP B-LOC\n\n", encoding="utf-8")
    command = ("evaluate", calibrated, path, "--recall", 0.99)
    values = json.loads(run(*command, "--json")[1])["recall"]["ner"]
    assert values["threshold"] is None
    assert f"no --min-score reaches recall 0.99; the best recall is {values['best']:.4f}" in run(*command)[1]


@pytest.mark.parametrize("value", ["-0.1", "1.5", "nan"])
def test_a_target_recall_out_of_bounds_is_an_error(calibrated, corpus, value):
    error = input_error("evaluate", calibrated, corpus / "dev.conll", f"--recall={value}")
    check(error, "option.value", option="--recall", mentions=value)
