"""Context features without torch, equal to those of ``network.document_context``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tagger.features.context_index import Occurrences, aggregate
from tagger.features.vocab import PADDING
from tagger.features.word_forms import CASINGS
from tagger.runtime.recurrence import TokenInputs, project

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class DocumentContext:
    """Compute context features of words from their other occurrences in a document.

    Args:
        tensors: All tensors of a bundle.
        weights: (2R + ``EXTRAS``, D * 4H) the first layer's input weights of the context features.
        directions: D, the number of directions.

    Attributes:
        weights: (D, 2R + ``EXTRAS``, 4H) the weights of each direction.
        feature_size: Size of a word's features: 2R + number of casings.
    """

    def __init__(self, tensors: Mapping[str, Floats], weights: Floats, directions: int) -> None:
        sides = [tensors[f"context.{side}.weight"].T for side in ("left", "right")]
        self._sides = np.ascontiguousarray(np.concatenate(sides, axis=1))  # (D, 2R)
        by_direction = weights.reshape(len(weights), directions, -1).swapaxes(0, 1)
        self.weights = np.ascontiguousarray(by_direction)
        self._no_bias_sides = np.zeros(self._sides.shape[1], np.float32)
        self.feature_size = self._sides.shape[1] + len(CASINGS)

    def word_features(self, embeddings: Floats, casing: Ints) -> Floats:
        """Compute the features that words contribute to occurrences.

        Args:
            embeddings: (U, D) word embeddings.
            casing: (U,) casing ids.

        Returns:
            (U, 2R + casings) features as left neighbour (R), as right neighbour (R), and as the occurrence.
        """
        sides = project(embeddings, self._sides, self._no_bias_sides)
        return np.concatenate([sides, np.eye(len(CASINGS), dtype=np.float32)[casing]], axis=1)

    def occurrence_features(self, word_features: Floats, left: Ints, own: Ints, right: Ints) -> Floats:
        """Return the features (M, 2R + casings) of M occurrences.

        Args:
            word_features: (U, 2R + casings) features of words, see the method ``word_features``.
            left: (M,) row of the word before each occurrence, -1 at the beginning of its sentence.
            own: (M,) row of the occurrence's own word.
            right: (M,) row of the word after the occurrence, -1 at the end of its sentence.
        """
        size = self._sides.shape[1] // 2
        features = np.empty((len(own), self.feature_size), np.float32)
        features[:, :size] = word_features[left, :size]
        features[:, size : 2 * size] = word_features[right, size : 2 * size]
        features[:, 2 * size :] = word_features[own, 2 * size :]
        features[left < 0, :size] = 0.0
        features[right < 0, size : 2 * size] = 0.0
        # The casing of a sentence's first word carries little information.
        features[left < 0, 2 * size :] = np.eye(len(CASINGS), dtype=np.float32)[PADDING]
        return features

    def token_inputs(
        self, word_features: Floats, tokens: Ints, lengths: Ints, occurrences: Occurrences
    ) -> TokenInputs:
        """Return the context features of all tokens that have other occurrences.

        Args:
            word_features: (U, 2R + casings) features of words.
            tokens: (N,) row of each token in ``word_features``.
            lengths: (S,) sentence lengths, N in total.
            occurrences: Occurrences of the tokens.
        """
        indices = occurrences.indices
        begins, ends = np.zeros(len(tokens), np.bool_), np.zeros(len(tokens), np.bool_)
        last = np.cumsum(lengths)
        begins[last - lengths] = ends[last - 1] = True
        rows = tokens[indices]
        left = np.where(begins[indices], -1, tokens[indices - 1])
        right = np.where(ends[indices], -1, tokens[np.minimum(indices + 1, len(tokens) - 1)])
        features = self.occurrence_features(word_features, left, rows, right)
        aggregated = aggregate(features, occurrences.words, np.arange(len(indices)))
        return self.at_tokens(indices, aggregated, len(tokens))

    def at_tokens(self, indices: Ints, features: Floats, n_tokens: int) -> TokenInputs:
        """Return context features (M, F) as additional inputs of the tokens at ``indices`` (M,)."""
        rows = np.full(n_tokens, -1)
        rows[indices] = np.arange(len(indices))
        return TokenInputs(rows, features, self.weights)
