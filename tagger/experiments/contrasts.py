"""Contrast a forward with a bidirectional variant: gains by group of items, examples, changed confusions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tagger.evaluation.breakdown import (
    Counts,
    Items,
    count_borders,
    count_buckets,
    count_sentences,
    gold_items,
    predicted_items,
)
from tagger.evaluation.confusion import Kind, match_task
from tagger.evaluation.scores import TagSequences
from tagger.evaluation.significance import Estimate, estimate, estimate_difference
from tagger.experiments.grid import Variant
from tagger.experiments.results import Comparison, GoldSplit, Run
from tagger.text.schemes import convert_tags

GroupKind = Literal["label", "vocabulary", "position", "length", "span"]
MAX_CONFUSIONS = 20  # maximum number of reported kinds of confusion

_ConfusionKey = tuple[Kind, str | None, str | None]  # kind, gold label, predicted label
_ZERO = Counts(0, 0, 0)


@dataclass(frozen=True, slots=True)
class GroupGain:
    """The gain on one bucket of items.

    Attributes:
        kind: The grouping of the items: by ``label``, ``vocabulary`` (in or out of it), ``position`` in the
            sentence or sentence ``length``; for ``span``, the judged property (boundaries, types).
        bucket: The bucket of this grouping.
        support: Gold items in the bucket; for types, the gold spans with correctly predicted boundaries, mean
            over all runs.
        base: Score of the base over seeds, a fraction of 1.
        other: Score of the other variant over the same seeds.
        difference: Other minus base, paired by seed.
    """

    kind: GroupKind
    bucket: str
    support: int
    base: Estimate
    other: Estimate
    difference: Estimate


@dataclass(frozen=True, slots=True)
class Prediction:
    """Predicted tags of a sentence, and the number of runs that predict exactly these."""

    tags: Sequence[str]
    runs: int


@dataclass(frozen=True, slots=True)
class Example:
    """A sentence that every run of one variant gets wrong and every run of the other gets right.

    Attributes:
        source: ``file:line`` of its first token.
        tokens: Its words.
        gold: Gold tags (IOB2 for spans), equal to the prediction of the correct variant.
        wrong: The most frequent prediction of the wrong variant.
    """

    source: str
    tokens: Sequence[str]
    gold: Sequence[str]
    wrong: Prediction


@dataclass(frozen=True, slots=True)
class ConfusionChange:
    """A kind of confusion, and its mean count per run.

    Attributes:
        kind: As in ``evaluation.confusion`` ("wrong type", "missed", "wrong tag", …).
        gold: Gold label; None if there is no gold span.
        predicted: Predicted label; None if there is no predicted span.
        base: Count per run of the base, mean over seeds.
        other: Count per run of the other variant, mean over seeds.
    """

    kind: str
    gold: str | None
    predicted: str | None
    base: float
    other: float


@dataclass(frozen=True, slots=True)
class Contrast:
    """Comparison of a forward variant with the bidirectional variant of the same head, on dev.

    Attributes:
        base: The forward variant.
        other: The bidirectional variant with the same head.
        seeds: Number of common seeds.
        groups: The gain by bucket; kinds in the order of ``GroupKind``, buckets in reading order.
        gained: Sentences that every run of the base gets wrong and every run of the other variant gets
            right, in file order.
        lost: The reverse.
        confusions: The kinds of confusion whose count changes the most: the largest decrease first, the
            largest increase last.
    """

    base: Variant
    other: Variant
    seeds: int
    groups: Sequence[GroupGain]
    gained: Sequence[Example]
    lost: Sequence[Example]
    confusions: Sequence[ConfusionChange]


@dataclass(frozen=True, slots=True)
class PairedRun:
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
    base_runs: Sequence[PairedRun]
    other_runs: Sequence[PairedRun]

    @property
    def has_spans(self) -> bool:
        """True if the compared items are spans."""
        return self.gold.scheme is not None

    def count(self, runs: Sequence[PairedRun]) -> NDArray[np.int64]:
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
    runs_of_sides = [[_read(comparison, runs[seed], name) for seed in seeds] for runs in sides]
    return Pairing(base, other, name, gold, tags, gold_items(tags, gold.scheme), *runs_of_sides)


def runs_by_seed(comparison: Comparison, variant: Variant, name: str) -> dict[int, Run]:
    """Return the runs of a variant that were scored on a split, by seed."""
    return {run.seed: run for run in comparison.runs_of(variant) if name in run.scores}


def _read(comparison: Comparison, run: Run, name: str) -> PairedRun:
    gold = [sentence.tags[comparison.task] for sentence in comparison.gold[name].sentences]
    tags, items = predicted_items(gold, run.predictions[name], comparison.gold[name].scheme)
    return PairedRun(run.seed, comparison.score(run, name), tags, items)


def find_examples(pairing: Pairing) -> tuple[list[Example], list[Example]]:
    """Find the sentences that every run of one variant gets wrong and every run of the other gets right.

    A sentence is right if the predicted spans equal the gold spans; in tasks without spans, if all tags do.

    Returns:
        The sentences that only the other variant gets right, and those that only the base gets right; both
        in the order of the split.
    """
    base_right, other_right = (
        [_right(pairing.items, run.items) for run in runs] for runs in (pairing.base_runs, pairing.other_runs)
    )
    gained, lost = [], []
    for index in range(len(pairing.items)):
        of_base, of_other = ({run[index] for run in runs} for runs in (base_right, other_right))
        if of_base == {False} and of_other == {True}:
            gained.append(_make_example(pairing, index, pairing.base_runs))
        elif of_base == {True} and of_other == {False}:
            lost.append(_make_example(pairing, index, pairing.other_runs))
    return gained, lost


def find_changed_confusions(pairing: Pairing) -> list[ConfusionChange]:
    """Count the kinds of confusion of both variants.

    Returns:
        The ``MAX_CONFUSIONS`` kinds whose count changes the most in either direction, sorted by the decrease
        from base to other: the largest decrease first, the largest increase last.
    """
    base, other = (_count_confusions(pairing, runs) for runs in (pairing.base_runs, pairing.other_runs))
    runs = len(pairing.base_runs)
    change = {key: base[key] - other[key] for key in base | other if base[key] != other[key]}
    largest = sorted(change, key=lambda key: (-abs(change[key]), *map(str, key)))[:MAX_CONFUSIONS]
    return [
        ConfusionChange(*key, base[key] / runs, other[key] / runs)
        for key in sorted(largest, key=change.__getitem__, reverse=True)
    ]


def _right(gold: Items, predicted: Items) -> list[bool]:
    return [
        gold_items == predicted_items for gold_items, predicted_items in zip(gold, predicted, strict=True)
    ]


def _make_example(pairing: Pairing, index: int, wrong: Sequence[PairedRun]) -> Example:
    sentence, scheme = pairing.gold.sentences[index], pairing.gold.scheme
    gold = tuple(pairing.tags[index])
    taggings = [tuple(run.tags[index]) for run in wrong]
    if scheme is not None:  # the report shows illegal tags as the scorer reads them
        gold = tuple(convert_tags(gold, scheme, "IOB2"))
        taggings = [tuple(convert_tags(tags, "IOB2", "IOB2")) for tags in taggings]
    ((tags, runs),) = Counter(taggings).most_common(1)
    return Example(sentence.source, sentence.tokens, gold, Prediction(tags, runs))


def _count_confusions(pairing: Pairing, runs: Sequence[PairedRun]) -> Counter[_ConfusionKey]:
    """Count confusions over all runs; correct sentences are skipped for speed."""
    counts = Counter[_ConfusionKey]()
    for run in runs:
        wrong = [index for index, is_right in enumerate(_right(pairing.items, run.items)) if not is_right]
        gold, predicted = ([tags[index] for index in wrong] for tags in (pairing.tags, run.tags))
        for outcomes in match_task(gold, predicted, scheme=pairing.gold.scheme):
            counts.update((outcome.kind, *outcome.labels) for outcome in outcomes if outcome.kind != "right")
    return counts


def measure_groups(pairing: Pairing) -> list[GroupGain]:
    """Score each bucket of items separately, for both variants.

    Returns:
        The buckets with gold items; kinds in the order of ``GroupKind``, buckets in reading order, labels
        by decreasing number of gold items.
    """
    base = [_count(pairing, run) for run in pairing.base_runs]
    other = [_count(pairing, run) for run in pairing.other_runs]
    groups = []
    for kind, bucket in base[0]:
        sides = [[run.get((kind, bucket), _ZERO) for run in runs] for runs in (base, other)]
        group = _compare(kind, bucket, *sides)
        if group.support:
            groups.append(group)
    return groups


def _count(pairing: Pairing, run: PairedRun) -> dict[tuple[GroupKind, str], Counts]:
    split = pairing.gold
    kinds = count_buckets(split.sentences, split.seen, pairing.items, run.items)
    counts: dict[tuple[GroupKind, str], Counts] = {
        (kind, bucket): bucket_counts
        for kind, buckets in kinds.items()
        for bucket, bucket_counts in buckets.items()
    }
    if pairing.has_spans:
        for bucket, bucket_counts in count_borders(pairing.items, run.items).items():
            counts["span", bucket] = bucket_counts
    return counts


def _compare(kind: GroupKind, bucket: str, base: Sequence[Counts], other: Sequence[Counts]) -> GroupGain:
    first, second = ([counts.score for counts in side] for side in (base, other))
    return GroupGain(
        kind,
        bucket,
        support=round(fmean(counts.gold for counts in (*base, *other))),
        base=estimate(first),
        other=estimate(second),
        difference=estimate_difference(first, second),
    )
