"""The one exception that means: the input is wrong, not the program; and how text of an input is shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

# What moves a cursor or ends a line (Cc, Zl, Zp), turns the direction of the text after it (UAX 9),
# or is not allowed in XML (Cs, U+FFFE, U+FFFF).
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_TERMINAL_CONTROLS = re.compile(r"(?!\r\n)[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class InputError(ValueError):
    """Something that the user gave cannot be used.

    The message is one sentence that says what was wrong, where (``file:line`` if there is one) and what to
    do about it; the command line prints it as it is and exits with code 2.
    """


Refuse = Callable[[str], object]
"""Is told of a problem: ``refuse`` raises; one that returns has noted it, and the reader goes on after it."""


def refuse(message: str) -> NoReturn:
    """Raise InputError with this message: what readers do with a problem unless told otherwise."""
    raise InputError(message)


@dataclass(slots=True)
class Counted:
    """Hands problems on and counts them.

    Attributes:
        refuse: What is told of them.
        count: How many there were.
    """

    refuse: Refuse
    count: int = 0

    def __call__(self, message: str) -> None:
        """Count a problem and hand it on."""
        self.count += 1
        self.refuse(message)


def printable(text: str) -> str:
    """Replace control characters and those that turn the direction by U+FFFD, each by one.

    All that comes from files, models and arguments passes here before it is printed in tables and figures.
    """
    return _CONTROLS.sub("\ufffd", text)


def printable_lines(text: str) -> str:
    """Replace the control characters of running text, but for tabs and line ends, by U+FFFD."""
    return _TERMINAL_CONTROLS.sub("\ufffd", text)


def escape_line(text: str) -> str:
    r"""Write what is not printable as an escape such as ``\x1b``, so that a message is one line."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)
