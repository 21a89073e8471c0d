"""States of a contextual encoder as inputs of tokens, equal to those of ``network.state_mix``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tagger.runtime.recurrence import TokenInputs

Floats = NDArray[np.float32]


class StateInputs:
    """Mix the states of each token and add them to the inputs of the first layer.

    Args:
        tensors: All tensors of a bundle.
        weights: (D, W * 4H) the first layer's input weights of the states.
        directions: W, the number of directions.
    """

    def __init__(self, tensors: Mapping[str, Floats], weights: Floats, directions: int) -> None:
        exponentials = np.exp(tensors["states.mix"] - tensors["states.mix"].max())
        self._shares = (exponentials / exponentials.sum() * tensors["states.scale"]).astype(np.float32)
        by_direction = weights.reshape(len(weights), directions, -1).swapaxes(0, 1)
        self._weights = np.ascontiguousarray(by_direction)  # (W, D, 4H)

    def token_inputs(self, states: NDArray[np.float16], additions: TokenInputs | None) -> TokenInputs:
        """Return the mixed states of N tokens as their inputs, together with their context features.

        Args:
            states: (N, L, D) states of all tokens.
            additions: Context features of some of the tokens, or None.
        """
        mixed = np.einsum("nld,l->nd", states.astype(np.float32), self._shares)
        if additions is None:
            return TokenInputs(np.arange(len(mixed)), mixed, self._weights)
        width = additions.features.shape[1]
        features = np.zeros((len(mixed), width + mixed.shape[1]), np.float32)
        has_context = additions.rows >= 0
        features[has_context, :width] = additions.features[additions.rows[has_context]]
        features[:, width:] = mixed
        weights = np.concatenate([additions.weights, self._weights], axis=1)
        return TokenInputs(np.arange(len(mixed)), features, weights)
