"""The linear-chain CRF: path scores, log-partition, marginals and the gradient of the loss (numpy)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tagger.decoding.viterbi import FloatArray, IntArray, Transitions, check_shapes, sentences_at

BoolArray = NDArray[np.bool_]
DoubleArray = NDArray[np.float64]

# A scaled probability below this may have lost terms to underflow. Divisors are at least this large. A
# trusted value was therefore above 1e-280 before division, and float64 only loses terms below 1e-308.
_TRUSTED = 1e-140
# Number of sentences per block: few enough for a step's arrays to stay in the processor's cache.
_BLOCK_SIZE = 64
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


class Gradient(NamedTuple):
    """Gradient of the negative log-likelihood of B sentences.

    Attributes:
        emissions: (B, T, C).
        start: (C,) start transitions.
        end: (C,) end transitions.
        transitions: (C, C) transitions, from -> to.
    """

    emissions: DoubleArray
    start: DoubleArray
    end: DoubleArray
    transitions: DoubleArray


class _Passes(NamedTuple):
    """Both recursions on rescaled probabilities, for n sentences sorted by falling length.

    Attributes:
        alphas: (T, n, C) forward probabilities, scaled to sum to 1.
        betas: (T, n, C) backward probabilities with the token's own emission, scaled to sum to 1.
        following: (T, n, C) backward probabilities without the token's own emission; not scaled.
        totals: (T, n) sums of ``alphas * following``.
        mask: (T, n) True for tokens, False beyond the end of a sentence.
        moves: (C, C) exponentials of the transitions, at most 1.
        alpha_scales: (T, n) scales of the forward pass, 1 beyond the end.
        beta_scales: (T, n) scales of the backward pass, 1 beyond the end.
        peaks: (T, n) maxima of the emissions, 0 beyond the end.
        start_peak, end_peak, move_peak: Maxima of the transitions.
    """

    alphas: DoubleArray
    betas: DoubleArray
    following: DoubleArray
    totals: DoubleArray
    mask: BoolArray
    moves: DoubleArray
    alpha_scales: DoubleArray
    beta_scales: DoubleArray
    peaks: DoubleArray
    start_peak: float
    end_peak: float
    move_peak: float

    def log_partition(self, sizes: IntArray) -> DoubleArray:
        """Compute the (n,) log-partitions of sentences with these lengths."""
        last = self.totals[sizes - 1, np.arange(len(sizes))]
        scaled = np.log(self.alpha_scales).sum(axis=0) + np.log(last) + self.peaks.sum(axis=0)
        log_partition: DoubleArray = scaled + (self.start_peak + self.end_peak) + self.move_peak * (sizes - 1)
        return log_partition

    def log_betas(self) -> DoubleArray:
        """Compute log beta without the token's own emission, (T, n, C)."""
        gains = np.where(self.mask, np.log(self.beta_scales) + self.peaks + self.move_peak, 0.0)  # (T, n)
        later = gains[::-1].cumsum(axis=0)[::-1] - gains
        return np.log(self.following) + (later + self.end_peak)[:, :, None]


def path_scores(
    emissions: FloatArray, tags: IntArray, lengths: IntArray, transitions: Transitions
) -> DoubleArray:
    """Compute the (B,) scores of one tag sequence per sentence: emissions plus all transitions.

    Args:
        emissions: (B, T, C).
        tags: (B, T) tag ids; values beyond a sentence's length are ignored but must be ids.
        lengths: (B,) number of tokens of each sentence, at least 1.
        transitions: Scores of the C tags.
    """
    inside = np.arange(emissions.shape[1]) < lengths[:, None]  # (B, T)
    added = np.take_along_axis(emissions, tags[:, :, None], axis=2)[:, :, 0].astype(np.float64)
    added[:, 1:] += transitions.scores[tags[:, :-1], tags[:, 1:]]
    last = tags[np.arange(len(tags)), lengths - 1]
    scores: DoubleArray = np.where(inside, added, 0.0).sum(axis=1)
    return scores + transitions.start[tags[:, 0]] + transitions.end[last]


def loss_gradient(
    emissions: FloatArray, tags: IntArray, lengths: IntArray, transitions: Transitions
) -> tuple[float, Gradient] | None:
    """Compute the negative log-likelihood of a batch's tag sequences, and its gradient.

    The gradient of the log-partition is the posterior (Lafferty et al. 2001, section 3), so one pass over
    rescaled probabilities computes both.

    Args:
        emissions: (B, T, C); values beyond a sentence's length are ignored.
        tags: (B, T) tag ids.
        lengths: (B,) number of tokens of each sentence, at least 1.
        transitions: Scores of the C tags, all finite.

    Returns:
        The sum over sentences and its gradient; None if a probability almost underflows, for example because
        emissions differ by hundreds, or if a score is NaN or infinite.
    """
    order = np.argsort(-lengths, kind="stable")
    sizes, steps, count = lengths[order], int(lengths.max()), emissions.shape[2]
    with np.errstate(divide="ignore", invalid="ignore"):
        passes = _scaled(_by_step(emissions[order, :steps], sizes), sizes, transitions)
        scales = min(passes.alpha_scales.min(), passes.beta_scales.min())
        if not min(passes.alphas.min(), passes.betas.min(), scales) > _TRUSTED:  # also catches NaN
            return None
        log_partition = passes.log_partition(sizes)
        posterior = passes.alphas * passes.following / passes.totals[:, :, None] * passes.mask[:, :, None]
        onward = passes.betas[1:] / passes.totals[:-1, :, None] * passes.mask[1:, :, None]
    pairs = passes.moves * (passes.alphas[:-1].reshape(-1, count).T @ onward.reshape(-1, count))
    gold, sentences = tags[order, :steps].T, np.arange(len(sizes))  # (T, n)
    first, last = gold[0], gold[sizes - 1, sentences]
    inside = passes.mask[1:]
    gold_pairs = np.bincount(gold[:-1][inside] * count + gold[1:][inside], minlength=count * count)
    gradient = Gradient(
        emissions=np.zeros(emissions.shape),
        start=posterior[0].sum(axis=0) - np.bincount(first, minlength=count),
        end=posterior[sizes - 1, sentences].sum(axis=0) - np.bincount(last, minlength=count),
        transitions=pairs - gold_pairs.reshape(count, count),
    )
    step, sentence = np.nonzero(passes.mask)
    posterior[step, sentence, gold[passes.mask]] -= 1.0
    gradient.emissions[order, :steps] = posterior.swapaxes(0, 1)
    loss = log_partition.sum() - path_scores(emissions, tags, lengths, transitions).sum()
    return float(loss), gradient


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
        with np.errstate(divide="ignore"):
            passes = _scaled(scores, sizes[rows], transitions)
            marginals = passes.alphas * passes.following
            marginals /= np.maximum(passes.totals, _TRUSTED)[:, :, None]
            betas = passes.log_betas()
            log_partition[rows] = passes.log_partition(sizes[rows])
        untrusted = np.flatnonzero(~_is_trusted(passes, sizes[rows], transitions))
        if len(untrusted):
            log_alphas, log_betas = _in_logs(scores[:, untrusted], sizes[rows[untrusted]], transitions)
            marginals[:, untrusted] = _normalise(log_alphas + log_betas)
            betas[:, untrusted] = log_betas
            starts = transitions.start + scores[0, untrusted] + log_betas[0]
            log_partition[rows[untrusted]] = log_sum(starts, axis=1)
        tags[rows, :steps] = marginals.transpose(1, 0, 2)
        backward[rows, :steps] = betas.transpose(1, 0, 2)
    beyond = np.arange(emissions.shape[1]) >= sizes[:, None]
    tags[beyond], backward[beyond] = 0.0, 0.0
    return Posterior(tags, backward, emissions, sizes, transitions, log_partition)


def expected_transitions(posterior: Posterior) -> DoubleArray:
    """Compute the (B, C, C) expected number of each transition, from -> to, in each sentence.

    The pairwise marginals of Rabiner 1989 (section III.C, equation 37), summed over the tokens.
    """
    counts = np.zeros((len(posterior.lengths), *posterior.transitions.scores.shape))
    for row, length in enumerate(posterior.lengths):
        shares = transition_probabilities(posterior, row, 1, length)
        counts[row] = np.einsum("ti,tij->ij", posterior.tags[row, : len(shares)].astype(np.float64), shares)
    return counts


def transition_probabilities(posterior: Posterior, row: int, first: int, stop: int) -> DoubleArray:
    """Compute the probability of each tag of a token, given the tag before it (T, C, C; from, to).

    Args:
        posterior: The posterior.
        row: The sentence.
        first: The first of T tokens, at least 1.
        stop: The token after the last of them.
    """
    at, before = slice(first, stop), slice(first - 1, max(first, stop) - 1)
    onward = posterior.emissions[row, at] + posterior.backward[row, at]
    with np.errstate(invalid="ignore"):
        logs = posterior.transitions.scores.astype(np.float64) + onward[:, None, :]
        logs -= posterior.backward[row, before, :, None]
    # Impossible tags have a backward score of -inf, and no probability to share.
    shares = np.where(posterior.tags[row, before, :, None] > 0, np.exp(np.minimum(logs, 0.0)), 0.0)
    return np.nan_to_num(shares)


def _by_step(emissions: FloatArray, sizes: IntArray) -> DoubleArray:
    """Return emissions (n, T, C) as (T, n, C) float64 with 0 beyond each length."""
    scores = emissions.transpose(1, 0, 2).astype(np.float64, order="C")
    scores[np.arange(len(scores))[:, None] >= sizes] = 0.0
    return scores


def _scaled(scores: DoubleArray, sizes: IntArray, transitions: Transitions) -> _Passes:
    """Run both recursions on rescaled probabilities.

    The backward pass is a forward pass over the reversed sentences, so one loop computes both.

    Args:
        scores: (T, n, C) emissions of sentences sorted by falling length, 0 beyond each length.
        sizes: (n,) number of tokens of each sentence, at least 1.
        transitions: Scores of the C tags.
    """
    step, sentences = np.arange(len(scores))[:, None], np.arange(len(sizes))
    mask = step < sizes  # (T, n)
    peaks = _finite(scores.max(axis=2))  # (T, n)
    emitted = np.exp(scores - peaks[:, :, None])  # (T, n, C), at most 1
    moves, move_peak = _exponentials(transitions.scores)
    start, start_peak = _exponentials(transitions.start)
    end, end_peak = _exponentials(transitions.end)

    mirror = np.where(mask, sizes - 1 - step, step)
    both = np.stack([emitted, emitted[mirror, sentences]], axis=1)  # (T, 2, n, C)
    matrices = np.stack([moves, moves.T])
    scales = np.ones((*both.shape[:3], 1))
    both[0] *= np.stack([start, end])[:, None]
    for t, count in enumerate(sentences_at(sizes, len(scores))[:-1]):
        current, sums = both[t, :, :count], scales[t, :, :count]
        if t:
            current *= both[t - 1, :, :count] @ matrices
        # The lower bound avoids division by 0 and keeps an underflowed term visible.
        current /= np.maximum(current.sum(axis=2, keepdims=True), _TRUSTED, out=sums)

    alphas, betas = both[:, 0], both[mirror, 1, sentences]  # (T, n, C)
    following = np.empty_like(betas)
    following[:-1], following[-1] = betas[1:] @ moves.T, end
    following[sizes - 1, sentences] = end
    totals = (alphas * following).sum(axis=2)
    return _Passes(
        alphas,
        betas,
        following,
        totals,
        mask,
        moves,
        scales[:, 0, :, 0],
        scales[mirror, 1, sentences, 0],
        peaks,
        start_peak,
        end_peak,
        move_peak,
    )


def _is_trusted(passes: _Passes, sizes: IntArray, transitions: Transitions) -> BoolArray:
    """Return (n,) True if no possible value is so small that terms may have underflowed."""
    steps = len(passes.alphas)
    step = np.arange(steps)[:, None]
    possible = np.isfinite(transitions.scores)
    alpha_counts = _possible_tags(np.isfinite(transitions.start), possible, steps)[step]
    beta_counts = _possible_tags(np.isfinite(transitions.end), possible.T, steps)[sizes - 1 - step]
    ones = np.ones(len(possible), np.float32)  # a product counts short rows faster than a sum does
    is_trusted = (passes.alphas > _TRUSTED) @ ones == alpha_counts
    is_trusted &= (passes.following > _TRUSTED) @ ones == beta_counts
    result: BoolArray = (is_trusted | ~passes.mask).all(axis=0)
    return result


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
