"""The update of a table of vectors of which a step needs few rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Steps after which all rows are brought up to date: each step goes through what is kept of those before it.
SPAN = 4096


class LazyRows:
    """SGD with momentum over a table, and the table's moving average, at the cost of a batch's rows.

    The gradient of a row is zero unless the batch has its word. What a row goes through meanwhile is linear
    in its velocity v, weight w and average a, and the same for all rows: after some steps v has become
    ``kept`` v, w has become w - ``moved`` v, and a has become ``held`` a + (1 - ``held``) w - ``lagged`` v.
    So these four numbers are kept for each earlier step, and a row makes up for all steps that it missed when
    a batch needs it. What comes out is, up to rounding, that of ``torch.optim.SGD`` and ``WeightAverage``.

    Args:
        weight: (V, D) the table, a leaf whose gradient is sparse.
        momentum: Share of the velocity that is kept a step.
        is_averaged: Whether there is a moving average.

    Attributes:
        batch: (R, D) the weights of the present batch's rows; its ``grad`` is what a step follows.
        average: (V, D) the moving average, or None. Like the weights it lags behind until ``settle``.
    """

    def __init__(self, weight: Tensor, momentum: float, *, is_averaged: bool) -> None:
        self._leaf = weight
        self._weight = weight.detach()
        self._momentum = momentum
        self._velocity = torch.zeros_like(self._weight) if momentum else None
        self.average = self._weight.clone() if is_averaged else None
        self._begin_span()

    def _begin_span(self) -> None:
        self._steps = 0
        self._seen = np.zeros(len(self._weight), np.int64)  # (V,) the step that each row is up to date with
        self._course = np.zeros((4, SPAN + 1))  # kept, moved, held and lagged since each step
        self._course[:, 0] = (1.0, 0.0, 1.0, 0.0)

    def look_up(self, rows: NDArray[np.int64]) -> None:
        """Bring a batch's rows up to date, before its loss is computed; a row may come more than once."""
        self._numbers = np.unique(rows)
        self._rows = torch.from_numpy(self._numbers).to(self._weight.device)
        self.batch, self._batch_velocity, self._batch_average = self._catch_up(self._numbers, self._rows)
        self._weight.index_copy_(0, self._rows, self.batch)
        self._leaf.grad = None

    def _catch_up(
        self, numbers: NDArray[np.int64], rows: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Weight, velocity and average of some rows as they are now, (R, D) each."""
        weight = self._weight.index_select(0, rows)
        velocity = None if self._velocity is None else self._velocity.index_select(0, rows)
        average = None if self.average is None else self.average.index_select(0, rows)
        course = self._course[:, self._seen[numbers], None]  # (4, R, 1)
        kept, moved, held, lagged = torch.from_numpy(course).to(weight)
        if average is not None:
            average = torch.lerp(weight, average, held)
            if velocity is not None:
                average.addcmul_(lagged, velocity, value=-1.0)
        if velocity is not None:
            weight.addcmul_(moved, velocity, value=-1.0)
            velocity.mul_(kept)
        return weight, velocity, average

    def collect_gradient(self) -> None:
        """Move the gradient that the table got to the batch's rows."""
        if self._leaf.grad is None:
            return
        gradient = self._leaf.grad.coalesce()
        self.batch.grad = torch.zeros_like(self.batch)
        self.batch.grad[torch.searchsorted(self._rows, gradient.indices()[0])] = gradient.values()
        self._leaf.grad = None

    def step(self, rate: float, decay: float) -> None:
        """Update the batch's rows by their gradient.

        Args:
            rate: Step size.
            decay: Share of the average that is kept; plays no part without one.
        """
        weight, velocity, average = self.batch, self._batch_velocity, self._batch_average
        change = weight.grad
        assert change is not None
        if velocity is not None and self._velocity is not None:
            change = velocity.mul_(self._momentum).add_(change)
            self._velocity.index_copy_(0, self._rows, velocity)
        weight.sub_(change, alpha=rate)
        self._weight.index_copy_(0, self._rows, weight)
        if average is not None and self.average is not None:
            self.average.index_copy_(0, self._rows, average.lerp_(weight, 1.0 - decay))
        self._extend_course(rate, decay)
        self._seen[self._numbers] = self._steps
        if self._steps == SPAN:
            self.settle()

    def _extend_course(self, rate: float, decay: float) -> None:
        kept, moved, held, lagged = self._course[:, : self._steps + 1]
        kept *= self._momentum
        moved += rate * kept
        held *= decay
        lagged *= decay
        lagged += (1.0 - decay) * moved
        self._steps += 1
        self._course[:, self._steps] = (1.0, 0.0, 1.0, 0.0)

    def settle(self) -> None:
        """Bring all rows up to date."""
        if self._velocity is not None or self.average is not None:
            numbers = np.flatnonzero(self._seen < self._steps)
            rows = torch.from_numpy(numbers).to(self._weight.device)
            weight, velocity, average = self._catch_up(numbers, rows)
            self._weight[rows] = weight
            if velocity is not None and self._velocity is not None:
                self._velocity[rows] = velocity
            if average is not None and self.average is not None:
                self.average[rows] = average
        self._begin_span()

    def state(self) -> dict[str, Tensor]:
        """All but the weights, as ``load_state`` takes it: rows lag behind in it as they do here."""
        course = self._course[:, : self._steps + 1]
        tensors = {"seen": torch.from_numpy(self._seen), "course": torch.from_numpy(course)}
        tables = {"velocity": self._velocity, "average": self.average}
        return tensors | {name: table for name, table in tables.items() if table is not None}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go back to where ``state`` was taken; the weights have to be those of then.

        Raises:
            ValueError: A row would be ahead of the steps, or before them.
        """
        seen, steps = state["seen"], state["course"].shape[1] - 1
        if len(seen) and not 0 <= int(seen.min()) <= int(seen.max()) <= steps:
            raise ValueError(f"rows.seen must be from 0 to {steps}")
        if self._velocity is not None:
            self._velocity.copy_(state["velocity"])
        if self.average is not None:
            self.average.copy_(state["average"])
        self._steps = steps
        self._course[:, : steps + 1] = state["course"].numpy()
        self._seen[:] = seen.numpy()
