"""Break a gain down by label, vocabulary, position in the sentence, sentence length, boundaries and types."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from tagger.evaluation.breakdown import Counts, count_borders, count_buckets
from tagger.evaluation.significance import estimate, estimate_difference
from tagger.experiments.findings import Origin, OriginKind
from tagger.experiments.pairing import Pairing, Reading

_ZERO = Counts(0, 0, 0)


def find_origins(pairing: Pairing) -> list[Origin]:
    """Score each bucket of items separately, for both variants.

    Returns:
        The buckets with gold items; kinds in the order of ``OriginKind``, buckets in reading order, labels
        by decreasing number of gold items.
    """
    base = [_count(pairing, run) for run in pairing.base_runs]
    other = [_count(pairing, run) for run in pairing.other_runs]
    origins = []
    for kind, bucket in base[0]:
        sides = [[run.get((kind, bucket), _ZERO) for run in runs] for runs in (base, other)]
        origin = _compare(kind, bucket, *sides)
        if origin.support:
            origins.append(origin)
    return origins


def _count(pairing: Pairing, run: Reading) -> dict[tuple[OriginKind, str], Counts]:
    split = pairing.gold
    kinds = count_buckets(split.sentences, split.seen, pairing.items, run.items)
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
