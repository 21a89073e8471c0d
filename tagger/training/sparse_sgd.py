"""Lazy SGD for an embedding table: a step updates only the rows of its batch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Steps between two flushes of all rows. The cost of a step grows with the number of steps since the last one.
SPAN = 4096


class LazyRows:
    """SGD with momentum and a moving average of a table, at the cost of the batch's rows only.

    The gradient of a row is zero unless the batch contains its word. Updates with a zero gradient are linear
    in the row's velocity v, weight w and average a, with the same coefficients for all rows: some steps turn
    v into ``kept`` v, w into w - ``moved`` v, and a into ``held`` a + (1 - ``held``) w - ``lagged`` v. The
    class stores these four coefficients for each earlier step, and applies all missed steps to a row at once
    when a batch gathers it. Up to rounding, the result equals ``torch.optim.SGD`` and ``WeightAverage``.

    Args:
        weight: (V, D) the table, a leaf tensor with a sparse gradient.
        momentum: Momentum factor.
        is_averaged: True to keep a moving average.

    Attributes:
        batch: (R, D) weights of the current batch's rows; ``step`` uses its ``grad``.
        average: (V, D) moving average, or None. Like the weights, it is out of date until ``flush``.
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
        self._last_step = np.zeros(len(self._weight), np.int64)  # (V,) step of each row's latest update
        self._coefficients = np.zeros((4, SPAN + 1))  # kept, moved, held and lagged since each step
        self._coefficients[:, 0] = (1.0, 0.0, 1.0, 0.0)

    def gather(self, row_ids: NDArray[np.int64]) -> None:
        """Bring a batch's rows up to date; call this before computing its loss. Ids may repeat."""
        self._row_ids = np.unique(row_ids)
        self._rows = torch.from_numpy(self._row_ids).to(self._weight.device)
        self.batch, self._batch_velocity, self._batch_average = self._catch_up(self._row_ids, self._rows)
        self._weight.index_copy_(0, self._rows, self.batch)
        self._leaf.grad = None

    def _catch_up(
        self, row_ids: NDArray[np.int64], rows: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return the current weight, velocity and average of some rows, (R, D) each."""
        weight = self._weight.index_select(0, rows)
        velocity = None if self._velocity is None else self._velocity.index_select(0, rows)
        average = None if self.average is None else self.average.index_select(0, rows)
        coefficients = self._coefficients[:, self._last_step[row_ids], None]  # (4, R, 1)
        kept, moved, held, lagged = torch.from_numpy(coefficients).to(weight)
        if average is not None:
            average = torch.lerp(weight, average, held)
            if velocity is not None:
                average.addcmul_(lagged, velocity, value=-1.0)
        if velocity is not None:
            weight.addcmul_(moved, velocity, value=-1.0)
            velocity.mul_(kept)
        return weight, velocity, average

    def collect_gradient(self) -> None:
        """Move the table's sparse gradient to the batch's rows."""
        if self._leaf.grad is None:
            return
        gradient = self._leaf.grad.coalesce()
        self.batch.grad = torch.zeros_like(self.batch)
        self.batch.grad[torch.searchsorted(self._rows, gradient.indices()[0])] = gradient.values()
        self._leaf.grad = None

    def step(self, rate: float, decay: float) -> None:
        """Update the batch's rows with their gradient.

        Args:
            rate: Learning rate.
            decay: Decay of the moving average; ignored without one.
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
        self._update_coefficients(rate, decay)
        self._last_step[self._row_ids] = self._steps
        if self._steps == SPAN:
            self.flush()

    def _update_coefficients(self, rate: float, decay: float) -> None:
        kept, moved, held, lagged = self._coefficients[:, : self._steps + 1]
        kept *= self._momentum
        moved += rate * kept
        held *= decay
        lagged *= decay
        lagged += (1.0 - decay) * moved
        self._steps += 1
        self._coefficients[:, self._steps] = (1.0, 0.0, 1.0, 0.0)

    def flush(self) -> None:
        """Bring all rows up to date."""
        if self._velocity is not None or self.average is not None:
            row_ids = np.flatnonzero(self._last_step < self._steps)
            rows = torch.from_numpy(row_ids).to(self._weight.device)
            weight, velocity, average = self._catch_up(row_ids, rows)
            self._weight[rows] = weight
            if velocity is not None and self._velocity is not None:
                self._velocity[rows] = velocity
            if average is not None and self.average is not None:
                self.average[rows] = average
        self._begin_span()

    def state(self) -> dict[str, Tensor]:
        """Return all state except the weights, for ``load_state``; rows may be out of date in it."""
        coefficients = self._coefficients[:, : self._steps + 1]
        tensors = {"seen": torch.from_numpy(self._last_step), "course": torch.from_numpy(coefficients)}
        tables = {"velocity": self._velocity, "average": self.average}
        return tensors | {name: table for name, table in tables.items() if table is not None}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the state that ``state`` returned; the table must already have the weights of that time.

        Raises:
            ValueError: The step of a row is negative, or later than the last step.
        """
        last_step, steps = state["seen"], state["course"].shape[1] - 1
        if len(last_step) and not 0 <= int(last_step.min()) <= int(last_step.max()) <= steps:
            raise ValueError(f"rows.seen must be from 0 to {steps}")
        if self._velocity is not None:
            self._velocity.copy_(state["velocity"])
        if self.average is not None:
            self.average.copy_(state["average"])
        self._steps = steps
        self._coefficients[:, : steps + 1] = state["course"].numpy()
        self._last_step[:] = last_step.numpy()
