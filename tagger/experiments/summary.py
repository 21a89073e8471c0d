"""Compute the findings of a comparison from its runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import fmean

from tagger.evaluation.significance import (
    correct_p_values,
    estimate,
    estimate_difference,
    randomisation_test,
)
from tagger.experiments.evidence import find_evidence, find_vanished
from tagger.experiments.findings import Contrast, Findings, Gain, Row
from tagger.experiments.lookahead import find_curves
from tagger.experiments.origins import find_origins
from tagger.experiments.pairing import Pairing, pair_runs
from tagger.experiments.results import Comparison, Variant, find_bidirectional


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
    for name in {gain.part for gain in gains}:
        indices = [index for index, gain in enumerate(gains) if gain.part == name]
        p_values = correct_p_values([gains[index].p_value for index in indices])
        for index, p_value in zip(indices, p_values, strict=True):
            corrected[index] = replace(gains[index], p_corrected=p_value)
    return corrected


def _contrast(pairing: Pairing) -> Contrast:
    gained, lost = find_evidence(pairing)
    return Contrast(
        base=pairing.base,
        other=pairing.other,
        seeds=len(pairing.base_runs),
        origins=find_origins(pairing),
        gained=gained,
        lost=lost,
        vanished=find_vanished(pairing),
    )


def _summarise_variant(comparison: Comparison, variant: Variant) -> Row:
    runs = comparison.runs_of(variant)
    scored = {name: [run for run in runs if name in run.scores] for name in comparison.gold}
    epochs = zip(*(run.curve for run in runs), strict=False)  # epochs common to all runs
    return Row(
        variant=variant,
        seeds=len(runs),
        scores={
            name: estimate([comparison.score(run, name) for run in own])
            for name, own in scored.items()
            if own
        },
        curve=[fmean(entry["score"] for entry in epoch) for epoch in epochs],
        hidden_size=runs[0].hidden_size,
        parameters=runs[0].parameters,
        seconds_per_epoch=fmean(run.seconds_per_epoch for run in runs),
        training_tokens_per_second=fmean(run.training_tokens_per_second for run in runs),
        tagging_tokens_per_second=fmean(run.tagging_tokens_per_second for run in runs),
    )
