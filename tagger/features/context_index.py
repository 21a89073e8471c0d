"""Document context: aggregate features of a word's other occurrences in the same document.

A name that is ambiguous in one sentence ("Washington won again") is often clear in another sentence of the
document ("George Washington", "in Washington"). The document context of a token averages features of the
word's other occurrences: the neighbouring words and the casing (context aggregation: Ratinov and Roth 2009,
"Design challenges and misconceptions in named entity recognition", section 5.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from tagger.features.vocab import PADDING, Vocabulary
from tagger.features.word_forms import CASINGS, casing_id
from tagger.text.casing import recase
from tagger.text.documents import cut_document_windows
from tagger.text.sentence import Sentence

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

MAX_TOKENS = 8192  # a longer document (always a single sentence) gets no document context
COUNTED = 10  # the number of other occurrences is clipped to this
EXTRAS = len(CASINGS) + 2  # casing shares, number of other occurrences, and a flag for having any


def context_width(size: int) -> int:
    """Return the size of a token's document context, given ``size`` features per neighbouring word."""
    return 2 * size + EXTRAS


@dataclass(frozen=True, slots=True)
class Occurrences:
    """The M occurrences of G words that occur at least twice in their document.

    Attributes:
        indices: (M,) token index of each occurrence, counted over all documents; grouped by word, in order.
        starts: (G + 1,) index in ``indices`` of each word's first occurrence; the last value is M.
    """

    indices: Ints
    starts: Ints

    @property
    def words(self) -> Ints:
        """(M,) index of each occurrence's word among the G words."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))


@dataclass(frozen=True, slots=True)
class BatchContext:
    """N tokens of a batch that have other occurrences, and all M occurrences of their G words.

    Attributes:
        tokens: (N,) row * T + step of each token in a batch of T steps.
        own: (N,) index of each token among the M occurrences.
        words: (M,) index of each occurrence's word among the G words.
        left: (M,) id of the word before each occurrence, 0 at the start of a sentence.
        right: (M,) id of the word after each occurrence, 0 at the end of a sentence.
        casing: (M,) casing id of each occurrence, 0 at the start of a sentence.
    """

    tokens: Ints
    own: Ints
    words: Ints
    left: Ints
    right: Ints
    casing: Ints

    def select(self, rows: Ints, steps: int, width: int) -> BatchContext:
        """Return the occurrences for a batch that consists of some rows of this one.

        Args:
            rows: Indices of the rows, in their new order.
            steps: Number of steps of this batch.
            width: Number of steps of the new batch.
        """
        row, step = np.divmod(self.tokens, max(1, steps))
        new_row = np.full(max(row.max(initial=0), rows.max(initial=0)) + 1, -1)
        new_row[rows] = np.arange(len(rows))
        kept = new_row[row] >= 0
        return replace(self, tokens=new_row[row[kept]] * width + step[kept], own=self.own[kept])


def find_occurrences(documents: Iterable[Sequence[str]], vocabulary: Vocabulary) -> Occurrences:
    """Find the words that occur at least twice in a document, ignoring case.

    The search skips words that do not begin with a letter and the most frequent words of the training set.

    Args:
        documents: The tokens of each document.
        vocabulary: Determines which words are frequent.
    """
    frequent = vocabulary.frequent_forms
    groups: list[list[int]] = []
    begin = 0
    for tokens in documents:
        positions: dict[str, list[int]] = {}
        if len(tokens) <= MAX_TOKENS:
            for position, form in enumerate(map(str.lower, tokens), start=begin):
                if form not in frequent:
                    positions.setdefault(form, []).append(position)
        groups.extend(group for form, group in positions.items() if len(group) > 1 and form[:1].isalpha())
        begin += len(tokens)
    starts = np.cumsum([0, *map(len, groups)])
    return Occurrences(np.array(list(chain.from_iterable(groups)), dtype=np.int64), starts)


def aggregate(features: Floats, words: Ints, own: Ints) -> Floats:
    """Aggregate the context features of the other occurrences of N tokens.

    Args:
        features: (M, F) context features of each occurrence, with its one-hot casing in the last columns.
        words: (M,) word index of each occurrence, in ascending order.
        own: (N,) occurrence index of each token, which is excluded.

    Returns:
        (N, F + 2): the mean over the other occurrences; their number, scaled so that ``COUNTED`` or more is
        1; and the constant 1.
    """
    context = np.ones((len(own), features.shape[1] + 2), np.float32)
    if len(own):
        counts = np.bincount(words)
        sums = np.add.reduceat(features, np.cumsum(counts) - counts)
        others = counts[words[own]].astype(np.float32) - 1
        context[:, :-2] = (sums[words[own]] - features[own]) / others[:, None]
        context[:, -2] = np.minimum(others, COUNTED) / COUNTED
    return context


class ContextIndex:
    """Index of the occurrences of many documents, for building the document context of batches.

    Args:
        documents: The documents in order, each as the tokens of its sentences.
        vocabulary: Source of the word ids and of the frequent words.
    """

    def __init__(self, documents: Sequence[Sequence[Sequence[str]]], vocabulary: Vocabulary) -> None:
        sentences = [tokens for document in documents for tokens in document]
        words = {token for tokens in sentences for token in tokens}
        ids = {word: vocabulary.word_id(word) for word in words}
        casings = {word: casing_id(word) for word in words}
        self._lengths = np.array([len(tokens) for tokens in sentences], dtype=np.int64)
        self._begins = np.cumsum(self._lengths) - self._lengths
        occurrences = find_occurrences(
            [list(chain.from_iterable(document)) for document in documents], vocabulary
        )
        indices = occurrences.indices
        self._starts, self._word = occurrences.starts, occurrences.words
        self._occurrence = np.full(self._lengths.sum(), -1)  # occurrence index of each token, -1 if none
        self._occurrence[indices] = np.arange(len(indices))
        left = [[PADDING, *(ids[token] for token in tokens[:-1])] for tokens in sentences if tokens]
        right = [[*(ids[token] for token in tokens[1:]), PADDING] for tokens in sentences if tokens]
        casing = [[PADDING, *(casings[token] for token in tokens[1:])] for tokens in sentences if tokens]
        self._left, self._right, self._casing = (_join(rows)[indices] for rows in (left, right, casing))

    def batch(self, indices: Sequence[int]) -> BatchContext:
        """Return the occurrences for a batch of the sentences at these indices, padded to the longest."""
        rows = np.asarray(indices, dtype=np.int64)
        lengths = self._lengths[rows]
        tokens, row = _ranges(self._begins[rows], lengths)
        step = tokens - self._begins[rows][row]
        own = self._occurrence[tokens]
        is_occurrence = own >= 0
        own = own[is_occurrence]
        words, word_of_token = np.unique(self._word[own], return_inverse=True)
        sizes = np.diff(self._starts)[words]
        members, member_words = _ranges(self._starts[words], sizes)
        # Added to an occurrence's index in this object, it gives the index in the batch.
        shift = np.cumsum(sizes) - sizes - self._starts[words]
        return BatchContext(
            tokens=(row * lengths.max(initial=0) + step)[is_occurrence],
            own=own + shift[word_of_token],
            words=member_words,
            left=self._left[members],
            right=self._right[members],
            casing=self._casing[members],
        )


def index_context(
    sentences: Iterable[Sentence], vocabulary: Vocabulary, recasings: Sequence[str] = ()
) -> ContextIndex:
    """Index the documents that sentences form, followed by copies of these documents in other casings.

    Args:
        sentences: The sentences of the documents in order (see ``text.documents.cut_document_windows``).
        vocabulary: Source of the word ids and of the frequent words.
        recasings: Casings from ``text.casing.RECASINGS``.
    """
    windows = list(cut_document_windows(sentences))
    documents = [[sentence.tokens for sentence in window] for window in windows]
    for casing in recasings:
        documents += [[recase(sentence, casing) for sentence in window] for window in windows]
    return ContextIndex(documents, vocabulary)


def _join(rows: Iterable[Iterable[int]]) -> Ints:
    return np.array(list(chain.from_iterable(rows)), dtype=np.int64)


def _ranges(begins: Ints, sizes: Ints) -> tuple[Ints, Ints]:
    """Return the concatenated indices of all ranges, and the range index of each."""
    owners = np.repeat(np.arange(len(sizes)), sizes)
    within = np.arange(len(owners)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return begins[owners] + within, owners
