"""What a comparison is made of: variants, their runs, and all runs of one output folder together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tagger.config import Direction, HeadKind, LookaheadTraining, MergeMode
from tagger.text.sentence import Sentence

FORMAT = "tagger comparison 1"
Match = Literal["hidden", "width", "parameters"]
Measure = Literal["f1", "accuracy"]
WHOLE = "full"  # the name of the lookahead that is the whole sentence


@dataclass(frozen=True, slots=True)
class Variant:
    """One kind of model of the grid; its seeds are runs.

    Attributes:
        direction: Which way the encoder reads.
        merge_mode: How two directions become one; None where there is one direction.
        head: What scores the tags.
        lookahead: What the model was trained with: whole sentences, or a random lookahead a batch.
    """

    direction: Direction
    merge_mode: MergeMode | None
    head: HeadKind
    lookahead: LookaheadTraining = "full"

    @property
    def name(self) -> str:
        """As it stands in names of files: ``bidirectional-concat-crf``, ``forward-softmax``."""
        parts = [self.direction, self.merge_mode, self.head]
        return "-".join([part for part in parts if part] + ["lookahead"] * (self.lookahead == "random"))

    def run_name(self, seed: int) -> str:
        """That of its run with a seed, as it stands in names of files."""
        return f"{self.name}-{seed}"

    @property
    def title(self) -> str:
        """As a reader reads it: ``bidirectional (sum), softmax``."""
        merged = f" ({self.merge_mode})" if self.merge_mode not in (None, "concat") else ""
        trained = ", random lookahead" if self.lookahead == "random" else ""
        return f"{self.direction}{merged}, {'CRF' if self.head == 'crf' else self.head}{trained}"


def find_twin(variants: Iterable[Variant], head: HeadKind) -> Variant | None:
    """The bidirectional variant that those of one direction are compared with: concat, or else the first."""
    whole = [one for one in variants if one.merge_mode and (one.head, one.lookahead) == (head, "full")]
    return min(whole, key=lambda variant: variant.merge_mode != "concat", default=None)


def lookahead_name(words: int | None) -> str:
    """What a number of next words is called in keys and settings; None stands for all of them."""
    return WHOLE if words is None else str(words)


@dataclass(frozen=True, slots=True)
class Lookahead:
    """Scores of one run when only so many of the next words are known.

    Attributes:
        score: F1 or accuracy on dev, a fraction of 1.
        microseconds: Time a word of ``runtime.stream.StreamingTagger``, one word at a time; None where it was
            not measured (whole sentences).
    """

    score: float
    microseconds: float | None


@dataclass(frozen=True, slots=True)
class Run:
    """One training and what came of it, after its last epoch (none is chosen by its score).

    Attributes:
        variant: The kind of model.
        seed: Of weights, order and dropout; equal seeds have equal first word and character features.
        hidden_size: LSTM units per direction.
        parameters: Trained numbers: of the ``encoder``, of the ``heads``, of the ``words`` (word vectors,
            characters, casing), and of ``all``.
        scores: For each part (``dev``, ``test``) what ``evaluation.tasks.score_task`` returns.
        curve: An entry an epoch: ``epoch``, ``loss``, ``score`` (on dev), ``seconds`` (of training).
        seconds_per_epoch: Median training time.
        training_tokens_per_second: Median over epochs.
        tagging_tokens_per_second: Of emissions and decoding of dev by the trained network.
        lookahead: For each lookahead that was asked for (``"0"``, ``"2"``, ``"full"``) its scores; empty for
            models without a backward direction.
        predictions: For each part the tags of every sentence; IOB2 where they mark spans.
        versions: Of what it was made with, by name.
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
        """As it stands in names of files."""
        return self.variant.run_name(self.seed)

    def values(self) -> dict[str, Any]:
        """All but the predictions as JSON values."""
        values = asdict(self)
        del values["predictions"]
        return {"name": self.name, **values}


@dataclass(frozen=True, slots=True)
class GoldPart:
    """What the predictions of a part are compared with.

    Attributes:
        file: The file's name.
        sentences: With their gold tags as the file has them, and their places (``Sentence.source``).
        scheme: Of the gold tags; None for tags that mark no spans.
        seen: For each sentence and token whether train has the word.
    """

    file: str
    sentences: Sequence[Sentence]
    scheme: str | None
    seen: Sequence[Sequence[bool]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All runs of one output folder.

    Attributes:
        task: What is tagged.
        measure: ``f1`` for spans, ``accuracy`` for other tags: the key of the main score.
        match: What rows have in common: hidden size per direction, output width, or number of parameters.
        settings: What else all runs share, as JSON values: ``config`` (all options), ``seeds``, ``files``
            (for each part ``file``, ``sentences``, ``tokens`` and a digest of its ``content``), ``machine``.
        gold: The parts that were scored: ``dev``, and ``test`` where it was given.
        runs: In the order of the grid: variants as they were asked for, each with its seeds in order.
    """

    task: str
    measure: Measure
    match: Match
    settings: Mapping[str, Any]
    gold: Mapping[str, GoldPart]
    runs: Sequence[Run]

    @property
    def variants(self) -> list[Variant]:
        """The kinds of models, each once, in order."""
        return list(dict.fromkeys(run.variant for run in self.runs))

    def runs_of(self, variant: Variant) -> list[Run]:
        """Its runs, in the order of their seeds."""
        return [run for run in self.runs if run.variant == variant]

    def score(self, run: Run, part: str = "dev") -> float:
        """The main score of a run, a fraction of 1."""
        return float(run.scores[part][self.measure])
