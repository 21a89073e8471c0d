"""All scores of one task: of its spans where its tags mark spans, else of its tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any

from tagger.evaluation.scores import (
    TagSequences,
    score_spans,
    score_spans_by_novelty,
    score_tags,
    score_tags_by_novelty,
)
from tagger.text.schemes import convert_tags, violations
from tagger.text.sentence import UNSPECIFIED


def score_task(
    gold: TagSequences, predicted: TagSequences, *, scheme: str | None, seen: Sequence[Sequence[bool]]
) -> dict[str, Any]:
    """Score one task, in all and split into words seen and unseen in train.

    Args:
        gold: For each sentence its gold tags, as the file has them. Tokens whose tag is ``_`` are left out,
            unless the tags mark spans.
        predicted: For each sentence the predicted tags; IOB2 where they mark spans.
        scheme: The scheme of the gold tags, None for tags that mark no spans.
        seen: For each token whether train has its word.

    Returns:
        What ``score_spans`` or ``score_tags`` returns, with the parts ``"seen"`` and ``"unseen"`` added, and
        for spans ``"repairs"``: how many gold tags their scheme forbids, which were read as conlleval does.
    """
    if scheme is None:
        gold, predicted, seen = _only_specified(gold, predicted, seen)
        return {**score_tags(gold, predicted), **score_tags_by_novelty(gold, predicted, seen)}
    found = [convert_tags(tags, "IOB2", scheme) for tags in predicted]
    return {
        **score_spans(gold, found, scheme=scheme),
        **score_spans_by_novelty(gold, found, seen, scheme=scheme),
        "repairs": sum(len(violations(tags, scheme)) for tags in gold),
    }


def _only_specified(
    gold: TagSequences, predicted: TagSequences, seen: Sequence[Sequence[bool]]
) -> tuple[TagSequences, TagSequences, Sequence[Sequence[bool]]]:
    """Leave out the tokens without a gold tag."""
    if not any(UNSPECIFIED in tags for tags in gold):
        return gold, predicted, seen
    masks = [[tag != UNSPECIFIED for tag in tags] for tags in gold]
    return (
        [list(compress(tags, mask)) for tags, mask in zip(gold, masks, strict=True)],
        [list(compress(tags, mask)) for tags, mask in zip(predicted, masks, strict=True)],
        [list(compress(marks, mask)) for marks, mask in zip(seen, masks, strict=True)],
    )


def main_score(scores: Mapping[str, Any]) -> float:
    """Of a task's scores the one that stands for all: F1 of spans, or accuracy of tags."""
    return float(scores["f1"] if "f1" in scores else scores["accuracy"])
