"""Temperature scaling (Guo et al. 2017), with one temperature per task."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tagger.decoding.crf import Posterior, forward_backward, path_scores
from tagger.decoding.viterbi import FloatArray, IntArray, Transitions, viterbi

LOWEST, HIGHEST = 0.1, 10.0
TOLERANCE = 1e-3  # relative error of a fitted temperature
DIGITS = 3  # decimal places of a fitted temperature
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


class GoldBatch(NamedTuple):
    """The emissions and gold tags of B sentences.

    Attributes:
        emissions: (B, T, C); values beyond a sentence's length are ignored.
        lengths: (B,) number of tokens of each sentence, 0 to T.
        gold: (B, T) tag ids; -1 for a tag that the model does not have.
    """

    emissions: FloatArray
    lengths: IntArray
    gold: IntArray


def scale_by_temperature(transitions: Transitions, temperature: float) -> Transitions:
    """Return the transitions scaled by the temperature; forbidden transitions stay forbidden."""
    divisor = np.float32(temperature)
    return Transitions(transitions.scores / divisor, transitions.start / divisor, transitions.end / divisor)


def compute_posterior(
    emissions: FloatArray, lengths: IntArray, transitions: Transitions, temperature: float
) -> Posterior:
    """Compute the posterior of B sentences with all scores divided by a temperature.

    Args:
        emissions: (B, T, C) emissions.
        lengths: (B,) number of tokens of each sentence.
        transitions: The transitions at temperature 1.
        temperature: The temperature.
    """
    scaled = scale_by_temperature(transitions, temperature)
    return forward_backward(emissions / np.float32(temperature), lengths, scaled)


def fit_temperature(batches: Iterable[GoldBatch], transitions: Transitions) -> float:
    """Return the temperature that maximises the likelihood of the gold tag sequences.

    This is temperature scaling (Guo et al. 2017, "On calibration of modern neural networks", section 4.2) of
    a linear-chain CRF: it divides emissions and transitions by T and minimises the negative log-likelihood of
    the gold sequences. The function is convex in 1 / T, so a golden-section search finds its only minimum.

    The fit skips sentences with a tag that the model does not have, or with tags that the transitions forbid:
    they have no likelihood.

    Args:
        batches: Held-out sentences.
        transitions: Scores of the C tags at temperature 1.

    Returns:
        A temperature from ``LOWEST`` to ``HIGHEST``, rounded to ``DIGITS``. It is 1 if there is no sentence,
        or if the best sequence of every sentence is the gold one. In the latter case the likelihood has no
        maximum: it rises as the temperature falls, and nothing shows how often the model errs.
    """
    held: list[tuple[FloatArray, IntArray]] = []
    total, has_errors = 0.0, False
    for batch in batches:
        scores = _gold_scores(batch, transitions)
        rows = np.flatnonzero(np.isfinite(scores))
        if len(rows):
            emissions, lengths = batch.emissions[rows], batch.lengths[rows]
            held.append((emissions, lengths))
            total += float(scores[rows].sum())
            inside = np.arange(emissions.shape[1]) < lengths[:, None]
            is_wrong = viterbi(emissions, lengths, transitions) != batch.gold[rows]
            has_errors = has_errors or bool((is_wrong & inside).any())
    if not has_errors:
        return 1.0

    def negative_log_likelihood(log_temperature: float) -> float:
        temperature = math.exp(log_temperature)
        loss = -total / temperature
        for emissions, lengths in held:
            posterior = compute_posterior(emissions, lengths, transitions, temperature)
            loss += float(posterior.log_partition.sum())
        return loss

    low, high = math.log(LOWEST), math.log(HIGHEST)
    log_temperature = golden_section(negative_log_likelihood, low, high, TOLERANCE)
    return round(math.exp(log_temperature), DIGITS)


def fit_temperatures(
    scored: Iterable[Mapping[str, GoldBatch]], transitions: Mapping[str, Transitions]
) -> dict[str, float]:
    """Fit the temperature of each task (see ``fit_temperature``), holding all emissions in memory.

    Args:
        scored: Batches of held-out sentences: for each task the emissions and gold tags.
        transitions: For each task the transitions at temperature 1.
    """
    batches: dict[str, list[GoldBatch]] = {name: [] for name in transitions}
    for batch in scored:
        for name, gold_batch in batch.items():
            batches[name].append(gold_batch)
    return {name: fit_temperature(task_batches, transitions[name]) for name, task_batches in batches.items()}


def golden_section(function: Callable[[float], float], low: float, high: float, tolerance: float) -> float:
    """Return the point of an interval at which a unimodal function is minimal (golden-section search).

    Kiefer 1953, "Sequential minimax search for a maximum": every evaluation shortens the interval to 0.618
    of its length. For a monotonic function the search converges to an end of the interval.

    Args:
        function: The function to minimise.
        low: Lower end of the interval.
        high: Upper end of the interval.
        tolerance: Stop when the interval is at most this long, and return its midpoint.
    """
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = function(left), function(right)
    while high - low > tolerance:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = function(right)
    return (low + high) / 2


def _gold_scores(batch: GoldBatch, transitions: Transitions) -> NDArray[np.float64]:
    """Return the (B,) scores of the gold sequences; not finite if forbidden, unknown or empty."""
    _, steps, _ = batch.emissions.shape
    is_token = np.arange(steps) < batch.lengths[:, None]  # (B, T)
    is_known = ((batch.gold >= 0) | ~is_token).all(axis=1) & (batch.lengths > 0)
    scores = np.full(len(batch.lengths), -np.inf)
    rows = np.flatnonzero(is_known)
    if not len(rows):
        return scores
    tags = np.where(is_token[rows], batch.gold[rows], 0)
    scores[rows] = path_scores(batch.emissions[rows], tags, batch.lengths[rows], transitions)
    return scores
