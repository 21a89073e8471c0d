"""The progress bar of the commands: when it appears, its content, its removal."""

import io
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from itertools import count
from unittest.mock import patch

import pytest
from command_line import Terminal

from tagger.cli.main import main
from tagger.cli.output import print_message
from tagger.cli.progress_bar import FIRST_SECONDS, NEXT_SECONDS, ProgressBar

SHOWN, CURSOR_SHOWN, ERASED = "\x1b[?25l", "\x1b[?25h", "\x1b[1A\x1b[2K"
SENTENCES = "Ada B-PER\nsang O\n\nIn O\nOslo B-LOC\n\n"


def run_on_terminal(
    *arguments: object, seconds: float = 2.0, has_terminal_output: bool = False
) -> tuple[int, str, str]:
    """Run a command whose standard error is a terminal, with a clock that advances at each call.

    Returns:
        The exit code, standard output and standard error.
    """
    out, err = io.BytesIO(), io.BytesIO()
    output = (Terminal if has_terminal_output else io.TextIOWrapper)(out, encoding="utf-8")
    error = Terminal(err, encoding="utf-8")
    ticks = count(0.0, seconds)
    with (
        patch("tagger.cli.progress_bar.monotonic", lambda: next(ticks)),
        redirect_stdout(output),
        redirect_stderr(error),
    ):
        code = main([str(argument) for argument in arguments])
        output.flush()
        error.flush()
    return code, out.getvalue().decode(), err.getvalue().decode()


@pytest.fixture(autouse=True)
def terminal_type(monkeypatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def corpus_file(tmp_path) -> Iterator[object]:
    path = tmp_path / "a.conll"
    path.write_text(SENTENCES * 10_000)  # several blocks of bytes
    return path


def is_removed(error: str) -> bool:
    """Return True if the last bar was erased and the cursor is visible."""
    return error.count(SHOWN) == error.count(CURSOR_SHOWN) > 0 and ERASED in error.rpartition(CURSOR_SHOWN)[2]


def test_check_shows_the_share_of_the_bytes(corpus_file):
    code, output, error = run_on_terminal("check", corpus_file)
    assert (code, "\x1b" in output) == (0, False)
    shares = [int(share) for share in re.findall(r"(\d+)% of 0\.7 MB", error)]
    assert len(shares) > 10
    assert shares == sorted(shares)
    assert shares[-1] == 100
    assert is_removed(error)


def test_convert_shows_a_bar_if_sentences_do_not_go_to_the_terminal(corpus_file, tmp_path):
    code, _, error = run_on_terminal("convert", corpus_file, tmp_path / "b.jsonl", seconds=0.005)
    assert (code, "100% of" in error, is_removed(error.partition("tagger: ")[0])) == (0, True, True)
    to_standard_output = ("convert", corpus_file, "-", "--to", "jsonl")
    assert "100% of" in run_on_terminal(*to_standard_output, seconds=0.005)[2]
    assert "\x1b" not in run_on_terminal(*to_standard_output, seconds=0.005, has_terminal_output=True)[2]


def test_evaluate_counts_the_tagged_sentences(model, corpus):
    code, _, error = run_on_terminal("evaluate", model, corpus / "dev.conll")
    assert code == 0
    for expected in ("1 of 12 sentences", "12 of 12 sentences", "12 of 12 sentences, pass 2"):
        assert expected in error
    assert is_removed(error)


def test_tag_shows_a_bar_if_sentences_do_not_go_to_the_terminal(model, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("Ada met Otto in Oslo.\n" * 20)
    for options in (("--output", tmp_path / "a.jsonl"), ("--output", tmp_path / "b.jsonl", "--workers", 2)):
        code, output, error = run_on_terminal("tag", "-m", model, path, *options)
        assert (code, output, "100% of" in error, is_removed(error)) == (0, "", True, True)
    code, output, error = run_on_terminal("tag", "-m", model, path, has_terminal_output=True)
    assert (code, "LOC" in output, error) == (0, True, "")


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--pretokenized",), ("--workers", 2)])
def test_tag_shows_the_share_of_the_tagged_text(model, tmp_path, options, monkeypatch):
    """Reading runs ahead, so its share would be 100 % from the start."""
    monkeypatch.setattr("tagger.cli.workers.BLOCK_CHARACTERS", 10_000)
    files = [tmp_path / name for name in ("a.txt", "b.txt")]
    for path in files:
        path.write_text("Ada met Zoë in Oslo.\n\n" * 2_500)
    words = ("tag", "-m", model, *files, "--output", tmp_path / "out", "--format", "jsonl", *options)
    code, _, error = run_on_terminal(*words)
    shares = [int(share) for share in re.findall(r"(\d+)% of", error)]
    assert code == 0
    assert len(set(shares)) > 5
    assert shares[shares.index(0) :] == sorted(shares[shares.index(0) :])
    assert shares[-1] >= 95


def test_nothing_appears_within_the_first_second(corpus_file, tmp_path):
    assert run_on_terminal("check", corpus_file, seconds=0.0)[2] == ""
    error = run_on_terminal("convert", corpus_file, tmp_path / "b.jsonl", seconds=0.0)[2]
    assert "\x1b" not in error


def test_problems_are_printed_above_the_bar(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text((SENTENCES * 2_000 + "Otto X B-PER\n\n") * 5)
    code, output, error = run_on_terminal("check", path, has_terminal_output=True)
    assert (code, output.count("a.conll:")) == (1, 5)
    assert error.count(SHOWN) > 1  # hidden for a problem, and shown again
    assert is_removed(error)


def test_an_error_removes_the_bar_before_it_is_printed(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text(SENTENCES * 10_000 + "Otto X B-PER\n\n")
    code, _, error = run_on_terminal("convert", path, tmp_path / "b.jsonl")
    bar, _, message = error.rpartition("tagger: ")
    assert code == 2
    assert ":60001: " in message
    assert "\x1b" not in message
    assert is_removed(bar)


def test_an_interruption_removes_the_bar(corpus_file):
    ticks = iter([0.0, FIRST_SECONDS, FIRST_SECONDS + NEXT_SECONDS])

    def interrupted() -> float:
        try:
            return next(ticks)
        except StopIteration:
            raise KeyboardInterrupt from None

    err = io.BytesIO()
    stream = Terminal(err, encoding="utf-8")
    with patch("tagger.cli.progress_bar.monotonic", interrupted), redirect_stderr(stream):
        assert main(["check", str(corpus_file)]) == 130
        stream.flush()
    assert is_removed(err.getvalue().decode())


def test_a_message_hides_the_bar_until_the_next_update(monkeypatch):
    err = io.BytesIO()
    stream = Terminal(err, encoding="utf-8")
    ticks = count(0.0, 2.0)
    monkeypatch.setattr("tagger.cli.progress_bar.monotonic", lambda: next(ticks))
    with redirect_stderr(stream), ProgressBar("tagging", []) as bar:
        for number in bar.track(range(1, 4)):
            if number == 3:
                print_message("a note")
    stream.flush()
    before, _, after = err.getvalue().decode().partition("tagger: a note\n")
    assert "2 sentences" in before
    assert is_removed(before)
    assert "3 sentences" in after
    assert is_removed(after)


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_a_terminal_that_cannot_erase_lines_gets_no_bar(corpus_file, monkeypatch, term):
    monkeypatch.setenv("TERM", term)
    assert run_on_terminal("check", corpus_file)[2] == ""


def test_without_a_terminal_rich_progress_is_not_imported(corpus_file, tmp_path):
    code = (
        "import sys; from itertools import count; from tagger.cli import progress_bar; "
        "ticks = count(0, 2); progress_bar.monotonic = lambda: next(ticks); "
        "from tagger.cli.main import main; main(sys.argv[1:]); print('rich.progress' in sys.modules)"
    )
    words = (sys.executable, "-c", code, "convert", str(corpus_file), str(tmp_path / "b.jsonl"))
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "False\n"
    assert "\x1b" not in done.stderr
