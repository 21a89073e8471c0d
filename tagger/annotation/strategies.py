"""Strategies of active learning: which sentence a model would learn most from."""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import nsmallest
from typing import Literal, NamedTuple

from tagger.annotation.annotation_cost import AnnotationCost
from tagger.runtime.options import TagOptions
from tagger.text.sentence import Sentence

StrategyName = Literal["uncertainty", "mnlp", "random", "longest"]
LEAST_CERTAIN = 3  # tokens whose uncertainty counts
_SMALLEST = 5e-324  # the probability of a long sentence may underflow to 0


class Strategy(NamedTuple):
    """A way to rank sentences.

    Attributes:
        priority: Returns a finite number; the sentence with the highest one comes first. It receives a
            sentence of at least one token as the model tags it, the task, the cost of annotation, and the
            sentence's random number in [0, 1).
        options: The values that the model computes for ``priority``; None if it needs no model.
    """

    priority: Callable[[Sentence, str, AnnotationCost, float], float]
    options: TagOptions | None


def _uncertainty(sentence: Sentence, task: str, cost: AnnotationCost, draw: float) -> float:
    """Return the expected number of wrong tags among the least certain tokens, per second of annotation.

    This is least-confidence sampling (Settles and Craven 2008, "An analysis of active learning strategies for
    sequence labeling tasks", section 3.1) on the marginals of single tokens. A whole sequence would add up
    the small uncertainty of many certain tokens.
    """
    least = nsmallest(LEAST_CERTAIN, sentence.tag_scores[task])
    return sum(1.0 - probability for probability in least) / cost.seconds(len(sentence))


def _mnlp(sentence: Sentence, task: str, cost: AnnotationCost, draw: float) -> float:
    """Return minus the log-probability of the best tag sequence, divided by its length.

    Maximum normalised log-probability (Shen et al. 2017, "Deep active learning for named entity recognition",
    section 4), with the exact log-probability of the CRF.
    """
    (best,) = sentence.alternatives[task]
    return -math.log(max(best.probability, _SMALLEST)) / len(sentence)


def _random(sentence: Sentence, task: str, cost: AnnotationCost, draw: float) -> float:
    return -draw  # the order of ``selection.random_order``


def _longest(sentence: Sentence, task: str, cost: AnnotationCost, draw: float) -> float:
    return float(len(sentence))


STRATEGIES: dict[StrategyName, Strategy] = {
    "uncertainty": Strategy(_uncertainty, TagOptions(has_scores=True)),
    "mnlp": Strategy(_mnlp, TagOptions(n_best=1)),
    "random": Strategy(_random, None),
    "longest": Strategy(_longest, None),
}
