"""``tagger evaluate``: what a model scores on a file with gold tags."""

from __future__ import annotations

import json as json_format
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from tagger.cli.input import LabelNamesOption, OffsetsOption
from tagger.cli.output import Notes
from tagger.cli.tag import ModelName, PrecisionOption, split_names
from tagger.cli.thresholds import MinScoreOption, parse_min_score, resolve_min_score
from tagger.cli.train import FileScheme
from tagger.corpus.files import FORMATS
from tagger.corpus.loading import FileOptions, find_tasks, load_split, name_files, untagged
from tagger.corpus.offsets import require_offsets
from tagger.corpus.reading import Offsets, OnMisaligned, Reading
from tagger.corpus.tags import parse_schemes
from tagger.corpus.token_records import parse_label_names
from tagger.errors import InputError
from tagger.included import find_model
from tagger.runtime.model_calibration import Calibration, measure_calibration
from tagger.runtime.model_evaluation import Analysis, analyse
from tagger.runtime.tagger import Tagger, choose_tasks
from tagger.text.sentence import Sentence

ON_MISALIGNED: tuple[str, ...] = get_args(OnMisaligned)
PICTURE_SUFFIXES = (".svg", ".png")

EXAMPLES = """Examples:

tagger evaluate runs/news data/test.conll

tagger evaluate runs/news data/test.conll --errors errors.html --picture confusion.svg

tagger evaluate runs/news data/test.conll --min-score 0.9 --reliability reliability.svg

tagger evaluate runs/news data/test.conll --json > scores.json"""
MOST_UNSEEN = 5  # labels of the file that are named though the model lacks them


def evaluate_command(
    model: ModelName,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Corpus files with gold tags, scored together.")
    ],
    json: Annotated[
        bool, typer.Option("--json", help="Write JSON, with every error; scores are fractions of 1.")
    ] = False,
    errors: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Write a page of every wrong sentence, with filters."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE.svg|png", help="Draw the confusion matrices.")
    ] = None,
    reliability: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.svg|png",
            help="Draw what is right of what has each score, and precision and recall against --min-score.",
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="The files' columns, as token,pos,ner; detected by default."),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"The file's format, by default its suffix and content: {', '.join(FORMATS)}.",
            autocompletion=lambda: list(FORMATS),
        ),
    ] = None,
    scheme: FileScheme = None,
    task: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Only these of the model's tasks (repeatable, or pos,ner); by default those in the files.",
        ),
    ] = None,
    on_misaligned: Annotated[
        str,
        typer.Option(
            metavar="|".join(ON_MISALIGNED),
            help="Gold spans that do not fit the model's tokens: refuse, widen, narrow or leave out.",
        ),
    ] = "error",
    offsets: OffsetsOption = "auto",
    label_names: LabelNamesOption = None,
    min_score: MinScoreOption = None,
    precision: PrecisionOption = "f32",
) -> None:
    """Score a model on a file with gold tags, and show what it takes for what.

    Spans are scored by seqeval in the mode that imitates conlleval, also apart
    for words that train has and lacks, and in strict mode. With --min-score what
    remains is scored; calibration is always that of all spans.
    """
    from tagger.cli.console import require_extra

    require_extra("evaluate", "seqeval")
    for option, path in (("--picture", picture), ("--reliability", reliability)):
        _require_picture(option, path)
    _check_outputs(files, [path for path in (errors, picture, reliability) if path])
    thresholds = parse_min_score(min_score)
    if on_misaligned not in ON_MISALIGNED:
        raise InputError(
            f"There is no --on-misaligned {on_misaligned!r}; choose one of {', '.join(ON_MISALIGNED)}."
        )
    tagger = Tagger.load(model, precision=precision)
    least = resolve_min_score(thresholds, tagger.labels)
    require_offsets(offsets)
    data = tagger.bundle.config.data
    reading = Reading(
        tokenize=tagger.tokenizer,
        on_misaligned=cast(OnMisaligned, on_misaligned),
        offsets=cast(Offsets, data.offsets if offsets == "auto" else offsets),
        label_names=parse_label_names(label_names) or data.label_names,
    )
    options = FileOptions(columns, format, parse_schemes(scheme), usual=data.columns)
    sentences, tasks, summary = _read(tagger, files, split_names(task), options, reading)
    analysis = analyse(tagger, sentences, tasks=tasks, min_score=least)
    calibrations = measure_calibration(tagger, sentences, tasks=tasks)
    if errors:
        from tagger.reports.error_page import write_errors

        write_errors(analysis, errors, model=find_model(model).resolve().name, file=name_files(files))
    if picture:
        from tagger.reports.matrix import draw_matrices

        draw_matrices({name: one.confusion for name, one in analysis.tasks.items()}, picture)
    if reliability:
        from tagger.reports.reliability import draw_reliability

        # The curve is that of one threshold for all labels: those of single labels have no place in it.
        draw_reliability(calibrations, reliability, min_score=thresholds.get("", 0.0))
    if json:
        calibration = {name: one.values() for name, one in calibrations.items()}
        values = {**analysis.values(), "min_score": least, "calibration": calibration, "read": summary}
        typer.echo(json_format.dumps(values, indent=2))
    else:
        _show(summary, analysis, calibrations)


def _read(
    tagger: Tagger,
    files: Sequence[Path],
    requested: Sequence[str],
    options: FileOptions,
    reading: Reading,
) -> tuple[list[Sentence], list[str], list[str]]:
    """Return the files' sentences, the tasks to score, and how the files were read as lines.

    Tasks of the model that the files lack are named and left out, unless they were requested. Notes go to
    standard error.
    """
    wanted = choose_tasks(tagger, requested)
    tasks, lacking = find_tasks(files, wanted, options, reading)
    if lacking and (requested or not tasks):
        raise InputError(next(iter(lacking.values())))
    notes = Notes()
    has_spans = {task.name: task.scheme is not None for task in tagger.tasks}
    split = load_split(
        files, tasks, options=options, reading=replace(reading, note=notes), has_spans=has_spans
    )
    without_tags = untagged(split)
    tasks = [task for task in tasks if task not in without_tags]
    if without_tags and (requested or not tasks):
        raise InputError(next(iter(without_tags.values())))
    notes.close()
    missing = [
        f"{name_files(files)}: no gold tags of the model's task {task!r}; it is not scored"
        for task in [*lacking, *without_tags]
    ]
    return split.sentences, tasks, [*split.summary, *missing]


def _require_picture(option: str, path: Path | None) -> None:
    """Refuse a picture that cannot be drawn, or whose name does not say how."""
    from tagger.cli.console import require_extra

    if path:
        require_extra(f"evaluate {option}", "matplotlib")
        if path.suffix.lower() not in PICTURE_SUFFIXES:
            raise InputError(f"{path}: a picture's name must end in {' or '.join(PICTURE_SUFFIXES)}.")


def _check_outputs(files: Sequence[Path], outputs: Sequence[Path]) -> None:
    """Find a wrong name before the work begins."""
    for path in outputs:
        if path.is_dir():
            raise InputError(f"{path}: this is a folder; name a file in it.")
        if not path.resolve().parent.is_dir():
            raise InputError(f"{path}: there is no folder to write it in; make it or name another file.")
        if any(_is_same(path, file) for file in files):
            raise InputError(f"{path}: this would overwrite the corpus file; name another file.")
    if len({path.resolve() for path in outputs}) < len(outputs):
        raise InputError(f"{outputs[0]}: page and pictures cannot be one file; name another for one of them.")


def _is_same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))


def _show(summary: Sequence[str], analysis: Analysis, calibrations: Mapping[str, Calibration]) -> None:
    from tagger.cli.console import (
        borders_table,
        calibration_line,
        confusion_table,
        make_console,
        mistake_lines,
        scores_table,
        thresholds_table,
    )

    console = make_console()
    for fact in summary:
        console.print(fact)
    for name, task in analysis.tasks.items():
        scores = analysis.result["tasks"][name]
        console.print(scores_table(name, scores))
        if scores.get("repairs"):
            console.print(f"{scores['repairs']:,} gold tags were broken, and read as conlleval reads them")
        unseen = analysis.result["unseen_tags"][name]
        if unseen:
            named = list(unseen.items())[:MOST_UNSEEN]
            labels = ", ".join(f"{label} ({count:,})" for label, count in named)
            labels += f" and {len(unseen) - len(named):,} more" if len(unseen) > len(named) else ""
            console.print(f"gold tags that the model does not know, and so misses: {labels}")
        if task.has_spans:
            console.print(borders_table(name, task.confusion))
        console.print(confusion_table(name, task.confusion, console))
        calibration = calibrations[name]
        console.print(calibration_line(name, calibration))
        if task.has_spans:
            console.print(thresholds_table(name, calibration))
        for line in mistake_lines(name, task, analysis.sentences, console.width):
            console.print(line, soft_wrap=True)
        console.print()
    console.print(
        f"{analysis.result['sentences']:,} sentences, {analysis.result['tokens']:,} tokens, "
        f"{analysis.result['tokens_per_second']:,.0f} tokens/s"
    )
