"""``tagger evaluate``: evaluate a model on labelled files."""

from __future__ import annotations

import json as json_format
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from tagger.cli.input import LabelNamesOption, OffsetsOption, split_names
from tagger.cli.output import Notes
from tagger.cli.progress_bar import ProgressBar
from tagger.cli.tag import ModelName, PrecisionOption
from tagger.cli.thresholds import MinScoreOption, parse_min_score, resolve_min_score
from tagger.cli.train import FileScheme
from tagger.corpus.files import FORMATS, FormatName
from tagger.corpus.loading import FileOptions, name_files
from tagger.corpus.reading import OnMisaligned, Reading
from tagger.corpus.tags import parse_schemes
from tagger.corpus.token_records import parse_label_names
from tagger.errors import InputError
from tagger.included import find_model, model_name
from tagger.runtime.arguments import require_recall
from tagger.runtime.gold_data import read_gold_files
from tagger.runtime.model_evaluation import Evaluation, evaluate
from tagger.runtime.tagger import Tagger

PICTURE_SUFFIXES = (".svg", ".png")

EXAMPLES = """Examples:

tagger evaluate runs/news data/test.conll

tagger evaluate runs/news data/test.conll --errors errors.html --picture confusion.svg

tagger evaluate runs/news data/test.conll --min-score 0.9 --reliability reliability.svg

tagger evaluate runs/news data/dev.conll --recall 0.9

tagger evaluate runs/news data/test.conll --json > scores.json"""
MOST_UNSEEN = 5  # most unknown gold labels to name


def evaluate_command(
    model: ModelName,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Corpus files with gold tags, evaluated together.")
    ],
    json: Annotated[
        bool, typer.Option("--json", help="Write JSON with all errors; scores are from 0 to 1.")
    ] = False,
    errors: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Write a page of all wrong sentences, with filters."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE.svg|png", help="Plot the confusion matrices.")
    ] = None,
    reliability: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.svg|png",
            help="Plot a reliability diagram, and precision and recall against --min-score.",
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Column names, e.g. token,pos,ner; detected by default."),
    ] = None,
    format: Annotated[
        FormatName | None,
        typer.Option(metavar="FORMAT", help=f"File format, detected by default: {', '.join(FORMATS)}."),
    ] = None,
    scheme: FileScheme = None,
    task: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Tasks to evaluate (repeatable, or pos,ner); by default all tasks in the files.",
        ),
    ] = None,
    on_misaligned: Annotated[
        OnMisaligned,
        typer.Option(
            metavar="|".join(get_args(OnMisaligned)),
            help="Reject, extend, shrink or drop gold spans that do not match token boundaries.",
        ),
    ] = "error",
    offsets: OffsetsOption = "auto",
    label_names: LabelNamesOption = None,
    min_score: MinScoreOption = None,
    recall: Annotated[
        float | None,
        typer.Option(metavar="X", help="Find the highest --min-score whose recall of spans is at least X."),
    ] = None,
    precision: PrecisionOption = "f32",
) -> None:
    """Evaluate a model on labelled files.

    seqeval scores spans in its conlleval mode, and also in strict mode and
    separately for words in and out of the training vocabulary. --min-score
    filters spans before scoring; calibration always uses all spans.
    """
    from tagger.cli.console import require_extra

    require_extra("evaluate", "seqeval")
    if errors:
        require_extra("evaluate --errors", "jinja2")
    for option, path in (("--picture", picture), ("--reliability", reliability)):
        require_picture("evaluate", option, path)
    check_outputs(files, [path for path in (errors, picture, reliability) if path])
    thresholds = parse_min_score(min_score)
    if recall is not None:
        require_recall(recall, "--recall")
    tagger = Tagger.load(model, precision=precision)
    resolved_min_score = resolve_min_score(thresholds, tagger.labels)
    data = tagger.bundle.config.data
    reading = Reading(
        tokenize=tagger.tokenizer,
        on_misaligned=on_misaligned,
        offsets=data.offsets if offsets == "auto" else offsets,
        label_names=parse_label_names(label_names) or data.label_names,
    )
    options = FileOptions(columns, format, parse_schemes(scheme), usual=data.columns)
    with ProgressBar("evaluating", files) as bar:
        notes = Notes()
        sentences, tasks, summary = read_gold_files(
            tagger, files, split_names(task), options, replace(reading, warn=notes)
        )
        notes.close()
        evaluation = evaluate(
            tagger,
            sentences,
            tasks=tasks,
            min_score=resolved_min_score,
            has_calibration=True,
            watch=partial(bar.track, total=len(sentences)),
        )
    if errors:
        from tagger.reports.error_page import write_errors

        write_errors(evaluation, errors, model=model_name(find_model(model)), file=name_files(files))
    if picture:
        from tagger.reports.matrix import draw_matrices

        draw_matrices({name: result.confusion for name, result in evaluation.tasks.items()}, picture)
    if reliability:
        from tagger.reports.reliability import draw_reliability

        # The plot marks the threshold of all labels; it cannot show thresholds of single labels.
        draw_reliability(evaluation.calibrations, reliability, min_score=thresholds.get("", 0.0))
    if json:
        values = {**evaluation.values(), "read": summary}
        if recall is not None:
            values["recall"] = _values_at_recall(evaluation, recall)
        typer.echo(json_format.dumps(values, indent=2))
    else:
        _show(summary, evaluation, recall)


def require_picture(command: str, option: str, path: Path | None) -> None:
    """Check that a plot can be drawn and that its suffix is supported."""
    from tagger.cli.console import require_extra

    if path:
        require_extra(f"{command} {option}", "matplotlib")
        if path.suffix.lower() not in PICTURE_SUFFIXES:
            raise InputError(
                f"the name must end in {' or '.join(PICTURE_SUFFIXES)}. Rename it.",
                code="option.value",
                where=path,
                option=option,
            )


def check_outputs(files: Sequence[Path], outputs: Sequence[Path]) -> None:
    """Check the output paths before the work begins."""
    for path in outputs:
        if path.is_dir():
            raise InputError("this is a folder. Name a file in it.", code="file.kind", where=path)
        if not path.resolve().parent.is_dir():
            raise InputError(
                "its folder does not exist. Create it, or name another file.",
                code="file.unwritable",
                where=path,
            )
        if any(_is_same(path, file) for file in files):
            raise InputError(
                "this would overwrite a corpus file. Name another file.", code="option.conflict", where=path
            )
    if len({path.resolve() for path in outputs}) < len(outputs):
        raise InputError(
            "two outputs have the same path. Name different files.", code="option.conflict", where=outputs[0]
        )


def _is_same(path: Path, other: Path) -> bool:
    return path.resolve() == other.resolve() or (path.exists() and other.exists() and path.samefile(other))


def _values_at_recall(evaluation: Evaluation, recall: float) -> dict[str, Any]:
    """Return for each task with spans the scores at the threshold, or None, and the best recall."""
    return {
        name: {
            "target": recall,
            "threshold": calibration.at_recall(recall),
            "best": calibration.against([0.0])[0]["recall"],
        }
        for name, calibration in evaluation.calibrations.items()
        if calibration.has_spans
    }


def _show(summary: Sequence[str], evaluation: Evaluation, recall: float | None) -> None:
    from tagger.cli.console import (
        borders_table,
        calibration_line,
        confusion_table,
        make_console,
        mistake_lines,
        recall_line,
        scores_table,
        thresholds_table,
    )

    console = make_console()
    for fact in summary:
        console.print(fact)
    for name, task in evaluation.tasks.items():
        console.print(scores_table(name, task.scores))
        if n_repairs := task.scores.get("repairs"):
            console.print(f"{n_repairs:,} illegal gold tags, read as conlleval reads them")
        if task.unseen_tags:
            listed = list(task.unseen_tags.items())[:MOST_UNSEEN]
            labels = ", ".join(f"{label} ({count:,})" for label, count in listed)
            n_more = len(task.unseen_tags) - len(listed)
            labels += f" and {n_more:,} more" if n_more else ""
            console.print(f"gold tags unknown to the model, counted as errors: {labels}")
        if task.has_spans:
            console.print(borders_table(name, task.confusion))
        console.print(confusion_table(name, task.confusion, console))
        if task.calibration:
            console.print(calibration_line(name, task.calibration))
            if task.has_spans:
                console.print(thresholds_table(name, task.calibration))
                if recall is not None:
                    console.print(recall_line(name, task.calibration, recall), soft_wrap=True)
        for line in mistake_lines(name, task, evaluation.sentences, console.width):
            console.print(line, soft_wrap=True)
        console.print()
    console.print(
        f"{len(evaluation.sentences):,} sentences, {evaluation.n_tokens:,} tokens, "
        f"{evaluation.tokens_per_second:,.0f} tokens/s"
    )
