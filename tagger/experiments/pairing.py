"""Pair the runs of two variants by seed, with their predictions on one split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tagger.evaluation.breakdown import Items, count_sentences, read_items
from tagger.evaluation.scores import TagSequences
from tagger.experiments.results import Comparison, GoldSplit, Run, Variant
from tagger.text.sentence import UNSPECIFIED


@dataclass(frozen=True, slots=True)
class Reading:
    """The predictions of one run on a split.

    Attributes:
        seed: Seed of the run.
        score: F1 or accuracy, a fraction of 1.
        tags: Tags of each sentence; IOB2 for spans.
        items: Spans of each sentence, or its tags.
    """

    seed: int
    score: float
    tags: TagSequences
    items: Items


@dataclass(frozen=True, slots=True)
class Pairing:
    """The runs of two variants on one split, paired by seed.

    Attributes:
        base: The baseline variant.
        other: The variant to compare with it.
        name: Name of the split.
        gold: Gold data of the split.
        tags: Gold tags of each sentence, in the scheme of the file.
        items: Gold items of each sentence.
        base_runs: Runs of the base with the common seeds, in order.
        other_runs: Runs of the other variant with the same seeds.
    """

    base: Variant
    other: Variant
    name: str
    gold: GoldSplit
    tags: TagSequences
    items: Items
    base_runs: Sequence[Reading]
    other_runs: Sequence[Reading]

    @property
    def has_spans(self) -> bool:
        """True if the compared items are spans."""
        return self.gold.scheme is not None

    def count(self, runs: Sequence[Reading]) -> NDArray[np.int64]:
        """Count the correct, predicted and gold items of K runs and S sentences: (K, S, 3)."""
        return np.stack([count_sentences(self.items, run.items) for run in runs])


def pair_runs(comparison: Comparison, base: Variant, other: Variant, name: str) -> Pairing | None:
    """Pair the runs of two variants by seed.

    Args:
        comparison: All runs.
        base: The baseline variant.
        other: The variant to compare with it.
        name: Name of the split.

    Returns:
        The pairing; None if no seed of both variants was scored on this split.
    """
    sides = [runs_by_seed(comparison, variant, name) for variant in (base, other)]
    seeds = [seed for seed in sides[0] if seed in sides[1]]
    if not seeds:
        return None
    gold = comparison.gold[name]
    tags = [sentence.tags[comparison.task] for sentence in gold.sentences]
    readings = [[_read(comparison, runs[seed], name) for seed in seeds] for runs in sides]
    return Pairing(base, other, name, gold, tags, read_items(tags, gold.scheme), *readings)


def runs_by_seed(comparison: Comparison, variant: Variant, name: str) -> dict[int, Run]:
    """Return the runs of a variant that were scored on a split, by seed."""
    return {run.seed: run for run in comparison.runs_of(variant) if name in run.scores}


def _read(comparison: Comparison, run: Run, name: str) -> Reading:
    tags = run.predictions[name]
    scheme = None if comparison.gold[name].scheme is None else "IOB2"
    if scheme is None:  # ignore predictions for tokens without a gold tag
        gold = [sentence.tags[comparison.task] for sentence in comparison.gold[name].sentences]
        tags = [
            [
                UNSPECIFIED if own == UNSPECIFIED else tag
                for own, tag in zip(gold_tags, predicted, strict=True)
            ]
            for gold_tags, predicted in zip(gold, tags, strict=True)
        ]
    return Reading(run.seed, comparison.score(run, name), tags, read_items(tags, scheme))
