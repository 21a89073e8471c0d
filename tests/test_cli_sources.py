"""Interpretation of the arguments of ``tagger tag``."""

from pathlib import Path

import pytest
from command_line import rows, run, run_error

from tagger import included
from tagger.cli.input import STDIN
from tagger.cli.sources import Source, choose_model, find_sources

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


@pytest.mark.parametrize(
    ("words", "named", "expected"),
    [
        ([], None, ("en", [])),
        ([], "m", ("m", [])),
        (["news"], None, ("news", [])),
        (["news", "letter.txt"], None, ("news", ["letter.txt"])),
        (["news", "letter.txt"], "m", ("m", ["news", "letter.txt"])),
        (["en"], None, ("en", [])),
        (["en", "-"], None, ("en", ["-"])),
        (["letter.txt"], None, ("en", ["letter.txt"])),
        (["letter.txt", "letter.txt"], None, ("en", ["letter.txt", "letter.txt"])),
        (["-", "letter.txt"], None, ("en", ["-", "letter.txt"])),
        ([TEXT], None, ("en", [TEXT])),
        (["Oslo"], None, ("en", ["Oslo"])),
    ],
)
def test_model_argument(words, named, expected):
    assert choose_model(words, named) == expected


def test_files_standard_input_and_texts():
    assert find_sources([], is_text_likely=True) == [Source(STDIN)]
    assert find_sources(["-", "letter.txt"], is_text_likely=True) == [
        Source(STDIN),
        Source(Path("letter.txt")),
    ]
    assert find_sources(["Oslo"], is_text_likely=True) == [Source(Path("text"), "Oslo")]
    for text in (TEXT, "He/she met Otto.", "  a  b//c ", "See example.com now", "a" * 5000 + " b"):
        assert find_sources([text], is_text_likely=False) == [Source(Path("text"), text)]
        assert list(find_sources([text], is_text_likely=False)[0].lines()) == [f"{text}\n"]


@pytest.mark.parametrize(
    "word", ["lettr.txt", "nws/letter", "news/lettr", "news/two words", "/two words", "./Oslo", "Oslo/"]
)
def test_missing_paths_are_not_tagged_as_text(word):
    assert run_error("tag", "-m", "en", word) == f"{word}: there is no such file. Check the path."


def test_command_line_text_is_tagged_like_piped_text(model):
    expected = run("tag", model, stdin=f"{TEXT}\n".encode())
    assert expected[0] == 0
    assert run("tag", TEXT) == run("tag", "-m", "en", TEXT) == run("tag", "--model", model, TEXT) == expected
    assert run("tag", "en", TEXT) == run("tag", TEXT, "-m", "en") == run("tag", model, TEXT) == expected
    assert run("tag", stdin=f"{TEXT}\n".encode()) == run("tag", "-", stdin=f"{TEXT}\n".encode()) == expected
    assert rows(run("tag", "letter.txt")[1]) == rows(expected[1])
    assert rows(run("tag", "-m", "en", "letter.txt")[1]) == rows(expected[1])
    for options in (("--format", "text"), ("--stream",), ("--workers", "2"), ("--pretokenized",)):
        assert run("tag", *options, TEXT) == run("tag", model, *options, stdin=f"{TEXT}\n".encode())
    records = rows(run("tag", "letter.txt", "letter.txt")[1])
    assert [row["document"] for row in records] == ["letter.txt"] * 2


def test_a_single_word_is_tagged_with_a_warning():
    code, output, error = run("tag", "Oslo")
    assert (code, rows(output)[0]["text"]) == (0, "Oslo")
    assert error == "tagger: there is no file or model named 'Oslo'; tagging it as text\n"
    assert run("tag", "-m", "en", "Oslo") == (0, output, "")
    assert run_error("tag", "en", "Oslo") == "Oslo: there is no such file. Check the path."


def test_several_or_unquoted_texts_are_rejected():
    assert run_error("tag", "nws", "letter.txt").startswith(
        "nws: there is no such model or file (packaged models: en). Check the name, or put a text in quotes."
    )
    assert run_error("tag", "Ada", "met", "Otto").endswith("Check the name, or put a text in quotes.")
    assert run_error("tag", "-m", "en", "Ada", "met").startswith(
        "Ada: there is no such file, and a text must"
    )
    assert "a text must be the only input" in run_error("tag", "-m", "en", "letter.txt", TEXT)


def test_text_that_is_not_utf8_is_rejected():
    assert "the text is not UTF-8" in run_error("tag", "Ada met \udcff.")
