"""Build a config from a TOML file, ``key=value`` settings or Python arguments."""

from __future__ import annotations

import codecs
import difflib
import json
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tagger.config import Config, ModelConfig, option_names
from tagger.errors import InputError
from tagger.storage import read_input
from tagger.validation import first_problem

LARGEST_FILE = 1 << 20  # bytes of a TOML file
RENAMED = {"train.recased": "train.case_augmentation"}  # options of earlier versions


def load_config(
    path: Path | None,
    changes: Mapping[str, Any],
    *,
    defaults: Mapping[str, Any] | None = None,
    without: Collection[str] = (),
) -> Config:
    """Build the config from a TOML file and overrides.

    Args:
        path: TOML file with the sections ``data``, ``model`` and ``train``, or None for the defaults.
        changes: Overrides, dotted keys to values, for instance ``{"model.hidden_size": 100}``; strings are
            converted to the option's type.
        defaults: Replaces the defaults of options that neither the file nor the overrides set.
        without: Further tables of the file, which are not part of the config.

    Raises:
        InputError: The file cannot be read, a key is unknown (the message suggests the nearest name), a value
            is out of bounds or two options contradict each other.
    """
    values = read_toml(path) if path else {}
    for table in without:
        values.pop(table, None)
    for dotted in _dotted_keys(values):
        require_known(dotted, str(path))
    for dotted, value in changes.items():
        require_known(dotted, "settings")
        section, _, key = dotted.partition(".")
        values.setdefault(section, {})[key] = value
    for dotted, value in (defaults or {}).items():
        section, _, key = dotted.partition(".")
        values.setdefault(section, {}).setdefault(key, value)
    model, train = values.setdefault("model", {}), values.get("train", {})
    if isinstance(model, dict) and isinstance(train, dict) and train.get("lookahead") == "random":
        model.setdefault("context", "sentence")  # document context would reveal the next words
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        option, problem = first_problem(error, depth=2)
        raise InputError(
            f"{problem}. Correct or remove it.",
            code="option.value",
            where="settings" if option in changes or path is None else path,
            option=option,
        ) from None
    _require_coherent(config, str(path or "settings"))
    return config


def configure(
    config: Config | Mapping[str, Any] | str | Path | None,
    options: Mapping[str, Any],
    *,
    defaults: Mapping[str, Any] | None = None,
) -> Config:
    """Build the config of the Python API.

    Args:
        config: A ``Config``; a mapping with dotted (``"train.epochs"``), nested or plain keys; the path of a
            TOML file; or None for the defaults.
        options: Options that override the config, by their plain or dotted names.
        defaults: As in ``load_config``.

    Raises:
        TypeError: ``config`` has another type.
        InputError: As in ``load_config``.
    """
    changes = {_dotted_name(key): value for key, value in options.items()}
    if isinstance(config, Config):
        return load_config(None, _flatten(config.model_dump(exclude_unset=True)) | changes, defaults=defaults)
    if config is None or isinstance(config, str | Path):
        return load_config(None if config is None else Path(config), changes, defaults=defaults)
    if not isinstance(config, Mapping):
        raise TypeError(
            f"config must be a Config, a mapping or a path (got {type(config).__name__}). Pass options by "
            "name, such as epochs=10."
        )
    flat = {_dotted_name(key): value for key, value in _flatten(config).items()}
    return load_config(None, flat | changes, defaults=defaults)


def _flatten(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested sections as dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        is_section = key in Config.model_fields and isinstance(value, Mapping)
        flat |= {f"{key}.{name}": inner for name, inner in value.items()} if is_section else {key: value}
    return flat


def _dotted_name(name: str) -> str:
    """Return the dotted name of an option; ``scheme`` is that of the data, unknown names are unchanged."""
    return next((dotted for dotted in option_names() if dotted.partition(".")[2] == name), name)


def _require_coherent(config: Config, origin: str) -> None:
    """Check that no two options contradict each other.

    Raises:
        InputError: Two options contradict each other.
    """
    train = config.train
    if train.lookahead == "random" and config.model.has_document_context:
        raise InputError(
            "train.lookahead must be full if model.context is document (got random). Set model.context = "
            "sentence: later sentences are unknown with bounded lookahead.",
            code="option.conflict",
            where=origin,
            option="train.lookahead",
        )
    if train.lookahead == "random" and config.model.has_linear:
        raise InputError(
            "train.lookahead must be full if model.linear is true (got random). Set model.linear = false: "
            "the linear part reads the next two words.",
            code="option.conflict",
            where=origin,
            option="train.lookahead",
        )
    if config.model.encoder and (config.model.direction != "bidirectional" or train.lookahead == "random"):
        raise InputError(
            "model.encoder needs a bidirectional model and train.lookahead = full: a contextual encoder "
            "reads the next words too. Remove it, or the other option.",
            code="option.conflict",
            where=origin,
            option="model.encoder",
        )
    ends = (0, *train.warm_restarts, train.epochs)
    if train.warm_restarts and (train.schedule != "cosine" or sorted(set(ends)) != list(ends)):
        raise InputError(
            f"train.warm_restarts must be ascending epochs before the last one, under the cosine schedule "
            f"(got {', '.join(map(str, train.warm_restarts))} with {train.epochs} epochs and the schedule "
            f"{train.schedule}). Correct or remove it.",
            code="option.conflict",
            where=origin,
            option="train.warm_restarts",
        )


def reject_encoder(model: ModelConfig, what: str) -> None:
    """Check that a model has no contextual encoder.

    Args:
        model: The network's options.
        what: What needs such a model, at the beginning of the message.

    Raises:
        InputError: It has one.
    """
    if model.encoder:
        raise InputError(
            f"{what} without a contextual encoder, which reads the next words too. Train one without "
            "model.encoder.",
            code="option.conflict",
            option="model.encoder",
        )


def parse_setting(text: str) -> tuple[str, Any]:
    """Parse a ``key=value`` argument of ``--set``; a value that is not TOML is read as a string.

    Raises:
        InputError: The ``=`` or the key is missing.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise InputError(
            f"--set must be key=value, for instance model.hidden_size=100 (got {text!r}).",
            code="option.value",
            option="--set",
        )
    try:
        parsed = tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError):  # not TOML, or a number too long or nesting too deep for Python
        parsed = {}
    return key.strip(), parsed["value"] if len(parsed) == 1 else value.strip()


def format_config(config: Config) -> str:
    """Format the options that were set, not those with their defaults, as TOML; ``load_config`` reads it."""
    lines: list[str] = []
    for section, values in config.model_dump(exclude_unset=True).items():
        options = [f"{key} = {_format_value(value)}" for key, value in values.items() if value is not None]
        lines += [f"[{section}]", *options, ""] if options else []
    return "\n".join(lines)


def _format_value(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = (f"{_format_value(key)} = {_format_value(inner)}" for key, inner in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_format_value, value))}]"
    # Strings, numbers and booleans are written as in JSON, where DEL needs no escape.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        InputError: The file cannot be read or is malformed.
    """
    try:
        content = read_input(path, max_bytes=LARGEST_FILE).removeprefix(codecs.BOM_UTF8)
        return tomllib.loads(content.decode())
    except OSError as error:
        raise InputError(
            f"the config cannot be read ({error.strerror}). Check the path.",
            code="file.unreadable",
            where=path,
        ) from None
    except UnicodeDecodeError as error:
        before = content[: error.start].split(b"\n")
        raise InputError(
            f"byte {len(before[-1]) + 1} of the line (0x{content[error.start]:02x}) is not UTF-8. Convert "
            "the file to UTF-8, for instance with iconv.",
            code="corpus.encoding",
            where=f"{path}:{len(before)}",
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            f"not a valid TOML file ({error}). Correct the line.", code="config.format", where=path
        ) from None
    except (ValueError, RecursionError):  # Python limits the digits of a number and the nesting depth
        raise InputError(
            "a number is too long or a value is nested too deeply. Correct it.",
            code="config.format",
            where=path,
        ) from None


def _dotted_keys(values: Mapping[str, Any]) -> Iterator[str]:
    for section, content in values.items():
        if isinstance(content, dict) and content:
            yield from (f"{section}.{key}" for key in content)
        elif section not in Config.model_fields or not isinstance(content, dict):
            yield section


def require_known(dotted: str, origin: str) -> None:
    """Check that there is an option with this dotted name.

    Args:
        dotted: The name.
        origin: Where the name is, at the start of the message.

    Raises:
        InputError: There is none; the message suggests the nearest name.
    """
    known = option_names()
    if dotted in known:
        return
    by_key = {name.partition(".")[2]: name for name in known}
    nearest = (
        [RENAMED[dotted]]
        if dotted in RENAMED
        else difflib.get_close_matches(dotted, known, n=1)
        or [by_key[key] for key in difflib.get_close_matches(dotted.rpartition(".")[2], by_key, n=1)]
    )
    hint = f"did you mean {nearest[0]}?" if nearest else f"the options are {', '.join(known)}."
    raise InputError(
        f"there is no option {dotted!r}; {hint}", code="option.unknown", where=origin, option=dotted
    )
