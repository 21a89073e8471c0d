"""``tagger check``: its lines, exit codes and JSON."""

import json
import os
import re
import subprocess
import sys

import pytest
from command_line import input_error, run
from input_errors import check

GOOD = "Ada NNP B-PER\nsings VBZ O\n\n" * 4
BAD = GOOD + "a NNP I-PER\nb VBZ\n"


@pytest.fixture
def files(write_file):
    return write_file(GOOD, "good.conll"), write_file(BAD, "bad.conll")


def test_problems_come_first(files):
    good, bad = files
    code, output, error = run("check", good, bad)
    assert (code, error) == (1, "")
    lines = output.split("\n")
    assert re.match(rf"{bad}:13: token 0 \('a'\) has the tag 'I-PER', .* \(ner\)\. Correct it\.$", lines[0])
    assert lines[1].startswith(f"{bad}:14: expected 3 columns separated by spaces")
    assert lines[2:4] == ["", str(good)]
    for fact in ("format +conll", "columns +token, pos, ner", "tags of ner +IOB2", "sentences +5, 3 of them"):
        assert re.search(fact, output)
    assert re.search(r"PER[ |]+4[ |]+5\b", output)
    assert f"4 sentences of {bad} (80.0%) also occur in {good}, e.g." in output


def test_exit_codes(files, write_file):
    good, bad = files
    assert run("check", good)[0] == 0
    assert run("check", good, "--strict")[0] == 1, "it repeats sentences"
    assert run("check", write_file("Ada B-PER\n", "one"), "--strict")[0] == 0
    assert run("check", bad, "--json")[0] == 1
    assert run("check", "/nowhere/at.all", good)[0] == 1
    assert run("check", good, "--scheme", "IOB1")[0] == 1
    assert run("check")[0] == 2


@pytest.mark.parametrize(
    ("words", "code", "properties"),
    [
        (["--scheme", "IOB9"], "option.unknown", {"mentions": "'IOB9'"}),
        (["--columns", "a,b"], "corpus.columns", {"option": "--columns", "mentions": "'a,b'"}),
        (["-"], "file.kind", {"file": "-"}),
        (["/dev/null"], "file.kind", {"file": "/dev/null"}),
    ],
)
def test_invalid_options(files, words, code, properties):
    check(input_error("check", files[0], *words), code, **properties)


def test_json_contains_the_whole_report(files, write_file):
    good, bad = files
    other = write_file("Ada NNP B-LOC\nsings VBZ O\n", "other.conll")
    code, output, error = run("check", good, bad, other, "--json")
    report = json.loads(output)
    assert (code, error) == (1, "")
    assert [(one["file"], one["line"]) for one in report["problems"]] == [(str(bad), 13), (str(bad), 14)]
    assert all(one["message"].endswith((".", "it.")) for one in report["problems"])
    facts = report["files"][1]
    assert (facts["file"], facts["sentences"], facts["tokens"], facts["problems"]) == (str(bad), 5, 9, 2)
    assert (facts["columns"], facts["schemes"]) == ("token,pos,ner", {"pos": None, "ner": "IOB2"})
    assert facts["counts"] == {"pos": {"NNP": 5, "VBZ": 4}, "ner": {"PER": 5}}
    assert [one["sentences"] for one in report["shared_sentences"]] == [4, 1, 1]
    assert report["in_one_file_only"] == {"ner": {"LOC": str(other)}}
    (ada,) = report["inconsistent"]["ner"]
    assert (ada["text"], ada["counts"]) == ("Ada", {"PER": 8, "LOC": 1})
    assert ada["places"]["LOC"] == [f"{other}:1"]


def test_json_of_a_file_that_cannot_be_read(tmp_path):
    report = json.loads(run("check", tmp_path / "x", "--json")[1])
    (problem,) = report["problems"]
    assert (problem["file"], problem["line"]) == (str(tmp_path / "x"), None)


def test_long_lines_are_not_wrapped_and_hold_no_line_break(write_file):
    path = write_file("a O\n" + "b\u2028" * 90 + " E-X\nc I-X\nd B-X\n" + "e O\n", "f")
    code, output, _ = run("check", path, "--columns", "token,ner", "--scheme", "IOB2")
    assert code == 1
    problems = [line for line in output.split("\n") if line.startswith(f"{path}:")]
    assert [line.split(":")[1] for line in problems] == ["2", "3"]
    assert len(problems[0]) > 200
    assert len(output.splitlines()) == len(output.split("\n")) - 1


def test_many_tags_are_summed_up(write_file):
    path = write_file("".join(f"w{n} x{n}\n" for n in range(50)), "f")
    assert re.search(r"30 more[ |]+30\b", run("check", path)[1])


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"\x00\xff\xfe", b"\x1f\x8b", b"a\tb c\n\td\n", b"#\n# #\n"]
)
def test_malformed_files_are_reported_in_lines(write_file, content):
    path = write_file(content, "rubbish")
    code, output, error = run("check", path)
    assert error == ""
    assert code == int(output.startswith(str(path)))


@pytest.mark.slow
def test_a_closed_pipe_ends_without_error(write_file):
    path = write_file(GOOD + "a b\n" * 50_000, "f")
    command = [sys.executable, "-m", "tagger", "check", str(path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)
    ) as process:
        assert process.stdout.readline().startswith(f"{path}:".encode())
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_conll2003(corpora):
    path = corpora / "conll2003" / "eng.train"
    code, output, _ = run("check", path)
    assert (code, output.count("which IOB1 does not allow")) == (1, 2)
    assert re.search(r"LOC[ |]+7,140\b", output)
