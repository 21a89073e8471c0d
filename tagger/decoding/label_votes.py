"""Consistent labels: the mentions of a name in a document vote on their label.

A document rarely uses one name in two senses, so the confident mentions correct the doubtful ones. Krishnan
and Manning (2006, "An effective two-stage model for exploiting non-local dependencies in named entity
recognition") make the majority label a feature of a second model; here it decides directly.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

LEAST_VOTE = 0.5  # spans with a lower score do not vote
SETTLED = 0.8  # spans with this score or a higher one keep their label


def find_conflicts(names: Sequence[Hashable], labels: Ints) -> Ints:
    """Return the indices of the spans whose name also occurs with another label.

    Args:
        names: The names of M spans.
        labels: (M,) label ids of the spans.
    """
    labels_of: dict[Hashable, set[int]] = {}
    for name, label in zip(names, labels.tolist(), strict=True):
        labels_of.setdefault(name, set()).add(label)
    return np.array([index for index, name in enumerate(names) if len(labels_of[name]) > 1], np.int64)


def vote_labels(names: Sequence[Hashable], labels: Ints, scores: Floats) -> Ints:
    """Return the label with the highest sum of scores among the spans of the same name, for doubtful spans.

    Args:
        names: The names of M spans.
        labels: (M,) label ids of the spans.
        scores: (M,) probabilities of the spans. A span votes from ``LEAST_VOTE`` on, and keeps its label from
            ``SETTLED`` on, or if no label has a higher sum.

    Returns:
        (M,) label ids.
    """
    sums: dict[Hashable, dict[int, float]] = {}
    spans = list(zip(names, labels.tolist(), scores.tolist(), strict=True))
    for name, label, score in spans:
        if score >= LEAST_VOTE:
            of_name = sums.setdefault(name, {})
            of_name[label] = of_name.get(label, 0.0) + score
    voted = labels.copy()
    for index, (name, label, score) in enumerate(spans):
        of_name = sums.get(name, {})
        if score < SETTLED and of_name:
            best = max(of_name, key=lambda one: (of_name[one], -one))
            if of_name[best] > of_name.get(label, 0.0):
                voted[index] = best
    return voted
