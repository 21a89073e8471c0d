"""A complete training run: reads corpus files and writes a model folder."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagger.bundle import holds_bundle
from tagger.config import Config, TrainConfig
from tagger.errors import InputError
from tagger.storage import claim_folder
from tagger.training.checkpoint import (
    CHECKPOINT,
    RESTART,
    Checkpoint,
    describe_run,
    differences,
    load_checkpoint,
    restore_progress,
)
from tagger.training.folder import ModelFolder, describe_data, require_usable
from tagger.training.loop import EpochRecord, StepRecord, cosine_cycle, is_over, train
from tagger.training.preparation import Preparation, prepare
from tagger.training.processes import Processes
from tagger.training.progress import Progress

TENSORBOARD = "tensorboard"  # subfolder of the model folder for TensorBoard's event files
LENGTH_OPTIONS = ("train.epochs", "train.warm_restarts")  # options that may change when a run is resumed
STEPS_BETWEEN_EVENTS = 20
SECONDS_BETWEEN_PLOTS = 30.0  # of training; drawing a plot takes less than a second


@dataclass(frozen=True)
class DataRecord:
    """The data and the starting point of the run, before the first step.

    Attributes:
        data: Files, sentences, tokens, schemes, repairs and unseen tags of each split, and the number of
            words with vectors, as in ``metrics.json``.
        preparation: The encoded data.
        earlier: Epochs of the run that is resumed, without weights; empty for a new run.
        step: Steps already done in the next epoch.
        is_finished: True if no training is left to do.
        processes: Number of training processes.
    """

    data: Mapping[str, Any]
    preparation: Preparation
    earlier: Sequence[EpochRecord]
    step: int
    is_finished: bool
    processes: int


@dataclass(frozen=True)
class StopRecord:
    """The run stopped on request and saved a checkpoint to resume from.

    Attributes:
        epoch: The epoch in which the run stopped, from 1.
        step: Steps done in this epoch; 0 right after the end of the previous one.
    """

    epoch: int
    step: int


Record = DataRecord | StepRecord | EpochRecord | StopRecord


def run_training(
    config: Config,
    output: Path,
    *,
    train_files: Sequence[Path],
    dev_files: Sequence[Path] = (),
    vectors_file: Path | None = None,
    resume: bool | None = None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Generator[Record, None, None]:
    """Train a model and save its best epoch to a folder.

    After every epoch the run saves the best model so far (without a dev split the latest one), a line of
    ``metrics.jsonl`` and a checkpoint; it saves further checkpoints every ``train.checkpoint_minutes``. A run
    can be interrupted at any time: a resumed run ends with the same weights, bit for bit. At the end, and
    when it stops on request, the run fits the temperatures of the saved model on dev. It draws the learning
    curves at the end, also if the generator is closed or interrupted, and from time to time before. The run
    replaces an earlier model in the folder.

    Args:
        config: All options.
        output: The model folder; created if it does not exist.
        train_files: Corpus files of the train split.
        dev_files: Corpus files of the dev split, which selects the best epoch; empty for none.
        vectors_file: Static word vectors, or None.
        resume: True resumes the folder's unfinished run, if any; False starts a new run; None starts a new
            run, but raises an error if the folder has an unfinished one.
        is_stopped: Called after every step; if it returns True, the run saves a checkpoint and ends.

    Yields:
        A ``DataRecord``, then a record after each step and each epoch (already saved), and finally a
        ``StopRecord`` if the run stopped on request.

    Raises:
        InputError: A file is invalid, the folder cannot be written, another process writes to it, the run to
            resume has other options or data, or another training process ended.
    """
    processes = Processes(output / TENSORBOARD if config.train.tensorboard else None)
    if processes.is_main:
        # Check the path first: otherwise a wrong one would fail only after the first epoch.
        require_usable(output)
    with claim_folder(output) if processes.is_main else nullcontext():
        yield from _run_training(
            config, output, processes, train_files, dev_files, vectors_file, resume, is_stopped
        )


def _run_training(
    config: Config,
    output: Path,
    processes: Processes,
    train_files: Sequence[Path],
    dev_files: Sequence[Path],
    vectors_file: Path | None,
    resume: bool | None,
    is_stopped: Callable[[], bool],
) -> Generator[Record, None, None]:
    """Train a model and write it to a claimed folder, to which no other process writes."""
    earlier = _find_checkpoint(output, resume)
    processes.agree(False)  # barrier: every process has read the checkpoint before rank 0 overwrites it
    preparation = prepare(config, train_files, dev_files, vectors_file)
    data = describe_data(preparation, train_files, dev_files, vectors_file)
    description = describe_run(config, preparation, processes.count)
    if earlier:
        _require_same(description, earlier, config.train, output)
    progress = Progress(preparation, config, processes)
    epochs = [EpochRecord(**values, weights=None) for values in earlier.epochs] if earlier else []
    if earlier and earlier.snapshot:
        restore_progress(progress, earlier.snapshot, output)
        progress.is_finished = is_over(config.train, progress)  # train.epochs may be higher than before
    elif earlier:
        progress.is_finished = earlier.is_finished
    yield DataRecord(
        data=data,
        preparation=preparation,
        earlier=tuple(epochs),
        step=progress.step,
        is_finished=progress.is_finished,
        processes=processes.count,
    )
    if not progress.is_finished:
        folder = ModelFolder(output, config, preparation, data, description, epochs)
        yield from _train(folder, preparation, config, progress, is_stopped)


def _train(
    folder: ModelFolder,
    preparation: Preparation,
    config: Config,
    progress: Progress,
    is_stopped: Callable[[], bool],
) -> Generator[Record, None, None]:
    """Train the model and save models, metrics, checkpoints and curves to the folder."""
    processes = progress.processes
    if processes.is_main:
        folder.begin()
        if progress.epoch == 1 and not progress.step:
            # Mark the folder as belonging to this run, in case it ends before its first checkpoint.
            folder.save(None)
            events_folder = folder.path / TENSORBOARD
            for events in () if events_folder.is_symlink() else events_folder.glob("events.out.tfevents.*"):
                events.unlink()  # TensorBoard would mix the curves of an earlier run with these
    interval = 60 * config.train.checkpoint_minutes or math.inf
    saved_at, drawn_at = time.monotonic(), folder.seconds
    with _closing(folder, processes):
        for record in train(preparation, config, progress):
            if isinstance(record, EpochRecord) and processes.is_main:
                drawn_at = _save_epoch(folder, record, progress, drawn_at)
            is_due = time.monotonic() - saved_at >= interval
            is_stopping, is_due = processes.agree(is_stopped(), is_due)
            if is_stopping or is_due or isinstance(record, EpochRecord):
                folder.save(progress)
                saved_at = time.monotonic()
            _log(record, processes)
            yield record
            if is_stopping and not progress.is_finished:
                if processes.is_main:  # the user may want to use the unfinished model
                    _calibrate(folder, progress)
                yield StopRecord(progress.epoch, progress.step)
                break
        processes.agree(False)  # barrier: no process ends while another still communicates


def _save_epoch(folder: ModelFolder, record: EpochRecord, progress: Progress, drawn_at: float) -> float:
    """Save an epoch and draw the curves if they are due; return the training time of the latest drawing."""
    folder.keep(record)
    if progress.is_finished:  # calibrate before the checkpoint marks the run as finished
        _calibrate(folder, progress)
    if progress.is_finished or folder.seconds - drawn_at >= SECONDS_BETWEEN_PLOTS:
        folder.draw()
        return folder.seconds
    return drawn_at


def _calibrate(folder: ModelFolder, progress: Progress) -> None:
    state = progress.random_state
    with progress.own_torch():  # building a network draws random numbers
        folder.calibrate()
    progress.random_state = state  # undo those draws: the run may be resumed with more epochs


@contextmanager
def _closing(folder: ModelFolder, processes: Processes) -> Iterator[None]:
    """On exit, close the process group and draw the curves; the first error takes precedence."""
    problem: InputError | None = None
    try:
        yield
    except InputError as error:
        problem = error
        raise
    finally:
        with suppress(InputError) if problem else nullcontext():
            processes.close()
            if processes.is_main:
                folder.draw()


def _log(record: StepRecord | EpochRecord, processes: Processes) -> None:
    """Log a record to TensorBoard."""
    if isinstance(record, EpochRecord):
        scores = {
            f"dev/{task}/{key}": values[key]
            for task, values in record.dev.items()
            for key in ("f1", "accuracy")
            if key in values
        }
        rates = {"train/loss": record.loss, "train/learning_rate": record.learning_rate}
        processes.log({**rates, "train/tokens_per_second": record.tokens_per_second, **scores}, record.epoch)
    elif record.step % STEPS_BETWEEN_EVENTS == 0:
        done = (record.epoch - 1) * record.steps + record.step
        processes.log({"train/loss_so_far": record.loss}, done)


def _find_checkpoint(output: Path, resume: bool | None) -> Checkpoint | None:
    """Return the checkpoint to resume from, if any.

    Raises:
        InputError: ``resume`` is None and the folder has an unfinished run, or ``resume`` is True and the
            folder has a model but no checkpoint.
    """
    if resume is False:
        return None
    checkpoint = load_checkpoint(output)
    if resume and checkpoint is None and holds_bundle(output):
        raise InputError(
            f"{output}: the folder has a model but no checkpoint to resume from. Omit --resume to train a "
            "new model."
        )
    if resume is None and checkpoint and not checkpoint.is_finished:
        done = len(checkpoint.epochs)
        raise InputError(
            f"{output}: the folder has an unfinished run ({done} epoch{'s' * (done != 1)} done). Resume it "
            "with --resume, or replace it with --restart."
        )
    return checkpoint if resume else None


def _require_same(run: Mapping[str, str], earlier: Checkpoint, config: TrainConfig, output: Path) -> None:
    """Check that a run can be resumed with these options and data.

    Another number of epochs is allowed if the epochs already done would be the same.

    Raises:
        InputError: Other options or data differ, or the epochs already done would differ.
    """
    problems = differences(run, earlier.run)
    if not problems:
        return
    kind = "finished" if earlier.is_finished else "unfinished"
    if not differences({**run, **{name: earlier.run.get(name, "") for name in LENGTH_OPTIONS}}, earlier.run):
        problem = _find_length_problem(earlier, config, output)
        if not problem:
            return
        problems.append(problem)
    raise InputError(
        f"{output}: cannot resume the {kind} run in this folder: {'; '.join(problems)}. Use the same "
        "settings and files, or replace the run with --restart."
    )


def _find_length_problem(earlier: Checkpoint, config: TrainConfig, output: Path) -> str:
    """Return why a run cannot be resumed with another number of epochs; empty if it can."""
    before, done = _earlier_schedule(earlier, config, output), len(earlier.epochs)
    begun = done + bool(earlier.snapshot and earlier.snapshot.values["step"])
    if begun > config.epochs:
        return f"it has already trained {begun} epochs"
    if earlier.is_finished and earlier.snapshot is None:
        return "an earlier version of tagger trained it and saved no state to resume from"
    cycles = [[cosine_cycle(one, epoch) for epoch in range(1, begun + 1)] for one in (before, config)]
    if config.schedule != "cosine" or cycles[0] == cycles[1]:
        return ""
    problem = f"its cosine schedule over {before.epochs} epochs cannot be extended"
    if not earlier.is_finished:
        return problem
    restarts = ",".join(map(str, (*before.warm_restarts, before.epochs)))
    return f"{problem}, but --set train.warm_restarts={restarts} adds a cosine cycle over the new epochs"


def _earlier_schedule(earlier: Checkpoint, config: TrainConfig, output: Path) -> TrainConfig:
    """Return the training options of an earlier run that differs in its length only.

    Raises:
        InputError: The checkpoint has invalid options.
    """
    try:
        values = {name.partition(".")[2]: json.loads(earlier.run[name]) for name in LENGTH_OPTIONS}
        return TrainConfig.model_validate(config.model_dump() | values)
    except (KeyError, ValueError):
        raise InputError(
            f"{output / CHECKPOINT}: the checkpoint is damaged (its options are invalid). {RESTART}"
        ) from None
