"""Bounded reading of the files in a model folder, which can be damaged or untrusted."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from numpy.typing import NDArray

from tagger.errors import InputError
from tagger.storage import open_input, read_input

LARGEST_FILE = 1 << 24  # maximum bytes of config.json, metrics.json and README.md
# Limits of vocab.json per tensor row: words have 10 bytes on average, and rarely a comma.
MAX_BYTES_PER_ROW = 256
MAX_COMMAS_PER_ROW, MAX_OTHER_COMMAS = 4, 1 << 18
# Limit of config.json and vocab.json, because pydantic collects an error for each invalid value.
MAX_KEYS = 10_000
# Limits of metrics.json, whose values are not validated, so that it can be printed and written again.
MAX_DIGITS, MAX_DEPTH = 18, 40


def read_stored(path: Path, *, max_bytes: int = LARGEST_FILE) -> bytes:
    """Read a file of a model folder. Follow links, since model caches use them.

    Args:
        path: The file.
        max_bytes: Maximum size.

    Raises:
        InputError: The file is missing or longer, or it is a pipe or device, which could be endless.
    """
    try:
        return read_input(path, max_bytes=max_bytes, is_stored=True)
    except OSError as error:
        raise _unreadable(path, error) from None


def require_stored(path: Path) -> None:
    """Check that ``read_stored`` can read a file, apart from its size.

    Raises:
        InputError: The file is missing or not a regular file.
    """
    try:
        open_input(path, is_stored=True).close()
    except OSError as error:
        raise _unreadable(path, error) from None


def parse_object(path: Path, content: bytes, *, max_digits: int = 0, max_keys: int = 0) -> dict[str, Any]:
    """Parse a JSON object with unique keys and finite numbers.

    Args:
        path: The path of the file, for errors.
        content: The JSON text.
        max_digits: Maximum digits of an integer; 0 for no limit.
        max_keys: Maximum keys of an object; 0 for no limit.

    Raises:
        InputError: The content is not such an object.
    """

    def read_float(text: str) -> float:
        if not math.isfinite(value := float(text)):
            raise damaged(path, f"the number {_short(text)} is too large")
        return value

    def read_int(text: str) -> int:
        value = int(text)  # Python itself raises for thousands of digits
        if max_digits and len(text) > max_digits:
            raise damaged(path, f"the number {_short(text)} is too large")
        return value

    def read_object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        if max_keys and len(pairs) > max_keys:
            raise damaged(path, f"an object must have at most {max_keys:,} keys (got {len(pairs):,})")
        return _unique_keys(pairs)

    try:
        values = json.loads(
            content,
            object_pairs_hook=read_object,
            parse_constant=_reject_constant,
            parse_float=read_float,
            parse_int=read_int,
        )
    except InputError:
        raise
    except (ValueError, RecursionError):  # RecursionError for deeply nested brackets
        raise damaged(path, "not valid JSON") from None
    if not isinstance(values, dict):
        raise damaged(path, "must be a JSON object")
    return values


def parse_vocabulary(path: Path, tensors: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Parse vocab.json; a file with many more entries than tensor rows is an error before parsing.

    Parsed JSON takes twenty times the memory of its text.

    Raises:
        InputError: The file is damaged.
    """
    rows = sum(len(tensor) for tensor in tensors.values() if tensor.ndim and tensor.size)
    content = read_stored(path, max_bytes=LARGEST_FILE + MAX_BYTES_PER_ROW * rows)
    if content.count(b",") > MAX_OTHER_COMMAS + MAX_COMMAS_PER_ROW * rows:
        raise damaged(path, f"the file has many more entries than the {rows:,} rows of all tensors")
    return parse_object(path, content, max_keys=MAX_KEYS)


def parse_metrics(path: Path) -> dict[str, Any]:
    """Parse metrics.json, whose values are not validated.

    Raises:
        InputError: The file is damaged.
    """
    metrics = parse_object(path, read_stored(path), max_digits=MAX_DIGITS)
    if not _is_shallow(metrics, MAX_DEPTH):
        raise damaged(path, f"values must be nested at most {MAX_DEPTH} deep")
    return metrics


def _is_shallow(values: Any, depth: int) -> bool:
    inner = values.values() if isinstance(values, dict) else values if isinstance(values, list) else ()
    return depth > 0 and all(_is_shallow(value, depth - 1) for value in inner)


def damaged(path: Path, reason: str) -> InputError:
    """Return the error for a file with invalid content."""
    return InputError(
        f"{reason}. The file is damaged: copy or train the model again.", code="bundle.damaged", where=path
    )


def _unreadable(path: Path, error: OSError) -> InputError:
    is_folder = os.path.isdir(path.parent)  # noqa: PTH112, Path.is_dir raises for too long names
    return InputError(
        f"cannot be read ({error.strerror}). Pass the folder that `tagger train --output` wrote.",
        code="bundle.damaged" if is_folder else "bundle.missing",
        where=path,
    )


def _short(number: str) -> str:
    return number if len(number) <= 24 else f"{number[:20]}..."


def _unique_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a key is repeated")
    return values


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not valid JSON")
