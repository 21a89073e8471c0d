"""``tagger compare``: measure the benefit of the backward direction on a grid of training runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import typer

from tagger.cli.input import split_names
from tagger.cli.train import (
    EXTRA,
    Columns,
    ConfigFile,
    FileScheme,
    FormatOption,
    Settings,
    VectorsFile,
    read_changes,
    read_folder,
)
from tagger.config import Direction, HeadKind, Match, MergeMode
from tagger.config_loading import load_config
from tagger.errors import InputError

EXAMPLES = """Examples:

tagger compare --train train.conll --dev dev.conll --output runs/compare

tagger compare recipe.toml --train t.conll --dev d.conll --seeds 5 --jobs 2 --output c

tagger compare --train t.conll --dev d.conll --lookahead 0,1,2,4,8,full --output c

tagger compare --train t.conll --dev d.conll --merge-modes concat,sum,mul,ave --output c"""

# BIOES tags depend on the end of a span, which a forward model cannot know.
DEFAULTS = {"model.scheme": "IOB2"}
# Options that the grid sets, with the flag for each. In a recipe, they affect `tagger train` only.
OF_THE_GRID = {
    "model.direction": "--directions",
    "model.merge_mode": "--merge-modes",
    "model.head": "--heads",
    "train.lookahead": "--lookahead",
}


def compare_command(
    train: Annotated[list[Path], typer.Option(metavar="FILE", help="Training file (repeatable).")],
    dev: Annotated[
        list[Path], typer.Option(metavar="FILE", help="Dev file; every run is evaluated on it (repeatable).")
    ],
    output: Annotated[
        str, typer.Option(metavar="DIR", help="Folder of the runs and the report; finished runs are reused.")
    ],
    config: ConfigFile = None,
    test: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Test file, evaluated after training (repeatable)."),
    ] = None,
    task: Annotated[str | None, typer.Option(metavar="NAME", help="Task to train; ner by default.")] = None,
    columns: Columns = None,
    format: FormatOption = None,
    scheme: FileScheme = None,
    vectors: VectorsFile = None,
    directions: Annotated[
        str, typer.Option(metavar="NAMES", help="Encoder directions, separated by commas.")
    ] = "forward,backward,bidirectional",
    merge_modes: Annotated[
        str, typer.Option(metavar="NAMES", help="How to merge two directions: any of concat, sum, mul, ave.")
    ] = "concat",
    heads: Annotated[str, typer.Option(metavar="NAMES", help="Output layers: crf, softmax.")] = "softmax,crf",
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="Number of runs per variant.")] = 3,
    match: Annotated[
        Match,
        typer.Option(
            metavar="|".join(get_args(Match)),
            help="What all variants share: units per direction, output width or number of parameters.",
        ),
    ] = "hidden",
    lookahead: Annotated[
        str | None,
        typer.Option(metavar="0,1,2,…,full", help="Also evaluate with this many following words visible."),
    ] = None,
    set: Settings = None,
    jobs: Annotated[int, typer.Option(metavar="N", min=1, help="Number of runs in parallel.")] = 1,
    hide_words: Annotated[
        bool,
        typer.Option(
            "--hide-words",
            help="Show file and line instead of sentences, for restricted corpora.",
        ),
    ] = False,
) -> None:
    """Measure the benefit of a bidirectional encoder over a forward-only one.

    Trains every variant with every seed on the same data and schedule, evaluates
    each after its last epoch, and writes report.html, report.md and results.json.
    After an interruption, run the same command again; finished runs are reused.

    Models are trained on IOB2 tags unless model.scheme is set: BIOES tags depend
    on the end of a span, which a forward model cannot see.
    """
    folder = read_folder(output)
    flags: dict[str, Any] = {
        "data.tasks": tuple(split_names([task])) if task else None,
        "data.columns": columns,
        "data.format": format,
        "data.scheme": scheme,
    }
    changes = read_changes(flags, set)
    for option, flag in OF_THE_GRID.items():
        if option in changes:
            raise InputError(
                f"--set {option} would change all runs of the grid. Use {flag} instead.",
                code="option.conflict",
                option=flag,
            )
    options = load_config(config, changes, defaults=DEFAULTS)
    from tagger.cli.console import require_extra

    require_extra("compare", *EXTRA, "scipy", "jinja2")
    from tagger.cli.grid_display import watch_comparison
    from tagger.experiments.grid import Request, build_grid

    lookaheads = _read_lookaheads(lookahead)
    variants = build_grid(
        cast(Sequence[Direction], _choose(directions, get_args(Direction), "--directions")),
        cast(Sequence[MergeMode], _choose(merge_modes, get_args(MergeMode), "--merge-modes")),
        cast(Sequence[HeadKind], _choose(heads, get_args(HeadKind), "--heads")),
        has_lookahead=bool(lookaheads),
    )
    if lookaheads and all(variant.direction != "bidirectional" for variant in variants):
        raise InputError(
            "--lookahead needs bidirectional models. Add bidirectional to --directions.",
            code="option.conflict",
            option="--directions",
        )
    request = Request(
        config=options,
        train_files=train,
        dev_files=dev,
        test_files=test or [],
        vectors_file=vectors,
        variants=variants,
        seeds=seeds,
        match=match,
        lookaheads=lookaheads,
        output=folder,
    )
    watch_comparison(request, processes=jobs, hide_words=hide_words)


def _choose(text: str, allowed: Sequence[str], option: str) -> list[str]:
    """Return the distinct names in an option.

    Raises:
        InputError: A name is unknown, or there are no names.
    """
    names = list(dict.fromkeys(split_names([text])))
    unknown = [name for name in names if name not in allowed]
    if unknown or not names:
        raise InputError(
            f"{option} must be any of {', '.join(allowed)}, separated by commas (got {text!r}).",
            code="option.unknown" if unknown else "option.value",
            option=option,
        )
    return names


def _read_lookaheads(text: str | None) -> list[int | None]:
    """Return the lookaheads in ascending order, with None for the whole sentence at the end.

    Raises:
        InputError: An item is neither a number nor ``full``.
    """
    from tagger.experiments.grid import WHOLE

    names = split_names([text]) if text is not None else []
    invalid = [name for name in names if name != WHOLE and not re.fullmatch("[0-9]{1,9}", name)]
    if invalid or (text is not None and not names):
        raise InputError(
            f"--lookahead must be numbers of words or {WHOLE!r}, separated by commas (got {text!r}).",
            code="option.value",
            option="--lookahead",
        )
    numbers = sorted({int(name) for name in names if name != WHOLE})
    return [*numbers, *([None] if WHOLE in names else [])]
