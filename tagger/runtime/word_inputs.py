"""Compute the network's inputs from words: vectors, their projections and context features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tagger.bundle import MAPPED, forget_pages, frozen_vectors
from tagger.config import Characters, ModelConfig
from tagger.features.batching import Batch, Ints
from tagger.features.context_index import BatchContext, aggregate, context_width
from tagger.features.vocab import PADDING
from tagger.runtime.context_inputs import DocumentContext
from tagger.runtime.layer import Layer
from tagger.runtime.linear_scores import LinearScores
from tagger.runtime.recurrence import PackedSlots, TokenInputs
from tagger.runtime.weights import BOTH, CHARACTER_LSTM, is_moderate, not_moderate

Floats = NDArray[np.float32]


class WordInputs:
    """Compute the inputs of distinct words.

    Args:
        tensors: All tensors of a bundle, checked by ``weights.check_tensors``.
        config: The network's options.
        layer: The first layer, without the input weights of the context features.
        context: Computes context features; None for models without document context.
        linear: Computes the linear part's scores; None for models without it.
    """

    def __init__(
        self,
        tensors: Mapping[str, Floats],
        config: ModelConfig,
        layer: Layer,
        context: DocumentContext | None,
        linear: LinearScores | None,
    ) -> None:
        self._tensors = tensors
        self._config = config
        self._layer = layer
        self.context = context
        self.linear = linear

    @property
    def size(self) -> int:
        """D, the size of ``vectors``."""
        return len(self._layer.input_weights)

    @property
    def input_size(self) -> int:
        """The size of ``inputs``."""
        return self.size + (context_width(self._config.context_size) if self.context else 0)

    @property
    def projected_size(self) -> int:
        """P, the size of ``project``'s result."""
        return self._layer.width

    @property
    def feature_size(self) -> int:
        """F, the size of ``features``."""
        return sum(part.feature_size for part in (self.context, self.linear) if part)

    def vectors(self, batch: Batch) -> Floats:
        """Return the vectors (U, D) of a batch's distinct words: word, character, casing and affix features.

        Raises:
            InputError: The frozen vector of a word is not finite.
        """
        features = [self._embed(batch.words)]
        if read := CHARACTER_FEATURES[self._config.characters]:
            features.append(read(self, batch))
        if self._config.casing_size:
            features.append(self._tensors["words.casing.weight"][batch.casing])
        if self._config.affix_size:
            features.append(
                self._tensors["words.affixes.weight"][batch.affixes].reshape(len(batch.words), -1)
            )
        return np.concatenate(features, axis=1)

    def project(self, vectors: Floats) -> Floats:
        """Return the first layer's input projections (U, P) of ``vectors`` (U, D)."""
        with np.errstate(over="ignore", invalid="ignore"):  # ``Engine`` checks the result
            return self._layer.project(vectors)

    def features(self, batch: Batch) -> Floats:
        """Return the features (U, F) of a batch's words that their neighbours and mentions use.

        These are the context features (see ``DocumentContext.word_features``) and the linear part's scores,
        if the model has them.

        Raises:
            InputError: As for ``vectors``.
        """
        features = [np.zeros((len(batch.words), 0), np.float32)]
        if self.context:
            features.append(self.context.word_features(self._embed(batch.words), batch.casing))
        if self.linear:
            features.append(self.linear.word_scores(batch))
        return np.concatenate(features, axis=1)

    def inputs(self, batch: Batch) -> Floats:
        """Return the encoder's inputs (B, T, ``input_size``): word vectors and context features.

        Raises:
            InputError: As for ``vectors``.
        """
        vectors = self.vectors(batch)[batch.positions]
        inputs = np.zeros((*batch.positions.shape, self.input_size), np.float32)
        inputs[:, :, : vectors.shape[2]] = vectors
        if batch.context and len(batch.context.tokens):
            flat = inputs.reshape(-1, self.input_size)
            flat[batch.context.tokens, vectors.shape[2] :] = self._context_features(batch.context)
        return inputs

    def batch_token_inputs(self, batch: Batch) -> TokenInputs | None:
        """Return the context features of a batch's tokens, in the order of its sentences, if it has any."""
        if not self.context or not batch.context or not len(batch.context.tokens):
            return None
        indices = (np.cumsum(batch.mask) - 1)[batch.context.tokens]
        return self.context.at_tokens(indices, self._context_features(batch.context), int(batch.mask.sum()))

    def _context_features(self, occurrences: BatchContext) -> Floats:
        """Return the context features (N, F) of a batch's tokens, see ``aggregate``."""
        assert self.context
        ids = np.concatenate([occurrences.left, occurrences.right])
        word_features = self.context.word_features(self._embed(ids), np.concatenate([occurrences.casing] * 2))
        count = len(occurrences.left)
        own, neighbours = np.arange(count), np.arange(count, 2 * count)
        left = np.where(occurrences.left == PADDING, -1, own)
        right = np.where(occurrences.right == PADDING, -1, neighbours)
        features = self.context.occurrence_features(word_features, left, own, right)
        return aggregate(features, occurrences.words, occurrences.own)

    def _embed(self, words: Ints) -> Floats:
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

    def convolve(self, batch: Batch) -> Floats:
        """Return the features (U, filters) of a batch's words, see ``network.words.CharacterCnn``."""
        widths = range(len(self._config.character_width))
        features = [self._convolve(number, batch.characters, batch.word_lengths) for number in widths]
        return np.concatenate(features, axis=1)

    def _convolve(self, number: int, characters: Ints, lengths: Ints) -> Floats:
        """Map character ids (U, L) to features (U, filters) of one filter width."""
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

    @cached_property
    def _character_layer(self) -> Layer:
        """The LSTM of the character network ``lstm``."""
        return Layer.from_tensors(self._tensors, CHARACTER_LSTM, BOTH)

    def read_characters(self, batch: Batch) -> Floats:
        """Return the features (U, 2H) of a batch's words, see ``network.words.CharacterLstm``."""
        characters, lengths = batch.characters, batch.word_lengths
        projected = self._character_layer.project(self._tensors["words.characters.embedding.weight"])
        is_character = np.arange(characters.shape[1]) < lengths[:, None]
        forward, backward = self._character_layer.outputs(
            projected, characters[is_character], PackedSlots.pack(lengths)
        )
        ends = np.cumsum(lengths)
        return np.concatenate([forward[ends - 1], backward[ends - lengths]], axis=1)


CHARACTER_FEATURES: dict[Characters, Callable[[WordInputs, Batch], Floats] | None] = {
    "cnn": WordInputs.convolve,
    "lstm": WordInputs.read_characters,
    "none": None,
}
