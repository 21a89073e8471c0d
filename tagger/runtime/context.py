"""What the other mentions of a word in its document show of it: ``network.context`` without torch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tagger.features.mentions import Mentions, aggregate
from tagger.features.vocab import CASINGS, PADDING
from tagger.runtime.recurrence import project

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class DocumentContext:
    """The weights between what mentions show and the encoder's first layer.

    Args:
        tensors: All tensors of a bundle.
        weights: (2R + ``EXTRAS``, G) rows of the first layer's input weights that are of what mentions show.

    Attributes:
        shown_size: Numbers of what a word shows of its neighbours and of itself: 2R + number of casings.
    """

    def __init__(self, tensors: Mapping[str, Floats], weights: Floats) -> None:
        sides = [tensors[f"context.{side}.weight"].T for side in ("left", "right")]
        self._sides = np.ascontiguousarray(np.concatenate(sides, axis=1))  # (D, 2R)
        self._weights = np.ascontiguousarray(weights)
        self._no_bias = np.zeros(weights.shape[1], np.float32)
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

    def project(self, inputs: Floats) -> Floats:
        """(N, 2R + EXTRAS) what ``aggregate`` found to (N, G), its part of the first layer's gates."""
        return project(inputs, self._weights, self._no_bias)

    def extend(
        self, projected: Floats, shown: Floats, tokens: Ints, lengths: Ints, mentions: Mentions
    ) -> tuple[Floats, Ints]:
        """Give every token that has other mentions a row of its own.

        Args:
            projected: (U, G) projected inputs of words.
            shown: (U, 2R + casings) what they show.
            tokens: (N,) which row of both each token has.
            lengths: Tokens of each sentence, N in all.
            mentions: Those of the tokens.

        Returns:
            (U', G) projected inputs, and which row of them each token has.
        """
        places = mentions.places
        begins, ends = np.zeros(len(tokens), np.bool_), np.zeros(len(tokens), np.bool_)
        last = np.cumsum(lengths)
        begins[last - lengths] = ends[last - 1] = True
        rows = tokens[places]
        left = np.where(begins[places], -1, tokens[places - 1])
        right = np.where(ends[places], -1, tokens[np.minimum(places + 1, len(tokens) - 1)])
        features = self.features(shown, left, rows, right)
        added = self.project(aggregate(features, mentions.words, np.arange(len(places))))
        return add_rows(projected, tokens, places, added)


def add_rows(projected: Floats, tokens: Ints, places: Ints, added: Floats) -> tuple[Floats, Ints]:
    """A table with rows of their own for the tokens at some places, and for the others those they have.

    Args:
        projected: (U, G) rows of words; not changed.
        tokens: (N,) which row each token has.
        places: (M,) which tokens get rows of their own.
        added: (M, G) what comes on top of the rows that these have.

    Returns:
        (U', G) rows, only those that are needed, and which of them each token has.
    """
    is_alone = np.ones(len(tokens), np.bool_)
    is_alone[places] = False
    alone = tokens[is_alone]
    is_used = np.zeros(len(projected), np.bool_)
    is_used[alone] = True
    used = np.flatnonzero(is_used)
    table = np.empty((len(used) + len(added), projected.shape[1]), np.float32)
    # Without a mode that needs no checks numpy would make a copy of the output first.
    np.take(projected, used, axis=0, out=table[: len(used)], mode="clip")
    np.take(projected, tokens[places], axis=0, out=table[len(used) :], mode="clip")
    table[len(used) :] += added
    rows = np.empty(len(tokens), np.int64)
    rows[is_alone] = (np.cumsum(is_used) - 1)[alone]
    rows[places] = len(used) + np.arange(len(added))
    return table, rows
