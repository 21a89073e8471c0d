"""One LSTM layer with all of its directions, computed by ``recurrence``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tagger.runtime.recurrence import HiddenWeights, PackedSlots, Precision, TokenInputs, project, read

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Layer:
    """The weights of D directions with H units each.

    Attributes:
        is_backward: For each direction, True if it reads from the last token to the first.
        input_weights: (E, D * 4H) input weights.
        bias: (D * 4H,) bias.
        hidden_weights: The recurrent weights.
    """

    is_backward: tuple[bool, ...]
    input_weights: Floats
    bias: Floats
    hidden_weights: HiddenWeights

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, Floats], name: str, directions: Sequence[str], precision: Precision = "f32"
    ) -> Layer:
        """Create a layer from the tensors of each direction's ``nn.LSTM``."""
        names = [f"{name}.{direction}_lstm" for direction in directions]
        # onnxruntime would copy non-contiguous arrays at every call.
        hidden = np.stack([np.ascontiguousarray(tensors[f"{one}.weight_hh_l0"].T) for one in names])
        weights = HiddenWeights(hidden)
        return cls(
            tuple(direction == "backward" for direction in directions),
            np.ascontiguousarray(np.concatenate([tensors[f"{one}.weight_ih_l0"].T for one in names], axis=1)),
            np.concatenate([tensors[f"{one}.bias_ih_l0"] + tensors[f"{one}.bias_hh_l0"] for one in names]),
            weights.quantized() if precision == "int8" else weights,
        )

    @property
    def width(self) -> int:
        """Size of a projected input: D * 4H."""
        return len(self.bias)

    def project(self, inputs: Floats) -> Floats:
        """Project inputs (N, E) to the input contributions of all gates (N, D * 4H)."""
        return project(inputs, self.input_weights, self.bias)

    def outputs(
        self, projected: Floats, tokens: Ints, slots: PackedSlots, additions: TokenInputs | None = None
    ) -> list[Floats]:
        """Return each direction's outputs (N, H) for the tokens of sentences.

        Args:
            projected: (U, D * 4H) projected inputs.
            tokens: (N,) row of each token in ``projected``.
            slots: The packed sentences.
            additions: Additional inputs of single tokens, with ``rows`` (N,).
        """
        return self._read(projected, tokens, slots, None, additions)

    def scores(
        self,
        projected: Floats,
        tokens: Ints,
        slots: PackedSlots,
        heads: Floats,
        additions: TokenInputs | None = None,
    ) -> Floats:
        """Return (N, C): ``outputs`` times ``heads`` (D, H, C), summed over the directions."""
        first, *others = self._read(projected, tokens, slots, heads, additions)
        for other in others:
            first += other
        return first

    def _read(
        self,
        projected: Floats,
        tokens: Ints,
        slots: PackedSlots,
        heads: Floats | None,
        additions: TokenInputs | None,
    ) -> list[Floats]:
        table = projected.reshape(len(projected) * len(self.is_backward), -1)
        rows, reset_mask = slots.rows(tokens, self.is_backward), slots.reset_mask(self.is_backward)
        if additions is not None:
            additions = additions._replace(rows=slots.scatter(additions.rows, self.is_backward, -1))
        outputs = read(table, rows, reset_mask, self.hidden_weights, heads, additions)
        return [slots.gather(outputs, d, is_backward=back) for d, back in enumerate(self.is_backward)]
