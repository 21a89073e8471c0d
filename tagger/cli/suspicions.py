"""Probable label errors of a corpus: ``tagger check`` with a model, or with models of the other folds."""

from __future__ import annotations

import json as json_format
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import typer
from rich import box
from rich.table import Table

from tagger.cli.console import UNBOUNDED, make_console, require_extra
from tagger.cli.evaluate import check_outputs
from tagger.cli.output import Notes
from tagger.cli.progress_bar import ProgressBar
from tagger.cli.train import EXTRA
from tagger.config import Config, DataConfig
from tagger.corpus.loading import FileOptions, name_files
from tagger.corpus.memory import hold
from tagger.corpus.reading import Reading
from tagger.corpus.tags import count_unseen
from tagger.errors import InputError, printable
from tagger.evaluation.confusion import NO_SPAN
from tagger.included import find_model, model_name
from tagger.runtime.gold_data import read_gold_files
from tagger.runtime.label_errors import Suspicion, cross_validate, find_label_errors
from tagger.runtime.model_calibration import read_gold
from tagger.runtime.tagger import Tagger
from tagger.text.sentence import Sentence, Span

TOP = 50  # suspicions to print by default
FOLD_EPOCHS = 8  # epochs of the models of folds by default: fewer than for a model to use, for speed


def check_with_model(
    model: Path,
    files: Sequence[Path],
    tasks: Sequence[str],
    options: FileOptions,
    reading: Reading,
    *,
    top: int,
    page: Path | None,
    json: bool,
) -> None:
    """List the suspicions of one model.

    Args:
        model: The model's folder or name.
        files: The corpus files.
        tasks: The tasks to check, by default all of the model that the files have.
        options: The file options.
        reading: The reader options.
        top: Number of suspicions to print.
        page: The page to write, or None.
        json: True to print all suspicions as JSON.

    Raises:
        InputError: A file or the model cannot be read, or the page cannot be written.
    """
    _require_page(files, page)
    tagger = Tagger.load(model)
    with ProgressBar("checking", files) as bar:
        notes = Notes()
        data = tagger.bundle.config.data
        reading = replace(
            reading,
            tokenize=tagger.tokenizer,
            offsets=data.offsets if reading.offsets == "auto" else reading.offsets,
            label_names=reading.label_names or data.label_names,
            warn=notes,
        )
        options = replace(options, usual=data.columns)
        sentences, tasks, summary = read_gold_files(tagger, files, tasks, options, reading)
        notes.close()
        found = find_label_errors(
            tagger, sentences, tasks=tasks, watch=lambda scored: bar.track(scored, total=len(sentences))
        )
    sentences, schemes = read_gold(tagger, sentences, tasks)
    for task in tagger.tasks:
        has_spans = schemes.get(task.name) is not None
        if task.name in schemes and (
            unseen := count_unseen(sentences, task.name, task.tags, has_spans=has_spans)
        ):
            labels = ", ".join(f"{label} ({number:,})" for label, number in unseen.items())
            summary.append(f"{task.name}: the model lacks these gold labels and doubts all of them: {labels}")
    if page:
        _write_page(found, sentences, schemes, page, model=model_name(find_model(model)), files=files)
    _print(found, summary, top=top, json=json)


def check_with_folds(
    n_folds: int,
    files: Sequence[Path],
    config: Config,
    vectors: Path | None,
    *,
    top: int,
    page: Path | None,
    json: bool,
) -> None:
    """List the suspicions of models that were each trained on the other folds.

    Args:
        n_folds: Number of folds.
        files: The corpus files.
        config: All options of the models and of reading the files; ``train.seed`` is also that of the folds.
        vectors: File of static word vectors, or None.
        top: Number of suspicions to print.
        page: The page to write, or None.
        json: True to print all suspicions as JSON.

    Raises:
        InputError: A file cannot be read or trained on, there are fewer sentences than folds, or the page
            cannot be written.
    """
    require_extra("check --folds", *EXTRA)
    _require_page(files, page)
    from tagger.training.preparation import load_train

    notes = Notes()
    warnings: list[str] = []
    with ProgressBar("reading", files):
        split = load_train(config, files, warnings)
    for warning in warnings:
        notes(warning)
    notes.close()
    if n_folds > len(split.sentences):
        raise InputError(
            f"--folds must be at most the number of sentences, {len(split.sentences):,} (got {n_folds:,}). "
            "Choose fewer folds.",
            code="option.value",
            option="--folds",
        )
    # The sentences are in memory, so the options of files no longer apply.
    own = config.model_copy(update={"data": DataConfig(tasks=config.data.tasks)})  # type: ignore[call-arg]
    found = cross_validate(
        split.sentences,
        _fold_trainer(own, vectors, n_folds),
        tasks=config.data.tasks,
        n_folds=n_folds,
        seed=config.train.seed,
    )
    if page:
        model = f"a model of the other {n_folds - 1} of {n_folds} folds"
        _write_page(found, split.sentences, split.schemes, page, model=model, files=files)
    _print(found, split.summary, top=top, json=json)


def _fold_trainer(
    config: Config, vectors: Path | None, n_folds: int
) -> Callable[[Sequence[Sentence]], Tagger]:
    """Return a function that trains the models one after the other and shows their epochs."""
    from tagger.training.loop import EpochRecord
    from tagger.training.run import run_training

    numbers = count(1)

    def train(sentences: Sequence[Sentence]) -> Tagger:
        action = f"training model {next(numbers)} of {n_folds}"
        with (
            tempfile.TemporaryDirectory(prefix="tagger-") as folder,
            ProgressBar(action, (), unit="epochs") as bar,
        ):
            records = run_training(
                config,
                Path(folder),
                train_files=[hold(sentences, "fold")],
                vectors_file=vectors,
                resume=False,
            )
            with closing(records):
                epochs = (record for record in records if isinstance(record, EpochRecord))
                deque(bar.track(epochs, total=config.train.epochs), maxlen=0)
            return Tagger.load(folder)

    return train


def _require_page(files: Sequence[Path], page: Path | None) -> None:
    if page:
        require_extra("check --page", "jinja2")
        check_outputs(files, [page])


def _write_page(
    suspicions: Sequence[Suspicion],
    sentences: Sequence[Sentence],
    schemes: Mapping[str, str | None],
    page: Path,
    *,
    model: str,
    files: Sequence[Path],
) -> None:
    from tagger.reports.label_error_page import write_label_errors

    write_label_errors(suspicions, sentences, schemes, page, model=model, file=name_files(files))


def _print(suspicions: Sequence[Suspicion], summary: Sequence[str], *, top: int, json: bool) -> None:
    if json:
        values: dict[str, Any] = {"read": summary, "label_errors": [one.values() for one in suspicions]}
        typer.echo(json_format.dumps(values, indent=2, ensure_ascii=False))
        return
    console = make_console()
    if not console.is_terminal:
        console.width = UNBOUNDED  # one line per suspicion, for grep and other programs
    for fact in summary:
        console.print(fact, soft_wrap=True)
    n_shown = min(top, len(suspicions))
    console.print(
        f"{len(suspicions):,} probable label errors" + (f", the first {n_shown:,}:" if n_shown else "")
    )
    if n_shown:
        console.print(_table(suspicions[:top]))


def _table(suspicions: Sequence[Suspicion]) -> Table:
    """Build the table of suspicions, one row each."""
    table = Table(box=box.SIMPLE_HEAD)
    has_tasks = len({one.task for one in suspicions}) > 1
    for name in ("place", *(["task"] if has_tasks else []), "error", "gold", "proposed", "text"):
        table.add_column(name, no_wrap=name != "text", overflow="fold")
    for one in suspicions:
        gold, proposal = one.outcome.gold, one.outcome.predicted
        texts = dict.fromkeys(_text(one, span) for span in (gold, proposal) if span)
        cells = (
            one.source or f"sentence {one.sentence + 1}",
            *([one.task] if has_tasks else []),
            one.kind,
            f"{gold.label if gold else NO_SPAN} {one.gold_probability:.4f}",
            f"{proposal.label if proposal else NO_SPAN} {one.proposal_probability:.4f}",
            " → ".join(texts),
        )
        table.add_row(*map(printable, cells))
    return table


def _text(suspicion: Suspicion, span: Span) -> str:
    first = suspicion.outcome.start
    return " ".join(suspicion.words[span.start - first : span.end - first])
