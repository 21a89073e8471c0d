"""Statistical significance: intervals over seeds and sentences, randomisation tests, multiple tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

_BLOCK_NUMBERS = 1 << 22  # maximum size of a block of trials in memory, in numbers of 8 bytes
_ROUNDING = 1e-12  # smaller differences between scores are rounding errors


@dataclass(frozen=True, slots=True)
class Estimate:
    """Mean of a few values with its confidence interval.

    Attributes:
        mean: Mean of the values.
        deviation: Standard deviation of the values (n - 1); None for a single value.
        low: Lower end of the confidence interval of the mean (Student's t, by default 95 %); None for a
            single value.
        high: Upper end of the interval; None for a single value.
        values: The values.
    """

    mean: float
    deviation: float | None
    low: float | None
    high: float | None
    values: Sequence[float]


def estimate(values: Sequence[float], *, confidence: float = 0.95) -> Estimate:
    """Compute mean, standard deviation and confidence interval by Student's t (Student 1908).

    Args:
        values: One or more values, for instance one score per seed.
        confidence: Share of such intervals that contain the true mean.

    Raises:
        ValueError: There are no values.
    """
    if not values:
        raise ValueError("expected at least one value, got none")
    mean = float(np.mean(values))
    if len(values) == 1:
        return Estimate(mean, None, None, None, tuple(values))
    deviation = float(np.std(values, ddof=1))
    margin = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1)) * deviation / len(values) ** 0.5
    return Estimate(mean, deviation, mean - margin, mean + margin, tuple(values))


def estimate_difference(base: Sequence[float], other: Sequence[float]) -> Estimate:
    """Estimate the mean paired difference, other minus base.

    Args:
        base: One or more values, for instance one score per seed.
        other: The same number of values, in the same order.

    Raises:
        ValueError: There are no values, or the numbers of values differ.
    """
    return estimate([second - first for first, second in zip(base, other, strict=True)])


def randomisation_test(
    base: NDArray[np.int64], other: NDArray[np.int64], *, trials: int = 10_000, seed: int = 0
) -> float:
    """Return the p-value of the difference between two systems by approximate randomisation.

    Approximate randomisation (Noreen 1989; Yeh 2000, "More accurate tests for the statistical significance of
    result differences", COLING): under the null hypothesis both systems are equally good, so their outputs
    for a sentence are exchangeable. Every trial exchanges the outputs of each sentence with probability 1/2.
    It exchanges the outputs of all seeds together (seed i of base with seed i of other), because the seeds of
    one system err in the same sentences and are not independent evidence. The statistic is the absolute
    difference of the mean score over seeds; each score is micro-averaged over all sentences.

    Args:
        base: (K, S, 3) for K seeds and S sentences the numbers of correct, predicted and gold items. A score
            is 2 correct / (predicted + gold): F1, or accuracy if a token is one predicted and one gold item.
        other: (K, S, 3) the same for the other system, in the same order.
        trials: Number of random exchanges; the p-value is at least 1 / (1 + trials).
        seed: Seed of the random number generator.

    Returns:
        The two-sided p-value, (1 + trials at least as extreme) / (1 + trials).

    Raises:
        ValueError: The arrays do not have the same shape (K, S, 3).
    """
    if base.shape != other.shape or base.ndim != 3 or base.shape[2] != 3:
        raise ValueError(f"expected two arrays (K, S, 3) of one shape, got {base.shape} and {other.shape}")
    base_counts, other_counts = base.sum(axis=1), other.sum(axis=1)  # (K, 3)
    observed = abs(_mean_score(other_counts) - _mean_score(base_counts)) - _ROUNDING
    change = np.moveaxis(other - base, 1, 0)  # (S, K, 3)
    change = change[change.any(axis=(1, 2))]  # exchanging equal outputs has no effect
    flat = change.reshape(len(change), base_counts.size).astype(np.float64)  # (S, K * 3)
    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK_NUMBERS // max(1, len(flat)))
    extreme = 0
    for first in range(0, trials, block):
        size = (min(block, trials - first), len(flat))
        is_exchanged = generator.integers(0, 2, size=size, dtype=np.int8).astype(np.float64)
        moved = (is_exchanged @ flat).reshape(-1, *base_counts.shape)  # (trials, K, 3)
        difference = _mean_score(other_counts - moved) - _mean_score(base_counts + moved)
        extreme += int(np.count_nonzero(np.abs(difference) >= observed))
    return (1 + extreme) / (1 + trials)


def bootstrap_interval(
    counts: NDArray[np.int64],
    base: NDArray[np.int64] | None = None,
    *,
    confidence: float = 0.95,
    trials: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Compute the bootstrap interval of a score, or of the paired difference of two scores.

    Percentile interval (Efron and Tibshirani 1993, "An introduction to the bootstrap", section 13.3): every
    trial draws as many sentences with replacement. For a difference, both systems get the same sentences
    (Koehn 2004, "Statistical significance tests for machine translation evaluation", section 4).

    Args:
        counts: (S, 3) for S sentences the numbers of correct, predicted and gold items (see
            ``randomisation_test``).
        base: (S, 3) the same for another system, whose score is subtracted.
        confidence: Share of such intervals that contain the true value, approximately.
        trials: Number of samples.
        seed: Seed of the random number generator.

    Returns:
        The lower and the upper end.

    Raises:
        ValueError: There are no sentences, or the shapes differ.
    """
    if not len(counts) or (base is not None and base.shape != counts.shape):
        got = "none" if base is None else f"the shapes {counts.shape} and {base.shape}"
        raise ValueError(f"expected counts of at least one sentence and one shape, got {got}")
    generator = np.random.default_rng(seed)
    shares = np.full(len(counts), 1 / len(counts))
    block = max(1, _BLOCK_NUMBERS // len(counts))
    values: list[NDArray[np.float64]] = []
    for first in range(0, trials, block):
        drawn = generator.multinomial(len(counts), shares, size=min(block, trials - first))  # (trials, S)
        scores = _mean_score((drawn @ counts)[:, None])
        values.append(scores if base is None else scores - _mean_score((drawn @ base)[:, None]))
    low, high = np.quantile(np.concatenate(values), [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def correct_p_values(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for multiple tests by the method of Holm (1979).

    The smallest of n p-values is multiplied by n, the next by n - 1, and so on. Corrected values never
    decrease in this order and never exceed 1.

    Args:
        p_values: One p-value per test.

    Returns:
        The corrected p-values, in the same order.
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def _mean_score(counts: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean score over K seeds of counts (…, K, 3); a score without items is 0."""
    items = counts[..., 1] + counts[..., 2]
    scores = np.divide(2 * counts[..., 0], items, out=np.zeros(items.shape), where=items > 0)
    return np.asarray(scores.mean(axis=-1))
