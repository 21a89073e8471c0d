"""Progress bar of a training run in a notebook or a terminal."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from tagger.training.loop import EpochRecord, StepRecord


class TrainingBar:
    """Context manager and callback of ``tagger.train``: shows the share of all steps, the loss and the score.

    Args:
        epochs: Number of epochs of the run.
    """

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._score = ""
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns)
        self._task = self._progress.add_task("training", total=epochs)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, record: StepRecord | EpochRecord) -> None:
        """Show a record."""
        if isinstance(record, EpochRecord):
            done = float(record.epoch)
            if record.is_best and record.score is not None:
                self._score = f", best {record.score:.4f} (epoch {record.epoch})"
        else:
            done = record.epoch - 1 + record.step / record.steps
        text = f"epoch {record.epoch}/{self._epochs}, loss {record.loss:.4f}{self._score}"
        self._progress.update(self._task, completed=done, description=text)


def is_notebook() -> bool:
    """Return True in a Jupyter kernel."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"
