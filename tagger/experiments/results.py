"""Results of a comparison: runs, their files, and all runs of one output folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from tagger.config import Direction, HeadKind, LookaheadTraining, Match, MergeMode
from tagger.errors import InputError
from tagger.experiments.grid import ComparisonData, Job, Variant, lookahead_name
from tagger.storage import read_input, write_whole
from tagger.text.schemes import convert_tags, split_tag
from tagger.text.sentence import Sentence
from tagger.training.checkpoint import differences
from tagger.training.schema import (
    Amount,
    Count,
    Saved,
    SavedPoint,
    Share,
    TaskScores,
    require_consecutive,
    require_equal,
    validate,
)

FORMAT = "tagger comparison 1"
Measure = Literal["f1", "accuracy"]
RUN_FORMAT = "tagger comparison run 1"
LARGEST_FILE = 1 << 30  # maximum size in bytes of a run file


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
        """The name of the run, used in file names."""
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


class SavedVariant(Saved):
    """A kind of model."""

    direction: Direction
    merge_mode: MergeMode | None
    head: HeadKind
    lookahead: LookaheadTraining


class SavedLookahead(Saved):
    """Score at one lookahead."""

    score: Share
    microseconds: Amount | None


class SavedParameters(Saved):
    """Numbers of trained parameters."""

    encoder: Count
    heads: Count
    words: Count
    all: Count


class SavedScoredPoint(SavedPoint):
    """One epoch of a learning curve; the score is required."""

    score: Share


class SavedRun(Saved):
    """A run without its predictions."""

    name: str
    variant: SavedVariant
    seed: Count
    hidden_size: Count
    parameters: SavedParameters
    scores: dict[str, TaskScores]
    curve: list[SavedScoredPoint]
    seconds_per_epoch: Amount
    training_tokens_per_second: Amount
    tagging_tokens_per_second: Amount
    lookahead: dict[str, SavedLookahead]
    versions: dict[str, str]


class SavedFile(Saved):
    """The file of a run."""

    format: Literal["tagger comparison run 1"]
    description: dict[str, str]
    run: SavedRun
    predictions: dict[str, list[list[str]]]


def save_run(run: Run, description: Mapping[str, str], folder: Path) -> None:
    """Write the file of a run. Its existence marks the run as finished.

    Args:
        run: The run.
        description: Everything that determines the result.
        folder: Folder of the run files.

    Raises:
        InputError: The file cannot be written.
    """
    values = {
        "format": RUN_FORMAT,
        "description": dict(description),
        "run": run.values(),
        "predictions": {split: list(map(list, tags)) for split, tags in run.predictions.items()},
    }
    content = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    write_whole(folder / f"{run.name}.json", content.encode(errors="surrogatepass"))


def load_run(job: Job, data: ComparisonData) -> Run | None:
    """Load and validate the run of a job; None if no earlier call has finished it.

    Args:
        job: The run.
        data: Current data and options, which must match those of the file.

    Raises:
        InputError: The file is damaged, or the run used other data or options.
    """
    path = data.folder / f"{job.name}.json"
    if not path.exists():
        return None
    try:
        content = read_input(path, max_bytes=LARGEST_FILE, is_stored=True)
        values = json.loads(content.decode(errors="surrogatepass"))
        validate(SavedFile, values)
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, error) from None
    different = differences(data.describe(job), values["description"])
    if different:
        raise InputError(
            f"this run used other data or options ({'; '.join(different)}). Choose another --output, or "
            "delete the file.",
            code="run.mismatch",
            where=path,
            option="--output",
        )
    try:
        run = _restore(values["run"], values["predictions"])
        _require_matching(run, values["run"]["name"], job, data)
    except ValueError as error:
        raise _damaged(path, error) from None
    return run


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(
        f"the run is damaged ({error}). Delete the file to train this run again.",
        code="run.damaged",
        where=path,
    )


def _restore(values: Mapping[str, Any], predictions: Mapping[str, Any]) -> Run:
    fields = {key: value for key, value in values.items() if key != "name"}
    fields["variant"] = Variant(**fields["variant"])
    fields["lookahead"] = {words: Lookahead(**scores) for words, scores in fields["lookahead"].items()}
    return Run(**fields, predictions=predictions)


def _require_matching(run: Run, name: str, job: Job, data: ComparisonData) -> None:
    """Check the values that the job and the data determine.

    Raises:
        ValueError: A value differs.
    """
    require_equal("run.name", name, job.name)
    require_equal("run.variant", run.variant, job.variant)
    require_equal("run.seed", run.seed, job.seed)
    require_equal("run.hidden_size", run.hidden_size, job.hidden_size)
    require_consecutive(run.curve)
    require_equal("epochs of run.curve", len(run.curve), data.configure(job).train.epochs)
    lookaheads = [lookahead_name(words) for words in data.lookaheads(job.variant)]
    require_equal("keys of run.lookahead", sorted(run.lookahead), sorted(lookaheads))
    splits = data.scored_splits
    for name, values in (("run.scores", run.scores), ("predictions", run.predictions)):
        require_equal(f"keys of {name}", sorted(values), sorted(splits))
    (task,) = data.preparation.vocabulary.tasks
    tags = {convert_tags([tag], task.scheme, "IOB2")[0] for tag in task.tags} if task.scheme else {*task.tags}
    tags |= {f"I-{split_tag(tag)[1]}" for tag in tags if task.scheme and tag != "O"}
    for split, predicted in run.predictions.items():
        require_equal(f"run.scores.{split} has spans", "f1" in run.scores[split], task.scheme is not None)
        require_equal(
            f"tokens of predictions.{split}", [len(row) for row in predicted], splits[split].lengths
        )
        require_equal(
            f"unknown tags in predictions.{split}", {t for row in predicted for t in row} - tags, set()
        )
