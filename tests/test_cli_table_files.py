"""``tagger tag --text-column``: tables of texts."""

import csv
import io
import json

import pytest
from command_line import input_error, rows, run
from input_errors import check

from tagger import Tagger
from tagger.runtime import tagged_tables

TEXTS = [
    "Ada met Otto in Oslo.",
    None,
    "",
    "Mia saw the sea\nnear Bonn. Otto sang!",
    "The New Lima ship left",
]


@pytest.fixture
def table(write_file):
    records = [{"id": f"r{number}", "body": text, "n": [number]} for number, text in enumerate(TEXTS)]
    return write_file("".join(json.dumps(record) + "\n" for record in records), "a.jsonl")


@pytest.fixture
def expected(model):
    """Return the spans of each text, from tagging it alone."""
    tagger = Tagger.load(model)
    return [None if text is None else spans_of(tagger, text) for text in TEXTS]


def spans_of(tagger, text, **options):
    return [
        {
            "start": one.start_char,
            "end": one.end_char,
            "label": one.label,
            "score": pytest.approx(one.score, abs=1e-5),
        }
        for sentence in tagger.tag(text, **options)
        for one in sentence.spans["ner"]
    ]


def tag(model, *arguments):
    """Run the command on a table without errors, and return its standard output."""
    code, output, error = run("tag", "-m", model, "--text-column", "body", *arguments)
    assert (code, error) == (0, "")
    return output


def test_rows_keep_their_order_and_columns(model, table, expected):
    assert any(expected)
    found = rows(tag(model, table))
    assert [row.pop("spans") for row in found] == expected
    assert found == rows(table.read_text())


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "tsv", "parquet"])
def test_the_suffix_of_the_output_names_the_format(model, table, expected, tmp_path, suffix):
    output = tmp_path / f"b.{suffix}"
    assert tag(model, table, "--output", output) == ""
    if suffix == "jsonl":
        found = rows(output.read_text())
    elif suffix == "parquet":
        found = pytest.importorskip("pyarrow.parquet").read_table(output).to_pylist()
    else:
        with output.open(newline="", encoding="utf-8") as file:
            found = list(csv.DictReader(file, delimiter="\t" if suffix == "tsv" else ","))
        assert [row["body"] for row in found] == [text or "" for text in TEXTS]
        for row in found:
            row["spans"] = json.loads(row["spans"] or "null")
            row["n"] = json.loads(row["n"])
            row["body"] = TEXTS[row["n"][0]]
    assert [row.pop("spans") for row in found] == expected
    assert found == rows(table.read_text())
    # A table that the command wrote is a table that it reads.
    again = rows(tag(model, output, "--spans-column", "more"))
    nulls = [None, [], []] if suffix in ("csv", "tsv") else [None, None, []]
    assert [row["more"] for row in again if not row["body"]] == nulls[1:]
    assert [row["more"] for row in again if row["body"]] == [
        one for one, text in zip(expected, TEXTS, strict=True) if text
    ]


def test_tasks_and_thresholds(model, table):
    tagger = Tagger.load(model)
    found = rows(tag(model, table, "--task", "pos,ner", "--min-score", "0.9"))
    assert [row["spans_ner"] for row in found if row["body"] is not None] == [
        spans_of(tagger, text, min_score=0.9) for text in TEXTS if text is not None
    ]
    for row, text in zip(found, TEXTS, strict=True):
        assert list(row) == ["id", "body", "n", "spans_pos", "spans_ner"]
        tokens = [text[one["start"] : one["end"]] for one in row["spans_pos"] or ()]
        assert tokens == [token for sentence in tagger.tag(text or "") for token in sentence.tokens]
    only = rows(tag(model, table, "--task", "pos"))
    assert [row["spans"] for row in only] == [row["spans_pos"] for row in found]


def test_rows_that_cannot_be_tagged(model, write_file, tmp_path):
    lines = ['{"id": 1, "body": "Ada sang"}', '{"id": 2, "body": 7}', "{", '{"id": 3, "body": null}']
    path, errors, output = (
        write_file("\n".join(lines), "a.jsonl"),
        tmp_path / "errors.jsonl",
        tmp_path / "b.csv",
    )
    command = ("tag", "-m", model, path, "--text-column", "body", "--output", output)
    code, out, error = run(*command, "--id-column", "id", "--errors", errors)
    assert (code, out) == (1, "")
    assert error == f"tagger: 2 rows were not tagged; {errors} lists the reasons.\n"
    found = list(csv.DictReader(io.StringIO(output.read_text())))
    assert [row["id"] for row in found] == ["1", "3"]
    first, second = rows(errors.read_text())
    assert (first["row"], first["id"], first["code"]) == (2, 2, "corpus.record")
    assert first["error"].startswith(f"{path}:2: ")
    assert (second["row"], second["id"]) == (3, None)
    assert run(*command, "--errors", errors)[0] == 1
    assert [list(row) for row in rows(errors.read_text())] == [["row", "code", "error"]] * 2
    output.write_text("unchanged")
    check(
        input_error(*command), "corpus.record", file=path, line=2, option="--errors", mentions="--errors FILE"
    )
    assert output.read_text() == "unchanged"
    path.write_text(lines[0])
    assert run(*command, "--errors", errors)[0] == 0
    assert errors.read_text() == ""


def test_blocks_do_not_change_the_result(model, table, monkeypatch):
    table.write_text(table.read_text() * 20)
    whole = rows(tag(model, table))
    monkeypatch.setattr(tagged_tables, "BLOCK_ROWS", 3)
    blocks = rows(tag(model, table))
    for row, other in zip(whole, blocks, strict=True):
        for span in other["spans"] or ():
            span["score"] = pytest.approx(span["score"], abs=1e-5)
        assert row == other


@pytest.mark.slow
def test_workers_write_the_same_bytes(model, table, monkeypatch):
    table.write_text(table.read_text() * 400)
    assert tag(model, table, "--workers", 2) == tag(model, table)


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["--scores"], "--scores"),
        (["--format", "jsonl"], "--format"),
        (["--input", "text"], "--input"),
        (["--stream"], "--stream"),
        (["--scheme", "IO"], "--scheme"),
        (["--n-best", "2"], "--n-best"),
        (["--candidates", "0.5"], "--candidates"),
        (["--no-color"], "--color"),
        (["--output", "b.txt"], "--output"),
        (["--output", "b"], "--output"),
    ],
)
def test_options_that_do_not_apply_to_tables(model, table, words, option):
    error = input_error("tag", "-m", model, table, "--text-column", "body", *words)
    assert (error.code, error.option) == (
        "option.value" if option == "--output" else "option.conflict",
        option,
    )


def test_options_that_apply_to_tables_only(model, table):
    for option in ("--id-column", "--spans-column", "--errors"):
        error = input_error("tag", "-m", model, option, "x", "--text", "Ada")
        assert (error.code, error.option) == ("option.conflict", option)
    error = input_error("tag", "-m", model, table)
    check(error, "corpus.format", file=table, option="--text-column", mentions="--text-column")


def test_files_that_are_no_single_table(model, table, tmp_path):
    def error(*words):
        return input_error("tag", "-m", model, "--text-column", "body", *words)

    check(error(table, table), "option.conflict", option="--text-column")
    check(error(), "option.conflict", option="--text-column")
    check(error("--text", "Ada"), "option.conflict", option="--text")
    check(error(table, "--errors", table), "option.conflict", file=table, option="--errors")
    output = tmp_path / "b.jsonl"
    check(
        error(table, "--output", output, "--errors", output),
        "option.conflict",
        file=output,
        option="--errors",
    )
    check(error(table, "--output", table), "option.conflict", file=table, option="--output")
    text = tmp_path / "a.txt"
    text.write_text("Ada")
    check(error(text), "corpus.format", file=text)


def test_an_empty_table(model, write_file):
    assert tag(model, write_file("", "a.jsonl")) == ""
    assert tag(model, write_file("body\n", "a.csv")) == ""
