"""Interpretation of the arguments of ``tagger tag``."""

from pathlib import Path

import pytest
from command_line import input_error, rows, run, run_error
from input_errors import check

from tagger import included
from tagger.cli.input import STDIN
from tagger.cli.sources import Source, find_sources

TEXT = "Ada met Otto in Oslo."


@pytest.fixture(autouse=True)
def package(model, tmp_path, monkeypatch) -> None:
    """Set up a package with one model ``en``, and a working folder with a text and a folder ``news``."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "en").symlink_to(model)
    (tmp_path / "here" / "news").mkdir(parents=True)
    (tmp_path / "here" / "letter.txt").write_text(TEXT)
    monkeypatch.setattr(included, "included_folder", lambda: tmp_path / "package")
    monkeypatch.chdir(tmp_path / "here")


def test_files_standard_input_and_text():
    assert find_sources([], None) == [Source(STDIN)]
    assert find_sources(["-", "letter.txt"], None) == [Source(STDIN), Source(Path("letter.txt"))]
    for text in (TEXT, "letter.txt", "en", "", "He/she met Otto.", "  a  b//c ", "a" * 5000 + " b"):
        (source,) = find_sources([], text)
        assert source == Source(Path("text"), text)
        assert list(source.lines()) == [f"{text}\n"]


@pytest.mark.parametrize(
    "word",
    [
        "lettr.txt",
        "nws/letter",
        "news/two words",
        "/two words",
        "./Oslo",
        "Oslo/",
        "Oslo",
        TEXT,
        "x" * 5000,
        "",
    ],
)
def test_arguments_that_are_no_files_are_never_tagged(word):
    for arguments in ((word,), ("-m", "en", word), ("letter.txt", word)):
        error = input_error("tag", *arguments)
        assert (error.code, error.file, error.option) == ("file.missing", word, "--text")


def test_a_model_among_the_files_is_an_error_that_names_the_option(model):
    for word in ("en", str(model)):
        for arguments in ((word,), (word, "letter.txt"), ("-m", "en", word)):
            error = input_error("tag", *arguments)
            assert (error.code, error.file, error.option) == ("file.kind", word, "--model")
            assert f"-m {word}" in error.message
    error = input_error("tag", "news")
    assert (error.code, error.file, error.option) == ("file.kind", "news", "")


def test_a_file_with_the_name_of_a_model_is_read():
    Path("en").write_text(TEXT)
    assert rows(run("tag", "en")[1]) == rows(run("tag", "letter.txt")[1])


@pytest.mark.slow
def test_command_line_text_is_tagged_like_piped_text(model):
    expected = run("tag", "-m", model, stdin=f"{TEXT}\n".encode())
    assert expected[0] == 0
    for options in ((), ("-m", "en"), ("--model", model)):
        assert run("tag", *options, "--text", TEXT) == expected
    assert run("tag", stdin=f"{TEXT}\n".encode()) == run("tag", "-", stdin=f"{TEXT}\n".encode()) == expected
    assert rows(run("tag", "letter.txt")[1]) == rows(expected[1])
    assert rows(run("tag", "-m", "en", "letter.txt")[1]) == rows(expected[1])
    for options in (("--format", "text"), ("--stream",), ("--workers", "2"), ("--pretokenized",)):
        piped = run("tag", "-m", model, *options, stdin=f"{TEXT}\n".encode())
        assert run("tag", *options, "--text", TEXT) == piped
    records = rows(run("tag", "letter.txt", "letter.txt")[1])
    assert [row["document"] for row in records] == ["letter.txt"] * 2


def test_a_text_is_the_only_input_and_given_once():
    for arguments in (("letter.txt", "--text", TEXT), ("--text", TEXT, "-")):
        error = input_error("tag", *arguments)
        check(error, "option.conflict", option="--text")
    assert run_error("tag", "--text", "a", "--text", "b") == "--text is given twice. Give it once."


def test_a_text_must_be_utf8():
    error = input_error("tag", "--text", "Ada met \udcff.")
    check(error, "corpus.encoding", option="--text")
