"""Apply a score threshold to the spans of a tagged sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tagger.text.schemes import spans_to_tags
from tagger.text.sentence import Sentence, Span

MinScore = float | Mapping[str, float]
"""A score threshold for all spans, or one per label; the default of a label is 0."""


def apply_min_score(sentence: Sentence, min_score: MinScore, *, scheme: str = "IOB2") -> Sentence:
    """Drop the spans with a score below a threshold, and tag their tokens ``O``.

    If the sentence has tag scores, these tokens get the probability of ``O``. Alternatives, candidates, tasks
    without spans and spans without a score do not change.

    Args:
        sentence: A tagged sentence.
        min_score: A threshold for all labels, or one per label.
        scheme: The scheme of the sentence's tags.

    Returns:
        The sentence without these spans; the same object if there are none.
    """
    tags, spans, tag_scores = dict(sentence.tags), dict(sentence.spans), dict(sentence.tag_scores)
    for task, task_spans in sentence.spans.items():
        dropped = [span for span in task_spans if _is_below(span, min_score)]
        if not dropped:
            continue
        spans[task] = tuple(span for span in task_spans if span not in dropped)
        tags[task] = tuple(spans_to_tags(spans[task], len(sentence), scheme))
        if task in tag_scores:
            scores = list(tag_scores[task])
            for span in dropped:
                scores[span.start : span.end] = sentence.outside_scores[task][span.start : span.end]
            tag_scores[task] = tuple(scores)
    if spans == sentence.spans:
        return sentence
    return replace(sentence, tags=tags, spans=spans, tag_scores=tag_scores)


def _is_below(span: Span, min_score: MinScore) -> bool:
    threshold = min_score.get(span.label, 0.0) if isinstance(min_score, Mapping) else min_score
    # Scores have float32 precision: 0.9 is the same score as the threshold 0.9.
    return span.score is not None and span.score < float(np.float32(threshold))
