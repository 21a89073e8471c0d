"""The program ``tagger``: signals, and what becomes of errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Any

from tagger.signals import exit_code, signals_handled


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; an unusable input is one line on standard error.

    Args:
        arguments: The words after the program's name; those of the process when not said.

    Returns:
        The exit code: 0, also when the reader of the output went away; 1 if ``check`` found a problem; 2 for
        an input, option or output that cannot be used; 130 when ended by SIGINT, 143 by SIGTERM.
    """
    with signals_handled(is_program=arguments is None):
        try:
            code = _run(arguments)
        except BaseException:
            if exit_code(0) == 0:
                raise
            code = 130  # whatever the code that was interrupted made of it
    return exit_code(code)


def _run(arguments: Sequence[str] | None) -> int:
    _replace_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # what the locale cannot hold is no reason to stop
            stream.reconfigure(errors="backslashreplace")
    # Here, when signals are handled.
    from tagger.cli.app import Abort, UsageError, app
    from tagger.errors import InputError

    try:
        code = app(args=arguments, prog_name="tagger", standalone_mode=False)
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # click and rich end the program there
            return _end_quietly()
        return end.code if isinstance(end.code, int) else 0
    except UsageError as error:
        return _fail_usage(error)
    except InputError as error:
        return _fail(str(error))
    except (KeyboardInterrupt, Abort):
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


def _fail(message: str) -> int:
    """Say what is wrong in one line, unless a signal is the reason."""
    from tagger.cli.output import tell

    if exit_code(0) == 0:
        tell(f"tagger: {message}")
    return 2


def _fail_usage(error: Any) -> int:
    message = error.format_message()
    if not message:  # there were no arguments at all, and the help has been shown
        return int(error.exit_code)
    command = error.ctx.command_path if error.ctx else "tagger"
    return _fail(f"{' '.join(message.rstrip('.').splitlines())}; see {command} --help")


def _end_quietly() -> int:
    """Give what is still held for the closed pipe to nobody, or Python complains when it ends."""
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123, the null device is no path of the user's
        os.dup2(nowhere.fileno(), 1)
    return 0
