"""``--min-score`` by label and ``--candidates``, compared with the API."""

import json

import pytest
from command_line import input_error, rows, run
from input_errors import check

from tagger import Tagger
from tagger.corpus.files import read_sentences
from tagger.runtime.model_evaluation import evaluate

TEXT = "Ada met Otto in Oslo. Then Otto left for Lima. Mia saw New Bonn. The ship sang!\n" * 5


@pytest.fixture(scope="module")
def thresholds(model) -> dict[str, float]:
    """Return for each label a threshold that only some of its spans reach."""
    spans = [span for one in Tagger.load(model).tag(TEXT) for span in one.spans["ner"]]
    scores = {label: sorted(span.score for span in spans if span.label == label) for label in ("LOC", "PER")}
    assert all(values[0] < values[len(values) // 2] for values in scores.values())
    return {label: values[len(values) // 2] for label, values in scores.items()}


@pytest.mark.slow
@pytest.mark.parametrize("workers", [(), ("--workers", "2")])
def test_thresholds_by_label_agree_with_filtering(model, thresholds, workers):
    full = rows(run("tag", "-m", model, stdin=TEXT.encode())[1])
    loc, per = thresholds["LOC"], thresholds["PER"]
    for options, min_score in (
        (["--min-score", f"PER={per!r}"], {"PER": per, "LOC": 0.0}),
        (["--min-score", f"{loc!r},PER={per!r}"], thresholds),
        (["--min-score", f"PER={per!r}", "--min-score", f"{loc!r}"], thresholds),
        (["--min-score", "1, LOC=0"], {"PER": 1.0, "LOC": 0.0}),
    ):
        code, output, error = run("tag", "-m", model, *options, *workers, stdin=TEXT.encode())
        assert (code, error) == (0, "")
        expected = [
            [
                (span["start"], span["end"], span["label"])
                for span in row["spans"]["ner"]
                if span["score"] >= round(min_score[span["label"]], 6)
            ]
            for row in full
        ]
        result = [
            [(span["start"], span["end"], span["label"]) for span in row["spans"]["ner"]]
            for row in rows(output)
        ]
        assert result == expected
        assert sum(map(len, result)) < sum(len(row["spans"]["ner"]) for row in full)


def test_evaluate_scores_the_remaining_spans(model, thresholds, corpus, tmp_path):
    words = ("evaluate", model, corpus / "dev.conll", "--json")
    code, output, error = run(*words, "--min-score", f"0.2,PER={thresholds['PER']!r}")
    assert (code, error) == (0, "")
    min_score = {"LOC": 0.2, "PER": thresholds["PER"]}
    assert json.loads(output)["min_score"] == min_score
    gold = list(read_sentences(corpus / "dev.conll", columns="token,pos,ner"))
    assert json.loads(output)["tasks"] == evaluate(Tagger.load(model), gold, min_score=min_score).scores
    picture = tmp_path / "reliability.svg"
    assert run(*words, "--min-score", "PER=0.9", "--reliability", picture)[0] == 0
    assert picture.exists()


@pytest.mark.parametrize(
    ("values", "code", "fragment"),
    [
        (["MISC=0.5"], "corpus.labels", "'MISC'. Its labels are LOC, PER."),
        (["=0.5", "0.6"], "option.conflict", "--min-score must have one value (got 0.5 and 0.6)"),
        (["0.5", "0.5"], "option.conflict", "--min-score must have one value (got 0.5 and 0.5)"),
        (["PER=0.5,PER=0.6"], "option.conflict", "--min-score PER must have one value (got 0.5 and 0.6)"),
        (["PER=1.5"], "option.value", "--min-score PER must be from 0 to 1 (got 1.5)"),
        (["PER=nan"], "option.value", "--min-score PER must be from 0 to 1 (got nan)"),
        (["PER"], "option.type", "(got 'PER')"),
        (["0.5,"], "option.type", "(got '')"),
        (["PER="], "option.type", "(got 'PER=')"),
    ],
)
def test_invalid_thresholds_are_rejected(model, corpus, values, code, fragment):
    options = [word for value in values for word in ("--min-score", value)]
    for command in (["tag", "-m", model], ["evaluate", model, corpus / "dev.conll"]):
        error = input_error(*command, *options)
        assert (error.code, error.option) == (code, "--min-score")
        assert fragment in str(error)


def test_a_model_without_spans_has_no_labels(pos_model):
    error = input_error("tag", "-m", pos_model, "--min-score", "PER=0.5")
    assert (error.code, error.option) == ("corpus.labels", "--min-score")
    assert "'PER'" in str(error)
    error = input_error("tag", "-m", pos_model, "--candidates", "0.5")
    check(error, "option.conflict", option="--candidates", mentions="(got pos)")


@pytest.mark.parametrize("workers", [(), ("--workers", "2")])
def test_jsonl_candidates_agree_with_the_api(model, workers):
    code, output, error = run("tag", "-m", model, "--candidates", "0.05", *workers, stdin=TEXT.encode())
    assert (code, error) == (0, "")
    count = 0
    for row, sentence in zip(rows(output), Tagger.load(model).tag(TEXT, candidates=0.05), strict=True):
        assert list(row) == ["text", "start", "tokens", "tags", "spans", "candidates"]
        assert list(row["candidates"]) == ["ner"]
        assert row["candidates"]["ner"] == [
            {
                "start": span.start_char,
                "end": span.end_char,
                "label": span.label,
                "text": TEXT[span.start_char : span.end_char],
                "score": pytest.approx(span.score, abs=2e-6),
            }
            for span in sentence.candidates["ner"]
        ]
        assert all(span in row["candidates"]["ner"] for span in row["spans"]["ner"] if span["score"] > 0.05)
        count += len(row["candidates"]["ner"]) - len(row["spans"]["ner"])
    assert count > 0


@pytest.mark.parametrize(
    ("options", "code", "fragment"),
    [
        (["0.1", "--format", "conll"], "option.conflict", "(got conll)"),
        (["0.1", "--format", "html"], "option.conflict", "(got html)"),
        (["1.5"], "option.value", "from 0 to 1 (got 1.5)"),
        (["nan"], "option.value", "from 0 to 1 (got nan)"),
        (["0.0001"], "option.value", "at least 0.001 (got 0.0001)"),
    ],
)
def test_invalid_candidate_options_are_rejected(model, options, code, fragment):
    error = input_error("tag", "-m", model, "--candidates", *options)
    check(error, code, option="--candidates", mentions=fragment)


@pytest.mark.parametrize(
    ("options", "option", "fragment"),
    [
        (["--task", "pos"], "--candidates", "(got pos)"),
        (["--stream"], "--stream", "--candidates"),
        (["--stream", "--format", "jsonl"], "--stream", "--candidates"),
    ],
)
def test_options_that_exclude_candidates(model, options, option, fragment):
    error = input_error("tag", "-m", model, "--candidates", "0.1", *options)
    check(error, "option.conflict", option=option, mentions=fragment)
