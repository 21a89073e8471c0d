"""Console output of the commands: score tables, and the live display of a training run."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from tagger.errors import InputError, printable
from tagger.evaluation.calibration import BINS
from tagger.evaluation.confusion import Confusion, most_confused
from tagger.evaluation.mistakes import Mistake, group_mistakes, words_around
from tagger.runtime.model_calibration import Calibration
from tagger.runtime.model_evaluation import TaskEvaluation
from tagger.runtime.scoring import Change
from tagger.text.sentence import Sentence
from tagger.training.card import score_rows

WIDTH = 100  # table width without a terminal
UNBOUNDED = 100_000  # a width that fits any table
MOST_LABELS = 500  # most label rows of a score table
MOST_CONFUSED = 10  # label pairs shown instead of a matrix that is wider than the console
MOST_FREQUENT = 10  # most frequent errors, each shown with an example sentence
LONGEST_TEXT = 20_000  # most characters of a cell; training writes far shorter ones


class _SafeConsole(Console):
    """Console that replaces control characters in everything it prints."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Convert a string to text without control characters; rich calls this for every string."""
        short = text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"
        return super().render_str("\n".join(map(printable, short.split("\n"))), **options)


def require_extra(command: str, *modules: str, extra: str = "train") -> None:
    """Check that the packages of a command are installed.

    Raises:
        InputError: A module is not installed.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise InputError(
                f"`tagger {command}` needs the package {module}. Install the extra `{extra}` (see README).",
                code="package.missing",
            )


def make_console(*, stderr: bool = False) -> Console:
    """Create a console that prints plain text: no markup, no highlighting, no escape sequences."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else WIDTH
    return _SafeConsole(stderr=stderr, markup=False, highlight=False, emoji=False, width=width)


def scores_table(task: str, scores: Mapping[str, Any]) -> Table:
    """Build the table of one task's scores by label; lists at most ``MOST_LABELS`` labels."""
    labels = scores["by_label"]
    shown = dict(islice(labels.items(), MOST_LABELS))
    head, rows = score_rows({**scores, "by_label": shown})
    table = Table(title=f"{printable(task)}: {head[0]}", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("")
    for name in head[1:]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*map(printable, row))
    if len(labels) > len(shown):
        table.add_row(f"{len(labels) - len(shown):,} more labels")
    return table


def changes_table(changes: Iterable[Change]) -> Table:
    """Build the table of scores before and after training from an existing model."""
    table = Table(title="before and after", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("")
    for name in ("before", "after", "change", "gold"):
        table.add_column(name, justify="right")
    for one in changes:
        before, change = "", ""
        if one.before is not None:
            before, change = f"{one.before:.4f}", f"{one.after - one.before:+.4f}"
        name = printable(f"{one.split}, {one.task}: {one.label}")
        table.add_row(name, before, f"{one.after:.4f}", change, f"{one.support:,}")
    return table


def borders_table(task: str, confusion: Confusion) -> Table:
    """Build the table of span errors by label: boundary errors and type errors."""
    table = _counts_table(f"{task}: borders and types")
    for kind in confusion["kinds"]:
        table.add_column(kind.replace("wrong borders and type", "both wrong"), justify="right")
    for label, counts in (*confusion["by_label"].items(), ("all", confusion["kinds"])):
        table.add_row(printable(label), *(f"{count:,}" for count in counts.values()))
    return table


def confusion_table(task: str, confusion: Confusion, console: Console) -> Table:
    """Build the confusion matrix, or the most confused label pairs if the console is too narrow."""
    table = _counts_table(f"{task}: gold (rows) against predicted (columns)")
    for name in confusion["names"]:
        table.add_column(printable(name), justify="right", no_wrap=True)
    for name, counts in zip(confusion["names"], confusion["matrix"], strict=True):
        table.add_row(printable(name), *(f"{count:,}" if count else "." for count in counts))
    free = console.options.update(width=UNBOUNDED)
    if console.measure(table, options=free).maximum <= console.width:
        return table
    table = _counts_table(f"{task}: most confused")
    table.columns[0].header = "gold"
    table.add_column("predicted")
    table.add_column("count", justify="right")
    for pair in most_confused(confusion, MOST_CONFUSED):
        table.add_row(printable(pair["gold"]), printable(pair["predicted"]), f"{pair['count']:,}")
    return table


def calibration_line(task: str, calibration: Calibration) -> str:
    """Format the expected calibration error, at temperature 1 and at the model's temperature."""
    before, after = calibration.errors
    what = "spans" if calibration.has_spans else "tokens"
    line = f"{printable(task)}: expected calibration error {before:.4f}"
    if calibration.temperature == 1:
        line += ", not calibrated"
    else:
        line += f" before, {after:.4f} after calibration (temperature {calibration.temperature:g})"
    return f"{line}; {BINS} bins, {len(calibration.is_right):,} predicted {what}"


def thresholds_table(task: str, calibration: Calibration) -> Table:
    """Build the table of span counts, precision, recall and F1 at several values of ``--min-score``."""
    table = Table(title=f"{printable(task)}: with --min-score", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("min score", "spans", "precision", "recall", "F1"):
        table.add_column(name, justify="right")
    for row in calibration.against():
        scores = (f"{row[key]:.4f}" for key in ("precision", "recall", "f1"))
        table.add_row(f"{row['min_score']:g}", f"{row['found']:,}", *scores)
    return table


def recall_line(task: str, calibration: Calibration, recall: float) -> str:
    """Format the highest value of ``--min-score`` that reaches a recall, or the best recall."""
    row = calibration.at_recall(recall)
    if row is None:
        best = calibration.against([0.0])[0]["recall"]
        return f"{printable(task)}: no --min-score reaches recall {recall:g}; the best recall is {best:.4f}"
    return (
        f"{printable(task)}: --min-score {row['min_score']:g} reaches recall {recall:g} "
        f"(recall {row['recall']:.4f}, precision {row['precision']:.4f})"
    )


def mistake_lines(
    task: str, result: TaskEvaluation, sentences: Sequence[Sentence], width: int
) -> Iterator[Text]:
    """Yield the most frequent errors, two lines each: gold and predicted label, then an example sentence.

    Args:
        task: The task name.
        result: The model's results in this task.
        sentences: All evaluated sentences.
        width: Width of the console in columns.
    """
    groups = group_mistakes(result.mistakes)
    if not groups:
        return
    total = len(result.mistakes)
    yield Text(f"{printable(task)}: most frequent of {total:,} error{'s' * (total != 1)}", style="italic")
    for group in groups[:MOST_FREQUENT]:
        outcome, first = group[0].outcome, group[0]
        gold, predicted = (None if label is None else printable(label) for label in outcome.labels)
        labels = gold if gold == predicted else " → ".join(filter(None, (gold, predicted)))
        yield _fit(f"{len(group):>5,} × {printable(first.text)}  {labels}  {outcome.kind}", width)
        yield _fit(f"          {_example(first, sentences[first.sentence], width - 10)}", width)


def _example(mistake: Mistake, sentence: Sentence, width: int) -> str:
    source = printable(mistake.source or f"sentence {mistake.sentence + 1}")
    outcome = mistake.outcome
    free = max(20, width - cell_len(source) - 4)
    parts = words_around(sentence.tokens, outcome.start, outcome.end, width=free, measure=cell_len)
    before, middle, after = map(printable, parts)
    return " ".join(filter(None, (f"{source}:", before, f"[{middle}]", after)))


def _fit(line: str, width: int) -> Text:
    """Truncate a line to the console width; wide characters take two columns."""
    text = Text(line)
    text.truncate(width, overflow="ellipsis")
    return text


def _counts_table(title: str) -> Table:
    table = Table(title=printable(title), title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("")
    return table


def facts_table(facts: Mapping[str, str]) -> Table:
    """Build a table of names and values in two columns."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(printable(name), printable(value))
    return table


def counts_table(title: str, names: Sequence[str], counts: Sequence[Counter[str]], most: int) -> Table:
    """Build the table of label counts by file, most frequent labels first.

    Args:
        title: The table title.
        names: Names of the files.
        counts: The label counts of each file.
        most: Number of labels to show; one row sums up the others.
    """
    totals: Counter[str] = Counter()
    for file_counts in counts:
        totals.update(file_counts)
    table = Table(title=printable(title), title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("", overflow="fold")
    for name in names:
        table.add_column(printable(name), justify="right", overflow="fold")
    labels = [label for label, _ in totals.most_common()]
    for label in labels[:most]:
        table.add_row(printable(label), *(f"{file_counts[label]:,}" for file_counts in counts))
    if len(labels) > most:
        others = [sum(file_counts[label] for label in labels[most:]) for file_counts in counts]
        table.add_row(f"{len(labels) - most:,} more", *(f"{count:,}" for count in others))
    table.add_section()
    table.add_row("all", *(f"{file_counts.total():,}" for file_counts in counts))
    return table


class TrainingDisplay:
    """Display of a training run: permanent lines and, on a terminal, a progress bar of the current epoch.

    Args:
        epochs: Maximum number of epochs of the run.
    """

    def __init__(self, epochs: int) -> None:
        self.console = make_console()
        self._epochs = epochs
        self._begun = 0.0
        self._progress: Progress | None = None
        live = self.console
        if not live.is_terminal:  # lines go to a file; show the bar on standard error
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
        """Print a permanent line or table; stop printing once the output is closed."""
        try:
            self.console.print(line, style=style, soft_wrap=isinstance(line, str))
        except (OSError, SystemExit):  # rich raises SystemExit on a closed pipe
            self.console.quiet = True
            with open(os.devnull, "wb") as null:  # noqa: PTH123, not a user path
                os.dup2(null.fileno(), 1)  # Python flushes buffered output there on exit

    def advance(
        self, *, epoch: int, share: float, loss: float, tokens_per_second: float, best: float | None
    ) -> None:
        """Update the progress bar.

        Args:
            epoch: Number of the current epoch, starting at 1.
            share: Completed fraction of the epoch, in [0, 1].
            loss: Mean loss per sentence.
            tokens_per_second: Speed of this epoch.
            best: The best dev score so far, or None.
        """
        if self._progress is None:
            return
        now = time.monotonic()
        self._begun = self._begun or now
        done = epoch - 1 + share
        left = (now - self._begun) / done * (self._epochs - done) if done else 0.0
        # Keep the line within 80 columns.
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
