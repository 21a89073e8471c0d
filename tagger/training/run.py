"""One whole training run: files in, a model folder out."""

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

TENSORBOARD = "tensorboard"  # the folder of its event files in the model's folder
LENGTH = ("train.epochs", "train.warm_restarts")  # options that may change when a run goes on
STEPS_BETWEEN_EVENTS = 20
SECONDS_BETWEEN_PICTURES = 30.0  # of training; a picture takes a part of a second


@dataclass(frozen=True)
class DataRecord:
    """What was read, and where the run begins, before the first step.

    Attributes:
        data: Files, sentences, tokens, schemes, repairs and unseen tags of each part, and how many words have
            vectors; as ``metrics.json`` keeps it.
        preparation: The data themselves.
        earlier: Epochs that an earlier call made, of a run that is gone on with; without their weights.
        step: Steps that it made in the epoch after them.
        is_finished: Whether it made all there are to make.
        processes: How many train together.
    """

    data: Mapping[str, Any]
    preparation: Preparation
    earlier: Sequence[EpochRecord]
    step: int
    is_finished: bool
    processes: int


@dataclass(frozen=True)
class StopRecord:
    """The run was asked to stop, and has saved a checkpoint to go on from.

    Attributes:
        epoch: The epoch that it stopped in, from 1.
        step: Steps that were made in this epoch; 0 right after the epoch before.
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
    """Train a model and keep its best epoch in a folder.

    After every epoch the folder holds a whole model (the best so far; without dev the latest), a line more in
    ``metrics.jsonl`` and a checkpoint; more checkpoints come every ``train.checkpoint_minutes``. So a run may
    be broken off at any time, and goes on as if it never was: its weights come out the same to the last bit.
    At the end, and when it is asked to stop, the temperatures of the kept model are fitted to dev.
    The learning curves are drawn at the end, also when the generator is closed or interrupted, and now and
    then before. An earlier model in the folder is replaced.

    Args:
        config: All options.
        output: The folder; made if it is not there.
        train_files: The corpus files to learn from.
        dev_files: The corpus files to choose the best epoch by; none at all for no dev.
        vectors_file: Static word vectors, or None.
        resume: True goes on with the folder's unfinished run, if there is one; False begins anew; None begins
            anew, but refuses to lose an unfinished run.
        is_stopped: Asked after every step; once it says yes the run saves a checkpoint and ends.

    Yields:
        First what was read, then a record after each step and each epoch (already saved), last a
        ``StopRecord`` if the run was asked to stop.

    Raises:
        InputError: A file cannot be used, the folder cannot be written, another run is writing to it, the run
            to go on with is another one, or another of the processes that train together is gone.
    """
    processes = Processes(output / TENSORBOARD if config.train.tensorboard else None)
    if processes.is_main:
        # Looked at before the long part, so that a wrong path does not show after the first epoch only.
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
    """Train a model into a folder that no other process writes to."""
    earlier = _find_checkpoint(output, resume)
    processes.agree(False)  # before the first of them writes what the others have read
    preparation = prepare(config, train_files, dev_files, vectors_file)
    data = describe_data(preparation, train_files, dev_files, vectors_file)
    description = describe_run(config, preparation, processes.count)
    if earlier:
        _require_same(description, earlier, config.train, output)
    progress = Progress(preparation, config, processes)
    epochs = [EpochRecord(**values, weights=None) for values in earlier.epochs] if earlier else []
    if earlier and earlier.snapshot:
        restore_progress(progress, earlier.snapshot, output)
        progress.is_finished = is_over(config.train, progress)  # there may be more epochs to do now
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
    """Train, and keep in the folder what is to be kept."""
    processes = progress.processes
    if processes.is_main:
        folder.begin()
        if progress.epoch == 1 and not progress.step:
            # From here on the folder's run is this one, even if it ends before its first checkpoint.
            folder.save(None)
            events_folder = folder.path / TENSORBOARD
            for events in () if events_folder.is_symlink() else events_folder.glob("events.out.tfevents.*"):
                events.unlink()  # of an earlier run, whose curves would mix with this one's
    interval = 60 * config.train.checkpoint_minutes or math.inf
    saved, drawn = time.monotonic(), folder.seconds
    with _ending(folder, processes):
        for record in train(preparation, config, progress):
            if isinstance(record, EpochRecord) and processes.is_main:
                drawn = _keep(folder, record, progress, drawn)
            is_due = time.monotonic() - saved >= interval
            is_stopping, is_due = processes.agree(is_stopped(), is_due)
            if is_stopping or is_due or isinstance(record, EpochRecord):
                folder.save(progress)
                saved = time.monotonic()
            _log(record, processes)
            yield record
            if is_stopping and not progress.is_finished:
                if processes.is_main:  # the model may be of use as it is
                    _calibrate(folder, progress)
                yield StopRecord(progress.epoch, progress.step)
                break
        processes.agree(False)  # nobody leaves while another still has something to say


def _keep(folder: ModelFolder, record: EpochRecord, progress: Progress, drawn: float) -> float:
    """Keep an epoch, and draw now and then; return the training time when that was done last."""
    folder.keep(record)
    if progress.is_finished:  # before the checkpoint that says so
        _calibrate(folder, progress)
    if progress.is_finished or folder.seconds - drawn >= SECONDS_BETWEEN_PICTURES:
        folder.draw()
        return folder.seconds
    return drawn


def _calibrate(folder: ModelFolder, progress: Progress) -> None:
    state = progress.random_state
    with progress.own_torch():  # a network is built anew, which draws random numbers
        folder.calibrate()
    progress.random_state = state  # as if it were not calibrated: the run may get more epochs


@contextmanager
def _ending(folder: ModelFolder, processes: Processes) -> Iterator[None]:
    """At the end, however it comes, part from the other processes and draw; what went wrong first is told."""
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
    """Give a record to TensorBoard."""
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
    """The checkpoint to go on from, if there is one.

    Raises:
        InputError: The folder holds an unfinished run and nothing was said of it, or a model and no
            checkpoint to resume.
    """
    if resume is False:
        return None
    checkpoint = load_checkpoint(output)
    if resume and checkpoint is None and holds_bundle(output):
        raise InputError(
            f"{output}: holds a model, but no checkpoint to go on from; leave --resume out to train it anew."
        )
    if resume is None and checkpoint and not checkpoint.is_finished:
        done = len(checkpoint.epochs)
        raise InputError(
            f"{output}: holds an unfinished run, {done} epoch{'s' * (done != 1)} done; go on with it with "
            f"--resume, or begin anew with --restart."
        )
    return checkpoint if resume else None


def _require_same(run: Mapping[str, str], earlier: Checkpoint, config: TrainConfig, output: Path) -> None:
    """Refuse to go on with another run; with more epochs it is the same if those done would not change.

    Raises:
        InputError: It is another run.
    """
    found = differences(run, earlier.run)
    if not found:
        return
    kind = "finished" if earlier.is_finished else "unfinished"
    if not differences({**run, **{name: earlier.run.get(name, "") for name in LENGTH}}, earlier.run):
        problem = _find_length_problem(earlier, config, output)
        if not problem:
            return
        found.append(problem)
    raise InputError(
        f"{output}: the {kind} run there is another one: {'; '.join(found)}; give the same settings "
        f"and files, or begin anew with --restart."
    )


def _find_length_problem(earlier: Checkpoint, config: TrainConfig, output: Path) -> str:
    """Say why a run that differs in its number of epochs alone cannot go on; empty if it can."""
    before, done = _earlier_schedule(earlier, config, output), len(earlier.epochs)
    begun = done + bool(earlier.snapshot and earlier.snapshot.values["step"])
    if begun > config.epochs:
        return f"it has trained {begun} epochs already"
    if earlier.is_finished and earlier.snapshot is None:
        return "it was trained by a version that kept nothing to go on from"
    cycles = [[cosine_cycle(one, epoch) for epoch in range(1, begun + 1)] for one in (before, config)]
    if config.schedule != "cosine" or cycles[0] == cycles[1]:
        return ""
    problem = f"its learning rates fell along a cosine over {before.epochs} epochs, which cannot be prolonged"
    if not earlier.is_finished:
        return problem
    restarts = ",".join(map(str, (*before.warm_restarts, before.epochs)))
    return f"{problem}, but --set train.warm_restarts={restarts} adds a new cosine over the further epochs"


def _earlier_schedule(earlier: Checkpoint, config: TrainConfig, output: Path) -> TrainConfig:
    """The options of an earlier run that differs in its length alone.

    Raises:
        InputError: The checkpoint's options are no options.
    """
    try:
        values = {name.partition(".")[2]: json.loads(earlier.run[name]) for name in LENGTH}
        return TrainConfig.model_validate(config.model_dump() | values)
    except (KeyError, ValueError):
        raise InputError(
            f"{output / CHECKPOINT}: the checkpoint is damaged (its options are none). {RESTART}"
        ) from None
