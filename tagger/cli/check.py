"""``tagger check``: list problems and statistics of corpus files."""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tagger.cli.input import LabelNamesOption, OffsetsOption, split_names
from tagger.cli.progress_bar import ProgressBar
from tagger.cli.train import Settings, VectorsFile, read_changes
from tagger.config_loading import load_config
from tagger.corpus.files import FORMATS, FormatName
from tagger.corpus.inspection import FileFacts, Inspection, inspect_files
from tagger.corpus.loading import FileOptions
from tagger.corpus.reading import Offsets, Reading
from tagger.corpus.tags import parse_schemes
from tagger.corpus.token_records import parse_label_names
from tagger.errors import InputError, escape_line
from tagger.text.schemes import SCHEMES

EXAMPLES = """Examples:

tagger check train.conll dev.conll

tagger check train.conll --columns token,pos,chunk,ner --scheme IOB1 --strict

tagger check train.conll --json > report.json

tagger check test.conll --model runs/news --page suspicions.html

tagger check train.conll --folds 5 --vectors glove.txt --page suspicions.html"""

SHOWN = 10  # most findings of each kind to print
TAGS_SHOWN = 20  # most rows of a tag table


def check_command(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Corpus files to check and compare.")
    ],
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="Column names of CoNLL files, e.g. token,pos,ner; detected by default."
        ),
    ] = None,
    format: Annotated[
        FormatName | None,
        typer.Option(metavar="FORMAT", help=f"File format, detected by default: {', '.join(FORMATS)}."),
    ] = None,
    scheme: Annotated[
        str | None,
        typer.Option(
            metavar="SCHEME",
            help=f"Expected tag scheme: {', '.join(SCHEMES)}, bare or none, or by task, e.g. "
            "ner=bare,pos=none; by default the best match.",
            autocompletion=lambda: list(SCHEMES),
        ),
    ] = None,
    offsets: OffsetsOption = "auto",
    label_names: LabelNamesOption = None,
    json: Annotated[bool, typer.Option("--json", help="Write one JSON object.")] = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Also exit with 1 for repeated sentences and inconsistent labels."),
    ] = False,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL",
            help="List probable label errors instead: places where this model prefers another label.",
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            min=2,
            help="List probable label errors instead: split the documents into K folds, and score each by a "
            "model trained on the others.",
        ),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Tasks to check for label errors (repeatable, or pos,ner); by default all of MODEL, or ner.",
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Number of label errors to print; 50 by default."),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Write a page of all label errors, with filters."),
    ] = None,
    vectors: VectorsFile = None,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", help="Epochs of the models of --folds; 8 by default.")
    ] = None,
    set: Settings = None,
) -> int:
    """List all problems of corpus files as `file:line: message`, with statistics.

    Notes list data that `train` and `convert` skip, change or read in an unusual
    way. The exit code is 0 if there is no problem, 1 if there are problems (an
    unreadable file is one; the others are still checked), 2 for an invalid option.
    With --model or --folds, the command lists probable label errors instead, most
    suspicious first; the exit code is 0.
    """
    _require_mode(
        {"--model": model, "--folds": folds},
        for_both={"--task": task, "--top": top, "--page": page},
        for_folds={"--vectors": vectors, "--epochs": epochs, "--set": set},
        others={"--strict": strict or None},
    )
    if model:
        from tagger.cli.suspicions import TOP, check_with_model

        check_with_model(
            model,
            files,
            split_names(task),
            FileOptions(columns, format, parse_schemes(scheme)),
            Reading(offsets=offsets, label_names=parse_label_names(label_names)),
            top=top or TOP,
            page=page,
            json=json,
        )
        return 0
    if folds:
        from tagger.cli.suspicions import FOLD_EPOCHS, TOP, check_with_folds

        flags = {
            "data.tasks": tuple(split_names(task)) or None,
            "data.columns": columns,
            "data.format": format,
            "data.scheme": scheme,
            "data.offsets": None if offsets == "auto" else offsets,
            "data.label_names": parse_label_names(label_names) or None,
            "train.epochs": epochs,
        }
        config = load_config(None, read_changes(flags, set), defaults={"train.epochs": FOLD_EPOCHS})
        check_with_folds(folds, files, config, vectors, top=top or TOP, page=page, json=json)
        return 0
    return _check_files(files, columns, format, scheme, offsets, label_names, json=json, strict=strict)


def _require_mode(
    modes: Mapping[str, object],
    *,
    for_both: Mapping[str, object],
    for_folds: Mapping[str, object],
    others: Mapping[str, object],
) -> None:
    """Check that the given options fit together; an option that is not given is None.

    Raises:
        InputError: Two options exclude each other, or one requires another.
    """
    given = [name for name, value in modes.items() if value is not None]
    if len(given) > 1:
        raise InputError(
            "--model and --folds exclude each other (got both). Give one.",
            code="option.conflict",
            option="--folds",
        )
    wrong: list[tuple[str, str]] = []
    if not given:
        wrong += [(name, "needs --model or --folds") for name, value in for_both.items() if value is not None]
    if given != ["--folds"]:
        wrong += [(name, "needs --folds") for name, value in for_folds.items() if value is not None]
    if given:
        wrong += [(name, f"excludes {given[0]}") for name, value in others.items() if value is not None]
    for name, problem in wrong:
        raise InputError(f"{name} {problem}. Change the options.", code="option.conflict", option=name)


def _check_files(
    files: Sequence[Path],
    columns: str | None,
    format: FormatName | None,
    scheme: str | None,
    offsets: Offsets,
    label_names: str | None,
    *,
    json: bool,
    strict: bool,
) -> int:
    """List the problems of the files and return the exit code."""
    paths = [str(path) for path in files]
    for path in files:
        if str(path) == "-" or (path.exists() and not path.is_file() and not path.is_dir()):
            raise InputError(
                "not a regular file, but files are read twice. Save it to a file.",
                code="file.kind",
                where=path,
            )
    problems: list[InputError] = []
    names = parse_label_names(label_names)
    with ProgressBar("checking", files, n_passes=2) as bar:

        def print_error(error: InputError) -> None:
            bar.hide()
            sys.stdout.write(escape_line(str(error)) + "\n")

        inspection = inspect_files(
            paths,
            problems.append if json else print_error,
            columns=columns,
            format=format,
            scheme=scheme,
            offsets=offsets,
            label_names=names,
        )
    if json:
        typer.echo(json_format.dumps(report_values(inspection, problems), indent=2, ensure_ascii=False))
    else:
        _show(inspection)
    return int(inspection.problems > 0 or (strict and inspection.findings > 0))


def report_values(inspection: Inspection, problems: Sequence[InputError]) -> dict[str, Any]:
    """Return the report as JSON values; shares are from 0 to 1."""
    return {
        "problems": [
            {"file": escape_line(error.file), "line": error.line, "message": _without_location(error)}
            for error in problems
        ],
        "files": [
            {
                "file": str(facts.detected.path),
                "format": facts.detected.format,
                "columns": facts.detected.columns,
                "schemes": facts.schemes,
                "sentences": facts.sentences,
                "tokens": facts.tokens,
                "documents": facts.documents,
                "read": facts.summary,
                "problems": facts.problems,
                "notes": facts.notes,
                "repeated_sentences": facts.repeated,
                "counts": {task: dict(counts.most_common()) for task, counts in facts.counts.items()},
            }
            for facts in inspection.files
        ],
        "shared_sentences": [
            {
                "file": one.file,
                "other": one.other,
                "sentences": one.sentences,
                "share": one.share,
                "places": [list(pair) for pair in one.locations],
            }
            for one in inspection.shared
        ],
        "in_one_file_only": inspection.only_in,
        "inconsistent": {
            task: [{"text": one.text, "counts": one.counts, "places": one.locations} for one in texts]
            for task, texts in inspection.inconsistent.items()
        },
    }


def _without_location(error: InputError) -> str:
    location = error.file if error.line is None else f"{error.file}:{error.line}"
    return escape_line(str(error).removeprefix(f"{location}: "))


def _show(inspection: Inspection) -> None:
    """Print statistics and shared sentences of the files, below the problems."""
    from tagger.cli.console import counts_table, facts_table, make_console

    console = make_console()
    for facts in inspection.files:
        console.print(f"\n{facts.detected.path}", style="bold", soft_wrap=True)
        for note in facts.notes:
            console.print(f"note: {note}", soft_wrap=True)
        console.print(facts_table(_facts(facts)))
    for task in dict.fromkeys(task for facts in inspection.files for task in facts.counts):
        files_with_task = [facts for facts in inspection.files if task in facts.counts]
        kind = "spans by label" if any(facts.schemes[task] for facts in files_with_task) else "tags"
        names = _short_names([str(facts.detected.path) for facts in files_with_task])
        counts = [facts.counts[task] for facts in files_with_task]
        console.print()
        console.print(counts_table(f"{task}: {kind}", names, counts, TAGS_SHOWN))
    for line in _findings(inspection):
        console.print(line, soft_wrap=True)


def _facts(facts: FileFacts) -> dict[str, str]:
    columns = {"columns": facts.detected.columns.replace(",", ", ")} if facts.detected.columns else {}
    return {
        "format": facts.detected.format,
        **columns,
        **{f"tags of {task}": _tags(facts, task) for task in facts.schemes},
        "sentences": f"{facts.sentences:,}"
        + (f", {facts.repeated:,} of them duplicates" if facts.repeated else ""),
        "tokens": f"{facts.tokens:,}",
        "documents": f"{facts.documents:,}",
        "problems": f"{facts.problems:,}",
        **({"notes": f"{len(facts.notes):,}"} if facts.notes else {}),
    }


def _tags(facts: FileFacts, task: str) -> str:
    if facts.readings[task].is_bare:
        return "labels without prefix; adjacent equal labels form a span"
    return facts.schemes[task] or "one per token"


def _short_names(paths: Sequence[str]) -> list[str]:
    """Return the file names, or the full paths if two files share a name."""
    names = [Path(path).name for path in paths]
    return names if len(set(names)) == len(names) else list(paths)


def _findings(inspection: Inspection) -> Iterator[str]:
    """Yield lines on shared sentences, labels in one file only, and inconsistent labels."""
    for one in inspection.shared:
        yield f"\n{one.sentences:,} sentences of {one.file} ({one.share:.1%}) also occur in {one.other}, e.g."
        yield from (f"  {position} = {other}" for position, other in one.locations)
    for task, files in inspection.only_in.items():
        yield f"\n{task}: in one file only"
        by_file: dict[str, list[str]] = {}
        for label, path in files.items():
            by_file.setdefault(path, []).append(label)
        for path, labels in by_file.items():
            rest = f" and {len(labels) - SHOWN:,} more" if len(labels) > SHOWN else ""
            yield f"  {path}: {', '.join(labels[:SHOWN])}{rest}"
    for task, texts in inspection.inconsistent.items():
        rest = f"; showing the {SHOWN} most frequent" if len(texts) > SHOWN else ""
        yield f"\n{task}: {len(texts):,} texts have inconsistent labels{rest}"
        for text in texts[:SHOWN]:
            yield f"  {text.text}: {_label_counts(text.counts, text.locations)}"


def _label_counts(counts: Mapping[str, int], locations: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(f"{label} {count:,} ({locations[label][0]})" for label, count in counts.items())
