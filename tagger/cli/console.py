"""What the commands show: tables of scores, and the live display of a training run."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from tagger.errors import InputError
from tagger.training.card import score_rows

WIDTH = 100  # of tables where there is no terminal that says its own


def require_extra(command: str, *modules: str) -> None:
    """Refuse a command whose packages are not installed.

    Raises:
        InputError: One of the modules cannot be found.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise InputError(
                f"`tagger {command}` needs the package {module}; install the extra `train` (see README)."
            )


def make_console(*, stderr: bool = False) -> Console:
    """A console that prints text as it is: no markup, no guessed highlights."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else WIDTH
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False, width=width)


def scores_table(task: str, scores: Mapping[str, Any]) -> Table:
    """The scores of one task, label by label."""
    head, rows = score_rows(scores)
    table = Table(title=f"{task}: {head[0]}", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("")
    for name in head[1:]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row)
    return table


def facts_table(facts: Mapping[str, str]) -> Table:
    """Names and values in two columns."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, value)
    return table


class TrainingDisplay:
    """Lines that stay, and below them on a terminal a bar for the epoch that is running.

    Args:
        epochs: Epochs of the whole run at most.
    """

    def __init__(self, epochs: int) -> None:
        self.console = make_console()
        self._epochs = epochs
        self._begun = 0.0
        self._progress: Progress | None = None
        live = self.console
        if not live.is_terminal:  # then lines go to a file, and the bar to the other stream if that is one
            live = make_console(stderr=True)
        if live.is_terminal:
            self._progress = Progress(
                TextColumn("epoch {task.fields[epoch]}"),
                BarColumn(bar_width=10),
                TextColumn("{task.fields[facts]}"),
                console=live,
                transient=True,
                refresh_per_second=4,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._bar = self._progress.add_task("", total=1.0, epoch="", facts="", visible=False)

    def __enter__(self) -> TrainingDisplay:
        if self._progress:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress:
            self._progress.stop()

    def print(self, line: object, *, style: str = "") -> None:
        """Print a line (or a table) that stays; nothing when it cannot be written any longer."""
        try:
            self.console.print(line, style=style, soft_wrap=isinstance(line, str))
        except (OSError, SystemExit):  # the second from rich, which would end the program at a closed pipe
            self.console.quiet = True
            with open(os.devnull, "wb") as nowhere:  # noqa: PTH123, the null device is no path of the user's
                os.dup2(nowhere.fileno(), 1)  # where what is still held goes when Python ends

    def advance(
        self, *, epoch: int, share: float, loss: float, tokens_per_second: float, best: float | None
    ) -> None:
        """Move the bar.

        Args:
            epoch: Number of the epoch that is running, from 1.
            share: How much of it is done, in [0, 1].
            loss: Mean loss a sentence.
            tokens_per_second: Speed of this epoch.
            best: The best dev score so far, if there is one.
        """
        if self._progress is None:
            return
        now = time.monotonic()
        self._begun = self._begun or now
        done = epoch - 1 + share
        left = (now - self._begun) / done * (self._epochs - done) if done else 0.0
        # All of it fits a terminal of 80 columns.
        facts = f"loss {loss:.2f} · {tokens_per_second:,.0f} tokens/s · {_clock(left)} left"
        self._progress.update(
            self._bar,
            completed=share,
            visible=True,
            epoch=f"{epoch}/{self._epochs}",
            facts=facts if best is None else f"{facts} · best {best:.4f}",
        )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
