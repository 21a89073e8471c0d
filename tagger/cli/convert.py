"""``tagger convert``: corpus files from one format and tag scheme to another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from tagger.cli.input import LabelNamesOption, OffsetsOption
from tagger.cli.output import Notes, open_output, say
from tagger.cli.tag import split_names
from tagger.corpus.conversion import Conversion, Source, survey
from tagger.corpus.files import FORMATS, find_format
from tagger.corpus.offsets import require_offsets
from tagger.corpus.reading import Offsets, OffsetUnit, OnMisaligned, Unit
from tagger.corpus.tags import parse_schemes
from tagger.corpus.token_records import parse_label_names
from tagger.errors import InputError
from tagger.storage import new_folder
from tagger.text.schemes import SCHEMES

EXAMPLES = """Examples:

tagger convert train.conll train.bioes.conll --scheme BIOES

tagger convert corpus.conllu corpus.conll --task pos

tagger convert corpus.conll - --to conllu > corpus.conllu"""

STDOUT = Path("-")


def convert_command(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Corpus file to read.")],
    target: Annotated[
        Path, typer.Argument(metavar="OUT", help="File or folder to write; - is standard output.")
    ],
    from_format: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FORMAT",
            help=f"One of {', '.join(FORMATS)}; by default what suffix and content say.",
            autocompletion=lambda: list(FORMATS),
        ),
    ] = None,
    to_format: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="FORMAT",
            help="The same formats; by default what the suffix of OUT says, else conll.",
            autocompletion=lambda: list(FORMATS),
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="The columns of a CoNLL file, as token,pos,ner; else guessed."),
    ] = None,
    scheme: Annotated[
        str | None,
        typer.Option(
            metavar="SCHEME",
            help=f"How tags of spans are written: {', '.join(SCHEMES)}; by default as they are.",
            autocompletion=lambda: list(SCHEMES),
        ),
    ] = None,
    from_scheme: Annotated[
        str | None,
        typer.Option(
            metavar="SCHEME",
            help="What tags of spans are written in, as IOB1, bare, none or ner=bare,pos=none; detected by "
            "default.",
        ),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only these tags (repeatable, or with commas)."),
    ] = None,
    unit: Annotated[
        str,
        typer.Option(
            metavar="|".join(get_args(Unit)), help="What one record is, in formats of running text."
        ),
    ] = "document",
    on_misaligned: Annotated[
        str,
        typer.Option(
            metavar="|".join(get_args(OnMisaligned)),
            help="What becomes of spans that do not fit the tokens: refused, widened, narrowed or left out.",
        ),
    ] = "error",
    offsets: OffsetsOption = "auto",
    offsets_out: Annotated[
        str,
        typer.Option(
            metavar="|".join(get_args(OffsetUnit)),
            help="What offsets in OUT count, in formats of running text.",
            autocompletion=lambda: list(get_args(OffsetUnit)),
        ),
    ] = "characters",
    label_names: LabelNamesOption = None,
) -> None:
    """Convert a corpus file to another format or tag scheme, one sentence at a time.

    What OUT cannot hold is counted on standard error. An earlier file OUT is
    replaced when all went well; a folder has to be new or empty.
    """
    _require_apart(source, target, to_format)
    to = find_format(target, to_format)
    require_offsets(offsets)
    require_offsets(offsets_out, get_args(OffsetUnit))
    surveyed = survey(
        source,
        format=from_format,
        columns=columns,
        tasks=split_names(task),
        on_misaligned=cast(OnMisaligned, _choose(on_misaligned, get_args(OnMisaligned), "--on-misaligned")),
        schemes=parse_schemes(from_scheme),
        offsets=cast(Offsets, offsets),
        label_names=parse_label_names(label_names),
    )
    notes = Notes()
    record = cast(Unit, _choose(unit, get_args(Unit), "--unit"))
    conversion = Conversion(
        surveyed, to, scheme=scheme, unit=record, offsets=cast(OffsetUnit, offsets_out), note=notes
    )
    write, write_folder = FORMATS[to].write, FORMATS[to].write_folder
    if write:
        with open_output(None if target == STDOUT else target) as file:
            write(conversion.sentences(), file, conversion.writing)
    elif write_folder and target != STDOUT:
        with new_folder(target) as folder:
            write_folder(conversion.sentences(), folder, conversion.writing)
    else:
        raise InputError(f"The format {to} cannot be written to {target}; name another format with --to.")
    _report(conversion, to, surveyed)
    notes.close()


def _choose(value: str, choices: Sequence[str], option: str) -> str:
    if value not in choices:
        raise InputError(f"There is no {option} {value!r}; say one of {', '.join(choices)}.")
    return value


def _require_apart(source: Path, target: Path, to_format: str | None) -> None:
    """Find what cannot be read twice, or would be overwritten while it is read."""
    if str(source) == "-" or (source.exists() and not source.is_file() and not source.is_dir()):
        raise InputError(f"{source}: is no file, and IN is read twice; save it to one.")
    if target == STDOUT and to_format is None:
        raise InputError("Standard output has no suffix that says its format; name one with --to.")
    if source.exists() and target.exists() and source.samefile(target):
        raise InputError(f"{target}: IN and OUT are the same file; write to another one.")


def _report(conversion: Conversion, to: str, source: Source) -> None:
    """Say on standard error what was written and what was lost."""
    say(source.summary)
    tally = conversion.tally
    spans = "".join(f", {count:,} spans of {task}" for task, count in tally.spans.items())
    columns = f"; columns token,{','.join(conversion.writing.tasks)}" if to == "conll" else ""
    say(f"{tally.sentences:,} sentences, {tally.tokens:,} tokens{spans}{columns}")
    for task, count in tally.illegal.items():
        if count:
            what = "kept as they are" if conversion.keeps_tags else "read as conlleval reads them"
            say(f"{count:,} tags of {task} were illegal in {source.schemes[task]} and {what}")
    lost = ", ".join(f"{kind} ({count:,})" for kind, count in tally.lost.items() if count)
    if lost:
        say(f"{to} cannot hold: {lost}")
