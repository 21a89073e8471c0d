"""Decode the K best tag sequences of every sentence in a batch, with exact scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tagger.decoding.crf import path_scores
from tagger.decoding.viterbi import FloatArray, IntArray, Transitions, check_shapes, sentences_at, viterbi

DoubleArray = NDArray[np.float64]
SmallInts = NDArray[np.unsignedinteger[Any]]

# Maximum number of back-pointers in memory, unless a single sentence needs more.
_POINTER_BUDGET = 1 << 22


@dataclass(frozen=True, slots=True)
class NBest:
    """The n-best tag sequences of B sentences, best first.

    Attributes:
        tags: (B, K, T) tag ids in the smallest sufficient integer type; 0 beyond each length and count.
        scores: (B, K) float64 scores of the sequences; -inf beyond each count.
        counts: (B,) number of sequences of each sentence, at most K.
    """

    tags: SmallInts
    scores: DoubleArray
    counts: IntArray


def nbest(emissions: FloatArray, lengths: ArrayLike, transitions: Transitions, most: int) -> NBest:
    """Return the K = ``most`` highest-scoring tag sequences of every sentence.

    Scores are those of ``viterbi``, and the first sequence equals the result of ``viterbi``. The lower tag id
    wins a tie, compared from the last token to the first. A sentence with fewer than K legal sequences gets
    all of them. A non-empty sentence without a legal sequence gets one sequence with the score -inf: the best
    tag of each token independently, as in ``viterbi``. An empty sentence gets none.

    The recursion is the parallel list Viterbi algorithm (Seshadri and Sundberg 1994, "List Viterbi decoding
    algorithms with applications", section II.A): for every tag of a token it keeps the K best sequences that
    end there, merged from the sorted lists of the previous token. Like ``viterbi`` it sums in float32 and
    subtracts each step's best score, so sequences whose scores differ by less than a rounding error may
    appear in either order. The returned scores are recomputed from the sequences in float64.

    Memory is K * C back-pointers per token, usually of one or two bytes each. A block of sentences holds at
    most ``_POINTER_BUDGET`` of them, unless a single sentence needs more.

    Args:
        emissions: (B, T, C) float32; values beyond a sentence's length are ignored.
        lengths: (B,) number of tokens of each sentence, 0 to T, in any order.
        transitions: Scores of the C tags.
        most: Maximum number of sequences per sentence, at least 1.

    Raises:
        ValueError: The shapes do not match or ``most`` is less than 1.
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
        # A sentence has at most tags ** tokens sequences, so short ones need only short lists.
        ranks = min(most, tag_count ** min(longest, most.bit_length()))
        rows = order[first : first + max(1, _POINTER_BUDGET // (longest * tag_count * ranks))]
        paths, counts[rows] = _decode(emissions[rows, :longest], sizes[rows], transitions, ranks)
        tags[rows, :ranks, :longest] = paths
        first += len(rows)

    illegal = np.flatnonzero((counts == 0) & (sizes > 0))  # no legal sequence: rare
    if len(illegal):
        tags[illegal, 0] = viterbi(emissions[illegal], sizes[illegal], transitions)
        counts[illegal] = 1
    return NBest(tags, _rescore(emissions, sizes, transitions, tags, counts), counts)


def _decode(
    emissions: FloatArray, sizes: IntArray, transitions: Transitions, ranks: int
) -> tuple[SmallInts, IntArray]:
    """Decode n non-empty sentences (n, T, C), longest first.

    Returns:
        (n, K, T) tag ids, 0 beyond each length and count; (n,) the number of legal sequences.
    """
    sentence_count, steps, tag_count = emissions.shape
    active = sentences_at(sizes, steps)
    smallest = np.min_scalar_type(tag_count * ranks - 1)
    pointers = np.zeros((steps, sentence_count, tag_count, ranks), smallest)
    last = np.zeros((sentence_count, 1, ranks), smallest)
    counts = np.zeros(sentence_count, np.int64)
    # best[b, c, k]: score of the sequence of rank k among those that end in tag c at this step.
    best = np.full((sentence_count, tag_count, ranks), -np.inf, np.float32)
    best[:, :, 0] = emissions[:, 0] + transitions.start
    for t in range(steps):
        count, following = active[t], active[t + 1]
        if t:
            best = best[:count]
            # As in viterbi: the sums of a long text would exceed the precision of float32.
            best -= np.maximum(best[:, :, 0].max(axis=1), np.finfo(np.float32).min)[:, None, None]
            best, pointers[t, :count] = _merge(best, transitions.scores)
            best += emissions[:count, t, :, None]
        if following < count:
            totals, last[following:count] = _merge(best[following:], transitions.end[:, None])
            counts[following:count] = np.isfinite(totals[:, 0]).sum(axis=1)
    return _trace(pointers, last[:, 0], sizes, counts), counts


def _merge(best: FloatArray, scores: FloatArray) -> tuple[FloatArray, IntArray]:
    """Extend sequences by one tag.

    Args:
        best: (n, C, K) scores of the sequences that end in each tag, in falling order along K.
        scores: (C, D) transition scores from each tag to each of D tags.

    Returns:
        (n, D, K) the best scores that end in each new tag, in falling order along K; (n, D, K) back-pointers,
        tag * K + rank. If fewer than K sequences exist, the remaining scores are -inf and the pointers 0.
    """
    sentence_count, tag_count, ranks = best.shape
    target_count = scores.shape[1]
    after = np.ascontiguousarray(scores.T)  # (D, C)
    # Merge C sorted lists: the best remaining candidate of each list, and its rank.
    heads = (best[:, None, :, 0] + after).reshape(-1, tag_count)  # (n * D, C)
    next_rank = np.zeros(heads.shape, np.int64)
    merged = np.full((sentence_count * target_count, ranks), -np.inf, np.float32)
    origins = np.zeros(merged.shape, np.int64)
    rows = np.arange(len(heads))
    sentence, tag = np.divmod(rows, target_count)
    for rank in range(ranks):
        chosen = heads.argmax(axis=1)
        merged[:, rank] = heads[rows, chosen]
        if np.isneginf(merged[:, rank]).all():
            break
        position = next_rank[rows, chosen]
        origins[:, rank] = chosen * ranks + position
        next_rank[rows, chosen] = position + 1
        onward = best[sentence, chosen, np.minimum(position + 1, ranks - 1)] + after[tag, chosen]
        heads[rows, chosen] = np.where(position + 1 < ranks, onward, -np.inf)
    shape = (sentence_count, target_count, ranks)
    return merged.reshape(shape), np.where(np.isneginf(merged), 0, origins).reshape(shape)


def _trace(pointers: SmallInts, last: SmallInts, sizes: IntArray, counts: IntArray) -> SmallInts:
    """Follow the back-pointers from the last tags; return (n, K, T) tag ids.

    Args:
        pointers: (T, n, C, K) back-pointers, tag * K + rank.
        last: (n, K) pointers to the last tags of complete sentences.
        sizes: (n,) number of tokens of each sentence, in falling order.
        counts: (n,) number of sequences of each sentence.
    """
    steps, sentence_count, tag_count, ranks = pointers.shape
    tags = np.zeros((sentence_count, ranks, steps), np.min_scalar_type(tag_count - 1))
    active = sentences_at(sizes, steps)
    current = last.copy()
    for t in range(steps - 1, -1, -1):
        n = active[t]
        tag, rank = np.divmod(current[:n], ranks)
        tags[:n, :, t] = tag
        current[:n] = pointers[t, np.arange(n)[:, None], tag, rank]
    tags[np.arange(ranks) >= counts[:, None]] = 0
    return tags


def _rescore(
    emissions: FloatArray, sizes: IntArray, transitions: Transitions, tags: SmallInts, counts: IntArray
) -> DoubleArray:
    """Return (B, K) float64: the scores of tag sequences (B, K, T), -inf beyond each count."""
    scores = np.full(tags.shape[:2], -np.inf)
    for rank in range(tags.shape[1]):  # one rank at a time needs K times less memory
        rows = np.flatnonzero(counts > rank)
        if not len(rows):
            break
        paths = tags[rows, rank].astype(np.int64)
        scores[rows, rank] = path_scores(emissions[rows], paths, sizes[rows], transitions)
    return scores
