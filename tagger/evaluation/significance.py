"""How sure a difference is: intervals over seeds, randomisation over sentences, correction for many tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

_BLOCK_NUMBERS = 1 << 22  # numbers of a block of trials that are in memory at once, 8 bytes each
_ROUNDING = 1e-12  # scores that differ by less are equal: they are sums of the same numbers


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


def estimate_difference(base: Sequence[float], other: Sequence[float]) -> Estimate:
    """Estimate how much larger the values of other are, each paired with one of the base.

    Args:
        base: One or more values, for instance a score a seed.
        other: As many, in the same order.

    Raises:
        ValueError: There are no values, or not as many on both sides.
    """
    return estimate([second - first for first, second in zip(base, other, strict=True)])


def randomisation_test(
    base: NDArray[np.int64], other: NDArray[np.int64], *, trials: int = 10_000, seed: int = 0
) -> float:
    """Probability of a difference as large as this one, or larger, if both systems were equally good.

    Approximate randomisation (Noreen 1989; Yeh 2000, "More accurate tests for the statistical significance
    of result differences", COLING): if it does not matter which system an output came from, the two outputs
    for a sentence may be exchanged. Every trial does so for each sentence with probability 1/2. What is
    exchanged are the outputs of all seeds together (seed i of base with seed i of other), since the seeds of
    a system err in the same sentences and are no independent evidence. The statistic is the absolute
    difference of the mean score over seeds; a score is that of the counts of all sentences together.

    Args:
        base: (K, S, 3) for K seeds and S sentences the items that are right, predicted and gold. A score is
            2 right / (predicted + gold): F1, or accuracy where a token is one predicted and one gold item.
        other: (K, S, 3) the same of the other system, in the same order.
        trials: Random exchanges; the p-value is at least 1 / (1 + trials).
        seed: Of the random numbers.

    Returns:
        The two-sided p-value, (1 + trials at least as extreme) / (1 + trials).

    Raises:
        ValueError: Both do not have the same shape.
    """
    if base.shape != other.shape or base.ndim != 3 or base.shape[2] != 3:
        raise ValueError(f"expected two arrays (K, S, 3) of one shape, got {base.shape} and {other.shape}")
    of_base, of_other = base.sum(axis=1), other.sum(axis=1)  # (K, 3)
    smallest = abs(_mean_score(of_other) - _mean_score(of_base)) - _ROUNDING
    change = np.moveaxis(other - base, 1, 0)  # (S, K, 3)
    change = change[change.any(axis=(1, 2))]  # where both are alike an exchange changes nothing
    flat = change.reshape(len(change), of_base.size).astype(np.float64)  # (S, K * 3)
    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK_NUMBERS // max(1, len(flat)))
    extreme = 0
    for first in range(0, trials, block):
        size = (min(block, trials - first), len(flat))
        is_exchanged = generator.integers(0, 2, size=size, dtype=np.int8).astype(np.float64)
        moved = (is_exchanged @ flat).reshape(-1, *of_base.shape)  # (trials, K, 3)
        difference = _mean_score(of_other - moved) - _mean_score(of_base + moved)
        extreme += int(np.count_nonzero(np.abs(difference) >= smallest))
    return (1 + extreme) / (1 + trials)


def correct_p_values(p_values: Sequence[float]) -> list[float]:
    """Correct the p-values of several tests so that all of them hold together (Holm 1979).

    The smallest of n is multiplied by n, the next by n - 1, and so on; none gets smaller than the one
    before it, or larger than 1.

    Args:
        p_values: One of each test.

    Returns:
        The corrected ones, in the same order.
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected


def _mean_score(counts: NDArray[Any]) -> NDArray[np.float64]:
    """Mean over seeds of the score of (…, K, 3) counts; 0 where there is nothing to count."""
    items = counts[..., 1] + counts[..., 2]
    scores = np.divide(2 * counts[..., 0], items, out=np.zeros(items.shape), where=items > 0)
    return np.asarray(scores.mean(axis=-1))
