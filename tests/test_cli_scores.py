"""``tagger tag --scores`` and ``--n-best``, compared with the API."""

import pytest
from command_line import rows, run

from tagger import Tagger
from tagger.corpus.files import read_sentences

TEXT = "Ada met Otto in Oslo. Then Otto left."


def test_jsonl_scores_and_sequences_agree_with_the_api(model):
    code, output, error = run("tag", "-m", model, "--scores", "--n-best", "3", stdin=TEXT.encode())
    assert (code, error) == (0, "")
    expected = Tagger.load(model).tag(TEXT, n_best=3, scores=True)
    for row, sentence in zip(rows(output), expected, strict=True):
        assert list(row) == ["text", "start", "tokens", "tags", "spans", "scores", "n_best"]
        for task in ("pos", "ner"):
            assert row["scores"][task] == pytest.approx(sentence.tag_scores[task], abs=1e-6)
            result = [(one["tags"], one["probability"]) for one in row["n_best"][task]]
            assert result == [
                (list(one.tags), pytest.approx(one.probability, rel=1e-5))
                for one in sentence.alternatives[task]
            ]
            assert result[0][0] == row["tags"][task]


def test_only_requested_scores_and_tasks_are_written(model):
    plain = rows(run("tag", "-m", model, stdin=TEXT.encode())[1])
    assert all(list(row) == ["text", "start", "tokens", "tags", "spans"] for row in plain)
    assert rows(run("tag", "-m", model, "--n-best", "0", stdin=TEXT.encode())[1]) == plain
    records = rows(
        run("tag", "-m", model, "--task", "pos", "--scores", "--n-best", "2", stdin=TEXT.encode())[1]
    )
    assert all(row["scores"].keys() == row["n_best"].keys() == {"pos"} for row in records)


def test_conll_has_a_score_column_after_each_task(model, tmp_path):
    code, output, _ = run("tag", "-m", model, "--scores", "--format", "conll", stdin=TEXT.encode())
    assert code == 0
    (tmp_path / "out.conll").write_text(output, encoding="utf-8")
    columns = "token,pos,pos-score,ner,ner-score"
    sentences = list(read_sentences(tmp_path / "out.conll", columns=columns))
    for sentence, expected in zip(sentences, Tagger.load(model).tag(TEXT, scores=True), strict=True):
        assert sentence.tokens == expected.tokens
        for task in ("pos", "ner"):
            assert sentence.tags[task] == expected.tags[task]
            scores = [float(score) for score in sentence.tags[f"{task}-score"]]
            assert scores == pytest.approx(expected.tag_scores[task], abs=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--n-best", "-1"), "--n-best must be from 0 to 1000 (got -1). Use such a number.\n"),
        (("--n-best", "1001"), "--n-best must be from 0 to 1000 (got 1001). Use such a number.\n"),
        (("--n-best", "two"), "Invalid value for '--n-best': "),
        (("--n-best", "2", "--format", "conll"), "--n-best needs --format jsonl (got conll). "),
        (("--n-best", "2", "--format", "html"), "--n-best needs --format jsonl (got html). "),
        (("--scores", "--format", "text"), "--scores needs --format jsonl or conll (got text). "),
        (("--scores", "--format", "html"), "--scores needs --format jsonl or conll (got html). "),
    ],
)
def test_unsupported_formats_and_counts_are_rejected(model, options, message):
    code, output, error = run("tag", "-m", model, *options, stdin=TEXT.encode())
    assert (code, output, error.count("\n")) == (2, "", 1)
    assert error.startswith(f"tagger: {message}")
