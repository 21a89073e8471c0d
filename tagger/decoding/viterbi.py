"""The best tag sequence of every sentence in a batch, under scores that may forbid sequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

# Numbers in the largest temporary of one step (float32: 4 MB). Sentences are taken in chunks that keep to it,
# so that memory does not grow with C * C * B and a step stays in the processor's cache.
_STEP_BUDGET = 1 << 20
# Chunks of fewer sentences are slower than one sentence at a time: the innermost loops get too short.
_SMALLEST_CHUNK = 32


@dataclass(frozen=True, slots=True)
class Transitions:
    """What a tag sequence scores apart from its emissions; -inf forbids.

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
        """Return the transitions of C = ``tag_count`` tags that neither favour nor forbid anything."""
        ends = np.zeros(tag_count, np.float32)
        return Transitions(np.zeros((tag_count, tag_count), np.float32), ends, ends)


def constrain(
    transitions: Transitions,
    allowed: Sequence[Sequence[bool]] | NDArray[np.bool_],
    start: Sequence[bool] | NDArray[np.bool_],
    end: Sequence[bool] | NDArray[np.bool_],
) -> Transitions:
    """Return the transitions with -inf wherever a tag scheme says no.

    Args:
        transitions: Scores of C tags.
        allowed: (C, C); whether tag j may follow tag i.
        start: (C,); whether a sentence may begin with the tag.
        end: (C,); whether a sentence may end with the tag.

    Raises:
        ValueError: If the lists do not have the transitions' shape.
    """
    masks = [np.asarray(mask, dtype=np.bool_) for mask in (allowed, start, end)]
    arrays = [transitions.scores, transitions.start, transitions.end]
    for mask, array in zip(masks, arrays, strict=True):
        if mask.shape != array.shape:
            raise ValueError(f"expected a mask of shape {array.shape}, got {mask.shape}")
    minus_infinity = np.float32(-np.inf)
    return Transitions(*(np.where(m, a, minus_infinity) for m, a in zip(masks, arrays, strict=True)))


def viterbi(emissions: FloatArray, lengths: ArrayLike, transitions: Transitions) -> IntArray:
    """Return the tag sequence of the highest score for every sentence of a padded batch.

    What ``viterbi_flat`` finds, in another form.

    Args:
        emissions: (B, T, C) float32; what stands beyond a sentence's length is never read.
        lengths: (B,) numbers of tokens, 0 to T, in any order.
        transitions: Scores of the C tags.

    Returns:
        (B, T) int64 tag ids, 0 beyond each length.

    Raises:
        ValueError: If the shapes do not fit together.
    """
    sizes = check_shapes(emissions, lengths, transitions)
    inside = np.arange(emissions.shape[1]) < sizes[:, None]  # (B, T)
    tags = np.zeros(inside.shape, np.int64)
    tags[inside] = viterbi_flat(emissions[inside], sizes, transitions)
    return tags


def viterbi_flat(emissions: FloatArray, lengths: IntArray, transitions: Transitions) -> IntArray:
    """Return the tag sequence of the highest score for sentences that stand one behind another.

    A sequence scores its emissions, plus the transitions between its tags, plus start and end. Among equal
    scores the lower tag id wins, looking from the last token to the first. A sentence for which nothing legal
    exists (every sequence of its length scores -inf) gets the best tag of each token by itself.

    The recursion is Viterbi's (Rabiner 1989, "A tutorial on hidden Markov models", section III.B). In place
    of back-pointers it keeps the table of best scores, no larger than the emissions, and looks up the best
    predecessor only for tags that lie on the best path: C comparisons a token for that, not C * C.

    Args:
        emissions: (N, C) float32.
        lengths: (S,) int64, tokens of each sentence, N in all.
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
    chunk = _STEP_BUDGET // emissions.shape[1] ** 2
    chunk = chunk if chunk >= _SMALLEST_CHUNK else 1
    for first in range(0, len(order), chunk):
        rows = order[first : first + chunk]
        _decode(emissions, begins[rows], lengths[rows], transitions, tags)
    return tags


def check_shapes(emissions: FloatArray, lengths: ArrayLike, transitions: Transitions) -> IntArray:
    """Return the lengths as (B,) int64 after checking that all arguments fit together.

    Raises:
        ValueError: With what was expected and what was given.
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
    """Fill in the ``tags`` (N,) of sentences, the longest first and none empty, given where they begin."""
    steps = int(sizes[0])
    active = sentences_at(sizes, steps)
    # One step of all sentences after another, and the tags first: long contiguous rows in every operation.
    places = np.concatenate([begins[: active[t]] + t for t in range(steps)])
    parts = np.cumsum([0, *active[:steps]]).tolist()
    # The emissions become the table of best scores: of all sequences up to a token that end in tag c.
    best = emissions[places].T.copy(order="C")  # (C, M)
    best[:, : active[0]] += transitions.start[:, None]
    scores = transitions.scores[:, :, None]
    for t in range(1, steps):
        before = best[:, parts[t - 1] : parts[t - 1] + active[t]]
        # Scores count from the step's best: otherwise a long text's sums would outgrow float32.
        before -= np.maximum(before.max(axis=0), np.finfo(np.float32).min)
        best[:, parts[t] : parts[t + 1]] += (before[:, None, :] + scores).max(axis=0)  # (C, C, n) -> (C, n)

    after = np.zeros(0, np.int64)  # the tags of the step that follows
    totals = np.zeros(len(sizes), np.float32)
    for t in range(steps - 1, -1, -1):
        count, following = active[t], len(after)
        onward = best[:, parts[t] : parts[t + 1]]
        onward[:, :following] += transitions.scores[:, after]
        if count > following:
            onward[:, following:] += transitions.end[:, None]
            totals[following:count] = onward[:, following:].max(axis=0)
        after = onward.argmax(axis=0)
        tags[places[parts[t] : parts[t + 1]]] = after
    for row in np.flatnonzero(np.isneginf(totals)):  # nothing legal: rare, if it ever happens
        whole = slice(begins[row], begins[row] + sizes[row])
        tags[whole] = emissions[whole].argmax(axis=1)
