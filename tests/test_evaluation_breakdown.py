"""Buckets: their counts sum to the total and agree with scorer and matcher."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.evaluation.breakdown import (
    BORDERS,
    LENGTHS,
    POSITIONS,
    TYPES,
    Counts,
    count_borders,
    count_buckets,
    count_sentences,
    count_words,
    position_bucket,
    read_items,
)
from tagger.evaluation.confusion import count_confusion, match_task
from tagger.evaluation.scores import score_spans
from tagger.evaluation.tasks import score_task
from tagger.text.schemes import SCHEMES, convert_tags, spans_to_tags
from tagger.text.sentence import Span, from_tokens

SPAN_TAG = st.sampled_from(["O", "O", *(f"{mark}-{label}" for mark in "BI" for label in ("a", "b-c", "d"))])
TAG = st.sampled_from(["NN", "VB", "O", "B-x"])
WORD = st.sampled_from(["a", "7", ".", "»"])


def corpora(tag):
    """Sentences of tokens, each with a gold tag, a predicted tag and True if train has the word."""
    return st.lists(st.lists(st.tuples(WORD, tag, tag, st.booleans()), max_size=35), max_size=5)


def columns_of(corpus):
    return [[[token[side] for token in sentence] for sentence in corpus] for side in range(4)]


def break_down(words, gold, predicted, seen):
    return count_buckets([from_tokens(own) for own in words], seen, gold, predicted)


def total(counts):
    return tuple(sum(side) for side in zip(*counts, strict=True)) or (0, 0, 0)


def sides_of(counts):
    return counts.right, counts.predicted, counts.gold


@pytest.mark.slow
@given(corpora(SPAN_TAG), st.sampled_from(sorted(set(SCHEMES) - {"IO"})))
def test_buckets_of_spans(corpus, scheme):
    words, iob2, predicted, seen = columns_of(corpus)
    tags = [convert_tags(own, "IOB2", scheme) for own in iob2]
    scores = score_task(tags, predicted, scheme=scheme, seen=seen)
    check_buckets(words, seen, (read_items(tags, scheme), read_items(predicted, "IOB2")), scores, "f1")


@given(corpora(SPAN_TAG))
def test_illegal_gold_tags_are_read_as_in_the_scorer(corpus):
    words, gold, predicted, seen = columns_of(corpus)
    scores = score_task(gold, predicted, scheme="IOB2", seen=seen)
    check_buckets(words, seen, (read_items(gold, "IOB2"), read_items(predicted, "IOB2")), scores, "f1")


@pytest.mark.slow
@given(corpora(TAG))
def test_buckets_of_tags(corpus):
    words, gold, predicted, seen = columns_of(corpus)
    scores = score_task(gold, predicted, scheme=None, seen=seen)
    check_buckets(words, seen, (read_items(gold, None), read_items(predicted, None)), scores, "accuracy")


def check_buckets(words, seen, items, scores, measure):
    whole = count_sentences(*items).sum(axis=0)
    assert Counts(*whole).score == pytest.approx(scores[measure])
    buckets = break_down(words, *items, seen)
    assert list(buckets) == ["label", "vocabulary", "position", "length"]
    for result in buckets.values():
        assert total(map(sides_of, result.values())) == tuple(whole)
    for label, score in scores["by_label"].items():
        counts = buckets["label"].pop(label)
        assert (counts.score, counts.gold) == (pytest.approx(score["f1"]), score["support"])
    assert not buckets["label"]
    for name, counts in buckets["vocabulary"].items():
        assert counts.score == pytest.approx(scores[name][measure])
        assert counts.gold == scores[name]["support"]
    assert [name for name in POSITIONS if name in buckets["position"]] == list(buckets["position"])
    assert [name for name in LENGTHS if name in buckets["length"]] == list(buckets["length"])


@given(corpora(SPAN_TAG))
def test_borders_and_types_agree_with_scorer_and_matcher(corpus):
    _, gold, predicted, _ = columns_of(corpus)
    items = [read_items(side, "IOB2") for side in (gold, predicted)]
    unlabelled = [
        [
            spans_to_tags([Span(start, end, "x") for start, end, _ in own], len(tags), "IOB2")
            for own, tags in zip(side, gold, strict=True)
        ]
        for side in items
    ]
    result = count_borders(*items)
    assert result[BORDERS].score == pytest.approx(score_spans(*unlabelled)["f1"])
    outcomes = itertools.chain(*match_task(gold, predicted, scheme="IOB2"))
    kinds = count_confusion(outcomes, has_spans=True)["kinds"]
    placed = kinds["right"] + kinds["wrong type"]
    assert result[TYPES] == Counts(kinds["right"], placed, placed)


def test_items_go_to_their_own_buckets():
    # Gold: Mira Holm (PER), Port Vell (LOC). Predicted: Mira (PER), Port Vell (ORG).
    words = ["Mira", "Holm", "left", "Port", "Vell", "."]
    gold = read_items([["B-PER", "I-PER", "O", "B-LOC", "I-LOC", "O"]], "IOB2")
    predicted = read_items([["B-PER", "O", "O", "B-ORG", "I-ORG", "O"]], "IOB2")
    buckets = break_down([words], gold, predicted, [[True, False, True, True, True, True]])
    assert buckets == {
        "label": {"LOC": Counts(0, 0, 1), "PER": Counts(0, 1, 1), "ORG": Counts(0, 1, 0)},
        "vocabulary": {"seen": Counts(0, 2, 1), "unseen": Counts(0, 0, 1)},
        "position": {"first": Counts(0, 1, 1), "last": Counts(0, 1, 1)},
        "length": {"6-10": Counts(0, 2, 2)},
    }
    assert count_borders(gold, predicted) == {BORDERS: Counts(1, 2, 2), TYPES: Counts(0, 1, 1)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("He left .", 2),
        ("He left", 2),
        ("Left at 5 ?! »", 3),
        ("U.S.", 1),
        ("- - -", 0),
        ("", 0),
        ("Да 。", 1),
    ],
)
def test_words_end_before_the_final_punctuation(text, words):
    assert count_words(text.split()) == words


@pytest.mark.parametrize(
    ("start", "end", "words", "expected"),
    [
        (0, 1, 1, "whole sentence"),
        (0, 3, 3, "whole sentence"),
        (0, 4, 3, "whole sentence"),  # with its full stop
        (0, 2, 3, "first"),
        (1, 3, 3, "last"),
        (1, 2, 3, "second"),
        (2, 4, 3, "last"),
        (3, 4, 3, "final punctuation"),
        (0, 1, 0, "final punctuation"),
        (2, 3, 9, "third"),
        (3, 4, 9, "middle"),
        (3, 5, 9, "middle"),
        (3, 7, 9, "third from last"),
        (7, 8, 9, "second from last"),
        (1, 8, 9, "second"),
        (2, 9, 9, "last"),
    ],
)
def test_positions_by_hand(start, end, words, expected):
    assert position_bucket(start, end, words) == expected


@given(st.integers(1, 20), st.data())
def test_positions_from_the_right_mirror_those_from_the_left(words, data):
    start = data.draw(st.integers(0, words - 1))
    end = data.draw(st.integers(start + 1, words))
    mirrored = dict(zip(POSITIONS[:8], [POSITIONS[0], *reversed(POSITIONS[1:8])], strict=True))
    result, reflected = position_bucket(start, end, words), position_bucket(words - end, words - start, words)
    is_tie = start == words - end
    assert result == (reflected if is_tie else mirrored[reflected])


@pytest.mark.parametrize(
    ("tokens", "band"), [(1, "1-5"), (5, "1-5"), (6, "6-10"), (20, "11-20"), (30, "21-30"), (31, "31+")]
)
def test_bands_of_length(tokens, band):
    items = read_items([["N"] * tokens], None)
    (result,) = break_down([["a"] * tokens], items, items, [[True] * tokens])["length"].items()
    assert result == (band, Counts(tokens, tokens, tokens))


def test_empty_breakdown():
    assert break_down([[]], [set()], [set()], [[]]) == {
        kind: {} for kind in ("label", "vocabulary", "position", "length")
    }
    assert count_sentences([], []).shape == (0, 3)
    assert Counts(0, 0, 0).score == 0.0
