"""An exponential moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


class WeightAverage:
    """Keeps average = decay * average + (1 - decay) * weights (Tarvainen and Valpola 2017, section 2).

    torch's ``AveragedModel`` does the same but also copies every buffer a step, and the fixed word vectors
    are a buffer of tens of megabytes. Early on the decay is lower, (1 + n) / (10 + n), so that the first
    weights are soon forgotten.

    Args:
        parameters: The weights that are followed.
        decay: Share of the average that is kept a step.
        elsewhere: Weights whose average is kept up to date elsewhere, and that average.
    """

    def __init__(
        self, parameters: Iterable[Tensor], decay: float, elsewhere: Iterable[tuple[Tensor, Tensor]] = ()
    ) -> None:
        self._highest_decay = decay
        self.updates = 0
        self._followed = [parameter.detach() for parameter in parameters]
        self.weights: list[Tensor] = [weight.clone() for weight in self._followed]
        self._elsewhere = [(weight.detach(), average) for weight, average in elsewhere]

    @property
    def decay(self) -> float:
        """Share of the average that the latest update kept."""
        return min(self._highest_decay, (1 + self.updates) / (10 + self.updates))

    def update(self) -> None:
        """Take the present weights in."""
        self.updates += 1
        torch._foreach_lerp_(self.weights, self._followed, 1.0 - self.decay)

    def swap(self) -> None:
        """Exchange weights and average in place; calling it again puts them back."""
        for weight, average in [*zip(self._followed, self.weights, strict=True), *self._elsewhere]:
            kept = weight.clone()
            weight.copy_(average)
            average.copy_(kept)
