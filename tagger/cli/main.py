"""The program ``tagger``: its commands, and what becomes of errors."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup
from typer.main import get_command

from tagger import __version__
from tagger.cli.output import tell
from tagger.errors import InputError

EXAMPLES = """Examples:

tagger train --train train.conll --dev dev.conll --output runs/news

tagger evaluate runs/news test.conll

tagger tag runs/news letter.txt"""

# What click raises for a wrong command line; whose class that is depends on the version of typer.
UsageError = cast(type[typer.BadParameter], typer.BadParameter.__mro__[1])

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
        return self.commands.get(cmd_name)


def _import_command(name: str) -> Any:
    module = import_module(f"tagger.cli.{name}")
    alone = typer.Typer(rich_markup_mode="rich", add_completion=False)
    alone.command(name, epilog=module.EXAMPLES)(getattr(module, f"{name}_command"))
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; an unusable input is one line on standard error.

    Args:
        arguments: The words after the program's name; those of the process when not said.

    Returns:
        The exit code: 0, also when the reader of the output went away; 1 if ``check`` found a problem; 2 for
        an input, option or output that cannot be used; 130 when interrupted.
    """
    _replace_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # what the locale cannot hold is no reason to stop
            stream.reconfigure(errors="backslashreplace")
    try:
        with _terminating_as_interrupted():
            code = app(args=arguments, prog_name="tagger", standalone_mode=False)
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # click and rich end the program there
            return _end_quietly()
        return end.code if isinstance(end.code, int) else 0
    except UsageError as error:
        return _fail_usage(error)
    except InputError as error:
        return _fail(str(error))
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except MemoryError:
        return _fail("there is not enough memory; use smaller files or a smaller model.")
    except OSError as error:
        place = error.filename or "standard output"
        return _fail(f"{place}: cannot be used ({error.strerror or error}); check it and the space there.")
    return code if isinstance(code, int) else 0


def _replace_closed_streams() -> None:
    """Put the null device in place of closed standard streams: else a file opened later gets their number.

    Standard output is opened for reading alone, so that what should be written there is an error.
    """
    for name, number, mode in (("stdout", 1, "r"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode)  # noqa: PTH123, SIM115, no path of the user's, and kept open
            if stream.fileno() != number:
                os.dup2(stream.fileno(), number)
            setattr(sys, name, stream)


@contextmanager
def _terminating_as_interrupted() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does, unless somebody else has decided what it does."""
    is_ours = threading.current_thread() is threading.main_thread()
    if not is_ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _fail(message: str) -> int:
    tell(f"tagger: {message}")
    return 2


def _fail_usage(error: typer.BadParameter) -> int:
    message = error.format_message()
    if not message:  # there were no arguments at all, and the help has been shown
        return error.exit_code
    command = error.ctx.command_path if error.ctx else "tagger"
    return _fail(f"{' '.join(message.rstrip('.').splitlines())}; see {command} --help")


def _end_quietly() -> int:
    """Give what is still held for the closed pipe to nobody, or Python complains when it ends."""
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123, the null device is no path of the user's
        os.dup2(nowhere.fileno(), 1)
    return 0


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
