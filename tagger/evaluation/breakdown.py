"""Break scores down into buckets: by label, vocabulary, position and sentence length.

An item is a span, or in a task without spans a token with its tag. Each bucket has its own counts and score,
and the counts of all buckets of one kind sum to those of the whole split.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tagger.evaluation.scores import TagSequences, remove_ignored
from tagger.text.schemes import tags_to_spans
from tagger.text.sentence import UNSPECIFIED, Sentence

BucketKind = Literal["label", "vocabulary", "position", "length"]
Item = tuple[int, int, str]
"""Index of the first token, index after the last, and label; for a tag, those of its token and the tag."""
Items = Sequence[Set[Item]]
"""Items of each sentence."""

VOCABULARY_BUCKETS = ("seen", "unseen")
_FROM_LEFT = ("first", "second", "third")
_FROM_RIGHT = ("last", "second from last", "third from last")
POSITIONS = ("whole sentence", *_FROM_LEFT, "middle", *reversed(_FROM_RIGHT), "final punctuation")
"""Positions of items in a sentence, in reading order; see ``position_bucket``."""
_BANDS = {5: "1-5", 10: "6-10", 20: "11-20", 30: "21-30"}
_LONGER = "31+"
LENGTHS = (*_BANDS.values(), _LONGER)
"""Bands of sentence length in tokens."""
BORDERS = "borders"
TYPES = "type, where the borders are right"

_KINDS: tuple[BucketKind, ...] = ("label", "vocabulary", "position", "length")
_FIXED_BUCKETS: dict[BucketKind, tuple[str, ...]] = {
    "vocabulary": VOCABULARY_BUCKETS,
    "position": POSITIONS,
    "length": LENGTHS,
}
_Profile = tuple[str, str, str, str]  # for each kind the bucket of an item


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of correct, predicted and gold items."""

    right: int
    predicted: int
    gold: int

    @property
    def score(self) -> float:
        """F1, or 0 without items; equals accuracy if every token is a gold and a predicted item."""
        items = self.predicted + self.gold
        return 2 * self.right / items if items else 0.0


def read_items(tags: TagSequences, scheme: str | None) -> list[Set[Item]]:
    """Return the items of each sentence: its spans, or without a scheme its specified tags.

    Illegal span tags are read as conlleval does (see ``text.schemes.tags_to_spans``).
    """
    if scheme is None:
        return [
            {(index, index + 1, tag) for index, tag in enumerate(sequence) if tag != UNSPECIFIED}
            for sequence in tags
        ]
    return [
        {(span.start, span.end, span.label) for span in tags_to_spans(sequence, scheme)} for sequence in tags
    ]


def gold_items(gold: TagSequences, scheme: str | None) -> Items:
    """Return the scored gold items of each sentence.

    Args:
        gold: Gold tags of each sentence.
        scheme: Their scheme; None for tags that mark no spans.
    """
    scored, _ = remove_ignored(gold, gold, scheme, scheme) if scheme else (gold, gold)
    return read_items(scored, scheme)


def predicted_items(
    gold: TagSequences, predicted: TagSequences, scheme: str | None
) -> tuple[TagSequences, Items]:
    """Return the predicted tags and scored items of each sentence, without those that gold leaves open.

    Args:
        gold: Gold tags of each sentence.
        predicted: Predicted tags; IOB2 for spans.
        scheme: Scheme of the gold tags; None for tags that mark no spans.
    """
    if scheme is not None:
        _, scored = remove_ignored(gold, predicted, scheme)
        return predicted, read_items(scored, "IOB2")
    # Ignore predictions for tokens without a gold tag.
    specified = [
        [
            UNSPECIFIED if gold_tag == UNSPECIFIED else tag
            for gold_tag, tag in zip(gold_tags, tags, strict=True)
        ]
        for gold_tags, tags in zip(gold, predicted, strict=True)
    ]
    return specified, read_items(specified, None)


def count_sentences(gold: Items, predicted: Items) -> NDArray[np.int64]:
    """Return (S, 3): for each of S sentences the numbers of correct, predicted and gold items."""
    counts = [
        (len(gold_items & predicted_items), len(predicted_items), len(gold_items))
        for gold_items, predicted_items in _pairs(gold, predicted)
    ]
    return np.array(counts, dtype=np.int64).reshape(-1, 3)


def count_buckets(
    sentences: Sequence[Sentence], seen: Sequence[Sequence[bool]], gold: Items, predicted: Items
) -> dict[BucketKind, dict[str, Counts]]:
    """Count items by label, by vocabulary, by position and by sentence length.

    Gold and predicted items count in their own buckets; a correct item has the same bucket on both sides. An
    item is ``unseen`` if it contains a word that is not in the training set.

    Args:
        sentences: The sentences, for their tokens.
        seen: For each sentence and token, True if the word is in the training set.
        gold: For each sentence its gold items.
        predicted: For each sentence its predicted items.

    Returns:
        For each kind its non-empty buckets in reading order (labels by falling number of gold items).
    """
    correct = [gold_items & predicted_items for gold_items, predicted_items in _pairs(gold, predicted)]
    sides = [Counter(_profiles(sentences, seen, items)) for items in (correct, predicted, gold)]
    return {kind: _sum_up(sides, kind_index) for kind_index, kind in enumerate(_KINDS)}


def count_borders(gold: Items, predicted: Items) -> dict[str, Counts]:
    """Score the boundaries of spans separately from their labels.

    Returns:
        ``BORDERS``: counts of spans without regard to labels; ``TYPES``: counts of pairs of a gold and a
        predicted span with equal boundaries, correct if the labels agree (their score is an accuracy).
    """
    shared = correct = 0
    for gold_items, predicted_items in _pairs(gold, predicted):
        shared += len(_borders(gold_items) & _borders(predicted_items))
        correct += len(gold_items & predicted_items)
    borders = Counts(shared, sum(map(len, predicted)), sum(map(len, gold)))
    return {BORDERS: borders, TYPES: Counts(correct, shared, shared)}


def count_words(tokens: Sequence[str]) -> int:
    """Return the number of tokens before the final punctuation (trailing tokens without letter or digit)."""
    words = len(tokens)
    while words and not any(character.isalnum() for character in tokens[words - 1]):
        words -= 1
    return words


def position_bucket(start: int, end: int, words: int) -> str:
    """Return the position bucket of the tokens [start, end) in a sentence, one of ``POSITIONS``.

    The directions differ most for items with little context on the left or on the right. The bucket therefore
    counts from the nearer end of the sentence (the left one in a tie): from the start to the item's first
    token, or from the item's last token to the end. Most sentences end with a full stop, which is
    uninformative context. Positions from the end therefore count from the last word before the final
    punctuation, and items that begin in the final punctuation have a bucket of their own. An item that covers
    all words has no context on either side.

    Args:
        start: Index of the first token.
        end: Index after the last token.
        words: Number of tokens before the final punctuation (see ``count_words``).
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
    """Yield for each item its bucket of each kind."""
    for sentence, is_seen, sentence_items in zip(sentences, seen, items, strict=True):
        unseen_before = [0, *accumulate(not known for known in is_seen)]
        words = count_words(sentence.tokens)
        length = next((name for longest, name in _BANDS.items() if len(is_seen) <= longest), _LONGER)
        for start, end, label in sentence_items:
            vocabulary = VOCABULARY_BUCKETS[unseen_before[end] > unseen_before[start]]
            yield label, vocabulary, position_bucket(start, end, words), length


def _sum_up(sides: Sequence[Counter[_Profile]], kind_index: int) -> dict[str, Counts]:
    """Return the counts of each bucket of one kind; the sides are the correct, predicted and gold items."""
    sums = [Counter[str]() for _ in sides]
    for side_sums, profiles in zip(sums, sides, strict=True):
        for profile, count in profiles.items():
            side_sums[profile[kind_index]] += count
    _, predicted, gold = sums
    names = _FIXED_BUCKETS.get(_KINDS[kind_index])
    if names is None:
        names = tuple(sorted(predicted | gold, key=lambda label: (-gold[label], label)))
    return {
        name: Counts(*(side_sums[name] for side_sums in sums))
        for name in names
        if predicted[name] or gold[name]
    }


def _borders(items: Set[Item]) -> set[tuple[int, int]]:
    return {(start, end) for start, end, _ in items}


def _pairs(gold: Items, predicted: Items) -> Iterator[tuple[Set[Item], Set[Item]]]:
    return zip(gold, predicted, strict=True)
