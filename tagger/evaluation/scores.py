"""Scores of predicted tags against gold tags, as plain dictionaries ready for JSON.

Every score is a fraction of 1, and 0 where there is nothing to count. Which spans the tags stand for is
decided by seqeval, so that the numbers can be compared with published ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain
from typing import Any, TypedDict

from tagger.errors import InputError
from tagger.text.schemes import normalise_scheme, split_tag

TagSequences = Sequence[Sequence[str]]
# Label, first token, token after the last. Tokens are counted on from sentence to sentence, with one place
# left free after each.
_Span = tuple[str, int, int]

# For each scheme its prefixes, and seqeval's class for strict mode.
_STRICT = {
    "IO": ("I", "IOB1"),
    "IOB1": ("BI", "IOB1"),
    "IOB2": ("BI", "IOB2"),
    "IOE1": ("IE", "IOE1"),
    "IOE2": ("IE", "IOE2"),
    "BIOES": ("BIES", "IOBES"),
    "BILOU": ("BILU", "IOBES"),
    "BMES": ("BMES", "IOBES"),
}
# conlleval mode knows no L, U and M.
_LETTERS = str.maketrans("LUM", "ESI")


class Score(TypedDict):
    """Precision, recall and F1; ``support`` is the number of gold items."""

    precision: float
    recall: float
    f1: float
    support: int


class StrictScore(TypedDict):
    """Micro-averaged span scores in seqeval's strict mode, and the scheme whose rules were applied."""

    precision: float
    recall: float
    f1: float
    scheme: str


class SpanScores(TypedDict):
    """Micro-averaged span scores in conlleval mode, each label's own, and the strict ones."""

    precision: float
    recall: float
    f1: float
    support: int
    by_label: dict[str, Score]
    strict: StrictScore


class Accuracy(TypedDict):
    """Share of tokens with the right tag; ``support`` is the number of tokens."""

    accuracy: float
    support: int


class TagScores(TypedDict):
    """Accuracy over all tokens, and each tag's own scores."""

    accuracy: float
    support: int
    by_label: dict[str, Score]


def score_spans(gold: TagSequences, predicted: TagSequences, *, scheme: str = "IOB2") -> SpanScores:
    """Score the spans that the tags stand for.

    A span is right if its borders and its label are. The scores outside ``strict`` are those of the script
    ``conlleval``, which are seqeval's default: a broken sequence (``I-PER`` after ``O``) is read as the span
    that it seems to mean. ``strict`` counts only spans that are written by the rules of the scheme (seqeval's
    ``mode="strict"``), among the gold ones, too. Labels may hold hyphens.

    Args:
        gold: For each sentence its gold tags.
        predicted: For each sentence its predicted tags, in the same order.
        scheme: How both are written (see ``tagger.text.schemes.SCHEMES``).

    Raises:
        InputError: If the sentences do not match, a tag is not one of the scheme's, there is no such scheme
            or seqeval is not installed.
    """
    name = normalise_scheme(scheme)
    sides, labels = _encode(gold, predicted, name)
    wanted, found = (_conlleval_spans(side, labels) for side in sides)
    strict = _score(*(_strict_spans(side, labels, name) for side in sides))
    overall = _score(wanted, found)
    return {
        "precision": overall["precision"],
        "recall": overall["recall"],
        "f1": overall["f1"],
        "support": overall["support"],
        "by_label": _score_by_label(wanted, found),
        "strict": {
            "precision": strict["precision"],
            "recall": strict["recall"],
            "f1": strict["f1"],
            "scheme": name,
        },
    }


def score_spans_by_novelty(
    gold: TagSequences,
    predicted: TagSequences,
    seen: Sequence[Sequence[bool]],
    *,
    scheme: str = "IOB2",
) -> dict[str, Score]:
    """Score spans in conlleval mode apart: ``unseen`` are those that hold a word which train lacks.

    Precision is over the predicted spans of each part, recall over its gold spans.

    Args:
        gold: For each sentence its gold tags.
        predicted: For each sentence its predicted tags.
        seen: For each sentence and token whether train holds the word.
        scheme: How the tags are written.

    Raises:
        InputError: As ``score_spans`` does.
    """
    _check_shapes(gold, seen, "tags", "marks of seen words")
    sides, labels = _encode(gold, predicted, normalise_scheme(scheme))
    wanted, found = (_conlleval_spans(side, labels) for side in sides)
    unseen_before = [0, *accumulate(not mark for marks in seen for mark in (*marks, True))]

    def select(spans: set[_Span], *, unseen: bool) -> set[_Span]:
        return {span for span in spans if (unseen_before[span[2]] > unseen_before[span[1]]) is unseen}

    return {
        "seen": _score(select(wanted, unseen=False), select(found, unseen=False)),
        "unseen": _score(select(wanted, unseen=True), select(found, unseen=True)),
    }


def score_tags(gold: TagSequences, predicted: TagSequences) -> TagScores:
    """Score every token's tag by itself, as is usual for parts of speech.

    Raises:
        InputError: If the sentences do not match.
    """
    _check_shapes(gold, predicted, "gold tags", "predicted tags")
    pairs = Counter(zip(chain.from_iterable(gold), chain.from_iterable(predicted), strict=True))
    wanted, found, right = Counter[str](), Counter[str](), Counter[str]()
    for (gold_tag, predicted_tag), count in pairs.items():
        wanted[gold_tag] += count
        found[predicted_tag] += count
        if gold_tag == predicted_tag:
            right[gold_tag] += count
    support = wanted.total()
    return {
        "accuracy": _divide(right.total(), support),
        "support": support,
        "by_label": {
            tag: _from_counts(right[tag], wanted[tag], found[tag]) for tag in sorted({*wanted, *found})
        },
    }


def score_tags_by_novelty(
    gold: TagSequences, predicted: TagSequences, seen: Sequence[Sequence[bool]]
) -> dict[str, Accuracy]:
    """Return the accuracy on tokens that train holds (``seen``) and on those that it lacks (``unseen``).

    Args:
        gold: For each sentence its gold tags.
        predicted: For each sentence its predicted tags.
        seen: For each sentence and token whether train holds the word.

    Raises:
        InputError: If the sentences do not match.
    """
    _check_shapes(gold, predicted, "gold tags", "predicted tags")
    _check_shapes(gold, seen, "tags", "marks of seen words")
    flat = [chain.from_iterable(part) for part in (gold, predicted)]
    marks = (bool(mark) for mark in chain.from_iterable(seen))
    counts = Counter((mark, a == b) for mark, a, b in zip(marks, *flat, strict=True))

    def accuracy(mark: bool) -> Accuracy:
        support = counts[mark, True] + counts[mark, False]
        return {"accuracy": _divide(counts[mark, True], support), "support": support}

    return {"seen": accuracy(True), "unseen": accuracy(False)}


def _check_shapes(
    first: Sequence[Sequence[object]], second: Sequence[Sequence[object]], name: str, other: str
) -> None:
    """Refuse sequences that are not parallel, token by token."""
    if len(first) != len(second):
        raise InputError(
            f"There are {name} for {len(first)} sentences but {other} for {len(second)}; "
            "both must be of the same text."
        )
    for number, (left, right) in enumerate(zip(first, second, strict=True), start=1):
        if len(left) != len(right):
            raise InputError(
                f"Sentence {number} has {len(left)} {name} but {len(right)} {other}; "
                "both must be of the same tokens."
            )


def _encode(
    gold: TagSequences, predicted: TagSequences, scheme: str
) -> tuple[tuple[list[list[str]], list[list[str]]], list[str]]:
    """Rewrite both sides with conlleval's letters and with numbers as labels.

    seqeval cuts hyphens off the ends of labels in strict mode and warns of labels that it finds odd; numbers
    pass through it unharmed.

    Returns:
        Gold and predicted tags, and the labels that the numbers stand for.
    """
    _check_shapes(gold, predicted, "gold tags", "predicted tags")
    prefixes = set(_STRICT[scheme][0])
    codes, numbers = {"O": "O"}, dict[str, int]()
    for tag in {tag for tags in chain(gold, predicted) for tag in tags} - {"O"}:
        prefix, label = split_tag(tag)
        if prefix not in prefixes:
            raise InputError(_describe_foreign(tag, gold, predicted, scheme))
        codes[tag] = f"{prefix.translate(_LETTERS)}-{numbers.setdefault(label, len(numbers))}"
    encoded = [[[codes[tag] for tag in tags] for tags in side] for side in (gold, predicted)]
    return (encoded[0], encoded[1]), list(numbers)


def _describe_foreign(tag: str, gold: TagSequences, predicted: TagSequences, scheme: str) -> str:
    side, number = next(
        (name, number)
        for name, sequences in (("gold", gold), ("predicted", predicted))
        for number, tags in enumerate(sequences, start=1)
        if tag in tags
    )
    return (
        f"Sentence {number} has the {side} tag {tag!r}, which is not of the scheme {scheme}; "
        "name the scheme that the tags are written in."
    )


def _conlleval_spans(tags: list[list[str]], labels: Sequence[str]) -> set[_Span]:
    """Return all spans as conlleval reads them."""
    get_entities, _ = _import_seqeval()
    # seqeval counts tokens through all sentences, an O put after each, and gives the last token inclusively.
    return {(labels[int(number)], start, last + 1) for number, start, last in get_entities(tags)}


def _strict_spans(tags: list[list[str]], labels: Sequence[str], scheme: str) -> set[_Span]:
    """Return the spans that are written by the rules of the scheme."""
    _, schemes = _import_seqeval()
    spans_of_sentences = schemes.Entities(tags, getattr(schemes, _STRICT[scheme][1])).entities
    starts = accumulate((len(sequence) + 1 for sequence in tags), initial=0)
    return {
        (labels[int(span.tag)], first + span.start, first + span.end)
        for first, spans in zip(starts, spans_of_sentences, strict=False)
        for span in spans
    }


def _import_seqeval() -> tuple[Any, Any]:
    """Return seqeval's reader of conlleval spans and its module of schemes; it comes with an extra."""
    try:
        from seqeval import scheme
        from seqeval.metrics.sequence_labeling import get_entities
    except ImportError as error:
        raise InputError(
            "Scoring spans needs the package seqeval; install the extra `train` (see README)."
        ) from error
    return get_entities, scheme


def _score_by_label(wanted: set[_Span], found: set[_Span]) -> dict[str, Score]:
    counts = [_count_labels(spans) for spans in (wanted & found, wanted, found)]
    return {
        label: _from_counts(*(count[label] for count in counts)) for label in sorted(counts[1] | counts[2])
    }


def _count_labels(spans: Iterable[_Span]) -> Counter[str]:
    return Counter(label for label, _, _ in spans)


def _score(wanted: set[_Span], found: set[_Span]) -> Score:
    return _from_counts(len(wanted & found), len(wanted), len(found))


def _from_counts(right: int, wanted: int, found: int) -> Score:
    return {
        "precision": _divide(right, found),
        "recall": _divide(right, wanted),
        "f1": _divide(2 * right, wanted + found),
        "support": wanted,
    }


def _divide(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
