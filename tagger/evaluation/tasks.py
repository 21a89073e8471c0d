"""Compute all scores of one task: span scores for span tags, else tag scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any

from tagger.evaluation.scores import (
    TagSequences,
    score_spans,
    score_spans_by_vocabulary,
    score_tags,
    score_tags_by_vocabulary,
)
from tagger.text.schemes import convert_tags, violations
from tagger.text.sentence import UNSPECIFIED


def score_task(
    gold: TagSequences, predicted: TagSequences, *, scheme: str | None, seen: Sequence[Sequence[bool]]
) -> dict[str, Any]:
    """Score one task, overall and separately for words in and out of vocabulary.

    Args:
        gold: For each sentence its gold tags from the file. Tokens with the tag ``_`` are skipped, unless the
            tags encode spans.
        predicted: For each sentence the predicted tags; span tags are in IOB2.
        scheme: The scheme of the gold tags; None for tags that do not encode spans.
        seen: For each token, True if its word is in the training set.

    Returns:
        The result of ``score_spans`` or ``score_tags`` with the additional keys ``"seen"`` and ``"unseen"``,
        and for spans ``"repairs"``: the number of illegal gold tags, which were read as conlleval does.
    """
    if scheme is None:
        gold, predicted, seen = _only_specified(gold, predicted, seen)
        return {**score_tags(gold, predicted), **score_tags_by_vocabulary(gold, predicted, seen)}
    converted = [convert_tags(tags, "IOB2", scheme) for tags in predicted]
    return {
        **score_spans(gold, converted, scheme=scheme),
        **score_spans_by_vocabulary(gold, converted, seen, scheme=scheme),
        "repairs": sum(len(violations(tags, scheme)) for tags in gold),
    }


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
