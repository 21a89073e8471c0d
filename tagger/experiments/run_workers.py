"""Runs side by side: each process makes one run after another and tells how far it is."""

from __future__ import annotations

import multiprocessing
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from tagger.errors import InputError
from tagger.experiments.material import Job, Material, Request, gather_material
from tagger.experiments.run_training import EpochDone, RunDone, make_run
from tagger.signals import interrupts_blocked

Event = EpochDone | RunDone


def make_runs(jobs: Sequence[Job], material: Material, processes: int) -> Generator[Event, None, None]:
    """Make runs, in this process or in several that each read the files once more.

    Args:
        jobs: What is to be made, in this order.
        material: What they share.
        processes: How many at a time.

    Yields:
        What happened, run by run when there is one process.

    Raises:
        InputError: As ``make_run`` does; or a process was killed.
    """
    processes = min(processes, len(jobs))
    if processes > 1:
        yield from _make_side_by_side(jobs, material.request, processes)
        return
    for job in jobs:
        yield from make_run(job, material)


def _make_side_by_side(jobs: Sequence[Job], request: Request, processes: int) -> Generator[Event, None, None]:
    waiting = list(reversed(jobs))
    with _workers(request, processes) as idle:
        busy: list[Connection] = []
        while waiting or busy:
            while waiting and idle:
                with _telling_of_lost_processes():
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
    """Start processes and give a connection to each; they are ended when the caller leaves."""
    # A fresh interpreter each: torch and accelerate do not stand a fork of a process that uses threads.
    context = multiprocessing.get_context("spawn")
    connections: list[Connection] = []
    workers: list[SpawnProcess] = []
    try:
        for _ in range(count):
            ours, theirs = context.Pipe()
            worker = context.Process(target=_work, args=(request, theirs), daemon=True)
            with interrupts_blocked():
                worker.start()
            theirs.close()  # so that the end of the process is the end of what can be received
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
def _telling_of_lost_processes() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError):
        raise InputError(
            "A process that trains was ended from outside, perhaps for want of memory; call again with fewer "
            "--jobs, the finished runs are kept."
        ) from None


def _receive(connection: Connection) -> Event:
    with _telling_of_lost_processes():
        event = connection.recv()
    if isinstance(event, InputError | MemoryError):
        raise event
    assert isinstance(event, EpochDone | RunDone)
    return event


def _work(request: Request, connection: Connection) -> None:
    """What a process does: make each run that it is sent, until the connection ends."""
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the first process is gone
        try:
            material = gather_material(request)
            while True:
                for event in make_run(connection.recv(), material):
                    connection.send(event)
        except (InputError, MemoryError) as error:
            connection.send(error)
