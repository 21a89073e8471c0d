"""Validate a bundle's tensors: names, shapes, types and finite values."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tagger.bundle import MAPPED, SCALES, Bundle
from tagger.bundle_schema import EncoderInfo
from tagger.config import Characters, HeadKind, ModelConfig
from tagger.errors import InputError
from tagger.features.context_index import context_width
from tagger.features.vocab import Vocabulary
from tagger.features.word_forms import AFFIXES, CASINGS, NEIGHBOURS

Floats = NDArray[np.float32]
Shape = tuple[int, ...]
BOTH = ("forward", "backward")
CHARACTER_LSTM = "words.characters.encoder.layers.0"
# Far above any trained weight or score; sums of smaller values stay far below the float32 maximum.
_LARGEST = 1e30


def directions_of(config: ModelConfig) -> tuple[str, ...]:
    """Return the directions of a model, forward first."""
    return BOTH if config.direction == "bidirectional" else (config.direction,)


def tensor_shapes(
    config: ModelConfig, vocabulary: Vocabulary, word_size: int, encoder: EncoderInfo | None = None
) -> dict[str, Shape]:
    """Return the name and shape of each tensor in ``TaggingModel.state_dict``."""
    shapes: dict[str, Shape] = {
        "words.trainable.weight": (len(vocabulary.words), word_size),
        "words.frozen": (len(vocabulary.frozen_words), word_size),
    }
    width = word_size + config.casing_size
    if config.casing_size:
        shapes["words.casing.weight"] = (len(CASINGS), config.casing_size)
    if config.affix_size:
        shapes["words.affixes.weight"] = (1 + len(vocabulary.affixes), config.affix_size)
        width += config.affix_size * len(AFFIXES)
    character_shapes, character_width = CHARACTER_SHAPES[config.characters](
        config, len(vocabulary.characters)
    )
    shapes |= character_shapes
    width += character_width
    if config.has_document_context:
        shapes |= {f"context.{side}.weight": (config.context_size, word_size) for side in ("left", "right")}
        width += context_width(config.context_size)
    if encoder:
        shapes |= {"states.mix": (encoder.n_layers,), "states.scale": (1,)}
        width += encoder.size
    directions = directions_of(config)
    for number in range(config.layers):
        shapes |= _lstm_shapes(f"encoder.layers.{number}", directions, width, config.hidden_size)
        width = config.hidden_size * (len(directions) if config.merge_mode == "concat" else 1)
    for number, task in enumerate(vocabulary.tasks):
        tags = len(task.tags)
        shapes[f"heads.{number}.projection.weight"] = (tags, width)
        shapes[f"heads.{number}.projection.bias"] = (tags,)
        shapes |= {f"heads.{number}.{name}": shape for name, shape in HEAD_SHAPES[config.head](tags).items()}
        if config.has_linear:
            width_linear = tags * len(NEIGHBOURS)
            shapes[f"linear.{number}.words.weight"] = (len(vocabulary.words), width_linear)
            shapes[f"linear.{number}.shapes.weight"] = (1 + len(vocabulary.shapes), width_linear)
            shapes[f"linear.{number}.affixes.weight"] = (1 + len(vocabulary.affixes), tags)
    return shapes


def _cnn_shapes(config: ModelConfig, n_characters: int) -> tuple[dict[str, Shape], int]:
    hidden, width = config.character_hidden, config.character_size
    shapes: dict[str, Shape] = {"words.characters.embedding.weight": (n_characters, width)}
    for number, characters in enumerate(config.character_width):
        shapes[f"words.characters.filters.{number}.weight"] = (hidden, width * characters)
        shapes[f"words.characters.filters.{number}.bias"] = (hidden,)
    return shapes, hidden * len(config.character_width)


def _character_lstm_shapes(config: ModelConfig, n_characters: int) -> tuple[dict[str, Shape], int]:
    hidden, width = config.character_hidden, config.character_size
    shapes: dict[str, Shape] = {"words.characters.embedding.weight": (n_characters, width)}
    return shapes | _lstm_shapes(CHARACTER_LSTM, BOTH, width, hidden), 2 * hidden


def _crf_shapes(tags: int) -> dict[str, Shape]:
    return {
        "crf.transitions": (tags, tags),
        "crf.start_transitions": (tags,),
        "crf.end_transitions": (tags,),
    }


CHARACTER_SHAPES: dict[Characters, Callable[[ModelConfig, int], tuple[dict[str, Shape], int]]] = {
    "cnn": _cnn_shapes,
    "lstm": _character_lstm_shapes,
    "none": lambda config, n_characters: ({}, 0),
}
"""For each character network, the shapes of its tensors and the size of its features."""

HEAD_SHAPES: dict[HeadKind, Callable[[int], dict[str, Shape]]] = {
    "crf": _crf_shapes,
    "softmax": lambda tags: {},
}
"""For each head, the shapes of its tensors in addition to the projection, given the number of tags."""


def check_tensors(bundle: Bundle) -> None:
    """Check that the tensors match config and vocabulary, and that their values are finite.

    Raises:
        InputError: A name, shape or type differs, or a value is not finite or far too large.
    """
    # The word vectors keep the size of the vectors file, which can differ from the config.
    word_size = (0, *np.shape(bundle.tensors.get("words.trainable.weight", 0)))[-1]
    expected = tensor_shapes(bundle.config.model, bundle.vocabulary, word_size, bundle.encoder)
    has_scales = bundle.is_shrunk and MAPPED + SCALES in bundle.tensors
    if has_scales:
        expected[MAPPED + SCALES] = (len(bundle.vocabulary.frozen_words),)
    shapes = {name: tensor.shape for name, tensor in bundle.tensors.items()}
    for name in {**expected, **shapes}:
        if shapes.get(name) != expected.get(name):
            raise InputError(
                f"the model's tensor {name} must have shape {expected.get(name, 'none')} "
                f"(got {shapes.get(name, 'none')}). Copy or train the model again.",
                code="bundle.damaged",
            )
    for name, tensor in bundle.tensors.items():
        frozen = np.int8 if has_scales else np.float16
        dtype = frozen if name == MAPPED else np.float32
        if tensor.dtype != dtype:
            raise InputError(
                f"the model's tensor {name} must have type {np.dtype(dtype)} (got {tensor.dtype}). "
                "Copy or train the model again.",
                code="bundle.damaged",
            )
        # The frozen vectors stay in their file; each row is checked when it is read.
        if name != MAPPED and not is_moderate(tensor):
            raise not_moderate(name)


def not_moderate(name: str) -> InputError:
    """Return the error for a tensor that ``is_moderate`` rejects."""
    return InputError(
        f"the model's tensor {name} contains a value that is not finite or far too large. "
        "Copy or train the model again.",
        code="bundle.damaged",
    )


def is_moderate(values: Floats) -> bool:
    """True if all values are finite and far below the float32 maximum; NaN compares as false."""
    return not values.size or -_LARGEST < float(values.min()) <= float(values.max()) < _LARGEST


def _lstm_shapes(name: str, directions: Sequence[str], inputs: int, hidden: int) -> dict[str, Shape]:
    shapes = {
        "weight_ih": (4 * hidden, inputs),
        "weight_hh": (4 * hidden, hidden),
        "bias_ih": (4 * hidden,),
        "bias_hh": (4 * hidden,),
    }
    return {f"{name}.{way}_lstm.{kind}_l0": shape for way in directions for kind, shape in shapes.items()}
