"""Compute exact tag and span probabilities with the forward-backward algorithm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tagger.decoding.viterbi import FloatArray, IntArray, Transitions, check_shapes, sentences_at

BoolArray = NDArray[np.bool_]
DoubleArray = NDArray[np.float64]

# A scaled probability below this may have lost terms to underflow. Divisors are at least this large. A
# trusted value was therefore above 1e-280 before division, and float64 only loses terms below 1e-308.
_TRUSTED = 1e-140
# Number of sentences per block: few enough for a step's arrays to stay in the processor's cache.
_BLOCK_SIZE = 256
# Maximum size of one step's largest temporary array in log space, in numbers (float64: 8 MB).
_STEP_BUDGET = 1 << 20


@dataclass(frozen=True, slots=True)
class Posterior:
    """Posterior of a batch: tag marginals, backward scores and log-partition.

    Attributes:
        tags: (B, T, C) float32; the probability of tag c at token t, 0 beyond each length.
        backward: (B, T, C) float64; log beta in Rabiner's notation: the log-sum-exp of the scores of all
            continuations after token t, given tag c at t; 0 beyond each length.
        emissions: (B, T, C) float32, the input.
        lengths: (B,) int64.
        transitions: The input.
        log_partition: (B,) float64; the log-sum-exp of the scores of all sequences, 0 for an empty sentence.
            Without a legal sequence it is -inf, and every probability is 0.
    """

    tags: FloatArray
    backward: DoubleArray
    emissions: FloatArray
    lengths: IntArray
    transitions: Transitions
    log_partition: DoubleArray


def forward_backward(emissions: FloatArray, lengths: ArrayLike, transitions: Transitions) -> Posterior:
    """Compute the posterior of a linear-chain CRF.

    The recursions rescale probabilities at every step, so that a step is one matrix product (Rabiner 1989, "A
    tutorial on hidden Markov models", sections III.A and V.A). If a possible tag becomes so small that terms
    may have underflowed (for example, emissions that differ by hundreds), the sentence is recomputed in log
    space.

    Args:
        emissions: (B, T, C) float32; values beyond a sentence's length are ignored.
        lengths: (B,) number of tokens of each sentence, 0 to T, in any order.
        transitions: Scores of the C tags.

    Raises:
        ValueError: The shapes do not match.
    """
    sizes = check_shapes(emissions, lengths, transitions)
    tags = np.zeros(emissions.shape, np.float32)
    backward = np.zeros(emissions.shape, np.float64)
    log_partition = np.zeros(len(sizes), np.float64)
    order = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
    for first in range(0, len(order), _BLOCK_SIZE):
        rows = order[first : first + _BLOCK_SIZE]
        steps = int(sizes[rows[0]])
        scores = _by_step(emissions[rows, :steps], sizes[rows])  # (T, n, C)
        marginals, betas, trusted = _scaled(scores, sizes[rows], transitions)
        untrusted = np.flatnonzero(~trusted)
        if len(untrusted):
            log_alphas, log_betas = _in_logs(scores[:, untrusted], sizes[rows[untrusted]], transitions)
            marginals[:, untrusted] = _normalise(log_alphas + log_betas)
            betas[:, untrusted] = log_betas
        tags[rows, :steps] = marginals.transpose(1, 0, 2)
        backward[rows, :steps] = betas.transpose(1, 0, 2)
        log_partition[rows] = log_sum(transitions.start + scores[0] + betas[0], axis=1)
    beyond = np.arange(emissions.shape[1]) >= sizes[:, None]
    tags[beyond], backward[beyond] = 0.0, 0.0
    return Posterior(tags, backward, emissions, sizes, transitions, log_partition)


def span_probabilities(
    posterior: Posterior, sentence: ArrayLike, start: ArrayLike, paths: ArrayLike, closing: ArrayLike
) -> FloatArray:
    """Return the probability of N spans: that their tokens have exactly these tags and the span ends there.

    The function applies the chain rule to the posterior Markov chain: the probability of the first tag, times
    that of each next tag given the previous one, times that of any closing tag after the last. Culotta and
    McCallum 2004, "Confidence estimation for information extraction", compute the same with a constrained
    forward pass.

    Args:
        posterior: The result of ``forward_backward``.
        sentence: (N,) the sentence index of each span, 0 to B - 1.
        start: (N,) the index of each span's first token.
        paths: (N, L) tag ids of each span's tokens, at least one each, right-padded with -1.
        closing: (C,) or (N, C) bool; the tags that may follow the span, ignored at the end of a sentence. In
            IOB2 these are all tags except the ``I-`` tag of the span's label.

    Returns:
        (N,) float32 probabilities.

    Raises:
        ValueError: A span is empty or exceeds its sentence, or the shapes do not match.
    """
    rows = np.asarray(sentence, dtype=np.int64)
    position = np.asarray(start, dtype=np.int64)
    tags = np.asarray(paths, dtype=np.int64)
    if not len(rows):
        return np.zeros(0, np.float32)
    ends = position + (tags >= 0).sum(axis=1)
    if (tags[:, 0] < 0).any() or (position < 0).any() or (ends > posterior.lengths[rows]).any():
        raise ValueError("expected spans of at least one token within their sentences")

    result = posterior.tags[rows, position, tags[:, 0]].astype(np.float64)
    last = tags[:, 0].copy()
    for step in range(1, tags.shape[1]):
        longer = np.flatnonzero(tags[:, step] >= 0)
        chosen = tags[longer, step]
        following = _next_tag_logs(posterior, rows[longer], position[longer] + step, last[longer])
        result[longer] *= np.exp(following[np.arange(len(longer)), chosen])
        last[longer] = chosen
    inner = np.flatnonzero(ends < posterior.lengths[rows])
    following = np.exp(_next_tag_logs(posterior, rows[inner], ends[inner], last[inner]))
    may_follow = np.broadcast_to(np.asarray(closing, dtype=np.bool_), (len(rows), following.shape[1]))
    result[inner] *= np.where(may_follow[inner], following, 0.0).sum(axis=1)
    return np.minimum(result, 1.0).astype(np.float32)


def _next_tag_logs(posterior: Posterior, rows: IntArray, at: IntArray, before: IntArray) -> DoubleArray:
    """Return (n, C): the log probability of every tag at token ``at``, given the tag ``before`` it."""
    onward = (
        posterior.transitions.scores[before]
        + posterior.emissions[rows, at].astype(np.float64)
        + posterior.backward[rows, at]
    )
    total = posterior.backward[rows, at - 1, before]
    # After an impossible tag everything is impossible: keep -inf instead of -inf - -inf.
    return np.minimum(onward - np.where(np.isneginf(total), 0.0, total)[:, None], 0.0)


def _by_step(emissions: FloatArray, sizes: IntArray) -> DoubleArray:
    """Return emissions (n, T, C) as (T, n, C) float64 with 0 beyond each length."""
    scores = emissions.transpose(1, 0, 2).astype(np.float64, order="C")
    scores[np.arange(len(scores))[:, None] >= sizes] = 0.0
    return scores


def _scaled(
    scores: DoubleArray, sizes: IntArray, transitions: Transitions
) -> tuple[DoubleArray, DoubleArray, BoolArray]:
    """Run both recursions on rescaled probabilities, for sentences sorted by falling length.

    Returns:
        The tag probabilities (T, n, C); log beta (T, n, C); and (n,) True if the result is trusted: no
        possible value is so small that terms may have underflowed.
    """
    steps = len(scores)
    step = np.arange(steps)[:, None]
    active = sentences_at(sizes, steps)
    peaks = _finite(scores.max(axis=2))  # (T, n)
    emitted = np.exp(scores - peaks[:, :, None])  # (T, n, C), at most 1
    moves, move_peak = _exponentials(transitions.scores)
    start, _ = _exponentials(transitions.start)
    end, end_peak = _exponentials(transitions.end)

    alphas = _scaled_alphas(emitted, moves, start, active)
    betas, divisors = _scaled_betas(emitted, moves, end, active)
    gains = np.log(divisors) + np.roll(peaks, -1, axis=0) + move_peak
    gains[step + 1 >= sizes] = 0.0
    scales = gains[::-1].cumsum(axis=0)[::-1] + end_peak  # (T, n)

    possible = np.isfinite(transitions.scores)
    alpha_counts = _possible_tags(np.isfinite(transitions.start), possible, steps)[step]
    beta_counts = _possible_tags(np.isfinite(transitions.end), possible.T, steps)[sizes - 1 - step]
    sound = (alphas > _TRUSTED).sum(axis=2) == alpha_counts
    sound &= (betas > _TRUSTED).sum(axis=2) == beta_counts
    joint = alphas * betas
    joint /= np.maximum(joint.sum(axis=2, keepdims=True), _TRUSTED)
    with np.errstate(divide="ignore"):
        return joint, np.log(betas) + scales[:, :, None], (sound | (step >= sizes)).all(axis=0)


def _scaled_alphas(
    emitted: DoubleArray, moves: DoubleArray, start: DoubleArray, active: list[int]
) -> DoubleArray:
    """Return the forward probabilities (T, n, C), up to a factor per token."""
    alphas = np.zeros_like(emitted)
    alphas[0] = start * emitted[0]
    for t in range(1, len(emitted)):
        count = active[t]
        values = (alphas[t - 1, :count] @ moves) * emitted[t, :count]
        # The lower bound avoids division by 0 and keeps an underflowed term visible.
        alphas[t, :count] = values / np.maximum(values.sum(axis=1, keepdims=True), _TRUSTED)
    return alphas


def _scaled_betas(
    emitted: DoubleArray, moves: DoubleArray, end: DoubleArray, active: list[int]
) -> tuple[DoubleArray, DoubleArray]:
    """Return the backward probabilities (T, n, C) and the divisor of each step, (T, n)."""
    steps = len(emitted)
    betas = np.zeros_like(emitted)
    divisors = np.ones(emitted.shape[:2])
    betas[steps - 1] = end
    for t in range(steps - 2, -1, -1):
        count, following = active[t], active[t + 1]
        betas[t, following:count] = end
        values = (betas[t + 1, :following] * emitted[t + 1, :following]) @ moves.T
        divisors[t, :following] = np.maximum(values.sum(axis=1), _TRUSTED)
        betas[t, :following] = values / divisors[t, :following, None]
    return betas, divisors


def _in_logs(
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
    peaks = _finite(logs.max(axis=axis, keepdims=True))
    with np.errstate(divide="ignore"):
        total: DoubleArray = np.log(np.exp(logs - peaks).sum(axis=axis))
    return total + peaks.squeeze(axis)


def _normalise(logs: DoubleArray) -> DoubleArray:
    """Return the softmax over the last axis; all 0 where all values are -inf."""
    values = np.exp(logs - _finite(logs.max(axis=-1, keepdims=True)))
    probabilities: DoubleArray = values / np.maximum(values.sum(axis=-1, keepdims=True), _TRUSTED)
    return probabilities


def _exponentials(logs: FloatArray) -> tuple[DoubleArray, float]:
    """Return the exponentials scaled to at most 1, and the log of the scale."""
    values = logs.astype(np.float64)
    peak = float(_finite(values.max()))
    return np.exp(values - peak), peak


def _finite(peaks: DoubleArray) -> DoubleArray:
    """Replace -inf by 0, so that maxima can be subtracted without producing NaN."""
    return np.where(np.isneginf(peaks), 0.0, peaks)


def _possible_tags(first: BoolArray, possible: BoolArray, steps: int) -> IntArray:
    """Return (T,): the number of tags that the transitions allow t steps from one end of the sentence."""
    counts = np.zeros(steps, np.int64)
    reachable = first
    for t in range(steps):
        counts[t] = reachable.sum()
        next_reachable = reachable @ possible
        if (next_reachable == reachable).all():
            counts[t:] = counts[t]
            break
        reachable = next_reachable
    return counts
