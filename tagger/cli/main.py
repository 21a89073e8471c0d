"""Entry point of the program ``tagger``: signal handling, error messages and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Any

from tagger.signals import exit_code, signals_handled


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and print each invalid input as one line on standard error.

    Args:
        arguments: The arguments after the program name; by default those of the process.

    Returns:
        The exit code: 0 for success and for a closed output pipe; 1 if ``check`` reports a problem; 2 for an
        invalid input, option or output; 130 after SIGINT; 143 after SIGTERM.
    """
    with signals_handled(is_program=arguments is None):
        try:
            code = _run(arguments)
        except BaseException:
            if exit_code(0) == 0:
                raise
            code = 130  # the signal decides, whatever exception the interrupted code raised
    return exit_code(code)


def _run(arguments: Sequence[str] | None) -> int:
    _replace_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # escape characters that the locale cannot encode
            stream.reconfigure(errors="backslashreplace")
    # Imported here because signals are handled from this point on.
    from tagger.cli.app import Abort, UsageError, app
    from tagger.errors import InputError

    try:
        code = app(args=arguments, prog_name="tagger", standalone_mode=False)
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # click and rich exit on a closed pipe
            return _end_quietly()
        return end.code if isinstance(end.code, int) else 0
    except UsageError as error:
        return _fail_usage(error)
    except InputError as error:
        return _fail(str(error))
    except (KeyboardInterrupt, Abort):
        return 130
    except MemoryError:
        return _fail("not enough memory. Use smaller files or a smaller model.")
    except OSError as error:
        path = error.filename or "standard output"
        problem = error.strerror or error
        return _fail(f"{path}: cannot read or write ({problem}). Check the path and the free space.")
    return code if isinstance(code, int) else 0


def _replace_closed_streams() -> None:
    """Replace closed standard streams by the null device.

    Otherwise a file that is opened later would get the file descriptor of a standard stream. The replacement
    of standard output is read-only, so that writing to it is an error.
    """
    for name, descriptor, mode in (("stdout", 1, "r"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode)  # noqa: PTH123, SIM115, not a user path; stays open
            if stream.fileno() != descriptor:
                os.dup2(stream.fileno(), descriptor)
            setattr(sys, name, stream)


def _fail(message: str) -> int:
    """Print an error as one line, unless a signal caused it, and return exit code 2."""
    from tagger.cli.output import print_stderr

    if exit_code(0) == 0:
        print_stderr(f"tagger: {message}")
    return 2


def _fail_usage(error: Any) -> int:
    message = error.format_message()
    if not message:  # no arguments: click has printed the help
        return int(error.exit_code)
    message = message.replace(": Value error, ", ": ", 1)  # some versions of typer add the kind of error
    command = error.ctx.command_path if error.ctx else "tagger"
    return _fail(f"{' '.join(message.rstrip('.').splitlines())}; see {command} --help")


def _end_quietly() -> int:
    """Redirect buffered output to the null device; else Python reports the closed pipe on exit."""
    with open(os.devnull, "wb") as null:  # noqa: PTH123, not a user path
        os.dup2(null.fileno(), 1)
    return 0
