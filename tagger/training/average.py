"""An exponential moving average of a model's weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class WeightAverage:
    """Keeps average = decay * average + (1 - decay) * weights (Tarvainen and Valpola 2017, section 2).

    torch's ``AveragedModel`` does the same but also copies every buffer a step, and the fixed word vectors
    are a buffer of tens of megabytes. Early on the decay is lower, (1 + n) / (10 + n), so that the first
    weights are soon forgotten.

    Args:
        model: The model whose weights are followed.
        decay: Share of the average that is kept a step.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self._followed = [parameter.detach() for parameter in model.parameters()]
        self.weights: list[Tensor] = [weight.clone() for weight in self._followed]

    def update(self) -> None:
        """Take the present weights in."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self.weights, self._followed, 1.0 - decay)

    def swap(self) -> None:
        """Exchange weights and average in place; calling it again puts them back."""
        for weight, average in zip(self._followed, self.weights, strict=True):
            kept = weight.clone()
            weight.copy_(average)
            average.copy_(kept)
