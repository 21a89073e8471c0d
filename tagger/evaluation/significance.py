"""How sure a difference is: intervals over seeds, randomisation over sentences, correction for many tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over a few values, and how sure it is.

    Attributes:
        mean: Their mean.
        deviation: Their standard deviation (n - 1); None for a single value.
        low: Lower end of the 95 % interval of the mean by Student's t; None for a single value.
        high: Its upper end.
        values: The values.
    """

    mean: float
    deviation: float | None
    low: float | None
    high: float | None
    values: Sequence[float]


def estimate(values: Sequence[float], *, confidence: float = 0.95) -> Estimate:
    """Mean, standard deviation and the mean's interval by Student's t (Student 1908).

    Args:
        values: One or more, for instance a score a seed.
        confidence: Share of such intervals that hold the true mean.

    Raises:
        ValueError: There are no values.
    """
    if not values:
        raise ValueError("expected at least one value, got none")
    mean = float(np.mean(values))
    if len(values) == 1:
        return Estimate(mean, None, None, None, tuple(values))
    deviation = float(np.std(values, ddof=1))
    reach = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1)) * deviation / len(values) ** 0.5
    return Estimate(mean, deviation, mean - reach, mean + reach, tuple(values))
