"""Convert between tag ids and spans for many sentences at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tagger.text.schemes import continues_span, is_span_tag, spans_to_tags, split_tag
from tagger.text.sentence import Span

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FoundSpans:
    """M spans among N tokens of several concatenated sentences.

    Attributes:
        starts: (M,) index of each span's first token.
        ends: (M,) index after each span's last token.
        labels: (M,) index of each span's label in ``SpanReader.labels``.
        scores: (M,) float32 probabilities; 0 until they are computed.
    """

    starts: IntArray
    ends: IntArray
    labels: IntArray
    scores: FloatArray

    @classmethod
    def unscored(cls, starts: IntArray, ends: IntArray, labels: IntArray) -> FoundSpans:
        """Create spans whose scores are 0."""
        return cls(starts, ends, labels, np.zeros(len(starts), np.float32))

    def select(self, indices: IntArray) -> FoundSpans:
        """Return the spans at these indices."""
        return FoundSpans(
            self.starts[indices], self.ends[indices], self.labels[indices], self.scores[indices]
        )

    def sentences(self, begins: IntArray) -> IntArray:
        """Return the index (M,) of each span's sentence, given the sentences' first tokens (B,), rising."""
        return np.searchsorted(begins, self.starts, side="right") - 1


class SpanReader:
    """Vectorised ``text.schemes.tags_to_spans``, and conversion of the spans to a target scheme.

    Args:
        tags: The C tags; a tag's id is its index.
        target: The scheme of the written tags.

    Attributes:
        labels: The L span labels.
        tags: (L, W) ids of each label's tags, right-padded with -1.
        joins: (C, C) bool; True if the second tag continues the span of the first.
        closing: (L, C) bool; the tags that may follow a span of a label: all that do not continue it.
    """

    def __init__(self, tags: Sequence[str], target: str) -> None:
        pairs = [split_tag(tag) if is_span_tag(tag) else ("O", "") for tag in tags]
        self.labels = list(dict.fromkeys(label for prefix, label in pairs if prefix != "O"))
        label_ids = {label: index for index, label in enumerate(self.labels)}
        self._is_inside = np.array([prefix != "O" for prefix, _ in pairs])
        self._label_of = np.array([label_ids.get(label, 0) for _, label in pairs])
        by_label: list[list[int]] = [[] for _ in self.labels]
        for tag_id, (prefix, label) in enumerate(pairs):
            if prefix != "O":
                by_label[label_ids[label]].append(tag_id)
        width = max(map(len, by_label), default=0)
        padded = [tag_ids + [-1] * (width - len(tag_ids)) for tag_ids in by_label]
        self.tags = np.array(padded, np.int64).reshape(len(padded), width)
        self.joins = np.array([[continues_span(before, tag) for tag in tags] for before in tags])
        first_tags = [spans_to_tags([Span(0, 2, label)], 2, "IOB2")[0] for label in self.labels]
        self.closing = np.array(
            [[not continues_span(first, tag) for tag in tags] for first in first_tags], np.bool_
        )
        spellings = [text for label in self.labels for text in _spellings(label, target)]
        self._written = np.array([*spellings, "O"], object)
        self._marks_touched = any(
            touched not in (only, last)
            for only, *_, last, touched in zip(*[iter(spellings)] * _SPELLINGS, strict=True)
        )

    def find(self, ids: IntArray, is_first: BoolArray) -> FoundSpans:
        """Find the spans in a flat (unpadded) batch of sentences, in ascending order.

        Args:
            ids: (N,) tag ids.
            is_first: (N,) True for the first token of a sentence.
        """
        is_inside = self._is_inside[ids]
        continues = np.zeros(len(ids) + 1, np.bool_)
        continues[1:-1] = self.joins[ids[:-1], ids[1:]] & ~is_first[1:]
        starts = np.flatnonzero(is_inside & ~continues[:-1])
        ends = np.flatnonzero(is_inside & ~continues[1:]) + 1
        return FoundSpans.unscored(starts, ends, self._label_of[ids[starts]])

    def write(self, spans: FoundSpans, is_first: BoolArray) -> list[str]:
        """Return the N tags of these spans in the target scheme, as ``spans_to_tags`` does per sentence.

        Args:
            spans: The result of ``find``.
            is_first: The argument of ``find``.
        """
        codes = np.full(len(is_first), len(self._written) - 1)
        lengths = spans.ends - spans.starts
        inner = np.repeat(spans.labels * _SPELLINGS + _INSIDE, lengths)
        codes[_ranges(spans.starts, lengths)] = inner
        codes[spans.ends - 1] = spans.labels * _SPELLINGS + _LAST
        is_adjacent = np.zeros(len(lengths), np.bool_)
        is_adjacent[1:] = (spans.ends[:-1] == spans.starts[1:]) & (spans.labels[:-1] == spans.labels[1:])
        is_adjacent &= ~is_first[spans.starts]
        first = np.where(lengths == 1, _ONLY, _FIRST) + np.where(is_adjacent, _ADJACENT, 0)
        codes[spans.starts] = spans.labels * _SPELLINGS + first
        if self._marks_touched:
            before_adjacent = np.flatnonzero(is_adjacent) - 1
            codes[spans.ends[before_adjacent] - 1] = (
                spans.labels[before_adjacent] * _SPELLINGS + _BEFORE_ADJACENT
            )
        written: list[str] = self._written[codes].tolist()
        return written


# Indices of a span's tag spellings; the first two also exist for a span adjacent to one of the same label.
_ONLY, _FIRST, _ADJACENT, _INSIDE, _LAST, _BEFORE_ADJACENT, _SPELLINGS = 0, 1, 2, 4, 5, 6, 7


def _spellings(label: str, scheme: str) -> list[str]:
    """Return a label's tags in the order above; the last one ends a span before an adjacent span."""
    short, long = Span(0, 1, label), Span(0, 3, label)
    first, inside, last = spans_to_tags([long], 3, scheme)
    touching = [
        spans_to_tags([short, Span(1, 1 + length, label)], 1 + length, scheme)[1] for length in (1, 2)
    ]
    touched = spans_to_tags([short, Span(1, 2, label)], 2, scheme)[0]
    return [*spans_to_tags([short], 1, scheme), first, *touching, inside, last, touched]


def _ranges(starts: IntArray, lengths: IntArray) -> IntArray:
    """Return the concatenated indices of all ranges."""
    within: IntArray = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return within + np.repeat(starts, lengths)
