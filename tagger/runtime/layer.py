"""One layer of LSTMs with its directions side by side, as ``recurrence`` reads sentences with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tagger.runtime.recurrence import HiddenWeights, Lanes, Precision, TokenInputs, project, read

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class Additions(NamedTuple):
    """Features of some tokens of N, in addition to those of their words.

    Attributes:
        places: (M,) indices of the tokens.
        features: (M, F).
        weights: (D, F, 4H) input weights of the features.
    """

    places: Ints
    features: Floats
    weights: Floats


@dataclass(frozen=True, slots=True)
class Layer:
    """The weights of D directions of H units.

    Attributes:
        is_backward: For each direction whether it reads from the last token to the first.
        input_weights: (E, D * 4H).
        bias: (D * 4H,).
        hidden_weights: What the states are multiplied with.
    """

    is_backward: tuple[bool, ...]
    input_weights: Floats
    bias: Floats
    hidden_weights: HiddenWeights

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, Floats], name: str, directions: Sequence[str], precision: Precision = "f32"
    ) -> Layer:
        """Take the tensors of the ``nn.LSTM`` of each direction."""
        names = [f"{name}.{direction}_lstm" for direction in directions]
        # onnxruntime would copy what is not in rows, at every call.
        hidden = np.stack([np.ascontiguousarray(tensors[f"{one}.weight_hh_l0"].T) for one in names])
        weights = HiddenWeights(hidden)
        return cls(
            tuple(direction == "backward" for direction in directions),
            np.ascontiguousarray(np.concatenate([tensors[f"{one}.weight_ih_l0"].T for one in names], axis=1)),
            np.concatenate([tensors[f"{one}.bias_ih_l0"] + tensors[f"{one}.bias_hh_l0"] for one in names]),
            weights.rounded() if precision == "int8" else weights,
        )

    @property
    def width(self) -> int:
        """Numbers of a projected input: D * 4H."""
        return len(self.bias)

    def project(self, inputs: Floats) -> Floats:
        """(N, E) inputs to (N, D * 4H), the part of the gates that does not depend on the recurrence."""
        return project(inputs, self.input_weights, self.bias)

    def outputs(
        self, projected: Floats, tokens: Ints, lanes: Lanes, additions: Additions | None = None
    ) -> list[Floats]:
        """For each direction what it puts out (N, H) for every token of some sentences.

        Args:
            projected: (U, D * 4H) projected inputs.
            tokens: (N,) which row of ``projected`` each token has.
            lanes: How the sentences lie.
            additions: Features of single tokens.
        """
        return self._read(projected, tokens, lanes, None, additions)

    def scores(
        self,
        projected: Floats,
        tokens: Ints,
        lanes: Lanes,
        heads: Floats,
        additions: Additions | None = None,
    ) -> Floats:
        """(N, C) the sum over the directions of ``outputs`` times ``heads`` (D, H, C)."""
        first, *others = self._read(projected, tokens, lanes, heads, additions)
        for other in others:
            first += other
        return first

    def _read(
        self,
        projected: Floats,
        tokens: Ints,
        lanes: Lanes,
        heads: Floats | None,
        additions: Additions | None,
    ) -> list[Floats]:
        table = projected.reshape(len(projected) * len(self.is_backward), -1)
        rows, keep = lanes.rows(tokens, self.is_backward), lanes.keep(self.is_backward)
        own = None
        if additions is not None:
            numbers = np.full(len(tokens), -1)
            numbers[additions.places] = np.arange(len(additions.places))
            spread = lanes.spread(numbers, self.is_backward, -1)
            own = TokenInputs(spread, additions.features, additions.weights)
        found = read(table, rows, keep, self.hidden_weights, heads, own)
        return [lanes.pick(found, d, is_backward=back) for d, back in enumerate(self.is_backward)]
