"""The K best tag sequences of every sentence in a batch, with their exact scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tagger.decoding.viterbi import FloatArray, IntArray, Transitions, check_shapes, sentences_at, viterbi

DoubleArray = NDArray[np.float64]
SmallInts = NDArray[np.unsignedinteger[Any]]

# Back-pointers held at once, unless a single sentence has more.
_POINTER_BUDGET = 1 << 22


@dataclass(frozen=True, slots=True)
class NBest:
    """The best tag sequences of B sentences, the best first.

    Attributes:
        tags: (B, K, T) tag ids in the smallest integers that hold them; 0 beyond each length and count.
        scores: (B, K) float64 scores of the sequences; -inf beyond each count.
        counts: (B,) how many sequences each sentence has, at most K.
    """

    tags: SmallInts
    scores: DoubleArray
    counts: IntArray


def nbest(emissions: FloatArray, lengths: ArrayLike, transitions: Transitions, most: int) -> NBest:
    """Return the K = ``most`` tag sequences of the highest scores for every sentence.

    A sequence scores as in ``viterbi``, and the first sequence is the one that ``viterbi`` returns. Among
    equal scores the lower tag id wins, looking from the last token to the first. A sentence with fewer than
    K legal sequences gets them all. One of some length for which nothing legal exists gets one sequence, the
    best tag of each token by itself as in ``viterbi``, with the score -inf. An empty sentence gets none.

    The recursion is the parallel list Viterbi algorithm (Seshadri and Sundberg 1994, "List Viterbi decoding
    algorithms with applications", section II.A): for every tag of a token it keeps the K best sequences that
    end there, merged from the sorted lists of the token before. It sums as ``viterbi`` does, in float32 that
    counts from each step's best, so sequences whose scores differ by less than its rounding may stand in
    either order. The scores that are returned are summed anew from the sequences, in float64.

    Memory is K * C back-pointers a token, of one or two bytes as a rule, for one sentence or for
    ``_POINTER_BUDGET`` of them if that is more.

    Args:
        emissions: (B, T, C) float32; what stands beyond a sentence's length is never read.
        lengths: (B,) numbers of tokens, 0 to T, in any order.
        transitions: Scores of the C tags.
        most: Sequences of a sentence at most, at least 1.

    Raises:
        ValueError: If the shapes do not fit together or ``most`` is less than 1.
    """
    sizes = check_shapes(emissions, lengths, transitions)
    if most < 1:
        raise ValueError(f"expected at least 1 sequence, got {most}")
    sentence_count, steps, tag_count = emissions.shape
    tags = np.zeros((sentence_count, most, steps), np.min_scalar_type(max(tag_count - 1, 0)))
    counts = np.zeros(sentence_count, np.int64)
    order = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
    first = 0
    while first < len(order):
        longest = int(sizes[order[first]])
        # No sentence has more sequences than tags ** tokens: a short one needs no long lists.
        ranks = min(most, tag_count ** min(longest, most.bit_length()))
        rows = order[first : first + max(1, _POINTER_BUDGET // (longest * tag_count * ranks))]
        found, counts[rows] = _decode(emissions[rows, :longest], sizes[rows], transitions, ranks)
        tags[rows, :ranks, :longest] = found
        first += len(rows)

    lost = np.flatnonzero((counts == 0) & (sizes > 0))  # nothing legal: rare, if it ever happens
    if len(lost):
        tags[lost, 0] = viterbi(emissions[lost], sizes[lost], transitions)
        counts[lost] = 1
    return NBest(tags, _rescore(emissions, sizes, transitions, tags, counts), counts)


def _decode(
    emissions: FloatArray, sizes: IntArray, transitions: Transitions, ranks: int
) -> tuple[SmallInts, IntArray]:
    """Decode n sentences (n, T, C), longest first, none empty.

    Returns:
        (n, K, T) tag ids, 0 beyond each length and count; (n,) the number of sequences that are legal.
    """
    sentence_count, steps, tag_count = emissions.shape
    active = sentences_at(sizes, steps)
    smallest = np.min_scalar_type(tag_count * ranks - 1)
    pointers = np.zeros((steps, sentence_count, tag_count, ranks), smallest)
    last = np.zeros((sentence_count, 1, ranks), smallest)
    counts = np.zeros(sentence_count, np.int64)
    # best[b, c, k]: the score of the sequence of rank k among those up to the step that end in tag c.
    best = np.full((sentence_count, tag_count, ranks), -np.inf, np.float32)
    best[:, :, 0] = emissions[:, 0] + transitions.start
    for t in range(steps):
        count, following = active[t], active[t + 1]
        if t:
            best = best[:count]
            # As in viterbi: a long text's sums would outgrow float32.
            best -= np.maximum(best[:, :, 0].max(axis=1), np.finfo(np.float32).min)[:, None, None]
            best, pointers[t, :count] = _merge(best, transitions.scores)
            best += emissions[:count, t, :, None]
        if following < count:
            totals, last[following:count] = _merge(best[following:], transitions.end[:, None])
            counts[following:count] = np.isfinite(totals[:, 0]).sum(axis=1)
    return _trace(pointers, last[:, 0], sizes, counts), counts


def _merge(best: FloatArray, scores: FloatArray) -> tuple[FloatArray, IntArray]:
    """Continue sequences by one more tag.

    Args:
        best: (n, C, K) scores of the sequences that end in each tag, falling along K.
        scores: (C, D) scores of each of D tags after each tag.

    Returns:
        (n, D, K) the scores of the best that end in each new tag, falling along K; (n, D, K) which they
        continue, tag * K + rank. Where there are fewer than K, scores are -inf and what they continue 0.
    """
    sentence_count, tag_count, ranks = best.shape
    width = scores.shape[1]
    after = np.ascontiguousarray(scores.T)  # (D, C)
    # Each list's best candidate that was not taken yet, and its rank: C sorted lists are merged.
    heads = (best[:, None, :, 0] + after).reshape(-1, tag_count)  # (n * D, C)
    taken = np.zeros(heads.shape, np.int64)
    merged = np.full((sentence_count * width, ranks), -np.inf, np.float32)
    origins = np.zeros(merged.shape, np.int64)
    lines = np.arange(len(heads))
    sentence, tag = np.divmod(lines, width)
    for rank in range(ranks):
        chosen = heads.argmax(axis=1)
        merged[:, rank] = heads[lines, chosen]
        if np.isneginf(merged[:, rank]).all():
            break
        place = taken[lines, chosen]
        origins[:, rank] = chosen * ranks + place
        taken[lines, chosen] = place + 1
        onward = best[sentence, chosen, np.minimum(place + 1, ranks - 1)] + after[tag, chosen]
        heads[lines, chosen] = np.where(place + 1 < ranks, onward, -np.inf)
    shape = (sentence_count, width, ranks)
    return merged.reshape(shape), np.where(np.isneginf(merged), 0, origins).reshape(shape)


def _trace(pointers: SmallInts, last: SmallInts, sizes: IntArray, counts: IntArray) -> SmallInts:
    """Walk back from the last tags; return (n, K, T) tag ids.

    Args:
        pointers: (T, n, C, K) what each sequence continues, tag * K + rank.
        last: (n, K) the same for whole sentences.
        sizes: (n,) tokens of each sentence, falling.
        counts: (n,) sequences of each sentence.
    """
    steps, sentence_count, tag_count, ranks = pointers.shape
    tags = np.zeros((sentence_count, ranks, steps), np.min_scalar_type(tag_count - 1))
    active = sentences_at(sizes, steps)
    here = last.copy()
    for t in range(steps - 1, -1, -1):
        n = active[t]
        tag, rank = np.divmod(here[:n], ranks)
        tags[:n, :, t] = tag
        here[:n] = pointers[t, np.arange(n)[:, None], tag, rank]
    tags[np.arange(ranks) >= counts[:, None]] = 0
    return tags


def _rescore(
    emissions: FloatArray, sizes: IntArray, transitions: Transitions, tags: SmallInts, counts: IntArray
) -> DoubleArray:
    """Return (B, K) float64: the scores of tag sequences (B, K, T), -inf beyond each count."""
    scores = np.full(tags.shape[:2], -np.inf)
    for rank in range(tags.shape[1]):  # one after the other: K times fewer numbers at a time
        rows = np.flatnonzero(counts > rank)
        if not len(rows):
            break
        found, ends = tags[rows, rank], sizes[rows] - 1
        steps = np.arange(found.shape[1])
        added = emissions[rows[:, None], steps, found].astype(np.float64)
        added[:, 1:] += transitions.scores[found[:, :-1], found[:, 1:]]
        total = np.where(steps <= ends[:, None], added, 0.0).sum(axis=1)
        scores[rows, rank] = (
            total + transitions.start[found[:, 0]] + transitions.end[found[np.arange(len(rows)), ends]]
        )
    return scores
