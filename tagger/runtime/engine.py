"""Emissions from a bundle's weights in plain numpy: the network of ``tagger.network`` without torch.

The weights keep the names that torch gave them. Words are computed once per distinct word of a batch, and so
is the first layer's input projection, which is linear in them; only the recurrence runs token by token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tagger.bundle import Bundle
from tagger.config import ModelConfig
from tagger.decoding.viterbi import Transitions, constrain
from tagger.errors import InputError
from tagger.features.batching import Batch, Ints
from tagger.features.vocab import CASINGS, Vocabulary

Floats = NDArray[np.float32]
Shape = tuple[int, ...]
BOTH = ("forward", "backward")
CHARACTER_LSTM = "words.characters.encoder.layers.0"
# No trained weight or score comes near to it, and sums of smaller ones stay far below the end of float32.
_LARGEST = 1e30


@dataclass(frozen=True, slots=True)
class Lstm:
    """One direction of one layer, prepared for ``run`` and ``step``.

    torch orders the gates input, forget, cell, output. Since sigmoid(x) = (tanh(x / 2) + 1) / 2, the rows of
    the three sigmoid gates are halved here once, and one tanh over all gates serves each step.

    Attributes:
        input_weights: (D, 4H).
        hidden_weights: (H, 4H).
        bias: (4H,).
    """

    input_weights: Floats
    hidden_weights: Floats
    bias: Floats

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Floats], name: str) -> Lstm:
        """Take the four tensors of one ``nn.LSTM`` layer."""
        hidden = tensors[f"{name}.weight_hh_l0"]
        size = hidden.shape[1]
        scale = np.full(4 * size, 0.5, np.float32)
        scale[2 * size : 3 * size] = 1.0
        bias = tensors[f"{name}.bias_ih_l0"] + tensors[f"{name}.bias_hh_l0"]
        return cls(
            input_weights=np.ascontiguousarray(tensors[f"{name}.weight_ih_l0"].T * scale),
            hidden_weights=np.ascontiguousarray(hidden.T * scale),
            bias=bias * scale,
        )

    def project(self, inputs: Floats) -> Floats:
        """(N, D) inputs to (N, 4H), the part of the gates that does not depend on the recurrence."""
        return inputs @ self.input_weights + self.bias

    def run(
        self, projected: Floats, rows: Ints, lengths: Ints, *, is_backward: bool
    ) -> tuple[Floats, Floats]:
        """Read B sequences, the longest first.

        Args:
            projected: (N, 4H) projected inputs.
            rows: (B, T) which row of ``projected`` each step reads.
            lengths: (B,) steps of each sequence, falling.
            is_backward: Whether to read from the last step to the first.

        Returns:
            The outputs (B, T, H), zero beyond the lengths, and the state after the last step read (B, H).
        """
        size = len(self.hidden_weights)
        width = rows.shape[1]
        # Sequences are sorted, so those that are still running (or, backward, have begun) are the first ones.
        running = np.searchsorted(-lengths, -np.arange(width), side="left")
        outputs = np.zeros((*rows.shape, size), np.float32)
        state = np.zeros((len(rows), size), np.float32)
        cell = np.zeros((len(rows), size), np.float32)
        for step in reversed(range(width)) if is_backward else range(width):
            n = running[step]
            self.step(projected[rows[:n, step]], state[:n], cell[:n])
            outputs[:n, step] = state[:n]
        return outputs, state

    def step(self, projected: Floats, state: Floats, cell: Floats) -> None:
        """Read one token of B sequences.

        Args:
            projected: (B, 4H) projected inputs.
            state: (B, H) what the last step put out; this step's output takes its place.
            cell: (B, H) the cells, replaced likewise.
        """
        size = len(self.hidden_weights)
        gates = state @ self.hidden_weights
        gates += projected
        np.tanh(gates, out=gates)
        sigmoids = gates * 0.5 + 0.5
        cell *= sigmoids[:, size : 2 * size]
        cell += sigmoids[:, :size] * gates[:, 2 * size : 3 * size]
        np.multiply(sigmoids[:, 3 * size :], np.tanh(cell), out=state)


def merge(results: list[Floats], merge_mode: str) -> Floats:
    """Make one array of one or two directions, as ``network.encoder.merge`` does."""
    if len(results) == 1:
        return results[0]
    forward, backward = results
    if merge_mode == "concat":
        return np.concatenate([forward, backward], axis=-1)
    if merge_mode == "mul":
        return forward * backward
    total = forward + backward
    return total if merge_mode == "sum" else total * np.float32(0.5)


def tensor_shapes(config: ModelConfig, vocabulary: Vocabulary, word_size: int) -> dict[str, Shape]:
    """The name and shape of every tensor of a network, as ``TaggingModel.state_dict`` has them."""
    shapes: dict[str, Shape] = {
        "words.trained.weight": (len(vocabulary.words), word_size),
        "words.fixed": (len(vocabulary.fixed_words), word_size),
    }
    width = word_size + config.casing_size
    if config.casing_size:
        shapes["words.casing.weight"] = (len(CASINGS), config.casing_size)
    size, hidden = config.character_size, config.character_hidden
    if config.characters != "none":
        shapes["words.characters.embedding.weight"] = (len(vocabulary.characters), size)
    if config.characters == "cnn":
        shapes["words.characters.filters.weight"] = (hidden, size * config.character_width)
        shapes["words.characters.filters.bias"] = (hidden,)
        width += hidden
    elif config.characters == "lstm":
        shapes |= _lstm_shapes(CHARACTER_LSTM, BOTH, size, hidden)
        width += 2 * hidden
    directions = _directions(config)
    for number in range(config.layers):
        shapes |= _lstm_shapes(f"encoder.layers.{number}", directions, width, config.hidden_size)
        width = config.hidden_size * (len(directions) if config.merge_mode == "concat" else 1)
    for number, task in enumerate(vocabulary.tasks):
        tags = len(task.tags)
        shapes[f"heads.{number}.projection.weight"] = (tags, width)
        shapes[f"heads.{number}.projection.bias"] = (tags,)
        if config.head == "crf":
            shapes[f"heads.{number}.crf.transitions"] = (tags, tags)
            shapes[f"heads.{number}.crf.start_transitions"] = (tags,)
            shapes[f"heads.{number}.crf.end_transitions"] = (tags,)
    return shapes


def _check_tensors(bundle: Bundle) -> None:
    """Compare names, shapes and types with what config and vocabulary ask for, and look for NaN and infinity.

    Raises:
        InputError: The bundle's tensors are not those of its config and vocabulary.
    """
    # Word vectors are as wide as those of the file they began with, whatever the config says.
    word_size = (0, *np.shape(bundle.tensors.get("words.trained.weight", 0)))[-1]
    expected = tensor_shapes(bundle.config.model, bundle.vocabulary, word_size)
    found = {name: tensor.shape for name, tensor in bundle.tensors.items()}
    for name in {**expected, **found}:
        if found.get(name) != expected.get(name):
            raise InputError(
                f"the model's tensor {name} has shape {found.get(name, 'none')}, expected "
                f"{expected.get(name, 'none')}; copy or train the model again."
            )
    for name, tensor in bundle.tensors.items():
        dtype = np.float16 if name == "words.fixed" else np.float32
        if tensor.dtype != dtype:
            raise InputError(
                f"the model's tensor {name} has type {tensor.dtype}, expected {np.dtype(dtype)}; "
                "copy or train the model again."
            )
        if not _is_moderate(tensor):
            raise InputError(
                f"the model's tensor {name} holds a value that is not finite or far too large; "
                "copy or train the model again."
            )


def _is_moderate(values: Floats) -> bool:
    """Whether all values are finite and far from the end of float32; NaN compares as false."""
    return not values.size or -_LARGEST < float(values.min()) <= float(values.max()) < _LARGEST


def _lstm_shapes(name: str, directions: Sequence[str], inputs: int, hidden: int) -> dict[str, Shape]:
    parts = {
        "weight_ih": (4 * hidden, inputs),
        "weight_hh": (4 * hidden, hidden),
        "bias_ih": (4 * hidden,),
        "bias_hh": (4 * hidden,),
    }
    return {f"{name}.{way}_lstm.{part}_l0": shape for way in directions for part, shape in parts.items()}


def _directions(config: ModelConfig) -> tuple[str, ...]:
    return BOTH if config.direction == "bidirectional" else (config.direction,)


class Engine:
    """Computes emissions from a bundle.

    A sentence is read as a whole, however long. Memory grows with the tokens of a batch, by about
    16 * hidden_size bytes a token: the outputs of both directions, and once more when they are merged. That
    is 320 MB for a sentence of 100,000 tokens and 200 units. Every layer above the first adds as much a
    direction for its projected inputs.

    Args:
        bundle: A loaded bundle.

    Attributes:
        directions: ``forward``, ``backward`` or both, in this order.
        layers: For each layer the LSTM of each direction.
        merge_mode: How a layer's two directions become one vector.
        transitions: For each task what a tag sequence scores apart from its emissions.

    Raises:
        InputError: The bundle's tensors are not those of its config and vocabulary.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._tensors = bundle.tensors
        self._config = bundle.config.model
        self._tasks = bundle.vocabulary.tasks
        self.directions = _directions(self._config)
        self.merge_mode = self._config.merge_mode
        _check_tensors(bundle)
        self.layers = [self._read_layer(f"encoder.layers.{number}") for number in range(self._config.layers)]
        self._character_lstm = (
            self._read_layer(CHARACTER_LSTM, BOTH) if self._config.characters == "lstm" else []
        )
        self._heads = [self._read_head(number) for number in range(len(self._tasks))]
        self.transitions = {
            task.name: self._read_transitions(number) for number, task in enumerate(self._tasks)
        }

    def _read_layer(self, name: str, directions: tuple[str, ...] | None = None) -> list[Lstm]:
        return [
            Lstm.from_tensors(self._tensors, f"{name}.{direction}_lstm")
            for direction in directions or self.directions
        ]

    def _read_head(self, number: int) -> tuple[Floats, Floats]:
        name = f"heads.{number}.projection"
        return np.ascontiguousarray(self._tensors[f"{name}.weight"].T), self._tensors[f"{name}.bias"]

    def _read_transitions(self, number: int) -> Transitions:
        task = self._tasks[number]
        size = len(task.tags)
        transitions = Transitions.free(size)
        if self._config.head == "crf":
            name = f"heads.{number}.crf"
            transitions = Transitions(
                self._tensors[f"{name}.transitions"],
                self._tensors[f"{name}.start_transitions"],
                self._tensors[f"{name}.end_transitions"],
            )
        return constrain(transitions, *task.allowed()) if self._config.constrain else transitions

    def __call__(self, batch: Batch) -> dict[str, Floats]:
        """For each task the emissions (B, T, C) of a batch; meaningless beyond a sentence's end.

        Raises:
            InputError: The weights are such that the emissions are not finite or far too large.
        """
        order = np.argsort(-batch.lengths, kind="stable")
        with np.errstate(over="ignore", invalid="ignore"):  # ``score`` looks at what comes of it
            encoded = self._encode(self.word_vectors(batch), batch.positions[order], batch.lengths[order])
        places = np.argsort(order)
        return {task: emissions[places] for task, emissions in self.score(encoded).items()}

    def score(self, encoded: Floats) -> dict[str, Floats]:
        """For each task the emissions (..., C) of the encoder's outputs (..., E).

        Raises:
            InputError: The weights are such that the emissions are not finite or far too large.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is looked at instead
            found = {
                task.name: encoded @ weight + bias
                for task, (weight, bias) in zip(self._tasks, self._heads, strict=True)
            }
        if not all(map(_is_moderate, found.values())):
            raise InputError(
                "the model's weights give scores that are not finite or far too large; "
                "copy or train the model again."
            )
        return found

    def word_vectors(self, batch: Batch) -> Floats:
        """The (U, D) vectors of a batch's distinct words: words, characters and casing side by side."""
        trained, fixed = self._tensors["words.trained.weight"], self._tensors["words.fixed"]
        vectors = np.empty((len(batch.words), trained.shape[1]), np.float32)
        is_fixed = batch.words >= len(trained)
        vectors[~is_fixed] = trained[batch.words[~is_fixed]]
        vectors[is_fixed] = fixed[batch.words[is_fixed] - len(trained)]
        parts = [vectors]
        if self._config.characters == "cnn":
            parts.append(self._convolve(batch.characters, batch.word_lengths))
        elif self._config.characters == "lstm":
            parts.append(self._read_characters(batch.characters, batch.word_lengths))
        if self._config.casing_size:
            parts.append(self._tensors["words.casing.weight"][batch.casing])
        return np.concatenate(parts, axis=1)

    def _convolve(self, characters: Ints, lengths: Ints) -> Floats:
        """(U, L) character ids to (U, filters): see ``network.words.CharacterCnn``."""
        embedding = self._tensors["words.characters.embedding.weight"]
        weight = self._tensors["words.characters.filters.weight"]
        bias = self._tensors["words.characters.filters.bias"]
        filters, size = len(weight), embedding.shape[1]
        width = weight.shape[1] // size
        left = (width - 1) // 2
        places = characters.shape[1]
        padded = np.pad(characters, ((0, 0), (left, width - 1 - left)))
        scores = np.zeros((*characters.shape, filters), np.float32)
        # The filters are linear in each character under them: project every character id once, then add up.
        by_place = weight.reshape(filters, size, width)
        for offset in range(width):
            projected = embedding @ by_place[:, :, offset].T  # (alphabet, filters)
            scores += projected[padded[:, offset : offset + places]]
        scores[np.arange(places) >= lengths[:, None]] = -np.inf
        return np.asarray(scores.max(axis=1) + bias, np.float32)

    def _read_characters(self, characters: Ints, lengths: Ints) -> Floats:
        """(U, L) character ids to (U, 2H): see ``network.words.CharacterLstm``."""
        embedding = self._tensors["words.characters.embedding.weight"]
        order = np.argsort(-lengths, kind="stable")
        found = np.empty((len(lengths), 2 * len(self._character_lstm[0].hidden_weights)), np.float32)
        found[order] = np.concatenate(
            [
                lstm.run(lstm.project(embedding), characters[order], lengths[order], is_backward=backward)[1]
                for lstm, backward in zip(self._character_lstm, (False, True), strict=True)
            ],
            axis=1,
        )
        return found

    def _encode(self, vectors: Floats, rows: Ints, lengths: Ints) -> Floats:
        """(U, D) word vectors read at (B, T) rows to the encoder's outputs (B, T, ...)."""
        for layer in self.layers:
            results = [
                lstm.run(lstm.project(vectors), rows, lengths, is_backward=direction == "backward")[0]
                for lstm, direction in zip(layer, self.directions, strict=True)
            ]
            encoded = merge(results, self.merge_mode)
            vectors = encoded.reshape(-1, encoded.shape[-1])
            rows = np.arange(len(vectors)).reshape(rows.shape)
        return encoded
