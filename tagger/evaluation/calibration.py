"""Measure the calibration of scores: reliability, calibration error and score thresholds.

The items are predicted spans with the probability of exactly this span, or tokens with the probability of
their tag. The measures take two parallel arrays: True for each correct item, and each item's score.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tagger.evaluation.scores import TagSequences, find_ignored, is_scored, remove_ignored
from tagger.text.schemes import tags_to_spans
from tagger.text.sentence import UNSPECIFIED, Span

BINS = 15  # as in Guo et al. 2017
STEPS = 10_000  # score thresholds for a recall have four decimals
THRESHOLDS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)

Spans = Iterable[tuple[int, int, str]]  # index of the first token, index after the last, label


class Bin(TypedDict):
    """Predictions with scores above ``low`` and at most ``high``; the first bin includes 0.

    ``count`` is their number, ``score`` their mean score and ``right`` the share of correct ones; the last
    two are None for an empty bin.
    """

    low: float
    high: float
    count: int
    score: float | None
    right: float | None


class ThresholdScore(TypedDict):
    """Scores of the predictions with a score of at least ``min_score``.

    ``found`` is their number. Recall counts all gold items, whatever the threshold.
    """

    min_score: float
    found: int
    precision: float
    recall: float
    f1: float


def reliability(is_right: ArrayLike, scores: ArrayLike, *, bins: int = BINS) -> list[Bin]:
    """Group predictions into score bins of equal width.

    Args:
        is_right: (M,) bool; True for correct predictions.
        scores: (M,) probabilities in [0, 1].
        bins: Number of bins.

    Raises:
        ValueError: The arrays differ in shape, or a score is not a probability.
    """
    right, values = _checked(is_right, scores)
    edges = np.linspace(0.0, 1.0, bins + 1)
    bin_ids = np.clip(np.searchsorted(edges, values, side="left") - 1, 0, bins - 1)
    counts = np.bincount(bin_ids, minlength=bins)
    score_sums = np.bincount(bin_ids, weights=values, minlength=bins)
    right_sums = np.bincount(bin_ids, weights=right, minlength=bins)
    return [
        {
            "low": float(edges[index]),
            "high": float(edges[index + 1]),
            "count": int(count),
            "score": float(score_sums[index] / count) if count else None,
            "right": float(right_sums[index] / count) if count else None,
        }
        for index, count in enumerate(counts)
    ]


def expected_calibration_error(is_right: ArrayLike, scores: ArrayLike, *, bins: int = BINS) -> float:
    """Return the expected calibration error: the mean gap between score and accuracy of a prediction's bin.

    Naeini et al. 2015, "Obtaining well calibrated probabilities using Bayesian binning", with the bins of
    ``reliability``; 0 without predictions.

    Args:
        is_right: (M,) bool; True for correct predictions.
        scores: (M,) probabilities in [0, 1].
        bins: Number of bins.

    Raises:
        ValueError: See ``reliability``.
    """
    bin_values = reliability(is_right, scores, bins=bins)
    total = sum(entry["count"] for entry in bin_values)
    gaps = (
        entry["count"] * abs(entry["score"] - entry["right"])
        for entry in bin_values
        if entry["score"] is not None and entry["right"] is not None
    )
    return sum(gaps) / total if total else 0.0


def score_thresholds(
    is_right: ArrayLike, scores: ArrayLike, gold: int, thresholds: Sequence[float] = THRESHOLDS
) -> list[ThresholdScore]:
    """Compute precision, recall and F1 for each score threshold.

    Scores are compared in float32, as in the tagger.

    Args:
        is_right: (M,) bool; True for correct predictions.
        scores: (M,) probabilities in [0, 1].
        gold: Number of gold items, predicted or not.
        thresholds: The score thresholds.

    Raises:
        ValueError: See ``reliability``.
    """
    right, values = _checked(is_right, scores)
    order = np.argsort(values, kind="stable")
    rising = values[order].astype(np.float32)
    # Number of correct predictions from each index on.
    right_from = np.append(right[order][::-1].cumsum()[::-1], 0)
    results = []
    for threshold in thresholds:
        first = int(np.searchsorted(rising, np.float32(threshold), side="left"))
        count, hits = len(rising) - first, int(right_from[first])
        results.append(
            ThresholdScore(
                min_score=float(threshold),
                found=count,
                precision=hits / count if count else 0.0,
                recall=hits / gold if gold else 0.0,
                f1=2 * hits / (count + gold) if count + gold else 0.0,
            )
        )
    return results


def reach_recall(rows: Iterable[ThresholdScore], recall: float) -> ThresholdScore | None:
    """Return the scores at the highest threshold with at least this recall; None if no threshold has it."""
    reached = [row for row in rows if row["recall"] >= recall]
    return max(reached, key=lambda row: row["min_score"], default=None)


@dataclass(frozen=True, slots=True)
class Judged:
    """Scored predictions of one task, compared with the gold tags.

    Attributes:
        gold: Number of gold spans or tokens.
        is_right: (M,) True for correct predictions.
        scores: (M,) float32 probabilities of the predictions.
    """

    gold: int
    is_right: NDArray[np.bool_]
    scores: NDArray[np.float32]


def judge_spans(gold: TagSequences, predicted: Sequence[Sequence[Span]], scheme: str) -> Judged:
    """Compare predicted spans with gold tags.

    Args:
        gold: For each sentence its gold tags.
        predicted: For each sentence its predicted spans with scores. Those with tokens that unknown gold tags
            exclude are left out (see ``scores.find_ignored``).
        scheme: The scheme of the gold tags.
    """
    expected = [
        [(span.start, span.end, span.label) for span in tags_to_spans(tags, scheme)]
        for tags in remove_ignored(gold, gold, scheme, scheme)[0]
    ]
    scored = [
        [span for span in spans if is_scored(span, ignored)]
        for tags, spans in zip(gold, predicted, strict=True)
        for ignored in (find_ignored(tags, scheme),)
    ]
    keys = [[(span.start, span.end, span.label) for span in spans] for spans in scored]
    return Judged(
        sum(map(len, expected)),
        np.array(mark_correct_spans(expected, keys), np.bool_),
        np.array([span.score for spans in scored for span in spans], np.float32),
    )


def judge_tags(gold: TagSequences, predicted: TagSequences, scores: Sequence[Sequence[float]]) -> Judged:
    """Compare predicted tags with gold tags; tokens without a gold tag (``_``) are left out.

    Args:
        gold: For each sentence its gold tags.
        predicted: For each sentence its predicted tags.
        scores: For each sentence the probabilities of the predicted tags.
    """
    is_specified = np.array([tag != UNSPECIFIED for tags in gold for tag in tags], np.bool_)
    right = np.array(mark_correct_tags(gold, predicted), np.bool_)
    probabilities = np.array([score for values in scores for score in values], np.float32)
    return Judged(int(is_specified.sum()), right[is_specified], probabilities[is_specified])


def mark_correct_spans(gold: Sequence[Spans], predicted: Sequence[Spans]) -> list[bool]:
    """Return for each predicted span, in order, True if its sentence has an equal gold span.

    Args:
        gold: For each sentence its gold spans.
        predicted: For each sentence its predicted spans.
    """
    return [
        span in distinct_gold
        for gold_spans, predicted_spans in zip(gold, predicted, strict=True)
        for distinct_gold in (set(gold_spans),)
        for span in predicted_spans
    ]


def mark_correct_tags(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> list[bool]:
    """Return for each token, in order, True if its predicted tag is the gold tag."""
    return [
        gold_tag == predicted_tag
        for gold_tags, predicted_tags in zip(gold, predicted, strict=True)
        for gold_tag, predicted_tag in zip(gold_tags, predicted_tags, strict=True)
    ]


def _checked(is_right: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    right, values = np.asarray(is_right, np.bool_), np.asarray(scores, np.float64)
    if right.ndim != 1 or right.shape != values.shape:
        raise ValueError(f"expected two arrays of one length, got shapes {right.shape} and {values.shape}")
    if len(values) and not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(f"expected scores from 0 to 1, got {values.min()} to {values.max()}")
    return right, values
