"""The benchmark of label errors: corruptions and figures, checked against their definitions."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_errors import WAYS, average_precision, corrupt, mark_hits, summarise

from tagger import Sentence, Span
from tagger.evaluation.confusion import Outcome
from tagger.runtime.label_errors import Suspicion
from tagger.text.schemes import tags_to_spans, violations
from tagger.text.sentence import from_tokens

ROWS = (["B-PER", "I-PER", "O", "O", "B-LOC"], ["O", "B-ORG", "B-ORG", "O"], ["O", "O", "O"], ["B-LOC"])
GOLD = [from_tokens(["w"] * len(tags)).with_tags({"ner": tags}) for tags in ROWS * 50]


def suspicion(sentence: int, start: int, end: int) -> Suspicion:
    return Suspicion("ner", Outcome("missed", Span(start, end, "X"), None), 0.0, 1.0, sentence, "", ())


def spans(sentence: Sentence) -> set[Span]:
    return set(tags_to_spans(sentence.tags["ner"], "IOB2"))


@pytest.mark.parametrize("seed", range(5))
def test_each_corruption_changes_one_span_in_its_place(seed):
    corrupted, corruptions = corrupt(GOLD, 0.2, seed)
    assert (corrupted, corruptions) == corrupt(GOLD, 0.2, seed)
    counts = Counter(one.way for one in corruptions)
    assert set(counts) == set(WAYS)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert len(corruptions) == round(0.2 * sum(map(len, map(spans, GOLD))))
    places = {one.sentence: one for one in corruptions}
    assert len(places) == len(corruptions)
    for index, (before, after) in enumerate(zip(GOLD, corrupted, strict=True)):
        assert not violations(after.tags["ner"], "IOB2")
        lost, added = spans(before) - spans(after), spans(after) - spans(before)
        if index not in places:
            assert not lost | added
            continue
        place = places[index]
        assert (len(lost), len(added)) == {
            "type": (1, 1),
            "border": (1, 1),
            "missing": (1, 0),
            "spurious": (0, 1),
        }[place.way]
        changed = lost | added
        assert min(span.start for span in changed) == place.start
        assert max(span.end for span in changed) == place.end
        borders = {(span.start, span.end) for span in changed}
        assert (len(borders) == 2) == (place.way == "border")
        if place.way == "border":
            (one, other) = borders
            assert abs(one[0] - other[0]) + abs(one[1] - other[1]) == 1


def test_a_corruption_is_hit_once_and_by_overlap():
    _, corruptions = corrupt(GOLD, 0.2, 1)
    first, second = corruptions[:2]
    rows = [
        suspicion(first.sentence, first.end, first.end + 1),
        suspicion(first.sentence, first.end - 1, first.end + 1),
        suspicion(first.sentence, first.start, first.end),
        suspicion(second.sentence, second.start, second.start + 1),
    ]
    assert mark_hits(rows, corruptions) == [None, first, None, second]
    figures = summarise(rows, corruptions)
    assert figures["average_precision"] == pytest.approx((1 / 2 + 2 / 4) / len(corruptions))
    assert figures["precision_at_200"] == 2 / 200
    assert figures["suspicions"] == 4


@given(st.lists(st.booleans(), max_size=20), st.integers(1, 5))
def test_average_precision_is_the_sum_of_precision_times_gain_in_recall(hits, n_unlisted):
    total = sum(hits) + n_unlisted
    area = before = 0.0
    for rank in range(1, len(hits) + 1):
        recall = sum(hits[:rank]) / total
        area += sum(hits[:rank]) / rank * (recall - before)
        before = recall
    assert average_precision(hits, total) == pytest.approx(area)


def test_a_random_ranking_has_the_precision_of_its_share_of_hits():
    hits = [index < 100 for index in range(1000)]
    random.Random(1).shuffle(hits)
    assert average_precision(hits, 100) == pytest.approx(0.1, abs=0.03)
    assert average_precision(sorted(hits, reverse=True), 100) == 1.0
