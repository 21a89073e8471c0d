"""``tagger search``: search for the best options, and test whether they are better than the default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tagger.cli.input import split_names
from tagger.cli.train import (
    EXTRA,
    Columns,
    FileScheme,
    FormatOption,
    Settings,
    TaskNames,
    VectorsFile,
    read_changes,
    read_folder,
)
from tagger.config_loading import load_config

EXAMPLES = """Examples:

tagger search space.toml --train t.conll --dev d.conll --trials 40 --output s

tagger search space.toml --train t.conll --dev d.conll --storage sqlite:///x.db --output s

tagger search space.toml --train t.conll --dev d.conll --test e.conll --output s"""


def search_command(
    config: Annotated[
        Path,
        typer.Argument(metavar="CONFIG.toml", help=r"Config file with the default and the table \[search]."),
    ],
    train: Annotated[list[Path], typer.Option(metavar="FILE", help="Training file (repeatable).")],
    dev: Annotated[
        list[Path], typer.Option(metavar="FILE", help="Dev file; trials are chosen by it (repeatable).")
    ],
    output: Annotated[str, typer.Option(metavar="DIR", help="Folder of best.toml and the comparison.")],
    test: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Test file, evaluated in the comparison only (repeatable)."),
    ] = None,
    trials: Annotated[
        int, typer.Option(metavar="N", min=1, help="Number of trials, with those of other processes.")
    ] = 40,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Database of the trials, e.g. sqlite:///x.db or postgresql+psycopg://…; by default "
            "search.db in DIR.",
        ),
    ] = None,
    study: Annotated[str, typer.Option(metavar="NAME", help="Name of the study in the database.")] = "search",
    seeds: Annotated[
        int, typer.Option(metavar="N", min=0, help="New seeds of the comparison; 0 skips it.")
    ] = 5,
    task: TaskNames = None,
    columns: Columns = None,
    format: FormatOption = None,
    scheme: FileScheme = None,
    vectors: VectorsFile = None,
    set: Settings = None,
) -> None:
    r"""Search for the best options of a config, and compare them with the default.

    The table \[search] of CONFIG.toml names the options to vary, as for --set: a
    list of choices, or a range. The other tables are the default.

    \[search]
    model.layers = [1, 2]
    model.hidden_size = {low = 50, high = 400, log = true}
    model.dropout = {low = 0.1, high = 0.6}

    A trial is scored on dev by its best epoch. After each epoch from a quarter of
    all on, it is stopped if it is worse than the median of the others. Several
    processes may run the same command. After an interruption, run it again:
    finished trials are kept.

    The score of the best trial is chosen among many, so it is no result. At the
    end, the winner (DIR/best.toml) and the default are trained with new seeds
    and compared by a significance test; only on --test are both unseen.
    """
    folder = read_folder(output)
    flags: dict[str, Any] = {
        "data.tasks": tuple(split_names(task)) or None,
        "data.columns": columns,
        "data.format": format,
        "data.scheme": scheme,
    }
    options = load_config(config, read_changes(flags, set), without=["search"])
    from tagger.cli.console import require_extra

    require_extra("search", *EXTRA, "scipy")
    require_extra("search", "optuna", extra="search")
    from tagger.cli.search_display import watch_search
    from tagger.experiments.retraining import Data
    from tagger.experiments.search_space import read_space
    from tagger.integrations.optuna import SearchRequest

    request = SearchRequest(
        config=options,
        space=read_space(config, options),
        data=Data(train, dev, test or [], vectors),
        trials=trials,
        storage=storage or f"sqlite:///{folder / 'search.db'}",
        study=study,
    )
    watch_search(request, folder, seeds=seeds)
