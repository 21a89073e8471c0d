"""The one exception that means: the input is wrong, not the program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn


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
