"""Confusion between labels: match gold and predicted spans, or pair gold and predicted tags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

from tagger.evaluation.scores import TagSequences, remove_ignored
from tagger.text.schemes import tags_to_spans
from tagger.text.sentence import UNSPECIFIED, Span

Kind = Literal[
    "right", "wrong type", "wrong borders", "wrong borders and type", "missed", "spurious", "wrong tag"
]
SPAN_KINDS: tuple[Kind, ...] = (
    "right",
    "wrong type",
    "wrong borders",
    "wrong borders and type",
    "missed",
    "spurious",
)
TAG_KINDS: tuple[Kind, ...] = ("right", "wrong tag")
NO_SPAN = "(no span)"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A gold span and its matching predicted span, or one span without a match.

    Attributes:
        kind: Type of the match. An unmatched gold span is missed, an unmatched predicted one spurious.
        gold: The gold span; for a tag, the span of its one token.
        predicted: The predicted span.
    """

    kind: Kind
    gold: Span | None
    predicted: Span | None

    @property
    def labels(self) -> tuple[str | None, str | None]:
        """Labels of the gold and the predicted span; None for a missing span."""
        return (self.gold.label if self.gold else None, self.predicted.label if self.predicted else None)

    @property
    def start(self) -> int:
        """Index of the first token of either span."""
        return min(span.start for span in (self.gold, self.predicted) if span)

    @property
    def end(self) -> int:
        """Index after the last token of either span."""
        return max(span.end for span in (self.gold, self.predicted) if span)


class Confusion(TypedDict):
    """Confusion matrix and outcome counts, ready for JSON.

    ``names`` are the names of the rows (gold) and columns (predicted) of ``matrix``; the last name of a span
    task is ``NO_SPAN``. A cell counts pairs with correct and with wrong boundaries. ``kinds`` counts them
    separately, and so does ``by_label``, under the gold label or, for spurious spans, the predicted label.
    """

    names: list[str]
    matrix: list[list[int]]
    kinds: dict[Kind, int]
    by_label: dict[str, dict[Kind, int]]


class ConfusedPair(TypedDict):
    """A gold label, a predicted label and the count of this confusion."""

    gold: str
    predicted: str
    count: int


def match_task(gold: TagSequences, predicted: TagSequences, *, scheme: str | None) -> list[list[Outcome]]:
    """Return for each sentence the outcomes of its spans, or of its tags.

    Args:
        gold: For each sentence its gold tags from the file; illegal ones are read as conlleval does. Spans
            next to an unknown tag (``?``) are ignored (see ``scores.find_ignored``).
        predicted: For each sentence the predicted tags; span tags are in IOB2.
        scheme: The scheme of the gold tags; None for tags that do not encode spans.
    """
    if scheme is None:
        return [match_tags(*sides) for sides in zip(gold, predicted, strict=True)]
    gold, predicted = remove_ignored(gold, predicted, scheme)
    return [
        match_spans(tags_to_spans(gold_tags, scheme), tags_to_spans(predicted_tags, "IOB2"))
        for gold_tags, predicted_tags in zip(gold, predicted, strict=True)
    ]


def match_spans(gold: Sequence[Span], predicted: Sequence[Span]) -> list[Outcome]:
    """Match the spans of one sentence; each is in exactly one outcome.

    The function pairs spans that share a token, starting with the pair that shares the most tokens. In a tie,
    pairs with equal labels come first, then pairs further to the left. Spans with equal boundaries are
    therefore always paired, since neither shares a token with another span. The remaining spans are missed or
    spurious, even if they overlap a span that was paired with a better one.

    Args:
        gold: Gold spans, in order, without overlap.
        predicted: Predicted spans, in order, without overlap.

    Returns:
        The outcomes in the order of their first tokens.
    """
    outcomes = []
    free_gold, free_predicted = dict(enumerate(gold)), dict(enumerate(predicted))
    for *_, gold_index, predicted_index in sorted(_shared(gold, predicted)):
        if gold_index in free_gold and predicted_index in free_predicted:
            outcomes.append(_compare(free_gold.pop(gold_index), free_predicted.pop(predicted_index)))
    outcomes += [Outcome("missed", span, None) for span in free_gold.values()]
    outcomes += [Outcome("spurious", None, span) for span in free_predicted.values()]
    return sorted(outcomes, key=lambda outcome: (outcome.start, outcome.end))


def match_tags(gold: Sequence[str], predicted: Sequence[str]) -> list[Outcome]:
    """Pair the T gold tags of one sentence with its T predicted tags, as spans of one token.

    Tokens without a gold tag (``_``) are skipped.
    """
    return [
        Outcome(
            "right" if gold_tag == predicted_tag else "wrong tag",
            Span(index, index + 1, gold_tag),
            Span(index, index + 1, predicted_tag),
        )
        for index, (gold_tag, predicted_tag) in enumerate(zip(gold, predicted, strict=True))
        if gold_tag != UNSPECIFIED
    ]


def count_confusion(outcomes: Iterable[Outcome], *, has_spans: bool) -> Confusion:
    """Count all outcomes of a task.

    Args:
        outcomes: The outcomes of all sentences.
        has_spans: True for outcomes of spans, False for outcomes of tags, which are never missed or spurious.
    """
    counts = Counter((outcome.kind, *outcome.labels) for outcome in outcomes)
    labels = sorted({label for _, *pair in counts for label in pair if label is not None})
    kinds = SPAN_KINDS if has_spans else TAG_KINDS
    indices: dict[str | None, int] = {label: index for index, label in enumerate([*labels, None])}
    size = len(labels) + has_spans
    matrix = [[0] * size for _ in range(size)]
    totals = dict[Kind, int].fromkeys(kinds, 0)
    by_label = {label: dict[Kind, int].fromkeys(kinds, 0) for label in labels}
    for (kind, gold, predicted), count in counts.items():
        matrix[indices[gold]][indices[predicted]] += count
        totals[kind] += count
        owner = gold if gold is not None else predicted
        by_label[str(owner)][kind] += count
    names = [*labels, NO_SPAN] if has_spans else labels
    return {"names": names, "matrix": matrix, "kinds": totals, "by_label": by_label}


def most_confused(confusion: Confusion, count: int) -> list[ConfusedPair]:
    """Return the off-diagonal cells of the matrix with the highest counts, at most ``count`` of them."""
    cells: list[ConfusedPair] = [
        {"gold": gold, "predicted": predicted, "count": number}
        for row, gold in enumerate(confusion["names"])
        for column, predicted in enumerate(confusion["names"])
        if (number := confusion["matrix"][row][column]) and row != column
    ]
    return sorted(cells, key=lambda cell: -cell["count"])[:count]


def _compare(gold: Span, predicted: Span) -> Outcome:
    has_borders = (gold.start, gold.end) == (predicted.start, predicted.end)
    if gold.label == predicted.label:
        return Outcome("right" if has_borders else "wrong borders", gold, predicted)
    return Outcome("wrong type" if has_borders else "wrong borders and type", gold, predicted)


def _shared(gold: Sequence[Span], predicted: Sequence[Span]) -> Iterator[tuple[int, bool, int, int]]:
    """Yield for each pair of overlapping spans: minus the shared tokens, labels differ, and both indices."""
    first = 0
    for gold_index, span in enumerate(gold):
        while first < len(predicted) and predicted[first].end <= span.start:
            first += 1
        for index in range(first, len(predicted)):
            candidate = predicted[index]
            if candidate.start >= span.end:
                break
            shared = min(span.end, candidate.end) - max(span.start, candidate.start)
            yield -shared, span.label != candidate.label, gold_index, index
