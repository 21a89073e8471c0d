"""``tagger check``: what is wrong in corpus files, and what is in them."""

from __future__ import annotations

import json as json_format
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from tagger.cli.input import LabelNamesOption, OffsetsOption
from tagger.corpus.files import FORMATS
from tagger.corpus.inspection import FileFacts, Inspection, inspect_files
from tagger.corpus.offsets import require_offsets
from tagger.corpus.reading import Offsets
from tagger.corpus.token_records import parse_label_names
from tagger.errors import InputError, escape_line
from tagger.text.schemes import SCHEMES

EXAMPLES = """Examples:

tagger check train.conll dev.conll

tagger check train.conll --columns token,pos,chunk,ner --scheme IOB1 --strict

tagger check train.conll --json > report.json"""

SHOWN = 10  # findings of each kind
TAGS_SHOWN = 20  # rows of a table of tags

_PROBLEM = re.compile(r"(.*?)(?::(\d+))?: (.*)", re.DOTALL)


def check_command(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Corpus files, compared with each other.")
    ],
    columns: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="The columns of CoNLL files, as token,pos,ner; else guessed."),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help=f"One of {', '.join(FORMATS)}; by default what suffix and content say.",
            autocompletion=lambda: list(FORMATS),
        ),
    ] = None,
    scheme: Annotated[
        str | None,
        typer.Option(
            metavar="SCHEME",
            help=f"What tags of spans should be in: {', '.join(SCHEMES)}, bare or none, or by task as "
            "ner=bare,pos=none; by default what fits best.",
            autocompletion=lambda: list(SCHEMES),
        ),
    ] = None,
    offsets: OffsetsOption = "auto",
    label_names: LabelNamesOption = None,
    json: Annotated[bool, typer.Option("--json", help="Write one JSON object.")] = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Exit 1 for repeated sentences and inconsistent labels, too."),
    ] = False,
) -> int:
    """List every problem of corpus files as `file:line: message`, and tell what is in them.

    Notes list what `train` and `convert` leave out, change or read in an unusual
    way. Exits 0 if there is no problem, 1 if there is one (a file that cannot be
    read is one, too; the others are still checked), 2 for a wrong option.
    """
    paths = [str(path) for path in files]
    for path in files:
        if str(path) == "-" or (path.exists() and not path.is_file() and not path.is_dir()):
            raise InputError(f"{path}: is no file, and files are read twice; save it to one.")
    problems: list[str] = []
    report: Callable[[str], object] = problems.append if json else _print_line
    names = parse_label_names(label_names)
    require_offsets(offsets)
    found = inspect_files(
        paths,
        report,
        columns=columns,
        format=format,
        scheme=scheme,
        offsets=cast(Offsets, offsets),
        label_names=names,
    )
    if json:
        typer.echo(json_format.dumps(report_values(found, problems), indent=2, ensure_ascii=False))
    else:
        _show(found)
    return int(found.problems > 0 or (strict and found.findings > 0))


def report_values(found: Inspection, problems: Sequence[str]) -> dict[str, Any]:
    """All that was found, as JSON values; shares are fractions of 1."""
    return {
        "problems": [
            {"file": match[1], "line": int(match[2]) if match[2] else None, "message": match[3]}
            for match in map(_PROBLEM.fullmatch, problems)
            if match
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
            for facts in found.files
        ],
        "shared_sentences": [
            {
                "file": one.file,
                "other": one.other,
                "sentences": one.sentences,
                "share": one.share,
                "places": [list(pair) for pair in one.places],
            }
            for one in found.shared
        ],
        "in_one_file_only": found.only_in,
        "inconsistent": {
            task: [{"text": one.text, "counts": one.counts, "places": one.places} for one in its]
            for task, its in found.inconsistent.items()
        },
    }


def _print_line(problem: str) -> None:
    sys.stdout.write(escape_line(" ".join(problem.splitlines())) + "\n")


def _show(found: Inspection) -> None:
    """Print what the files hold and what they share, below the problems."""
    from tagger.cli.console import counts_table, facts_table, make_console

    console = make_console()
    for facts in found.files:
        console.print(f"\n{facts.detected.path}", style="bold", soft_wrap=True)
        for note in facts.notes:
            console.print(f"note: {note}", soft_wrap=True)
        console.print(facts_table(_facts(facts)))
    for task in dict.fromkeys(task for facts in found.files for task in facts.counts):
        having = [facts for facts in found.files if task in facts.counts]
        kind = "spans by label" if any(facts.schemes[task] for facts in having) else "tags"
        names = _short_names([str(facts.detected.path) for facts in having])
        counts = [facts.counts[task] for facts in having]
        console.print()
        console.print(counts_table(f"{task}: {kind}", names, counts, TAGS_SHOWN))
    for line in _findings(found):
        console.print(line, soft_wrap=True)


def _facts(facts: FileFacts) -> dict[str, str]:
    columns = {"columns": facts.detected.columns.replace(",", ", ")} if facts.detected.columns else {}
    return {
        "format": facts.detected.format,
        **columns,
        **{f"tags of {task}": _tags(facts, task) for task in facts.schemes},
        "sentences": f"{facts.sentences:,}"
        + (f", {facts.repeated:,} of them repeat an earlier one" if facts.repeated else ""),
        "tokens": f"{facts.tokens:,}",
        "documents": f"{facts.documents:,}",
        "problems": f"{facts.problems:,}",
        **({"notes": f"{len(facts.notes):,}"} if facts.notes else {}),
    }


def _tags(facts: FileFacts, task: str) -> str:
    if facts.readings[task].is_bare:
        return "labels without prefix, a run of one label is a span"
    return facts.schemes[task] or "one per token"


def _short_names(paths: Sequence[str]) -> list[str]:
    """File names, or whole paths where two files have one name."""
    names = [Path(path).name for path in paths]
    return names if len(set(names)) == len(names) else list(paths)


def _findings(found: Inspection) -> Iterator[str]:
    """Say what the files have in common or label in several ways."""
    for one in found.shared:
        yield f"\n{one.sentences:,} sentences of {one.file} ({one.share:.1%}) stand in {one.other} too, as at"
        yield from (f"  {place} = {other}" for place, other in one.places)
    for task, homes in found.only_in.items():
        yield f"\n{task}: in one file only"
        by_file: dict[str, list[str]] = {}
        for label, path in homes.items():
            by_file.setdefault(path, []).append(label)
        for path, labels in by_file.items():
            rest = f" and {len(labels) - SHOWN:,} more" if len(labels) > SHOWN else ""
            yield f"  {path}: {', '.join(labels[:SHOWN])}{rest}"
    for task, its in found.inconsistent.items():
        rest = f", these {SHOWN} most often" if len(its) > SHOWN else ""
        yield f"\n{task}: {len(its):,} texts are labelled in several ways{rest}"
        for text in its[:SHOWN]:
            yield f"  {text.text}: {_ways(text.counts, text.places)}"


def _ways(counts: Mapping[str, int], places: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(f"{label} {count:,} ({places[label][0]})" for label, count in counts.items())
