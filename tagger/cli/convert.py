"""``tagger convert``: convert corpus files between formats and tag schemes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from tagger.cli.input import LabelNamesOption, OffsetsOption, split_names
from tagger.cli.output import Notes, open_output, print_message
from tagger.cli.progress_bar import ProgressBar
from tagger.corpus.conversion import Conversion, Source, survey
from tagger.corpus.files import FORMATS, FormatName, find_format, is_database_url
from tagger.corpus.loading import FileOptions
from tagger.corpus.reading import OffsetUnit, OnMisaligned, Reading, Unit
from tagger.corpus.tags import parse_schemes
from tagger.corpus.token_records import parse_label_names
from tagger.errors import InputError
from tagger.storage import new_folder
from tagger.text.schemes import SCHEMES

EXAMPLES = """Examples:

tagger convert train.conll train.bioes.conll --scheme BIOES

tagger convert corpus.conllu corpus.conll --task pos

tagger convert export.json case.db --from labelstudio --annotator ada

tagger convert corpus.conll - --to conllu > corpus.conllu"""

STDOUT = Path("-")


def convert_command(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Corpus file to read.")],
    target: Annotated[
        Path, typer.Argument(metavar="OUT", help="File or folder to write; - for standard output.")
    ],
    from_format: Annotated[
        FormatName | None,
        typer.Option(
            "--from", metavar="FORMAT", help=f"Format of IN, detected by default: {', '.join(FORMATS)}."
        ),
    ] = None,
    to_format: Annotated[
        FormatName | None,
        typer.Option("--to", metavar="FORMAT", help="Format of OUT; by default from its suffix, else conll."),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="Column names of CoNLL files, e.g. token,pos,ner; detected by default."
        ),
    ] = None,
    scheme: Annotated[
        str | None,
        typer.Option(
            metavar="SCHEME",
            help=f"Tag scheme of OUT: {', '.join(SCHEMES)}; unchanged by default.",
            autocompletion=lambda: list(SCHEMES),
        ),
    ] = None,
    from_scheme: Annotated[
        str | None,
        typer.Option(
            metavar="SCHEME",
            help="Tag scheme of IN, e.g. IOB1, bare, none or ner=bare,pos=none; detected by default.",
        ),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Tasks to convert; all by default (repeatable, or with commas)."),
    ] = None,
    unit: Annotated[
        Unit,
        typer.Option(
            metavar="|".join(get_args(Unit)), help="Content of one record, in formats with running text."
        ),
    ] = "document",
    on_misaligned: Annotated[
        OnMisaligned,
        typer.Option(
            metavar="|".join(get_args(OnMisaligned)),
            help="Reject, extend, shrink or drop spans that do not match token boundaries.",
        ),
    ] = "error",
    offsets: OffsetsOption = "auto",
    offsets_out: Annotated[
        OffsetUnit,
        typer.Option(
            metavar="|".join(get_args(OffsetUnit)),
            help="Unit of the offsets in OUT, in formats with running text.",
        ),
    ] = "characters",
    label_names: LabelNamesOption = None,
    annotator: Annotated[
        str,
        typer.Option(metavar="NAME", help="Annotator of the sentences that an existing project receives."),
    ] = "corpus",
) -> None:
    """Convert a corpus file to another format or tag scheme, sentence by sentence.

    Standard error lists the number of items that OUT cannot hold. An existing
    file OUT is replaced only after success; a folder must be new or empty. An
    existing annotation project receives the sentences as accepted
    annotations; those that it has stay.
    """
    _require_apart(source, target, to_format)
    to = find_format(target, to_format)
    notes = Notes()
    if FORMATS[to].write_database and (target.exists() or is_database_url(target)):
        if scheme or task:
            raise InputError(
                f"the project has its own task and scheme. Omit {'--task' if task else '--scheme'}.",
                code="option.conflict",
                where=target,
                option="--task" if task else "--scheme",
            )
        options = FileOptions(columns=columns, format=from_format, schemes=parse_schemes(from_scheme))
        reading = Reading(
            on_misaligned=on_misaligned,
            offsets=offsets,
            label_names=parse_label_names(label_names),
            warn=notes,
        )
        _import(source, target, annotator, options, reading)
        notes.close()
        return
    with ProgressBar("converting", [source], n_passes=2, writes_output=target == STDOUT) as bar:
        survey_result = survey(
            source,
            format=from_format,
            columns=columns,
            tasks=split_names(task),
            on_misaligned=on_misaligned,
            schemes=parse_schemes(from_scheme),
            offsets=offsets,
            label_names=parse_label_names(label_names),
        )
        conversion = Conversion(survey_result, to, scheme=scheme, unit=unit, offsets=offsets_out, warn=notes)
        write, write_folder = FORMATS[to].write, FORMATS[to].write_folder
        write_database = FORMATS[to].write_database
        if write:
            with open_output(None if target == STDOUT else target) as file:
                write(bar.track(conversion.sentences()), file, conversion.writing)
        elif write_folder and target != STDOUT:
            with new_folder(target) as folder:
                write_folder(bar.track(conversion.sentences()), folder, conversion.writing)
        elif write_database and target != STDOUT:
            write_database(bar.track(conversion.sentences()), target, conversion.writing)
        else:
            raise InputError(
                f"the format {to} cannot be written there. Name another format with --to.",
                code="option.conflict",
                where=target,
                option="--to",
            )
    _report(conversion, to, survey_result)
    notes.close()


def _import(source: Path, target: Path, annotator: str, options: FileOptions, reading: Reading) -> None:
    """Import annotations into an existing project and print what happened to them."""
    # Slow imports.
    from tagger.cli.console import require_extra

    require_extra("convert", "sqlalchemy", extra="annotate")
    from tagger.annotation.project_files import import_work
    from tagger.annotation.store import AnnotationStore

    with AnnotationStore(target) as store:
        counts = import_work(store, source, annotator, options=options, reading=reading)
        print_message(
            f"{store.name}: {counts.annotated:,} sentences of the pool annotated, {counts.added:,} added, "
            f"{counts.kept:,} unchanged, {counts.misaligned:,} misaligned"
        )


def _require_apart(source: Path, target: Path, to_format: str | None) -> None:
    """Check that IN can be read twice and is not overwritten while it is read."""
    if str(source) == "-" or (source.exists() and not source.is_file() and not source.is_dir()):
        raise InputError(
            "not a regular file, but IN is read twice. Save it to a file.", code="file.kind", where=source
        )
    if target == STDOUT and to_format is None:
        raise InputError(
            "Standard output has no suffix to determine the format. Name the format with --to.",
            code="option.conflict",
            option="--to",
        )
    if source.exists() and target.exists() and source.samefile(target):
        raise InputError(
            "IN and OUT are the same file. Write to another file.", code="option.conflict", where=target
        )


def _report(conversion: Conversion, to: str, source: Source) -> None:
    """Print on standard error what was written and what was lost."""
    print_message(source.summary)
    tally = conversion.tally
    spans = "".join(f", {count:,} spans of {task}" for task, count in tally.spans.items())
    columns = f"; columns token,{','.join(conversion.writing.tasks)}" if to == "conll" else ""
    print_message(f"{tally.sentences:,} sentences, {tally.tokens:,} tokens{spans}{columns}")
    for task, count in tally.illegal.items():
        if count:
            action = "kept unchanged" if conversion.keeps_tags else "read as conlleval reads them"
            print_message(f"{count:,} tags of {task} are illegal in {source.schemes[task]}; {action}")
    lost = ", ".join(f"{kind} ({count:,})" for kind, count in tally.lost.items() if count)
    if lost:
        print_message(f"{to} cannot hold: {lost}")
