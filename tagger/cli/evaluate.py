"""``tagger evaluate``: what a model scores on a file with gold tags."""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from tagger.cli.input import LabelNamesOption, OffsetsOption
from tagger.cli.tag import MinScoreOption, ModelName, PrecisionOption, split_names
from tagger.corpus.files import FORMATS, find_format, read_sentences
from tagger.corpus.offsets import require_offsets
from tagger.corpus.reading import Offsets, OnMisaligned, Reading
from tagger.corpus.token_records import parse_label_names
from tagger.errors import InputError
from tagger.included import find_model
from tagger.runtime.calibration import Calibration, measure_calibration
from tagger.runtime.evaluation import Analysis, analyse
from tagger.runtime.tagger import Tagger, choose_tasks, require_probability
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
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Corpus file with gold tags.")],
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
        typer.Option(metavar="NAMES", help="The file's columns, as token,pos,ner; by default the model's."),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"The file's format, by default its suffix: {', '.join(FORMATS)}.",
            autocompletion=lambda: list(FORMATS),
        ),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only these of the model's tasks (repeatable, or with commas)."),
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
    min_score: MinScoreOption = 0.0,
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
    _check_outputs(file, [path for path in (errors, picture, reliability) if path])
    require_probability(min_score, "--min-score")
    if on_misaligned not in ON_MISALIGNED:
        raise InputError(
            f"There is no --on-misaligned {on_misaligned!r}; choose one of {', '.join(ON_MISALIGNED)}."
        )
    tagger = Tagger.load(model, precision=precision)
    tasks = choose_tasks(tagger, split_names(task))
    names = parse_label_names(label_names)
    require_offsets(offsets)
    ways = (cast(OnMisaligned, on_misaligned), cast(Offsets, offsets), names)
    sentences = _read(tagger, file, columns, format, tasks, *ways)
    analysis = analyse(tagger, sentences, tasks=tasks, min_score=min_score)
    calibrations = measure_calibration(tagger, sentences, tasks=tasks)
    if errors:
        from tagger.reports.errors import write_errors

        write_errors(analysis, errors, model=find_model(model).resolve().name, file=file.name)
    if picture:
        from tagger.reports.matrix import draw_matrices

        draw_matrices({name: one.confusion for name, one in analysis.tasks.items()}, picture)
    if reliability:
        from tagger.reports.reliability import draw_reliability

        draw_reliability(calibrations, reliability, min_score=min_score)
    if json:
        calibration = {name: one.values() for name, one in calibrations.items()}
        values = {**analysis.values(), "min_score": min_score, "calibration": calibration}
        typer.echo(json_format.dumps(values, indent=2))
    else:
        _show(analysis, calibrations)


def _read(
    tagger: Tagger,
    file: Path,
    columns: str | None,
    format: str | None,
    tasks: Sequence[str],
    on_misaligned: OnMisaligned,
    offsets: Offsets,
    label_names: Sequence[str],
) -> list[Sentence]:
    """The file's sentences; what became of spans that do not fit the tokens is told on standard error."""
    data = tagger.bundle.config.data
    format = format or data.format
    if columns is None and FORMATS[find_format(file, format)].has_columns:
        columns = data.columns
    notes = 0

    def note(message: str) -> None:
        nonlocal notes
        notes += 1
        sys.stderr.write(f"{message}\n")

    reading = Reading(
        tokenize=tagger.tokenizer,
        on_misaligned=on_misaligned,
        offsets=data.offsets if offsets == "auto" else offsets,
        label_names=label_names or data.label_names,
        note=note,
    )
    sentences = list(read_sentences(file, columns=columns, tasks=tasks, format=format, reading=reading))
    if notes:
        sys.stderr.write(f"{file}: notes on what was changed or left out: {notes:,}\n")
    return sentences


def _require_picture(option: str, path: Path | None) -> None:
    """Refuse a picture that cannot be drawn, or whose name does not say how."""
    from tagger.cli.console import require_extra

    if path:
        require_extra(f"evaluate {option}", "matplotlib")
        if path.suffix.lower() not in PICTURE_SUFFIXES:
            raise InputError(f"{path}: a picture's name must end in {' or '.join(PICTURE_SUFFIXES)}.")


def _check_outputs(file: Path, outputs: Sequence[Path]) -> None:
    """Find a wrong name before the work begins."""
    for path in outputs:
        if path.is_dir():
            raise InputError(f"{path}: this is a folder; name a file in it.")
        if not path.resolve().parent.is_dir():
            raise InputError(f"{path}: there is no folder to write it in; make it or name another file.")
        if path.resolve() == file.resolve() or (path.exists() and file.exists() and path.samefile(file)):
            raise InputError(f"{path}: this would overwrite the corpus file; name another file.")
    if len({path.resolve() for path in outputs}) < len(outputs):
        raise InputError(f"{outputs[0]}: page and pictures cannot be one file; name another for one of them.")


def _show(analysis: Analysis, calibrations: Mapping[str, Calibration]) -> None:
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
