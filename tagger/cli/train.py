"""``tagger train``: train a model on corpus files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from tagger.bundle import load_bundle
from tagger.cli.input import split_names
from tagger.config import Direction, HeadKind, MergeMode, option_names
from tagger.config_loading import load_config, parse_setting
from tagger.corpus.files import FORMATS, FormatName
from tagger.corpus.reading import OnMisaligned
from tagger.errors import InputError
from tagger.included import find_model
from tagger.text.schemes import SCHEMES

EXAMPLES = """Examples:

tagger train --train train.conll --dev dev.conll --output runs/news

tagger train recipe.toml --train train.conll --dev dev.conll --output runs/2

tagger train --train t.conll --columns token,pos,ner --task pos,ner --output m

tagger train --train new.conll --init-from runs/news --output runs/more

tagger train --train t.conll --set model.layers=2 --direction forward --output m"""

# Options shared with `tagger compare`.
ConfigFile = Annotated[
    Path | None,
    typer.Argument(metavar="CONFIG.toml", help="Config file: sections data, model, train."),
]
Columns = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="Column names, e.g. token,pos,chunk,ner; detected by default.",
    ),
]
FormatOption = Annotated[
    FormatName | None,
    typer.Option(metavar="FORMAT", help=f"File format, detected by default: {', '.join(FORMATS)}."),
]
FileScheme = Annotated[
    str | None,
    typer.Option(
        metavar="SCHEME",
        help=f"Tag scheme of the files: {', '.join(SCHEMES)}, bare (labels without prefix) or none (one tag "
        "per token), or by task, e.g. ner=bare,pos=none; detected by default.",
        autocompletion=lambda: [*SCHEMES, "bare", "none"],
    ),
]
TaskNames = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Task to train (repeatable, or pos,ner); ner by default."),
]
VectorsFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Word vectors in GloVe, word2vec or fastText format.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="Set any config option, e.g. model.hidden_size=100 (repeatable).",
        autocompletion=lambda: [f"{name}=" for name in option_names()],
    ),
]

EXTRA = ("torch", "torchcrf", "accelerate", "seqeval", "matplotlib")


def train_command(
    train: Annotated[list[Path], typer.Option(metavar="FILE", help="Training file (repeatable).")],
    output: Annotated[
        str, typer.Option(metavar="DIR", help="Model folder to write; an existing model is replaced.")
    ],
    config: ConfigFile = None,
    dev: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Dev file that selects the best epoch (repeatable). Without it, epochs are not evaluated "
            "and the last one is kept.",
        ),
    ] = None,
    task: TaskNames = None,
    columns: Columns = None,
    format: FormatOption = None,
    scheme: FileScheme = None,
    on_misaligned: Annotated[
        OnMisaligned | None,
        typer.Option(
            metavar="|".join(get_args(OnMisaligned)),
            help="In formats with running text: reject (default), extend, shrink or drop spans that do not "
            "match token boundaries.",
        ),
    ] = None,
    vectors: VectorsFile = None,
    encoder: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Contextual encoder from `tagger encoder export`; its states are a further input.",
        ),
    ] = None,
    direction: Annotated[
        Direction | None,
        typer.Option(metavar="|".join(get_args(Direction)), help="Direction of the encoder."),
    ] = None,
    merge_mode: Annotated[
        MergeMode | None,
        typer.Option(metavar="|".join(get_args(MergeMode)), help="How to merge the two directions."),
    ] = None,
    head: Annotated[
        HeadKind | None, typer.Option(metavar="|".join(get_args(HeadKind)), help="Output layer.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Maximum number of epochs.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed of weights, order and dropout.")] = None,
    set: Settings = None,
    init_from: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Start from this model (a folder or a name): keep its weights and labels, add the "
            "words and labels of the training files.",
        ),
    ] = None,
    old_dev: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="With --init-from: dev file of the old data; prints scores before and after on it and on "
            "--dev (repeatable).",
        ),
    ] = None,
    partial: Annotated[
        bool | None,
        typer.Option(
            "--partial",
            help="With --init-from: the training files mark only new labels; unmarked tokens may have "
            "an old label.",
        ),
    ] = None,
    resume: Annotated[
        bool | None,
        typer.Option(
            "--resume/--restart",
            help="Resume the run in DIR (a finished one with a larger --epochs), or start again. By default, "
            "an unfinished run is an error.",
        ),
    ] = None,
    tensorboard: Annotated[
        bool | None, typer.Option("--tensorboard", help="Write event files to DIR/tensorboard.")
    ] = None,
) -> None:
    """Train a model on corpus files.

    DIR receives the model of the best epoch on dev, metrics.jsonl with one line
    per epoch, learning curves, a model card and a checkpoint. Ctrl-C stops after
    the current step; run the same command with --resume to continue. Options
    override CONFIG.toml, and --set overrides options.
    """
    folder = read_folder(output)
    flags: dict[str, Any] = {
        "data.tasks": tuple(split_names(task)) or None,
        "data.columns": columns,
        "data.format": format,
        "data.scheme": scheme,
        "data.on_misaligned": on_misaligned,
        "model.encoder": None if encoder is None else str(encoder),
        "model.direction": direction,
        "model.merge_mode": merge_mode,
        "model.head": head,
        "train.epochs": epochs,
        "train.partial": partial,
        "train.seed": seed,
        "train.tensorboard": tensorboard,
    }
    if old_dev and not init_from:
        raise InputError(
            "--old-dev needs --init-from: it compares with the initial model. Leave it out.",
            code="option.conflict",
            option="--old-dev",
        )
    from tagger.cli.console import require_extra

    initial, defaults = None, None
    if init_from:
        require_extra("train", *EXTRA)
        from tagger.training.initial import default_options  # slow import

        initial = load_bundle(find_model(init_from))
        defaults = default_options(initial)
    options = load_config(config, read_changes(flags, set), defaults=defaults)
    require_extra("train", *EXTRA)
    from tagger.cli.watch import watch_training

    watch_training(
        options, folder, train, dev or [], vectors, initial=initial, old_dev=old_dev or [], resume=resume
    )


def read_folder(output: str) -> Path:
    """Return the path of ``--output``.

    Raises:
        InputError: The option is empty, which as a path would mean the current folder.
    """
    if not output:
        raise InputError("--output must not be empty. Name a folder.", code="option.value", option="--output")
    return Path(output)


def read_changes(flags: Mapping[str, Any], settings: Sequence[str] | None) -> dict[str, Any]:
    """Return the changes to a config: the given flags, overridden by each ``--set``.

    Raises:
        InputError: A setting does not have the form ``key=value``, or is given twice.
    """
    changes = {key: value for key, value in flags.items() if value is not None}
    parsed = list(map(parse_setting, settings or ()))
    for index, (key, _) in enumerate(parsed):
        if key in dict(parsed[:index]):
            raise InputError(
                f"--set {key} is given twice. Give it once.", code="option.conflict", option="--set"
            )
    return changes | dict(parsed)
