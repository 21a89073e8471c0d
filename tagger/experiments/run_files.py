"""Read and write the file of a finished run: its description, results and predictions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from tagger.config import Direction, HeadKind, LookaheadTraining, MergeMode
from tagger.errors import InputError
from tagger.experiments.material import Job, Material
from tagger.experiments.results import Lookahead, Run, Variant, lookahead_name
from tagger.storage import read_input, write_whole
from tagger.text.schemes import convert_tags, split_tag
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

FORMAT = "tagger comparison run 1"
LARGEST_FILE = 1 << 30  # maximum size in bytes of a run file


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
        "format": FORMAT,
        "description": dict(description),
        "run": run.values(),
        "predictions": {split: list(map(list, tags)) for split, tags in run.predictions.items()},
    }
    content = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    write_whole(folder / f"{run.name}.json", content.encode(errors="surrogatepass"))


def load_run(job: Job, material: Material) -> Run | None:
    """Load and validate the run of a job; None if no earlier call has finished it.

    Args:
        job: The run.
        material: Current data and options, which must match those of the file.

    Raises:
        InputError: The file is damaged, or the run used other data or options.
    """
    path = material.folder / f"{job.name}.json"
    if not path.exists():
        return None
    try:
        content = read_input(path, most=LARGEST_FILE, is_stored=True)
        values = json.loads(content.decode(errors="surrogatepass"))
        validate(SavedFile, values)
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, error) from None
    different = differences(material.describe(job), values["description"])
    if different:
        raise InputError(
            f"{path}: this run used other data or options ({'; '.join(different)}). Choose another --output, "
            "or delete the file."
        )
    try:
        run = _restore(values["run"], values["predictions"])
        _require_matching(run, values["run"]["name"], job, material)
    except ValueError as error:
        raise _damaged(path, error) from None
    return run


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: the run is damaged ({error}). Delete the file to train this run again.")


def _restore(values: Mapping[str, Any], predictions: Mapping[str, Any]) -> Run:
    fields = {key: value for key, value in values.items() if key != "name"}
    fields["variant"] = Variant(**fields["variant"])
    fields["lookahead"] = {words: Lookahead(**scores) for words, scores in fields["lookahead"].items()}
    return Run(**fields, predictions=predictions)


def _require_matching(run: Run, name: str, job: Job, material: Material) -> None:
    """Check the values that the job and the data determine.

    Raises:
        ValueError: A value differs.
    """
    require_equal("run.name", name, job.name)
    require_equal("run.variant", run.variant, job.variant)
    require_equal("run.seed", run.seed, job.seed)
    require_equal("run.hidden_size", run.hidden_size, job.hidden_size)
    require_consecutive(run.curve)
    require_equal("epochs of run.curve", len(run.curve), material.configure(job).train.epochs)
    lookaheads = [lookahead_name(words) for words in material.lookaheads(job.variant)]
    require_equal("keys of run.lookahead", sorted(run.lookahead), sorted(lookaheads))
    splits = material.scored_splits
    for name, values in (("run.scores", run.scores), ("predictions", run.predictions)):
        require_equal(f"keys of {name}", sorted(values), sorted(splits))
    (task,) = material.preparation.vocabulary.tasks
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
