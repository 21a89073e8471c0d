"""Display of a search: a line per trial, the table of the best, and the comparison with the default."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from tagger.cli.console import make_console
from tagger.cli.output import Notes
from tagger.config_loading import configure, format_config
from tagger.errors import InputError
from tagger.experiments.report_text import CHANCE, format_gain, format_interval, format_p, format_score
from tagger.experiments.retraining import RetrainedRecord, TestedGain, compare_configs
from tagger.integrations.optuna import SearchRequest, StudyRecord, Trial, TrialRecord, WaitRecord, search
from tagger.storage import write_whole, writing

BEST = "best.toml"
MOST_TRIALS = 10  # trials in the table
Result = TypeVar("Result")


def watch_search(request: SearchRequest, output: Path, *, seeds: int) -> None:
    """Run a search, write the best config, and compare it with the default.

    Args:
        request: The search.
        output: Folder of the config and the comparison.
        seeds: Number of new seeds of the comparison; 0 for none.

    Raises:
        InputError: ``search`` or ``compare_configs`` rejects the request, or a file cannot be written.
        Exit: The search was interrupted; the code is 130 (143 after SIGTERM, set by the program).
    """
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    display = _Display(request.trials)
    try:
        with closing(search(request)) as trials:
            ranked = display.show_all(trials)
        path = output / BEST
        _write_best(path, request, ranked[0])
        display.print(_trials_table(ranked))
        display.print(f"best config: {path}")
        if seeds:
            _compare(request, ranked[0], output, seeds, display)
    except KeyboardInterrupt:
        display.print(f"stopped {display.position()}; run the same command to continue")
        raise typer.Exit(130) from None


def _write_best(path: Path, request: SearchRequest, best: Trial) -> None:
    config = configure(request.config, best.options)
    comment = (
        f"# Best trial of the study {request.study!r}: trial {best.number} with "
        f"{format_score(best.score or 0.0)} on dev.\n"
        "# This score is chosen among many, so it is no result.\n"
    )
    write_whole(path, (comment + format_config(config)).encode())


def _compare(request: SearchRequest, best: Trial, output: Path, seeds: int, display: _Display) -> None:
    """Compare the winner with the default, unless another process of the search already does."""
    first = request.config.train.seed + 1  # all trials have the config's own seed
    display.print(f"training the default and the winner again; new seeds: {seeds}")
    try:
        with closing(
            compare_configs(
                ("default", request.config),
                ("winner", configure(request.config, best.options)),
                request.data,
                seeds=[seed % 2**32 for seed in range(first, first + seeds)],
                output=output,
            )
        ) as runs:
            gains = display.show_all(runs)
    except InputError as error:
        if error.code != "run.exists":
            raise
        display.print("another process compares the winner with the default; see its output")
        return
    display.print(_gains_table(gains))
    for gain in gains:
        display.print(_describe(gain))
    if not request.data.test_files:
        display.print(
            "the options of the winner were chosen on dev; --test compares on text that is new to both"
        )


class _Display:
    """Print the records of a search and its comparison.

    Args:
        trials: Number of trials of the search.
    """

    def __init__(self, trials: int) -> None:
        self._console: Console = make_console()
        self._trials = trials
        self._finished: int | None = None
        self._retrained = 0

    def print(self, line: str | Table) -> None:
        """Print a line or a table."""
        self._console.print(line, soft_wrap=isinstance(line, str))

    def position(self) -> str:
        """Describe how much of the search is finished."""
        if self._finished is None:
            return "before the first trial"
        retrained = f" and {self._retrained:,} of the comparison's runs" if self._retrained else ""
        return f"with {self._finished:,} of {self._trials:,} trials{retrained} finished"

    def show_all(self, records: Generator[Any, None, Result]) -> Result:
        """Print all records, and return the result of their generator."""
        while True:
            try:
                self._show(next(records))
            except StopIteration as end:
                result: Result = end.value
                return result

    def _show(self, record: StudyRecord | TrialRecord | WaitRecord | RetrainedRecord) -> None:
        if isinstance(record, StudyRecord):
            self._begin(record)
        elif isinstance(record, TrialRecord):
            self._finished = record.finished
            self.print(f"{record.finished}/{self._trials}  {_describe_trial(record.trial)}")
        elif isinstance(record, WaitRecord):
            self.print(f"waiting for trials of other processes: {record.running:,}")
        else:
            self._retrained += 1
            scores = ", ".join(f"{format_score(score)} on {split}" for split, score in record.scores.items())
            self.print(f"{record.name}, seed {record.seed}: {scores}")

    def _begin(self, record: StudyRecord) -> None:
        self._finished = record.finished
        for line in record.summary:
            self.print(line)
        notes = Notes()
        for note in record.notes:
            notes(note)
        notes.close()
        if record.finished:
            self.print(f"{record.finished:,} of {self._trials:,} trials already finished")
        if record.lost:
            self.print(f"interrupted or killed trials, which do not count: {record.lost:,}")


def _describe_trial(trial: Trial) -> str:
    if trial.problem:
        outcome = f"invalid ({trial.problem})"
    elif trial.score is None:
        outcome = f"stopped after epoch {trial.epochs}"
    else:
        outcome = format_score(trial.score)
    return f"trial {trial.number}: {outcome}  {_format_options(trial.options)}"


def _format_options(options: Mapping[str, Any]) -> str:
    values = (f"{value:.4g}" if isinstance(value, float) else str(value) for value in options.values())
    return "  ".join(f"{name}={value}" for name, value in zip(options, values, strict=True))


def _trials_table(ranked: Sequence[Trial]) -> Table:
    title = "best trials of the search, chosen by dev: search results, no estimate of the score on new text"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    table.add_column("trial", justify="right")
    table.add_column("dev", justify="right")
    table.add_column("options", overflow="fold")
    for trial in ranked[:MOST_TRIALS]:
        table.add_row(str(trial.number), format_score(trial.score or 0.0), _format_options(trial.options))
    return table


def _gains_table(gains: Sequence[TestedGain]) -> Table:
    title = "winner against default, mean over new seeds"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    table.add_column("")
    for name in ("default", "winner", "gain", "95 % interval", "p", "corrected p"):
        table.add_column(name, justify="right", no_wrap=True)
    for gain in gains:
        table.add_row(
            f"{gain.task}, {gain.split}",
            format_score(gain.base.mean),
            format_score(gain.other.mean),
            format_gain(gain.difference.mean),
            format_interval(gain.difference, is_gain=True),
            format_p(gain.p_value),
            format_p(gain.p_corrected),
        )
    return table


def _describe(gain: TestedGain) -> str:
    """Say in a sentence whether the winner is better."""
    p_value = format_p(gain.p_corrected)
    text = (
        f"{gain.task} on {gain.split}: the winner scores {format_gain(gain.difference.mean)} points against "
        f"the default (corrected p {p_value if '<' in p_value else '= ' + p_value}"
    )
    if gain.difference.low is None:
        text += ", one seed, so no interval"
    return text + (", so it may be due to chance)" if gain.p_corrected >= CHANCE else ")")
