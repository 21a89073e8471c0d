"""Live table of a comparison, and its conclusion."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from statistics import mean, stdev
from types import TracebackType

import typer
from rich import box
from rich.live import Live
from rich.table import Table

from tagger.cli.console import make_console
from tagger.cli.output import Notes
from tagger.experiments.comparison import GridRecord, compare
from tagger.experiments.findings import summarise
from tagger.experiments.grid import Job, Request
from tagger.experiments.report import write_report
from tagger.experiments.report_text import describe_backward_gain, describe_lookahead
from tagger.experiments.results import Comparison
from tagger.experiments.run_training import EpochDone, Event, RunDone


def watch_comparison(request: Request, *, processes: int, hide_words: bool) -> None:
    """Run a comparison with a live table, then write the report.

    Args:
        request: The requested comparison.
        processes: Number of runs in parallel.
        hide_words: True to name sentences by file and line in the report instead of showing them.

    Raises:
        InputError: ``compare`` rejects the request, or the report cannot be written.
        Exit: The comparison was interrupted; the code is 130 (143 after SIGTERM, set by the program).
    """
    display = GridDisplay(request.config.train.epochs)
    try:
        with display, closing(compare(request, processes=processes)) as records:
            comparison = _show_all(records, display)
    except KeyboardInterrupt:
        count = f"{len(display.finished):,} of {len(display.jobs):,}" if display.jobs else "no"
        display.console.print(
            f"stopped with {count} runs finished; run the same command to continue", soft_wrap=True
        )
        raise typer.Exit(130) from None
    findings = summarise(comparison)
    write_report(comparison, findings, request.output, hide_words=hide_words)
    for line in (describe_backward_gain(comparison, findings), *describe_lookahead(findings.lookahead)):
        display.console.print(line, soft_wrap=True)
    display.console.print(f"report: {request.output / 'report.html'}", soft_wrap=True)


def _show_all(records: Generator[GridRecord | Event, None, Comparison], display: GridDisplay) -> Comparison:
    while True:
        try:
            display.show(next(records))
        except StopIteration as end:
            comparison: Comparison = end.value
            return comparison


class GridDisplay:
    """Table with a row per variant and a column per seed: the dev score × 100, or the last epoch.

    On a terminal the table is updated live. Otherwise each finished run prints a line, and the table follows
    at the end.

    Args:
        epochs: Number of epochs of each run.

    Attributes:
        console: The console to print on.
        jobs: All runs of the grid, once known.
        finished: The scores of the finished runs, by name.
    """

    def __init__(self, epochs: int) -> None:
        self.console = make_console()
        self.finished: dict[str, float] = {}
        self.jobs: Sequence[Job] = ()
        self._epochs = epochs
        self._running: dict[str, int] = {}
        self._live: Live | None = None

    def __enter__(self) -> GridDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.update(self._table(), refresh=True)
            self._live.stop()
        elif self.finished:
            self.console.print(self._table())

    def show(self, record: GridRecord | Event) -> None:
        """Display one record."""
        if isinstance(record, GridRecord):
            self._begin(record)
        elif isinstance(record, EpochDone):
            self._running[record.name] = record.epoch
        else:
            self._running.pop(record.name, None)
            self.finished[record.name] = record.score
            if not self._live:
                self.console.print(self._line(record), soft_wrap=True)
        if self._live:
            self._live.update(self._table())

    def _begin(self, record: GridRecord) -> None:
        self.jobs, self.finished = record.jobs, dict(record.finished)
        for line in record.summary:
            self.console.print(line, soft_wrap=True)
        notes = Notes()
        for note in record.notes:
            notes(note)
        notes.close()
        if self.finished:
            count = len(self.finished)
            self.console.print(f"{count:,} of {len(self.jobs):,} runs already finished")
        if self.console.is_terminal:
            self._live = Live(
                self._table(), console=self.console, refresh_per_second=4, vertical_overflow="visible"
            )
            self._live.start()

    def _line(self, record: RunDone) -> str:
        job = next(job for job in self.jobs if job.name == record.name)
        done = f"{len(self.finished)}/{len(self.jobs)}"
        return f"{done}  {job.variant.title}, seed {job.seed}: {100 * record.score:.2f}"

    def _table(self) -> Table:
        table = Table(box=box.SIMPLE_HEAD, title="dev score × 100", title_justify="left")
        seeds = sorted({job.seed for job in self.jobs})
        table.add_column("", overflow="fold")
        for seed in seeds:
            table.add_column(f"seed {seed}" if len(seeds) < 4 else f"{seed}", justify="right", no_wrap=True)
        table.add_column("mean ± sd", justify="right", no_wrap=True)
        names = {(job.variant, job.seed): job.name for job in self.jobs}
        for variant in dict.fromkeys(job.variant for job in self.jobs):
            run_names = [names[variant, seed] for seed in seeds]
            scores = [100 * self.finished[name] for name in run_names if name in self.finished]
            table.add_row(variant.title, *map(self._cell, run_names), _spread(scores))
        return table

    def _cell(self, name: str) -> str:
        if name in self.finished:
            return f"{100 * self.finished[name]:.2f}"
        return f"{self._running[name]}/{self._epochs}" if name in self._running else "·"


def _spread(scores: Sequence[float]) -> str:
    if not scores:
        return ""
    return f"{mean(scores):.2f} ± {stdev(scores):.2f}" if len(scores) > 1 else f"{scores[0]:.2f}"
