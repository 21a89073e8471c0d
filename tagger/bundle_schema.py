"""The values in a bundle's files: the schema of ``config.json``, and migrations from earlier formats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StrictBool, StrictInt, StrictStr, model_validator

from tagger.config import Config, Section
from tagger.config_loading import RENAMED
from tagger.decoding.temperature import HIGHEST, LOWEST
from tagger.errors import InputError
from tagger.text.tokenizer import Tokenizer

FORMAT: Literal["tagger"] = "tagger"
FORMAT_VERSION = 4
CONFIG, VOCABULARY, METRICS, TENSORS = "config.json", "vocab.json", "metrics.json", "model.safetensors"
FROZEN, EARLIER_FROZEN = "words.frozen", "words.fixed"  # tensor of the frozen vectors, up to version 3

Files = dict[str, dict[str, Any]]
"""The values of each file by its name; for ``model.safetensors`` the tensors."""


def _require_tokenizer(settings: dict[str, Any]) -> dict[str, Any]:
    known = Tokenizer().settings()
    for name, value in settings.items():
        if type(value) is not type(known.get(name)):
            raise ValueError(f"must be settings of the tokenizer, but {name!r}: {value!r} is not one")
    try:
        Tokenizer(**settings)
    except InputError as error:
        raise ValueError(f"must be settings of the tokenizer: {error}") from None
    return settings


class EncoderInfo(Section):
    """The contextual encoder that a model was trained with.

    Attributes:
        identity: Digest of its files (see ``features.contextual.ContextualEncoder``).
        n_layers: L, the number of states per token.
        size: D, the size of a state.
    """

    identity: str
    n_layers: int = Field(ge=1, le=1000)
    size: int = Field(ge=1, le=100_000)


class Header(Config):
    """The content of ``config.json``: the options of the training run, and the other values of a bundle.

    Attributes:
        identity: Digest of the content, equal in three files; None if the bundle has none.
        tokenizer: Settings of the tokenizer, learnt from the train split.
        temperatures: Temperature by task (see ``bundle.Bundle``).
        is_shrunk: True for a shrunk model.
        encoder: The contextual encoder; None without.
    """

    format: Literal["tagger"] = FORMAT
    format_version: int = FORMAT_VERSION
    identity: str | None = None
    tokenizer: Annotated[
        dict[str, StrictBool | StrictInt | StrictStr], AfterValidator(_require_tokenizer)
    ] = Field(default_factory=dict)
    temperatures: dict[str, Annotated[float, Field(ge=LOWEST, le=HIGHEST)]] = Field(default_factory=dict)
    is_shrunk: bool = False
    encoder: EncoderInfo | None = None

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Header:
        """Build a header from JSON values, which must have the exact types.

        Raises:
            ValidationError: A value is missing, unknown or invalid.
        """
        return cls.model_validate(values, strict=True)

    @model_validator(mode="after")
    def _require_known_tasks(self) -> Header:
        for task in self.temperatures:
            if task not in self.data.tasks:
                raise ValueError(f"temperatures must be those of the tasks {self.data.tasks} (got {task!r})")
        if (self.model.encoder is None) != (self.encoder is None):
            raise ValueError("encoder must be given if and only if model.encoder is")
        return self


def migrate(files: Files, version: int) -> None:
    """Convert the values of an earlier format version to the current one, in place."""
    for number in range(version, FORMAT_VERSION):
        MIGRATIONS[number](files)


def _add_document_context(files: Files) -> None:
    """Version 2 has document context, and filters of several widths."""
    if isinstance(model := files[CONFIG].get("model"), dict):
        model.setdefault("context", "sentence")
    for kind in ("weight", "bias"):
        _rename(files[TENSORS], f"words.characters.filters.{kind}", f"words.characters.filters.0.{kind}")


def _add_shrunk_models(files: Files) -> None:
    """Version 3 is for shrunk models only; other models kept version 2."""
    files[CONFIG].setdefault("is_shrunk", False)


def _rename_entries(files: Files) -> None:
    """Version 4 is for all models and has an entry for shrunk ones; entries and tensors have other names."""
    files[CONFIG].setdefault("is_shrunk", True)
    for old, new in RENAMED.items():
        (section, old_key), new_key = old.split("."), new.partition(".")[2]
        _rename(files[CONFIG].get(section), old_key, new_key)
    _rename(files[VOCABULARY], "fixed_words", "frozen_words")
    _rename(files[VOCABULARY], "frequent", "n_frequent")
    _rename(files[METRICS].get("shrunk"), "fixed_words", "frozen_words")
    data = files[METRICS].get("data")
    vectors = data.get("vectors") if isinstance(data, dict) else None
    _rename(vectors, "found", "covered")
    _rename(vectors, "kept", "frozen")
    for suffix in ("", ".scales"):
        _rename(files[TENSORS], f"{EARLIER_FROZEN}{suffix}", f"{FROZEN}{suffix}")
        _rename(files[TENSORS], f"words.trained.weight{suffix}", f"words.trainable.weight{suffix}")


MIGRATIONS: dict[int, Callable[[Files], None]] = {
    1: _add_document_context,
    2: _add_shrunk_models,
    3: _rename_entries,
}
"""Migrations to the next format version; they edit values that have not been validated yet."""


def _rename(values: object, old: str, new: str) -> None:
    if isinstance(values, dict) and old in values:
        values[new] = values.pop(old)
