"""An LSTM in plain numpy that reads one word at a time, for streams."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tagger.config import MergeMode

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Lstm:
    """One direction of one layer.

    torch orders the gates input, forget, cell, output. Since sigmoid(x) = (tanh(x / 2) + 1) / 2, the weights
    of the three sigmoid gates are halved once, so that each step needs a single tanh over all gates.

    Attributes:
        input_weights: (D, 4H) input weights.
        hidden_weights: (H, 4H) recurrent weights.
        bias: (4H,) bias.
    """

    input_weights: Floats
    hidden_weights: Floats
    bias: Floats

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Floats], name: str, inputs: int | None = None) -> Lstm:
        """Create an LSTM from the tensors of an ``nn.LSTM``, optionally of its first ``inputs`` inputs."""
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
        """Project inputs (N, D) to the input contributions of the gates (N, 4H)."""
        return inputs @ self.input_weights + self.bias

    def step(self, projected: Floats, state: Floats, cell: Floats) -> None:
        """Read one token of B sequences.

        Args:
            projected: (B, 4H) projected inputs.
            state: (B, H) hidden state, updated in place.
            cell: (B, H) cell state, updated in place.
        """
        size = len(self.hidden_weights)
        gates = state @ self.hidden_weights
        gates += projected
        np.tanh(gates, out=gates)
        sigmoids = gates * 0.5 + 0.5
        cell *= sigmoids[:, size : 2 * size]
        cell += sigmoids[:, :size] * gates[:, 2 * size : 3 * size]
        np.multiply(sigmoids[:, 3 * size :], np.tanh(cell), out=state)


def merge(results: list[Floats], merge_mode: MergeMode) -> Floats:
    """Merge the outputs of one or two directions, as ``network.bilstm.merge`` does."""
    if len(results) == 1:
        return results[0]
    return MERGES[merge_mode](*results)


def _concatenate(forward: Floats, backward: Floats) -> Floats:
    return np.concatenate([forward, backward], axis=-1)


MERGES: dict[MergeMode, Callable[[Floats, Floats], Floats]] = {
    "concat": _concatenate,
    "sum": np.add,
    "mul": np.multiply,
    "ave": lambda forward, backward: (forward + backward) * np.float32(0.5),
}
