"""Build batches of sentences: ids per distinct word, and the word index of each token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from tagger.features.context_index import BatchContext
from tagger.features.vocab import PADDING, Vocabulary
from tagger.features.word_forms import AFFIXES, SHAPES, casing_id

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SoftTags:
    """A target distribution over the tag sequences of one sentence, by its expectations.

    Attributes:
        tags: (T, C) probability of each tag at each token.
        transitions: (C, C) expected number of each transition, from -> to.
    """

    tags: NDArray[np.float32]
    transitions: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SoftTargets:
    """The soft tags of S sentences of a batch.

    Attributes:
        rows: (S,) indices of the sentences in the batch.
        tags: (S, T, C) probability of each tag, 0 after a sentence's end.
        transitions: (S, C, C) expected number of each transition, from -> to.
    """

    rows: Ints
    tags: NDArray[np.float32]
    transitions: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Batch:
    """B sentences of at most T tokens with U distinct words.

    A word's features depend on the word only, so a batch holds them once per distinct word; index 0 is
    padding.

    Attributes:
        positions: (B, T) index of each token in the arrays of words below; 0 after a sentence's end.
        words: (U,) word ids.
        casing: (U,) casing ids.
        characters: (U, L) character ids, 0 after a word's end; L >= 1.
        word_lengths: (U,) number of characters of each word.
        affixes: (U, ``len(AFFIXES)``) affix ids, 0 for unknown affixes.
        shapes: (U, ``SHAPES``) shape ids, 0 for unknown shapes.
        lengths: (B,) number of tokens of each sentence.
        tags: For each task (B, T) tag ids, -1 for tokens without a gold tag, 0 after a sentence's end; empty
            for prediction.
        allowed: For some tasks (B, T, C) True for the possible tags of tokens without a gold tag; by default
            all are possible.
        soft: For some tasks the soft tags of some sentences.
        context: Document context of the tokens; None without document context.
        states: (B, T, L, D) float16 states of a contextual encoder, 0 after a sentence's end; None without.
    """

    positions: Ints
    words: Ints
    casing: Ints
    characters: Ints
    word_lengths: Ints
    affixes: Ints
    shapes: Ints
    lengths: Ints
    tags: Mapping[str, Ints] = field(default_factory=dict)
    allowed: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    soft: Mapping[str, SoftTargets] = field(default_factory=dict)
    context: BatchContext | None = None
    states: NDArray[np.float16] | None = None

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(B, T) True for tokens, False for padding."""
        return np.arange(self.positions.shape[1]) < self.lengths[:, None]

    def select(self, indices: Sequence[int]) -> Batch:
        """Return the batch of the sentences at these indices; it keeps all words and their indices."""
        rows = np.asarray(indices, dtype=np.int64)
        width = int(self.lengths[rows].max(initial=0))
        steps = self.positions.shape[1]
        return replace(
            self,
            positions=self.positions[rows, :width],
            lengths=self.lengths[rows],
            tags={task: ids[rows, :width] for task, ids in self.tags.items()},
            allowed={task: values[rows, :width] for task, values in self.allowed.items()},
            soft={task: _select_soft(targets, rows, width) for task, targets in self.soft.items()},
            context=self.context and self.context.select(rows, steps, width),
            states=None if self.states is None else self.states[rows, :width],
        )


def _select_soft(targets: SoftTargets, rows: Ints, width: int) -> SoftTargets:
    places = {int(row): place for place, row in enumerate(targets.rows)}
    kept = [(new, places[int(row)]) for new, row in enumerate(rows) if int(row) in places]
    indices = [place for _, place in kept]
    return SoftTargets(
        np.array([new for new, _ in kept], np.int64),
        targets.tags[indices, :width],
        targets.transitions[indices],
    )


def stack_states(values: Sequence[NDArray[np.float16]], width: int) -> NDArray[np.float16]:
    """Combine the states (T, L, D) of a batch's sentences to (B, T, L, D) with this width T."""
    states = np.zeros((len(values), width, *values[0].shape[1:]), np.float16)
    for row, one in enumerate(values):
        states[row, : len(one)] = one
    return states


def stack_soft(values: Sequence[SoftTags | None], width: int) -> SoftTargets | None:
    """Combine the soft tags of a batch's sentences; None if no sentence has any.

    Args:
        values: The soft tags of each sentence, or None.
        width: T of the batch.
    """
    present = [(row, one) for row, one in enumerate(values) if one is not None]
    if not present:
        return None
    tags = np.zeros((len(present), width, present[0][1].tags.shape[1]), np.float32)
    for place, (_, one) in enumerate(present):
        tags[place, : len(one.tags)] = one.tags
    rows = np.array([row for row, _ in present], np.int64)
    return SoftTargets(rows, tags, np.stack([one.transitions for _, one in present]))


class WordTable:
    """Cache of the features of every distinct word so far; thread-safe.

    Args:
        vocabulary: Source of the ids.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._adding = Lock()
        self._rows: dict[str, int] = {}
        self._words = [PADDING]
        self._casing = [0]
        self._characters: list[list[int]] = [[PADDING]]
        # These stay as short as this if the vocabulary lacks such features.
        self._affixes = [[PADDING] * len(AFFIXES)]
        self._shapes = [[PADDING] * SHAPES]

    def __len__(self) -> int:
        return len(self._words)

    def rows(self, tokens: Sequence[str]) -> Ints:
        """Return the (T,) row indices of these tokens, adding new words."""
        known = self._rows
        return np.array([known[t] if t in known else self._add(t) for t in tokens], dtype=np.int64)

    def _add(self, token: str) -> int:
        with self._adding:
            if token not in self._rows:  # another thread may have added it
                row = len(self._words)
                self._words.append(self.vocabulary.word_id(token))
                self._casing.append(casing_id(token))
                self._characters.append(self.vocabulary.word_characters(token) or [PADDING])
                if self.vocabulary.affixes:
                    self._affixes.append(self.vocabulary.word_affixes(token))
                if self.vocabulary.shapes:
                    self._shapes.append(self.vocabulary.word_shapes(token))
                self._rows[token] = row  # last, so that every visible row has its features
        return self._rows[token]

    def batch(self, rows: Sequence[Ints], tags: Mapping[str, Sequence[Ints]] | None = None) -> Batch:
        """Build a padded batch from sentences, given as row indices of this table.

        Args:
            rows: B arrays of row indices, as returned by ``rows``.
            tags: For each task B arrays of tag ids.
        """
        padded = _pad(rows)
        distinct, positions = np.unique(padded, return_inverse=True)
        if not len(distinct) or distinct[0] != PADDING:  # index 0 is padding even if no sentence needs it
            distinct = np.concatenate([[PADDING], distinct])
            positions = positions + 1
        characters = [self._characters[row] for row in distinct]
        return Batch(
            positions=positions.reshape(padded.shape),
            words=np.array([self._words[row] for row in distinct], dtype=np.int64),
            casing=np.array([self._casing[row] for row in distinct], dtype=np.int64),
            characters=_pad(characters),
            word_lengths=np.array([len(ids) for ids in characters], dtype=np.int64),
            affixes=_select(self._affixes, distinct),
            shapes=_select(self._shapes, distinct),
            lengths=np.array([len(row) for row in rows], dtype=np.int64),
            tags={task: _pad(values) for task, values in (tags or {}).items()},
        )


def _select(features: Sequence[Sequence[int]], rows: Ints) -> Ints:
    """Return the features (R, N) of these rows of a table; padding if the table has only that."""
    if len(features) == 1:
        return np.full((len(rows), len(features[0])), PADDING, np.int64)
    return np.array([features[row] for row in rows], dtype=np.int64)


def group_by_length(lengths: Sequence[int], batch_size: int, batch_tokens: int) -> Iterator[list[int]]:
    """Group sentences of similar length into batches.

    Args:
        lengths: Number of tokens of each sentence.
        batch_size: Maximum number of sentences in a batch.
        batch_tokens: Maximum number of tokens in a batch, including padding; a longer sentence is a batch of
            its own.

    Yields:
        The indices of a batch's sentences in ``lengths``, shortest first; each index occurs exactly once.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) == batch_size or (len(batch) + 1) * lengths[index] > batch_tokens):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def shuffled_batches(
    lengths: Sequence[int], batch_size: int, batch_tokens: int, generator: np.random.Generator
) -> list[list[int]]:
    """Return the batches of one training epoch: sentences of similar length, in random order.

    The function shuffles the sentences, splits them into pools of 50 batches (fewer if 50 batches exceed a
    quarter of all sentences) and sorts by length only within a pool. This keeps padding low, while epochs
    rarely share a batch.
    """
    order = generator.permutation(len(lengths))
    pool_size = batch_size * min(50, max(1, len(lengths) // (4 * batch_size)))
    batches = []
    for begin in range(0, len(order), pool_size):
        pool = order[begin : begin + pool_size]
        groups = group_by_length([lengths[index] for index in pool], batch_size, batch_tokens)
        batches.extend([[int(pool[index]) for index in group] for group in groups])
    return [batches[index] for index in generator.permutation(len(batches))]


def _pad(sequences: Sequence[Sequence[int] | Ints]) -> Ints:
    lengths = np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences))
    padded = np.zeros((len(sequences), lengths.max(initial=0)), dtype=np.int64)
    is_inside = np.arange(padded.shape[1]) < lengths[:, None]
    padded[is_inside] = np.fromiter(chain.from_iterable(sequences), dtype=np.int64, count=lengths.sum())
    return padded
