"""Command table of the program ``tagger`` and its help."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from tagger import __version__
from tagger.errors import InputError
from tagger.signals import begin_work

EXAMPLES = """Examples:

tagger train --train train.conll --dev dev.conll --output runs/news

tagger evaluate runs/news test.conll

tagger tag -m runs/news letter.txt"""

# The exception of click for an invalid command line; its module depends on the version of typer.
UsageError = cast(type[typer.BadParameter], typer.BadParameter.__mro__[1])
Abort = typer.Abort

# In the order of the help. Command NAME is the function ``NAME_command`` of ``tagger.cli.NAME``.
COMMANDS = (
    "train", "distil", "compare", "search", "evaluate", "tag", "bulk", "info", "check", "convert", "select",
    "annotate", "retrain", "gain", "export", "shrink", "encoder", "serve", "push", "pull",
)  # fmt: skip


class _Commands(TyperGroup):
    """Command group that imports each command on first use, so that `tagger tag` starts fast."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        # Import all commands for an unknown name: click suggests the closest one.
        for name in (cmd_name,) if cmd_name in COMMANDS else COMMANDS:
            if name not in self.commands:
                self.commands[name] = _import_command(name)
        begin_work()
        return self.commands.get(cmd_name)


class _Command(TyperCommand):
    """Command that rejects repeated options, except lists; click would silently use the last value."""

    def make_parser(self, ctx: Any) -> Any:
        parser = super().make_parser(ctx)
        seen: set[str] = set()
        for option in {id(each): each for each in parser._long_opt.values()}.values():
            if option.action in ("store", "store_const"):
                cast(Any, option).process = _reject_repeats(option, seen)
        return parser


def _reject_repeats(option: Any, seen: set[str]) -> Callable[[Any, Any], None]:
    process = option.process

    def process_once(value: Any, state: Any) -> None:
        if option.dest in seen:
            names = "/".join([*option.obj.opts, *option.obj.secondary_opts])
            raise InputError(
                f"{names} is given twice. Give it once.", code="option.conflict", option=option.obj.opts[0]
            )
        seen.add(option.dest)
        process(value, state)

    return process_once


def _import_command(name: str) -> Any:
    module = import_module(f"tagger.cli.{name}")
    single = typer.Typer(rich_markup_mode="rich", add_completion=False)
    single.command(name, cls=_Command, epilog=module.EXAMPLES)(getattr(module, f"{name}_command"))
    return get_command(single)


app = typer.Typer(
    name="tagger",
    cls=_Commands,
    epilog=EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(is_requested: bool) -> None:
    if is_requested:
        typer.echo(f"tagger {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Label sequences with a BiLSTM-CRF: train on CoNLL files, evaluate models, tag raw text."""
