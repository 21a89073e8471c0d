"""Train runs in parallel: each worker process trains one run after another and reports its progress."""

from __future__ import annotations

import multiprocessing
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from tagger.errors import InputError
from tagger.experiments.material import Job, Material, Request, gather_material
from tagger.experiments.run_training import EpochDone, RunDone, train_run
from tagger.signals import interrupts_blocked

Event = EpochDone | RunDone


def train_runs(jobs: Sequence[Job], material: Material, processes: int) -> Generator[Event, None, None]:
    """Train runs, in this process or in several worker processes that each load the files again.

    Args:
        jobs: Runs to train, in this order.
        material: Data and options of the comparison.
        processes: Number of runs to train in parallel.

    Yields:
        Events of the runs; run by run with one process.

    Raises:
        InputError: As in ``train_run``; or a worker process was killed.
    """
    processes = min(processes, len(jobs))
    if processes > 1:
        yield from _train_in_parallel(jobs, material.request, processes)
        return
    for job in jobs:
        yield from train_run(job, material)


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
            "finished runs are kept."
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
            material = gather_material(request)
            while True:
                for event in train_run(connection.recv(), material):
                    connection.send(event)
        except (InputError, MemoryError) as error:
            connection.send(error)
