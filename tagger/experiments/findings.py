"""The findings of a comparison: scores of each variant, gains with their significance, lookahead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median

from tagger.evaluation.significance import (
    Estimate,
    correct_p_values,
    estimate,
    estimate_difference,
    randomisation_test,
)
from tagger.experiments.contrasts import (
    Contrast,
    Pairing,
    find_changed_confusions,
    find_examples,
    measure_groups,
    pair_runs,
    runs_by_seed,
)
from tagger.experiments.grid import WHOLE, Variant, find_bidirectional
from tagger.experiments.results import Comparison, Run

HALF, MOST = 0.5, 0.9


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the score table: one variant with its scores over seeds on each split, and its cost.

    Attributes:
        variant: The kind of model.
        seeds: Number of runs.
        scores: Score (a fraction of 1) over seeds for each split.
        curve: Mean dev score over seeds for each epoch.
        hidden_size: LSTM units per direction.
        parameters: Numbers of trained parameters of ``encoder``, ``heads``, ``words`` and ``all``.
        seconds_per_epoch: Mean over seeds.
        training_tokens_per_second: Mean over seeds.
        tagging_tokens_per_second: Mean over seeds.
    """

    variant: Variant
    seeds: int
    scores: Mapping[str, Estimate]
    curve: Sequence[float]
    hidden_size: int
    parameters: Mapping[str, int]
    seconds_per_epoch: float
    training_tokens_per_second: float
    tagging_tokens_per_second: float


@dataclass(frozen=True, slots=True)
class Gain:
    """The gain of one variant over another, over their common seeds.

    Attributes:
        base: The unidirectional variant.
        other: The bidirectional variant.
        split: The split, ``dev`` or ``test``.
        difference: Score of other minus score of base, a fraction of 1, paired by seed.
        p_value: P-value of approximate randomisation over sentences, all seeds of a sentence together.
        p_corrected: P-value after Holm's correction for all gains tested on this split.
    """

    base: Variant
    other: Variant
    split: str
    difference: Estimate
    p_value: float
    p_corrected: float


@dataclass(frozen=True, slots=True)
class LookaheadPoint:
    """The score of a variant at one lookahead.

    Attributes:
        words: Lookahead in words; None for whole sentences.
        score: Score over seeds, a fraction of 1.
        microseconds: Time per word when words arrive one at a time, median over runs; None if not measured.
        share: Share of the backward gain: 0 at the score of the forward model, 1 at that of the bidirectional
            model with the same merge mode, trained and used on whole sentences; None if there is no gain or
            one of these models is missing.
    """

    words: int | None
    score: Estimate
    microseconds: float | None
    share: float | None


@dataclass(frozen=True, slots=True)
class LookaheadCurve:
    """Score against lookahead for one bidirectional variant.

    Attributes:
        variant: The kind of model and its training lookahead.
        points: Points by increasing lookahead, whole sentences last.
        half: The smallest tested lookahead that reaches at least half of the gain, as do all larger ones;
            None if only whole sentences reach it, or nothing does.
        most: The same for nine tenths.
    """

    variant: Variant
    points: Sequence[LookaheadPoint]
    half: int | None
    most: int | None


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that the report shows.

    Attributes:
        rows: Rows of the score table.
        gains: Gains of the bidirectional variant (concat, or else the first merge mode) over every
            unidirectional variant of the same head, on each split; with base ``forward``, the gain of the
            backward pass.
        contrasts: One for each head that has both a forward and a bidirectional variant.
        lookahead: One curve for each bidirectional variant tested with bounded lookahead.
    """

    rows: Sequence[Row]
    gains: Sequence[Gain]
    contrasts: Sequence[Contrast]
    lookahead: Sequence[LookaheadCurve]


def summarise(comparison: Comparison) -> Findings:
    """Compute all findings of the report; omit those that need variants missing from the grid."""
    gains, contrasts = [], []
    for base, other in _pair_variants(comparison.variants):
        for name in comparison.gold:
            pairing = pair_runs(comparison, base, other, name)
            if pairing is None:
                continue
            gains.append(_measure_gain(pairing))
            if base.direction == "forward" and name == "dev":
                contrasts.append(_contrast(pairing))
    return Findings(
        rows=[_summarise_variant(comparison, variant) for variant in comparison.variants],
        gains=_correct_gains(gains),
        contrasts=contrasts,
        lookahead=find_curves(comparison),
    )


def _pair_variants(variants: Sequence[Variant]) -> Iterator[tuple[Variant, Variant]]:
    """Yield each unidirectional variant with the bidirectional one of the same head."""
    for base in variants:
        other = find_bidirectional(variants, base.head)
        if base.direction != "bidirectional" and other:
            yield base, other


def _measure_gain(pairing: Pairing) -> Gain:
    scores = [[run.score for run in runs] for runs in (pairing.base_runs, pairing.other_runs)]
    counts = [pairing.count(runs) for runs in (pairing.base_runs, pairing.other_runs)]
    p_value = randomisation_test(*counts)
    difference = estimate_difference(*scores)
    return Gain(pairing.base, pairing.other, pairing.name, difference, p_value, p_corrected=p_value)


def _correct_gains(gains: Sequence[Gain]) -> list[Gain]:
    """Correct the p-values of gains for multiple tests on the same split."""
    corrected = list(gains)
    for name in {gain.split for gain in gains}:
        indices = [index for index, gain in enumerate(gains) if gain.split == name]
        p_values = correct_p_values([gains[index].p_value for index in indices])
        for index, p_value in zip(indices, p_values, strict=True):
            corrected[index] = replace(gains[index], p_corrected=p_value)
    return corrected


def _contrast(pairing: Pairing) -> Contrast:
    gained, lost = find_examples(pairing)
    return Contrast(
        base=pairing.base,
        other=pairing.other,
        seeds=len(pairing.base_runs),
        groups=measure_groups(pairing),
        gained=gained,
        lost=lost,
        confusions=find_changed_confusions(pairing),
    )


def _summarise_variant(comparison: Comparison, variant: Variant) -> Row:
    runs = comparison.runs_of(variant)
    scored = {name: [run for run in runs if name in run.scores] for name in comparison.gold}
    epochs = zip(*(run.curve for run in runs), strict=False)  # epochs common to all runs
    return Row(
        variant=variant,
        seeds=len(runs),
        scores={
            name: estimate([comparison.score(run, name) for run in scored_runs])
            for name, scored_runs in scored.items()
            if scored_runs
        },
        curve=[fmean(entry["score"] for entry in epoch) for epoch in epochs],
        hidden_size=runs[0].hidden_size,
        parameters=runs[0].parameters,
        seconds_per_epoch=fmean(run.seconds_per_epoch for run in runs),
        training_tokens_per_second=fmean(run.training_tokens_per_second for run in runs),
        tagging_tokens_per_second=fmean(run.tagging_tokens_per_second for run in runs),
    )


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
    times = [result.microseconds for result in results if result.microseconds is not None]
    return LookaheadPoint(
        words=None if name == WHOLE else int(name),
        score=estimate([result.score for result in results]),
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
    seeds = [seed for seed in scores if all(seed in by_seed for by_seed in runs)]
    if not seeds:
        return None
    forward, whole = (fmean(comparison.score(by_seed[seed]) for seed in seeds) for by_seed in runs)
    if whole <= forward:
        return None
    return (fmean(scores[seed] for seed in seeds) - forward) / (whole - forward)


def _smallest_lookahead(points: Sequence[LookaheadPoint], share: float) -> int | None:
    """Find the smallest lookahead from which on every lookahead reaches this share of the gain."""
    smallest = None
    for point in reversed(points):
        if point.share is None or point.share < share:
            break
        smallest = point.words
    return smallest
