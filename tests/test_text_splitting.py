"""Sentence boundaries, hard-wrapped text, and streams of long documents."""

import random
import textwrap
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagger.text.documents import stream_sentences
from tagger.text.sentence import Sentence
from tagger.text.splitting import sentence_ranges
from tagger.text.tokenizer import Tokenizer, align

tokenize = Tokenizer().tokenize


def split(text: str, newlines: str = "wrapped") -> list[str]:
    return [" ".join(text[start:end].split()) for start, end in sentence_ranges(text, newlines=newlines)]


@pytest.mark.parametrize(
    "text",
    [
        "It rained.|We left!|Did you?|No.",
        "Mr. and Mrs. Hall met Dr. Lee in St. Paul.|They talked.",
        "He joined Acme Inc. last year.|Then he left Acme Inc.|He is happy.",
        "She moved to the U.S. in May.|She likes the U.S.|It is big.",
        "The U.S. Senate voted at 5 p.m. Tuesday.|The vote was close.",
        "Prices rose by approx. five per cent, i.e. a lot, e.g. for No. 7 and fig. 3.|Why?",
        "A book by J. K. Hall and S. J. Perez.|It sold well.",
        "“Come in.”|“Thank you,” she said.|(He smiled.)|[They sat down.]",
        '"Really?" he asked.|"Yes!" she cried.|"Go home."|He went.',
        "Well ... perhaps not… or so.|Wait...|What?!|Never!!!",
        "1. Buy milk.|2. Call Ann.|(3) Sell it.",
        "It cost 3.50 at example.com or in config.toml today.|Fine.",
        "See http://example.org/a.html?b=C.D for more.|Thanks :)|Great! :-) 👍|See you.",
        "这是一句话。|这是第二句！|“第三句？”|完",
        "यह एक वाक्य है।|यह दूसरा है।",
        "Is this it?|Yes, it is.|He came.|Then he left.",
    ],
)
def test_marks(text: str) -> None:
    expected = text.split("|")
    joint = "" if "。" in text else " "
    assert split(joint.join(expected)) == expected


def test_missing_space() -> None:
    assert split("He left.Then she came.") == ["He left.", "Then she came."]
    assert split("See www.Example.Com now.") == ["See www.Example.Com now."]


@pytest.mark.parametrize("gap", ["\n\n", "\n \t\n", "\r\n\r\n", "\r\r", "\n\n\n  ", "\u2029", "\n\f\n"])
@pytest.mark.parametrize("newlines", ["wrapped", "boundary", "space"])
def test_blank_lines_are_boundaries(gap: str, newlines: str) -> None:
    assert split(f"and so the{gap}story goes on", newlines) == ["and so the", "story goes on"]


def test_newlines() -> None:
    text = "One day\r\nit rained. We\nleft."
    assert split(text, "boundary") == ["One day", "it rained.", "We", "left."]
    assert split(text, "space") == ["One day it rained.", "We left."]


def test_lists_and_headlines() -> None:
    lines = [
        "Milk and a loaf of bread",
        "Three bottles of the cheapest wine that they have in the shop",
        "Eggs",
    ]
    assert split("\n".join([*lines, "Coffee beans", "Tea"])) == [*lines, "Coffee beans", "Tea"]
    story = (
        "The council of the town met on Monday to talk about the bridge, which is closed. It will stay so."
    )
    expected = ["Bridge Closed Again", story[: story.index(" It")], "It will stay so."]
    for width in (50, 60, 72):
        assert split("Bridge Closed Again\n" + textwrap.fill(story, width)) == expected


SENTENCES = [
    "The old ferry left the harbour at dawn with forty people and two cows on board.",
    "Nobody had asked Mr. Lund, the pilot, whether the fog would lift before noon.",
    "Why should they?",
    "He had steered her for thirty years, and the harbour master trusted him.",
    "“Slow ahead,” he said, and the engine answered with a cough.",
    "Then everything was still.",
    "Somewhere to the left a bell rang twice, once, and twice again!",
    "On the quay stood Marie Holm, who owned the ferry, the cows and most of the people.",
]


@given(st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=12), st.integers(45, 120))
def test_wrapping_changes_nothing(sentences: list[str], width: int) -> None:
    paragraph = " ".join(sentences)
    for end in ("\n", "\r\n"):
        wrapped = textwrap.fill(paragraph, width, break_on_hyphens=False).replace("\n", end)
        assert split(wrapped + end) == split(paragraph) == sentences


def test_wrapping_of_long_paragraphs_depends_on_nearby_lines() -> None:
    narrow = textwrap.fill(" ".join(SENTENCES * 10), 60)
    wide = textwrap.fill(" ".join(SENTENCES * 10), 100)
    assert split(narrow + "\n" + wide).count(SENTENCES[0]) == 20
    listed = "\n".join(
        ["Eggs", "Milk, if there is any", "Bread from the shop on the corner of the square"] * 20
    )
    assert split(listed) == listed.split("\n")


# Streams.


def cut_up(text: str, seed: int) -> list[str]:
    """Split a text at random positions."""
    positions = sorted(random.Random(seed).choices(range(len(text) + 1), k=20))
    return [text[a:b] for a, b in zip([0, *positions], [*positions, len(text)], strict=True)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("joint", ["\n\n", " ", "\n"])
def test_stream_equals_whole(joint: str, seed: int) -> None:
    choice = random.Random(seed).choices(SENTENCES, k=400)
    text = joint.join(choice)
    if joint == "\n":
        text = textwrap.fill(text, 70)
    window = 16_384 if joint == "\n" else 2_048
    whole = tokenize(text)
    assert len(text) > window
    for pieces in (text.splitlines(keepends=True), [text], cut_up(text, seed)):
        assert list(stream_sentences(pieces, tokenize, window=window)) == whole


def test_stream_of_one_long_line() -> None:
    text = " ".join(random.Random(1).choices(SENTENCES, k=4000))
    assert list(stream_sentences([text], tokenize)) == tokenize(text)


@settings(max_examples=30)
@given(
    st.sampled_from(
        ["a", "a ", "(", "a. ", "B.\n", ". ", "中", "\n", "\r\n", "\x00", "é\n", "a. B", "a " * 400 + "."]
    )
)
def test_stream_keeps_all_characters(unit: str) -> None:
    text = unit * (9_000 // len(unit)) + "end"
    sentences = list(stream_sentences([text], tokenize, window=2_048))
    tokens = [text[a:b] for sentence in sentences for a, b in sentence.offsets]
    assert tokens == [token for sentence in sentences for token in sentence.tokens]
    assert "".join(tokens) == "".join(text.replace("\x00", "").split())


def test_stream_is_lazy() -> None:
    """The stream yields sentences as soon as a blank line completes them."""
    read = []

    def lines():
        for line in ["One.\n", "\n", "Two.\n", "\n", "Three."]:
            read.append(line)
            yield line

    sentences = stream_sentences(lines(), tokenize)
    assert next(sentences).tokens == ("One", ".")
    assert read == ["One.\n", "\n"]
    assert [sentence.text for sentence in sentences] == ["Two.", "Three."]


def test_stream_with_a_custom_function() -> None:
    def lines_of(text: str) -> list[Sentence]:
        sentences, start = [], 0
        for line in text.splitlines(keepends=True):
            if line.strip():
                sentences.append(align(line.rstrip("\n"), line.split(), start=start))
            start += len(line)
        sentences[0] = replace(sentences[0], starts_document=True)
        return sentences

    text = "\n\n".join(["one two", "three  four", "five"] * 500)
    result = list(stream_sentences(text.splitlines(keepends=True), lines_of))
    assert result == lines_of(text)
    assert list(stream_sentences([text], lines_of, window=2_048)) == lines_of(text)


HOSTILE = [
    *[
        "a.",
        "a.a",
        "(",
        "http://",
        "http://)",
        "www.a)",
        "a@",
        "a@b.",
        "a-",
        "a-a.",
        "1.",
        "1/",
        "a1.",
        "a1.2",
        "+1",
        "$",
        "...",
        ". ",
    ],
    *[
        "A. ",
        "U.S.",
        "aa.bb.",
        "A&A",
        "'",
        "n't",
        "a't",
        ":-)",
        ":-d",
        "-_",
        "^_",
        "e\u0301",
        "\u0301",
        "中",
        "。」",
    ],
    *[
        "👩\u200d",
        "\u200d",
        "#1",
        "\n",
        "\n ",
        "a\n",
        " ",
        "\x00",
        '. "',
        "1) ",
        "1-1-",
        "_a",
        "re-",
        "=D",
        ". :)",
        "%a",
    ],
]


@pytest.mark.slow
@pytest.mark.parametrize("tail", ["b_", "\n"])
@pytest.mark.parametrize("convention", [Tokenizer(), Tokenizer(split_hyphens=True, split_clitics=False)])
def test_adversarial_text_takes_linear_time(convention: Tokenizer, tail: str) -> None:
    """No assertion on time: quadratic run time would take minutes at this length."""
    for unit in HOSTILE:
        text = unit * (20_000 // len(unit)) + tail
        result = "".join(token for sentence in convention.tokenize(text) for token in sentence.tokens)
        assert result == "".join(c for c in text if not c.isspace() and c not in "\x00") or "\u200d" in unit


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Dr. Moss went to Hull\non May 4.", 1),
        ("I saw the woman\nwho lives here.", 1),
        ("milk\nbread\neggs", 3),
        ("The train left.\nthe bus did not", 2),
        ("News in brief\nRain floods Hull", 2),
    ],
)
def test_narrow_lines_continue_before_a_lower_case_letter(text, sentences):
    assert len(sentence_ranges(text)) == sentences
