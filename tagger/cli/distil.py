"""``tagger distil``: train one model on the probabilities of others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tagger.cli.input import read_lines, split_names
from tagger.cli.train import EXTRA, Columns, ConfigFile, Settings, VectorsFile, read_changes, read_folder
from tagger.config_loading import load_config
from tagger.errors import InputError
from tagger.included import find_model

EXAMPLES = """Examples:

tagger distil -m en --text news.txt --output runs/student

tagger distil -m runs/1 -m runs/2 --text news.txt --train train.conll --dev dev.conll --output runs/student

tagger distil --predictions tagged.jsonl --dev dev.conll --output runs/student"""


def distil_command(
    output: Annotated[str, typer.Option(metavar="DIR", help="Model folder to write.")],
    config: ConfigFile = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", metavar="MODEL", help="A teacher: a folder or a name (repeatable)."),
    ] = None,
    text: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Unlabelled text; each file is one document (repeatable)."),
    ] = None,
    predictions: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Instead of teachers and text: JSON lines with probabilities, as `tagger tag --scores` "
            "writes them (repeatable).",
        ),
    ] = None,
    train: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Gold training file to mix in (repeatable).")
    ] = None,
    dev: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Dev file that selects the best epoch (repeatable)."),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Tasks to learn; by default those of the teachers."),
    ] = None,
    columns: Columns = None,
    vectors: VectorsFile = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Maximum number of epochs.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed of weights, order and dropout.")] = None,
    set: Settings = None,
    resume: Annotated[
        bool | None,
        typer.Option("--resume/--restart", help="Resume the run in DIR, or start again."),
    ] = None,
) -> None:
    """Train one model (the student) on the probabilities of several (the teachers).

    The student learns the mean of the teachers' exact probabilities on
    unlabelled text, and gold data if there are any. It is as small and as fast
    as any model with the same options.
    """
    from tagger.cli.console import require_extra

    folder = read_folder(output)
    if bool(model) == bool(predictions) or bool(model) != bool(text):
        raise InputError(
            "distil needs teachers and text (--model and --text), or --predictions. Give one of them.",
            code="option.conflict",
            option="--predictions" if predictions else "--model",
        )
    require_extra("distil", *EXTRA)
    from tagger.api import label_texts  # slow import
    from tagger.cli.watch import watch_training
    from tagger.runtime.tagger import Tagger

    teachers = [Tagger.load(find_model(name)) for name in model or ()]
    flags: dict[str, Any] = {
        "data.tasks": tuple(split_names(task)) or None,
        "data.columns": columns,
        "train.epochs": epochs,
        "train.seed": seed,
    }
    defaults = {"data.tasks": tuple(one.name for one in teachers[0].tasks)} if teachers else None
    options = load_config(config, read_changes(flags, set), defaults=defaults)
    texts = ("".join(read_lines(path)) for path in text or ())
    taught = label_texts(teachers, texts) if teachers else predictions or []
    watch_training(
        options,
        folder,
        [*(train or []), *taught],
        dev or [],
        vectors,
        teachers=[one.bundle for one in teachers],
        resume=resume,
    )
