"""From the runs of a comparison to what they show."""

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
from tagger.experiments.results import Comparison, Variant, find_twin


def summarise(comparison: Comparison) -> Findings:
    """Find all that the pages say; what the grid does not hold is left out."""
    gains, contrasts = [], []
    for base, other in _twins(comparison.variants):
        for name in comparison.gold:
            pairing = pair_runs(comparison, base, other, name)
            if pairing is None:
                continue
            gains.append(_judge(pairing))
            if base.direction == "forward" and name == "dev":
                contrasts.append(_contrast(pairing))
    return Findings(
        rows=[_summarise_variant(comparison, variant) for variant in comparison.variants],
        gains=_correct(gains),
        contrasts=contrasts,
        lookahead=find_curves(comparison),
    )


def _twins(variants: Sequence[Variant]) -> Iterator[tuple[Variant, Variant]]:
    """Each variant that reads one way, with the bidirectional one of the same head."""
    for base in variants:
        twin = find_twin(variants, base.head)
        if base.direction != "bidirectional" and twin:
            yield base, twin


def _judge(pairing: Pairing) -> Gain:
    scores = [[run.score for run in runs] for runs in (pairing.base_runs, pairing.other_runs)]
    counts = [pairing.count(runs) for runs in (pairing.base_runs, pairing.other_runs)]
    p_value = randomisation_test(*counts)
    difference = estimate_difference(*scores)
    return Gain(pairing.base, pairing.other, pairing.name, difference, p_value, p_corrected=p_value)


def _correct(gains: Sequence[Gain]) -> list[Gain]:
    """The same gains, their p-values corrected for all that were tested on the same part."""
    corrected = list(gains)
    for name in {gain.part for gain in gains}:
        places = [place for place, gain in enumerate(gains) if gain.part == name]
        p_values = correct_p_values([gains[place].p_value for place in places])
        for place, p_value in zip(places, p_values, strict=True):
            corrected[place] = replace(gains[place], p_corrected=p_value)
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
    epochs = zip(*(run.curve for run in runs), strict=False)  # those that all of them have
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
