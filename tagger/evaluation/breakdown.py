"""Scores taken apart: items sorted into buckets by what they are and where they stand.

An item is a span, or in a task without spans a token with its tag. The score of a bucket comes from its own
counts, and the counts of all buckets of a kind sum up to those of the whole part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tagger.evaluation.scores import TagSequences
from tagger.text.schemes import tags_to_spans
from tagger.text.sentence import UNSPECIFIED, Sentence

BucketKind = Literal["label", "novelty", "position", "length"]
Item = tuple[int, int, str]
"""First token, token after the last, and label; of a tag, its only token and the tag itself."""
Items = Sequence[Set[Item]]
"""For each sentence its items."""

NOVELTY = ("seen", "unseen")
_FROM_LEFT = ("first", "second", "third")
_FROM_RIGHT = ("last", "second from last", "third from last")
POSITIONS = ("whole sentence", *_FROM_LEFT, "middle", *reversed(_FROM_RIGHT), "final punctuation")
"""Where an item stands, in reading order; see ``place_item``."""
_BANDS = {5: "1-5", 10: "6-10", 20: "11-20", 30: "21-30"}
_LONGER = "31+"
LENGTHS = (*_BANDS.values(), _LONGER)
"""Tokens of a sentence."""
BORDERS = "borders"
TYPES = "type, where the borders are right"

_KINDS: tuple[BucketKind, ...] = ("label", "novelty", "position", "length")
_FIXED_BUCKETS: dict[BucketKind, tuple[str, ...]] = {
    "novelty": NOVELTY,
    "position": POSITIONS,
    "length": LENGTHS,
}
_Profile = tuple[str, str, str, str]  # for each kind the bucket of an item


@dataclass(frozen=True, slots=True)
class Counts:
    """How many items are right, were predicted and should have been."""

    right: int
    predicted: int
    gold: int

    @property
    def score(self) -> float:
        """F1, a fraction of 1: accuracy where every token is a predicted and a gold item; 0 of nothing."""
        items = self.predicted + self.gold
        return 2 * self.right / items if items else 0.0


def read_items(tags: TagSequences, scheme: str | None) -> list[Set[Item]]:
    """Return for each sentence its spans, or without a scheme its tokens' tags that are specified.

    Broken span tags are read as conlleval does (see ``text.schemes.tags_to_spans``).
    """
    if scheme is None:
        return [
            {(place, place + 1, tag) for place, tag in enumerate(own) if tag != UNSPECIFIED} for own in tags
        ]
    return [{(span.start, span.end, span.label) for span in tags_to_spans(own, scheme)} for own in tags]


def count_sentences(gold: Items, predicted: Items) -> NDArray[np.int64]:
    """Return (S, 3) for each of S sentences the items that are right, predicted and gold."""
    counts = [(len(wanted & found), len(found), len(wanted)) for wanted, found in _pairs(gold, predicted)]
    return np.array(counts, dtype=np.int64).reshape(-1, 3)


def count_buckets(
    sentences: Sequence[Sentence], seen: Sequence[Sequence[bool]], gold: Items, predicted: Items
) -> dict[BucketKind, dict[str, Counts]]:
    """Sort items by label, by novelty, by position and by the sentence's length.

    A gold item counts in its own bucket and a predicted item in its own, which are the same where it is
    right. ``unseen`` are items that hold a word which train lacks.

    Args:
        sentences: The sentences, for their tokens.
        seen: For each sentence and token whether train has the word.
        gold: For each sentence its gold items.
        predicted: For each sentence its predicted items.

    Returns:
        For each kind its buckets in reading order (labels by falling number of gold items), without those in
        which there are no items at all.
    """
    right = [wanted & found for wanted, found in _pairs(gold, predicted)]
    sides = [Counter(_profiles(sentences, seen, items)) for items in (right, predicted, gold)]
    return {kind: _sum_up(sides, number) for number, kind in enumerate(_KINDS)}


def count_borders(gold: Items, predicted: Items) -> dict[str, Counts]:
    """Judge the borders of spans apart from their types.

    Returns:
        ``BORDERS``: spans whatever their labels; ``TYPES``: pairs of a gold and a predicted span with the
        same borders, which are right if the labels agree (their score is an accuracy).
    """
    shared = right = 0
    for wanted, found in _pairs(gold, predicted):
        shared += len(_borders(wanted) & _borders(found))
        right += len(wanted & found)
    borders = Counts(shared, sum(map(len, predicted)), sum(map(len, gold)))
    return {BORDERS: borders, TYPES: Counts(right, shared, shared)}


def count_words(tokens: Sequence[str]) -> int:
    """Tokens of a sentence without its final punctuation: all at its end that hold no letter and no digit."""
    words = len(tokens)
    while words and not any(character.isalnum() for character in tokens[words - 1]):
        words -= 1
    return words


def place_item(start: int, end: int, words: int) -> str:
    """Say where the tokens [start, end) stand in a sentence, one of ``POSITIONS``.

    What sets the directions apart is how little lies to the left of an item, or to its right. So an item is
    counted from the end that is nearer to it (the left one in doubt): its first token from the sentence's
    beginning, its last one from the sentence's end. Most sentences end with a full stop, which teaches
    nothing. Hence the last word is the one before the final punctuation, and items that begin in this have a
    bucket of their own. An item that holds all words has nothing on either side.

    Args:
        start: Index of the first token.
        end: Index after the last token.
        words: Tokens without the final punctuation (see ``count_words``).
    """
    if start >= words:
        return "final punctuation"
    before, after = start, max(0, words - end)
    if before == after == 0:
        return "whole sentence"
    nearest, names = (before, _FROM_LEFT) if before <= after else (after, _FROM_RIGHT)
    return names[nearest] if nearest < len(names) else "middle"


def _profiles(
    sentences: Sequence[Sentence], seen: Sequence[Sequence[bool]], items: Items
) -> Iterator[_Profile]:
    """For each item its bucket of each kind."""
    for sentence, marks, own in zip(sentences, seen, items, strict=True):
        unseen_before = [0, *accumulate(not mark for mark in marks)]
        words = count_words(sentence.tokens)
        length = next((name for longest, name in _BANDS.items() if len(marks) <= longest), _LONGER)
        for start, end, label in own:
            novelty = NOVELTY[unseen_before[end] > unseen_before[start]]
            yield label, novelty, place_item(start, end, words), length


def _sum_up(sides: Sequence[Counter[_Profile]], number: int) -> dict[str, Counts]:
    """Return the counts of each bucket of one kind; the sides are the right, predicted and gold items."""
    sums = [Counter[str]() for _ in sides]
    for own, profiles in zip(sums, sides, strict=True):
        for profile, count in profiles.items():
            own[profile[number]] += count
    _, predicted, gold = sums
    names = _FIXED_BUCKETS.get(_KINDS[number])
    if names is None:
        names = tuple(sorted(predicted | gold, key=lambda label: (-gold[label], label)))
    return {name: Counts(*(own[name] for own in sums)) for name in names if predicted[name] or gold[name]}


def _borders(items: Set[Item]) -> set[tuple[int, int]]:
    return {(start, end) for start, end, _ in items}


def _pairs(gold: Items, predicted: Items) -> Iterator[tuple[Set[Item], Set[Item]]]:
    return zip(gold, predicted, strict=True)
