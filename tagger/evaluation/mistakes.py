"""List the errors of a task with their location and words, and group repeated errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tagger.evaluation.confusion import Outcome
from tagger.text.sentence import Sentence, Span


@dataclass(frozen=True, slots=True)
class Mistake:
    """An incorrect outcome and its location.

    Attributes:
        outcome: The outcome, with the gold and the predicted span.
        sentence: Index of the sentence.
        source: ``file:line`` of the sentence's first token if the sentence comes from a file, else "".
        words: The tokens from the first to the last of both spans.
    """

    outcome: Outcome
    sentence: int
    source: str
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        """The words, joined by spaces."""
        return " ".join(self.words)

    def values(self) -> dict[str, Any]:
        """Return the record as JSON values; spans are token indices in the sentence."""
        return {
            "kind": self.outcome.kind,
            "gold": _span_values(self.outcome.gold),
            "predicted": _span_values(self.outcome.predicted),
            "sentence": self.sentence,
            "source": self.source,
            "words": list(self.words),
        }


def find_mistakes(sentences: Sequence[Sentence], outcomes: Sequence[Sequence[Outcome]]) -> list[Mistake]:
    """Return all incorrect outcomes of a task, in the order of the text.

    Args:
        sentences: The sentences.
        outcomes: For each sentence the outcomes of its spans or tags (see ``confusion.match_task``).
    """
    return [
        Mistake(outcome, index, sentence.source, sentence.tokens[outcome.start : outcome.end])
        for index, (sentence, sentence_outcomes) in enumerate(zip(sentences, outcomes, strict=True))
        for outcome in sentence_outcomes
        if outcome.kind != "right"
    ]


def group_mistakes(mistakes: Iterable[Mistake]) -> list[list[Mistake]]:
    """Group mistakes by kind, gold and predicted label and text, largest group first.

    Groups of equal size keep the order of the text.
    """
    groups: dict[tuple[object, ...], list[Mistake]] = {}
    for mistake in mistakes:
        key = (mistake.outcome.kind, *mistake.outcome.labels, mistake.text)
        groups.setdefault(key, []).append(mistake)
    return sorted(groups.values(), key=len, reverse=True)


def group_values(group: Sequence[Mistake], *, examples: int) -> dict[str, Any]:
    """Return a group of ``group_mistakes`` as JSON values, with the location of its first ``examples``."""
    gold, predicted = group[0].outcome.labels
    return {
        "kind": group[0].outcome.kind,
        "gold": gold,
        "predicted": predicted,
        "text": group[0].text,
        "count": len(group),
        "examples": [
            {"sentence": mistake.sentence, "source": mistake.source} for mistake in group[:examples]
        ],
    }


def words_around(
    tokens: Sequence[str], start: int, end: int, *, width: int, measure: Callable[[str], int] = len
) -> tuple[str, str, str]:
    """Return a token range and as many words before and after it as fit, evenly on both sides.

    Args:
        tokens: A sentence.
        start: Index of the first token of the range.
        end: Index after its last token.
        width: Maximum width of the result including spaces; the range itself is never shortened.
        measure: Function that returns the width of a text; by default its number of characters.

    Returns:
        The words before, in and after the range; an ellipsis replaces omitted words.
    """
    left, right = start, end
    free = width - measure(" ".join(tokens[start:end])) - 4  # minus an ellipsis and a space at both ends
    is_growing = True
    while is_growing:
        is_growing = False
        if left > 0 and (size := measure(tokens[left - 1])) < free:
            left, free, is_growing = left - 1, free - size - 1, True
        if right < len(tokens) and (size := measure(tokens[right])) < free:
            right, free, is_growing = right + 1, free - size - 1, True
    before = ["…"] * (left > 0) + list(tokens[left:start])
    after = [*tokens[end:right], *["…"] * (right < len(tokens))]
    return " ".join(before), " ".join(tokens[start:end]), " ".join(after)


def _span_values(span: Span | None) -> dict[str, Any] | None:
    return {"label": span.label, "start": span.start, "end": span.end} if span else None
