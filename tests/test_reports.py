"""Parse pages and pictures and compare them with the evaluation; hostile words and labels."""

import re
import xml.etree.ElementTree as ET
from collections import Counter

import pytest
from error_analysis import NER, POS, WORDS, make_evaluation
from hypothesis import given
from hypothesis import strategies as st
from pages import Page

from tagger.errors import InputError
from tagger.evaluation.confusion import NO_SPAN
from tagger.reports.error_page import errors_page, write_errors
from tagger.reports.marks import AROUND
from tagger.reports.matrix import draw_matrices, matrix_figure
from tagger.reports.page import page_head
from tagger.text.markup import HUES, escape, label_hues


def page_of(evaluation, **names):
    return Page("".join(errors_page(evaluation, **{"model": "m", "file": "f", **names})))


def clean(text: str) -> str:
    return text.replace("\0", "\ufffd").encode(errors="backslashreplace").decode()


@given(st.text(st.characters(exclude_categories=[])))
def test_escaped_text_is_restored_as_text_and_attribute(text):
    page = Page(f'<p title="{escape(text)}">{escape(text)}</p>')
    assert [one["tag"] for one in page.elements] == ["p"]
    assert page.elements[0]["text"] == page.elements[0]["attributes"]["title"] == clean(text)
    escape(text).encode()


def test_the_head_has_language_and_title():
    page = Page(page_head("a </title> b", language="en") + "</body></html>")
    assert page.find("html", lang="en")
    assert page.find("title")[0]["text"] == "a </title> b"
    assert page.find("meta", name="viewport")
    assert page.find("meta", name="color-scheme")


def test_the_page_has_every_sentence_with_its_errors():
    evaluation = make_evaluation(WORDS, {"ner": NER, "pos": POS})
    page = page_of(evaluation)
    articles = {one["attributes"]["id"]: one for one in page.find("article")}
    assert set(articles) == {f"t{task}-s{number}" for task in (0, 1) for number in (1, 2, 3)}
    assert len(page.find("p", class_="gold")) == len(page.find("p", class_="predicted")) == len(articles)
    chips = [one["text"] for one in page.elements if "data-error" in one["attributes"]]
    mistakes = [mistake for task in evaluation.tasks.values() for mistake in task.mistakes]
    assert len(chips) == len(mistakes)
    for chip, mistake in zip(chips, mistakes, strict=True):
        assert mistake.outcome.kind in chip
        assert all(label in chip for label in mistake.outcome.labels if label)
    assert "a:3" in articles["t0-s3"]["text"]
    assert page.find("p", class_="gold")[0]["text"] == "AdaPERmissed saw New LimaLOCwrong borders"
    assert page.find("p", class_="predicted")[0]["text"] == "Ada saw New LimaLOCwrong borders"
    assert page.find("p", class_="predicted")[4]["text"] == "InP LimaV"
    wrong = [one["text"] for one in page.find("mark", class_="tag bad")]
    assert wrong == ["NewA", "NewN", "LimaN", "LimaV", "sangV", "sangN"]


def test_the_matrix_of_the_page_equals_that_of_the_evaluation():
    evaluation = make_evaluation(WORDS, {"ner": NER})
    page = page_of(evaluation)
    table = page.find("table", class_="matrix")[0]
    confusion = evaluation.tasks["ner"].confusion
    rows = [row for row in page.find("tr") if row in page.elements[page.elements.index(table) :]]
    start = page.elements.index(rows[1])
    cells = [one["text"] for one in page.elements[start:] if one["tag"] == "td"]
    counts = [int(cell or 0) for cell in cells[: len(confusion["names"]) ** 2]]
    assert counts == [count for row in confusion["matrix"] for count in row]
    assert [row["text"].removeprefix("gold") for row in rows[:1]] == ["".join(confusion["names"])]
    assert confusion["names"][-1] == NO_SPAN


def test_anchors_exist_and_are_unique():
    page = page_of(make_evaluation(WORDS, {"ner": NER, "pos": POS}))
    ids = Counter(one["attributes"]["id"] for one in page.elements if "id" in one["attributes"])
    assert set(ids.values()) == {1}
    links = [one["attributes"]["href"] for one in page.find("a")]
    assert links
    assert {link.removeprefix("#") for link in links} <= set(ids)


NASTY = [
    "<script>alert(1)</script>",
    "</script>",
    "\"'&amp;",
    "a\0b",
    "\u202eabc",
    "\ud800",
    "-->",
    "]]>",
    "\x1b[31m",
    "x" * 300,
    "‏שלום",
]


@pytest.mark.parametrize("scheme", ["IOB2", None])
def test_words_labels_and_names_are_escaped(tmp_path, scheme):
    prefix = "B-" if scheme else ""
    gold = [[prefix + nasty for nasty in NASTY]]
    predicted = [[gold[0][-1], *gold[0][:-1]]]
    evaluation = make_evaluation([NASTY], {"<i>": (gold, predicted, scheme)}, source="</code><script>x")
    path = tmp_path / "page.html"
    write_errors(evaluation, path, model="</title><script>x", file="\"><img src='x'>")
    content = path.read_bytes().decode()
    page = Page(content)
    assert len(page.find("script")) == 1
    assert not page.find("img")
    assert not page.find("link")
    assert "url(" not in content
    assert "http:" not in content
    assert not re.search(r"\son\w+=", content)
    article = page.find("article")[0]
    assert article["attributes"]["data-text"] == clean(" ".join(NASTY))
    words = [one["text"] for one in page.find("u")][1:]
    assert words == [clean(word) for word in NASTY[1::2]] * 2
    options = {one["text"] for one in page.find("option")}
    assert {clean(nasty) for nasty in NASTY} <= options
    draw_matrices({"$<i>\0": evaluation.tasks["<i>"].confusion}, tmp_path / "a.svg")
    ET.parse(tmp_path / "a.svg")


def test_words_far_from_errors_are_omitted():
    words = [f"w{number}" for number in range(1000)]
    gold = ["O"] * 1000
    predicted = [*gold]
    predicted[500] = "B-X"
    gold[450:480] = predicted[450:480] = ["B-Y", *["I-Y"] * 29]
    page = page_of(make_evaluation([words], {"ner": ([gold], [predicted], "IOB2")}))
    for side in ("gold", "predicted"):
        shown = re.findall(r"w\d+", page.find("p", class_=side)[0]["text"])
        assert shown == words[450 : 501 + AROUND]  # the neighbouring span is not cut
    assert len(page.find("span", class_="gap")) == 4


def test_a_page_without_errors():
    page = page_of(make_evaluation([["Ada"]], {"ner": ([["B-PER"]], [["B-PER"]], "IOB2")}))
    assert not page.find("article")
    assert not page.find("ol")
    assert page.find("table", class_="matrix")
    assert page_of(make_evaluation([], {"ner": ([], [], "IOB2"), "pos": ([], [], None)})).find("h1")


def test_colours_of_labels_are_stable():
    assert len(set(label_hues(["PER", "ORG", "LOC", "MISC"]).values())) == 4
    assert label_hues(["LOC", "PER", "PER"]) == label_hues(["PER", "LOC"])
    many = label_hues(map(str, range(50)))
    assert set(many.values()) == set(HUES)


def test_the_error_names_a_page_that_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match=r"x\.html: cannot be written \(No such file or directory\)"):
        write_errors(make_evaluation(WORDS, {"ner": NER}), tmp_path / "no" / "x.html", model="m", file="f")


# Pictures


def confusion_of(size, count):
    names = [f"L{number}" for number in range(size)]
    matrix = [[count if row == column else row * column % 3 for column in range(size)] for row in range(size)]
    return {"names": names, "matrix": matrix, "kinds": {}, "by_label": {}}


@pytest.mark.slow
@pytest.mark.parametrize(("size", "count"), [(1, 7), (4, 12), (4, 123_456), (17, 3_000), (50, 20_000)])
def test_numbers_are_readable_and_fit_in_their_cells(size, count):
    confusion = confusion_of(size, count)
    figure = matrix_figure({"pos": confusion})
    figure.draw_without_rendering()
    panel = figure.axes[0]
    texts = {tuple(map(int, text.get_position()[::-1])): text for text in panel.texts}
    assert {cell: int(text.get_text()) for cell, text in texts.items()} == {
        (row, column): number
        for row, numbers in enumerate(confusion["matrix"])
        for column, number in enumerate(numbers)
        if number
    }
    corner, next_corner = panel.transData.transform([(0, 0), (1, 1)])
    cell = abs(next_corner - corner)
    for text in texts.values():
        box = text.get_window_extent()
        assert box.width < cell[0]
        assert box.height < cell[1]
        assert text.get_fontsize() >= 6


def test_numbers_contrast_with_the_shades():
    confusion = confusion_of(6, 40)
    panel = matrix_figure({"a": confusion}).axes[0]
    (image,) = panel.images
    colours = image.get_array()
    for text in panel.texts:
        column, row = map(int, text.get_position())
        red, green, blue = (
            ((v + 0.055) / 1.055) ** 2.4 if v > 0.04 else v / 12.92 for v in colours[row, column, :3]
        )
        luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        own = 1.0 if text.get_color() == "white" else 0.0
        contrast = (max(own, luminance) + 0.05) / (min(own, luminance) + 0.05)
        assert contrast >= 4.5  # WCAG 2.1, AA
    assert (colours[0, 1, :3] == 1).all()


@pytest.mark.parametrize(("name", "begin"), [("a.svg", b"<?xml"), ("a.PNG", b"\x89PNG")])
def test_pictures_of_several_tasks(tmp_path, name, begin):
    evaluation = make_evaluation(WORDS, {"ner": NER, "pos": POS})
    empty = make_evaluation([], {"pos": ([], [], None)}).tasks["pos"].confusion
    confusions = {task: one.confusion for task, one in evaluation.tasks.items()}
    draw_matrices(confusions | {"empty": empty}, tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(begin)
    assert [path.name for path in tmp_path.iterdir()] == [name]
