"""Validate JSON values. Each function raises an error with the location of an invalid value."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from tagger.errors import InputError

_NO_LABEL = re.compile(r"[\t\r\n\v\f\x1c-\x1e\x85\u2028\u2029]")
_ROUNDING = 1e-3  # tolerance at 0 and 1 for probabilities in single precision

T = TypeVar("T")


def join_names(names: Iterable[str], most: int = 10) -> str:
    """Join the first names of a file for a message, with unprintable characters escaped."""
    shown = [name if name.isprintable() else ascii(name) for name in names]
    return ", ".join(shown[:most] + ["…"] * (len(shown) > most)) or "none"


def string(value: object, name: str, where: str) -> str:
    """Check that a value is a string without lone surrogates, and return it.

    Args:
        value: The value.
        name: Its name, for the error message.
        where: ``file:line``, for the error message.

    Raises:
        InputError: If it is missing, not a string, or contains half of a surrogate pair.
    """
    if value is None:
        raise InputError(
            f"there is no {name}. Add one, or choose another format.", code="corpus.record", where=where
        )
    if not isinstance(value, str):
        raise InputError(
            f"the {name} must be a string (got {value!r:.60}). Correct it.", code="corpus.record", where=where
        )
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"character {error.start} of the {name} is half of a surrogate pair "
            f"(\\u{ord(value[error.start]):x}). Write the whole character.",
            code="corpus.encoding",
            where=where,
        ) from None
    return value


def label(value: object, where: str) -> str:
    """Check that a span's label is valid in a tag, and return it. It may contain spaces.

    Raises:
        InputError: If it is not a string, empty, has white space at an end, or contains a tab or line break.
    """
    if not isinstance(value, str) or not value or value.strip() != value or _NO_LABEL.search(value):
        raise InputError(
            "the label must be a string without tabs, line breaks or white space at its ends (got "
            f"{value!r:.60}). Rename it.",
            code="corpus.record",
            where=where,
        )
    return string(value, "label", where)


def mapping(value: object, name: str, where: str) -> dict[str, object]:
    """Return a mapping without None values.

    Raises:
        InputError: If the value is not a mapping, or a key is not a string.
    """
    if not isinstance(value, Mapping):
        raise InputError(
            f"the {name} must be an object, {{…}} (got {value!r:.60}). Correct it.",
            code="corpus.record",
            where=where,
        )
    return {string(key, f"key of the {name}", where): one for key, one in value.items() if one is not None}


def sequence(value: object, name: str, where: str) -> Sequence[object]:
    """Check that a value is a sequence other than a string, and return it.

    Raises:
        InputError: If it is not.
    """
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise InputError(
            f"the {name} must be a list (got {value!r:.60}). Correct it.", code="corpus.record", where=where
        )
    return value


def each(
    values: object, count: int, read: Callable[[object, str, str], T], name: str, where: str
) -> tuple[T, ...]:
    """Read one value per token of a sentence.

    Args:
        values: A sequence.
        count: The number of tokens.
        read: A function of this module.
        name: The name of each value, for the error message.
        where: ``file:line``, for the error message.

    Raises:
        InputError: If the number of values is not ``count``, or a value is invalid.
    """
    items = sequence(values, f"list of each token's {name}", where)
    if len(items) != count:
        raise InputError(
            f"there must be one {name} per token (got {len(items)} for {count} tokens). Correct it.",
            code="corpus.record",
            where=where,
        )
    return tuple(read(value, name, where) for value in items)


def integer(value: object, name: str, where: str) -> int:
    """Check that a value is an integer, and return it.

    Raises:
        InputError: If it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(
            f"the {name} must be an integer (got {value!r:.60}). Correct it.",
            code="corpus.record",
            where=where,
        )
    return value


def boolean(value: object, name: str, where: str) -> bool:
    """Check that a value is true or false, and return it.

    Raises:
        InputError: If it is not.
    """
    if not isinstance(value, bool):
        raise InputError(
            f"the {name} must be true or false (got {value!r:.60}). Correct it.",
            code="corpus.record",
            where=where,
        )
    return value


def probability(value: object, name: str, where: str) -> float:
    """Check that a number is in [0, 1], up to rounding, and return it.

    Raises:
        InputError: If it is not.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not -_ROUNDING <= value <= 1 + _ROUNDING:  # type: ignore[operator]
        raise InputError(
            f"the {name} must be from 0 to 1 or absent (got {value!r:.60}). Correct it.",
            code="corpus.record",
            where=where,
        )
    return float(value)  # type: ignore[arg-type]
