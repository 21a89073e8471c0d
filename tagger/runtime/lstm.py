"""One LSTM read word by word in plain numpy, where the next word is not there yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Lstm:
    """One direction of one layer that reads word by word.

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
    def from_tensors(cls, tensors: Mapping[str, Floats], name: str, inputs: int | None = None) -> Lstm:
        """Take the four tensors of one ``nn.LSTM`` layer; of its inputs only the first so many, if said."""
        hidden = tensors[f"{name}.weight_hh_l0"]
        size = hidden.shape[1]
        scale = np.full(4 * size, 0.5, np.float32)
        scale[2 * size : 3 * size] = 1.0
        bias = tensors[f"{name}.bias_ih_l0"] + tensors[f"{name}.bias_hh_l0"]
        return cls(
            input_weights=np.ascontiguousarray(tensors[f"{name}.weight_ih_l0"].T[:inputs] * scale),
            hidden_weights=np.ascontiguousarray(hidden.T * scale),
            bias=bias * scale,
        )

    def project(self, inputs: Floats) -> Floats:
        """(N, D) inputs to (N, 4H), the part of the gates that does not depend on the recurrence."""
        return inputs @ self.input_weights + self.bias

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
