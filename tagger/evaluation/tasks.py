"""Score one task: a table of metrics for tags that encode spans, and one for other tags."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
from typing import Any, final

from tagger.evaluation.scores import (
    Accuracy,
    Score,
    SpanScores,
    TagScores,
    TagSequences,
    remove_ignored,
    score_spans,
    score_spans_by_vocabulary,
    score_tags,
    score_tags_by_vocabulary,
)
from tagger.text.schemes import convert_tags, violations
from tagger.text.sentence import UNSPECIFIED


@final
class SpanTaskScores(SpanScores):
    """Scores of a task with spans, as ``score_task`` returns them; the table may have more metrics."""

    seen: Score
    unseen: Score
    repairs: int


@final
class TagTaskScores(TagScores):
    """Scores of a task without spans, as ``score_task`` returns them; the table may have more metrics."""

    seen: Accuracy
    unseen: Accuracy


TaskScores = SpanTaskScores | TagTaskScores


@dataclass(frozen=True)
class TaskTags:
    """Gold and predicted tags of one task, the input of a metric.

    Attributes:
        gold: For each sentence its gold tags. In a task without spans, only tokens with a gold tag.
        predicted: For each sentence the predicted tags of the same tokens, in the same scheme.
        scheme: The scheme of both; "" for tags that do not encode spans.
        seen: For each sentence and token, True if the word is in the training set.
    """

    gold: TagSequences
    predicted: TagSequences
    scheme: str
    seen: Sequence[Sequence[bool]]

    @cached_property
    def span_scores(self) -> SpanScores:
        """Scores of the spans that the tags encode."""
        return score_spans(self.gold, self.predicted, scheme=self.scheme)

    @cached_property
    def span_scores_by_vocabulary(self) -> dict[str, Score]:
        """Scores of the spans in and out of vocabulary."""
        return score_spans_by_vocabulary(self.gold, self.predicted, self.seen, scheme=self.scheme)

    @cached_property
    def tag_scores(self) -> TagScores:
        """Scores of the tags."""
        return score_tags(self.gold, self.predicted)

    @cached_property
    def tag_scores_by_vocabulary(self) -> dict[str, Accuracy]:
        """Accuracy on tokens in and out of vocabulary."""
        return score_tags_by_vocabulary(self.gold, self.predicted, self.seen)


def count_repairs(tags: TaskTags) -> int:
    """Count the illegal gold tags, which were read as conlleval does."""
    return sum(len(violations(sequence, tags.scheme)) for sequence in tags.gold)


Metric = Callable[[TaskTags], Any]
"""A metric; returns a JSON value."""

SPAN_METRICS: dict[str, Metric] = {
    "precision": lambda tags: tags.span_scores["precision"],
    "recall": lambda tags: tags.span_scores["recall"],
    "f1": lambda tags: tags.span_scores["f1"],
    "support": lambda tags: tags.span_scores["support"],
    "by_label": lambda tags: tags.span_scores["by_label"],
    "strict": lambda tags: tags.span_scores["strict"],
    "seen": lambda tags: tags.span_scores_by_vocabulary["seen"],
    "unseen": lambda tags: tags.span_scores_by_vocabulary["unseen"],
    "repairs": count_repairs,
}
"""Metrics of tasks with spans, in the order of ``evaluate --json``."""

TAG_METRICS: dict[str, Metric] = {
    "accuracy": lambda tags: tags.tag_scores["accuracy"],
    "support": lambda tags: tags.tag_scores["support"],
    "by_label": lambda tags: tags.tag_scores["by_label"],
    "seen": lambda tags: tags.tag_scores_by_vocabulary["seen"],
    "unseen": lambda tags: tags.tag_scores_by_vocabulary["unseen"],
}
"""Metrics of tasks without spans, in the order of ``evaluate --json``."""


def score_task(
    gold: TagSequences, predicted: TagSequences, *, scheme: str | None, seen: Sequence[Sequence[bool]]
) -> dict[str, Any]:
    """Compute all metrics of one task.

    Args:
        gold: For each sentence its gold tags from the file. Tokens with the tag ``_`` are skipped, unless the
            tags encode spans. Spans next to an unknown tag (``?``) are ignored (see ``scores.find_ignored``).
        predicted: For each sentence the predicted tags; span tags are in IOB2.
        scheme: The scheme of the gold tags; None for tags that do not encode spans.
        seen: For each sentence and token, True if the word is in the training set.

    Returns:
        The value of each metric in ``SPAN_METRICS`` or ``TAG_METRICS``: JSON values.

    Raises:
        InputError: The sentences do not match, a tag is not in the scheme or seqeval is not installed.
    """
    if scheme is None:
        gold, predicted, seen = _only_specified(gold, predicted, seen)
        tags, table = TaskTags(gold, predicted, "", seen), TAG_METRICS
    else:
        gold, predicted = remove_ignored(gold, predicted, scheme)
        converted = [convert_tags(sequence, "IOB2", scheme) for sequence in predicted]
        tags, table = TaskTags(gold, converted, scheme, seen), SPAN_METRICS
    return {name: compute(tags) for name, compute in table.items()}


def _only_specified(
    gold: TagSequences, predicted: TagSequences, seen: Sequence[Sequence[bool]]
) -> tuple[TagSequences, TagSequences, Sequence[Sequence[bool]]]:
    """Remove the tokens without a gold tag."""
    if not any(UNSPECIFIED in tags for tags in gold):
        return gold, predicted, seen
    masks = [[tag != UNSPECIFIED for tag in tags] for tags in gold]
    return (
        [list(compress(tags, mask)) for tags, mask in zip(gold, masks, strict=True)],
        [list(compress(tags, mask)) for tags, mask in zip(predicted, masks, strict=True)],
        [list(compress(marks, mask)) for marks, mask in zip(seen, masks, strict=True)],
    )


def main_score(scores: Mapping[str, Any]) -> float:
    """Return the main score of a task: F1 of spans, or accuracy of tags."""
    return float(scores["f1"] if "f1" in scores else scores["accuracy"])
