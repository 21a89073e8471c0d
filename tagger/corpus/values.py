"""Values that JSON holds, checked: what is wrong with one is said in a sentence with its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from tagger.errors import InputError

_NO_LABEL = re.compile(r"[\t\r\n\v\f\x1c-\x1e\x85\u2028\u2029]")
_ROUNDING = 1e-3  # what a probability of single precision may miss 0 and 1 by

T = TypeVar("T")


def listed(names: Iterable[str], most: int = 10) -> str:
    """Return the first of a file's names as a list for a message, escaped where they are not printable."""
    shown = [name if name.isprintable() else ascii(name) for name in names]
    return ", ".join(shown[:most] + ["…"] * (len(shown) > most)) or "none"


def string(value: object, name: str, where: str) -> str:
    """Return a value after checking that it is a string of whole characters.

    Args:
        value: The value.
        name: What it is, for the error message.
        where: ``file:line``, for the error message.

    Raises:
        InputError: If it is missing, no string, or holds half of a surrogate pair.
    """
    if value is None:
        raise InputError(f"{where}: there is no {name}; give one, or say another format.")
    if not isinstance(value, str):
        raise InputError(f"{where}: the {name} is {value!r:.60}; give a string.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{where}: character {error.start} of the {name} is half of a surrogate pair "
            f"(\\u{ord(value[error.start]):x}); write the whole character."
        ) from None
    return value


def label(value: object, where: str) -> str:
    """Return a span's label after checking that a tag can hold it; spaces inside it are allowed.

    Raises:
        InputError: If it is no string, empty, has white space at an end, or holds a tab or line break.
    """
    if not isinstance(value, str) or not value or value.strip() != value or _NO_LABEL.search(value):
        raise InputError(
            f"{where}: the label must be a string without tabs, line breaks or white space at its ends (got "
            f"{value!r:.60}); rename it."
        )
    return string(value, "label", where)


def mapping(value: object, name: str, where: str) -> dict[str, object]:
    """Return what a mapping holds, without the values that are None.

    Raises:
        InputError: If it is none, or a key is no string.
    """
    if not isinstance(value, Mapping):
        raise InputError(f"{where}: the {name} is {value!r:.60}; give an object, {{…}}.")
    return {string(key, f"key of the {name}", where): one for key, one in value.items() if one is not None}


def sequence(value: object, name: str, where: str) -> Sequence[object]:
    """Return a value after checking that it is a sequence, and no string.

    Raises:
        InputError: If it is none.
    """
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise InputError(f"{where}: the {name} is {value!r:.60}; give a list.")
    return value


def each(
    values: object, count: int, read: Callable[[object, str, str], T], name: str, where: str
) -> tuple[T, ...]:
    """Read what a sentence has for each of its tokens.

    Args:
        values: A sequence.
        count: How many tokens there are.
        read: A function of this module.
        name: What each value is, for the error message.
        where: ``file:line``, for the error message.

    Raises:
        InputError: If there are more or fewer values, or one is wrong.
    """
    found = sequence(values, f"list of each token's {name}", where)
    if len(found) != count:
        raise InputError(
            f"{where}: there are {count} tokens but {len(found)} times a {name}; give one a token."
        )
    return tuple(read(value, name, where) for value in found)


def integer(value: object, name: str, where: str) -> int:
    """Return a value after checking that it is a whole number.

    Raises:
        InputError: If it is none.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"{where}: the {name} is {value!r:.60}; give a whole number.")
    return value


def boolean(value: object, name: str, where: str) -> bool:
    """Return a value after checking that it is true or false.

    Raises:
        InputError: If it is neither.
    """
    if not isinstance(value, bool):
        raise InputError(f"{where}: the {name} is {value!r:.60}; give true or false.")
    return value


def probability(value: object, name: str, where: str) -> float:
    """Return a number after checking that it lies in [0, 1], but for rounding.

    Raises:
        InputError: If it does not.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not -_ROUNDING <= value <= 1 + _ROUNDING:  # type: ignore[operator]
        raise InputError(f"{where}: the {name} is {value!r:.60}; give a number from 0 to 1, or none.")
    return float(value)  # type: ignore[arg-type]
