"""Compute emissions from a bundle's weights: the network of ``tagger.network`` without torch.

The weights keep their torch names. Word vectors and the first layer's input projection, which is linear in
them, are computed once per distinct word; only the recurrence runs token by token.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tagger.bundle import MAPPED, Bundle, forget_pages, frozen_vectors
from tagger.decoding.viterbi import Transitions, constrain
from tagger.errors import InputError
from tagger.features.batching import Batch, Ints
from tagger.features.context_index import BatchContext, aggregate, context_width
from tagger.features.vocab import PADDING
from tagger.runtime.context_inputs import DocumentContext
from tagger.runtime.layer import Additions, Layer
from tagger.runtime.lstm import Lstm, merge
from tagger.runtime.recurrence import PackedSlots, Precision
from tagger.runtime.weights import (
    BOTH,
    CHARACTER_LSTM,
    check_tensors,
    directions_of,
    is_moderate,
    not_moderate,
)

Floats = NDArray[np.float32]


class Engine:
    """Compute emissions from a bundle; thread-safe.

    Sentences are never split, whatever their length. With one layer, memory per token is that of its
    emissions; each further layer adds its inputs, 32 * hidden_size bytes per token, and its outputs of the
    same size.

    Args:
        bundle: A loaded bundle.
        precision: Precision of the encoder's recurrent weights and states: ``f32``, or ``int8``, which is
            faster on processors with 8-bit products and changes emissions by a few hundredths.

    Attributes:
        directions: ``forward``, ``backward`` or both, in this order.
        merge_mode: How a layer's two directions are merged.
        context: Computes context features; None for models without document context.
        transitions: For each task, its transition scores.

    Raises:
        InputError: The bundle's tensors do not match its config and vocabulary.
    """

    def __init__(self, bundle: Bundle, precision: Precision = "f32") -> None:
        self._tensors = bundle.tensors
        self._config = bundle.config.model
        self._tasks = bundle.vocabulary.tasks
        self.directions = directions_of(self._config)
        self.merge_mode = self._config.merge_mode
        check_tensors(bundle)
        names = [f"encoder.layers.{number}" for number in range(self._config.layers)]
        self._layers = [Layer.from_tensors(self._tensors, name, self.directions, precision) for name in names]
        self.context: DocumentContext | None = None
        if self._config.has_document_context:
            first = self._layers[0]
            own = len(first.input_weights) - context_width(self._config.context_size)
            self.context = DocumentContext(self._tensors, first.input_weights[own:], len(self.directions))
            of_words = np.ascontiguousarray(first.input_weights[:own])
            self._layers[0] = replace(first, input_weights=of_words)
        self._character_layer = (
            Layer.from_tensors(self._tensors, CHARACTER_LSTM, BOTH)
            if self._config.characters == "lstm"
            else None
        )
        self._read_heads()
        self.transitions = {
            task.name: self._read_transitions(number) for number, task in enumerate(self._tasks)
        }

    @cached_property
    def lstms(self) -> list[list[Lstm]]:
        """For each layer, the float32 LSTM of each direction, for reading word by word.

        The first layer reads word vectors only, without context features.
        """
        return [
            [
                Lstm.from_tensors(
                    self._tensors,
                    f"encoder.layers.{number}.{way}_lstm",
                    None if number else self.word_size,
                )
                for way in self.directions
            ]
            for number in range(len(self._layers))
        ]

    def _read_heads(self) -> None:
        """Concatenate the heads of all tasks, so that one matrix product computes all emissions."""
        heads = [f"heads.{number}.projection" for number in range(len(self._tasks))]
        self._head_weights = np.concatenate([self._tensors[f"{name}.weight"].T for name in heads], axis=1)
        self._head_bias = np.concatenate([self._tensors[f"{name}.bias"] for name in heads])
        self._head_ends = np.cumsum([len(task.tags) for task in self._tasks])[:-1]
        # Except for "mul", the scores are a sum over the directions, so each direction has its own heads.
        self._heads_by_direction: Floats | None = None
        if len(self.directions) == 1:
            self._heads_by_direction = self._head_weights[None]
        elif self.merge_mode == "concat":
            self._heads_by_direction = self._head_weights.reshape(2, -1, len(self._head_bias))
        elif self.merge_mode != "mul":
            share = np.float32(1.0 if self.merge_mode == "sum" else 0.5)
            self._heads_by_direction = np.stack([self._head_weights * share] * 2)

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

    @property
    def word_size(self) -> int:
        """D, the size of ``word_vectors``."""
        return len(self._layers[0].input_weights)

    @property
    def input_size(self) -> int:
        """The size of ``inputs``."""
        return self.word_size + (context_width(self._config.context_size) if self.context else 0)

    @property
    def projected_size(self) -> int:
        """The size of a word's projected input, see ``project``."""
        return self._layers[0].width

    def __call__(self, batch: Batch) -> dict[str, Floats]:
        """Compute each task's emissions (B, T, C) for a batch; padding is 0.

        Raises:
            InputError: The weights give emissions that are not finite or far too large.
        """
        is_token = batch.mask
        lengths = batch.lengths[batch.lengths > 0]
        projected, tokens = self.project(self.word_vectors(batch)), batch.positions[is_token]
        additions = None
        if batch.context and len(batch.context.tokens):
            assert self.context
            indices = (np.cumsum(is_token) - 1)[batch.context.tokens]
            additions = Additions(indices, self._context_features(batch.context), self.context.weights)
        padded = {}
        for task, emissions in self.emissions(projected, tokens, lengths, additions).items():
            padded[task] = np.zeros((*is_token.shape, emissions.shape[1]), np.float32)
            padded[task][is_token] = emissions
        return padded

    def _context_features(self, occurrences: BatchContext) -> Floats:
        """Return the context features (N, F) of a batch's tokens, see ``aggregate``."""
        assert self.context
        ids = np.concatenate([occurrences.left, occurrences.right])
        word_features = self.context.word_features(self.embed(ids), np.concatenate([occurrences.casing] * 2))
        count = len(occurrences.left)
        own, neighbours = np.arange(count), np.arange(count, 2 * count)
        left = np.where(occurrences.left == PADDING, -1, own)
        right = np.where(occurrences.right == PADDING, -1, neighbours)
        features = self.context.occurrence_features(word_features, left, own, right)
        return aggregate(features, occurrences.words, occurrences.own)

    def inputs(self, batch: Batch) -> Floats:
        """Return the encoder's inputs (B, T, ``input_size``): word vectors and context features.

        Raises:
            InputError: As for ``word_vectors``.
        """
        vectors = self.word_vectors(batch)[batch.positions]
        inputs = np.zeros((*batch.positions.shape, self.input_size), np.float32)
        inputs[:, :, : vectors.shape[2]] = vectors
        if batch.context and len(batch.context.tokens):
            flat = inputs.reshape(-1, self.input_size)
            flat[batch.context.tokens, vectors.shape[2] :] = self._context_features(batch.context)
        return inputs

    def word_features(self, batch: Batch) -> Floats:
        """Return the context features (U, F) of a batch's words; F is 0 for models without document context.

        See ``DocumentContext.word_features``.

        Raises:
            InputError: As for ``word_vectors``.
        """
        if self.context is None:
            return np.zeros((len(batch.words), 0), np.float32)
        return self.context.word_features(self.embed(batch.words), batch.casing)

    def project(self, vectors: Floats) -> Floats:
        """Return the first layer's input projections (U, ``projected_size``) of ``word_vectors`` (U, D)."""
        with np.errstate(over="ignore", invalid="ignore"):  # ``emissions`` checks the result
            return self._layers[0].project(vectors)

    def emissions(
        self, projected: Floats, tokens: Ints, lengths: Ints, additions: Additions | None = None
    ) -> dict[str, Floats]:
        """Compute each task's emissions (N, C) for the N tokens of concatenated sentences.

        Args:
            projected: (U, ``projected_size``) input projections of distinct words, see ``project``.
            tokens: (N,) row of each token in ``projected``.
            lengths: (S,) sentence lengths, at least 1 each, N in total.
            additions: Context features of single tokens, see ``DocumentContext.additions``.

        Raises:
            InputError: The weights give emissions that are not finite or far too large.
        """
        if not len(tokens):
            return self._by_task(np.zeros((0, len(self._head_bias)), np.float32))
        slots = PackedSlots.pack(lengths)
        *lower, last = self._layers
        with np.errstate(over="ignore", invalid="ignore"):
            for layer, above in zip(lower, self._layers[1:], strict=True):
                encoded = merge(layer.outputs(projected, tokens, slots, additions), self.merge_mode)
                projected, tokens, additions = above.project(encoded), np.arange(len(encoded)), None
            if self._heads_by_direction is None:
                return self.score(merge(last.outputs(projected, tokens, slots, additions), self.merge_mode))
            scores = last.scores(projected, tokens, slots, self._heads_by_direction, additions)
            scores += self._head_bias
        return self._by_task(scores)

    def score(self, encoded: Floats) -> dict[str, Floats]:
        """Compute each task's emissions (..., C) from the encoder's outputs (..., E).

        Raises:
            InputError: The weights give emissions that are not finite or far too large.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            return self._by_task(encoded @ self._head_weights + self._head_bias)

    def _by_task(self, scores: Floats) -> dict[str, Floats]:
        if not is_moderate(scores):
            raise InputError(
                "the model's weights give scores that are not finite or far too large. "
                "Copy or train the model again."
            )
        by_task = np.split(scores, self._head_ends, axis=-1) if len(self._tasks) > 1 else [scores]
        return {task.name: own for task, own in zip(self._tasks, by_task, strict=True)}

    def word_vectors(self, batch: Batch) -> Floats:
        """Return the vectors (U, D) of a batch's distinct words: word, character and casing features.

        Raises:
            InputError: The frozen vector of a word is not finite.
        """
        features = [self.embed(batch.words)]
        if self._config.characters == "cnn":
            features += [
                self._convolve(number, batch.characters, batch.word_lengths)
                for number in range(len(self._config.character_width))
            ]
        elif self._config.characters == "lstm":
            features.append(self._read_characters(batch.characters, batch.word_lengths))
        if self._config.casing_size:
            features.append(self._tensors["words.casing.weight"][batch.casing])
        return np.concatenate(features, axis=1)

    def embed(self, words: Ints) -> Floats:
        """Return the word embeddings (U, W) of word ids (U,).

        Raises:
            InputError: The frozen vector of a word is not finite.
        """
        trainable = self._tensors["words.trainable.weight"]
        vectors = np.empty((len(words), trainable.shape[1]), np.float32)
        is_frozen = words >= len(trainable)
        vectors[~is_frozen] = trainable[words[~is_frozen]]
        vectors[is_frozen] = frozen_vectors(self._tensors, words[is_frozen] - len(trainable))
        forget_pages(self._tensors[MAPPED])
        if not is_moderate(vectors):
            raise not_moderate("words.frozen")
        return vectors

    @cached_property
    def _filters(self) -> list[Floats]:
        """For each filter width, the filter responses (width, alphabet, filters) to single characters.

        A filter is linear in its characters, so its output is the sum of these responses over the offsets.
        """
        embedding = self._tensors["words.characters.embedding.weight"]
        responses = []
        for number in range(len(self._config.character_width)):
            weight = self._tensors[f"words.characters.filters.{number}.weight"]
            by_offset = weight.reshape(len(weight), embedding.shape[1], -1)
            responses.append(
                np.stack([embedding @ by_offset[:, :, offset].T for offset in range(by_offset.shape[2])])
            )
        return responses

    def _convolve(self, number: int, characters: Ints, lengths: Ints) -> Floats:
        """Map character ids (U, L) to features (U, filters) of one filter width, see ``CharacterCnn``."""
        by_offset = self._filters[number]
        bias = self._tensors[f"words.characters.filters.{number}.bias"]
        width, _, filters = by_offset.shape
        left = (width - 1) // 2
        positions = characters.shape[1]
        padded = np.pad(characters, ((0, 0), (left, width - 1 - left)))
        scores = np.zeros((*characters.shape, filters), np.float32)
        for offset in range(width):
            scores += by_offset[offset][padded[:, offset : offset + positions]]
        scores[np.arange(positions) >= lengths[:, None]] = -np.inf
        return np.asarray(scores.max(axis=1) + bias, np.float32)

    def _read_characters(self, characters: Ints, lengths: Ints) -> Floats:
        """Map character ids (U, L) to features (U, 2H), see ``network.words.CharacterLstm``."""
        assert self._character_layer is not None
        projected = self._character_layer.project(self._tensors["words.characters.embedding.weight"])
        is_character = np.arange(characters.shape[1]) < lengths[:, None]
        forward, backward = self._character_layer.outputs(
            projected, characters[is_character], PackedSlots.pack(lengths)
        )
        ends = np.cumsum(lengths)
        return np.concatenate([forward[ends - 1], backward[ends - lengths]], axis=1)
