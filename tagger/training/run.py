"""A complete training run: reads corpus files and writes a model folder."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagger.bundle import Bundle
from tagger.config import Config
from tagger.corpus.memory import Source
from tagger.errors import InputError
from tagger.storage import claim_folder
from tagger.training.checkpoint import CHECKPOINT, describe_run, restore_progress
from tagger.training.events import TENSORBOARD, log_record, remove_events
from tagger.training.loop import EpochRecord, StepRecord, evaluate_initial, is_over, train
from tagger.training.preparation import Preparation, prepare
from tagger.training.processes import Processes
from tagger.training.progress import Progress
from tagger.training.resume import find_checkpoint, require_same
from tagger.training.run_folder import RunFolder, require_usable, summarise_data


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
    train_files: Sequence[Source],
    dev_files: Sequence[Source] = (),
    vectors_file: Path | None = None,
    initial: Bundle | None = None,
    teachers: Sequence[Bundle] | None = None,
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
        train_files: Corpus files of the train split, or data in memory.
        dev_files: Corpus files of the dev split, which selects the best epoch; empty for none.
        vectors_file: Static word vectors, or None.
        initial: The model to start from, or None. With 0 epochs, the run only extends it.
        teachers: Models whose posteriors replace tags (see ``preparation.prepare``).
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
    with _claimed(output) if processes.is_main else nullcontext():
        earlier = find_checkpoint(output, resume)
        processes.agree(False)  # barrier: every process has read the checkpoint before rank 0 overwrites it
        preparation = prepare(config, train_files, dev_files, vectors_file, initial, teachers)
        data = summarise_data(preparation, train_files, dev_files, vectors_file)
        run = describe_run(config, preparation, processes.count)
        if earlier:
            require_same(run, earlier, config.train, output)
        progress = Progress(preparation, config, processes)
        if earlier and earlier.snapshot:
            restore_progress(progress, earlier.snapshot, output)
            progress.is_finished = is_over(config.train, progress)  # train.epochs may be higher than before
        elif earlier:
            progress.is_finished = earlier.is_finished
        epochs = [EpochRecord(**values, weights=None) for values in earlier.epochs] if earlier else []
        yield DataRecord(
            data=data,
            preparation=preparation,
            earlier=tuple(epochs),
            step=progress.step,
            is_finished=progress.is_finished,
            processes=processes.count,
        )
        if not progress.is_finished:
            folder = RunFolder(output, config, preparation, data, run, epochs)
            if config.train.epochs:
                yield from _train(folder, preparation, config, progress, is_stopped)
            else:
                yield _extend(folder, preparation, progress)


def _train(
    folder: RunFolder,
    preparation: Preparation,
    config: Config,
    progress: Progress,
    is_stopped: Callable[[], bool],
) -> Generator[Record, None, None]:
    """Train the model and save models, metrics, checkpoints and curves to the folder."""
    processes = progress.processes
    if processes.is_main:
        _begin(folder, progress)
    is_due = _Timer(60 * config.train.checkpoint_minutes or math.inf)
    with _closing(folder, processes):
        for record in train(preparation, config, progress):
            is_epoch = isinstance(record, EpochRecord)
            if isinstance(record, EpochRecord) and processes.is_main:
                _save_epoch(folder, record, progress)
            is_stopping, is_saving = processes.agree(is_stopped(), is_epoch or is_due())
            if is_stopping or is_saving:
                folder.save(progress)
                is_due.restart()
            log_record(record, processes)
            yield record
            if is_stopping and not progress.is_finished:
                if processes.is_main:  # the user may want to use the unfinished model
                    _calibrate(folder, progress)
                yield StopRecord(progress.epoch, progress.step)
                break
        processes.agree(False)  # barrier: no process ends while another still communicates


def _extend(folder: RunFolder, preparation: Preparation, progress: Progress) -> EpochRecord:
    """Save the initial model with the words and labels of train, without training."""
    record = evaluate_initial(preparation, progress)
    with _closing(folder, progress.processes):
        if progress.processes.is_main:
            (folder.path / CHECKPOINT).unlink(missing_ok=True)  # belongs to an earlier run
            folder.keep(record)
    return record


class _Timer:
    """Timer that, when called, returns True if an interval has passed since the last restart.

    Args:
        seconds: The interval.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.restart()

    def __call__(self) -> bool:
        return time.monotonic() - self._started_at >= self._seconds

    def restart(self) -> None:
        """Begin a new interval."""
        self._started_at = time.monotonic()


@contextmanager
def _claimed(output: Path) -> Iterator[None]:
    """Check the folder, and lock it for this process within the block."""
    require_usable(output)  # before reading the corpus: otherwise a wrong path fails after the first epoch
    with claim_folder(output):
        yield


def _begin(folder: RunFolder, progress: Progress) -> None:
    """Prepare the folder for the first record."""
    folder.begin()
    if progress.epoch == 1 and not progress.step:
        # Mark the folder as belonging to this run, in case it ends before its first checkpoint.
        folder.save(None)
        remove_events(folder.path)


def _save_epoch(folder: RunFolder, record: EpochRecord, progress: Progress) -> None:
    """Save an epoch, and draw the curves if they are due."""
    folder.keep(record)
    if progress.is_finished:  # calibrate before the checkpoint marks the run as finished
        _calibrate(folder, progress)
    folder.draw(is_forced=progress.is_finished)


def _calibrate(folder: RunFolder, progress: Progress) -> None:
    state = progress.random_state
    with progress.own_torch():  # building a network draws random numbers
        folder.calibrate()
    progress.random_state = state  # undo those draws: the run may be resumed with more epochs


@contextmanager
def _closing(folder: RunFolder, processes: Processes) -> Iterator[None]:
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
                folder.draw(is_forced=True)
