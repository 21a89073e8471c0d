"""The linear-chain CRF: path scores, log-partition, marginals and the gradient of the loss (numpy)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tagger.decoding.log_space import DoubleArray, finite, log_forward_backward, log_sum
from tagger.decoding.viterbi import FloatArray, IntArray, Transitions, check_shapes, sentences_at

BoolArray = NDArray[np.bool_]

# A scaled probability below this may have lost terms to underflow. Divisors are at least this large. A
# trusted value was therefore above 1e-280 before division, and float64 only loses terms below 1e-308.
_TRUSTED = 1e-140
# Steps from one rescaling to the next. Emissions may differ by 80 at each step before a value is not trusted.
_SCALED_EVERY = 4
# Lower bound of divisors that are 0 without a legal sequence; products of two trusted values are larger.
_LEAST_TOTAL = 1e-300
# Number of sentences per block: few enough for a step's arrays to stay in the processor's cache.
_BLOCK_SIZE = 64


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


class _Exponentials(NamedTuple):
    """Exponentials of C tags' transitions, each array scaled to at most 1.

    Attributes:
        moves: (C, C) transitions, from -> to.
        start: (C,) start transitions.
        end: (C,) end transitions.
        move_peak, start_peak, end_peak: Logs of the scales.
    """

    moves: DoubleArray
    start: DoubleArray
    end: DoubleArray
    move_peak: float
    start_peak: float
    end_peak: float


class _Passes(NamedTuple):
    """Both recursions on rescaled probabilities, for n sentences sorted by falling length.

    Attributes:
        alphas: (T, n, C) forward probabilities; scaled to sum to 1 every ``_SCALED_EVERY`` steps.
        betas: (T, n, C) backward probabilities with the token's own emission; scaled in the same way.
        following: (T, n, C) backward probabilities without the token's own emission; not scaled.
        joint: (T, n, C) ``alphas * following``: the marginals, not normalised.
        totals: (T, n) sums of ``joint`` over the tags.
        mask: (T, n) True for tokens, False beyond the end of a sentence.
        factors: Exponentials of the transitions.
        alpha_scales: (T, n) scales of the forward pass, 1 without rescaling and beyond the end.
        beta_scales: (T, n) scales of the backward pass, 1 without rescaling and beyond the end.
        peaks: (T, n) maxima of the emissions, 0 beyond the end.
    """

    alphas: DoubleArray
    betas: DoubleArray
    following: DoubleArray
    joint: DoubleArray
    totals: DoubleArray
    mask: BoolArray
    factors: _Exponentials
    alpha_scales: DoubleArray
    beta_scales: DoubleArray
    peaks: DoubleArray

    def log_partition(self, sizes: IntArray) -> DoubleArray:
        """Compute the (n,) log-partitions of sentences with these lengths."""
        last = self.totals[sizes - 1, np.arange(len(sizes))]
        scaled = np.log(self.alpha_scales).sum(axis=0) + np.log(last) + self.peaks.sum(axis=0)
        ends = self.factors.start_peak + self.factors.end_peak
        log_partition: DoubleArray = scaled + ends + self.factors.move_peak * (sizes - 1)
        return log_partition

    def log_betas(self) -> DoubleArray:
        """Compute log beta without the token's own emission, (T, n, C)."""
        scales = np.log(self.beta_scales) + self.peaks  # (T, n)
        gains = np.where(self.mask, scales + self.factors.move_peak, 0.0)
        later = gains[::-1].cumsum(axis=0)[::-1] - gains
        return np.log(self.following) + (later + self.factors.end_peak)[:, :, None]


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
        passes = _scaled(_by_step(emissions[order, :steps], sizes), sizes, _exponentials(transitions))
        scales = min(passes.alpha_scales.min(), passes.beta_scales.min())
        if not min(passes.alphas.min(), passes.betas.min(), scales) > _TRUSTED:  # also catches NaN
            return None
        log_partition = passes.log_partition(sizes)
        posterior = passes.joint / passes.totals[:, :, None] * passes.mask[:, :, None]
        onward = passes.betas[1:] / passes.totals[:-1, :, None] * passes.mask[1:, :, None]
    pairs = passes.factors.moves * (passes.alphas[:-1].reshape(-1, count).T @ onward.reshape(-1, count))
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
    factors, possible_counts = _exponentials(transitions), _possible_counts(transitions, emissions.shape[1])
    for first in range(0, len(order), _BLOCK_SIZE):
        rows = order[first : first + _BLOCK_SIZE]
        steps = int(sizes[rows[0]])
        scores = _by_step(emissions[rows, :steps], sizes[rows])  # (T, n, C)
        with np.errstate(divide="ignore"):
            passes = _scaled(scores, sizes[rows], factors)
            marginals = passes.joint / np.maximum(passes.totals, _LEAST_TOTAL)[:, :, None]
            betas = passes.log_betas()
            log_partition[rows] = passes.log_partition(sizes[rows])
        untrusted = np.flatnonzero(~_is_trusted(passes, sizes[rows], possible_counts))
        if len(untrusted):
            log_alphas, log_betas = log_forward_backward(
                scores[:, untrusted], sizes[rows[untrusted]], transitions
            )
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


def _scaled(scores: DoubleArray, sizes: IntArray, factors: _Exponentials) -> _Passes:
    """Run both recursions on rescaled probabilities.

    The backward pass is a forward pass over the reversed sentences, so one loop computes both.

    Args:
        scores: (T, n, C) emissions of sentences sorted by falling length, 0 beyond each length.
        sizes: (n,) number of tokens of each sentence, at least 1.
        factors: Exponentials of the C tags' transitions.
    """
    step, sentences = np.arange(len(scores))[:, None], np.arange(len(sizes))
    mask = step < sizes  # (T, n)
    peaks = finite(scores.max(axis=2))  # (T, n)

    mirror = np.where(mask, sizes - 1 - step, step)
    both = np.empty((len(scores), 2, *scores.shape[1:]))  # (T, 2, n, C)
    np.exp(scores - peaks[:, :, None], out=both[:, 0])  # emissions, at most 1
    both[:, 1] = both[mirror, 0, sentences]
    moves, end = factors.moves, factors.end
    matrices = np.stack([moves, moves.T])
    scales = np.ones((*both.shape[:3], 1))
    ones = np.ones((len(moves), 1))  # a product adds short rows faster than a sum does
    both[0] *= np.stack([factors.start, end])[:, None]
    for t, count in enumerate(sentences_at(sizes, len(scores))[:-1]):
        current = both[t, :, :count]
        if t:
            current *= both[t - 1, :, :count] @ matrices
        if t % _SCALED_EVERY == 0:
            # The lower bound avoids division by 0 and keeps an underflowed term visible.
            current /= np.maximum(current @ ones, _TRUSTED, out=scales[t, :, :count])

    alphas, betas = both[:, 0], both[mirror, 1, sentences]  # (T, n, C)
    following = np.empty_like(betas)
    np.matmul(betas[1:].reshape(-1, len(moves)), moves.T, out=following[:-1].reshape(-1, len(moves)))
    following[-1] = end
    following[sizes - 1, sentences] = end
    joint = alphas * following
    return _Passes(
        alphas,
        betas,
        following,
        joint,
        (joint @ ones)[:, :, 0],
        mask,
        factors,
        scales[:, 0, :, 0],
        scales[mirror, 1, sentences, 0],
        peaks,
    )


def _is_trusted(passes: _Passes, sizes: IntArray, possible_counts: tuple[IntArray, IntArray]) -> BoolArray:
    """Return (n,) True if no possible value is so small that terms may have underflowed."""
    step = np.arange(len(passes.alphas))[:, None]
    from_start, from_end = possible_counts
    ones = np.ones(passes.alphas.shape[2], np.float32)  # a product counts short rows faster than a sum does
    is_trusted = (passes.alphas > _TRUSTED) @ ones == from_start[step]
    is_trusted &= (passes.following > _TRUSTED) @ ones == from_end[sizes - 1 - step]
    result: BoolArray = (is_trusted | ~passes.mask).all(axis=0)
    return result


def _normalise(logs: DoubleArray) -> DoubleArray:
    """Return the softmax over the last axis; all 0 where all values are -inf."""
    values = np.exp(logs - finite(logs.max(axis=-1, keepdims=True)))
    probabilities: DoubleArray = values / np.maximum(values.sum(axis=-1, keepdims=True), _TRUSTED)
    return probabilities


def _exponentials(transitions: Transitions) -> _Exponentials:
    """Compute the exponentials of transitions, and the logs of their scales."""
    scores, start, end = (
        array.astype(np.float64) for array in (transitions.scores, transitions.start, transitions.end)
    )
    peaks = [float(finite(array.max())) for array in (scores, start, end)]
    return _Exponentials(np.exp(scores - peaks[0]), np.exp(start - peaks[1]), np.exp(end - peaks[2]), *peaks)


def _possible_counts(transitions: Transitions, steps: int) -> tuple[IntArray, IntArray]:
    """Return, for both ends of a sentence, the number (T,) of possible tags t tokens from that end."""
    possible = np.isfinite(transitions.scores)
    return (
        _possible_tags(np.isfinite(transitions.start), possible, steps),
        _possible_tags(np.isfinite(transitions.end), possible.T, steps),
    )


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
