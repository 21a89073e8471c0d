"""``tagger evaluate``: what a model scores on a file with gold tags."""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from tagger.cli.tag import PrecisionOption, split_names
from tagger.corpus.files import FORMATS, find_format, read_sentences
from tagger.corpus.reading import OnMisaligned, Reading
from tagger.errors import InputError
from tagger.runtime.evaluation import Analysis, analyse
from tagger.runtime.tagger import Tagger, choose_tasks
from tagger.text.sentence import Sentence

ON_MISALIGNED: tuple[str, ...] = get_args(OnMisaligned)
PICTURE_SUFFIXES = (".svg", ".png")

EXAMPLES = """Examples:

tagger evaluate runs/news data/test.conll

tagger evaluate runs/news data/test.conll --errors errors.html --picture confusion.svg

tagger evaluate runs/news data/test.conll --json > scores.json"""
MOST_UNSEEN = 5  # labels of the file that are named though the model lacks them


def evaluate_command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder that `tagger train` wrote.")],
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
            help="A gold span that does not fit the model's tokens: widen it, leave it out, or refuse.",
        ),
    ] = "error",
    precision: PrecisionOption = "f32",
) -> None:
    """Score a model on a file with gold tags, and show what it takes for what.

    Spans are scored by seqeval in the mode that imitates conlleval, also apart
    for words that train has and lacks, and in strict mode.
    """
    from tagger.cli.console import require_extra

    require_extra("evaluate", "seqeval")
    if picture:
        require_extra("evaluate --picture", "matplotlib")
        if picture.suffix.lower() not in PICTURE_SUFFIXES:
            raise InputError(f"{picture}: a picture's name must end in {' or '.join(PICTURE_SUFFIXES)}.")
    _check_outputs(file, [path for path in (errors, picture) if path])
    if on_misaligned not in ON_MISALIGNED:
        raise InputError(
            f"There is no --on-misaligned {on_misaligned!r}; choose one of {', '.join(ON_MISALIGNED)}."
        )
    tagger = Tagger.load(model, precision=precision)
    tasks = choose_tasks(tagger, split_names(task))
    sentences = _read(tagger, file, columns, format, tasks, cast(OnMisaligned, on_misaligned))
    analysis = analyse(tagger, sentences, tasks=tasks)
    if errors:
        from tagger.reports.errors import write_errors

        write_errors(analysis, errors, model=model.resolve().name, file=file.name)
    if picture:
        from tagger.reports.matrix import draw_matrices

        draw_matrices({name: one.confusion for name, one in analysis.tasks.items()}, picture)
    if json:
        typer.echo(json_format.dumps(analysis.values(), indent=2))
    else:
        _show(analysis)


def _read(
    tagger: Tagger,
    file: Path,
    columns: str | None,
    format: str | None,
    tasks: Sequence[str],
    on_misaligned: OnMisaligned,
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

    reading = Reading(tokenize=tagger.tokenizer, on_misaligned=on_misaligned, note=note)
    sentences = list(read_sentences(file, columns=columns, tasks=tasks, format=format, reading=reading))
    if notes:
        became = "widened to whole tokens" if on_misaligned == "expand" else "left out"
        sys.stderr.write(f"{file}: spans {became}: {notes:,}\n")
    return sentences


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
        raise InputError(f"{outputs[0]}: page and picture cannot be one file; name another for one of them.")


def _show(analysis: Analysis) -> None:
    from tagger.cli.console import borders_table, confusion_table, make_console, mistake_lines, scores_table

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
        for line in mistake_lines(name, task, analysis.sentences, console.width):
            console.print(line, soft_wrap=True)
        console.print()
    console.print(
        f"{analysis.result['sentences']:,} sentences, {analysis.result['tokens']:,} tokens, "
        f"{analysis.result['tokens_per_second']:,.0f} tokens/s"
    )
