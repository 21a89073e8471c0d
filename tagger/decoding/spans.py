"""Spans of many sentences at once: where they begin and end, and how they are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tagger.text.schemes import continues_span, is_span_tag, spans_to_tags, split_tag
from tagger.text.sentence import Span

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class FoundSpans:
    """M spans among N tokens of several sentences.

    Attributes:
        starts: (M,) place of each span's first token, rising.
        ends: (M,) place after its last token.
        labels: (M,) place of its label in ``SpanReader.labels``.
    """

    starts: IntArray
    ends: IntArray
    labels: IntArray

    def select(self, places: IntArray) -> FoundSpans:
        """The spans at these places among them."""
        return FoundSpans(self.starts[places], self.ends[places], self.labels[places])


class SpanReader:
    """Reads tag ids as ``text.schemes.tags_to_spans`` reads tags, and writes them in another scheme.

    Args:
        tags: The C tags; a tag's id is its place.
        target: The scheme to write in.

    Attributes:
        labels: All labels of spans.
        tags: (labels, W) ids of each label's tags, padded at the right with -1.
        joins: (C, C) bool; True where the second tag continues the span of the first.
        closing: (labels, C) bool; the tags that may follow a span of a label: all that do not go on with it.
    """

    def __init__(self, tags: Sequence[str], target: str) -> None:
        parts = [split_tag(tag) if is_span_tag(tag) else ("O", "") for tag in tags]
        self.labels = list(dict.fromkeys(label for prefix, label in parts if prefix != "O"))
        places = {label: place for place, label in enumerate(self.labels)}
        self._is_inside = np.array([prefix != "O" for prefix, _ in parts])
        self._label_of = np.array([places.get(label, 0) for _, label in parts])
        by_label: list[list[int]] = [[] for _ in self.labels]
        for number, (prefix, label) in enumerate(parts):
            if prefix != "O":
                by_label[places[label]].append(number)
        width = max(map(len, by_label), default=0)
        padded = [own + [-1] * (width - len(own)) for own in by_label]
        self.tags = np.array(padded, np.int64).reshape(len(padded), width)
        self.joins = np.array([[continues_span(before, tag) for tag in tags] for before in tags])
        begun = [spans_to_tags([Span(0, 2, label)], 2, "IOB2")[0] for label in self.labels]
        self.closing = np.array(
            [[not continues_span(first, tag) for tag in tags] for first in begun], np.bool_
        )
        spellings = [text for label in self.labels for text in _spellings(label, target)]
        self._written = np.array([*spellings, "O"], object)
        self._marks_touched = any(
            touched not in (only, last)
            for only, *_, last, touched in zip(*[iter(spellings)] * _SPELLINGS, strict=True)
        )

    def find(self, ids: IntArray, is_first: BoolArray) -> FoundSpans:
        """Find the spans of sentences that stand one behind another.

        Args:
            ids: (N,) tag ids.
            is_first: (N,) whether a sentence begins with the token.
        """
        is_inside = self._is_inside[ids]
        goes_on = np.zeros(len(ids) + 1, np.bool_)
        goes_on[1:-1] = self.joins[ids[:-1], ids[1:]] & ~is_first[1:]
        starts = np.flatnonzero(is_inside & ~goes_on[:-1])
        ends = np.flatnonzero(is_inside & ~goes_on[1:]) + 1
        return FoundSpans(starts, ends, self._label_of[ids[starts]])

    def write(self, found: FoundSpans, is_first: BoolArray) -> list[str]:
        """Return the N tags of these spans in the target scheme, as ``spans_to_tags`` writes each sentence.

        Args:
            found: What ``find`` returned.
            is_first: As given to it.
        """
        codes = np.full(len(is_first), len(self._written) - 1)
        lengths = found.ends - found.starts
        inner = np.repeat(found.labels * _SPELLINGS + _INSIDE, lengths)
        codes[_ranges(found.starts, lengths)] = inner
        codes[found.ends - 1] = found.labels * _SPELLINGS + _LAST
        touches = np.zeros(len(lengths), np.bool_)
        touches[1:] = (found.ends[:-1] == found.starts[1:]) & (found.labels[:-1] == found.labels[1:])
        touches &= ~is_first[found.starts]
        first = np.where(lengths == 1, _ONLY, _FIRST) + np.where(touches, _TOUCHING, 0)
        codes[found.starts] = found.labels * _SPELLINGS + first
        if self._marks_touched:
            touched = np.flatnonzero(touches) - 1
            codes[found.ends[touched] - 1] = found.labels[touched] * _SPELLINGS + _TOUCHED
        written: list[str] = self._written[codes].tolist()
        return written


# Which of a span's tags is meant; the first two also for a span that touches one of its label.
_ONLY, _FIRST, _TOUCHING, _INSIDE, _LAST, _TOUCHED, _SPELLINGS = 0, 1, 2, 4, 5, 6, 7


def _spellings(label: str, scheme: str) -> list[str]:
    """A label's tags in the order above; the last is that of a span's end where the next span touches it."""
    short, long = Span(0, 1, label), Span(0, 3, label)
    first, inside, last = spans_to_tags([long], 3, scheme)
    touching = [
        spans_to_tags([short, Span(1, 1 + length, label)], 1 + length, scheme)[1] for length in (1, 2)
    ]
    touched = spans_to_tags([short, Span(1, 2, label)], 2, scheme)[0]
    return [*spans_to_tags([short], 1, scheme), first, *touching, inside, last, touched]


def _ranges(starts: IntArray, lengths: IntArray) -> IntArray:
    """All places of ranges, one range behind another."""
    within: IntArray = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return within + np.repeat(starts, lengths)
