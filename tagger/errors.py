"""``InputError``, the exception for invalid user input, and escaping of untrusted text for display."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, NoReturn

# Characters that move the cursor or end a line (Cc, Zl, Zp), change the text direction (UAX 9),
# or are not allowed in XML (Cs, U+FFFE, U+FFFF).
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_LOCATION = re.compile(r"(.*?):([0-9]+)(?:: .*)?", re.DOTALL)
_TERMINAL_CONTROLS = re.compile(r"(?!\r\n)[\x00-\x08\x0b-\x1f\x7f-\x9f]")


Code = Literal[
    "argument.type",  # an argument of a Python function has a wrong type
    "argument.value",  # an argument of a Python function is out of bounds or contradicts another argument
    "bundle.damaged",  # a file of a model folder cannot be used
    "bundle.missing",  # no model has this name or path
    "bundle.output",  # a model folder cannot be written
    "bundle.version",  # a model folder was written by a newer version
    "config.format",  # a TOML file is malformed
    "corpus.columns",  # columns or features cannot be assigned, or a line has the wrong number of columns
    "corpus.empty",  # a file or split has no sentences, or no tags of a task
    "corpus.encoding",  # bytes or characters are not valid UTF-8
    "corpus.format",  # the format is unknown, or the file is in another format
    "corpus.labels",  # labels are missing, unknown to the model or not in train
    "corpus.offsets",  # offsets and text do not match
    "corpus.output",  # sentences cannot be written in this format
    "corpus.record",  # a record or line is malformed
    "corpus.scheme",  # tags do not follow a tag scheme
    "corpus.task",  # a file or model does not have the requested task
    "file.kind",  # a path is a folder, link or device instead of a regular file, or the reverse
    "file.missing",  # there is no such file
    "file.unreadable",  # a file cannot be read
    "file.unwritable",  # a file or folder cannot be written
    "input.size",  # a text, sentence or request is too large
    "option.conflict",  # two options exclude each other, or one requires another
    "option.type",  # an option has a value of the wrong type
    "option.unknown",  # there is no such option or choice
    "option.value",  # an option's value is invalid or out of bounds
    "package.missing",  # an optional package is not installed
    "run.damaged",  # a checkpoint or result file of a run cannot be used
    "run.exists",  # a run, a result or another process is already in the folder
    "run.failed",  # a run or worker process ended early
    "run.mismatch",  # a run cannot be resumed with other data or options
    "vectors.format",  # a file of word vectors is malformed
]


class InputError(ValueError):
    """Invalid user input: a file, option or value.

    The text of the error states where the problem is, what is wrong and what to do. The command line escapes
    its control characters, prints it and exits with code 2.

    Args:
        message: What is wrong and what to do.
        code: The kind of the error. Stable, unlike the message.
        where: The location, at the start of the error's text: ``file``, ``file:line`` (optionally with a
            position in the line, ``file:line: text 2``) or an argument.
        option: The option to correct, for instance ``--columns`` or ``train.epochs``.
    """

    def __init__(self, message: str, *, code: Code, where: object = "", option: str = "") -> None:
        super().__init__(f"{where}: {message}" if str(where) else message)
        self.message = message
        self.code = code
        self.where = str(where)
        self.option = option

    @property
    def line(self) -> int | None:
        """The line number in ``where``, from 1, or None."""
        match = _LOCATION.fullmatch(self.where)
        return int(match[2]) if match else None

    @property
    def file(self) -> str:
        """``where`` without the line number and anything after it."""
        match = _LOCATION.fullmatch(self.where)
        return match[1] if match else self.where

    def __reduce__(self) -> tuple[partial[InputError], tuple[str]]:
        """Return what pickle needs to rebuild the error in another process."""
        rebuild = partial(InputError, code=self.code, where=self.where, option=self.option)
        return rebuild, (self.message,)


OnError = Callable[[InputError], object]
"""Error handler of the corpus readers. If it returns instead of raising, the reader continues."""


Warn = Callable[[str], object]
"""Warning handler of the corpus readers. A warning is ``file:line: message`` or ``file: message``."""


def ignore(_: object) -> None:
    """Ignore an error or a warning."""


def raise_error(error: InputError) -> NoReturn:
    """Raise an error; the readers' default error handler."""
    raise error


@dataclass(slots=True)
class Counted:
    """Error handler that counts errors and passes them to another handler.

    Attributes:
        on_error: The other error handler.
        count: The number of errors so far.
    """

    on_error: OnError
    count: int = 0

    def __call__(self, error: InputError) -> None:
        """Count an error and pass it on."""
        self.count += 1
        self.on_error(error)


def printable(text: str) -> str:
    """Replace each control character and each character that changes the text direction by U+FFFD.

    Tables and figures apply it to all text from files, models and arguments.
    """
    return _CONTROLS.sub("\ufffd", text)


def printable_lines(text: str) -> str:
    """Replace the control characters of a text, except tabs and line ends, by U+FFFD."""
    return _TERMINAL_CONTROLS.sub("\ufffd", text)


def escape_line(text: str) -> str:
    r"""Escape non-printable characters as ``\x1b`` etc., so that a message stays on one line."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
