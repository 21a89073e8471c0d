"""One number for each task that makes probabilities mean what they say: all scores are divided by it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tagger.decoding.marginals import forward_backward
from tagger.decoding.viterbi import FloatArray, IntArray, Transitions, viterbi

LOWEST, HIGHEST = 0.1, 10.0
TOLERANCE = 1e-3  # of a temperature that is fitted, as a share of it
DIGITS = 3  # after the point that are kept of it
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


class GoldBatch(NamedTuple):
    """The emissions of B sentences and what their tags should be.

    Attributes:
        emissions: (B, T, C); what stands beyond a sentence's length is never read.
        lengths: (B,) numbers of tokens, 0 to T.
        gold: (B, T) tag ids; -1 for a tag that the model lacks.
    """

    emissions: FloatArray
    lengths: IntArray
    gold: IntArray


def temper(transitions: Transitions, temperature: float) -> Transitions:
    """The transitions divided by a temperature; what is forbidden stays so."""
    divisor = np.float32(temperature)
    return Transitions(transitions.scores / divisor, transitions.start / divisor, transitions.end / divisor)


def fit_temperature(batches: Iterable[GoldBatch], transitions: Transitions) -> float:
    """Return the temperature at which gold tag sequences are the likeliest on the whole.

    Temperature scaling (Guo et al. 2017, "On calibration of modern neural networks", section 4.2) of a
    linear-chain CRF: emissions and transitions are divided by T, and the negative log-likelihood of the gold
    sequences is to be minimal. It is convex in 1 / T, so a golden-section search finds its one minimum.

    A sentence with a tag that the model lacks, or with tags that the transitions forbid, has no likelihood
    and is left out.

    Args:
        batches: Sentences that the model was not trained on.
        transitions: Scores of the C tags at temperature 1.

    Returns:
        A temperature from ``LOWEST`` to ``HIGHEST``, rounded to ``DIGITS``. It is 1 where the best sequence
        of each sentence is the gold one, or there is no sentence: the likelihood then grows without end as
        the temperature falls, and nothing shows how often the model errs.
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
        tempered = temper(transitions, temperature)
        loss = -total / temperature
        for emissions, lengths in held:
            posterior = forward_backward(emissions / np.float32(temperature), lengths, tempered)
            loss += float(posterior.log_partition.sum())
        return loss

    low, high = math.log(LOWEST), math.log(HIGHEST)
    found = golden_section(negative_log_likelihood, low, high, TOLERANCE)
    return round(math.exp(found), DIGITS)


def fit_temperatures(
    scored: Iterable[Mapping[str, GoldBatch]], transitions: Mapping[str, Transitions]
) -> dict[str, float]:
    """Fit the temperature of each task (see ``fit_temperature``); the emissions of all are held meanwhile.

    Args:
        scored: Batches of sentences that the model was not trained on, for each task what it makes of them.
        transitions: For each task its scores at temperature 1.
    """
    batches: dict[str, list[GoldBatch]] = {name: [] for name in transitions}
    for batch in scored:
        for name, one in batch.items():
            batches[name].append(one)
    return {name: fit_temperature(found, transitions[name]) for name, found in batches.items()}


def golden_section(function: Callable[[float], float], low: float, high: float, tolerance: float) -> float:
    """Return where a function has its minimum between two places, if it falls up to there and then rises.

    Kiefer 1953, "Sequential minimax search for a maximum": every value makes the interval 0.618 times as
    long. Where the function only falls or only rises, the end of the interval is found.

    Args:
        function: What is to be minimal.
        low: Where the interval begins.
        high: Where it ends.
        tolerance: How long an interval may be that is taken for its middle.
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
    """The (B,) scores of the gold sequences: not finite where they are forbidden, unknown or empty."""
    _, steps, _ = batch.emissions.shape
    is_token = np.arange(steps) < batch.lengths[:, None]  # (B, T)
    is_known = ((batch.gold >= 0) | ~is_token).all(axis=1) & (batch.lengths > 0)
    scores = np.full(len(batch.lengths), -np.inf)
    rows = np.flatnonzero(is_known)
    if not len(rows):
        return scores
    inside = is_token[rows]
    tags = np.where(inside, batch.gold[rows], 0)
    emitted = np.take_along_axis(batch.emissions[rows], tags[:, :, None], axis=2)[:, :, 0]
    moved = transitions.scores[tags[:, :-1], tags[:, 1:]]
    scores[rows] = (
        np.where(inside, emitted, 0.0).sum(axis=1, dtype=np.float64)
        + np.where(inside[:, 1:], moved, 0.0).sum(axis=1, dtype=np.float64)
        + transitions.start[tags[:, 0]]
        + transitions.end[tags[np.arange(len(rows)), batch.lengths[rows] - 1]]
    )
    return scores
