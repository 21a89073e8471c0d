"""Compute exact marginal probabilities of spans, including spans that are not on the best path."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tagger.decoding.crf import Posterior
from tagger.decoding.log_space import log_sum
from tagger.decoding.spans import FoundSpans, SpanReader

BoolArray = NDArray[np.bool_]
DoubleArray = NDArray[np.float64]
FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

_SLACK = 1 - 1e-6  # scores are rounded to float32 before they are compared


class SpanMarginals:
    """Marginal probabilities of spans under one posterior.

    The marginal of a span is the probability that the tag sequence contains exactly this span with this
    label: the sum over all sequences in which ``SpanReader.find`` finds it. The constrained forward pass of
    Culotta and McCallum 2004 ("Confidence estimation for information extraction", section 3) computes the
    probability that a span begins at token s and reaches token t. It never increases with t, and its decrease
    from t to t + 1 is the probability that the span ends with t.

    Args:
        posterior: Posterior of B sentences.
        reader: Determines which tags begin and continue a span.
    """

    def __init__(self, posterior: Posterior, reader: SpanReader) -> None:
        self._posterior = posterior
        self._tags: IntArray = np.maximum(reader.tags, 0)  # (L, W)
        is_padding: BoolArray = reader.tags < 0
        moves = np.where(reader.joins, posterior.transitions.scores.astype(np.float64), -np.inf)
        self._moves = moves[
            self._tags[:, :, None], self._tags[:, None, :]
        ]  # (L, W, W), -inf: a new span begins
        self._moves[is_padding[:, :, None] | is_padding[:, None, :]] = -np.inf
        self._begins = self._begin(reader.joins, is_padding)

    def _begin(self, joins: BoolArray, is_padding: BoolArray) -> DoubleArray:
        """Return (B, T, L, W): the probability that a span begins at a token with each tag of each label."""
        scores = self._posterior.transitions.scores
        begins: DoubleArray = self._posterior.tags.astype(np.float64)[:, :, self._tags]
        begins[:, :, is_padding] = 0.0
        # A tag that cannot begin a span after any other tag is always inside a span.
        may_begin = np.asarray((np.isfinite(scores) & ~joins).any(axis=0))
        begins[:, 1:, ~may_begin[self._tags]] = 0.0
        continues = (self._moves > -np.inf).any(axis=1) & begins[:, 1:].any(axis=(0, 1))  # (L, W)
        rows, labels = (indices.ravel() for indices in np.indices((len(begins), len(self._tags))))
        for token in range(1, begins.shape[1] if continues.any() else 0):  # subtract continuations
            before = self._posterior.tags[rows[:, None], token - 1, self._tags[labels]].astype(np.float64)
            before[is_padding[labels]] = 0.0
            inside = np.exp(self._continue(rows, np.full_like(rows, token), labels, _log(before)))
            begins[:, token] -= np.where(continues, inside.reshape(begins[:, token].shape), 0.0)
        return np.maximum(begins, 0.0)

    def _continue(self, rows: IntArray, at: IntArray, labels: IntArray, logs: DoubleArray) -> DoubleArray:
        """Extend spans from the previous token to token ``at``.

        Args:
            rows: (M,) sentence indices.
            at: (M,) token indices.
            labels: (M,) label indices.
            logs: (M, W) log probability of each tag of the label at the previous token.

        Returns:
            (M, W) the same at token ``at``.
        """
        tags, backward = self._tags[labels], self._posterior.backward
        leaving = backward[rows[:, None], at[:, None] - 1, tags]
        leaving = logs - np.where(np.isneginf(leaving), 0.0, leaving)  # keep -inf
        arriving = self._posterior.emissions[rows[:, None], at[:, None], tags].astype(np.float64)
        arriving += backward[rows[:, None], at[:, None], tags]
        return np.minimum(log_sum(leaving[:, :, None] + self._moves[labels], axis=1) + arriving, 0.0)

    def find(self, threshold: float, begins: IntArray) -> FoundSpans:
        """Find every span whose marginal is at least the threshold, unsorted; spans may overlap.

        The search drops a span as soon as its probability falls below the threshold. Spans that are extended
        at one token exclude one another, so a sentence has at most 1 / threshold of them. Time and memory
        therefore grow with the sentence's length, not with its square.

        Args:
            threshold: A probability above 0.
            begins: (B,) index of each sentence's first token in the flat batch; the token indices of the
                result count from the start of the batch.
        """
        lengths, min_probability = self._posterior.lengths, threshold * _SLACK
        sums = self._begins.sum(axis=3)
        begun = np.argwhere(sums.transpose(1, 0, 2) >= min_probability)[
            :, [1, 0, 2]
        ]  # row, start, label; by start
        limits = np.searchsorted(begun[:, 1], np.arange(sums.shape[1] + 1))
        active, logs = begun[:0], np.zeros((0, self._tags.shape[1]))
        results = [np.zeros((0, 4), np.int64)]
        scores = [np.zeros(0)]
        for token in range(sums.shape[1]):
            new = begun[limits[token] : limits[token + 1]]
            if not len(active) and not len(new):
                continue
            active = np.concatenate([active, new])
            logs = np.concatenate([logs, _log(self._begins[new[:, 0], token, new[:, 2]])])
            inner = np.flatnonzero(token + 1 < lengths[active[:, 0]])
            onward = np.full_like(logs, -np.inf)
            at = np.full(len(inner), token + 1)
            onward[inner] = self._continue(active[inner, 0], at, active[inner, 2], logs[inner])
            remaining = np.exp(onward).sum(axis=1)
            ended = np.exp(logs).sum(axis=1) - remaining
            reached = np.flatnonzero(ended >= min_probability)
            results.append(np.insert(active[reached], 2, token + 1, axis=1))
            scores.append(ended[reached])
            active, logs = active[remaining >= min_probability], onward[remaining >= min_probability]
        values = np.minimum(np.concatenate(scores), 1.0).astype(np.float32)
        is_above = values >= threshold
        rows, starts, ends, labels = np.concatenate(results)[is_above].T
        return FoundSpans(starts + begins[rows], ends + begins[rows], labels, values[is_above])

    def score(self, spans: FoundSpans, begins: IntArray) -> FloatArray:
        """Return the (M,) marginals of these spans.

        Args:
            spans: The spans; none crosses a sentence end.
            begins: (B,) index of each sentence's first token in the flat batch, in ascending order.
        """
        rows = spans.sentences(begins)
        starts, ends = spans.starts - begins[rows], spans.ends - begins[rows]
        sizes = ends - starts
        logs = _log(self._begins[rows, starts, spans.labels])
        for step in range(1, int(sizes.max(initial=1))):
            longer = np.flatnonzero(sizes > step)
            at = starts[longer] + step
            logs[longer] = self._continue(rows[longer], at, spans.labels[longer], logs[longer])
        result = np.exp(logs).sum(axis=1)
        inner = np.flatnonzero(ends < self._posterior.lengths[rows])
        onward = self._continue(rows[inner], ends[inner], spans.labels[inner], logs[inner])
        result[inner] -= np.exp(onward).sum(axis=1)
        scores: FloatArray = np.clip(result, 0.0, 1.0).astype(np.float32)
        return scores


def _log(probabilities: DoubleArray) -> DoubleArray:
    with np.errstate(divide="ignore"):
        logs: DoubleArray = np.log(probabilities)
    return logs
