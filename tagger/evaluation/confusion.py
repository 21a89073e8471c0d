"""What was taken for what: gold spans matched with predicted ones, gold tags beside predicted tags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

from tagger.evaluation.scores import TagSequences
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
    """A gold span and the predicted one that stands for it, or one of them alone.

    Attributes:
        kind: What became of them. Alone, a gold span is missed and a predicted one spurious.
        gold: The gold span; for a tag, the span of its one token.
        predicted: The predicted span.
    """

    kind: Kind
    gold: Span | None
    predicted: Span | None

    @property
    def labels(self) -> tuple[str | None, str | None]:
        """Label of the gold and of the predicted span; None where there is none."""
        return (self.gold.label if self.gold else None, self.predicted.label if self.predicted else None)

    @property
    def start(self) -> int:
        """Index of the first token of both."""
        return min(span.start for span in (self.gold, self.predicted) if span)

    @property
    def end(self) -> int:
        """Index after the last token of both."""
        return max(span.end for span in (self.gold, self.predicted) if span)


class Confusion(TypedDict):
    """Counts of what was taken for what, ready for JSON.

    ``names`` are those of the rows (gold) and columns (predicted) of ``matrix``; the last one of a span task
    is ``NO_SPAN``. A cell counts pairs with right and wrong borders alike. ``kinds`` tells them apart, and
    so does ``by_label``: by the gold span's label, by the predicted one's for spurious spans.
    """

    names: list[str]
    matrix: list[list[int]]
    kinds: dict[Kind, int]
    by_label: dict[str, dict[Kind, int]]


class ConfusedPair(TypedDict):
    """Two labels and how often the first, the gold one, was taken for the second."""

    gold: str
    predicted: str
    count: int


def match_task(gold: TagSequences, predicted: TagSequences, *, scheme: str | None) -> list[list[Outcome]]:
    """For each sentence what became of its spans, or of its tags.

    Args:
        gold: For each sentence its gold tags, as the file has them; broken ones are read as conlleval does.
        predicted: For each sentence the predicted tags; IOB2 where they mark spans.
        scheme: The scheme of the gold tags, None for tags that mark no spans.
    """
    if scheme is None:
        return [match_tags(*sides) for sides in zip(gold, predicted, strict=True)]
    return [
        match_spans(tags_to_spans(wanted, scheme), tags_to_spans(found, "IOB2"))
        for wanted, found in zip(gold, predicted, strict=True)
    ]


def match_spans(gold: Sequence[Span], predicted: Sequence[Span]) -> list[Outcome]:
    """Match the spans of one sentence; each is in exactly one outcome.

    Pairs are made among spans that share a token: first where the most tokens are shared; among equals first
    where the labels agree, then from the left. So spans with the same borders always find each other, since
    neither shares a token with another one. What is left over is missed or spurious, also beside a span that
    was paired with a better one.

    Args:
        gold: Gold spans, in order, without overlap.
        predicted: Predicted spans, in order, without overlap.

    Returns:
        The outcomes in the order of their first tokens.
    """
    outcomes = []
    free_gold, free_predicted = dict(enumerate(gold)), dict(enumerate(predicted))
    for *_, one, other in sorted(_shared(gold, predicted)):
        if one in free_gold and other in free_predicted:
            outcomes.append(_judge(free_gold.pop(one), free_predicted.pop(other)))
    outcomes += [Outcome("missed", span, None) for span in free_gold.values()]
    outcomes += [Outcome("spurious", None, span) for span in free_predicted.values()]
    return sorted(outcomes, key=lambda outcome: (outcome.start, outcome.end))


def match_tags(gold: Sequence[str], predicted: Sequence[str]) -> list[Outcome]:
    """Pair the T gold tags of one sentence with its T predicted tags; each is a span of one token.

    Tokens without a gold tag (``_``) are left out.
    """
    return [
        Outcome(
            "right" if wanted == found else "wrong tag",
            Span(place, place + 1, wanted),
            Span(place, place + 1, found),
        )
        for place, (wanted, found) in enumerate(zip(gold, predicted, strict=True))
        if wanted != UNSPECIFIED
    ]


def count_confusion(outcomes: Iterable[Outcome], *, has_spans: bool) -> Confusion:
    """Count all outcomes of a task.

    Args:
        outcomes: The outcomes of all sentences.
        has_spans: Whether they are of spans; those of tags are never missed or spurious.
    """
    counts = Counter((outcome.kind, *outcome.labels) for outcome in outcomes)
    labels = sorted({label for _, *pair in counts for label in pair if label is not None})
    kinds = SPAN_KINDS if has_spans else TAG_KINDS
    places: dict[str | None, int] = {label: place for place, label in enumerate([*labels, None])}
    size = len(labels) + has_spans
    matrix = [[0] * size for _ in range(size)]
    totals = dict[Kind, int].fromkeys(kinds, 0)
    by_label = {label: dict[Kind, int].fromkeys(kinds, 0) for label in labels}
    for (kind, gold, predicted), count in counts.items():
        matrix[places[gold]][places[predicted]] += count
        totals[kind] += count
        owner = gold if gold is not None else predicted
        by_label[str(owner)][kind] += count
    names = [*labels, NO_SPAN] if has_spans else labels
    return {"names": names, "matrix": matrix, "kinds": totals, "by_label": by_label}


def most_confused(confusion: Confusion, count: int) -> list[ConfusedPair]:
    """The cells of the matrix beside its diagonal that hold the most, at most ``count`` of them."""
    cells: list[ConfusedPair] = [
        {"gold": gold, "predicted": predicted, "count": number}
        for row, gold in enumerate(confusion["names"])
        for column, predicted in enumerate(confusion["names"])
        if (number := confusion["matrix"][row][column]) and row != column
    ]
    return sorted(cells, key=lambda cell: -cell["count"])[:count]


def _judge(gold: Span, predicted: Span) -> Outcome:
    has_borders = (gold.start, gold.end) == (predicted.start, predicted.end)
    if gold.label == predicted.label:
        return Outcome("right" if has_borders else "wrong borders", gold, predicted)
    return Outcome("wrong type" if has_borders else "wrong borders and type", gold, predicted)


def _shared(gold: Sequence[Span], predicted: Sequence[Span]) -> Iterator[tuple[int, bool, int, int]]:
    """For all spans that share tokens: minus how many, whether labels differ, and both places."""
    other = 0
    for one, span in enumerate(gold):
        while other < len(predicted) and predicted[other].end <= span.start:
            other += 1
        for place in range(other, len(predicted)):
            found = predicted[place]
            if found.start >= span.end:
                break
            shared = min(span.end, found.end) - max(span.start, found.start)
            yield -shared, span.label != found.label, one, place
