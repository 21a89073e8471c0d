"""The files of a model's folder, read with bounds: the folder may be damaged, or come from anybody."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from tagger.errors import InputError
from tagger.storage import open_input, read_input

LARGEST_FILE = 1 << 24  # bytes of config.json, metrics.json, README.md


def read_stored(path: Path, *, most: int = LARGEST_FILE) -> bytes:
    """Read a file of a model; links are followed, as caches of models use them.

    Args:
        path: The file.
        most: Bytes at most.

    Raises:
        InputError: There is no such file, it is longer, or it is a pipe or device, whose data may never end.
    """
    try:
        return read_input(path, most=most, is_stored=True)
    except OSError as error:
        raise _unreadable(path, error) from None


def require_stored(path: Path) -> None:
    """Refuse what ``read_stored`` would refuse, whatever its length.

    Raises:
        InputError: There is no such file, or it is another thing than a file.
    """
    try:
        open_input(path, is_stored=True).close()
    except OSError as error:
        raise _unreadable(path, error) from None


def parse_object(path: Path, content: bytes, *, most_digits: int = 0) -> dict[str, Any]:
    """Parse a JSON object of finite numbers and keys that are all different.

    Args:
        path: Where it is from, for errors.
        content: The JSON.
        most_digits: Digits of an integer at most; 0 for any number of them.

    Raises:
        InputError: It is none.
    """

    def read_float(text: str) -> float:
        if not math.isfinite(value := float(text)):
            raise damaged(path, f"the number {_short(text)} is too large")
        return value

    def read_int(text: str) -> int:
        value = int(text)  # Python itself refuses thousands of digits
        if most_digits and len(text) > most_digits:
            raise damaged(path, f"the number {_short(text)} is too large")
        return value

    try:
        values = json.loads(
            content,
            object_pairs_hook=_without_repetition,
            parse_constant=_refuse_constant,
            parse_float=read_float,
            parse_int=read_int,
        )
    except InputError:
        raise
    except (ValueError, RecursionError):  # the second for brackets in thousands
        raise damaged(path, "not valid JSON") from None
    if not isinstance(values, dict):
        raise damaged(path, "expected a JSON object")
    return values


def damaged(path: Path, reason: str) -> InputError:
    """The error of a file whose content is none of this program."""
    return InputError(f"{path}: {reason}; the file is damaged, copy or train the model again.")


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"{path}: cannot be read ({error.strerror}); give the folder that `tagger train --output` wrote."
    )


def _short(number: str) -> str:
    return number if len(number) <= 24 else f"{number[:20]}..."


def _without_repetition(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a key is there twice")
    return values


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
