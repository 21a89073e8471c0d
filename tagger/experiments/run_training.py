"""Train the runs of a comparison, one after another or in parallel, and score each after its last epoch."""

from __future__ import annotations

import multiprocessing
import platform
import shutil
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from statistics import median
from typing import Any

from tagger.errors import InputError
from tagger.evaluation.tasks import main_score
from tagger.experiments.grid import (
    ComparisonData,
    Job,
    Request,
    count_parameters,
    load_data,
    lookahead_name,
)
from tagger.experiments.results import Lookahead, Run, save_run
from tagger.runtime.stream import StreamingTagger, tag_with_lookahead
from tagger.runtime.tagger import Tagger
from tagger.signals import interrupts_blocked
from tagger.storage import make_own_folder, writing
from tagger.training.checkpoint import (
    Checkpoint,
    differences,
    load_checkpoint,
    restore_progress,
    save_checkpoint,
)
from tagger.training.encoded_split import EncodedSplit
from tagger.training.loop import EpochRecord, train
from tagger.training.prediction import predict_split, score_predicted
from tagger.training.processes import Processes
from tagger.training.progress import Progress, make_bundle
from tagger.training.schema import SavedCurve
from tagger.version import __version__

CURVE = ("epoch", "loss", "score", "seconds", "tokens_per_second")  # saved fields of an ``EpochRecord``
PACKAGES = ("torch", "numpy")  # packages whose versions are saved with a run, next to this one
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


Event = EpochDone | RunDone


def train_runs(jobs: Sequence[Job], data: ComparisonData, processes: int) -> Generator[Event, None, None]:
    """Train runs, in this process or in several worker processes that each load the files again.

    Args:
        jobs: Runs to train, in this order.
        data: Data and options of the comparison.
        processes: Number of runs to train in parallel.

    Yields:
        Events of the runs; run by run with one process.

    Raises:
        InputError: As in ``train_run``; or a worker process was killed.
    """
    processes = min(processes, len(jobs))
    if processes > 1:
        yield from _train_in_parallel(jobs, data.request, processes)
        return
    for job in jobs:
        yield from train_run(job, data)


def _train_in_parallel(jobs: Sequence[Job], request: Request, processes: int) -> Generator[Event, None, None]:
    waiting = list(reversed(jobs))
    with _workers(request, processes) as idle:
        busy: list[Connection] = []
        while waiting or busy:
            while waiting and idle:
                with _lost_workers_reported():
                    idle[-1].send(waiting.pop())
                busy.append(idle.pop())
            for connection in wait(busy):
                assert isinstance(connection, Connection)
                event = _receive(connection)
                yield event
                if isinstance(event, RunDone):
                    busy.remove(connection)
                    idle.append(connection)


@contextmanager
def _workers(request: Request, count: int) -> Iterator[list[Connection]]:
    """Start worker processes and yield a connection to each; terminate the workers on exit."""
    # Spawn instead of fork: torch and accelerate do not support forking a process that uses threads.
    context = multiprocessing.get_context("spawn")
    connections: list[Connection] = []
    workers: list[SpawnProcess] = []
    try:
        for _ in range(count):
            ours, theirs = context.Pipe()
            worker = context.Process(target=_work, args=(request, theirs), daemon=True)
            with interrupts_blocked():
                worker.start()
            theirs.close()  # receiving then raises EOFError once the worker has ended
            connections.append(ours)
            workers.append(worker)
        yield list(connections)
    finally:
        for connection in connections:
            connection.close()
        for worker in workers:
            worker.terminate()
            worker.join()


@contextmanager
def _lost_workers_reported() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError):
        raise InputError(
            "A worker process was killed, possibly because memory ran out. Run again with fewer --jobs; "
            "finished runs are kept.",
            code="run.failed",
            option="--jobs",
        ) from None


def _receive(connection: Connection) -> Event:
    with _lost_workers_reported():
        event = connection.recv()
    if isinstance(event, InputError | MemoryError):
        raise event
    assert isinstance(event, EpochDone | RunDone)
    return event


def _work(request: Request, connection: Connection) -> None:
    """Train every run received in a worker process, until the connection closes."""
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the main process has ended
        try:
            data = load_data(request)
            while True:
                for event in train_run(connection.recv(), data):
                    connection.send(event)
        except (InputError, MemoryError) as error:
            connection.send(error)


def train_run(job: Job, data: ComparisonData) -> Generator[EpochDone | RunDone, None, None]:
    """Train one run, or resume it from the checkpoint of an interrupted call.

    Yields:
        One record after every epoch, and one at the end.

    Raises:
        InputError: The folder cannot be written, the checkpoint is damaged, or the loss is NaN or infinite;
            its location is a file, or the name of the run.
    """
    try:
        yield from _train_run(job, data)
    except InputError as error:
        if job.name in error.where:
            raise
        where = f"{job.name}: {error.where}" if error.where else job.name
        raise InputError(error.message, code=error.code, where=where, option=error.option) from None


def remove_checkpoint(job: Job, data: ComparisonData) -> None:
    """Remove the checkpoint of a finished run; a killed call can leave one behind."""
    shutil.rmtree(data.folder / job.name, ignore_errors=True)


def _train_run(job: Job, data: ComparisonData) -> Generator[EpochDone | RunDone, None, None]:
    description = data.describe(job)
    progress = Progress(data.preparation, data.configure(job), Processes())
    curve = _restore(progress, description, data.folder / job.name)
    yield from _train(job, data, progress, curve, description)
    if progress.average:
        progress.average.swap()
    run = _score(job, data, progress, curve)
    save_run(run, description, data.folder)
    remove_checkpoint(job, data)
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
    data: ComparisonData,
    progress: Progress,
    curve: list[dict[str, Any]],
    description: Mapping[str, str],
) -> Generator[EpochDone, None, None]:
    """Train the remaining epochs, and save a checkpoint every ``train.checkpoint_minutes``.

    Epochs of a comparison can be short and checkpoints large, so that only a value of 0 saves a checkpoint
    after every epoch.
    """
    config, folder = data.configure(job), data.folder / job.name
    interval, saved = config.train.checkpoint_minutes * 60, time.monotonic()
    for record in train(data.preparation, config, progress):
        if isinstance(record, EpochRecord):
            curve.append({name: getattr(record, name) for name in CURVE})
            yield EpochDone(job.name, record.epoch, curve[-1]["score"])
        is_due = time.monotonic() - saved > interval if interval else isinstance(record, EpochRecord)
        if is_due:
            with writing(folder):
                make_own_folder(folder)
            save_checkpoint(Checkpoint(description, curve, progress.capture()), folder)
            saved = time.monotonic()


def _score(job: Job, data: ComparisonData, progress: Progress, curve: Sequence[Mapping[str, Any]]) -> Run:
    model, vocabulary = progress.model, data.preparation.vocabulary
    (task,) = data.preparation.train.schemes
    predictions, seconds = {}, {}
    for name, split in data.scored_splits.items():
        start = time.perf_counter()
        with progress.own_torch():
            predictions[name] = predict_split(model, split, progress.processes)[task]
        seconds[name] = time.perf_counter() - start
    dev = data.scored_splits["dev"]
    return Run(
        variant=job.variant,
        seed=job.seed,
        hidden_size=job.hidden_size,
        parameters=count_parameters(model.config, vocabulary, model.words.trainable.embedding_dim),
        scores={
            name: score_predicted(split, {task: predictions[name]})[task]
            for name, split in data.scored_splits.items()
        },
        curve=curve,
        seconds_per_epoch=median(epoch["seconds"] for epoch in curve),
        training_tokens_per_second=median(epoch["tokens_per_second"] for epoch in curve),
        tagging_tokens_per_second=sum(dev.lengths) / max(seconds["dev"], 1e-9),
        lookahead=_score_lookaheads(job, data, progress, predictions["dev"]),
        predictions=predictions,
        versions={"tagger": __version__, **{name: version(name) for name in PACKAGES}}
        | {"python": platform.python_version()},
    )


def _score_lookaheads(
    job: Job, data: ComparisonData, progress: Progress, predicted: Sequence[Sequence[str]]
) -> dict[str, Lookahead]:
    """Compute the dev score and the time per word at each lookahead.

    Args:
        job: The run.
        data: Data and options of the comparison.
        progress: Training state with the trained model.
        predicted: Predicted dev tags with unbounded lookahead.
    """
    lookaheads, dev = data.lookaheads(job.variant), data.scored_splits["dev"]
    if not lookaheads:
        return {}
    bundle = make_bundle(data.preparation, data.configure(job), progress.model.state_dict())
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
