"""The time that a sentence takes to annotate, learnt from the seconds of annotated sentences."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tagger.errors import InputError

Doubles = NDArray[np.float64]

LEAST_OBSERVATIONS = 20  # annotated sentences from which a cost is fitted
_ROUNDS = 100  # of reweighting; it converges in about 30
_CUT = 3.0  # residuals of more robust standard deviations are pauses or slips
_SD_PER_MAD = 1.4826  # standard deviation of a normal distribution, in median absolute deviations


class AnnotationCost(NamedTuple):
    """The seconds to annotate a sentence of n tokens: ``per_sentence + per_token * n``.

    The cost is linear in the length of the sentence, as in Haertel et al. 2008 ("Assessing the costs of
    sampling methods in active learning for annotation"), without their term for corrections, which are not
    known before the annotation.

    Attributes:
        per_sentence: Seconds that any sentence takes, at least 0.
        per_token: Seconds that a token adds, at least 0. One of both is above 0.
    """

    per_sentence: float
    per_token: float

    def seconds(self, n_tokens: int) -> float:
        """Return the seconds of a sentence of ``n_tokens`` tokens."""
        return self.per_sentence + self.per_token * n_tokens


PRIOR = AnnotationCost(per_sentence=4.0, per_token=0.25)
"""The cost until there are enough observations. A token takes as long as silent reading, 238 words a minute
(Brysbaert 2019, "How many words do we read per minute?"); the seconds per sentence are an estimate."""


def require_cost(cost: AnnotationCost, name: str) -> AnnotationCost:
    """Return a cost whose seconds are finite, not negative, and not both 0.

    Args:
        cost: The cost.
        name: The argument's or option's name.

    Raises:
        InputError: The seconds are out of bounds.
    """
    if not all(math.isfinite(value) and value >= 0 for value in cost) or not any(cost):
        raise InputError(
            f"{name} must be seconds of at least 0, not both 0 (got {cost.per_sentence:g} a sentence and "
            f"{cost.per_token:g} a token). Pass positive numbers.",
            code="option.value",
            option=name,
        )
    return cost


def fit_cost(n_tokens: ArrayLike, seconds: ArrayLike) -> AnnotationCost:
    """Fit the cost of a sentence to observed times.

    Pauses would dominate plain least squares. A fit of least absolute deviations, which is robust to them,
    therefore finds the observations to use: those with a residual of at most 3 standard deviations, estimated
    by the median absolute residual. Least squares fits these (Rousseeuw and Leroy 1987, "Robust regression
    and outlier detection", chapter 1, reweighted least squares).

    Args:
        n_tokens: (N,) numbers of tokens.
        seconds: (N,) seconds, above 0.

    Returns:
        The cost; ``PRIOR`` for fewer than ``LEAST_OBSERVATIONS`` observations.
    """
    lengths, times = np.asarray(n_tokens, np.float64), np.asarray(seconds, np.float64)
    if len(lengths) < LEAST_OBSERVATIONS:
        return PRIOR
    residuals = _residuals(lengths, times, _least_absolute(lengths, times))
    limit = _CUT * _SD_PER_MAD * float(np.median(np.abs(residuals)))
    # Rounding errors of an exact fit must not exclude observations.
    is_used = np.abs(residuals) <= max(limit, 1e-9 * float(times.max()))
    return _least_squares(lengths[is_used], times[is_used], np.ones(int(is_used.sum())))


def _residuals(lengths: Doubles, times: Doubles, cost: AnnotationCost) -> Doubles:
    return times - cost.per_sentence - cost.per_token * lengths


def _least_absolute(lengths: Doubles, times: Doubles) -> AnnotationCost:
    """Fit least absolute deviations by iteratively reweighted least squares."""
    cost = _least_squares(lengths, times, np.ones(len(times)))
    smallest = 1e-6 * float(times.max())  # of residuals: an observation on the line has a finite weight
    for _ in range(_ROUNDS):
        weights = 1.0 / np.maximum(np.abs(_residuals(lengths, times, cost)), smallest)
        cost = _least_squares(lengths, times, weights)
    return cost


def _least_squares(lengths: Doubles, times: Doubles, weights: Doubles) -> AnnotationCost:
    """Fit weighted least squares with neither coefficient below 0."""
    length, time = np.average(lengths, weights=weights), np.average(times, weights=weights)
    variance = np.average((lengths - length) ** 2, weights=weights)
    covariance = np.average((lengths - length) * (times - time), weights=weights)
    per_token = float(covariance / variance) if variance > 0 else 0.0
    if per_token <= 0:  # the best cost in bounds is on the border of a negative coefficient
        return AnnotationCost(float(time), 0.0)
    if time < per_token * length:
        squares = np.average(lengths**2, weights=weights)
        return AnnotationCost(0.0, float(np.average(lengths * times, weights=weights) / squares))
    return AnnotationCost(float(time - per_token * length), per_token)
