"""``tagger train``: corpus files in, a model folder out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tagger.cli.tag import split_names
from tagger.config import load_config, option_names, parse_setting
from tagger.corpus.files import FORMATS
from tagger.errors import InputError
from tagger.text.schemes import SCHEMES

EXAMPLES = """Examples:

tagger train --train train.conll --dev dev.conll --output runs/news

tagger train recipe.toml --train train.conll --dev dev.conll --output runs/2

tagger train --train t.conll --columns token,pos,ner --task pos,ner --output m

tagger train --train t.conll --set model.layers=2 --direction forward --output m"""

# Options that `tagger compare` has, too.
ConfigFile = Annotated[
    Path | None, typer.Argument(metavar="CONFIG.toml", help="Options, in sections data, model, train.")
]
Columns = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="Names of the file's columns, as token,pos,chunk,ner; by default what they hold.",
    ),
]
FormatName = Annotated[
    str | None,
    typer.Option(
        metavar="FORMAT", help=f"Of the files: {', '.join(FORMATS)}; by default their suffix and content."
    ),
]
FileScheme = Annotated[
    str | None,
    typer.Option(
        metavar="SCHEME",
        help=f"Of the files' tags: {', '.join(SCHEMES)}, bare (labels without prefix) or none (one tag per "
        "token); by task as ner=bare,pos=none; detected by default.",
        autocompletion=lambda: [*SCHEMES, "bare", "none"],
    ),
]
VectorsFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Word vectors: GloVe, word2vec or fastText.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="Any option, as model.hidden_size=100 (repeatable).",
        autocompletion=lambda: [f"{name}=" for name in option_names()],
    ),
]

EXTRA = ("torch", "torchcrf", "accelerate", "seqeval", "matplotlib")


def train_command(
    train: Annotated[
        list[Path], typer.Option(metavar="FILE", help="Corpus file to learn from (repeatable).")
    ],
    output: Annotated[
        str, typer.Option(metavar="DIR", help="Where the model goes; an earlier one there is replaced.")
    ],
    config: ConfigFile = None,
    dev: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Corpus file that chooses the best epoch (repeatable); without it none is scored and the "
            "last is kept.",
        ),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Column to learn (repeatable, or pos,ner); ner by default."),
    ] = None,
    columns: Columns = None,
    format: FormatName = None,
    scheme: FileScheme = None,
    on_misaligned: Annotated[
        str | None,
        typer.Option(
            metavar="expand|trim|skip|error",
            help="Spans that do not fit the tokens, in formats with running text; an error by default.",
            autocompletion=lambda: ["expand", "trim", "skip", "error"],
        ),
    ] = None,
    vectors: VectorsFile = None,
    direction: Annotated[
        str | None,
        typer.Option(
            metavar="forward|backward|bidirectional",
            help="Which way the encoder reads.",
            autocompletion=lambda: ["forward", "backward", "bidirectional"],
        ),
    ] = None,
    merge_mode: Annotated[
        str | None,
        typer.Option(
            metavar="concat|sum|mul|ave",
            help="How two directions become one vector.",
            autocompletion=lambda: ["concat", "sum", "mul", "ave"],
        ),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            metavar="crf|softmax", help="What scores the tags.", autocompletion=lambda: ["crf", "softmax"]
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Passes over train at most.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of weights, order and dropout.")] = None,
    set: Settings = None,
    resume: Annotated[
        bool | None,
        typer.Option(
            "--resume/--restart",
            help="Resume the run in DIR (a finished one with a larger --epochs), or train again; without "
            "either, an unfinished run is an error.",
        ),
    ] = None,
    tensorboard: Annotated[
        bool | None, typer.Option("--tensorboard", help="Write event files into DIR/tensorboard.")
    ] = None,
) -> None:
    """Train a model on a corpus file.

    The folder gets the model of the best epoch on dev, metrics.jsonl with a
    line an epoch, learning curves, a model card and a checkpoint. Ctrl-C ends
    after the running step; the same command and --resume goes on from there.
    A flag outweighs CONFIG.toml, and --set outweighs a flag.
    """
    folder = read_folder(output)
    flags: dict[str, Any] = {
        "data.tasks": tuple(split_names(task)) or None,
        "data.columns": columns,
        "data.format": format,
        "data.scheme": scheme,
        "data.on_misaligned": on_misaligned,
        "model.direction": direction,
        "model.merge_mode": merge_mode,
        "model.head": head,
        "train.epochs": epochs,
        "train.seed": seed,
        "train.tensorboard": tensorboard,
    }
    options = load_config(config, read_changes(flags, set))
    from tagger.cli.console import require_extra

    require_extra("train", *EXTRA)
    from tagger.cli.watch import watch_training

    watch_training(options, folder, train, dev or [], vectors, resume=resume)


def read_folder(output: str) -> Path:
    """The folder that ``--output`` names.

    Raises:
        InputError: It is empty: as a path it would be the current folder.
    """
    if not output:
        raise InputError("--output is empty; name a folder.")
    return Path(output)


def read_changes(flags: Mapping[str, Any], settings: Sequence[str] | None) -> dict[str, Any]:
    """What is laid over a config: the flags that were given, and over them each ``--set``.

    Raises:
        InputError: A setting is not of the form ``key=value``, or is given twice.
    """
    changes = {key: value for key, value in flags.items() if value is not None}
    parsed = list(map(parse_setting, settings or ()))
    for place, (key, _) in enumerate(parsed):
        if key in dict(parsed[:place]):
            raise InputError(f"--set {key} is given twice. Give it once.")
    return changes | dict(parsed)
