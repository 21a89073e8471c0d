"""Annotations of other tools on the command line: offsets, numeric tags, and labels with spaces."""

import json

import pytest
from command_line import OPTIONS, run, run_error

from tagger.corpus.detection import detect
from tagger.corpus.files import FORMATS
from tagger.corpus.reading import Reading

TEXT = "😀 我在成都见到王芳了"
RECORD = {"text": TEXT, "label": [[5, 7, "LOC"], [9, 11, "PER"]]}
ROWS = '{"tokens": ["Ana", "left"], "tags": [1, 0]}\n{"tokens": ["Bo"], "tags": [1]}\n'
TABLE = "Ana\tB-full name\nSilva\tI-full name\nleft\tO\n\nOslo\tB-place\ngrows\tO\n\n" * 8


def test_offsets_are_read_and_written_in_the_requested_unit(write_file):
    path = write_file(json.dumps(RECORD), "a.jsonl")
    code, output, _ = run("convert", path, "-", "--to", "doccano", "--offsets", "utf16")
    assert (code, json.loads(output)["label"]) == (0, [[4, 6, "LOC"], [8, 10, "PER"]])
    ways = ("--offsets", "utf16", "--offsets-out", "utf16")
    assert json.loads(run("convert", path, "-", "--to", "doccano", *ways)[1]) == RECORD
    code, output, error = run("convert", path, "-", "--to", "doccano")
    assert (code, json.loads(output)) == (0, RECORD)
    assert "Set the unit with --offsets characters or utf16" in error


@pytest.mark.parametrize("format", ["jsonl", "conll", "conllu", "csv", "datasets"])
def test_formats_without_offsets_reject_other_units(write_file, tmp_path, format):
    path = write_file(json.dumps(RECORD), "a.jsonl")
    message = run_error("convert", path, tmp_path / "out", "--to", format, "--offsets-out", "utf16")
    assert message.startswith(f"The format {format} has no offsets in UTF-16 code units")
    assert not (tmp_path / "out").exists()


def test_an_unknown_unit_is_rejected(write_file, model):
    path = write_file(json.dumps(RECORD), "a.jsonl")
    for arguments in (("convert", path, "-", "--to", "doccano"), ("check", path), ("evaluate", model, path)):
        message = run_error(*arguments, "--offsets", "utf-16")
        assert "'--offsets': 'utf-16' is not one of 'auto', 'characters', 'utf16', 'bytes'" in message
        assert "must be different and not empty" in run_error(*arguments, "--label-names", "O,O")


def test_numeric_tags_need_names(write_file):
    path = write_file(ROWS, "a.json")
    assert "has integer tags without names" in run_error("convert", path, "-", "--to", "conll")
    code, output, _ = run("check", path)
    assert (code, "--label-names" in output) == (1, True)
    names = ("--label-names", "O,B-PER")
    code, output, _ = run("convert", path, "-", "--to", "csv", *names)
    assert (code, output.splitlines()[1:3]) == (0, ["1,1,Ana,B-PER,", "1,1,left,O,"])
    assert run("check", path, *names)[0] == 0


def test_numeric_tags_are_trained_and_evaluated_by_name(write_file, tmp_path):
    path = write_file(ROWS * 4, "a.jsonl")
    out = tmp_path / "m"
    common = ("--train", path, *OPTIONS, "--epochs", "1", "--output", out)
    assert "has integer tags" in run_error("train", *common)
    assert run("train", *common, "--set", "data.label_names=O,B-PER")[0] == 0
    code, output, _ = run("evaluate", out, path)
    assert code == 0
    assert "PER" in output


@pytest.fixture(scope="module")
def spaced_model(tmp_path_factory):
    """Return a model whose labels contain spaces."""
    folder = tmp_path_factory.mktemp("spaces")
    (folder / "train.conll").write_text(TABLE, encoding="utf-8")
    ways = ("--columns", "token,ner", "--epochs", "8", "--output", folder / "m")
    assert run("train", "--train", folder / "train.conll", *OPTIONS, *ways)[0] == 0
    return folder / "m"


@pytest.mark.parametrize("more", [(), ("--scores",), ("--stream",), ("--scheme", "BIOES")])
def test_labels_with_spaces_are_written_in_readable_columns(spaced_model, write_file, more):
    code, output, _ = run(
        "tag", "-m", spaced_model, "-", "--format", "conll", *more, stdin=b"Ana Silva left Oslo ."
    )
    assert code == 0
    columns = "token,ner,score" if "--scores" in more else "token,ner"
    (sentence,) = detect(write_file(output, "a.conll"), columns=columns).read(Reading())
    assert sentence.tokens == ("Ana", "Silva", "left", "Oslo", ".")
    assert all(line.count("\t") == columns.count(",") for line in output.splitlines() if line)
    assert "-full name" in output


@pytest.mark.parametrize("format", FORMATS)
def test_labels_with_spaces_survive_every_format(write_file, tmp_path, format):
    path = write_file(TABLE, "a.conll")
    there, back = tmp_path / "there", tmp_path / "back.conll"
    assert run("convert", path, there, "--to", format)[0] == 0
    assert run("convert", there, back, "--from", format, "--task", "ner")[0] == 0
    tags = [
        line.partition("\t")[2]
        for line in back.read_text(encoding="utf-8").splitlines()
        if line and not line.startswith(("#", "-DOCSTART-"))
    ]
    assert tags == [line.partition("\t")[2] for line in TABLE.splitlines() if line]
