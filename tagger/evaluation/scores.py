"""Score predicted tags against gold tags; results are plain dictionaries ready for JSON.

Every score is a fraction of 1, and 0 if there is nothing to count. seqeval reads the spans from the tags, so
that the scores are comparable with published ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain, repeat
from typing import Any, TypedDict

from tagger.errors import InputError
from tagger.text.schemes import normalise_scheme, split_tag, tags_to_spans
from tagger.text.sentence import UNKNOWN_TAG, Span

TagSequences = Sequence[Sequence[str]]
# Label, index of the first token, index after the last. Indices continue from sentence to sentence, with one
# unused index after each sentence.
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
# conlleval mode does not support L, U and M.
_LETTERS = str.maketrans("LUM", "ESI")


class Score(TypedDict):
    """Precision, recall and F1; ``support`` is the number of gold items."""

    precision: float
    recall: float
    f1: float
    support: int


class StrictScore(TypedDict):
    """Micro-averaged span scores in seqeval's strict mode, and the scheme of the rules."""

    precision: float
    recall: float
    f1: float
    scheme: str


class SpanScores(TypedDict):
    """Micro-averaged span scores in conlleval mode, scores per label, and strict scores."""

    precision: float
    recall: float
    f1: float
    support: int
    by_label: dict[str, Score]
    strict: StrictScore


class Accuracy(TypedDict):
    """Share of tokens with the correct tag; ``support`` is the number of tokens."""

    accuracy: float
    support: int


class TagScores(TypedDict):
    """Accuracy over all tokens, and scores per tag."""

    accuracy: float
    support: int
    by_label: dict[str, Score]


def find_ignored(gold: Sequence[str], scheme: str) -> frozenset[int]:
    """Return the tokens of a sentence that unknown gold tags (``?``) exclude from span scores.

    These are the tokens tagged ``?`` and those of the gold spans next to them, which may continue there. A
    predicted span that contains one of them is neither correct nor wrong.

    Args:
        gold: The sentence's gold tags.
        scheme: Their scheme.
    """
    if UNKNOWN_TAG not in gold:
        return frozenset()
    unknown = {index for index, tag in enumerate(gold) if tag == UNKNOWN_TAG}
    open_spans = [span for span in tags_to_spans(gold, scheme) if {span.start - 1, span.end} & unknown]
    return frozenset(unknown.union(*(range(span.start, span.end) for span in open_spans)))


def is_scored(span: Span, ignored: frozenset[int]) -> bool:
    """True if a span contains none of the tokens that ``find_ignored`` returned."""
    return not ignored or ignored.isdisjoint(range(span.start, span.end))


def remove_ignored(
    gold: TagSequences, predicted: TagSequences, scheme: str, predicted_scheme: str = "IOB2"
) -> tuple[TagSequences, TagSequences]:
    """Return gold and predicted tags, with O for unknown gold tags and for spans with ignored tokens.

    See ``find_ignored``.

    Args:
        gold: For each sentence its gold tags.
        predicted: For each sentence its predicted tags.
        scheme: Scheme of the gold tags.
        predicted_scheme: Scheme of the predicted tags.

    Raises:
        InputError: The sentences do not match.
    """
    if not any(UNKNOWN_TAG in tags for tags in gold):
        return gold, predicted
    _check_shapes(gold, predicted, "gold tags", "predicted tags")
    ignored = [find_ignored(tags, scheme) for tags in gold]
    scored = [
        list(map(_remove, side, repeat(name), ignored))
        for side, name in ((gold, scheme), (predicted, predicted_scheme))
    ]
    return scored[0], scored[1]


def _remove(tags: Sequence[str], scheme: str, ignored: frozenset[int]) -> Sequence[str]:
    if not ignored:
        return tags
    scored = ["O" if tag == UNKNOWN_TAG else tag for tag in tags]
    for span in tags_to_spans(tags, scheme):
        if not is_scored(span, ignored):
            scored[span.start : span.end] = ["O"] * (span.end - span.start)
    return scored


def score_spans(gold: TagSequences, predicted: TagSequences, *, scheme: str = "IOB2") -> SpanScores:
    """Score the spans that the tags encode.

    A span is correct if its boundaries and its label are correct. The scores outside ``strict`` equal those
    of the script ``conlleval``, which are seqeval's default: they also count spans of illegal sequences
    (``I-PER`` after ``O``). ``strict`` counts only spans that follow the rules of the scheme (seqeval's
    ``mode="strict"``), for gold spans too. Labels may contain hyphens.

    Args:
        gold: For each sentence its gold tags.
        predicted: For each sentence its predicted tags, in the same order.
        scheme: Scheme of both (see ``tagger.text.schemes.SCHEMES``).

    Raises:
        InputError: The sentences do not match, a tag is not in the scheme, the scheme is unknown or seqeval
            is not installed.
    """
    name = normalise_scheme(scheme)
    sides, labels = _encode(gold, predicted, name)
    gold_spans, predicted_spans = (_conlleval_spans(side, labels) for side in sides)
    strict = _score(*(_strict_spans(side, labels, name) for side in sides))
    overall = _score(gold_spans, predicted_spans)
    return {
        "precision": overall["precision"],
        "recall": overall["recall"],
        "f1": overall["f1"],
        "support": overall["support"],
        "by_label": _score_by_label(gold_spans, predicted_spans),
        "strict": {
            "precision": strict["precision"],
            "recall": strict["recall"],
            "f1": strict["f1"],
            "scheme": name,
        },
    }


def score_spans_by_vocabulary(
    gold: TagSequences,
    predicted: TagSequences,
    seen: Sequence[Sequence[bool]],
    *,
    scheme: str = "IOB2",
) -> dict[str, Score]:
    """Score spans in conlleval mode, separately for spans in and out of vocabulary.

    A span is ``unseen`` if it contains a word that is not in the training set. Precision is over the
    predicted spans of each group, recall over its gold spans.

    Args:
        gold: For each sentence its gold tags.
        predicted: For each sentence its predicted tags.
        seen: For each sentence and token, True if the word is in the training set.
        scheme: Scheme of the tags.

    Raises:
        InputError: See ``score_spans``.
    """
    _check_shapes(gold, seen, "tags", "marks of seen words")
    sides, labels = _encode(gold, predicted, normalise_scheme(scheme))
    gold_spans, predicted_spans = (_conlleval_spans(side, labels) for side in sides)
    unseen_before = [0, *accumulate(not mark for marks in seen for mark in (*marks, True))]

    def select(spans: set[_Span], *, unseen: bool) -> set[_Span]:
        return {span for span in spans if (unseen_before[span[2]] > unseen_before[span[1]]) is unseen}

    return {
        "seen": _score(select(gold_spans, unseen=False), select(predicted_spans, unseen=False)),
        "unseen": _score(select(gold_spans, unseen=True), select(predicted_spans, unseen=True)),
    }


def score_tags(gold: TagSequences, predicted: TagSequences) -> TagScores:
    """Score every token's tag independently, as is usual for parts of speech.

    Raises:
        InputError: The sentences do not match.
    """
    _check_shapes(gold, predicted, "gold tags", "predicted tags")
    pairs = Counter(zip(chain.from_iterable(gold), chain.from_iterable(predicted), strict=True))
    gold_counts, predicted_counts, correct = Counter[str](), Counter[str](), Counter[str]()
    for (gold_tag, predicted_tag), count in pairs.items():
        gold_counts[gold_tag] += count
        predicted_counts[predicted_tag] += count
        if gold_tag == predicted_tag:
            correct[gold_tag] += count
    support = gold_counts.total()
    return {
        "accuracy": _divide(correct.total(), support),
        "support": support,
        "by_label": {
            tag: _from_counts(correct[tag], gold_counts[tag], predicted_counts[tag])
            for tag in sorted({*gold_counts, *predicted_counts})
        },
    }


def score_tags_by_vocabulary(
    gold: TagSequences, predicted: TagSequences, seen: Sequence[Sequence[bool]]
) -> dict[str, Accuracy]:
    """Return the accuracy on tokens in vocabulary (``seen``) and out of vocabulary (``unseen``).

    Args:
        gold: For each sentence its gold tags.
        predicted: For each sentence its predicted tags.
        seen: For each sentence and token, True if the word is in the training set.

    Raises:
        InputError: The sentences do not match.
    """
    _check_shapes(gold, predicted, "gold tags", "predicted tags")
    _check_shapes(gold, seen, "tags", "marks of seen words")
    flat = [chain.from_iterable(side) for side in (gold, predicted)]
    marks = (bool(mark) for mark in chain.from_iterable(seen))
    counts = Counter((mark, a == b) for mark, a, b in zip(marks, *flat, strict=True))

    def accuracy(mark: bool) -> Accuracy:
        support = counts[mark, True] + counts[mark, False]
        return {"accuracy": _divide(counts[mark, True], support), "support": support}

    return {"seen": accuracy(True), "unseen": accuracy(False)}


def _check_shapes(
    first: Sequence[Sequence[object]], second: Sequence[Sequence[object]], name: str, other: str
) -> None:
    """Raise InputError if two sequences differ in their numbers of sentences or tokens."""
    if len(first) != len(second):
        raise InputError(
            f"Got {len(first)} sentences with {name} but {len(second)} with {other}. "
            "Pass both for the same text.",
            code="argument.value",
        )
    for number, (left, right) in enumerate(zip(first, second, strict=True), start=1):
        if len(left) != len(right):
            raise InputError(
                f"Sentence {number} has {len(left)} {name} but {len(right)} {other}. "
                "Pass both for the same tokens.",
                code="argument.value",
            )


def _encode(
    gold: TagSequences, predicted: TagSequences, scheme: str
) -> tuple[tuple[list[list[str]], list[list[str]]], list[str]]:
    """Rewrite both sides with conlleval's letters and with ids as labels.

    seqeval strips hyphens from the ends of labels in strict mode and warns about unusual labels; ids avoid
    both.

    Returns:
        Gold and predicted tags, and the label of each id.
    """
    _check_shapes(gold, predicted, "gold tags", "predicted tags")
    prefixes = set(_STRICT[scheme][0])
    codes, label_ids = {"O": "O"}, dict[str, int]()
    for tag in {tag for tags in chain(gold, predicted) for tag in tags} - {"O"}:
        prefix, label = split_tag(tag)
        if prefix not in prefixes:
            raise InputError(_describe_foreign(tag, gold, predicted, scheme), code="corpus.scheme")
        codes[tag] = f"{prefix.translate(_LETTERS)}-{label_ids.setdefault(label, len(label_ids))}"
    encoded = [[[codes[tag] for tag in tags] for tags in side] for side in (gold, predicted)]
    return (encoded[0], encoded[1]), list(label_ids)


def _describe_foreign(tag: str, gold: TagSequences, predicted: TagSequences, scheme: str) -> str:
    side, number = next(
        (name, number)
        for name, sequences in (("gold", gold), ("predicted", predicted))
        for number, tags in enumerate(sequences, start=1)
        if tag in tags
    )
    return (
        f"Sentence {number} has the {side} tag {tag!r}, which is not in the scheme {scheme}. "
        "Pass the scheme of the tags."
    )


def _conlleval_spans(tags: list[list[str]], labels: Sequence[str]) -> set[_Span]:
    """Return all spans as conlleval reads them."""
    get_entities, _ = _import_seqeval()
    # seqeval numbers tokens across sentences, with an O after each, and includes the last token.
    return {(labels[int(label_id)], start, last + 1) for label_id, start, last in get_entities(tags)}


def _strict_spans(tags: list[list[str]], labels: Sequence[str], scheme: str) -> set[_Span]:
    """Return the spans that follow the rules of the scheme."""
    _, schemes = _import_seqeval()
    spans_of_sentences = schemes.Entities(tags, getattr(schemes, _STRICT[scheme][1])).entities
    starts = accumulate((len(sequence) + 1 for sequence in tags), initial=0)
    return {
        (labels[int(span.tag)], first + span.start, first + span.end)
        for first, spans in zip(starts, spans_of_sentences, strict=False)
        for span in spans
    }


def _import_seqeval() -> tuple[Any, Any]:
    """Return seqeval's function that reads conlleval spans, and its module of schemes."""
    try:
        from seqeval import scheme
        from seqeval.metrics.sequence_labeling import get_entities
    except ImportError as error:
        raise InputError(
            "Scoring spans needs the package seqeval. Install the extra `train` (see README).",
            code="package.missing",
        ) from error
    return get_entities, scheme


def _score_by_label(gold_spans: set[_Span], predicted_spans: set[_Span]) -> dict[str, Score]:
    counts = [_count_labels(spans) for spans in (gold_spans & predicted_spans, gold_spans, predicted_spans)]
    return {
        label: _from_counts(*(count[label] for count in counts)) for label in sorted(counts[1] | counts[2])
    }


def _count_labels(spans: Iterable[_Span]) -> Counter[str]:
    return Counter(label for label, _, _ in spans)


def _score(gold_spans: set[_Span], predicted_spans: set[_Span]) -> Score:
    return _from_counts(len(gold_spans & predicted_spans), len(gold_spans), len(predicted_spans))


def _from_counts(correct: int, gold: int, predicted: int) -> Score:
    return {
        "precision": _divide(correct, predicted),
        "recall": _divide(correct, gold),
        "f1": _divide(2 * correct, gold + predicted),
        "support": gold,
    }


def _divide(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else 0.0
