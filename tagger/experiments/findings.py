"""What a comparison shows: the records from which its pages are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tagger.evaluation.significance import Estimate
from tagger.experiments.results import Variant

OriginKind = Literal["label", "novelty", "position", "length", "span"]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the headline table: one variant with its scores over seeds on each part, and its cost.

    Attributes:
        variant: The kind of model.
        seeds: How many runs it has.
        scores: For each part the score (a fraction of 1) over seeds.
        curve: For each epoch the mean dev score over seeds.
        hidden_size: LSTM units per direction.
        parameters: Trained numbers of ``encoder``, ``heads``, ``words`` and ``all``.
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
    """How much better one variant is than another, over the seeds that both have.

    Attributes:
        base: What is compared with (a model that reads one way).
        other: What may be better (a model that reads both ways).
        part: ``dev`` or ``test``.
        difference: Score of other minus that of base, a fraction of 1, paired by seed.
        p_value: Of approximate randomisation over sentences, all seeds of a sentence together.
        p_corrected: After Holm's correction for all gains that were tested on this part.
    """

    base: Variant
    other: Variant
    part: str
    difference: Estimate
    p_value: float
    p_corrected: float


@dataclass(frozen=True, slots=True)
class Origin:
    """One place where a gain comes from.

    Attributes:
        kind: What the items were sorted by: their ``label``, ``novelty`` (seen or unseen in train),
            ``position`` in the sentence, sentence ``length``, or for spans what was judged (borders, types).
        bucket: Which of these.
        support: Gold items in it; for types the gold spans whose borders a run finds, mean over all runs.
        base: Score of the base over seeds, a fraction of 1.
        other: Score of the other over the same seeds.
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
    """Tags that some of the runs gave a sentence, and how many of the runs gave just these."""

    tags: Sequence[str]
    runs: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """A sentence that every run of one variant has wrong and every run of the other right.

    Attributes:
        source: ``file:line`` where it begins.
        tokens: Its words.
        gold: Its tags (IOB2 where they mark spans), which the runs of the variant that is right gave.
        wrong: The most frequent tagging of the variant that is wrong.
    """

    source: str
    tokens: Sequence[str]
    gold: Sequence[str]
    wrong: Tagging


@dataclass(frozen=True, slots=True)
class Confused:
    """A kind of confusion, and how often a run has it.

    Attributes:
        kind: As in ``evaluation.confusion`` ("wrong type", "missed", "wrong tag", …).
        gold: Gold label, None where there is no gold span.
        predicted: Predicted label, None where there is no predicted span.
        base: Times a run of the base, mean over seeds.
        other: Times a run of the other.
    """

    kind: str
    gold: str | None
    predicted: str | None
    base: float
    other: float


@dataclass(frozen=True, slots=True)
class Contrast:
    """A forward variant beside its bidirectional twin, on dev.

    Attributes:
        base: The forward variant.
        other: The bidirectional variant with the same head.
        seeds: How many seeds both have.
        origins: Where the gain comes from; kinds in the order of ``OriginKind``, buckets in reading order.
        gained: Sentences that every base run has wrong and every other run right, in the file's order.
        lost: The reverse.
        vanished: The kinds of confusion whose number changes the most: those that become rarer first, by how
            much, those that become more frequent last.
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
    """What a variant reaches when so many of the next words are known.

    Attributes:
        words: Next words that are known; None for all of them.
        score: Over seeds, a fraction of 1.
        microseconds: Time a word when words come one at a time, median over runs; None if not measured.
        share: Part of the backward gain that it has: 0 at the forward model's score, 1 at that of the
            bidirectional one with the same merge mode trained and used on whole sentences; None where there
            is no gain, or one of these models is missing.
    """

    words: int | None
    score: Estimate
    microseconds: float | None
    share: float | None


@dataclass(frozen=True, slots=True)
class LookaheadCurve:
    """Scores against lookahead for one bidirectional variant.

    Attributes:
        variant: The kind of model, and what it was trained with.
        points: By rising lookahead, whole sentences last.
        half: The smallest lookahead that was tried from which on at least half of the gain is had; None if
            only whole sentences have it, or not even they.
        most: The same for nine tenths.
    """

    variant: Variant
    points: Sequence[LookaheadPoint]
    half: int | None
    most: int | None


@dataclass(frozen=True, slots=True)
class Findings:
    """All that the pages say.

    Attributes:
        rows: The headline table.
        gains: Of every bidirectional (concat, or the first merge mode there is) over every one-way variant of
            the same head, on each part; base ``forward`` is the gain of the backward pass.
        contrasts: One for each head that has both a forward and a bidirectional variant.
        lookahead: One for each bidirectional variant that was tried with bounded lookahead.
    """

    rows: Sequence[Row]
    gains: Sequence[Gain]
    contrasts: Sequence[Contrast]
    lookahead: Sequence[LookaheadCurve]
