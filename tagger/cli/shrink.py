"""``tagger shrink``: a model that takes less room."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from tagger.bundle import FILES, holds_bundle, save_bundle
from tagger.cli.output import tell
from tagger.cli.tag import ModelName
from tagger.errors import InputError
from tagger.included import find_model
from tagger.runtime.tagger import Tagger
from tagger.shrinking import StoredPrecision, shrink_bundle

PRECISIONS: tuple[str, ...] = get_args(StoredPrecision)

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
            help="Words that only the vectors file knows: so many stay, the first of it; all when not said.",
            show_default=False,
        ),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            metavar="|".join(PRECISIONS),
            help="How weights are stored; int8 is of word vectors, all else is then f16.",
            autocompletion=lambda: list(PRECISIONS),
        ),
    ] = "f16",
) -> None:
    """Write a copy of a model that takes less room, and as a rule tags a little worse.

    Score it with `tagger evaluate`: the scores in its card are those of the whole model.
    """
    if precision not in PRECISIONS:
        raise InputError(
            f"There is no --precision {precision!r} here; choose one of {', '.join(PRECISIONS)}."
        )
    folder = find_model(model)
    bundle = Tagger.load(folder).bundle  # as for tagging, so that what is wrong with it is told alike
    present = [name for name in FILES if (output / name).exists()]
    if present and not holds_bundle(output):
        raise InputError(f"{output}: holds a {present[0]} that is no model's; name another OUTPUT.")
    if output.exists() and output.resolve() == folder.resolve():
        raise InputError(f"{output}: is the model itself; name another OUTPUT.")
    shrunk = shrink_bundle(bundle, words=words, precision=cast(StoredPrecision, precision))
    note = f"Shrunk since: {len(shrunk.vocabulary.fixed_words):,} words beside those of train, {precision}."
    save_bundle(replace(shrunk, card=f"{shrunk.card.rstrip()}\n\n{note}\n"), output)
    sizes = [[one / name for name in FILES if (one / name).exists()] for one in (folder, output)]
    before, after = (sum(path.stat().st_size for path in paths) for paths in sizes)
    tell(f"{output}: {after:,} bytes, of {before:,}")
