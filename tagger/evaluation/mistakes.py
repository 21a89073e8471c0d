"""The single errors of a task with their places and words, and which of them come again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tagger.evaluation.confusion import Outcome
from tagger.text.sentence import Sentence, Span


@dataclass(frozen=True, slots=True)
class Mistake:
    """One outcome that is not right, and where it stands.

    Attributes:
        outcome: What is wrong, with the gold and the predicted span.
        sentence: Index of the sentence.
        source: ``file:line`` of the sentence's first token where it was read from a file, else "".
        words: The tokens from the first to the last of both spans.
    """

    outcome: Outcome
    sentence: int
    source: str
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        """The words, put together by spaces."""
        return " ".join(self.words)

    def values(self) -> dict[str, Any]:
        """The record as JSON values; places of spans count the sentence's tokens."""
        return {
            "kind": self.outcome.kind,
            "gold": _span_values(self.outcome.gold),
            "predicted": _span_values(self.outcome.predicted),
            "sentence": self.sentence,
            "source": self.source,
            "words": list(self.words),
        }


def find_mistakes(sentences: Sequence[Sentence], outcomes: Sequence[Sequence[Outcome]]) -> list[Mistake]:
    """All outcomes of a task that are not right, in the order of the text.

    Args:
        sentences: The sentences.
        outcomes: For each sentence what became of its spans or tags (see ``confusion.match_task``).
    """
    return [
        Mistake(outcome, number, sentence.source, sentence.tokens[outcome.start : outcome.end])
        for number, (sentence, found) in enumerate(zip(sentences, outcomes, strict=True))
        for outcome in found
        if outcome.kind != "right"
    ]


def group_mistakes(mistakes: Iterable[Mistake]) -> list[list[Mistake]]:
    """Put mistakes of one kind, one gold and predicted label and one text together, the most frequent first.

    Among equals the one that comes first in the text is first.
    """
    groups: dict[tuple[object, ...], list[Mistake]] = {}
    for mistake in mistakes:
        key = (mistake.outcome.kind, *mistake.outcome.labels, mistake.text)
        groups.setdefault(key, []).append(mistake)
    return sorted(groups.values(), key=len, reverse=True)


def group_values(group: Sequence[Mistake], *, examples: int) -> dict[str, Any]:
    """A group of ``group_mistakes`` as JSON values, with the places of its first few sentences."""
    gold, predicted = group[0].outcome.labels
    return {
        "kind": group[0].outcome.kind,
        "gold": gold,
        "predicted": predicted,
        "text": group[0].text,
        "count": len(group),
        "examples": [{"sentence": one.sentence, "source": one.source} for one in group[:examples]],
    }


def words_around(
    tokens: Sequence[str], start: int, end: int, *, width: int, measure: Callable[[str], int] = len
) -> tuple[str, str, str]:
    """The words of a place and, as evenly as there are, those before and after it.

    Args:
        tokens: A sentence.
        start: Index of the first token of the place.
        end: Index after its last token.
        width: Of all parts and the spaces between them; the place itself is never cut.
        measure: Tells the width of a text; by default its characters.

    Returns:
        The words before, of and after the place; an ellipsis stands for what was left out.
    """
    left, right = start, end
    free = width - measure(" ".join(tokens[start:end])) - 4  # room for an ellipsis and a space at both ends
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
