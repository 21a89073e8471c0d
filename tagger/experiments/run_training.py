"""Train one run of a comparison, a variant with a seed, and score it after its last epoch."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from tagger.errors import InputError
from tagger.evaluation.tasks import main_score
from tagger.experiments.grid import count_parameters
from tagger.experiments.material import Job, Material
from tagger.experiments.results import Lookahead, Run, lookahead_name
from tagger.experiments.run_files import save_run
from tagger.runtime.stream import StreamingTagger, tag_with_lookahead
from tagger.runtime.tagger import Tagger
from tagger.storage import make_own_folder, writing
from tagger.training.checkpoint import (
    Checkpoint,
    differences,
    load_checkpoint,
    restore_progress,
    save_checkpoint,
)
from tagger.training.loop import EpochRecord, train
from tagger.training.prediction import predict_split, score_predicted
from tagger.training.preparation import EncodedSplit
from tagger.training.processes import Processes
from tagger.training.progress import Progress, make_bundle
from tagger.training.schema import SavedCurve

CURVE = ("epoch", "loss", "score", "seconds", "tokens_per_second")  # saved fields of an ``EpochRecord``
PACKAGES = ("tagger", "torch", "numpy")  # packages whose versions are saved with a run
DELETE = "Delete the file to train this run again."
TIMED_TOKENS = 1000  # dev tokens to tag word by word when timing a lookahead


@dataclass(frozen=True, slots=True)
class EpochDone:
    """A run has finished an epoch.

    Attributes:
        name: Name of the run.
        epoch: Number of the epoch, from 1.
        score: Dev score.
    """

    name: str
    epoch: int
    score: float


@dataclass(frozen=True, slots=True)
class RunDone:
    """A run is finished and its file is written.

    Attributes:
        name: Name of the run.
        score: Dev score after the last epoch.
    """

    name: str
    score: float


def train_run(job: Job, material: Material) -> Generator[EpochDone | RunDone, None, None]:
    """Train one run, or resume it from the checkpoint of an interrupted call.

    Yields:
        One record after every epoch, and one at the end.

    Raises:
        InputError: The folder cannot be written, the checkpoint is damaged, or the loss is NaN or infinite;
            the message names the run.
    """
    try:
        yield from _train_run(job, material)
    except InputError as error:
        raise InputError(f"{job.name}: {error}") from None


def remove_checkpoint(job: Job, material: Material) -> None:
    """Remove the checkpoint of a finished run; a killed call can leave one behind."""
    shutil.rmtree(material.folder / job.name, ignore_errors=True)


def _train_run(job: Job, material: Material) -> Generator[EpochDone | RunDone, None, None]:
    description = material.describe(job)
    progress = Progress(material.preparation, material.configure(job), Processes())
    curve = _restore(progress, description, material.folder / job.name)
    yield from _train(job, material, progress, curve, description)
    if progress.average:
        progress.average.swap()
    run = _score(job, material, progress, curve)
    save_run(run, description, material.folder)
    remove_checkpoint(job, material)
    yield RunDone(job.name, run.curve[-1]["score"])


def _restore(progress: Progress, description: Mapping[str, str], folder: Path) -> list[dict[str, Any]]:
    """Restore the checkpoint of the run, if one with the same description exists.

    Returns:
        The learning curve of the finished epochs.

    Raises:
        InputError: The checkpoint is damaged.
    """
    checkpoint = load_checkpoint(folder, kind=SavedCurve, remedy=DELETE)
    if not checkpoint or not checkpoint.snapshot or differences(description, checkpoint.run):
        return []
    restore_progress(progress, checkpoint.snapshot, folder, remedy=DELETE)
    return [dict(epoch) for epoch in checkpoint.epochs]


def _train(
    job: Job,
    material: Material,
    progress: Progress,
    curve: list[dict[str, Any]],
    description: Mapping[str, str],
) -> Generator[EpochDone, None, None]:
    """Train the remaining epochs, and save a checkpoint every ``train.checkpoint_minutes``.

    Epochs of a comparison can be short and checkpoints large, so that only a value of 0 saves a checkpoint
    after every epoch.
    """
    config, folder = material.configure(job), material.folder / job.name
    interval, saved = config.train.checkpoint_minutes * 60, time.monotonic()
    for record in train(material.preparation, config, progress):
        if isinstance(record, EpochRecord):
            curve.append({name: getattr(record, name) for name in CURVE})
            yield EpochDone(job.name, record.epoch, curve[-1]["score"])
        is_due = time.monotonic() - saved > interval if interval else isinstance(record, EpochRecord)
        if is_due:
            with writing(folder):
                make_own_folder(folder)
            save_checkpoint(Checkpoint(description, curve, progress.capture()), folder)
            saved = time.monotonic()


def _score(job: Job, material: Material, progress: Progress, curve: Sequence[Mapping[str, Any]]) -> Run:
    model, vocabulary = progress.model, material.preparation.vocabulary
    (task,) = material.preparation.train.schemes
    predictions, seconds = {}, {}
    for name, split in material.scored_splits.items():
        start = time.perf_counter()
        with progress.own_torch():
            predictions[name] = predict_split(model, split, progress.processes)[task]
        seconds[name] = time.perf_counter() - start
    dev = material.scored_splits["dev"]
    return Run(
        variant=job.variant,
        seed=job.seed,
        hidden_size=job.hidden_size,
        parameters=count_parameters(model.config, vocabulary, model.words.trained.embedding_dim),
        scores={
            name: score_predicted(split, {task: predictions[name]})[task]
            for name, split in material.scored_splits.items()
        },
        curve=curve,
        seconds_per_epoch=median(epoch["seconds"] for epoch in curve),
        training_tokens_per_second=median(epoch["tokens_per_second"] for epoch in curve),
        tagging_tokens_per_second=sum(dev.lengths) / max(seconds["dev"], 1e-9),
        lookahead=_score_lookaheads(job, material, progress, predictions["dev"]),
        predictions=predictions,
        versions={name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
    )


def _score_lookaheads(
    job: Job, material: Material, progress: Progress, predicted: Sequence[Sequence[str]]
) -> dict[str, Lookahead]:
    """Compute the dev score and the time per word at each lookahead.

    Args:
        job: The run.
        material: Data and options of the comparison.
        progress: Training state with the trained model.
        predicted: Predicted dev tags with unbounded lookahead.
    """
    lookaheads, dev = material.lookaheads(job.variant), material.scored_splits["dev"]
    if not lookaheads:
        return {}
    bundle = make_bundle(material.preparation, material.configure(job), progress.model.state_dict())
    tagger = Tagger(bundle)
    (task,), results = dev.schemes, {}
    for words in lookaheads:
        tags = predicted
        if words is not None:
            tags = [one[task] for one in tag_with_lookahead(tagger, dev.sentences, words)]
        results[lookahead_name(words)] = Lookahead(
            score=main_score(score_predicted(dev, {task: tags})[task]),
            microseconds=None if words is None else _time_word(tagger, dev, words),
        )
    return results


def _time_word(tagger: Tagger, split: EncodedSplit, lookahead: int) -> float:
    """Measure the median microseconds per word when words arrive one at a time."""
    seconds: list[float] = []
    stream = StreamingTagger(tagger, lookahead=lookahead)
    for sentence in split.sentences:
        for token in sentence.tokens:
            start = time.perf_counter()
            stream.push(token)
            seconds.append(time.perf_counter() - start)
        stream.end_sentence()
        if len(seconds) >= TIMED_TOKENS:
            break
    return 1e6 * median(seconds)
