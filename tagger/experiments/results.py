"""Results of a comparison: variants, their runs, and all runs of one output folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tagger.config import Direction, HeadKind, LookaheadTraining, MergeMode
from tagger.text.sentence import Sentence

FORMAT = "tagger comparison 1"
Match = Literal["hidden", "width", "parameters"]
Measure = Literal["f1", "accuracy"]
WHOLE = "full"  # name of the unbounded lookahead, the whole sentence


@dataclass(frozen=True, slots=True)
class Variant:
    """One kind of model in the grid; each of its seeds is a run.

    Attributes:
        direction: Direction of the encoder.
        merge_mode: How the encoder merges two directions; None for a single direction.
        head: Kind of the output head.
        lookahead: Lookahead in training: whole sentences, or a random lookahead for each batch.
    """

    direction: Direction
    merge_mode: MergeMode | None
    head: HeadKind
    lookahead: LookaheadTraining = "full"

    @property
    def name(self) -> str:
        """Name in file names: ``bidirectional-concat-crf``, ``forward-softmax``."""
        parts = [self.direction, self.merge_mode, self.head]
        return "-".join([part for part in parts if part] + ["lookahead"] * (self.lookahead == "random"))

    def run_name(self, seed: int) -> str:
        """Return the name of the run with this seed, for file names."""
        return f"{self.name}-{seed}"

    @property
    def title(self) -> str:
        """Name in reports: ``bidirectional (sum), softmax``."""
        merged = f" ({self.merge_mode})" if self.merge_mode not in (None, "concat") else ""
        trained = ", random lookahead" if self.lookahead == "random" else ""
        return f"{self.direction}{merged}, {'CRF' if self.head == 'crf' else self.head}{trained}"


def find_bidirectional(variants: Iterable[Variant], head: HeadKind) -> Variant | None:
    """Find the bidirectional variant to compare unidirectional ones with: concat, or else the first."""
    whole = [one for one in variants if one.merge_mode and (one.head, one.lookahead) == (head, "full")]
    return min(whole, key=lambda variant: variant.merge_mode != "concat", default=None)


def lookahead_name(words: int | None) -> str:
    """Return the name of a lookahead in keys and settings; None means the whole sentence."""
    return WHOLE if words is None else str(words)


@dataclass(frozen=True, slots=True)
class Lookahead:
    """Score of one run at one lookahead.

    Attributes:
        score: F1 or accuracy on dev, a fraction of 1.
        microseconds: Time per word of ``runtime.stream.StreamingTagger``, one word at a time; None if not
            measured (whole sentences).
    """

    score: float
    microseconds: float | None


@dataclass(frozen=True, slots=True)
class Run:
    """One training run with its results after the last epoch (no epoch is selected by its score).

    Attributes:
        variant: The kind of model.
        seed: Seed of weights, order and dropout; runs with the same seed start from the same word and
            character features.
        hidden_size: LSTM units per direction.
        parameters: Numbers of trained parameters of ``encoder``, ``heads``, ``words`` (word vectors,
            characters, casing) and ``all``.
        scores: Result of ``evaluation.tasks.score_task`` for each split (``dev``, ``test``).
        curve: One entry per epoch: ``epoch``, ``loss``, ``score`` (on dev), ``seconds`` (of training).
        seconds_per_epoch: Median training time.
        training_tokens_per_second: Median over epochs.
        tagging_tokens_per_second: Speed of the trained network on dev, emissions and decoding.
        lookahead: Scores for each requested lookahead (``"0"``, ``"2"``, ``"full"``); empty for
            models other than bidirectional ones.
        predictions: Tags of every sentence for each split; IOB2 for spans.
        versions: Versions of the packages and of Python, by name.
    """

    variant: Variant
    seed: int
    hidden_size: int
    parameters: Mapping[str, int]
    scores: Mapping[str, Mapping[str, Any]]
    curve: Sequence[Mapping[str, Any]]
    seconds_per_epoch: float
    training_tokens_per_second: float
    tagging_tokens_per_second: float
    lookahead: Mapping[str, Lookahead]
    predictions: Mapping[str, Sequence[Sequence[str]]]
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name in file names."""
        return self.variant.run_name(self.seed)

    def values(self) -> dict[str, Any]:
        """Return all fields except the predictions as JSON values."""
        values = asdict(self)
        del values["predictions"]
        return {"name": self.name, **values}


@dataclass(frozen=True, slots=True)
class GoldSplit:
    """The gold data of a split.

    Attributes:
        file: File name.
        sentences: Sentences with the gold tags of the file and their position in it (``Sentence.source``).
        scheme: Scheme of the gold tags; None for tags that mark no spans.
        seen: For each sentence and token, True if train contains the word.
    """

    file: str
    sentences: Sequence[Sentence]
    scheme: str | None
    seen: Sequence[Sequence[bool]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All runs of one output folder.

    Attributes:
        task: Name of the task.
        measure: Key of the main score: ``f1`` for spans, ``accuracy`` for other tags.
        match: The size that all variants share: hidden size per direction, output width, or number of
            parameters.
        settings: Everything else that all runs share, as JSON values: ``config`` (all options), ``seeds``,
            ``files`` (``file``, ``sentences``, ``tokens`` and a digest of the ``content`` for each split),
            ``machine``.
        gold: The scored splits: ``dev``, and ``test`` if given.
        runs: Runs in grid order: variants as requested, each with its seeds in order.
    """

    task: str
    measure: Measure
    match: Match
    settings: Mapping[str, Any]
    gold: Mapping[str, GoldSplit]
    runs: Sequence[Run]

    @property
    def variants(self) -> list[Variant]:
        """The distinct variants, in order."""
        return list(dict.fromkeys(run.variant for run in self.runs))

    def runs_of(self, variant: Variant) -> list[Run]:
        """Return the runs of a variant, in seed order."""
        return [run for run in self.runs if run.variant == variant]

    def score(self, run: Run, split: str = "dev") -> float:
        """Return the main score of a run, a fraction of 1."""
        return float(run.scores[split][self.measure])
