"""``tagger compare``: a grid of trainings in, a page on what the backward pass adds out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import typer

from tagger.cli.tag import split_names
from tagger.cli.train import (
    EXTRA,
    Columns,
    ConfigFile,
    FileScheme,
    FormatName,
    Settings,
    VectorsFile,
    read_changes,
    read_folder,
)
from tagger.config import Direction, HeadKind, MergeMode, load_config
from tagger.errors import InputError

EXAMPLES = """Examples:

tagger compare --train train.conll --dev dev.conll --output runs/compare

tagger compare recipe.toml --train t.conll --dev d.conll --seeds 5 --jobs 2 --output c

tagger compare --train t.conll --dev d.conll --lookahead 0,1,2,4,8,full --output c

tagger compare --train t.conll --dev d.conll --merge-modes concat,sum,mul,ave --output c"""

# BIOES tags say where a span ends, which a model that reads forward cannot know.
DEFAULTS = {"model.scheme": "IOB2"}
# Options that the grid decides, and what says how; where a recipe has them they are those of `tagger train`.
OF_THE_GRID = {
    "model.direction": "--directions",
    "model.merge_mode": "--merge-modes",
    "model.head": "--heads",
    "train.lookahead": "--lookahead",
}


def compare_command(
    train: Annotated[
        list[Path], typer.Option(metavar="FILE", help="Corpus file to learn from (repeatable).")
    ],
    dev: Annotated[
        list[Path], typer.Option(metavar="FILE", help="Corpus file that every run is scored on (repeatable).")
    ],
    output: Annotated[
        str, typer.Option(metavar="DIR", help="Where runs and report go; finished runs there are kept.")
    ],
    config: ConfigFile = None,
    test: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Held-out corpus file, scored after training (repeatable)."),
    ] = None,
    task: Annotated[str | None, typer.Option(metavar="NAME", help="Column to learn; ner by default.")] = None,
    columns: Columns = None,
    format: FormatName = None,
    scheme: FileScheme = None,
    vectors: VectorsFile = None,
    directions: Annotated[
        str, typer.Option(metavar="NAMES", help="Ways to read, by commas.")
    ] = "forward,backward,bidirectional",
    merge_modes: Annotated[
        str, typer.Option(metavar="NAMES", help="Of concat, sum, mul, ave: how two directions become one.")
    ] = "concat",
    heads: Annotated[str, typer.Option(metavar="NAMES", help="What scores the tags.")] = "softmax,crf",
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="Runs of each variant.")] = 3,
    match: Annotated[
        str,
        typer.Option(
            metavar="hidden|width|parameters",
            help="What is held equal: units per direction, width of the output, or number of parameters.",
            autocompletion=lambda: ["hidden", "width", "parameters"],
        ),
    ] = "hidden",
    lookahead: Annotated[
        str | None,
        typer.Option(metavar="0,1,2,…,full", help="Score with so many of the next words known, too."),
    ] = None,
    set: Settings = None,
    jobs: Annotated[int, typer.Option(metavar="N", min=1, help="Runs that are made side by side.")] = 1,
    hide_words: Annotated[
        bool,
        typer.Option(
            "--hide-words", help="Name sentences by file and line, for corpora that may not be passed on."
        ),
    ] = False,
) -> None:
    """Measure what reading from the right as well adds to reading from the left.

    Trains every variant with every seed on the same data and schedule, scores
    each after its last epoch, and writes report.html, report.md, results.json.
    Stop it anywhere: the same command goes on, and finished runs are kept.

    Spans are learnt as IOB2 unless model.scheme is set: BIOES asks for the end
    of a span at its beginning, which reading forward cannot tell.
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
            raise InputError(f"--set {option} would be the same in all runs; use {flag} instead.")
    options = load_config(config, changes, defaults=DEFAULTS)
    from tagger.cli.console import require_extra

    require_extra("compare", *EXTRA, "scipy")
    from tagger.cli.grid_display import watch_comparison
    from tagger.experiments.grid import MATCHES, build_grid
    from tagger.experiments.material import Request
    from tagger.experiments.results import Match

    lookaheads = _read_lookaheads(lookahead)
    variants = build_grid(
        cast(Sequence[Direction], _choose(directions, get_args(Direction), "--directions")),
        cast(Sequence[MergeMode], _choose(merge_modes, get_args(MergeMode), "--merge-modes")),
        cast(Sequence[HeadKind], _choose(heads, get_args(HeadKind), "--heads")),
        has_lookahead=bool(lookaheads),
    )
    if lookaheads and all(variant.direction != "bidirectional" for variant in variants):
        raise InputError("--lookahead is of bidirectional models; put bidirectional into --directions too.")
    (matched,) = _choose(match, MATCHES, "--match", most=1)
    request = Request(
        config=options,
        train_files=train,
        dev_files=dev,
        test_files=test or [],
        vectors_file=vectors,
        variants=variants,
        seeds=seeds,
        match=cast(Match, matched),
        lookaheads=lookaheads,
        output=folder,
    )
    watch_comparison(request, processes=jobs, hide_words=hide_words)


def _choose(text: str, allowed: Sequence[str], option: str, *, most: int | None = None) -> list[str]:
    """The names in an option, each once.

    Raises:
        InputError: One is none of those that there are, or there are none or too many.
    """
    names = list(dict.fromkeys(split_names([text])))
    wrong = [name for name in names if name not in allowed]
    if wrong or not names or (most and len(names) > most):
        separated = "one of" if most == 1 else "by commas any of"
        raise InputError(f"{option} takes {separated} {', '.join(allowed)}, not {text!r}.")
    return names


def _read_lookaheads(text: str | None) -> list[int | None]:
    """Numbers of next words in rising order, None for all of them last.

    Raises:
        InputError: One is no number and not ``full``.
    """
    from tagger.experiments.results import WHOLE

    names = split_names([text]) if text is not None else []
    wrong = [name for name in names if name != WHOLE and not re.fullmatch("[0-9]{1,9}", name)]
    if wrong or (text is not None and not names):
        raise InputError(f"--lookahead takes numbers of words and {WHOLE!r} by commas, not {text!r}.")
    numbers = sorted({int(name) for name in names if name != WHOLE})
    return [*numbers, *([None] if WHOLE in names else [])]
