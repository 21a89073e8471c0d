"""All options of a model and its training: name, default, bounds, unit and meaning."""

from __future__ import annotations

import codecs
import difflib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, ValidationError

from tagger.errors import InputError
from tagger.storage import read_input
from tagger.validation import first_problem

LARGEST_FILE = 1 << 20  # bytes of a TOML file

Direction = Literal["forward", "backward", "bidirectional"]
MergeMode = Literal["concat", "sum", "mul", "ave"]
HeadKind = Literal["crf", "softmax"]
Characters = Literal["cnn", "lstm", "none"]
Context = Literal["sentence", "document"]
OptimizerKind = Literal["sgd", "adamw"]
ScheduleKind = Literal["inverse_time", "cosine", "constant"]
LookaheadTraining = Literal["full", "random"]
Match = Literal["hidden", "width", "parameters"]  # what the variants of a comparison share
Probability = Annotated[float, Field(ge=0.0, lt=1.0)]
RENAMED = {"train.recased": "train.case_augmentation"}  # options of earlier versions


def _names(value: Any) -> Any:
    """Convert comma-separated names or a JSON list to a tuple."""
    if isinstance(value, str):
        value = value.split(",")
    if isinstance(value, list | tuple) and len(set(map(str, value))) < len(value):
        raise ValueError("must contain each name once")
    return tuple(value) if isinstance(value, list) else value


def _numbers(value: Any) -> Any:
    """Convert a number, comma-separated numbers or a JSON list to a tuple."""
    if isinstance(value, str) and all(item.strip().isdecimal() for item in value.split(",")):
        return tuple(map(int, value.split(",")))
    if isinstance(value, int) and not isinstance(value, bool):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def _weights(value: Any) -> Any:
    """Convert ``PER=2,ORG=0.5`` to a dict, sorted because the order of labels has no meaning."""
    if isinstance(value, str) and value != "balanced":
        pairs = [item.rpartition("=") for item in value.split(",")]
        if not all(equals and label for label, equals, _ in pairs) or len({p[0] for p in pairs}) < len(pairs):
            raise ValueError("must be balanced, or each label once with its weight, as in PER=2,ORG=0.5")
        value = {label: _number(weight) for label, _, weight in pairs}
    return dict(sorted(value.items(), key=str)) if isinstance(value, dict) else value


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


# The validation of a list stops at its first invalid item: a damaged file can have many.
Names = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], FailFast(), BeforeValidator(_names)]
Widths = Annotated[tuple[Annotated[int, Field(ge=1, le=15)], ...], FailFast(), BeforeValidator(_numbers)]
Epochs = Annotated[tuple[Annotated[int, Field(ge=1)], ...], FailFast(), BeforeValidator(_numbers)]


class Section(BaseModel):
    """Base class of all sections: rejects unknown keys, is immutable, allows finite numbers only."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataConfig(Section):
    """Options for reading the corpus files."""

    tasks: Names = Field(
        ("ner",), min_length=1, description='tag columns to learn, with one head each; a list or "pos,ner"'
    )
    columns: str | None = Field(None, description='names of the file\'s columns, e.g. "token,pos,ner"')
    format: str | None = Field(None, description="file format, such as conllu or jsonl; detected by default")
    scheme: str | None = Field(
        None,
        description="tag scheme of the files, bare (labels without prefix) or none (one tag per token); "
        'per task as in "ner=bare,pos=none"; detected by default',
    )
    tokenizer: dict[str, bool | int | str] = Field(
        {}, description="options of text.tokenizer.Tokenizer that override those learned from train"
    )
    on_misaligned: Literal["error", "expand", "trim", "skip"] = Field(
        "error",
        description="spans whose boundaries are not token boundaries (formats with running text): raise an "
        "error, expand to whole tokens, trim to the tokens inside, or skip the span",
    )
    offsets: Literal["auto", "characters", "utf16", "bytes"] = Field(
        "auto", description="unit of the spans' offsets; auto detects it from the spans' texts"
    )
    label_names: Names = Field(
        (), description='names of tags that the files give as ids, from id 0; a list or "O,B-PER"'
    )
    broken_tags: Literal["repair", "strict"] = Field(
        "repair", description="tags that the scheme forbids: repair them as conlleval does, or raise an error"
    )
    unseen_tags: Literal["error", "count"] = Field(
        "error", description="dev tags and labels that train lacks: raise an error, or count them as wrong"
    )


class ModelConfig(Section):
    """Architecture of the network; the bundle stores every option."""

    direction: Direction = Field("bidirectional", description="reading direction of the encoder")
    merge_mode: MergeMode = Field("concat", description="how the outputs of a layer's directions are merged")
    head: HeadKind = Field("crf", description="crf scores whole tag sequences, softmax each token alone")
    hidden_size: int = Field(200, ge=1, le=10_000, description="LSTM units per direction")
    layers: int = Field(1, ge=1, le=100, description="number of stacked LSTM layers")
    word_size: int = Field(
        100, ge=1, le=10_000, description="size of word embeddings if no vectors file is given"
    )
    lowercase: bool = Field(
        True, description="lowercase words before the vocabulary lookup (casing is a feature of its own)"
    )
    fold_digits: bool = Field(False, description="replace digits by 0 before the vocabulary lookup")
    vectors_limit: int = Field(
        400_000,
        ge=0,
        description="maximum number of vectors kept for words that train lacks (the first in the file)",
    )
    characters: Characters = Field("cnn", description="network over each word's characters")
    character_size: int = Field(30, ge=1, le=10_000, description="size of character embeddings")
    character_hidden: int = Field(
        50, ge=1, le=10_000, description="CNN filters per width, or LSTM units per direction"
    )
    character_width: Widths = Field(
        (2, 3, 4),
        min_length=1,
        description='widths of the CNN filters in characters; a number, a list or "2,3,4"',
    )
    casing_size: int = Field(8, ge=0, le=10_000, description="size of the casing embedding; 0 = no casing")
    context: Context = Field(
        "document",
        description="document: add features of a word's other occurrences in the document (bidirectional "
        "models only); sentence: use each sentence alone",
    )
    context_size: int = Field(
        32, ge=1, le=10_000, description="size of the document context's left and right projections, each"
    )
    context_dropout: Probability = Field(
        0.5, description="dropout on document context; some sentences are also trained without any context"
    )
    dropout: Probability = Field(0.5, description="dropout on the encoder's input vectors and on its outputs")
    layer_dropout: Probability = Field(0.0, description="dropout between stacked layers")
    recurrent_dropout: Probability = Field(
        0.0, description="dropout on hidden-to-hidden weights (Merity et al. 2017)"
    )
    word_dropout: Probability = Field(0.0, description="share of words replaced by UNK")
    scheme: Literal["BIOES", "IOB2"] = Field("BIOES", description="tag scheme that the network learns")
    constrain: bool = Field(True, description="decode only tag sequences that the scheme allows")

    @property
    def has_document_context(self) -> bool:
        """True if the model uses document context.

        Off for one-way models: later occurrences would leak the right context.
        """
        return self.context == "document" and self.direction == "bidirectional"


class TrainConfig(Section):
    """Options of the training."""

    epochs: int = Field(40, ge=1, description="maximum number of epochs (see min_steps)")
    seed: int = Field(
        1, ge=0, lt=2**32, description="random seed of initial weights, batch order and dropout"
    )
    optimizer: OptimizerKind = Field("sgd", description="optimizer")
    learning_rate: float = Field(0.025, gt=0.0, description="peak learning rate")
    momentum: Probability = Field(0.9, description="momentum of SGD")
    weight_decay: float = Field(0.0, ge=0.0, description="weight decay: decoupled for adamw, L2 for sgd")
    schedule: ScheduleKind = Field("cosine", description="learning rate schedule")
    warm_restarts: Epochs = Field(
        (),
        description="cosine schedule: epochs after which the learning rate restarts at its peak; a list or "
        '"20,60" (Loshchilov and Hutter 2017)',
    )
    decay: float = Field(0.05, ge=0.0, description="inverse_time schedule: rate / (1 + decay * epochs done)")
    warmup_steps: int = Field(0, ge=0, description="steps of linear warm-up from 0")
    clip: float = Field(5.0, ge=0.0, description="maximum gradient norm; 0 = no clipping")
    batch_size: int = Field(10, ge=1, description="maximum sentences per batch")
    batch_tokens: int = Field(4096, ge=1, description="maximum tokens per batch, padding included")
    min_steps: int = Field(100, ge=0, description="minimum steps per epoch; small training sets are repeated")
    ema: Probability = Field(
        0.9995, description="decay of the exponential moving average of the weights; 0 = off"
    )
    singleton_unknown: Probability = Field(
        0.5, description="probability of replacing a word by UNK if it occurs once in train and has no vector"
    )
    class_weights: Annotated[
        Literal["balanced"] | dict[str, Annotated[float, Field(gt=0.0, le=1e6)]], BeforeValidator(_weights)
    ] = Field(
        {},
        description='label weights in the loss: a table, "PER=2,ORG=0.5" or balanced; the default is 1, a '
        "higher weight favours the label",
    )
    recall_bias: float = Field(
        0.0,
        ge=-20.0,
        le=20.0,
        description="span tasks: positive values favour recall, negative ones precision (cost-augmented "
        "loss, Gimpel and Smith 2010)",
    )
    case_augmentation: Probability = Field(
        0.0,
        description="case augmentation: share of sentences converted to lower, upper or title case, sampled "
        "in each pass",
    )
    lookahead: LookaheadTraining = Field(
        "full",
        description="random: sample the lookahead of the backward direction for each batch, for models that "
        "tag with bounded lookahead",
    )
    threads: int = Field(
        1, ge=1, le=1024, description="torch threads; more than 1 gives little speedup at these matrix sizes"
    )
    patience: int = Field(
        0, ge=0, description="early stopping: epochs without a better dev score; 0 = never stop early"
    )
    checkpoint_minutes: float = Field(
        10.0, ge=0.0, description="minutes between checkpoints within an epoch; 0 = only after each epoch"
    )
    tensorboard: bool = Field(False, description="write TensorBoard event files to the model's folder")


class Config(Section):
    """All options of one training run."""

    data: DataConfig = DataConfig()  # type: ignore[call-arg]
    model: ModelConfig = ModelConfig()  # type: ignore[call-arg]
    train: TrainConfig = TrainConfig()  # type: ignore[call-arg]


def load_config(
    path: Path | None, changes: Mapping[str, Any], *, defaults: Mapping[str, Any] | None = None
) -> Config:
    """Build the config from a TOML file and overrides.

    Args:
        path: TOML file with the sections ``data``, ``model`` and ``train``, or None for the defaults.
        changes: Overrides, dotted keys to values, for instance ``{"model.hidden_size": 100}``; strings are
            converted to the option's type.
        defaults: Replaces the defaults of options that neither the file nor the overrides set.

    Raises:
        InputError: The file cannot be read, a key is unknown (the message suggests the nearest name), a value
            is out of bounds or two options contradict each other.
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


def option_names() -> list[str]:
    """Return all dotted option names, in the order of their sections."""
    sections: dict[str, type[Section]] = {"data": DataConfig, "model": ModelConfig, "train": TrainConfig}
    return [f"{section}.{key}" for section, model in sections.items() for key in model.model_fields]


def _read_toml(path: Path) -> dict[str, Any]:
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


def _require_known(dotted: str, origin: str) -> None:
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
