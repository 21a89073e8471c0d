"""What the fuzzers make of their bytes, and the only way in which an input may be turned down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from tagger.errors import InputError

T = TypeVar("T")


class Choices:
    """Reads an input as a series of choices; one that is used up always chooses the first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def __bool__(self) -> bool:
        """Whether anything is left."""
        return self._place < len(self._data)

    def number(self, below: int) -> int:
        """Choose a number, by one byte if it is small enough for that, else by three."""
        return int.from_bytes(self.take(1 if below <= 256 else 3), "big") % below

    def pick(self, options: Sequence[T]) -> T:
        """Choose one of the options."""
        return options[self.number(len(options))]

    def take(self, count: int) -> bytes:
        """The next bytes as they are, at most so many."""
        start, self._place = self._place, self._place + count
        return self._data[start : self._place]


def as_text(data: bytes) -> str:
    """Any bytes as a text: lone surrogates stay, and what is no UTF-8 at all becomes some."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "surrogateescape")


def attempt(function: Callable[..., T], *arguments: object, **options: object) -> T | None:
    """Return what the function returns, None if it refuses its input.

    Any other exception than InputError goes on to the fuzzer, and so does a refusal that is no single line.
    """
    try:
        return function(*arguments, **options)
    except InputError as error:
        message = str(error)
    assert len(message.splitlines()) == 1, f"expected a refusal of one line, got {message!r}"
    return None
