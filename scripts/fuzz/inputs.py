"""Decoding of fuzzer inputs, and the check that rejected inputs raise a proper ``InputError``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from tagger.errors import InputError

T = TypeVar("T")


class Choices:
    """Reads an input as a series of choices; an exhausted input always chooses the first option."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def __bool__(self) -> bool:
        """Return True if bytes are left."""
        return self._position < len(self._data)

    def number(self, below: int) -> int:
        """Choose a number less than ``below``, from one byte if that suffices, else from three."""
        return int.from_bytes(self.take(1 if below <= 256 else 3), "big") % below

    def pick(self, options: Sequence[T]) -> T:
        """Choose one of the options."""
        return options[self.number(len(options))]

    def take(self, count: int) -> bytes:
        """Return the next bytes, at most ``count``."""
        start, self._position = self._position, self._position + count
        return self._data[start : self._position]


def as_text(data: bytes) -> str:
    """Decode any bytes as text: lone surrogates are kept, and invalid UTF-8 becomes lone surrogates."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "surrogateescape")


def attempt(function: Callable[..., T], *arguments: object, **options: object) -> T | None:
    """Call a function; return None if it raises ``InputError``.

    Any other exception reaches the fuzzer, and so does an error message that is not a single line.
    """
    try:
        return function(*arguments, **options)
    except InputError as error:
        message = str(error)
    assert len(message.splitlines()) == 1, f"the error message must be one line (got {message!r})"
    return None
