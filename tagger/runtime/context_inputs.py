"""The document context of words without torch, as ``network.document_context`` computes it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tagger.features.mentions import Mentions, aggregate
from tagger.features.vocab import CASINGS, PADDING
from tagger.runtime.layer import Additions
from tagger.runtime.recurrence import project

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class DocumentContext:
    """The weights between what mentions show and the encoder's first layer.

    Args:
        tensors: All tensors of a bundle.
        weights: (2R + ``EXTRAS``, D * 4H) rows of the first layer's input weights that are of what mentions
            show.
        directions: D.

    Attributes:
        weights: (D, 2R + ``EXTRAS``, 4H) the weights of each direction.
        shown_size: Numbers of what a word shows of its neighbours and of itself: 2R + number of casings.
    """

    def __init__(self, tensors: Mapping[str, Floats], weights: Floats, directions: int) -> None:
        sides = [tensors[f"context.{side}.weight"].T for side in ("left", "right")]
        self._sides = np.ascontiguousarray(np.concatenate(sides, axis=1))  # (D, 2R)
        by_direction = weights.reshape(len(weights), directions, -1).swapaxes(0, 1)
        self.weights = np.ascontiguousarray(by_direction)
        self._no_bias_sides = np.zeros(self._sides.shape[1], np.float32)
        self.shown_size = self._sides.shape[1] + len(CASINGS)

    def show(self, embeddings: Floats, casing: Ints) -> Floats:
        """What words show where they stand beside a mention, and where they are one.

        Args:
            embeddings: (U, D) word embeddings.
            casing: (U,) casing ids.

        Returns:
            (U, 2R + casings): as the word before a mention, as the word after it, and as the mention itself.
        """
        narrowed = project(embeddings, self._sides, self._no_bias_sides)
        return np.concatenate([narrowed, np.eye(len(CASINGS), dtype=np.float32)[casing]], axis=1)

    def features(self, shown: Floats, left: Ints, own: Ints, right: Ints) -> Floats:
        """(M, 2R + casings) what M mentions show.

        Args:
            shown: (U, 2R + casings) what words show, see ``show``.
            left: (M,) row of the word before each mention, -1 where it begins its sentence.
            own: (M,) row of its own word.
            right: (M,) row of the word after it, -1 where it ends its sentence.
        """
        size = self._sides.shape[1] // 2
        found = np.empty((len(own), self.shown_size), np.float32)
        found[:, :size] = shown[left, :size]
        found[:, size : 2 * size] = shown[right, size : 2 * size]
        found[:, 2 * size :] = shown[own, 2 * size :]
        found[left < 0, :size] = 0.0
        found[right < 0, size : 2 * size] = 0.0
        # How a word is written at a sentence's beginning says little.
        found[left < 0, 2 * size :] = np.eye(len(CASINGS), dtype=np.float32)[PADDING]
        return found

    def additions(self, shown: Floats, tokens: Ints, lengths: Ints, mentions: Mentions) -> Additions:
        """Return the features of every token that has other mentions.

        Args:
            shown: (U, 2R + casings) what words show.
            tokens: (N,) which row of ``shown`` each token has.
            lengths: Tokens of each sentence, N in all.
            mentions: Those of the tokens.
        """
        places = mentions.places
        begins, ends = np.zeros(len(tokens), np.bool_), np.zeros(len(tokens), np.bool_)
        last = np.cumsum(lengths)
        begins[last - lengths] = ends[last - 1] = True
        rows = tokens[places]
        left = np.where(begins[places], -1, tokens[places - 1])
        right = np.where(ends[places], -1, tokens[np.minimum(places + 1, len(tokens) - 1)])
        features = self.features(shown, left, rows, right)
        return Additions(places, aggregate(features, mentions.words, np.arange(len(places))), self.weights)
