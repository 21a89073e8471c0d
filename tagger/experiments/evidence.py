"""What a gain looks like: sentences that only one of two variants has right, and errors that vanish."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tagger.evaluation.breakdown import Items
from tagger.evaluation.confusion import Kind, match_task
from tagger.experiments.findings import Confused, Evidence, Tagging
from tagger.experiments.pairing import Pairing, Reading
from tagger.text.schemes import convert_tags

VANISHED = 20  # kinds of confusion that are told at most

_Confusion = tuple[Kind, str | None, str | None]  # and the gold and predicted label


def find_evidence(pairing: Pairing) -> tuple[list[Evidence], list[Evidence]]:
    """Find the sentences that every run of one variant has wrong and every run of the other right.

    A sentence is right if all its spans are and there are no others, or without spans if all its tags are.

    Returns:
        Those that the base has wrong, and the reverse; both in the order of the part.
    """
    base_right, other_right = (
        [_right(pairing.items, run.items) for run in runs] for runs in (pairing.base_runs, pairing.other_runs)
    )
    gained, lost = [], []
    for number in range(len(pairing.items)):
        of_base, of_other = ({run[number] for run in runs} for runs in (base_right, other_right))
        if of_base == {False} and of_other == {True}:
            gained.append(_show(pairing, number, pairing.base_runs))
        elif of_base == {True} and of_other == {False}:
            lost.append(_show(pairing, number, pairing.other_runs))
    return gained, lost


def find_vanished(pairing: Pairing) -> list[Confused]:
    """Count the kinds of confusion of both variants.

    Returns:
        The ``VANISHED`` kinds of which the number changes the most, in either direction: those that become
        rarer first, by how much, and those that become more frequent last.
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
    return [wanted == found for wanted, found in zip(gold, predicted, strict=True)]


def _show(pairing: Pairing, number: int, wrong: Sequence[Reading]) -> Evidence:
    sentence, scheme = pairing.part.sentences[number], pairing.part.scheme
    gold = tuple(pairing.tags[number])
    taggings = [tuple(run.tags[number]) for run in wrong]
    if scheme is not None:  # also broken tags are shown as they were read
        gold = tuple(convert_tags(gold, scheme, "IOB2"))
        taggings = [tuple(convert_tags(tags, "IOB2", "IOB2")) for tags in taggings]
    ((tags, runs),) = Counter(taggings).most_common(1)
    return Evidence(sentence.source, sentence.tokens, gold, Tagging(tags, runs))


def _count_confusions(pairing: Pairing, runs: Sequence[Reading]) -> Counter[_Confusion]:
    """How often all runs together confuse what; sentences that are right are left out for speed."""
    counts = Counter[_Confusion]()
    for run in runs:
        wrong = [place for place, is_right in enumerate(_right(pairing.items, run.items)) if not is_right]
        gold, predicted = ([tags[place] for place in wrong] for tags in (pairing.tags, run.tags))
        for outcomes in match_task(gold, predicted, scheme=pairing.part.scheme):
            counts.update((one.kind, *one.labels) for one in outcomes if one.kind != "right")
    return counts
