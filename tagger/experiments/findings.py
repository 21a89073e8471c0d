"""Findings of a comparison: the records from which the report is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tagger.evaluation.significance import Estimate
from tagger.experiments.results import Variant

OriginKind = Literal["label", "novelty", "position", "length", "span"]


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
        part: The split, ``dev`` or ``test``.
        difference: Score of other minus score of base, a fraction of 1, paired by seed.
        p_value: P-value of approximate randomisation over sentences, all seeds of a sentence together.
        p_corrected: P-value after Holm's correction for all gains tested on this split.
    """

    base: Variant
    other: Variant
    part: str
    difference: Estimate
    p_value: float
    p_corrected: float


@dataclass(frozen=True, slots=True)
class Origin:
    """The gain on one bucket of items.

    Attributes:
        kind: The grouping of the items: by ``label``, ``novelty`` (in or out of vocabulary), ``position`` in
            the sentence or sentence ``length``; for ``span``, the judged property (boundaries, types).
        bucket: The bucket of this grouping.
        support: Gold items in the bucket; for types, the gold spans with correctly predicted boundaries, mean
            over all runs.
        base: Score of the base over seeds, a fraction of 1.
        other: Score of the other variant over the same seeds.
        difference: Other minus base, paired by seed.
    """

    kind: OriginKind
    bucket: str
    support: int
    base: Estimate
    other: Estimate
    difference: Estimate


@dataclass(frozen=True, slots=True)
class Tagging:
    """Predicted tags of a sentence, and the number of runs that predict exactly these."""

    tags: Sequence[str]
    runs: int


@dataclass(frozen=True, slots=True)
class Evidence:
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
    wrong: Tagging


@dataclass(frozen=True, slots=True)
class Confused:
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
        origins: The gain by bucket; kinds in the order of ``OriginKind``, buckets in reading order.
        gained: Sentences that every run of the base gets wrong and every run of the other variant gets
            right, in file order.
        lost: The reverse.
        vanished: The kinds of confusion whose count changes the most: the largest decrease first, the largest
            increase last.
    """

    base: Variant
    other: Variant
    seeds: int
    origins: Sequence[Origin]
    gained: Sequence[Evidence]
    lost: Sequence[Evidence]
    vanished: Sequence[Confused]


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
        half: The smallest tested lookahead from which every larger one also reaches at least half of the
            gain; None if only whole sentences reach it, or not even they.
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
