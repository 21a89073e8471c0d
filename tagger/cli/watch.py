"""Display of a training run: the data, one line per epoch, and the result or interruption."""

from __future__ import annotations

import json
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

from tagger.bundle import Bundle
from tagger.cli.console import TrainingDisplay, changes_table, scores_table
from tagger.cli.output import Notes
from tagger.config import Config
from tagger.corpus.memory import Source
from tagger.features.vocab import Vocabulary
from tagger.runtime.scoring import measure_forgetting
from tagger.runtime.tagger import Tagger
from tagger.storage import write_whole
from tagger.training.card import task_labels
from tagger.training.loop import EpochRecord, StepRecord
from tagger.training.processes import is_main_process
from tagger.training.run import DataRecord, Record, StopRecord, run_training

Scores = Mapping[str, Any]
FORGETTING = "forgetting.json"  # scores before and after a run that started from a model
SIGNALS = (signal.SIGINT, signal.SIGTERM)
# A terminal and a launcher such as torchrun may both forward the same Ctrl-C.
SAME_REQUEST_SECONDS = 2.0


class StopSignals:
    """Context manager: the first Ctrl-C or SIGTERM requests a stop, a second one ends the program.

    Attributes:
        is_polled: True once the training polls ``is_requested``; before that, signals interrupt at once.
        is_requested: True if a stop was requested.
        exit_code: The exit code of the last received signal.
    """

    def __init__(self) -> None:
        self.is_polled = False
        self.is_requested = False
        self.exit_code = 128 + signal.SIGINT
        self._requested_at = 0.0
        self._earlier: list[Any] = []

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():  # other threads cannot set handlers
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
        if not self.is_polled or (self.is_requested and now - self._requested_at > SAME_REQUEST_SECONDS):
            raise KeyboardInterrupt
        if not self.is_requested:
            self.is_requested, self._requested_at = True, now


def watch_training(
    config: Config,
    output: Path,
    train: Sequence[Source],
    dev: Sequence[Source],
    vectors: Path | None,
    *,
    initial: Bundle | None = None,
    teachers: Sequence[Bundle] | None = None,
    old_dev: Sequence[Path] = (),
    resume: bool | None,
) -> None:
    """Train a model and display the run.

    Args:
        config: All options.
        output: The model folder.
        train: The training files.
        dev: The dev files, which select the best epoch; may be empty.
        vectors: File of static word vectors, or None.
        initial: The model to start from, or None.
        teachers: Models whose probabilities replace tags (see ``preparation.prepare``).
        old_dev: Dev files of the initial model's data, to print scores before and after; may be empty.
        resume: True to resume an unfinished run, False to restart it (see ``run_training``).

    Raises:
        InputError: ``run_training`` rejects the options or files.
        Exit: SIGINT or SIGTERM stopped the run; the code is 130 or 143.
    """
    with TrainingDisplay(config.train.epochs) as display, StopSignals() as signals:
        records = run_training(
            config,
            output,
            train_files=train,
            dev_files=dev,
            vectors_file=vectors,
            initial=initial,
            teachers=teachers,
            resume=resume,
            is_stopped=lambda: signals.is_requested,
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
        position = f"after step {step} of epoch {epoch}" if step else f"after epoch {epoch - 1}"
        display.print(
            f"stopped {position}{watch.saved(output)}; run the same command with --resume to continue"
        )
        raise typer.Exit(signals.exit_code)
    if watch.best is not None:
        _show_result(watch.best, output, display)
    if initial and is_main_process() and (dev or old_dev):
        splits = {"old dev": old_dev, "dev": dev}
        changes = measure_forgetting(
            Tagger(initial), Tagger.load(output), {name: files for name, files in splits.items() if files}
        )
        display.print(changes_table(changes))
        write_whole(output / FORGETTING, json.dumps([one.to_dict() for one in changes], indent=1).encode())


class _Watch:
    """Display the records of a run.

    Attributes:
        best: The best epoch so far, or None.
        stop: The position where the run was stopped, or None.
    """

    def __init__(self, config: Config, display: TrainingDisplay, signals: StopSignals) -> None:
        self.best: EpochRecord | None = None
        self.stop: StopRecord | None = None
        self._config = config
        self._display = display
        self._signals = signals
        self._is_main = is_main_process()
        display.console.quiet = not self._is_main  # only rank 0 prints

    def show(self, record: Record) -> None:
        """Display one record."""
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
        """Describe the folder after an interruption, and how to resume."""
        if not self._signals.is_polled:
            return f"interrupted before the first step; {output} is unchanged"
        return f"interrupted{self.saved(output)}; run the same command with --resume to continue"

    def saved(self, output: Path) -> str:
        """Name the epoch of the saved model, if there is one."""
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
            self._display.print(f"processes {record.processes}; each trains on a share of every batch\n")
        if record.is_finished:
            self._display.print(f"finished  after {len(record.earlier)} epochs: nothing to do")
        elif record.earlier or record.step:
            self._display.print(f"resumed   after {len(record.earlier)} epochs and {record.step} steps\n")
        self._signals.is_polled = True


def _show_result(best: EpochRecord, output: Path, display: TrainingDisplay) -> None:
    display.print(f"\n{_best_text(best) or 'kept the last epoch: no dev split to select the best one'}")
    for name, scores in best.dev.items():
        display.print(scores_table(f"dev, {name}", scores))
    folder = shlex.quote(str(output))
    display.print(f"model: {folder}\ntag with it: tagger tag -m {folder} text.txt")


def _data_lines(data: Mapping[str, Any], vocabulary: Vocabulary, config: Config) -> Iterator[str]:
    """Describe the data and the model, one fact per line."""
    for split in ("train", "dev"):
        facts = data[split]
        if facts is None:
            yield "dev       none: epochs are not evaluated; the last one is kept"
            continue
        yield f"{split:<9} {facts['file']}: {facts['sentences']:,} sentences, {facts['tokens']:,} tokens"
    labels = task_labels(vocabulary)
    for task in [one for one in vocabulary.tasks if one.name in data["train"]["schemes"]]:
        scheme = data["train"]["schemes"][task.name]
        kind = f"spans in {scheme}, learnt as {task.scheme}" if task.scheme else "one tag per token"
        names = ", ".join(labels[task.name])
        yield f"{task.name:<9} {kind}; {len(labels[task.name])} labels: {names}"
        for split in ("train", "dev"):
            count = data[split]["repairs"].get(task.name) if data[split] else 0
            if count:
                yield f"          {count:,} illegal tags in {split}, read as conlleval reads them"
        unseen = data["dev"]["unseen_tags"].get(task.name) if data["dev"] else 0
        if unseen:
            yield f"          {unseen:,} tags in dev do not occur in train and count as errors"
    vectors = data["vectors"]
    if vectors:
        share = vectors["covered"] / max(1, vectors["words"])
        yield (
            f"vectors   {vectors['file']}, {vectors['size']} dimensions: {vectors['covered']:,} of "
            f"{vectors['words']:,} train words found ({share:.1%}), {vectors['frozen']:,} more kept for "
            "tagging"
        )
        if vectors["duplicates"]:
            yield f"          {vectors['duplicates']:,} vectors of repeated words skipped"
    model = config.model
    merged = f" ({model.merge_mode})" if model.direction == "bidirectional" else ""
    yield f"model     {model.direction}{merged}, {model.head} head\n"


def _epoch_text(record: EpochRecord, epochs: int) -> str:
    """Format the line of one epoch."""
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
