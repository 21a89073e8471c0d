"""The space of a search: the options that vary, each with its choices or its range."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagger.config import Config, ModelConfig, TrainConfig
from tagger.config_loading import configure, read_toml, require_known
from tagger.errors import InputError

TABLE = "search"  # table of the config file
_KEYS = {"low", "high", "log"}
# Options whose choice would not be a choice between models: one of several seeds is luck, the data are given.
_FIXED = ("train.seed", "train.partial", "train.threads", "train.checkpoint_minutes", "train.tensorboard")

Choice = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Choices:
    """An option with a few possible values."""

    values: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """A numeric option between two bounds.

    Attributes:
        low: The lowest value; an integer for options that are integers.
        high: The highest value.
        is_log: True to sample the logarithm uniformly.
        is_integer: True if the option is an integer.
    """

    low: float
    high: float
    is_log: bool
    is_integer: bool


Space = Mapping[str, Choices | Range]
"""What a search varies, by dotted option name."""


def read_space(path: Path, config: Config) -> Space:
    """Read the space of a search from the table ``[search]`` of a config file.

    Its keys are option names, as for ``--set``. A list names choices, ``{low = 50, high = 400, log = true}``
    is a range.

    Args:
        path: TOML file.
        config: The options that the search does not vary.

    Raises:
        InputError: The table is missing, a key is unknown or cannot be searched, or a value is invalid for
            its option.
    """
    table = read_toml(path).get(TABLE)
    if not isinstance(table, dict) or not table:
        raise InputError(
            "the file needs a table [search] with at least one option, for instance "
            "model.hidden_size = [100, 200]. Add it.",
            code="config.format",
            where=path,
        )
    space = {}
    for name, value in _options(table):
        require_known(name, f"{path}: [{TABLE}]")
        try:
            space[name] = _read_option(name, value)
            _require_valid(name, space[name], config)
        except InputError as error:
            raise InputError(error.message, code=error.code, where=path, option=name) from None
    return space


def _options(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield dotted names and values; ``model.layers`` is a nested table unless it is in quotes."""
    for key, value in table.items():
        if key in Config.model_fields and isinstance(value, dict):
            yield from ((f"{key}.{name}", inner) for name, inner in value.items())
        else:
            yield key, value


def _read_option(name: str, value: Any) -> Choices | Range:
    if name in _FIXED or name.startswith("data."):
        raise InputError(
            f"search.{name} cannot be searched: it does not distinguish models. Remove it from [search].",
            code="option.conflict",
        )
    if isinstance(value, dict):
        return _read_range(name, value)
    if not isinstance(value, list) or len(set(map(repr, value))) < max(2, len(value)):
        raise InputError(
            f"search.{name} must be a list of two or more different values, or a range such as "
            f"{{low = 50, high = 400, log = true}} (got {value!r}). Correct it.",
            code="option.value",
        )
    invalid = next((one for one in value if not isinstance(one, Choice)), None)
    if invalid is not None:
        raise InputError(
            f"search.{name} must list strings, numbers, true or false (got {invalid!r}). Write lists and "
            'tables as for --set, for instance "2,3,4".',
            code="option.value",
        )
    return Choices(tuple(value))


def _read_range(name: str, value: Mapping[str, Any]) -> Range:
    section, _, key = name.partition(".")
    kind = (ModelConfig if section == "model" else TrainConfig).model_fields[key].annotation
    if kind not in (int, float):
        raise InputError(
            f"search.{name} must be a list of choices: the option is not a number. Replace the range.",
            code="option.type",
        )
    low: Any = value.get("low")
    high: Any = value.get("high")
    is_log, numbers = value.get("log", False), int if kind is int else int | float
    is_valid = (
        value.keys() <= _KEYS
        and all(isinstance(one, numbers) and not isinstance(one, bool) for one in (low, high))
        and isinstance(is_log, bool)
    )
    if not is_valid or low >= high or (is_log and low <= 0):
        raise InputError(
            f"search.{name} must have low and high, with low < high, as "
            f"{'integers' if kind is int else 'numbers'}, and optionally log = true, with low > 0 (got "
            f"{dict(value)!r}). Correct it.",
            code="option.value",
        )
    return Range(low, high, is_log, is_integer=kind is int)


def _require_valid(name: str, option: Choices | Range, config: Config) -> None:
    """Check each choice, or both bounds, as values of the option.

    Raises:
        InputError: A value is invalid.
    """
    values = option.values if isinstance(option, Choices) else (option.low, option.high)
    for value in values:
        try:
            configure(config, {name: value})
        except InputError as error:
            if error.code != "option.conflict":  # another option of the space may resolve the conflict
                raise
