"""Exponential moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


class WeightAverage:
    """Tracks average = decay * average + (1 - decay) * weights (Tarvainen and Valpola 2017, section 2).

    torch's ``AveragedModel`` computes the same, but also copies every buffer in each step; the frozen word
    vectors are a buffer of tens of megabytes. The decay of update n is at most (1 + n) / (10 + n), so that
    the initial weights lose their influence quickly.

    Args:
        parameters: The weights to average.
        decay: Maximum decay per update.
        external: Pairs of weights and their average that another object updates; ``swap`` includes them.

    Attributes:
        updates: Number of updates so far.
        weights: The averages, one for each parameter and of its shape.
    """

    def __init__(
        self, parameters: Iterable[Tensor], decay: float, external: Iterable[tuple[Tensor, Tensor]] = ()
    ) -> None:
        self._max_decay = decay
        self.updates = 0
        self._parameters = [parameter.detach() for parameter in parameters]
        self.weights: list[Tensor] = [weight.clone() for weight in self._parameters]
        self._external = [(weight.detach(), average) for weight, average in external]

    @property
    def decay(self) -> float:
        """Decay of the latest update."""
        return min(self._max_decay, (1 + self.updates) / (10 + self.updates))

    def update(self) -> None:
        """Update the average with the current weights."""
        self.updates += 1
        torch._foreach_lerp_(self.weights, self._parameters, 1.0 - self.decay)

    def swap(self) -> None:
        """Swap weights and average in place; a second call restores them."""
        for weight, average in [*zip(self._parameters, self.weights, strict=True), *self._external]:
            copy = weight.clone()
            weight.copy_(average)
            average.copy_(copy)
