"""Two variants side by side: their runs with the same seeds, and what these made of one part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tagger.evaluation.breakdown import Items, count_sentences, read_items
from tagger.evaluation.scores import TagSequences
from tagger.experiments.results import Comparison, GoldPart, Run, Variant
from tagger.text.sentence import UNSPECIFIED


@dataclass(frozen=True, slots=True)
class Reading:
    """What one run made of a part.

    Attributes:
        seed: Of the run.
        score: F1 or accuracy, a fraction of 1.
        tags: For each sentence its tags; IOB2 where they mark spans.
        items: For each sentence its spans, or its tags.
    """

    seed: int
    score: float
    tags: TagSequences
    items: Items


@dataclass(frozen=True, slots=True)
class Pairing:
    """Two variants on one part, run by run.

    Attributes:
        base: What is compared with.
        other: What may be better.
        name: Of the part.
        part: Its sentences.
        tags: For each sentence its gold tags, as the file has them.
        items: For each sentence its gold items.
        base_runs: Runs of the base with the seeds that both have, in their order.
        other_runs: Runs of the other, with the same seeds.
    """

    base: Variant
    other: Variant
    name: str
    part: GoldPart
    tags: TagSequences
    items: Items
    base_runs: Sequence[Reading]
    other_runs: Sequence[Reading]

    @property
    def has_spans(self) -> bool:
        """Whether what is compared are spans."""
        return self.part.scheme is not None

    def count(self, runs: Sequence[Reading]) -> NDArray[np.int64]:
        """Return (K, S, 3) for K runs and S sentences the items that are right, predicted and gold."""
        return np.stack([count_sentences(self.items, run.items) for run in runs])


def pair_runs(comparison: Comparison, base: Variant, other: Variant, name: str) -> Pairing | None:
    """Put the runs of two variants side by side.

    Args:
        comparison: All runs.
        base: What is compared with.
        other: What may be better.
        name: Of the part.

    Returns:
        The pairing; None if no seed of both was scored on that part.
    """
    sides = [runs_by_seed(comparison, variant, name) for variant in (base, other)]
    seeds = [seed for seed in sides[0] if seed in sides[1]]
    if not seeds:
        return None
    part = comparison.gold[name]
    tags = [sentence.tags[comparison.task] for sentence in part.sentences]
    readings = [[_read(comparison, runs[seed], name) for seed in seeds] for runs in sides]
    return Pairing(base, other, name, part, tags, read_items(tags, part.scheme), *readings)


def runs_by_seed(comparison: Comparison, variant: Variant, name: str) -> dict[int, Run]:
    """The runs of a variant that were scored on a part, by seed."""
    return {run.seed: run for run in comparison.runs_of(variant) if name in run.scores}


def _read(comparison: Comparison, run: Run, name: str) -> Reading:
    tags = run.predictions[name]
    scheme = None if comparison.gold[name].scheme is None else "IOB2"
    if scheme is None:  # a prediction counts only where there is a gold tag
        gold = [sentence.tags[comparison.task] for sentence in comparison.gold[name].sentences]
        tags = [
            [UNSPECIFIED if wanted == UNSPECIFIED else tag for wanted, tag in zip(own, found, strict=True)]
            for own, found in zip(gold, tags, strict=True)
        ]
    return Reading(run.seed, comparison.score(run, name), tags, read_items(tags, scheme))
