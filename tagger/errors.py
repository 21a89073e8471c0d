"""``InputError``, the exception for invalid user input, and escaping of untrusted text for display."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

# Characters that move the cursor or end a line (Cc, Zl, Zp), change the text direction (UAX 9),
# or are not allowed in XML (Cs, U+FFFE, U+FFFF).
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_TERMINAL_CONTROLS = re.compile(r"(?!\r\n)[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class InputError(ValueError):
    """Invalid user input: a file, option or value.

    The message states where the problem is (``file:line`` if available), what is wrong and what to do. The
    command line escapes its control characters, prints it and exits with code 2.
    """


Refuse = Callable[[str], object]
"""Error handler of the corpus readers. If it returns instead of raising, the reader continues."""


def refuse(message: str) -> NoReturn:
    """Raise InputError with this message; the readers' default error handler."""
    raise InputError(message)


@dataclass(slots=True)
class Counted:
    """Error handler that counts problems and passes them to another handler.

    Attributes:
        refuse: The other error handler.
        count: The number of problems so far.
    """

    refuse: Refuse
    count: int = 0

    def __call__(self, message: str) -> None:
        """Count a problem and pass it on."""
        self.count += 1
        self.refuse(message)


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
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)
