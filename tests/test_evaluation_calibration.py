"""Calibration error, reliability and thresholds: hand-made cases, brute force, properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.evaluation.calibration import (
    BINS,
    expected_calibration_error,
    mark_correct_spans,
    mark_correct_tags,
    reliability,
    score_thresholds,
)

JUDGED = st.lists(st.tuples(st.booleans(), st.floats(0, 1, width=32)), max_size=40)


def apart(judged):
    return [right for right, _ in judged], [score for _, score in judged]


def test_bins_by_hand():
    is_right = [True, True, False, True, False]
    scores = [0.95, 0.85, 0.9, 0.3, 0.1]
    # Of ten bins: (0.8, 0.9] has 0.85 and 0.9, half right; (0.9, 1], (0.2, 0.3] and (0, 0.1] one each.
    expected = (2 * abs(0.875 - 0.5) + abs(0.95 - 1) + abs(0.3 - 1) + abs(0.1 - 0)) / 5
    assert expected_calibration_error(is_right, scores, bins=10) == pytest.approx(expected)
    result = reliability(is_right, scores, bins=10)
    assert [one["count"] for one in result] == [1, 0, 1, 0, 0, 0, 0, 0, 2, 1]
    assert (result[8]["score"], result[8]["right"]) == (pytest.approx(0.875), 0.5)
    assert (result[1]["score"], result[1]["right"]) == (None, None)
    assert (result[0]["low"], result[-1]["high"]) == (0, 1)


def test_error_of_certain_predictions_is_zero_if_right_and_one_if_wrong():
    assert expected_calibration_error([True] * 3, [1.0] * 3) == 0
    assert expected_calibration_error([False] * 3, [1.0] * 3) == 1
    assert expected_calibration_error([True, False], [0.5, 0.5]) == 0
    assert expected_calibration_error([], []) == 0
    assert len(reliability([], [])) == BINS


@given(JUDGED, st.integers(1, 20))
def test_bins_match_the_definition(judged, bins):
    result = reliability(*apart(judged), bins=bins)
    assert sum(one["count"] for one in result) == len(judged)
    gaps = 0.0
    for number, one in enumerate(result):
        own = [
            (right, score)
            for right, score in judged
            if one["low"] < score <= one["high"] or (number == 0 and score == 0)
        ]
        assert one["count"] == len(own)
        if own:
            assert one["score"] == pytest.approx(np.mean([score for _, score in own]))
            assert one["right"] == pytest.approx(np.mean([right for right, _ in own]))
            gaps += abs(sum(score for _, score in own) - sum(right for right, _ in own))
    error = expected_calibration_error(*apart(judged), bins=bins)
    assert error == pytest.approx(gaps / max(1, len(judged)))
    assert 0 <= error <= 1


@given(JUDGED, st.randoms(use_true_random=False))
def test_the_order_of_predictions_does_not_matter(judged, random):
    shuffled = random.sample(judged, len(judged))
    assert expected_calibration_error(*apart(shuffled)) == pytest.approx(
        expected_calibration_error(*apart(judged))
    )
    assert score_thresholds(*apart(shuffled), gold=50) == score_thresholds(*apart(judged), gold=50)


@given(JUDGED, st.integers(0, 5), st.lists(st.floats(0, 1, width=32), min_size=1, max_size=5))
def test_thresholds_match_counting(judged, missed, thresholds):
    gold = sum(right for right, _ in judged) + missed
    for row, threshold in zip(score_thresholds(*apart(judged), gold, thresholds), thresholds, strict=True):
        kept = [right for right, score in judged if score >= threshold]
        precision = sum(kept) / len(kept) if kept else 0.0
        recall = sum(kept) / gold if gold else 0.0
        assert (row["min_score"], row["found"]) == (threshold, len(kept))
        assert (row["precision"], row["recall"]) == (pytest.approx(precision), pytest.approx(recall))
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        assert row["f1"] == pytest.approx(f1)


@given(JUDGED)
def test_recall_never_increases_with_the_threshold(judged):
    recalls = [row["recall"] for row in score_thresholds(*apart(judged), gold=40)]
    assert recalls == sorted(recalls, reverse=True)


def test_a_float32_score_reaches_an_equal_threshold():
    (row,) = score_thresholds([True], np.array([0.9], np.float32), gold=1, thresholds=[0.9])
    assert row["found"] == 1


def test_only_the_exact_gold_span_is_right():
    gold = [[(0, 2, "PER"), (3, 4, "LOC")], [], [(0, 1, "ORG")]]
    predicted = [[(0, 2, "PER"), (3, 4, "ORG")], [(0, 1, "LOC")], [(0, 1, "ORG")]]
    assert mark_correct_spans(gold, predicted) == [True, False, False, True]
    assert mark_correct_spans([[(0, 2, "PER")]], [[(0, 1, "PER")]]) == [False]
    assert mark_correct_spans([iter([(0, 1, "A"), (1, 2, "A")])], [iter([(0, 1, "A"), (1, 2, "A")])]) == [
        True,
        True,
    ]
    assert mark_correct_tags([["N", "V"], [], ["N"]], [["N", "N"], [], ["N"]]) == [True, False, True]


@pytest.mark.parametrize(
    ("is_right", "scores"),
    [([True], [0.5, 0.5]), ([[True]], [[0.5]]), ([True], [1.1]), ([True], [-0.1]), ([True], [float("nan")])],
)
def test_invalid_probabilities_and_mismatched_arrays_are_rejected(is_right, scores):
    with pytest.raises(ValueError, match="expected"):
        expected_calibration_error(is_right, scores)
