"""Measure how much of the backward gain a model keeps with bounded lookahead."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median

from tagger.evaluation.significance import estimate
from tagger.experiments.findings import LookaheadCurve, LookaheadPoint
from tagger.experiments.pairing import runs_by_seed
from tagger.experiments.results import WHOLE, Comparison, Run, Variant

HALF, MOST = 0.5, 0.9


def find_curves(comparison: Comparison) -> list[LookaheadCurve]:
    """Compute a curve for each variant tested with bounded lookahead."""
    curves = []
    for variant in comparison.variants:
        points = _find_points(comparison, variant)
        if points:
            half, most = _smallest_lookahead(points, HALF), _smallest_lookahead(points, MOST)
            curves.append(LookaheadCurve(variant, points, half, most))
    return curves


def _find_points(comparison: Comparison, variant: Variant) -> list[LookaheadPoint]:
    runs = [run for run in comparison.runs_of(variant) if run.lookahead]
    names = {name for run in runs for name in run.lookahead}
    return [
        _find_point(comparison, name, [run for run in runs if name in run.lookahead])
        for name in sorted(names, key=lambda name: (name == WHOLE, 0 if name == WHOLE else int(name)))
    ]


def _find_point(comparison: Comparison, name: str, runs: Sequence[Run]) -> LookaheadPoint:
    results = [run.lookahead[name] for run in runs]
    times = [one.microseconds for one in results if one.microseconds is not None]
    return LookaheadPoint(
        words=None if name == WHOLE else int(name),
        score=estimate([one.score for one in results]),
        microseconds=median(times) if times else None,
        share=_share(comparison, {run.seed: run.lookahead[name].score for run in runs}, runs[0].variant),
    )


def _share(comparison: Comparison, scores: dict[int, float], variant: Variant) -> float | None:
    """Compute the share of the backward gain that the scores (by seed) reach, over the common seeds.

    The backward gain compares the bidirectional model with the same head and merge mode, trained and used on
    whole sentences, with the forward model of the same head.
    """
    ends = (
        Variant("forward", None, variant.head),
        Variant(variant.direction, variant.merge_mode, variant.head),
    )
    runs = [runs_by_seed(comparison, end, "dev") for end in ends]
    seeds = [seed for seed in scores if all(seed in own for own in runs)]
    if not seeds:
        return None
    forward, whole = (fmean(comparison.score(own[seed]) for seed in seeds) for own in runs)
    if whole <= forward:
        return None
    return (fmean(scores[seed] for seed in seeds) - forward) / (whole - forward)


def _smallest_lookahead(points: Sequence[LookaheadPoint], share: float) -> int | None:
    """Find the smallest lookahead such that it and all larger ones reach this share of the gain."""
    smallest = None
    for point in reversed(points):
        if point.share is None or point.share < share:
            break
        smallest = point.words
    return smallest
