"""``tagger export``: export a model to ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tagger.cli.console import require_extra
from tagger.cli.output import print_stderr
from tagger.cli.tag import ModelName
from tagger.errors import InputError
from tagger.runtime.tagger import Tagger

EXAMPLES = """Examples:

tagger export runs/news news.onnx"""


def export_command(
    model: ModelName,
    output: Annotated[Path, typer.Argument(metavar="FILE.onnx", help="File to write.")],
) -> None:
    """Export the network of a model to ONNX, from word vectors to emissions, and check it against torch."""
    if output.suffix.lower() != ".onnx":
        raise InputError("the name must end in .onnx. Rename it.", code="option.value", where=output)
    if output.is_dir():
        raise InputError("this is a folder. Name a file in it.", code="file.kind", where=output)
    require_extra("export", "torch")
    require_extra("export", "onnx", extra="export")
    from tagger.runtime.onnx_export import export_model

    bundle = Tagger.load(model).bundle  # loads as `tagger tag` does, for the same error messages
    difference = export_model(bundle, output)
    print_stderr(f"{output}: emissions differ from torch by at most {difference:.1e}")
