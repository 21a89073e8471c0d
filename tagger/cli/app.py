"""The commands of the program ``tagger`` and their help."""

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

tagger tag runs/news letter.txt"""

# What click raises for a wrong command line; whose class that is depends on the version of typer.
UsageError = cast(type[typer.BadParameter], typer.BadParameter.__mro__[1])
Abort = typer.Abort

# In the order of the help; each is the function ``NAME_command`` of the module ``tagger.cli.NAME``.
COMMANDS = ("train", "compare", "evaluate", "tag", "info", "check", "convert", "export", "shrink")


class _Commands(TyperGroup):
    """The commands, each imported when it is asked for: `tagger tag` starts without what others need."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        # A word that is none of them is compared with them all.
        for name in (cmd_name,) if cmd_name in COMMANDS else COMMANDS:
            if name not in self.commands:
                self.commands[name] = _import_command(name)
        begin_work()
        return self.commands.get(cmd_name)


class _Command(TyperCommand):
    """A command whose options are given once, unless they are lists: click keeps the last one silently."""

    def make_parser(self, ctx: Any) -> Any:
        parser = super().make_parser(ctx)
        given: set[str] = set()
        for option in {id(one): one for one in parser._long_opt.values()}.values():
            if option.action in ("store", "store_const"):
                cast(Any, option).process = _once(option, given)
        return parser


def _once(option: Any, given: set[str]) -> Callable[[Any, Any], None]:
    process = option.process

    def process_once(value: Any, state: Any) -> None:
        if option.dest in given:
            names = "/".join([*option.obj.opts, *option.obj.secondary_opts])
            raise InputError(f"{names} is given twice. Give it once.")
        given.add(option.dest)
        process(value, state)

    return process_once


def _import_command(name: str) -> Any:
    module = import_module(f"tagger.cli.{name}")
    alone = typer.Typer(rich_markup_mode="rich", add_completion=False)
    alone.command(name, cls=_Command, epilog=module.EXAMPLES)(getattr(module, f"{name}_command"))
    return get_command(alone)


app = typer.Typer(
    name="tagger",
    cls=_Commands,
    epilog=EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
