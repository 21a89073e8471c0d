"""Every option of a model and of its training: name, default, bounds, unit and meaning."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tagger.errors import InputError

Direction = Literal["forward", "backward", "bidirectional"]
MergeMode = Literal["concat", "sum", "mul", "ave"]
HeadKind = Literal["crf", "softmax"]
Characters = Literal["cnn", "lstm", "none"]
Probability = Annotated[float, Field(ge=0.0, lt=1.0)]


class Section(BaseModel):
    """What all sections share: unknown keys are errors, values never change, numbers are finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataConfig(Section):
    """What is read from the corpus files."""

    tasks: Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...],
        BeforeValidator(lambda value: value.split(",") if isinstance(value, str) else value),
    ] = Field(("ner",), min_length=1, description='columns to learn, one head each; as a list or "pos,ner"')
    columns: str | None = Field(None, description='names of the file\'s columns, e.g. "token,pos,ner"')
    format: str | None = Field(None, description="conll or conllu; by the file's suffix when not said")
    tokenizer: dict[str, bool | int | str] = Field(
        {}, description="options of text.tokenizer.Tokenizer that outweigh what train teaches"
    )
    broken_tags: Literal["repair", "strict"] = Field(
        "repair", description="tags that their scheme forbids are read as conlleval does, or are an error"
    )


class ModelConfig(Section):
    """The network's shape; all of it is kept in the bundle."""

    direction: Direction = Field("bidirectional", description="which way the encoder reads")
    merge_mode: MergeMode = Field("concat", description="how a layer's two directions become one vector")
    head: HeadKind = Field("crf", description="crf scores whole tag sequences, softmax each token alone")
    hidden_size: int = Field(200, ge=1, description="LSTM units per direction")
    layers: int = Field(1, ge=1, le=100, description="stacked LSTM layers")
    word_size: int = Field(100, ge=1, description="width of word vectors when no vectors file is given")
    lowercase: bool = Field(True, description="look words up in lower case (casing has its own feature)")
    fold_digits: bool = Field(False, description="look words up with every digit as 0")
    vectors_limit: int = Field(
        400_000, ge=0, description="vectors of words that train lacks, kept for tagging (first in the file)"
    )
    characters: Characters = Field("cnn", description="network over each word's characters")
    character_size: int = Field(30, ge=1, description="width of character vectors")
    character_hidden: int = Field(50, ge=1, description="filters of the CNN, or LSTM units per direction")
    character_width: int = Field(3, ge=1, le=15, description="characters under one CNN filter")
    casing_size: int = Field(8, ge=0, description="width of the casing vector; 0 leaves casing out")
    dropout: Probability = Field(0.5, description="on word vectors before, and outputs after the encoder")
    layer_dropout: Probability = Field(0.0, description="between stacked layers")
    recurrent_dropout: Probability = Field(
        0.0, description="inside a layer: share of hidden-to-hidden weights dropped (Merity et al. 2017)"
    )
    word_dropout: Probability = Field(0.0, description="share of words whose word vector becomes unknown")
    scheme: Literal["BIOES", "IOB2"] = Field("BIOES", description="tag scheme that the network learns")
    constrain: bool = Field(True, description="decode only tag sequences that the scheme allows")


class TrainConfig(Section):
    """How the weights are found."""

    epochs: int = Field(30, ge=1, description="passes over the train part at most")
    seed: int = Field(1, ge=0, lt=2**32, description="of initial weights, order and dropout")
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="update rule")
    learning_rate: float = Field(0.015, gt=0.0, description="step size at its highest")
    momentum: Probability = Field(0.9, description="of SGD")
    weight_decay: float = Field(0.0, ge=0.0, description="decoupled for adamw, L2 for sgd")
    schedule: Literal["inverse_time", "cosine", "constant"] = Field(
        "inverse_time", description="how the step size falls over epochs"
    )
    decay: float = Field(0.05, ge=0.0, description="inverse_time: rate / (1 + decay * epochs done)")
    warmup_steps: int = Field(0, ge=0, description="steps over which the rate rises from 0")
    clip: float = Field(5.0, ge=0.0, description="largest gradient norm; 0 = no clipping")
    batch_size: int = Field(10, ge=1, description="sentences a step at most")
    batch_tokens: int = Field(4096, ge=1, description="tokens a step at most, padding included")
    ema: Probability = Field(0.0, description="moving average of the weights: share kept a step; 0 = off")
    singleton_unknown: Probability = Field(
        0.5, description="how often a word seen once, without a vector, is trained as unknown"
    )
    threads: int = Field(
        1, ge=1, le=1024, description="of torch; more gain little on matrices of these sizes, and share badly"
    )
    patience: int = Field(
        0, ge=0, description="stop after so many epochs without a better dev score; 0 = never"
    )


class Config(Section):
    """All options of one training run."""

    data: DataConfig = DataConfig()  # type: ignore[call-arg]
    model: ModelConfig = ModelConfig()  # type: ignore[call-arg]
    train: TrainConfig = TrainConfig()  # type: ignore[call-arg]


def load_config(path: Path | None, changes: Mapping[str, Any]) -> Config:
    """Build the config from a TOML file and dotted changes laid over it.

    Args:
        path: A TOML file with sections ``data``, ``model`` and ``train``, or None for the defaults.
        changes: Dotted keys to values, for instance ``{"model.hidden_size": 100}``; strings are read as the
            option's own type.

    Raises:
        InputError: The file cannot be read, a key is unknown (the nearest name is offered) or a value is out
            of bounds.
    """
    values = _read_toml(path) if path else {}
    for dotted in _dotted_keys(values):
        _require_known(dotted, str(path))
    for dotted, value in changes.items():
        _require_known(dotted, "settings")
        section, _, key = dotted.partition(".")
        values.setdefault(section, {})[key] = value
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"][:2]))
        origin = "settings" if place in changes else path
        raise InputError(f"{origin}: {place} = {first['input']!r} does not fit: {first['msg']}.") from None


def parse_setting(text: str) -> tuple[str, Any]:
    """Split ``key=value`` as given to ``--set``; a value that is no TOML is read as a string.

    Raises:
        InputError: There is no ``=`` or no key.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise InputError(f"--set {text!r} is not of the form key=value, for instance model.hidden_size=100.")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):  # not TOML, a number of thousands of digits, endless brackets
        parsed = value.strip()
    return key.strip(), parsed


def option_names() -> list[str]:
    """All dotted option names, in the order of their sections."""
    sections: dict[str, type[Section]] = {"data": DataConfig, "model": ModelConfig, "train": TrainConfig}
    return [f"{section}.{key}" for section, model in sections.items() for key in model.model_fields]


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise InputError(f"{path}: the config cannot be read ({error.strerror}); check the path.") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a TOML file ({error}); correct that line.") from None


def _dotted_keys(values: Mapping[str, Any]) -> Iterator[str]:
    for section, content in values.items():
        if isinstance(content, dict) and content:
            yield from (f"{section}.{key}" for key in content)
        elif section not in Config.model_fields or not isinstance(content, dict):
            yield section


def _require_known(dotted: str, origin: str) -> None:
    known = option_names()
    if dotted in known:
        return
    by_key = {name.partition(".")[2]: name for name in known}
    nearest = difflib.get_close_matches(dotted, known, n=1) or [
        by_key[key] for key in difflib.get_close_matches(dotted.rpartition(".")[2], by_key, n=1)
    ]
    hint = f"did you mean {nearest[0]}?" if nearest else f"the options are {', '.join(known)}."
    raise InputError(f"{origin}: there is no option {dotted!r}; {hint}")
