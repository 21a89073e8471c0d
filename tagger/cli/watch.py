"""A training run as its user sees it: what was read, a line an epoch, and how it ends or is stopped."""

from __future__ import annotations

import shlex
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import typer

from tagger.cli.console import TrainingDisplay, scores_table
from tagger.cli.output import Notes
from tagger.config import Config
from tagger.features.vocab import Vocabulary
from tagger.training.card import task_labels
from tagger.training.loop import EpochRecord, StepRecord
from tagger.training.processes import is_main_process
from tagger.training.run import DataRecord, Record, StopRecord, run_training

Scores = Mapping[str, Any]
SIGNALS = (signal.SIGINT, signal.SIGTERM)
# A terminal and a launcher like torchrun may both pass one Ctrl-C on.
SECONDS_OF_ONE_REQUEST = 2.0


class StopSignals:
    """Within, Ctrl-C and SIGTERM ask for a stop instead of ending the program; a second one ends it.

    Attributes:
        is_awaited: Whether somebody looks at ``is_asked``; before, signals interrupt at once.
        is_asked: Whether a stop was asked for.
        exit_code: Of the signal that was received last.
    """

    def __init__(self) -> None:
        self.is_awaited = False
        self.is_asked = False
        self.exit_code = 128 + signal.SIGINT
        self._asked_at = 0.0
        self._earlier: list[Any] = []

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():  # others may not set handlers
            self._earlier = [signal.signal(number, self._receive) for number in SIGNALS]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in zip(SIGNALS, self._earlier, strict=False):
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        self.exit_code = 128 + number
        if not self.is_awaited or (self.is_asked and now - self._asked_at > SECONDS_OF_ONE_REQUEST):
            raise KeyboardInterrupt
        if not self.is_asked:
            self.is_asked, self._asked_at = True, now


def watch_training(
    config: Config,
    output: Path,
    train: Sequence[Path],
    dev: Sequence[Path],
    vectors: Path | None,
    *,
    resume: bool | None,
) -> None:
    """Run a training and show it.

    Args:
        config: All options.
        output: The model's folder.
        train: The corpus files to learn from.
        dev: The corpus files to choose the best epoch by, or none at all.
        vectors: Static word vectors, or None.
        resume: Whether to go on with an unfinished run (see ``run_training``).

    Raises:
        InputError: As ``run_training`` does.
        Exit: With code 130 or 143, if the run was stopped or interrupted by SIGINT or SIGTERM.
    """
    with TrainingDisplay(config.train.epochs) as display, StopSignals() as signals:
        records = run_training(
            config,
            output,
            train_files=train,
            dev_files=dev,
            vectors_file=vectors,
            resume=resume,
            is_stopped=lambda: signals.is_asked,
        )
        watch = _Watch(config, display, signals)
        try:
            with closing(records):
                for record in records:
                    watch.show(record)
        except KeyboardInterrupt:
            display.print(watch.interruption(output))
            raise typer.Exit(signals.exit_code) from None
    if watch.stop:
        step, epoch = watch.stop.step, watch.stop.epoch
        place = f"after step {step} of epoch {epoch}" if step else f"after epoch {epoch - 1}"
        display.print(
            f"stopped {place}{watch.kept(output)}; the same command and --resume goes on from there"
        )
        raise typer.Exit(signals.exit_code)
    if watch.best is not None:
        _show_result(watch.best, output, display)


class _Watch:
    """Shows a run's records as they come.

    Attributes:
        best: The best epoch so far.
        stop: Where the run was stopped, if it was.
    """

    def __init__(self, config: Config, display: TrainingDisplay, signals: StopSignals) -> None:
        self.best: EpochRecord | None = None
        self.stop: StopRecord | None = None
        self._config = config
        self._display = display
        self._signals = signals
        self._is_main = is_main_process()
        display.console.quiet = not self._is_main  # one of several processes speaks for all

    def show(self, record: Record) -> None:
        """Show one record."""
        if isinstance(record, DataRecord):
            self._show_data(record)
        elif isinstance(record, StepRecord):
            if self._is_main:
                self._show_step(record)
        elif isinstance(record, EpochRecord):
            self.best = replace(record, weights=None) if record.is_best else self.best
            text = _epoch_text(record, self._config.train.epochs)
            self._display.print(text, style="bold" if record.is_best else "")
        else:
            self.stop = record

    def interruption(self, output: Path) -> str:
        """How a run that was ended at once leaves the folder, and how to go on."""
        if not self._signals.is_awaited:
            return f"interrupted before the first step; {output} is as it was"
        return f"interrupted{self.kept(output)}; the same command and --resume goes on"

    def kept(self, output: Path) -> str:
        """Which model a run that ends early leaves."""
        return f"; {output} holds the model of epoch {self.best.epoch}" if self.best else ""

    def _show_step(self, record: StepRecord) -> None:
        self._display.advance(
            epoch=record.epoch,
            share=record.step / record.steps,
            loss=record.loss,
            tokens_per_second=record.tokens_per_second,
            best=self.best.score if self.best else None,
        )

    def _show_data(self, record: DataRecord) -> None:
        self.best = next((epoch for epoch in reversed(record.earlier) if epoch.is_best), None)
        for line in record.preparation.summary:
            self._display.print(line)
        for line in _data_lines(record.data, record.preparation.vocabulary, self._config):
            self._display.print(line)
        notes = record.preparation.notes
        if notes and self._is_main:
            printed = Notes()
            for note in notes:
                printed(note)
            printed.close()
        if record.processes > 1:
            self._display.print(f"processes {record.processes}, each takes its share of every batch\n")
        if record.is_finished:
            self._display.print(f"finished  after {len(record.earlier)} epochs: nothing is left to do")
        elif record.earlier or record.step:
            self._display.print(f"resumed   after {len(record.earlier)} epochs and {record.step} steps\n")
        self._signals.is_awaited = True


def _show_result(best: EpochRecord, output: Path, display: TrainingDisplay) -> None:
    display.print(f"\n{_best_text(best) or 'the last epoch is kept: there was no dev to choose by'}")
    for name, scores in best.dev.items():
        display.print(scores_table(f"dev, {name}", scores))
    folder = shlex.quote(str(output))
    display.print(f"model: {folder}\ntag with it: tagger tag {folder} text.txt")


def _data_lines(data: Mapping[str, Any], vocabulary: Vocabulary, config: Config) -> Iterator[str]:
    """What was read, a fact a line."""
    for part in ("train", "dev"):
        read = data[part]
        if read is None:
            yield "dev       none: nothing is scored, and the model of the last epoch is kept"
            continue
        yield f"{part:<9} {read['file']}: {read['sentences']:,} sentences, {read['tokens']:,} tokens"
    labels = task_labels(vocabulary)
    for task in vocabulary.tasks:
        scheme = data["train"]["schemes"][task.name]
        learnt = f"spans in {scheme}, learnt as {task.scheme}" if task.scheme else "one tag a token"
        names = ", ".join(labels[task.name])
        yield f"{task.name:<9} {learnt}; {len(labels[task.name])} labels: {names}"
        for part in ("train", "dev"):
            count = data[part]["repairs"].get(task.name) if data[part] else 0
            if count:
                yield f"          {count:,} tags of {part} were illegal, and read as conlleval reads them"
        unseen = data["dev"]["unseen_tags"].get(task.name) if data["dev"] else 0
        if unseen:
            yield f"          {unseen:,} tags of dev are unknown to train, and scored as wrong"
    vectors = data["vectors"]
    if vectors:
        share = vectors["found"] / max(1, vectors["words"])
        yield (
            f"vectors   {vectors['file']}, {vectors['size']} wide: found {vectors['found']:,} of "
            f"{vectors['words']:,} words of train ({share:.1%}), keep {vectors['kept']:,} more for tagging"
        )
        if vectors["duplicates"]:
            yield f"          {vectors['duplicates']:,} rows repeated a word and were left out"
    model = config.model
    merged = f" ({model.merge_mode})" if model.direction == "bidirectional" else ""
    yield f"model     {model.direction}{merged}, {model.head} head\n"


def _epoch_text(record: EpochRecord, epochs: int) -> str:
    """An epoch in one line."""
    parts = [f"epoch {record.epoch:>{len(str(epochs))}}/{epochs}", f"loss {record.loss:.4f}"]
    parts += [_main_score(name, scores) for name, scores in record.dev.items()]
    parts += [f"{record.tokens_per_second:,.0f} tokens/s", f"{record.seconds:.1f} s"]
    if record.dev and record.is_best:
        parts.append("best so far")
    return "  ".join(parts)


def _main_score(task: str, scores: Scores) -> str:
    return f"{task} F1 {scores['f1']:.4f}" if "f1" in scores else f"{task} accuracy {scores['accuracy']:.4f}"


def _best_text(best: EpochRecord) -> str:
    if best.score is None:
        return ""
    scores = ", ".join(_main_score(name, task) for name, task in best.dev.items())
    return f"best: epoch {best.epoch}, {scores}"
