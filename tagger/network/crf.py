"""Loss and gradient of a linear-chain CRF in closed form, without an autograd graph over time steps."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

# Minimum of rescaled probabilities and scales: below it, underflow may have lost terms.
_UNDERFLOW_THRESHOLD = 1e-140


class _Scores(NamedTuple):
    """Scores of a CRF, or the gradient of the loss with respect to them."""

    emissions: Doubles  # (B, T, C)
    start: Doubles  # (C,) start transitions
    end: Doubles  # (C,) end transitions
    transitions: Doubles  # (C, C) from -> to


class _Posterior(NamedTuple):
    """Log-partition of a batch, and its gradient."""

    log_partition: float
    tags: Doubles  # (T, n, C) marginal probability of each tag, 0 beyond the end of a sentence
    pairs: Doubles  # (C, C) expected number of transitions


class _Loss(torch.autograd.Function):
    """Autograd function for a loss with a precomputed gradient."""

    @staticmethod
    def forward(ctx: Any, loss: float, gradient: _Scores, *scores: Tensor) -> Tensor:
        ctx.gradient = [
            torch.from_numpy(values).to(score) for values, score in zip(gradient, scores, strict=True)
        ]
        return scores[0].new_tensor(loss)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> Any:
        return (None, None, *(values * outer[0] for values in ctx.gradient))


def scaled_crf_loss(
    emissions: Tensor, start: Tensor, end: Tensor, transitions: Tensor, tags: Tensor, lengths: Tensor
) -> Tensor | None:
    """Compute the negative log-likelihood of a batch's tag sequences; None if it needs log space.

    The gradient of the log-partition is the posterior (Lafferty et al. 2001, section 3), so one pass over
    rescaled probabilities (Rabiner 1989, section V.A) computes both, in double precision on the CPU.

    Args:
        emissions: (B, T, C).
        start: (C,) start transitions.
        end: (C,) end transitions.
        transitions: (C, C) transitions, from -> to.
        tags: (B, T) tag ids.
        lengths: (B,) tokens of each sentence, at least 1.

    Returns:
        A scalar, the sum over sentences; None if a probability almost underflows, for example because
        emissions differ by hundreds, or if a score is NaN or infinite.

    Raises:
        ValueError: A sentence has no tokens.
    """
    if not bool(lengths.all()):
        raise ValueError("lengths must be at least 1 (got an empty sentence). Remove empty sentences.")
    scores = (emissions, start, end, transitions)
    values = _Scores(*(score.detach().cpu().numpy().astype(np.float64) for score in scores))
    with np.errstate(divide="ignore", invalid="ignore"):  # _find_posterior detects and rejects such values
        result = _loss_and_gradient(values, tags.cpu().numpy(), lengths.cpu().numpy())
    if result is None:
        return None
    loss: Tensor = _Loss.apply(*result, *scores)  # type: ignore[no-untyped-call]
    return loss


def _loss_and_gradient(scores: _Scores, tags: Ints, lengths: Ints) -> tuple[float, _Scores] | None:
    order = np.argsort(-lengths, kind="stable")  # longest first: the sentences of each step are a prefix
    sizes, steps = lengths[order], int(lengths.max())
    emitted = scores.emissions[order, :steps].swapaxes(0, 1)  # (T, n, C)
    posterior = _find_posterior(emitted, scores, sizes)
    if posterior is None:
        return None
    mask = np.arange(steps)[:, None] < sizes  # (T, n)
    gold = tags[order, :steps].T
    first, last = gold[0], gold[sizes - 1, np.arange(len(sizes))]
    before, after = gold[:-1][mask[1:]], gold[1:][mask[1:]]
    step, sentence = np.nonzero(mask)
    gold_score = (
        emitted[step, sentence, gold[mask]].sum()
        + scores.start[first].sum()
        + scores.end[last].sum()
        + scores.transitions[before, after].sum()
    )
    count = len(scores.start)
    at_end = posterior.tags[sizes - 1, np.arange(len(sizes))].sum(axis=0)
    gold_pairs = np.bincount(before * count + after, minlength=count * count).reshape(count, count)
    gradient = _Scores(
        emissions=np.zeros_like(scores.emissions),
        start=posterior.tags[0].sum(axis=0) - np.bincount(first, minlength=count),
        end=at_end - np.bincount(last, minlength=count),
        transitions=posterior.pairs - gold_pairs,
    )
    posterior.tags[step, sentence, gold[mask]] -= 1.0
    gradient.emissions[order, :steps] = posterior.tags.swapaxes(0, 1)
    return posterior.log_partition - float(gold_score), gradient


def _find_posterior(emissions: Doubles, scores: _Scores, sizes: Ints) -> _Posterior | None:
    """Run forward-backward on sentences sorted longest first; None if the result may be inexact.

    Args:
        emissions: (T, n, C) emissions of the sorted sentences.
        scores: Start transitions, end transitions and transitions.
        sizes: (n,) tokens of each sentence.
    """
    step, sentences = np.arange(len(emissions))[:, None], np.arange(len(sizes))
    mask = step < sizes  # (T, n)
    maxima = np.where(mask, emissions.max(axis=2), 0.0)
    emitted = np.exp(np.where(mask[:, :, None], emissions - maxima[:, :, None], 0.0))
    start_max, end_max, transition_max = scores.start.max(), scores.end.max(), scores.transitions.max()
    transitions = np.exp(scores.transitions - transition_max)
    ends = np.exp(np.stack([scores.start - start_max, scores.end - end_max]))  # (2, C)

    # The backward pass is a forward pass over the reversed sentences, so one loop computes both.
    mirror = np.where(mask, sizes - 1 - step, step)
    both = np.stack([emitted, emitted[mirror, sentences]], axis=1)  # (T, 2, n, C)
    scales = _scaled_passes(both, ends, np.stack([transitions, transitions.T]), mask.sum(axis=1))
    if not min(both.min(), scales.min()) > _UNDERFLOW_THRESHOLD:  # not (a > b) also catches NaN
        return None
    alphas, betas = both[:, 0], both[mirror, 1, sentences]  # (T, n, C); betas include the token's emission

    following = np.empty_like(betas)  # betas without the token's own emission
    following[:-1], following[-1] = betas[1:] @ transitions.T, ends[1]
    following[sizes - 1, sentences] = ends[1]
    totals = (alphas * following).sum(axis=2)  # (T, n)
    onward = betas[1:] / totals[:-1, :, None] * mask[1:, :, None]
    pairs = transitions * (alphas[:-1].reshape(-1, len(transitions)).T @ onward.reshape(-1, len(transitions)))
    log_partition = (
        np.log(scales[:, 0]).sum()
        + np.log(totals[sizes - 1, sentences]).sum()
        + maxima.sum()
        + (start_max + end_max) * len(sizes)
        + transition_max * (sizes.sum() - len(sizes))
    )
    tags = alphas * following / totals[:, :, None] * mask[:, :, None]
    return _Posterior(float(log_partition), tags, pairs)


def _scaled_passes(both: Doubles, ends: Doubles, transitions: Doubles, counts: Ints) -> Doubles:
    """Run the forward and the backward pass; probabilities are rescaled to sum to 1 at every step.

    Args:
        both: (T, 2, n, C) exponentials of the emissions, from the start and from the end, with the longest
            sentence first; overwritten with the probabilities.
        ends: (2, C) exponentials of the start and end transitions.
        transitions: (2, C, C) exponentials of the transitions of each pass.
        counts: (T,) number of sentences that have each step.

    Returns:
        The scales (T, 2, n, 1), 1 beyond the end of a sentence.
    """
    scales = np.ones((*both.shape[:3], 1))
    both[0] *= ends[:, None]
    for step, count in enumerate(counts.tolist()):
        current = both[step, :, :count]
        if step:
            current *= both[step - 1, :, :count] @ transitions
        current /= current.sum(axis=2, keepdims=True, out=scales[step, :, :count])
    return scales
