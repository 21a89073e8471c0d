"""Compute the probability of every tag of each token, in any tag scheme."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tagger.decoding.crf import Posterior, transition_probabilities
from tagger.decoding.spans import SpanReader
from tagger.text.schemes import spans_to_tags
from tagger.text.sentence import Span

DoubleArray = NDArray[np.float64]

_BLOCK_TOKENS = 1024  # tokens of a sentence whose transition probabilities are in memory
# Relations of a tag to the next one: the same span, adjacent spans of one label, or neither.
_JOINED, _ADJACENT, _APART = range(3)


class TagMarginals:
    """Marginal probabilities of the tags of a target scheme under a model with tags of another scheme.

    A span's tags in the target scheme depend on the model's tag of the token and on its relations to both
    neighbours (IOB1 writes B only after an adjacent span of the same label). The probability of a tag is the
    sum over all tag sequences of the model that are converted to it, which the posterior gives exactly: given
    the tag of a token, its neighbours are independent.

    Args:
        tags: The C tags of the model; a tag's id is its index.
        target: The target scheme.

    Attributes:
        tags: The U tags of the target scheme that the model can predict, sorted.
    """

    def __init__(self, tags: Sequence[str], target: str) -> None:
        reader = SpanReader(tags, target)
        has_same_label = np.zeros_like(reader.joins)
        labels: list[str | None] = [None] * len(tags)
        for label, padded in zip(reader.labels, reader.tags, strict=True):
            ids = padded[padded >= 0]
            has_same_label[np.ix_(ids, ids)] = True
            for tag_id in ids.tolist():
                labels[tag_id] = label
        self._relations = np.stack([reader.joins, has_same_label & ~reader.joins, ~has_same_label])
        converted = {
            (left, right, tag_id): _convert(left, right, label, target)
            for tag_id, label in enumerate(labels)
            for left in range(3)
            for right in range(3)
            if (left == _APART or self._relations[left, :, tag_id].any())
            and (right == _APART or self._relations[right, tag_id].any())
        }
        self.tags = tuple(sorted(set(converted.values())))
        self._is_written = np.zeros((3, 3, len(tags), len(self.tags)))
        for place, tag in converted.items():
            self._is_written[place][self.tags.index(tag)] = 1.0

    def compute(self, posterior: Posterior) -> list[DoubleArray]:
        """Compute the probabilities (T, U) of each of B sentences; 0 if no tag sequence is possible."""
        return [self._compute(posterior, row, int(length)) for row, length in enumerate(posterior.lengths)]

    def _compute(self, posterior: Posterior, row: int, length: int) -> DoubleArray:
        tags = posterior.tags[row, :length].astype(np.float64)  # (T, C)
        left = np.zeros((length, 3, tags.shape[1]))  # probability of a tag and its relation to the left
        right = np.zeros_like(left)  # probability of the relation to the right, given the tag
        left[:1, _APART], right[-1:, _APART] = tags[:1], 1.0
        for first in range(1, length, _BLOCK_TOKENS):
            stop = min(first + _BLOCK_TOKENS, length)
            at, before = slice(first, stop), slice(first - 1, stop - 1)
            moves = transition_probabilities(posterior, row, first, stop)
            for relation, holds in enumerate(self._relations):
                left[at, relation] = (tags[before, None] @ (moves * holds))[:, 0]
                right[before, relation] = (moves * holds).sum(axis=2)
        joint = left[:, :, None] * right[:, None]  # (T, 3, 3, C)
        result: DoubleArray = np.tensordot(joint, self._is_written, axes=3)
        return result


def _convert(left: int, right: int, label: str | None, target: str) -> str:
    """Return the target tag of a token, given its label and its relations to both neighbours."""
    if label is None:
        return "O"
    spans = [Span(0 if left == _JOINED else 1, 3 if right == _JOINED else 2, label)]
    if left == _ADJACENT:
        spans.append(Span(0, 1, label))
    if right == _ADJACENT:
        spans.append(Span(2, 3, label))
    return spans_to_tags(spans, 3, target)[1]
