"""What a tag sequence costs under a linear-chain CRF, and its gradient: no graph of single steps."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

# Rescaled probabilities and what they are divided by: below this, terms may have been lost to underflow.
_TRUSTED = 1e-140


class _Scores(NamedTuple):
    """Scores of a CRF, or the change of the loss with each of them."""

    emissions: Doubles  # (B, T, C)
    start: Doubles  # (C,) of the first tag
    end: Doubles  # (C,) of the last tag
    transitions: Doubles  # (C, C) from -> to


class _Posterior(NamedTuple):
    """Log of the summed exponentials of all sequences' scores, and its gradient."""

    log_partition: float
    tags: Doubles  # (T, n, C) probability of each tag, 0 beyond a sentence's end
    pairs: Doubles  # (C, C) expected number of moves


class _Loss(torch.autograd.Function):
    """Hands autograd a loss whose gradient is known."""

    @staticmethod
    def forward(ctx: Any, loss: float, gradient: _Scores, *scores: Tensor) -> Tensor:
        ctx.gradient = [
            torch.from_numpy(change).to(score) for change, score in zip(gradient, scores, strict=True)
        ]
        return scores[0].new_tensor(loss)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> Any:
        return (None, None, *(change * outer[0] for change in ctx.gradient))


def scaled_crf_loss(
    emissions: Tensor, start: Tensor, end: Tensor, transitions: Tensor, tags: Tensor, lengths: Tensor
) -> Tensor | None:
    """Negative log-likelihood of a batch's tag sequences, summed; or None where it needs log space.

    The gradient of the log-partition is the posterior (Lafferty et al. 2001, section 3), so both come from
    one pass over rescaled probabilities (Rabiner 1989, section V.A), in double precision on the processor.

    Args:
        emissions: (B, T, C).
        start: (C,) scores of the first tag.
        end: (C,) scores of the last tag.
        transitions: (C, C) scores of tag after tag, from -> to.
        tags: (B, T) tag ids.
        lengths: (B,) tokens of each sentence, at least 1.

    Returns:
        A scalar; None if a probability came near to underflow, as with emissions hundreds apart, or if a
        score is no number.

    Raises:
        ValueError: A sentence has no token.
    """
    if not bool(lengths.all()):
        raise ValueError("expected sentences of one token or more, got an empty one")
    scores = (emissions, start, end, transitions)
    values = _Scores(*(score.detach().cpu().numpy().astype(np.float64) for score in scores))
    with np.errstate(divide="ignore", invalid="ignore"):  # such values are found out, and not trusted
        found = _loss_and_gradient(values, tags.cpu().numpy(), lengths.cpu().numpy())
    if found is None:
        return None
    loss: Tensor = _Loss.apply(*found, *scores)  # type: ignore[no-untyped-call]
    return loss


def _loss_and_gradient(scores: _Scores, tags: Ints, lengths: Ints) -> tuple[float, _Scores] | None:
    order = np.argsort(-lengths, kind="stable")  # longest first: the first ones run on
    sizes, steps = lengths[order], int(lengths.max())
    emitted = scores.emissions[order, :steps].swapaxes(0, 1)  # (T, n, C)
    posterior = _find_posterior(emitted, scores, sizes)
    if posterior is None:
        return None
    runs = np.arange(steps)[:, None] < sizes  # (T, n)
    gold = tags[order, :steps].T
    first, last = gold[0], gold[sizes - 1, np.arange(len(sizes))]
    before, after = gold[:-1][runs[1:]], gold[1:][runs[1:]]
    step, sentence = np.nonzero(runs)
    gold_score = (
        emitted[step, sentence, gold[runs]].sum()
        + scores.start[first].sum()
        + scores.end[last].sum()
        + scores.transitions[before, after].sum()
    )
    count = len(scores.start)
    at_end = posterior.tags[sizes - 1, np.arange(len(sizes))].sum(axis=0)
    moves = np.bincount(before * count + after, minlength=count * count).reshape(count, count)
    gradient = _Scores(
        emissions=np.zeros_like(scores.emissions),
        start=posterior.tags[0].sum(axis=0) - np.bincount(first, minlength=count),
        end=at_end - np.bincount(last, minlength=count),
        transitions=posterior.pairs - moves,
    )
    posterior.tags[step, sentence, gold[runs]] -= 1.0
    gradient.emissions[order, :steps] = posterior.tags.swapaxes(0, 1)
    return posterior.log_partition - float(gold_score), gradient


def _find_posterior(scores: Doubles, edges: _Scores, sizes: Ints) -> _Posterior | None:
    """The posterior of sentences that stand longest first, or None where it cannot be trusted.

    Args:
        scores: (T, n, C) emissions.
        edges: Start, end and transitions.
        sizes: (n,) tokens of each sentence.
    """
    step, sentences = np.arange(len(scores))[:, None], np.arange(len(sizes))
    runs = step < sizes  # (T, n)
    peaks = np.where(runs, scores.max(axis=2), 0.0)
    emitted = np.exp(np.where(runs[:, :, None], scores - peaks[:, :, None], 0.0))
    start_peak, end_peak, move_peak = edges.start.max(), edges.end.max(), edges.transitions.max()
    moves = np.exp(edges.transitions - move_peak)
    ends = np.exp(np.stack([edges.start - start_peak, edges.end - end_peak]))  # (2, C)

    # From the end to the start is from the start to the end of mirrored sentences, so one loop does both.
    mirror = np.where(runs, sizes - 1 - step, step)
    both = np.stack([emitted, emitted[mirror, sentences]], axis=1)  # (T, 2, n, C)
    scales = _read_both_ways(both, ends, np.stack([moves, moves.T]), runs.sum(axis=1))
    if not min(both.min(), scales.min()) > _TRUSTED:  # not (a > b): true also where one is no number
        return None
    alphas, betas = both[:, 0], both[mirror, 1, sentences]  # (T, n, C); betas hold the token's own emission

    behind = np.empty_like(betas)  # what follows a token, without its own emission
    behind[:-1], behind[-1] = betas[1:] @ moves.T, ends[1]
    behind[sizes - 1, sentences] = ends[1]
    totals = (alphas * behind).sum(axis=2)  # (T, n)
    onward = betas[1:] / totals[:-1, :, None] * runs[1:, :, None]
    pairs = moves * (alphas[:-1].reshape(-1, len(moves)).T @ onward.reshape(-1, len(moves)))
    log_partition = (
        np.log(scales[:, 0]).sum()
        + np.log(totals[sizes - 1, sentences]).sum()
        + peaks.sum()
        + (start_peak + end_peak) * len(sizes)
        + move_peak * (sizes.sum() - len(sizes))
    )
    tags = alphas * behind / totals[:, :, None] * runs[:, :, None]
    return _Posterior(float(log_partition), tags, pairs)


def _read_both_ways(both: Doubles, ends: Doubles, moves: Doubles, running: Ints) -> Doubles:
    """Turn exponentials of emissions, in place, into probabilities that are scaled to sum to 1.

    Args:
        both: (T, 2, n, C), from the start and from the end; the longest sentence first.
        ends: (2, C) exponentials of the first tag's score, as seen from either side.
        moves: (2, C, C) exponentials of the transitions.
        running: (T,) how many sentences have that step.

    Returns:
        (T, 2, n, 1) what was divided by; 1 beyond a sentence's end.
    """
    scales = np.ones((*both.shape[:3], 1))
    both[0] *= ends[:, None]
    for step, count in enumerate(running.tolist()):
        here = both[step, :, :count]
        if step:
            here *= both[step - 1, :, :count] @ moves
        here /= here.sum(axis=2, keepdims=True, out=scales[step, :, :count])
    return scales
