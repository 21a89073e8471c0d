"""``tagger tag``, compared with the API, the text, and between formats."""

import io
import os
import re
import subprocess
import sys
from contextlib import redirect_stderr
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import pytest
from command_line import rows, run
from hypothesis import given, settings
from hypothesis import strategies as st

from tagger import Tagger
from tagger.cli.formats import SourceText
from tagger.cli.main import main
from tagger.cli.tag import document_names
from tagger.corpus.files import read_sentences
from tagger.text.schemes import SCHEMES, convert_tags

TEXT = (
    "Ada met Otto in Oslo. Then  Otto left\nfor Lima,\tand Ada "
    "<script>alert('Oslo & \"Lima\"')</script> stayed.\r\n"
    "\r\n  Mia saw the sea 🌊 near Oslo! Émile sang.\x00\n\n"
)


def check_offsets(document: str, records: list[dict]) -> None:
    position = 0
    for row in records:
        assert list(row)[:5] == ["text", "start", "tokens", "tags", "spans"]
        assert row.get("starts_document", row["start"] == 0) == (row is records[0])
        assert document[row["start"] : row["start"] + len(row["text"])] == row["text"] != ""
        for token in row["tokens"]:
            assert document[token["start"] : token["end"]] == token["text"] != ""
            assert token["start"] >= position
            position = token["end"]
        for tags in row["tags"].values():
            assert len(tags) == len(row["tokens"])
        for span in row["spans"].get("ner", ()):
            assert list(span) == ["start", "end", "label", "text", "score"]
            assert document[span["start"] : span["end"]] == span["text"] != ""
            assert 0.0 <= span["score"] <= 1.0001


def test_files_are_tagged_as_by_the_api(model, tmp_path):
    (tmp_path / "a.txt").write_bytes(TEXT.encode())
    code, output, error = run("tag", "-m", model, tmp_path / "a.txt", "--format", "jsonl")
    assert (code, error) == (0, "")
    records = rows(output)
    expected = Tagger.load(model).tag(TEXT)
    assert len(records) == len(expected) > 2
    check_offsets(TEXT, records)
    for row, sentence in zip(records, expected, strict=True):
        assert row["text"] == sentence.text
        assert [token["text"] for token in row["tokens"]] == list(sentence.tokens)
        assert [(token["start"], token["end"]) for token in row["tokens"]] == list(sentence.offsets)
        assert row["tags"] == {task: list(tags) for task, tags in sentence.tags.items()}
        spans = [
            (s.start_char, s.end_char, s.label, pytest.approx(s.score, abs=1e-5))
            for s in sentence.spans["ner"]
        ]
        assert [(s["start"], s["end"], s["label"], s["score"]) for s in row["spans"]["ner"]] == spans
    assert any(row["spans"]["ner"] for row in records), "the model predicts no spans, so nothing was tested"
    assert "🌊" in output


def test_standard_input_is_the_default_and_each_file_is_a_document(model, tmp_path):
    code, expected, _ = run("tag", "-m", model, stdin=TEXT.encode())
    assert (code, run("tag", "-m", model, "-", stdin=TEXT.encode())[1]) == (0, expected)
    (tmp_path / "a.txt").write_bytes(TEXT.encode())
    files = (tmp_path / "a.txt", "-", tmp_path / "a.txt")
    records = rows(run("tag", "-m", model, *files, stdin=TEXT.encode())[1])
    count = len(records) // 3
    assert [list(row)[-1] for row in records] == ["document"] * len(records)
    assert [row.pop("document") for row in records] == [
        name for name in ("a.txt", "standard input", "a.txt") for _ in range(count)
    ]
    assert records == 3 * rows(expected)


def test_files_with_equal_names_are_identified_by_path():
    same = [Path("a/x.txt"), Path("-"), Path("b/x.txt")]
    assert document_names(same) == ["a/x.txt", "standard input", "b/x.txt"]
    assert document_names([Path("a/x.txt"), Path("b/y.txt"), Path("a/x.txt")]) == ["x.txt", "y.txt", "x.txt"]


def test_every_text_begins_on_a_new_line(model, tmp_path):
    texts = {"a": "sang", "b": "", "c": "left\n", "d": "saw"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    output = run("tag", "-m", model, "--format", "text", *(tmp_path / name for name in texts))[1]
    assert re.sub(r"\[([^|]*)\|\w+\]", r"\1", output) == "sang\nleft\nsaw"


def test_an_output_file_is_replaced_only_when_complete(model, tmp_path):
    output = tmp_path / "out.jsonl"
    output.write_text("earlier")
    output.chmod(0o640)
    code, _, error = run("tag", "-m", model, "--output", output, stdin=b"Ada sang.\n\nOtto left.\n\n\xff")
    assert (code, error.count("\n")) == (2, 1)
    assert (output.read_text(), list(tmp_path.iterdir())) == ("earlier", [output])
    (tmp_path / "link").symlink_to(output)
    assert run("tag", "-m", model, "--output", tmp_path / "link", stdin=b"Ada sang.") == (0, "", "")
    assert output.read_text(encoding="utf-8") == run("tag", "-m", model, stdin=b"Ada sang.")[1]
    assert output.stat().st_mode & 0o777 == 0o640
    assert {path.name for path in tmp_path.iterdir()} == {"link", "out.jsonl"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device /dev/full")
def test_a_full_device_is_named(model):
    code, _, error = run("tag", "-m", model, "--output", "/dev/full", stdin=b"Ada sang.")
    assert (code, error.count("\n")) == (2, 1)
    assert error.startswith("tagger: /dev/full: cannot be written (No space left on device).")


def test_standard_input_is_read_once(model, tmp_path):
    code, output, error = run("tag", "-m", model, "-", "-", stdin=b"Ada sang.")
    assert (code, output) == (2, "")
    assert "can be read only once" in error
    with patch("sys.stdin", None), redirect_stderr(io.StringIO()) as err:
        assert main(["tag", "-m", str(model)]) == 2
    assert err.getvalue().startswith("tagger: Standard input is closed.")


@pytest.mark.slow
def test_tagging_leaves_no_files_at_home(model, tmp_path):
    # onnxruntime would store an identifier and the usage data that it sends.
    environment = {
        name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")
    }
    code = "import sys, tagger; tagger.Tagger.load(sys.argv[1]).tag('Ada met Otto.'); import onnxruntime"
    subprocess.run(
        [sys.executable, "-c", code, model],
        env={**environment, "HOME": str(tmp_path)},
        check=True,
    )
    assert not list(tmp_path.iterdir())


def test_help_and_completion_list_every_scheme():
    assert set(SCHEMES) <= set(re.findall(r"\w+", run("tag", "--help")[1]))
    words = {
        "_TAGGER_COMPLETE": "complete_bash",
        "COMP_WORDS": "tagger tag -m m --scheme ",
        "COMP_CWORD": "5",
    }
    command = [sys.executable, "-m", "tagger"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **words})
    assert done.stdout.split() == list(SCHEMES)


def test_order_is_kept_over_many_sentences(model):
    lines = [f"Ada met number {number} in Oslo.\n\n" for number in range(1500)]
    records = rows(run("tag", "-m", model, stdin="".join(lines).encode())[1])
    assert [row["tokens"][3]["text"] for row in records] == [str(number) for number in range(1500)]
    check_offsets("".join(lines), records)


WORDS = st.sampled_from(
    ["Ada", "Otto", "Oslo", "Dr.", "U.S.-based", "3.5%", "don't", "naïve", "東京", "e\u0301"]
)
GAPS = st.sampled_from([" ", "  ", "\n", "\r\n", "\n\n", ". ", "! ", ", ", "\t", "\u00a0", "\u2028", "\f"])
TEXTS = st.lists(
    WORDS | GAPS | st.text(st.characters(exclude_categories=["Cs"]), max_size=4), max_size=25
).map("".join)


@pytest.mark.slow
@settings(max_examples=40)
@given(text=TEXTS)
def test_offsets_point_at_the_tokens_of_any_text(model, text):
    code, output, _ = run("tag", "-m", model, "--format", "jsonl", stdin=text.encode())
    assert code == 0
    check_offsets(text, rows(output))


@pytest.mark.slow
@settings(max_examples=40)
@given(text=TEXTS)
def test_offsets_point_at_pretokenized_tokens_of_any_text(model, text):
    code, output, _ = run("tag", "-m", model, "--pretokenized", stdin=text.encode())
    assert code == 0
    found = rows(output)
    check_offsets(text, found)
    lines = [re.findall(r"[^ \t\r\f\v]+", line) for line in text.removeprefix("\ufeff").split("\n")]
    assert [[token["text"] for token in row["tokens"]] for row in found] == [line for line in lines if line]


def test_pretokenized_sentences_are_tagged_as_by_the_api(model):
    sentences = [["Ada", "met", "Otto"], ["Mia", "saw", "U.S.-based", "Lima", "."]]
    text = "  Ada  met\tOtto\r\n\n" + " ".join(sentences[1])
    records = rows(run("tag", "-m", model, "--pretokenized", stdin=text.encode())[1])
    expected = Tagger.load(model).tag_tokens(sentences)
    assert [row["tags"] for row in records] == [
        {task: list(tags) for task, tags in sentence.tags.items()} for sentence in expected
    ]
    assert [row["text"] for row in records] == ["Ada  met\tOtto", "Mia saw U.S.-based Lima ."]


@pytest.mark.parametrize("scheme", ["IOB2", "IOB1", "BIOES"])
def test_conll_has_the_same_tags_as_jsonl(model, tmp_path, scheme):
    records = rows(run("tag", "-m", model, "--scheme", scheme, stdin=TEXT.encode())[1])
    code, output, _ = run("tag", "-m", model, "--scheme", scheme, "--format", "conll", stdin=TEXT.encode())
    assert code == 0
    assert output.endswith("\n\n")
    (tmp_path / "out.conll").write_text(output, encoding="utf-8", newline="")
    again = list(read_sentences(tmp_path / "out.conll", columns="token,pos,ner"))
    assert [list(s.tokens) for s in again] == [[token["text"] for token in row["tokens"]] for row in records]
    assert [{task: list(tags) for task, tags in s.tags.items()} for s in again] == [
        row["tags"] for row in records
    ]
    plain = rows(run("tag", "-m", model, stdin=TEXT.encode())[1])
    for row, other in zip(records, plain, strict=True):
        assert row["tags"]["ner"] == convert_tags(other["tags"]["ner"], "IOB2", scheme)


def test_conll_begins_later_documents_with_docstart(model, tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("Mira sang. Tom left.")
    files = (tmp_path / "a.txt", tmp_path / "b.txt")
    (tmp_path / "out.conll").write_text(run("tag", "-m", model, "--format", "conll", *files)[1])
    sentences = list(read_sentences(tmp_path / "out.conll", columns="token,pos,ner"))
    assert [sentence.starts_document for sentence in sentences] == [True, False, True, False]


def test_only_requested_tasks_are_written(model):
    records = rows(run("tag", "-m", model, "--task", "pos", stdin=TEXT.encode())[1])
    assert all(set(row["tags"]) == {"pos"} and row["spans"] == {} for row in records)


def test_text_keeps_every_character_and_marks_spans(model):
    code, output, _ = run("tag", "-m", model, "--format", "text", stdin=TEXT.encode())
    assert code == 0
    spans = [s for row in rows(run("tag", "-m", model, stdin=TEXT.encode())[1]) for s in row["spans"]["ner"]]
    assert re.findall(r"\[([^|]*)\|(\w+)\]", output) == [(span["text"], span["label"]) for span in spans]
    assert re.sub(r"\[([^|]*)\|\w+\]", r"\1", output) == TEXT


def test_colours_are_for_terminals_unless_requested(model, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = b"Ada met Otto in Oslo."
    assert "\x1b" not in run("tag", "-m", model, "--format", "text", stdin=text)[1]
    coloured = run("tag", "-m", model, "--format", "text", "--color", stdin=text)[1]
    assert run("tag", "-m", model, stdin=text, terminal=True)[1] == coloured
    plain = re.sub(r"\x1b\[[\d;]*m", "", coloured)
    spans = [s for row in rows(run("tag", "-m", model, stdin=text)[1]) for s in row["spans"]["ner"]]
    assert re.sub(" (?:PER|LOC)", "", plain) == text.decode()
    assert all(f"{span['text']} {span['label']}" in plain for span in spans)
    assert coloured != plain
    assert "\x1b" not in run("tag", "-m", model, "--no-color", stdin=text, terminal=True)[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in run("tag", "-m", model, stdin=text, terminal=True)[1]


def test_a_model_without_spans_shows_the_tag_of_each_token(pos_model):
    output = run("tag", "-m", pos_model, "--format", "text", stdin=b"Ada met  Otto.\n")[1]
    tags = rows(run("tag", "-m", pos_model, stdin=b"Ada met  Otto.\n")[1])[0]["tags"]["pos"]
    assert output == "Ada/{} met/{}  Otto/{}./{}\n".format(*tags)
    assert "<ruby>Ada<rt>" in run("tag", "-m", pos_model, "--format", "html", stdin=b"Ada met.")[1]


class Page(HTMLParser):
    """Parser of a page: its document text, marks, and element names."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.marks, self.elements = "", [], set()
        self.path: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)
        if tag not in ("meta",):
            self.path.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("meta",):
            assert self.path.pop() == tag

    def handle_data(self, data):
        if "div" in self.path and self.path[-1] not in ("b", "rt"):
            self.text += data
        elif self.path[-2:] == ["mark", "b"]:
            self.marks.append(data)


def test_html_is_one_escaped_page_with_the_whole_text(model, tmp_path):
    (tmp_path / "<b>.txt").write_bytes(TEXT.encode())
    page = tmp_path / "page.html"
    assert run("tag", "-m", model, tmp_path / "<b>.txt", "--format", "html", "--output", page) == (0, "", "")
    content = page.read_bytes().decode()
    parsed = Page(content)
    assert parsed.text == TEXT.replace("\0", "\ufffd")
    assert not parsed.elements & {"script", "link", "img"}
    assert "<script" not in content
    assert "<h2>&lt;b&gt;.txt</h2>" in content
    assert "url(" not in content
    spans = [s for row in rows(run("tag", "-m", model, stdin=TEXT.encode())[1]) for s in row["spans"]["ner"]]
    assert parsed.marks == [span["label"] for span in spans]
    assert re.findall(r'<li><mark class="h\d+">(\w+)</mark></li>', content) == ["LOC", "PER"]


@pytest.mark.parametrize("text", [b"", b" \n\n\t\n"])
def test_empty_input_gives_empty_output(model, text):
    for format in ("jsonl", "conll"):
        assert run("tag", "-m", model, "--format", format, stdin=text) == (0, "", "")
    assert run("tag", "-m", model, "--format", "text", stdin=text) == (0, text.decode(), "")
    code, page, _ = run("tag", "-m", model, "--format", "html", stdin=text)
    assert (code, Page(page).text) == (0, text.decode())


@pytest.mark.slow
@given(st.lists(st.text(max_size=6)), st.lists(st.integers(0, 40)))
def test_source_text_returns_the_recorded_text(pieces, ends):
    source = SourceText()
    text = "".join(source.record(pieces))
    taken = [source.take(end) for end in sorted(ends)]
    bounds = [0, *sorted(ends)]
    assert taken == [text[a:b] for a, b in pairwise(bounds)]
    assert source.take() == text[bounds[-1] :]
