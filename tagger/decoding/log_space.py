"""Recursions of the linear-chain CRF in log space, for probabilities that would underflow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tagger.decoding.viterbi import FloatArray, IntArray, Transitions, sentences_at

DoubleArray = NDArray[np.float64]

# Maximum size of one step's largest temporary array, in numbers (float64: 8 MB).
_STEP_BUDGET = 1 << 20


def log_forward_backward(
    scores: DoubleArray, sizes: IntArray, transitions: Transitions
) -> tuple[DoubleArray, DoubleArray]:
    """Run both recursions in log space; return log alpha and log beta, (T, n, C) each."""
    steps = len(scores)
    active = sentences_at(sizes, steps)
    alphas, betas = np.zeros_like(scores), np.zeros_like(scores)
    alphas[0] = transitions.start + scores[0]
    for t in range(1, steps):
        count = active[t]
        alphas[t, :count] = scores[t, :count] + _log_product(alphas[t - 1, :count], transitions.scores)
    betas[steps - 1] = transitions.end
    for t in range(steps - 2, -1, -1):
        count, following = active[t], active[t + 1]
        betas[t, following:count] = transitions.end
        onward = betas[t + 1, :following] + scores[t + 1, :following]
        betas[t, :following] = _log_product(onward, transitions.scores.T)
    return alphas, betas


def _log_product(vectors: DoubleArray, matrix: FloatArray) -> DoubleArray:
    """Return the log of ``exp(vectors) @ exp(matrix)``, (n, C), without overflow or underflow."""
    block_size = max(1, _STEP_BUDGET // matrix.size)
    result = np.empty_like(vectors)
    for first in range(0, len(vectors), block_size):
        block = slice(first, first + block_size)
        result[block] = log_sum(vectors[block, :, None] + matrix, axis=1)  # (n, C, C) -> (n, C)
    return result


def log_sum(logs: DoubleArray, axis: int) -> DoubleArray:
    """Return the log-sum-exp along an axis; -inf where all values are -inf."""
    peaks = finite(logs.max(axis=axis, keepdims=True))
    with np.errstate(divide="ignore"):
        total: DoubleArray = np.log(np.exp(logs - peaks).sum(axis=axis))
    return total + peaks.squeeze(axis)


def finite(peaks: DoubleArray) -> DoubleArray:
    """Replace -inf by 0, so that maxima can be subtracted without producing NaN."""
    return np.where(np.isneginf(peaks), 0.0, peaks)
