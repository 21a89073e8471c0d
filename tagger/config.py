"""All options of a model and its training: name, default, bounds, unit and meaning."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field

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
    affix_size: int = Field(
        0, ge=0, le=10_000, description="size of each affix embedding (prefixes, suffixes); 0 = no affixes"
    )
    affix_min_words: int = Field(
        2, ge=1, description="minimum number of distinct words of train with an affix that gets an embedding"
    )
    linear: bool = Field(
        False,
        description="add a linear model's emissions: words, affixes and shapes of a token and its neighbours "
        "(bidirectional models only)",
    )
    linear_dropout: Probability = Field(0.2, description="dropout on the features of the linear model")
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
    encoder: str | None = Field(
        None,
        min_length=1,
        description="folder of a frozen contextual encoder, whose states are an input (bidirectional models)",
    )
    encoder_dropout: Probability = Field(0.5, description="dropout on the contextual encoder's states")
    dropout: Probability = Field(0.5, description="dropout on the encoder's input vectors and on its outputs")
    layer_dropout: Probability = Field(0.0, description="dropout between stacked layers")
    recurrent_dropout: Probability = Field(
        0.0, description="dropout on hidden-to-hidden weights (Merity et al. 2017)"
    )
    word_dropout: Probability = Field(0.0, description="share of words replaced by UNK")
    scheme: Literal["BIOES", "IOB2"] = Field("BIOES", description="tag scheme that the network learns")
    constrain: bool = Field(True, description="decode only tag sequences that the scheme allows")
    consistent_labels: bool = Field(
        False,
        description="with document context: spans of the same words in a document vote on their label when "
        "the model tags; spans with a low score take the majority's",
    )

    @property
    def has_document_context(self) -> bool:
        """True if the model uses document context.

        Off for one-way models: later occurrences would leak the right context.
        """
        return self.context == "document" and self.direction == "bidirectional"

    @property
    def has_consistent_labels(self) -> bool:
        """True if the spans of a document vote on their labels.

        Off without document context, for the same reason.
        """
        return self.consistent_labels and self.has_document_context

    @property
    def has_linear(self) -> bool:
        """True if the model has a linear part. Off for one-way models: it reads the next two words."""
        return self.linear and self.direction == "bidirectional"

    @property
    def affix_threshold(self) -> int:
        """Minimum number of distinct words with an affix of the vocabulary; 0 for models without affixes."""
        return self.affix_min_words if self.affix_size or self.has_linear else 0


class TrainConfig(Section):
    """Options of the training."""

    epochs: int = Field(
        40, ge=0, description="maximum number of epochs (see min_steps); 0 only with an initial model"
    )
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
    partial: bool = Field(
        False,
        description="with an initial model: train marks only some of all labels; unmarked tokens may have "
        "the others",
    )
    soft_weight: float = Field(
        1.0,
        ge=0.0,
        le=1.0,
        description="weight of the teachers' probabilities in the loss of a sentence; the rest is that of "
        "its tags",
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


def option_names() -> list[str]:
    """Return all dotted option names, in the order of their sections."""
    sections: dict[str, type[Section]] = {"data": DataConfig, "model": ModelConfig, "train": TrainConfig}
    return [f"{section}.{key}" for section, model in sections.items() for key in model.model_fields]
