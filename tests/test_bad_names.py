"""Escape sequences in names of tasks, labels, files and models never reach a terminal."""

import re
import shutil
from pathlib import Path

import pytest
from command_line import OPTIONS, run

ESCAPE = "\x1b[2J\x1b]0;x\x07\x9b1m"  # clears a terminal and sets its title
LABEL, TASK, FILE = f"P{ESCAPE}[red]", f"n{ESCAPE}[bold]$", f"t{ESCAPE}[red].conll"
# Escape sequences that a command may print: the colours of rich and of the text format.
STYLE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def hostile(folder: Path, drawn_curves: None) -> Path:
    """Return a folder with a corpus and a model that have hostile names."""
    lines = [f"Ada{ESCAPE} B-{LABEL}", "met O", "Otto B-PER", "", "Mia B-PER", "sang O", ""]
    (folder / FILE).write_text("\n".join(lines * 10), encoding="utf-8")
    words = ("train", *OPTIONS, "--train", folder / FILE, "--dev", folder / FILE)
    columns = ("--columns", f"token,{TASK}", "--task", TASK)
    code, output, error = run(*words, *columns, "--output", folder / f"m{ESCAPE}", encoding="utf-8")
    assert code == 0, error
    assert is_safe(output + error)
    return folder


def is_safe(output: str) -> bool:
    """Return True if the output has no control characters except line ends."""
    return all(line.isprintable() for line in output.split("\n"))


@pytest.mark.slow
def test_tables_and_messages_contain_no_escape_sequences(hostile):
    model, file, missing = hostile / f"m{ESCAPE}", hostile / FILE, f"missing{ESCAPE}"
    shutil.copyfile(file, hostile / f"b{ESCAPE}.conll")
    columns = ("--columns", f"token,{TASK}")
    pictures = (
        "--picture",
        hostile / "c.svg",
        "--reliability",
        hostile / "r.svg",
        "--errors",
        hostile / "e.html",
    )
    for words, expected in (
        (("info", model), 0),
        (("info", model, "--json"), 0),
        (("evaluate", model, file, *pictures), 0),
        (("evaluate", model, missing), 2),
        (("check", file, hostile / f"b{ESCAPE}.conll", *columns), 0),
        (("convert", file, hostile / "out.conll", *columns), 0),
        (("shrink", model, hostile / f"s{ESCAPE}"), 0),
        (("shrink", model, hostile / "s", "--precision", ESCAPE), 2),
        (("tag", "-m", missing, "--text", "Ada"), 2),
        (("tag", "-m", model, "--text", missing), 0),
        (("tag", "-m", model, "--task", ESCAPE, "--text", "Ada"), 2),
        (("tag", "-m", model, "--scheme", ESCAPE, "--text", "Ada"), 2),
        (("tag", f"--{ESCAPE}"), 2),
        ((f"ta{ESCAPE}",), 2),
    ):
        code, output, error = run(*words, encoding="utf-8")
        assert code == expected, (words, error)
        assert is_safe(error), words
        assert words[0] == "tag" or is_safe(output), words
    for name in ("c.svg", "r.svg", f"m{ESCAPE}/learning_curves.svg", f"m{ESCAPE}/README.md"):
        assert "\x1b" not in (hostile / name).read_text(encoding="utf-8"), name


def test_text_on_a_terminal_keeps_lines_without_control_characters(hostile, tmp_path):
    (tmp_path / "a.txt").write_text(f"Ada{ESCAPE}\tmet\r\nOtto.\rMia\n", encoding="utf-8")
    for colour in ("--color", "--no-color"):
        words = ("tag", "-m", hostile / f"m{ESCAPE}", tmp_path / "a.txt", colour)
        code, output, _ = run(*words, terminal=True, encoding="utf-8")
        plain = STYLE.sub("", output)
        assert code == 0
        assert set(re.findall(r"[\x00-\x1f\x7f-\x9f]", plain)) <= {"\t", "\r", "\n"}
        assert plain.count("\r") == plain.count("\r\n") == 1


def test_output_data_is_unchanged(hostile, tmp_path):
    model, text = hostile / f"m{ESCAPE}", f"Ada{ESCAPE}"
    assert (
        ESCAPE in run("tag", "-m", model, "--format", "conll", "--text", f"{text} met", encoding="utf-8")[1]
    )
    output = run("tag", "-m", model, "--format", "text", "--text", f"{text} met", encoding="utf-8")[1]
    assert output.replace("|PER]", "").startswith("[Ada\x1b")
