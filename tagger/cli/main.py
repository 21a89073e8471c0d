"""The program ``tagger``: its commands, and what becomes of errors."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Annotated

import typer

from tagger import __version__
from tagger.cli.evaluate import EXAMPLES as EVALUATE_EXAMPLES
from tagger.cli.evaluate import evaluate_command
from tagger.cli.info import EXAMPLES as INFO_EXAMPLES
from tagger.cli.info import info_command
from tagger.cli.tag import EXAMPLES as TAG_EXAMPLES
from tagger.cli.tag import tag_command
from tagger.cli.train import EXAMPLES as TRAIN_EXAMPLES
from tagger.cli.train import train_command
from tagger.errors import InputError

EXAMPLES = """Examples:

tagger train --train train.conll --dev dev.conll --output runs/news

tagger evaluate runs/news test.conll

tagger tag runs/news letter.txt"""

app = typer.Typer(
    name="tagger",
    epilog=EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train", epilog=TRAIN_EXAMPLES)(train_command)
app.command("evaluate", epilog=EVALUATE_EXAMPLES)(evaluate_command)
app.command("tag", epilog=TAG_EXAMPLES)(tag_command)
app.command("info", epilog=INFO_EXAMPLES)(info_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; an unusable input is one line on standard error.

    Args:
        arguments: The words after the program's name; those of the process when not said.

    Returns:
        The exit code: 0, 2 for an input or option that cannot be used, 1 for another failure of a file, 130
        when interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # what the locale cannot hold is no reason to stop
            stream.reconfigure(errors="backslashreplace")
    try:
        app(args=arguments, prog_name="tagger", standalone_mode=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except InputError as error:
        return _fail(str(error), 2)
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        return _fail(f"{error.filename or 'output'}: {error.strerror or error}", 1)
    return 0


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"tagger: {' '.join(message.splitlines())}\n")
    return code


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"tagger {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Sequence labelling with a BiLSTM-CRF: train on a CoNLL file, score, tag raw text."""
