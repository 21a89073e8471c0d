"""Where the words of a document stand once more in it, and what stands around them there.

A name that is hard to tell in one sentence ("Washington won again") is often plain in another of the same
document ("George Washington", "in Washington"). What a word's other mentions show is summed up in a few
numbers: the words next to them and how they are written (context aggregation: Ratinov and Roth 2009, "Design
challenges and misconceptions in named entity recognition", section 5.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from tagger.features.vocab import CASINGS, PADDING, Vocabulary, casing_id
from tagger.text.casing import recase
from tagger.text.documents import cut_stretches
from tagger.text.sentence import Sentence

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

MOST_TOKENS = 8192  # of a document; what is longer (a single sentence, that is) has no mentions
COUNTED = 10  # other mentions at most that make a difference
EXTRAS = len(CASINGS) + 2  # shares of the casings, how many other mentions there are, and that there are any


def context_width(size: int) -> int:
    """How many numbers tell of a token's other mentions, if ``size`` are kept of the words on either side."""
    return 2 * size + EXTRAS


@dataclass(frozen=True, slots=True)
class Mentions:
    """The mentions of G words that stand in their document twice or more, M in all.

    Attributes:
        places: (M,) which token each mention is, counted over all documents; those of a word together,
            in order.
        starts: (G + 1,) where each word's mentions begin in ``places``; at the end M.
    """

    places: Ints
    starts: Ints

    @property
    def words(self) -> Ints:
        """(M,) which of the G words each mention is of."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))


@dataclass(frozen=True, slots=True)
class BatchMentions:
    """N tokens of a batch that have other mentions, and all M mentions of their G words.

    Attributes:
        tokens: (N,) row * T + step of each token in a batch of T steps.
        own: (N,) which of the M mentions each token is.
        words: (M,) which of the G words each mention is of.
        left: (M,) id of the word before each mention, 0 where it begins its sentence.
        right: (M,) id of the word after each mention, 0 where it ends its sentence.
        casing: (M,) casing id of each mention, 0 where it begins its sentence.
    """

    tokens: Ints
    own: Ints
    words: Ints
    left: Ints
    right: Ints
    casing: Ints

    def select(self, rows: Ints, steps: int, width: int) -> BatchMentions:
        """The tokens of some rows of the batch, as rows of a batch of their own.

        Args:
            rows: Which rows, in their new order.
            steps: Steps of the batch as it is.
            width: Steps of the new batch.
        """
        row, step = np.divmod(self.tokens, max(1, steps))
        place = np.full(max(row.max(initial=0), rows.max(initial=0)) + 1, -1)
        place[rows] = np.arange(len(rows))
        kept = place[row] >= 0
        return replace(self, tokens=place[row[kept]] * width + step[kept], own=self.own[kept])


def find_mentions(documents: Iterable[Sequence[str]], vocabulary: Vocabulary) -> Mentions:
    """Find the words that stand in a document twice or more, however they are cased.

    Words that do not begin with a letter, and the most frequent ones of train, are passed over.

    Args:
        documents: The tokens of each document.
        vocabulary: Knows which words are frequent.
    """
    frequent = vocabulary.frequent_forms
    found: list[list[int]] = []
    begin = 0
    for tokens in documents:
        places: dict[str, list[int]] = {}
        if len(tokens) <= MOST_TOKENS:
            for place, form in enumerate(map(str.lower, tokens), start=begin):
                if form not in frequent:
                    places.setdefault(form, []).append(place)
        found.extend(group for form, group in places.items() if len(group) > 1 and form[:1].isalpha())
        begin += len(tokens)
    starts = np.cumsum([0, *map(len, found)])
    return Mentions(np.array(list(chain.from_iterable(found)), dtype=np.int64), starts)


def aggregate(features: Floats, words: Ints, own: Ints) -> Floats:
    """Sum up what the other mentions of some tokens show.

    Args:
        features: (M, F) what each mention shows, its casing one-hot in the last columns.
        words: (M,) which word each mention is of, in ascending order.
        own: (N,) the mention that each token itself is, which does not count.

    Returns:
        (N, F + 2): the mean of the other mentions, their number (1 for ``COUNTED`` and more), and 1.
    """
    found = np.ones((len(own), features.shape[1] + 2), np.float32)
    if len(own):
        counts = np.bincount(words)
        sums = np.add.reduceat(features, np.cumsum(counts) - counts)
        others = counts[words[own]].astype(np.float32) - 1
        found[:, :-2] = (sums[words[own]] - features[own]) / others[:, None]
        found[:, -2] = np.minimum(others, COUNTED) / COUNTED
    return found


class MentionIndex:
    """The mentions of many documents, from which those of a batch's sentences are taken.

    Args:
        documents: The documents one after another, each the tokens of its sentences.
        vocabulary: Gives words their ids, and knows which are frequent.
    """

    def __init__(self, documents: Sequence[Sequence[Sequence[str]]], vocabulary: Vocabulary) -> None:
        sentences = [tokens for document in documents for tokens in document]
        words = {token for tokens in sentences for token in tokens}
        ids = {word: vocabulary.word_id(word) for word in words}
        casings = {word: casing_id(word) for word in words}
        self._lengths = np.array([len(tokens) for tokens in sentences], dtype=np.int64)
        self._begins = np.cumsum(self._lengths) - self._lengths
        mentions = find_mentions([list(chain.from_iterable(one)) for one in documents], vocabulary)
        places = mentions.places
        self._starts, self._word = mentions.starts, mentions.words
        self._mention = np.full(self._lengths.sum(), -1)  # of each token, -1 where it is the only one
        self._mention[places] = np.arange(len(places))
        left = [[PADDING, *(ids[token] for token in tokens[:-1])] for tokens in sentences if tokens]
        right = [[*(ids[token] for token in tokens[1:]), PADDING] for tokens in sentences if tokens]
        casing = [[PADDING, *(casings[token] for token in tokens[1:])] for tokens in sentences if tokens]
        self._left, self._right, self._casing = (_join(rows)[places] for rows in (left, right, casing))

    def batch(self, places: Sequence[int]) -> BatchMentions:
        """The mentions of a batch of the sentences at these places, padded to the longest."""
        rows = np.asarray(places, dtype=np.int64)
        lengths = self._lengths[rows]
        tokens, row = _ranges(self._begins[rows], lengths)
        step = tokens - self._begins[rows][row]
        own = self._mention[tokens]
        is_mention = own >= 0
        own = own[is_mention]
        words, numbers = np.unique(self._word[own], return_inverse=True)
        sizes = np.diff(self._starts)[words]
        members, member_words = _ranges(self._starts[words], sizes)
        shift = np.cumsum(sizes) - sizes - self._starts[words]  # from a mention's number here to that there
        return BatchMentions(
            tokens=(row * lengths.max(initial=0) + step)[is_mention],
            own=own + shift[numbers],
            words=member_words,
            left=self._left[members],
            right=self._right[members],
            casing=self._casing[members],
        )


def index_mentions(
    sentences: Iterable[Sentence], vocabulary: Vocabulary, recasings: Sequence[str] = ()
) -> MentionIndex:
    """Index the documents of some sentences, and behind them the same documents in other casings.

    Args:
        sentences: The documents one after another (see ``text.documents.cut_stretches``).
        vocabulary: Gives words their ids, and knows which are frequent.
        recasings: Some of ``text.casing.RECASINGS``.
    """
    stretches = list(cut_stretches(sentences))
    documents = [[one.tokens for one in stretch] for stretch in stretches]
    for casing in recasings:
        documents += [[recase(one, casing) for one in stretch] for stretch in stretches]
    return MentionIndex(documents, vocabulary)


def _join(rows: Iterable[Iterable[int]]) -> Ints:
    return np.array(list(chain.from_iterable(rows)), dtype=np.int64)


def _ranges(begins: Ints, sizes: Ints) -> tuple[Ints, Ints]:
    """All numbers of some ranges, one range after another, and which range each number is of."""
    owners = np.repeat(np.arange(len(sizes)), sizes)
    within = np.arange(len(owners)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return begins[owners] + within, owners
