"""Emissions of the linear part without torch, equal to those of ``network.linear``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tagger.features.batching import Batch
from tagger.features.vocab import UNKNOWN
from tagger.features.word_forms import LINEAR_SCALE, NEIGHBOURS

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class LinearScores:
    """Compute the linear part's emissions of C tags, those of all tasks.

    Args:
        tensors: All tensors of a bundle.
        n_tasks: Number of tasks.

    Attributes:
        feature_size: 5C, the size of a word's scores: for a token, and for its neighbours.
    """

    def __init__(self, tensors: Mapping[str, Floats], n_tasks: int) -> None:
        parts = [f"linear.{number}" for number in range(n_tasks)]
        self._words = _combine([tensors[f"{part}.words.weight"] for part in parts], len(NEIGHBOURS))
        self._shapes = _combine([tensors[f"{part}.shapes.weight"] for part in parts], len(NEIGHBOURS))
        self._affixes = _combine([tensors[f"{part}.affixes.weight"] for part in parts], 1)
        self.feature_size = self._words.shape[1]

    def word_scores(self, batch: Batch) -> Floats:
        """Return the scores (U, 5C) that a batch's words add to the tags of a token at each distance."""
        ids = np.where(batch.words < len(self._words), batch.words, UNKNOWN)
        scores: Floats = self._words[ids] + self._shapes[batch.shapes].sum(1)
        scores[:, : self._affixes.shape[1]] += self._affixes[batch.affixes].sum(1)
        return scores

    def add_to(self, emissions: Floats, word_scores: Floats, tokens: Ints, lengths: Ints) -> None:
        """Add the scores to the emissions (N, C) of tokens.

        Args:
            emissions: (N, C), changed in place.
            word_scores: (U, 5C) as from ``word_scores``.
            tokens: (N,) row of each token in ``word_scores``.
            lengths: (S,) sentence lengths, N in total.
        """
        ends = np.cumsum(lengths)
        begins, ends = np.repeat(ends - lengths, lengths), np.repeat(ends, lengths)
        indices = np.arange(len(tokens))
        rows = word_scores[tokens].reshape(len(tokens), len(NEIGHBOURS), -1)
        for number, offset in enumerate(NEIGHBOURS):
            targets = indices - offset  # the tokens that have each token as this neighbour
            rows[(targets < begins) | (targets >= ends), number] = 0.0
            first, last = max(0, offset), len(tokens) + min(0, offset)
            emissions[first - offset : last - offset] += rows[first:last, number]


def _combine(tables: list[Floats], count: int) -> Floats:
    """Combine the tables (V, count * C) of all tasks, and scale them."""
    wide = [table.reshape(len(table), count, -1) for table in tables]
    return np.concatenate(wide, axis=2).reshape(len(tables[0]), -1) * np.float32(LINEAR_SCALE)
