"""Whether probabilities mean what they say: how often what has a score of 0.9 is right.

What is judged are predicted spans with the probability of exactly this span, or tokens with the probability
of their tag. All functions take parallel arrays: whether each is right, and its score.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

BINS = 15  # as in Guo et al. 2017
THRESHOLDS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)

Spans = Iterable[tuple[int, int, str]]  # first token, token after the last, label


class Bin(TypedDict):
    """Predictions whose scores are above ``low`` and at most ``high``; the first bin also has 0.

    ``count`` is how many there are, ``score`` their mean score and ``right`` the share that is right, both
    None where there is none.
    """

    low: float
    high: float
    count: int
    score: float | None
    right: float | None


class ThresholdScore(TypedDict):
    """What remains of the predictions if those with a lower score than ``min_score`` are left out.

    ``found`` is how many remain. Recall is over all gold items, as without a threshold.
    """

    min_score: float
    found: int
    precision: float
    recall: float
    f1: float


def reliability(is_right: ArrayLike, scores: ArrayLike, *, bins: int = BINS) -> list[Bin]:
    """Sort predictions into bins of equal width by their scores.

    Args:
        is_right: (M,) bool.
        scores: (M,) probabilities in [0, 1].
        bins: How many bins.

    Raises:
        ValueError: The arrays are not parallel, or a score is no probability.
    """
    right, values = _checked(is_right, scores)
    edges = np.linspace(0.0, 1.0, bins + 1)
    places = np.clip(np.searchsorted(edges, values, side="left") - 1, 0, bins - 1)
    counts = np.bincount(places, minlength=bins)
    score_sums = np.bincount(places, weights=values, minlength=bins)
    right_sums = np.bincount(places, weights=right, minlength=bins)
    return [
        {
            "low": float(edges[place]),
            "high": float(edges[place + 1]),
            "count": int(count),
            "score": float(score_sums[place] / count) if count else None,
            "right": float(right_sums[place] / count) if count else None,
        }
        for place, count in enumerate(counts)
    ]


def expected_calibration_error(is_right: ArrayLike, scores: ArrayLike, *, bins: int = BINS) -> float:
    """How far the mean score of a prediction's bin is from the share that is right in it, on average.

    Naeini et al. 2015, "Obtaining well calibrated probabilities using Bayesian binning", with the bins of
    ``reliability``; 0 where there is no prediction.

    Args:
        is_right: (M,) bool.
        scores: (M,) probabilities in [0, 1].
        bins: How many bins.

    Raises:
        ValueError: As for ``reliability``.
    """
    found = reliability(is_right, scores, bins=bins)
    total = sum(one["count"] for one in found)
    gaps = (
        one["count"] * abs(one["score"] - one["right"])
        for one in found
        if one["score"] is not None and one["right"] is not None
    )
    return sum(gaps) / total if total else 0.0


def score_thresholds(
    is_right: ArrayLike, scores: ArrayLike, gold: int, thresholds: Sequence[float] = THRESHOLDS
) -> list[ThresholdScore]:
    """Precision, recall and F1 of the predictions that have at least each of these scores.

    Scores are compared in float32, as taggers compare them.

    Args:
        is_right: (M,) bool.
        scores: (M,) probabilities in [0, 1].
        gold: How many gold items there are, found or not.
        thresholds: The least scores.

    Raises:
        ValueError: As for ``reliability``.
    """
    right, values = _checked(is_right, scores)
    order = np.argsort(values, kind="stable")
    rising = values[order].astype(np.float32)
    right_from = np.append(right[order][::-1].cumsum()[::-1], 0)  # right ones from each place on
    found = []
    for threshold in thresholds:
        place = int(np.searchsorted(rising, np.float32(threshold), side="left"))
        count, hits = len(rising) - place, int(right_from[place])
        found.append(
            ThresholdScore(
                min_score=float(threshold),
                found=count,
                precision=hits / count if count else 0.0,
                recall=hits / gold if gold else 0.0,
                f1=2 * hits / (count + gold) if count + gold else 0.0,
            )
        )
    return found


def judge_spans(gold: Sequence[Spans], predicted: Sequence[Spans]) -> list[bool]:
    """Whether each predicted span has the borders and the label of a gold span of its sentence, in order.

    Args:
        gold: For each sentence its gold spans.
        predicted: For each sentence its predicted spans.
    """
    return [
        span in wanted
        for own, found in zip(gold, predicted, strict=True)
        for wanted in (set(own),)
        for span in found
    ]


def judge_tags(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> list[bool]:
    """Whether each token's predicted tag is its gold tag, in order."""
    return [
        wanted == found
        for own, tags in zip(gold, predicted, strict=True)
        for wanted, found in zip(own, tags, strict=True)
    ]


def _checked(is_right: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    right, values = np.asarray(is_right, np.bool_), np.asarray(scores, np.float64)
    if right.ndim != 1 or right.shape != values.shape:
        raise ValueError(f"expected two arrays of one length, got shapes {right.shape} and {values.shape}")
    if len(values) and not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(f"expected scores from 0 to 1, got {values.min()} to {values.max()}")
    return right, values
