"""``tagger push``: publish a model on the Hugging Face hub."""

from __future__ import annotations

from typing import Annotated

import typer

from tagger.cli.output import print_stderr
from tagger.cli.tag import ModelName
from tagger.included import find_model

EXAMPLES = """Examples:

tagger push runs/news ada/news --license cc-by-4.0

tagger push runs/news ada/news --license mit --dataset conll2003 --private"""


def push_command(
    model: ModelName,
    name: Annotated[str, typer.Argument(metavar="USER/NAME", help="Name on the hub.")],
    license: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Licence of the model by the hub's identifier, such as cc-by-4.0. By default, that of the "
            "model's card.",
            show_default=False,
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Name of the dev data in the card's scores. By default, that of its file.",
            show_default=False,
        ),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
) -> None:
    """Publish a model on the Hugging Face hub, after `hf auth login`.

    The model contains the words of its train split, and its card the names of the corpus files.
    """
    from tagger.integrations.publishing import push_model

    address = push_model(find_model(model), name, license=license, dataset=dataset, is_private=private)
    print_stderr(f"pushed; load it with Tagger.load({str(address)!r}) or `tagger tag -m {address}`")
    typer.echo(address)
