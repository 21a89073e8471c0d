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

    Attributes:
        updates: Number of updates so far.
        weights: The averages, one for each parameter and of its shape.
    """

    def __init__(self, parameters: Iterable[Tensor], decay: float) -> None:
        self._max_decay = decay
        self.updates = 0
        self._parameters = [parameter.detach() for parameter in parameters]
        self.weights: list[Tensor] = [weight.clone() for weight in self._parameters]
        self._external: list[tuple[Tensor, Tensor]] = []

    def add(self, weight: Tensor, average: Tensor) -> None:
        """Include in ``swap`` a weight whose average another object updates."""
        self._external.append((weight.detach(), average))

    @property
    def next_decay(self) -> float:
        """Decay of the next update."""
        return min(self._max_decay, (2 + self.updates) / (11 + self.updates))

    def update(self) -> None:
        """Update the average with the current weights."""
        torch._foreach_lerp_(self.weights, self._parameters, 1.0 - self.next_decay)
        self.updates += 1

    def swap(self) -> None:
        """Swap weights and average in place; a second call restores them."""
        for weight, average in [*zip(self._parameters, self.weights, strict=True), *self._external]:
            copy = weight.clone()
            weight.copy_(average)
            average.copy_(copy)
