"""``tagger shrink``: write a smaller copy of a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, get_args

import typer

from tagger.bundle import FILES, holds_bundle, save_bundle
from tagger.cli.output import print_stderr
from tagger.cli.tag import ModelName
from tagger.errors import InputError
from tagger.included import find_model
from tagger.runtime.tagger import Tagger
from tagger.shrinking import StoredPrecision, shrink_bundle

EXAMPLES = """Examples:

tagger shrink runs/news runs/small --words 50000

tagger shrink runs/news runs/small --words 50000 --precision int8"""


def shrink_command(
    model: ModelName,
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Folder to write.")],
    words: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="Keep the first N words that only the vectors file contains; all by default.",
            show_default=False,
        ),
    ] = None,
    precision: Annotated[
        StoredPrecision,
        typer.Option(
            metavar="|".join(get_args(StoredPrecision)),
            help="Storage precision of the weights; int8 stores word vectors in 8 bits and the rest in f16.",
        ),
    ] = "f16",
) -> None:
    """Write a smaller copy of a model, usually slightly less accurate.

    Measure it with `tagger evaluate`: its model card keeps the scores of the original model.
    """
    folder = find_model(model)
    bundle = Tagger.load(folder).bundle  # loads as `tagger tag` does, for the same error messages
    present = [name for name in FILES if (output / name).exists()]
    if present and not holds_bundle(output):
        raise InputError(
            f"contains a {present[0]} that belongs to no model. Name another OUTPUT.",
            code="bundle.output",
            where=output,
        )
    if output.exists() and output.resolve() == folder.resolve():
        raise InputError(
            "this is the model itself. Name another OUTPUT.", code="option.conflict", where=output
        )
    shrunk = shrink_bundle(bundle, words=words, precision=precision)
    note = (
        f"Shrunk: {len(shrunk.vocabulary.frozen_words):,} words in addition to those of train, {precision}."
    )
    save_bundle(replace(shrunk, card=f"{shrunk.card.rstrip()}\n\n{note}\n"), output)
    files = [[root / name for name in FILES if (root / name).exists()] for root in (folder, output)]
    before, after = (sum(path.stat().st_size for path in paths) for paths in files)
    print_stderr(f"{output}: {after:,} bytes (was {before:,})")
