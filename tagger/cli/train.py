"""``tagger train``: corpus files in, a model folder out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tagger.cli.tag import split_names
from tagger.config import load_config, parse_setting
from tagger.corpus.files import FORMATS
from tagger.errors import InputError

EXAMPLES = """Examples:

tagger train --train train.conll --dev dev.conll --output runs/news

tagger train recipe.toml --train train.conll --dev dev.conll --output runs/2

tagger train --train t.conll --columns token,pos,ner --task pos,ner --output m

tagger train --train t.conll --set model.layers=2 --direction forward --output m"""

EXTRA = ("torch", "torchcrf", "accelerate", "seqeval", "matplotlib")


def train_command(
    train: Annotated[Path, typer.Option(metavar="FILE", help="Corpus file to learn from.")],
    output: Annotated[
        str, typer.Option(metavar="DIR", help="Where the model goes; an earlier one there is replaced.")
    ],
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG.toml", help="Options, in sections data, model, train.")
    ] = None,
    dev: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Corpus file that chooses the best epoch; without it none is scored and the last is kept.",
        ),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Column to learn (repeatable, or pos,ner); ner by default."),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Names of the file's columns, as token,pos,chunk,ner; by default the first is the token "
            "and the last the task.",
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(metavar="FORMAT", help=f"Of the files: {', '.join(FORMATS)}; by default their suffix."),
    ] = None,
    on_misaligned: Annotated[
        str | None,
        typer.Option(
            metavar="expand|skip|error",
            help="Spans that do not fit the tokens, in formats with running text; an error by default.",
            autocompletion=lambda: ["expand", "skip", "error"],
        ),
    ] = None,
    vectors: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Word vectors: GloVe, word2vec or fastText.")
    ] = None,
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
    set: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Any option, as model.hidden_size=100 (repeatable).",
            autocompletion=lambda: [f"{name}=" for name in _option_names()],
        ),
    ] = None,
    resume: Annotated[
        bool | None,
        typer.Option(
            "--resume/--restart",
            help="Go on with the unfinished run in DIR, or begin anew; without either it is an error.",
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
    if not output:  # as a path it would be the current folder
        raise InputError("--output is empty; name a folder.")
    flags: dict[str, Any] = {
        "data.tasks": tuple(split_names(task)) or None,
        "data.columns": columns,
        "data.format": format,
        "data.on_misaligned": on_misaligned,
        "model.direction": direction,
        "model.merge_mode": merge_mode,
        "model.head": head,
        "train.epochs": epochs,
        "train.seed": seed,
        "train.tensorboard": tensorboard,
    }
    changes = {key: value for key, value in flags.items() if value is not None}
    changes.update(map(parse_setting, set or ()))
    options = load_config(config, changes)
    from tagger.cli.console import require_extra

    require_extra("train", *EXTRA)
    from tagger.cli.watch import watch_training

    watch_training(options, Path(output), train, dev, vectors, resume=resume)


def _option_names() -> list[str]:
    from tagger.config import option_names

    return option_names()
