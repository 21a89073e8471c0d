"""Viterbi decoding: the best tag sequence of every sentence in a batch, with optional constraints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

# Maximum size of one step's largest temporary array, in numbers (float32: 4 MB). Blocks of sentences respect
# this limit, so that memory does not grow with C * C * B and a step stays in the processor's cache.
_STEP_BUDGET = 1 << 20
# Smaller blocks are slower than one sentence at a time, because the innermost loops become too short.
_MIN_BLOCK_SIZE = 32


@dataclass(frozen=True, slots=True)
class Transitions:
    """Transition scores of a linear-chain CRF; -inf forbids a transition.

    Attributes:
        scores: (C, C) float32; ``scores[i, j]`` is added when tag j follows tag i.
        start: (C,) float32; added for the first tag of a sentence.
        end: (C,) float32; added for the last tag of a sentence.
    """

    scores: FloatArray
    start: FloatArray
    end: FloatArray

    @staticmethod
    def free(tag_count: int) -> Transitions:
        """Return all-zero transitions of C = ``tag_count`` tags."""
        ends = np.zeros(tag_count, np.float32)
        return Transitions(np.zeros((tag_count, tag_count), np.float32), ends, ends)


def constrain(
    transitions: Transitions,
    allowed: Sequence[Sequence[bool]] | NDArray[np.bool_],
    start: Sequence[bool] | NDArray[np.bool_],
    end: Sequence[bool] | NDArray[np.bool_],
) -> Transitions:
    """Return the transitions with -inf for everything that the masks forbid.

    Args:
        transitions: Scores of C tags.
        allowed: (C, C); True if tag j may follow tag i.
        start: (C,); True if a sentence may begin with the tag.
        end: (C,); True if a sentence may end with the tag.

    Raises:
        ValueError: The masks do not have the transitions' shape.
    """
    masks = [np.asarray(mask, dtype=np.bool_) for mask in (allowed, start, end)]
    arrays = [transitions.scores, transitions.start, transitions.end]
    for mask, array in zip(masks, arrays, strict=True):
        if mask.shape != array.shape:
            raise ValueError(f"expected a mask of shape {array.shape}, got {mask.shape}")
    minus_infinity = np.float32(-np.inf)
    return Transitions(*(np.where(m, a, minus_infinity) for m, a in zip(masks, arrays, strict=True)))


def viterbi(emissions: FloatArray, lengths: ArrayLike, transitions: Transitions) -> IntArray:
    """Return the highest-scoring tag sequence of every sentence in a padded batch.

    This is ``viterbi_flat`` for padded arrays.

    Args:
        emissions: (B, T, C) float32; values beyond a sentence's length are ignored.
        lengths: (B,) number of tokens of each sentence, 0 to T, in any order.
        transitions: Scores of the C tags.

    Returns:
        (B, T) int64 tag ids, 0 beyond each length.

    Raises:
        ValueError: The shapes do not match.
    """
    sizes = check_shapes(emissions, lengths, transitions)
    inside = np.arange(emissions.shape[1]) < sizes[:, None]  # (B, T)
    tags = np.zeros(inside.shape, np.int64)
    tags[inside] = viterbi_flat(emissions[inside], sizes, transitions)
    return tags


def viterbi_flat(emissions: FloatArray, lengths: IntArray, transitions: Transitions) -> IntArray:
    """Return the highest-scoring tag sequence of every sentence in a flat (unpadded) batch.

    The score of a sequence is the sum of its emissions, its transitions and its start and end transitions.
    The lower tag id wins a tie, compared from the last token to the first. A sentence without a legal
    sequence (every sequence of its length scores -inf) gets the best tag of each token independently.

    The recursion is Viterbi's (Rabiner 1989, "A tutorial on hidden Markov models", section III.B). Instead of
    back-pointers it keeps the table of best scores, no larger than the emissions, and searches for the best
    predecessor only on the best path: C comparisons per token instead of C * C.

    Args:
        emissions: (N, C) float32.
        lengths: (S,) int64, number of tokens of each sentence, N in total.
        transitions: Scores of the C tags.

    Returns:
        (N,) int64 tag ids.
    """
    if not any(array.any() for array in (transitions.scores, transitions.start, transitions.end)):
        best: IntArray = emissions.argmax(axis=1)
        return best
    tags = np.zeros(len(emissions), np.int64)
    begins = np.cumsum(lengths) - lengths
    order = np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)]
    block_size = _STEP_BUDGET // emissions.shape[1] ** 2
    block_size = block_size if block_size >= _MIN_BLOCK_SIZE else 1
    for first in range(0, len(order), block_size):
        block = order[first : first + block_size]
        _decode(emissions, begins[block], lengths[block], transitions, tags)
    return tags


def check_shapes(emissions: FloatArray, lengths: ArrayLike, transitions: Transitions) -> IntArray:
    """Return the lengths as (B,) int64 after checking the shapes of all arguments.

    Raises:
        ValueError: The shapes do not match, or a length is out of range.
    """
    if emissions.ndim != 3:
        raise ValueError(f"expected emissions of shape (B, T, C), got {emissions.shape}")
    sentence_count, steps, tag_count = emissions.shape
    sizes = np.asarray(lengths).astype(np.int64)
    if sizes.shape != (sentence_count,):
        raise ValueError(f"expected lengths of shape {(sentence_count,)}, got {sizes.shape}")
    if sentence_count and not 0 <= sizes.min() <= sizes.max() <= steps:
        raise ValueError(f"expected lengths from 0 to {steps}, got {sizes.min()} to {sizes.max()}")
    if transitions.scores.shape != (tag_count, tag_count):
        raise ValueError(
            f"expected transitions of shape {(tag_count, tag_count)}, got {transitions.scores.shape}"
        )
    for name, array in (("start", transitions.start), ("end", transitions.end)):
        if array.shape != (tag_count,):
            raise ValueError(f"expected {name} of shape {(tag_count,)}, got {array.shape}")
    return sizes


def sentences_at(sizes: IntArray, steps: int) -> list[int]:
    """Return for each step t from 0 to T the number of sentences with more than t tokens."""
    ended = np.bincount(sizes, minlength=steps + 1).cumsum()
    return [int(count) for count in len(sizes) - ended]


def _decode(
    emissions: FloatArray, begins: IntArray, sizes: IntArray, transitions: Transitions, tags: IntArray
) -> None:
    """Write the tags of non-empty sentences, sorted by falling length, into ``tags`` (N,)."""
    steps = int(sizes[0])
    active = sentences_at(sizes, steps)
    # Order by step, then by sentence, with the tag axis first: every operation reads long contiguous rows.
    indices = np.concatenate([begins[: active[t]] + t for t in range(steps)])
    bounds = np.cumsum([0, *active[:steps]]).tolist()
    # Best scores, computed in place of the emissions: the best sequence up to a token that ends in tag c.
    best = emissions[indices].T.copy(order="C")  # (C, M)
    best[:, : active[0]] += transitions.start[:, None]
    scores = transitions.scores[:, :, None]
    for t in range(1, steps):
        before = best[:, bounds[t - 1] : bounds[t - 1] + active[t]]
        # Subtract the step's best score: the sums of a long text would exceed the precision of float32.
        before -= np.maximum(before.max(axis=0), np.finfo(np.float32).min)
        best[:, bounds[t] : bounds[t + 1]] += (before[:, None, :] + scores).max(axis=0)  # (C, C, n) -> (C, n)

    after = np.zeros(0, np.int64)  # tags of the next step
    totals = np.zeros(len(sizes), np.float32)
    for t in range(steps - 1, -1, -1):
        count, following = active[t], len(after)
        onward = best[:, bounds[t] : bounds[t + 1]]
        onward[:, :following] += transitions.scores[:, after]
        if count > following:
            onward[:, following:] += transitions.end[:, None]
            totals[following:count] = onward[:, following:].max(axis=0)
        after = onward.argmax(axis=0)
        tags[indices[bounds[t] : bounds[t + 1]]] = after
    for row in np.flatnonzero(np.isneginf(totals)):  # no legal sequence: rare
        tokens = slice(begins[row], begins[row] + sizes[row])
        tags[tokens] = emissions[tokens].argmax(axis=1)
