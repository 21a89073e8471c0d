"""Every option of a model and of its training: name, default, bounds, unit and meaning."""

from __future__ import annotations

import codecs
import difflib
import reprlib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tagger.errors import InputError
from tagger.storage import read_input

LARGEST_FILE = 1 << 20  # bytes of a TOML file

Direction = Literal["forward", "backward", "bidirectional"]
MergeMode = Literal["concat", "sum", "mul", "ave"]
HeadKind = Literal["crf", "softmax"]
Characters = Literal["cnn", "lstm", "none"]
Context = Literal["sentence", "document"]
LookaheadTraining = Literal["full", "random"]
Probability = Annotated[float, Field(ge=0.0, lt=1.0)]


def _names(value: Any) -> Any:
    """Names joined by commas, and a JSON list, as the tuple they stand for."""
    if isinstance(value, str):
        value = value.split(",")
    if isinstance(value, list | tuple) and len(set(map(str, value))) < len(value):
        raise ValueError("give each name once")
    return tuple(value) if isinstance(value, list) else value


def _numbers(value: Any) -> Any:
    """A number, numbers joined by commas, and a JSON list, as the tuple they stand for."""
    if isinstance(value, str) and all(part.strip().isdecimal() for part in value.split(",")):
        return tuple(map(int, value.split(",")))
    if isinstance(value, int) and not isinstance(value, bool):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def _weights(value: Any) -> Any:
    """Convert ``PER=2,ORG=0.5`` to a dict; the order of labels has no meaning."""
    if isinstance(value, str) and value != "balanced":
        pairs = [part.rpartition("=") for part in value.split(",")]
        if not all(equals and label for label, equals, _ in pairs) or len({p[0] for p in pairs}) < len(pairs):
            raise ValueError("write labels with their weights, each once, as PER=2,ORG=0.5, or balanced")
        value = {label: _number(weight) for label, _, weight in pairs}
    return dict(sorted(value.items(), key=str)) if isinstance(value, dict) else value


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


class Section(BaseModel):
    """What all sections share: unknown keys are errors, values never change, numbers are finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataConfig(Section):
    """What is read from the corpus files."""

    tasks: Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...],
        BeforeValidator(_names),
    ] = Field(("ner",), min_length=1, description='columns to learn, one head each; as a list or "pos,ner"')
    columns: str | None = Field(None, description='names of the file\'s columns, e.g. "token,pos,ner"')
    format: str | None = Field(None, description="conll or conllu; by the file's suffix when not said")
    scheme: str | None = Field(
        None,
        description="scheme of the files' tags, bare (labels without prefix) or none (one tag per token); "
        'by task as "ner=bare,pos=none"; detected by default',
    )
    tokenizer: dict[str, bool | int | str] = Field(
        {}, description="options of text.tokenizer.Tokenizer that outweigh what train teaches"
    )
    on_misaligned: Literal["error", "expand", "trim", "skip"] = Field(
        "error",
        description="spans that do not fit the tokens (formats with running text) are an error, widened to "
        "whole tokens, narrowed to those in them, or left out",
    )
    offsets: Literal["auto", "characters", "utf16", "bytes"] = Field(
        "auto", description="what the offsets of spans count; auto goes by the texts of the spans"
    )
    label_names: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_names)] = Field(
        (), description='names of tags that the files give as numbers, from 0 on; as a list or "O,B-PER"'
    )
    broken_tags: Literal["repair", "strict"] = Field(
        "repair", description="tags that their scheme forbids are read as conlleval does, or are an error"
    )
    unseen_tags: Literal["error", "count"] = Field(
        "error", description="dev's tags and labels that train lacks are an error, or are scored as wrong"
    )


class ModelConfig(Section):
    """The network's shape; all of it is kept in the bundle."""

    direction: Direction = Field("bidirectional", description="which way the encoder reads")
    merge_mode: MergeMode = Field("concat", description="how a layer's two directions become one vector")
    head: HeadKind = Field("crf", description="crf scores whole tag sequences, softmax each token alone")
    hidden_size: int = Field(200, ge=1, le=10_000, description="LSTM units per direction")
    layers: int = Field(1, ge=1, le=100, description="stacked LSTM layers")
    word_size: int = Field(
        100, ge=1, le=10_000, description="width of word vectors when no vectors file is given"
    )
    lowercase: bool = Field(True, description="look words up in lower case (casing has its own feature)")
    fold_digits: bool = Field(False, description="look words up with every digit as 0")
    vectors_limit: int = Field(
        400_000, ge=0, description="vectors of words that train lacks, kept for tagging (first in the file)"
    )
    characters: Characters = Field("cnn", description="network over each word's characters")
    character_size: int = Field(30, ge=1, le=10_000, description="width of character vectors")
    character_hidden: int = Field(
        50, ge=1, le=10_000, description="filters of the CNN of each width, or LSTM units per direction"
    )
    character_width: Annotated[tuple[Annotated[int, Field(ge=1, le=15)], ...], BeforeValidator(_numbers)] = (
        Field(
            (2, 3, 4),
            min_length=1,
            description='characters under one CNN filter; several widths as a list or "2,3,4"',
        )
    )
    casing_size: int = Field(
        8, ge=0, le=10_000, description="width of the casing vector; 0 leaves casing out"
    )
    context: Context = Field(
        "document",
        description="document: a word is also told by its other mentions in the document; sentence: "
        "sentences stand alone, as they always do where one direction reads",
    )
    context_size: int = Field(
        32, ge=1, le=10_000, description="width of what is kept of the words before other mentions, and after"
    )
    context_dropout: Probability = Field(
        0.5, description="on what other mentions show; a share of the sentences is also trained without it"
    )
    dropout: Probability = Field(0.5, description="on word vectors before, and outputs after the encoder")
    layer_dropout: Probability = Field(0.0, description="between stacked layers")
    recurrent_dropout: Probability = Field(
        0.0, description="inside a layer: share of hidden-to-hidden weights dropped (Merity et al. 2017)"
    )
    word_dropout: Probability = Field(0.0, description="share of words whose word vector becomes unknown")
    scheme: Literal["BIOES", "IOB2"] = Field("BIOES", description="tag scheme that the network learns")
    constrain: bool = Field(True, description="decode only tag sequences that the scheme allows")

    @property
    def has_mentions(self) -> bool:
        """Whether the network is told of a word's other mentions: what stands to the right is among them."""
        return self.context == "document" and self.direction == "bidirectional"


class TrainConfig(Section):
    """How the weights are found."""

    epochs: int = Field(40, ge=1, description="passes over the train part at most (see min_steps)")
    seed: int = Field(1, ge=0, lt=2**32, description="of initial weights, order and dropout")
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="update rule")
    learning_rate: float = Field(0.025, gt=0.0, description="step size at its highest")
    momentum: Probability = Field(0.9, description="of SGD")
    weight_decay: float = Field(0.0, ge=0.0, description="decoupled for adamw, L2 for sgd")
    schedule: Literal["inverse_time", "cosine", "constant"] = Field(
        "cosine", description="how the step size falls over epochs"
    )
    warm_restarts: Annotated[tuple[Annotated[int, Field(ge=1)], ...], BeforeValidator(_numbers)] = Field(
        (),
        description='cosine: epochs after which it starts again at the full rate, as a list or "20,60" '
        "(Loshchilov and Hutter 2017)",
    )
    decay: float = Field(0.05, ge=0.0, description="inverse_time: rate / (1 + decay * epochs done)")
    warmup_steps: int = Field(0, ge=0, description="steps over which the rate rises from 0")
    clip: float = Field(5.0, ge=0.0, description="largest gradient norm; 0 = no clipping")
    batch_size: int = Field(10, ge=1, description="sentences a step at most")
    batch_tokens: int = Field(4096, ge=1, description="tokens a step at most, padding included")
    min_steps: int = Field(
        100, ge=0, description="steps an epoch at least: it passes over a small train part several times"
    )
    ema: Probability = Field(0.9995, description="moving average of the weights: share kept a step; 0 = off")
    singleton_unknown: Probability = Field(
        0.5, description="how often a word seen once, without a vector, is trained as unknown"
    )
    class_weights: Annotated[
        Literal["balanced"] | dict[str, Annotated[float, Field(gt=0.0, le=1e6)]], BeforeValidator(_weights)
    ] = Field(
        {},
        description='weights of labels in the loss, as a table or "PER=2,ORG=0.5", or balanced; 1 changes '
        "nothing, more favours the label",
    )
    recall_bias: float = Field(
        0.0,
        ge=-20.0,
        le=20.0,
        description="of tasks with spans: positive favours recall, negative precision (cost-augmented loss, "
        "Gimpel and Smith 2010)",
    )
    recased: Probability = Field(
        0.0,
        description="share of sentences shown in lower, upper or title case instead of their own, drawn anew "
        "each time",
    )
    lookahead: LookaheadTraining = Field(
        "full",
        description="random: the backward direction sees only so many of the next words, drawn a batch; "
        "prepares a model for bounded lookahead",
    )
    threads: int = Field(
        1, ge=1, le=1024, description="of torch; more gain little on matrices of these sizes, and share badly"
    )
    patience: int = Field(
        0, ge=0, description="stop after so many epochs without a better dev score; 0 = never"
    )
    checkpoint_minutes: float = Field(
        10.0, ge=0.0, description="minutes between checkpoints within an epoch; 0 = only after each epoch"
    )
    tensorboard: bool = Field(False, description="event files for TensorBoard in the model's folder")


class Config(Section):
    """All options of one training run."""

    data: DataConfig = DataConfig()  # type: ignore[call-arg]
    model: ModelConfig = ModelConfig()  # type: ignore[call-arg]
    train: TrainConfig = TrainConfig()  # type: ignore[call-arg]


def load_config(
    path: Path | None, changes: Mapping[str, Any], *, defaults: Mapping[str, Any] | None = None
) -> Config:
    """Build the config from a TOML file and dotted changes laid over it.

    Args:
        path: A TOML file with sections ``data``, ``model`` and ``train``, or None for the defaults.
        changes: Dotted keys to values, for instance ``{"model.hidden_size": 100}``; strings are read as the
            option's own type.
        defaults: The same for what neither the file nor the changes say, in place of the options' defaults.

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
    for dotted, value in (defaults or {}).items():
        section, _, key = dotted.partition(".")
        values.setdefault(section, {}).setdefault(key, value)
    model, train = values.setdefault("model", {}), values.get("train", {})
    if isinstance(model, dict) and isinstance(train, dict) and train.get("lookahead") == "random":
        model.setdefault("context", "sentence")  # later mentions are as little known as the next words
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        option, problem = _first_problem(error)
        origin = "settings" if option in changes else path
        raise InputError(f"{origin}: {problem}.") from None
    _require_coherent(config, str(path or "settings"))
    return config


def _require_coherent(config: Config, origin: str) -> None:
    """Refuse options that contradict each other.

    Raises:
        InputError: Two of them do.
    """
    train = config.train
    if train.lookahead == "random" and config.model.has_mentions:
        raise InputError(
            f"{origin}: train.lookahead = random is for text whose next sentences are not known "
            "yet; set model.context = sentence with it."
        )
    ends = (0, *train.warm_restarts, train.epochs)
    if train.warm_restarts and (train.schedule != "cosine" or sorted(set(ends)) != list(ends)):
        raise InputError(
            f"{origin}: train.warm_restarts must be ascending epochs before the last one, under the cosine "
            f"schedule (got {', '.join(map(str, train.warm_restarts))} with {train.epochs} epochs and the "
            f"schedule {train.schedule}). Correct or remove it."
        )


def restore_config(values: Mapping[str, Any], origin: str) -> Config:
    """Build the config that a saved model holds; unlike in settings, every value has its option's own type.

    Args:
        values: JSON values by section.
        origin: Where they stand, for error messages.

    Raises:
        InputError: A key is unknown, or a value is of another type or out of bounds.
    """
    try:
        return Config.model_validate(values, strict=True)
    except ValidationError as error:
        problem = _first_problem(error)[1]
        raise InputError(
            f"{origin}: {problem}; the file is damaged, copy or train the model again."
        ) from None


def _first_problem(error: ValidationError) -> tuple[str, str]:
    """The option that does not fit, and the same as a clause."""
    errors = error.errors()
    first = errors[0]
    option = repr(".".join(map(str, first["loc"][:2])))[1:-1]  # a foreign key may hold line breaks
    # Of an option with several types, the one that the value came closest to.
    closest = max(
        (one for one in errors if one["loc"][:2] == first["loc"][:2]), key=lambda one: len(one["loc"])
    )
    return option, f"{option} = {reprlib.repr(first['input'])} does not fit: {closest['msg']}"


def parse_setting(text: str) -> tuple[str, Any]:
    """Split ``key=value`` as given to ``--set``; a value that is no TOML is read as a string.

    Raises:
        InputError: There is no ``=`` or no key.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise InputError(f"--set {text!r} is not of the form key=value, for instance model.hidden_size=100.")
    try:
        parsed = tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError):  # not TOML, or a number or nesting of absurd size
        parsed = {}
    return key.strip(), parsed["value"] if len(parsed) == 1 else value.strip()


def option_names() -> list[str]:
    """All dotted option names, in the order of their sections."""
    sections: dict[str, type[Section]] = {"data": DataConfig, "model": ModelConfig, "train": TrainConfig}
    return [f"{section}.{key}" for section, model in sections.items() for key in model.model_fields]


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        content = read_input(path, most=LARGEST_FILE).removeprefix(codecs.BOM_UTF8)
        return tomllib.loads(content.decode())
    except OSError as error:
        raise InputError(f"{path}: the config cannot be read ({error.strerror}); check the path.") from None
    except UnicodeDecodeError as error:
        before = content[: error.start].split(b"\n")
        raise InputError(
            f"{path}:{len(before)}: byte {len(before[-1]) + 1} of the line (0x{content[error.start]:02x}) is "
            "not UTF-8; convert the file to UTF-8, for instance with iconv."
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not a TOML file ({error}); correct that line.") from None
    except (ValueError, RecursionError):  # Python's limits on the digits of a number and on nesting
        raise InputError(f"{path}: a number or a nesting is too long for any option; correct it.") from None


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
