"""Find evidence for a gain: sentences that only one variant tags correctly, and errors that become rarer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tagger.evaluation.breakdown import Items
from tagger.evaluation.confusion import Kind, match_task
from tagger.experiments.findings import Confused, Evidence, Tagging
from tagger.experiments.pairing import Pairing, Reading
from tagger.text.schemes import convert_tags

VANISHED = 20  # maximum number of reported kinds of confusion

_Confusion = tuple[Kind, str | None, str | None]  # kind, gold label, predicted label


def find_evidence(pairing: Pairing) -> tuple[list[Evidence], list[Evidence]]:
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
            gained.append(_make_evidence(pairing, index, pairing.base_runs))
        elif of_base == {True} and of_other == {False}:
            lost.append(_make_evidence(pairing, index, pairing.other_runs))
    return gained, lost


def find_vanished(pairing: Pairing) -> list[Confused]:
    """Count the kinds of confusion of both variants.

    Returns:
        The ``VANISHED`` kinds whose count changes the most in either direction, sorted by the decrease from
        base to other: the largest decrease first, the largest increase last.
    """
    base, other = (_count_confusions(pairing, runs) for runs in (pairing.base_runs, pairing.other_runs))
    runs = len(pairing.base_runs)
    change = {key: base[key] - other[key] for key in base | other if base[key] != other[key]}
    largest = sorted(change, key=lambda key: (-abs(change[key]), *map(str, key)))[:VANISHED]
    return [
        Confused(*key, base[key] / runs, other[key] / runs)
        for key in sorted(largest, key=change.__getitem__, reverse=True)
    ]


def _right(gold: Items, predicted: Items) -> list[bool]:
    return [
        gold_items == predicted_items for gold_items, predicted_items in zip(gold, predicted, strict=True)
    ]


def _make_evidence(pairing: Pairing, index: int, wrong: Sequence[Reading]) -> Evidence:
    sentence, scheme = pairing.gold.sentences[index], pairing.gold.scheme
    gold = tuple(pairing.tags[index])
    taggings = [tuple(run.tags[index]) for run in wrong]
    if scheme is not None:  # the report shows illegal tags as the scorer reads them
        gold = tuple(convert_tags(gold, scheme, "IOB2"))
        taggings = [tuple(convert_tags(tags, "IOB2", "IOB2")) for tags in taggings]
    ((tags, runs),) = Counter(taggings).most_common(1)
    return Evidence(sentence.source, sentence.tokens, gold, Tagging(tags, runs))


def _count_confusions(pairing: Pairing, runs: Sequence[Reading]) -> Counter[_Confusion]:
    """Count confusions over all runs; correct sentences are skipped for speed."""
    counts = Counter[_Confusion]()
    for run in runs:
        wrong = [index for index, is_right in enumerate(_right(pairing.items, run.items)) if not is_right]
        gold, predicted = ([tags[index] for index in wrong] for tags in (pairing.tags, run.tags))
        for outcomes in match_task(gold, predicted, scheme=pairing.gold.scheme):
            counts.update((one.kind, *one.labels) for one in outcomes if one.kind != "right")
    return counts
