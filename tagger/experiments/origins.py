"""Where a gain comes from: labels, new words, places in the sentence, its length, borders and types."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from tagger.evaluation.breakdown import Counts, count_borders, count_buckets
from tagger.evaluation.significance import estimate, estimate_difference
from tagger.experiments.findings import Origin, OriginKind
from tagger.experiments.pairing import Pairing, Reading

_NOTHING = Counts(0, 0, 0)


def find_origins(pairing: Pairing) -> list[Origin]:
    """Score each bucket of items apart, for both variants.

    Returns:
        The buckets that hold gold items; kinds in the order of ``OriginKind``, buckets in reading order,
        labels by falling number of gold items.
    """
    base = [_count(pairing, run) for run in pairing.base_runs]
    other = [_count(pairing, run) for run in pairing.other_runs]
    found = []
    for kind, bucket in base[0]:
        sides = [[run.get((kind, bucket), _NOTHING) for run in runs] for runs in (base, other)]
        origin = _compare(kind, bucket, *sides)
        if origin.support:
            found.append(origin)
    return found


def _count(pairing: Pairing, run: Reading) -> dict[tuple[OriginKind, str], Counts]:
    part = pairing.part
    kinds = count_buckets(part.sentences, part.seen, pairing.items, run.items)
    counts: dict[tuple[OriginKind, str], Counts] = {
        (kind, bucket): own for kind, buckets in kinds.items() for bucket, own in buckets.items()
    }
    if pairing.has_spans:
        for bucket, own in count_borders(pairing.items, run.items).items():
            counts["span", bucket] = own
    return counts


def _compare(kind: OriginKind, bucket: str, base: Sequence[Counts], other: Sequence[Counts]) -> Origin:
    first, second = ([counts.score for counts in side] for side in (base, other))
    return Origin(
        kind,
        bucket,
        support=round(fmean(counts.gold for counts in (*base, *other))),
        base=estimate(first),
        other=estimate(second),
        difference=estimate_difference(first, second),
    )
