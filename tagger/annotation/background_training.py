"""Train a project's model in a child process while people go on annotating."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Literal

from tagger.annotation.model_updates import Phase, update_model
from tagger.annotation.project_records import ModelVersion
from tagger.annotation.store import AnnotationStore
from tagger.errors import InputError
from tagger.signals import interrupts_blocked

NICENESS = 10
STOP_SECONDS = 30.0  # for the end of the current step, and for writing the checkpoint


@dataclass(frozen=True, slots=True)
class TrainingStatus:
    """The state of the last run.

    Attributes:
        state: ``idle`` before the first run; ``starting``, ``training`` or ``comparing`` during a run;
            ``finished``, ``stopped`` (it can be resumed) or ``failed`` after it.
        epoch: Number of finished epochs.
        epochs: Maximum number of epochs; 0 until it is known.
        version: The new version of the model, if the run has finished; it need not be active.
        problem: Why the run failed.
        code: The code of its ``InputError``; ``run.mismatch`` or ``run.damaged`` if the run has to be
            restarted.
    """

    state: Literal["idle", "starting", "training", "comparing", "finished", "stopped", "failed"] = "idle"
    epoch: int = 0
    epochs: int = 0
    version: ModelVersion | None = None
    problem: str = ""
    code: str = ""

    @property
    def is_running(self) -> bool:
        """True during a run."""
        return self.state in ("starting", "training", "comparing")


class BackgroundTraining:
    """Runs of ``update_model`` in a child process, one at a time. Threads may share it.

    The child process has low priority and its own connection to the project. It ends when this process ends,
    also if it is killed, and the next run resumes from the last checkpoint.

    Args:
        location: The project (see ``AnnotationStore``).
        folder: The folder of the project's models.
        initial: See ``update_model``.
        changes: See ``update_model``.
        niceness: Lowers the priority of the child process, so that annotators do not wait for it.
    """

    def __init__(
        self,
        location: str | Path,
        folder: Path,
        *,
        initial: str | None = None,
        changes: Mapping[str, Any] | None = None,
        niceness: int = NICENESS,
    ) -> None:
        self.folder = folder
        self._arguments = (str(location), folder, initial, dict(changes or {}), niceness)
        self._lock = Lock()
        self._status = TrainingStatus()
        self._process: BaseProcess | None = None
        self._reports: Connection | None = None
        self._stop: Event | None = None

    def start(self, *, restart: bool = False) -> None:
        """Start a run, or resume an unfinished one.

        Args:
            restart: True to discard an unfinished run.

        Raises:
            InputError: A run is in progress.
        """
        with self._lock:
            if self._update().is_running:
                raise InputError("a model is being trained. Wait for it, or stop it.", code="run.exists")
            # Spawn a new interpreter: a fork would copy the locks of other threads, but not the threads.
            context = get_context("spawn")
            self._stop = context.Event()
            self._reports, reports = context.Pipe(duplex=False)
            self._process = context.Process(
                target=_train, args=(*self._arguments, restart, self._stop, reports), daemon=True
            )
            with interrupts_blocked():
                self._process.start()
            reports.close()
            self._status = TrainingStatus("starting")

    def status(self) -> TrainingStatus:
        """Return the state of the last run, at once."""
        with self._lock:
            return self._update()

    def stop(self, *, seconds: float = STOP_SECONDS) -> TrainingStatus:
        """Stop the run after the current step, or end its process if that takes too long.

        A process that has not begun to train has nothing to save, and ends at once.

        Args:
            seconds: How long to wait.

        Returns:
            The state after the end of the run; it may have finished just before.
        """
        with self._lock:
            process = self._process if self._update().is_running else None
            if self._status.state == "starting":
                seconds = 0.0
            if self._stop:
                self._stop.set()
        if process:  # without the lock: others may ask for the status meanwhile
            process.join(seconds)
            if process.is_alive():
                process.kill()
                process.join()
        return self.status()

    def _update(self) -> TrainingStatus:
        """Read the reports of the child process."""
        if self._process is None or self._reports is None or not self._status.is_running:
            return self._status
        has_ended = not self._process.is_alive()  # before its last reports are read
        with suppress(EOFError, OSError):  # OSError: the process was killed while it sent a report
            while self._reports.poll():
                self._status = self._reports.recv()
        if self._status.is_running and has_ended:
            is_stopped = self._stop is not None and self._stop.is_set()
            self._status = replace(
                self._status,
                state="stopped" if is_stopped else "failed",
                problem="" if is_stopped else f"the process ended early (exit code {self._process.exitcode})",
            )
        if not self._status.is_running:
            self._reports.close()
        return self._status


def _train(
    location: str,
    folder: Path,
    initial: str | None,
    changes: Mapping[str, Any],
    niceness: int,
    restart: bool,
    stop: Event,
    reports: Connection,
) -> None:
    """Run ``update_model`` in the child process, and send a ``TrainingStatus`` at each change."""
    Thread(target=_end_with_parent, daemon=True).start()
    with suppress(OSError, AttributeError):  # AttributeError on Windows
        os.nice(niceness)
    last = TrainingStatus("starting")

    def report(phase: Phase, epoch: int, epochs: int) -> None:
        nonlocal last
        last = TrainingStatus(phase, epoch, epochs)
        reports.send(last)

    try:
        with AnnotationStore(location) as store:
            version = update_model(
                store,
                folder,
                initial=initial,
                changes=changes,
                restart=restart,
                is_stopped=stop.is_set,
                on_phase=report,
            )
    except InputError as error:
        reports.send(replace(last, state="failed", problem=str(error), code=error.code))
        return
    reports.send(replace(last, state="finished" if version else "stopped", version=version))


def _end_with_parent() -> None:
    """End this process when its parent was killed."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
