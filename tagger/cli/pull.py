"""``tagger pull``: download a model from the Hugging Face hub."""

from __future__ import annotations

from typing import Annotated

import typer

from tagger.bundle import load_bundle
from tagger.cli.output import print_stderr
from tagger.model_hub import model_files, pull_model, require_hub_address

EXAMPLES = """Examples:

tagger pull ada/news

tagger pull ada/news@v1.0

tagger tag -m ada/news letter.txt"""


def pull_command(
    name: Annotated[
        str,
        typer.Argument(metavar="USER/NAME[@REVISION]", help="Name on the hub, and a commit, tag or branch."),
    ],
) -> None:
    """Download a model from the Hugging Face hub, or update it; print its folder.

    Later commands find the model in the cache by the same name, without a request.
    """
    address = require_hub_address(name)
    folder = pull_model(address)
    load_bundle(folder)
    size = sum((folder / file).stat().st_size for file in model_files(folder))
    print_stderr(f"{address.name}@{folder.name}: {size:,} bytes")
    typer.echo(folder)
