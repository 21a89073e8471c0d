"""Texts with unusual characters: no text is lost, and every output format can be read back."""

import io
import json
import re
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import pytest
from command_line import rows, run
from hypothesis import given, settings
from hypothesis import strategies as st

from tagger import Tagger
from tagger.cli.formats import FORMATS, Document
from tagger.corpus.conll import read_conll
from tagger.errors import raise_error
from tagger.runtime.options import TagOptions

TEXTS = {
    "nothing": "",
    "NUL": "Ada\0 met\0Otto \0\0",
    "controls": "Ada \x01\x02 met \x1b[31mOtto\x1b[0m \x7f\x9b",
    "Hebrew and Arabic": "עדה פגשה את אוטו ב-Oslo. التقى Otto بـ Ada.",
    "overrides": "\u202eAda\u202c met \u202dOtto\u202c \u2067in\u2069 Oslo. \u202e never closed",
    "combining marks": "E\u0301mile met A\u0308\u0301\u0316da \u0301 \u20dd. "
    + "o\u0301" * 70
    + " Z"
    + "\u0335" * 300,
    "joiners": "👩\u200d👩\u200d👧 Ada\u200dOtto \u200d \u200c\u200b met न\u094d\u200dष",
    "variation selectors": "☺\ufe0f Ada ☺\ufe0e #\ufe0f\u20e3 👍🏽 🇳🇴",
    "byte order marks": "\ufeffAda \ufeff met\ufeff Otto.\n\ufeff\n\ufeffOslo",
    "two byte order marks": "\ufeff\ufeffAda met Otto",
    "one byte order mark": "\ufeff",
    "separators": "Ada\u2028met\u2029Otto\u0085in\u00a0Oslo\u3000.",
    "form feeds": "Ada\fmet\vOtto\x1cin\x1dOslo\x1e.\x1f",
    "line ends": "Ada\rmet\r\nOtto\n\rin\r\r\nOslo",
    "white space": " \t\r\n\f\v\u00a0\u2003\u3000\n\n ",
    "invisible": "\u200b\u200c\u2060\u00ad\u180e\u2063 \u200b",
    "noncharacters": "\ufffe Ada \uffff\U0001fffe\U0010ffff \ufffd \ue000 \U000f0000",
    "long word": "A" * 20_000 + " met " + "ß" * 70,
    "long German capitals": "İ" * 100 + " ŉ ǰ ΐ ß ﬃ Ǆ",
    "markup": "</div></article><script>alert(1)</script> <!-- Ada &amp; &#0; &lt; \"Otto\" 'Oslo' ]]> <b",
    "brackets": "[Ada|PER] met Otto|PER] \\[Oslo",
    "comments": "# id = Ada\n\n# text = Otto\n\n#begin document Oslo",
    "columns": "Ada PER B-PER\tOtto _ O",
}
NAMES = ("jsonl", "conll", "text", "html")


class Page(HTMLParser):
    """Parser of a page: its document text, labels and elements; fails if elements are not nested."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.document, self.title, self.elements = "", "", set()
        self.labels, self.attributes = [], []
        self.path: list[tuple[str, dict]] = []
        self.feed(page)
        self.close()
        assert self.path == []

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)
        self.attributes += [value for name, value in attrs if name == "aria-label"]
        if tag != "meta":
            self.path.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.path.pop()[0] == tag

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data}")

    def handle_data(self, data):
        if not self.path:
            return
        if ("div", {"class": "text"}) in self.path and self.path[-1][0] not in ("b", "rt"):
            self.document += data
        elif self.path[-1][0] == "h2":
            self.title += data
        elif [tag for tag, _ in self.path[-2:]] == ["li", "mark"]:
            self.labels.append(data)


def check_page(page: str, text: str) -> None:
    parsed = Page(page)
    assert parsed.document == text.replace("\0", "\ufffd")
    known = {"html", "head", "meta", "title", "style", "body", "ul", "li", "mark", "b", "ruby", "rt"}
    assert parsed.elements <= known | {"article", "h2", "div"}


def check(model: Path, text: str, folder: Path, *options: str) -> None:
    """Compare all formats with the text, and with each other."""
    given = text.encode()
    output = {}
    for name in NAMES:
        code, output[name], error = run("tag", "-m", model, "--format", name, *options, stdin=given)
        notes = [line for line in error.splitlines() if "dropped a byte order mark" not in line]
        assert (code, notes) == (0, []), name
    records = rows(output["jsonl"])
    for row in records:
        for token in row["tokens"]:
            assert text[token["start"] : token["end"]] == token["text"] != ""
        for span in row["spans"]["ner"]:
            assert text[span["start"] : span["end"]] == span["text"]
    if not options:
        covered = {
            i for row in records for token in row["tokens"] for i in range(token["start"], token["end"])
        }
        lost = {text[i] for i in range(len(text)) if i not in covered}
        # Only white space, control and format characters may be outside tokens.
        assert all(char.isspace() or unicodedata.category(char) in ("Cc", "Cf") for char in lost), lost
    path = folder / "out.conll"
    path.write_bytes(output["conll"].encode())
    again = list(read_conll(path, columns="token,pos,ner")) if records else []
    assert [list(sentence.tokens) for sentence in again] == [
        [token["text"] for token in row["tokens"]] for row in records
    ]
    assert [{task: list(tags) for task, tags in sentence.tags.items()} for sentence in again] == [
        row["tags"] for row in records
    ]
    marks = [(span["text"], span["label"]) for row in records for span in row["spans"]["ner"]]
    rest = output["text"]
    for marked, label in marks:
        _, shown, rest = rest.partition(f"[{marked}|{label}]")
        assert shown
    pattern = "|".join(re.escape(f"[{marked}|{label}]") for marked, label in marks)
    plain = (
        re.sub(pattern, lambda one: one[0][1:].rpartition("|")[0], output["text"])
        if marks
        else output["text"]
    )
    assert plain == text
    check_page(output["html"], text)


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXTS)
def test_every_format_supports_unusual_text(model, tmp_path, name):
    check(model, TEXTS[name], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TEXTS if name != "brackets"])
def test_every_format_supports_unusual_tokens(model, tmp_path, name):
    check(model, TEXTS[name], tmp_path, "--pretokenized")


UNUSUAL = st.sampled_from(
    [*"\0\r\n\f\x1c\u0085\u2028\u200b\u200d\u202e\u2067\ufeff\u0301<&\"'# \t", "Ada", "Oslo"]
)


@pytest.mark.slow
@settings(max_examples=20)
@given(text=st.lists(UNUSUAL | st.characters(exclude_categories=["Cs"]), max_size=30).map("".join))
def test_every_format_supports_any_text(model, folder, text):
    check(model, text.replace("[", "("), folder)


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("--workers", 2), ("--stream",)], ids=str)
def test_borders_and_byte_order_marks_among_ready_tokens(model, capfd, more):
    """Joined files: each but the first begins with a mark, and documents with a border."""
    text = "Ada sings\n\n\ufeff-DOCSTART- -X- O\n\n\ufeffMia sees O -X-\n\n-DOCSTART-\n\nOtto sings\n"
    options = ("tag", "-m", model, "--pretokenized", "--format", "conll", *more)
    code, output, error = run(*options, stdin=text.encode())
    tokens = [line.split(" ")[0] for line in output.splitlines() if not line.startswith("-DOCSTART-")]
    assert code == 0
    assert " ".join(filter(None, tokens)) == "Ada sings Mia sees O -X- Otto sings"
    error += capfd.readouterr().err  # of the workers
    assert error.count("dropped a byte order mark before '-DOCSTART-") == 1
    assert error.count("dropped a byte order mark before 'Mia") == 1
    assert len(error.splitlines()) == 2


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_sentences_that_start_with_docstart_are_rejected_in_conll(model, workers):
    """The other sentences are written; a border line with fillers starts a document."""
    stdin = b"Ada sings\n-DOCSTART- Ada\n-DOCSTART- -X- O\nAda -DOCSTART-\nOtto sings\n"
    words = ("tag", "-m", model, "--format", "conll", "--pretokenized", "--workers", workers)
    code, output, error = run(*words, stdin=stdin)
    assert code == 2
    tokens = [line.split(" ")[0] for line in output.splitlines()]
    assert tokens == ["Ada", "sings", "", "Otto", "sings", ""]
    assert "the line '-DOCSTART- " in error
    assert error.rstrip().endswith("Leave the sentence out or write another format.")


@pytest.mark.parametrize("text", ["\ud800", "Ada \udfff met\udcff Otto", "\udc80\ud83d", "\ud83d\ude00 Ada"])
def test_lone_surrogates_are_tagged_and_written_as_escapes(model, tmp_path, text):
    tagger = Tagger.load(model)
    sentences = tagger.tag(text)
    assert [text[start:end] for one in sentences for start, end in one.offsets] == [
        t for one in sentences for t in one.tokens
    ]
    assert tagger.tag_tokens([text.split()])[0].tokens == tuple(text.split())
    by_name = {task.name: task for task in tagger.tasks}
    options = TagOptions(tasks=(by_name["pos"], by_name["ner"]))
    for name in NAMES:
        documents = [Document(name, [text]) for name in ("a\udcff", "b")]
        pieces = "".join(
            FORMATS[name].write(
                documents,
                lambda lines: tagger.tag_sentences(tagger.tokenizer("".join(lines))),
                options,
                raise_error,
            )
        )
        written = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace", newline="")
        written.write(pieces)
        written.flush()
        content = written.buffer.getvalue().decode("utf-8")
        if name == "jsonl":  # JSON reads the escapes
            assert {row["document"] for row in rows(content)} == {"a\udcff", "b"}
            # JSON readers join a surrogate pair into one character.
            assert {row["text"] for row in rows(content)} == {
                json.loads(json.dumps(one.text)) for one in sentences
            }
        elif name == "html":
            assert Page(content).title == "a\\udcffb"
        escaped = "".join(re.findall(r"[\ud800-\udfff]", text)).encode("ascii", "backslashreplace").decode()
        assert escaped[:6] in content


# HTML


@pytest.mark.slow
def test_html_escapes_names_labels_and_words(tmp_path):
    bad = "<img src=x onerror='alert(1)'>&\"\u202e"
    lines = f"{bad.replace(' ', '')} B-{bad.replace(' ', '/')}\nsang O\n\n" * 4
    (tmp_path / "train.conll").write_text(lines)
    task = "<b>'\"&"
    words = ("--task", task, "--columns", f"token,{task}", "--epochs", "1", "--set", "model.hidden_size=4")
    code, _, error = run("train", "--train", tmp_path / "train.conll", "--output", tmp_path / "model", *words)
    assert (code, error) == (0, "")
    text = tmp_path / f"{bad.replace('/', '')}.txt"
    text.write_text(f"{bad} sang")
    code, page, error = run("tag", "-m", tmp_path / "model", text, "--format", "html", "--pretokenized")
    assert (code, error) == (0, "")
    parsed = Page(page)
    assert parsed.title == text.name
    assert parsed.document == f"{bad} sang"
    assert not parsed.elements & {"img", "script"}
    assert "<img" not in page
    assert parsed.labels == [bad.replace(" ", "/")]
    assert parsed.attributes == [f"Labels of {task}"]


def test_bidirectional_text_cannot_reorder_the_page(model):
    """Blocks limit bidirectional overrides; within a block, labels are isolated from the text."""
    text = "\u202eAda met Otto\u2067 in Oslo"
    page = run("tag", "-m", model, "--format", "html", stdin=text.encode())[1]
    rules = re.findall(r"([^{}]+)\{([^{}]*)\}", page.partition("</style>")[0])
    ways = {
        selector.strip(): declarations.partition("unicode-bidi:")[2]
        for selectors, declarations in rules
        if "unicode-bidi:" in declarations
        for selector in selectors.split(",")
    }
    blocks = dict.fromkeys(("h2", ".text", ".legend li"), "plaintext")
    assert ways == {**blocks, "mark b": "isolate", "rt": "isolate"}
    assert re.search(r'<mark class="h\d+">[^<]*<b>\w+</b></mark>', page)
    check_page(page, text)


# Nothing


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--pretokenized",)])
@pytest.mark.parametrize("text", ["", "\n", "\n\n \n\t\r\n" * 40])
def test_empty_input_gives_empty_output(model, tmp_path, text, options):
    (tmp_path / "in.txt").write_text(text, newline="")
    for source in (("-",), (tmp_path / "in.txt",), (tmp_path / "in.txt", tmp_path / "in.txt")):
        whole = text * len(source)
        for name, expected in (("jsonl", ""), ("conll", ""), ("text", whole)):
            given = ("tag", "-m", model, *source, "--format", name, *options)
            assert run(*given, stdin=text.encode()) == (0, expected, ""), name
            assert run(*given, "--output", tmp_path / "out", stdin=text.encode()) == (0, "", "")
            assert (tmp_path / "out").read_bytes().decode() == expected
        code, page, error = run(
            "tag", "-m", model, *source, "--format", "html", *options, stdin=text.encode()
        )
        assert (code, error) == (0, "")
        check_page(page, whole)
    assert json.loads(run("info", model, "--json")[1])["tasks"]
