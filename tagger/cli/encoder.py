"""``tagger encoder export``: write the lower layers of a Hugging Face encoder for ``model.encoder``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tagger.cli.console import require_extra
from tagger.errors import InputError

EXAMPLES = """Examples:

tagger encoder export mpnet-base encoders/mpnet --layers 0,4,6

tagger train --train train.conll --set model.encoder=encoders/mpnet --output m"""


def encoder_command(
    action: Annotated[Literal["export"], typer.Argument(help="What to do.")],
    source: Annotated[
        Path,
        typer.Argument(
            metavar="HF_FOLDER",
            help="Folder of a Hugging Face encoder: config.json, weights, tokenizer.json.",
        ),
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="New folder to write.")],
    layers: Annotated[
        str,
        typer.Option(
            metavar="NUMBERS",
            help="Layers whose states a model reads, 0 for the embeddings; higher ones are dropped.",
        ),
    ] = "0,4,6",
    precision: Annotated[
        Literal["f32", "int8"],
        typer.Option(metavar="f32|int8", help="Precision; int8 is faster and changes the states slightly."),
    ] = "f32",
) -> None:
    """Write the lower layers of an encoder as an ONNX graph.

    OUT is an encoder for `--set model.encoder=OUT`; tagging with such a model
    needs tokenizers but neither torch nor transformers.
    """
    require_extra("encoder export", "torch", "transformers", "tokenizers", extra="contextual")
    if precision == "int8":
        require_extra("encoder export --precision int8", "onnx", extra="export")
    from tagger.network.encoder_export import export_encoder  # slow import

    try:
        numbers = [int(number) for number in layers.split(",")]
    except ValueError:
        raise InputError(
            f"--layers must be numbers with commas, such as 0,4,6 (got {layers}). Correct them.",
            code="option.type",
            option="--layers",
        ) from None
    difference, similarity = export_encoder(source, target, numbers, precision=precision)
    typer.echo(
        f"wrote {target}: layers {layers}, {precision}; in f32, states equal those of torch to "
        f"{difference:.1e}; mean cosine of the written states with them {similarity:.4f}"
    )
