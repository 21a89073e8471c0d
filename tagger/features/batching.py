"""From sentences to batches: ids per distinct word, and where in which sentence each of them stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from tagger.features.mentions import BatchMentions
from tagger.features.vocab import PADDING, Vocabulary, casing_id

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """B sentences of at most T tokens with U distinct words among them.

    A word's features depend on the word alone, so they are held once per distinct word; row 0 is padding.

    Attributes:
        positions: (B, T) row of each token in the four arrays below; 0 after a sentence's end.
        words: (U,) word ids.
        casing: (U,) casing ids.
        characters: (U, L) character ids, 0 after a word's end; L >= 1.
        word_lengths: (U,) characters of each word.
        lengths: (B,) tokens of each sentence.
        tags: For each task (B, T) tag ids, 0 after a sentence's end; empty when tagging.
        mentions: What the tokens' documents show of them, None where sentences stand alone.
    """

    positions: Ints
    words: Ints
    casing: Ints
    characters: Ints
    word_lengths: Ints
    lengths: Ints
    tags: Mapping[str, Ints] = field(default_factory=dict)
    mentions: BatchMentions | None = None

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(B, T) True where a token stands."""
        return np.arange(self.positions.shape[1]) < self.lengths[:, None]

    def select(self, places: Sequence[int]) -> Batch:
        """The batch of the sentences at these places; it keeps the words of all, so that row numbers stay."""
        rows = np.asarray(places, dtype=np.int64)
        width = int(self.lengths[rows].max(initial=0))
        steps = self.positions.shape[1]
        return replace(
            self,
            positions=self.positions[rows, :width],
            lengths=self.lengths[rows],
            tags={task: ids[rows, :width] for task, ids in self.tags.items()},
            mentions=self.mentions and self.mentions.select(rows, steps, width),
        )


class WordTable:
    """Features of every distinct word met so far, so that each word is looked up once; threads may share it.

    Args:
        vocabulary: Where the ids come from.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._adding = Lock()
        self._rows: dict[str, int] = {}
        self._words = [PADDING]
        self._casing = [0]
        self._characters: list[list[int]] = [[PADDING]]

    def __len__(self) -> int:
        return len(self._words)

    def rows(self, tokens: Sequence[str]) -> Ints:
        """The (T,) rows of these tokens; new words are added."""
        known = self._rows
        return np.array([known[t] if t in known else self._add(t) for t in tokens], dtype=np.int64)

    def _add(self, token: str) -> int:
        with self._adding:
            if token not in self._rows:  # another thread may have added it meanwhile
                row = len(self._words)
                self._words.append(self.vocabulary.word_id(token))
                self._casing.append(casing_id(token))
                self._characters.append(self.vocabulary.word_characters(token) or [PADDING])
                self._rows[token] = row  # last: who finds the row finds its features
        return self._rows[token]

    def batch(self, rows: Sequence[Ints], tags: Mapping[str, Sequence[Ints]] | None = None) -> Batch:
        """Pad sentences, given as rows of this table, to one batch.

        Args:
            rows: B arrays of rows, as ``rows`` returns them.
            tags: For each task B arrays of tag ids.
        """
        padded = _pad(rows)
        distinct, positions = np.unique(padded, return_inverse=True)
        if (
            not len(distinct) or distinct[0] != PADDING
        ):  # a batch without padding: row 0 is padding all the same
            distinct = np.concatenate([[PADDING], distinct])
            positions = positions + 1
        characters = [self._characters[row] for row in distinct]
        return Batch(
            positions=positions.reshape(padded.shape),
            words=np.array([self._words[row] for row in distinct], dtype=np.int64),
            casing=np.array([self._casing[row] for row in distinct], dtype=np.int64),
            characters=_pad(characters),
            word_lengths=np.array([len(ids) for ids in characters], dtype=np.int64),
            lengths=np.array([len(row) for row in rows], dtype=np.int64),
            tags={task: _pad(values) for task, values in (tags or {}).items()},
        )


def group_by_length(lengths: Sequence[int], batch_size: int, batch_tokens: int) -> Iterator[list[int]]:
    """Cut sentences into batches of like length.

    Args:
        lengths: Tokens of each sentence.
        batch_size: Sentences in a batch at most.
        batch_tokens: Tokens in a batch at most, padding included; a longer sentence is a batch of its own.

    Yields:
        The places of a batch's sentences in ``lengths``, shortest first; each place comes exactly once.
    """
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) == batch_size or (len(batch) + 1) * lengths[place] > batch_tokens):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def shuffled_batches(
    lengths: Sequence[int], batch_size: int, batch_tokens: int, generator: np.random.Generator
) -> list[list[int]]:
    """Batches for one epoch of training: sentences of like length together, all else in random order.

    Sentences are shuffled, cut into pools of 50 batches (fewer where these were more than a quarter of all
    sentences), and only sorted by length inside a pool: padding stays low while hardly two epochs see the
    same batch.
    """
    order = generator.permutation(len(lengths))
    pool_size = batch_size * min(50, max(1, len(lengths) // (4 * batch_size)))
    batches = []
    for begin in range(0, len(order), pool_size):
        pool = order[begin : begin + pool_size]
        groups = group_by_length([lengths[place] for place in pool], batch_size, batch_tokens)
        batches.extend([[int(pool[place]) for place in group] for group in groups])
    return [batches[place] for place in generator.permutation(len(batches))]


def _pad(sequences: Sequence[Sequence[int] | Ints]) -> Ints:
    lengths = np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences))
    padded = np.zeros((len(sequences), lengths.max(initial=0)), dtype=np.int64)
    is_inside = np.arange(padded.shape[1]) < lengths[:, None]
    padded[is_inside] = np.fromiter(chain.from_iterable(sequences), dtype=np.int64, count=lengths.sum())
    return padded
