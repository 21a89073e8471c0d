"""Repair of misspelled span tags."""

import pytest

from tagger.text.schemes import is_span_tag, tags_to_spans
from tagger.text.spelling import (
    add_prefixes,
    are_bare_labels,
    are_brackets,
    find_outside,
    find_respelling,
    respell,
)

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-work-of-art")


@pytest.mark.parametrize(
    "spell",
    [
        lambda tag: tag.replace("-", "_", 1),
        lambda tag: tag.replace("-", ":", 1),
        lambda tag: tag.replace("-", "/", 1),
        lambda tag: tag.replace("-", "\u2013", 1),
        lambda tag: "-".join(reversed(tag.split("-", 1))),
        lambda tag: "_".join(reversed(tag.split("-", 1))),
        lambda tag: tag[0].lower() + tag[1:] if "-" in tag else tag,
        lambda tag: "o" if tag == "O" else tag,
        lambda tag: "0" if tag == "O" else tag,
        lambda tag: "_" if tag == "O" else tag,
        lambda tag: "\u041e" if tag == "O" else tag,
        lambda tag: "o" if tag == "O" else tag.replace("-", "_", 1),
        lambda tag: tag.replace("B-", "Begin-").replace("I-", "Inside-"),
        lambda tag: "OUTSIDE" if tag == "O" else tag.replace("B-", "START_").replace("I-", "MID_"),
        lambda tag: tag.replace("O", "\u041e").replace("B-", "\u0412-") if len(tag) < 6 else tag,
    ],
)
def test_one_replacement_is_returned(spell):
    spelled = {spell(tag): tag for tag in TAGS}
    tag, right = find_respelling(list(spelled))
    assert spelled[tag] == right
    assert not is_span_tag(tag)


def test_joined_prefixes_need_a_label_with_two_of_them():
    assert find_respelling(["O", "BPER", "IPER", "BLOC"]) == ("BPER", "B-PER")
    assert find_respelling(["O", "BEAR", "ISLE"]) is None


@pytest.mark.parametrize(
    "tags",
    [TAGS, ["NN", "VBZ", "IN"], ["O", "PER", "LOC"], ["O", "B-PER", "Q-PER"], ["m", "s"], ["N", "B"], []],
)
def test_other_tags_are_unchanged(tags):
    assert find_respelling(tags) is None


@pytest.mark.parametrize("mark", ["\u200b", "\ufeff", "\u00a0", " ", "\u00ad"])
def test_an_invisible_character_at_the_end_of_a_tag_is_named(mark):
    assert find_respelling(["O", "B-PER", f"I-PER{mark}"]) == (f"I-PER{mark}", "I-PER")
    assert find_respelling([f"{mark}O", "B-PER"]) == (f"{mark}O", "O")
    assert respell(f"B-PER{mark}") == "B-PER"
    assert find_respelling(["O", "B-GEO PLACE"]) is None


@pytest.mark.parametrize(
    ("counts", "outside"),
    [
        ({"o": 2, "PER": 3, "LOC": 1}, "o"),
        ({"0": 9, "PER": 1}, "0"),
        ({"OTHER": 9, "per": 1}, "OTHER"),
        ({"o": 3, "gato": 1, "rato": 4}, None),
        ({"0": 3, "1": 1}, None),
        ({"O": 3, "o": 1, "PER": 1}, None),
        ({"NONE": 1, "NOUN": 4}, None),
        ({"o": 1, "B-PER": 4}, None),
        ({"o": 1}, None),
    ],
)
def test_what_stands_for_o_next_to_bare_labels(counts, outside):
    assert find_outside(counts) == outside


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["*", "(PER)", "(LOC*", "*)"], True),
        (["*", "(PER*)"], True),
        (["*", "*)"], False),
        (["(TOP(S(NP*", "*", "*)))"], False),
        (["(12", "12)", "-"], False),
        (["(", ")", "*"], False),
        (["O", "B-PER"], False),
    ],
)
def test_spans_in_brackets(tags, expected):
    assert are_brackets(tags) is expected


def test_respell_single_tags():
    assert [respell(tag) for tag in ("B_PER", "o", "LOC-S", "B-PER", "O", "NN")] == [
        "B-PER", "O", "S-LOC", None, None, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("counts", "is_bare"),
    [
        ({"O": 9, "PER": 3, "LOC": 1}, True),
        ({"O": 1, "PER": 3, "work-of-art": 1}, True),
        ({"O": 9, "N": 1}, True),
        ({"O": 1, "N": 9, "V": 3}, False),
        ({"O": 9, "B-PER": 1}, False),
        ({"O": 9, "Q-PER": 1}, False),
        ({"O": 9}, False),
        ({"PER": 3, "LOC": 1}, False),
        ({"O": 1, "NOUN": 9, "VERB": 3}, False),
    ],
)
def test_bare_labels(counts, is_bare):
    assert are_bare_labels(counts) is is_bare


def test_a_run_of_one_bare_label_is_one_span():
    spans = tags_to_spans(add_prefixes(["PER", "PER", "O", "PER", "LOC"]), "IO")
    assert [(span.start, span.end, span.label) for span in spans] == [
        (0, 2, "PER"), (3, 4, "PER"), (4, 5, "LOC"),
    ]  # fmt: skip
