"""Compute the exact probabilities of spans from the tags of their tokens."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tagger.decoding.crf import Posterior
from tagger.decoding.log_space import DoubleArray
from tagger.decoding.viterbi import FloatArray, IntArray


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
