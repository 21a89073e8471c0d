"""``tagger export``: a model as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tagger.cli.console import require_extra
from tagger.cli.output import tell
from tagger.cli.tag import ModelName
from tagger.errors import InputError
from tagger.runtime.tagger import Tagger

EXAMPLES = """Examples:

tagger export runs/news news.onnx"""


def export_command(
    model: ModelName,
    output: Annotated[Path, typer.Argument(metavar="FILE.onnx", help="Where to write.")],
) -> None:
    """Write a model's network as ONNX, from word vectors to emissions, and compare it with torch."""
    if output.suffix.lower() != ".onnx":
        raise InputError(f"{output}: the name of an ONNX file must end in .onnx.")
    if output.is_dir():
        raise InputError(f"{output}: this is a folder; name a file in it.")
    require_extra("export", "torch")
    require_extra("export", "onnx", extra="export")
    from tagger.runtime.onnx_export import export_model

    bundle = Tagger.load(model).bundle  # as for tagging, so that what is wrong with it is told alike
    difference = export_model(bundle, output)
    tell(f"{output}: emissions are within {difference:.1e} of torch's")
