"""Features of a word's form: casing, affixes and shapes."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import groupby

CASINGS = ("padding", "other", "number", "has_digit", "lower", "upper", "title", "mixed")
AFFIXES = tuple(
    [slice(length) for length in (1, 2, 3)] + [slice(-length, None) for length in (1, 2, 3, 4)]
)  # the characters of each kind of affix: prefixes, then suffixes
SHAPES = 2  # a word's shapes: with and without repetition
NEIGHBOURS = (0, -2, -1, 1, 2)  # offsets of the tokens that the linear part reads
# The linear part's tables hold its weights divided by this factor. Under SGD, their learning rate is thus
# four times that of other weights: gradient and effect both double.
LINEAR_SCALE = 2.0
LONGEST_WORD = 64  # in characters; of a longer token, the first and the last 32 characters are used
DIGIT = re.compile(r"\d")


CASING_TESTS: dict[str, Callable[[str], object]] = {
    "lower": str.islower,
    "number": str.isnumeric,
    "has_digit": DIGIT.search,
    "upper": lambda token: len(token) > 1 and token.isupper(),
    "title": lambda token: token.istitle() or token.isupper(),
    "mixed": lambda token: any(map(str.isupper, token)),
    "other": lambda token: True,
}
"""The test of each casing; a token has the first one whose test is true."""
_CASING_TESTS = [(CASINGS.index(name), test) for name, test in CASING_TESTS.items()]


def casing_id(token: str) -> int:
    """Return the index of a token's casing in ``CASINGS``."""
    return next(number for number, test in _CASING_TESTS if test(token))


def affixes_of(token: str) -> list[str]:
    """Return a token's lower-cased affix of each kind in ``AFFIXES``, after the kind's index.

    Of a token shorter than the affix, the affix is the whole token.
    """
    form = token.lower()
    return [f"{kind}{form[part]}" for kind, part in enumerate(AFFIXES)]


def shapes_of(token: str) -> list[str]:
    """Return a token's shape, and its shape without repetition, each after its index.

    A shape has ``X`` for upper-case letters, ``x`` for other letters and ``0`` for digits.
    """
    shape = "".join(map(_character_shape, token[:LONGEST_WORD]))
    return ["0" + shape, "1" + "".join(character for character, _ in groupby(shape))]


@lru_cache(maxsize=4096)
def _character_shape(character: str) -> str:
    if character.isalpha():
        return "X" if character.isupper() else "x"
    return "0" if character.isdigit() else character
