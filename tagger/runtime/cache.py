"""A bounded cache of the network's computations that depend on a single word."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from tagger.features.batching import WordTable
from tagger.features.vocab import Vocabulary
from tagger.features.word_forms import LONGEST_WORD
from tagger.runtime.word_inputs import WordInputs

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Key = str | tuple[int, int, str]
BLOCK_WORDS = 512  # maximum new words computed together
BLOCK_CHARACTERS = 16_384  # their maximum characters, padding included; bounds the character network's arrays
LONGEST_KEY = 64  # characters; the key of a longer word is a hash
# Per word: its string (at most 80 + 4 * LONGEST_KEY bytes) or hash, its entry in the dict (also while the
# dict is resized), its row index, and its use and reader counts.
KEY_BYTES = 512
MIN_WORDS = 1024  # minimum of ``WordCache.max_words``, for small caches
_EVICTED_SHARE = 16  # evict at least 1 / 16 of the rows at a time


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """Size and hit counts of a ``WordCache``.

    Attributes:
        words: Number of cached words.
        capacity: Maximum number of cached words.
        hits: Number of tokens whose word was in the cache.
        misses: Number of words that had to be computed.
    """

    words: int
    capacity: int
    hits: int
    misses: int

    @property
    def hit_rate(self) -> float:
        """Hits divided by hits and misses; 0 before the first lookup."""
        return self.hits / max(1, self.hits + self.misses)


class CachedWords:
    """The result of ``WordCache.look_up``; the cache keeps its rows until this is released or deleted.

    Attributes:
        projected: (U, ``WordInputs.projected_size``) projected inputs of words.
        features: (U, F) context features of words, see ``WordInputs.features``.
        tokens: (N,) the row of each token in both.
    """

    __slots__ = ("_held", "_released", "features", "projected", "tokens")

    def __init__(
        self, projected: Floats, features: Floats, tokens: Ints, held: Ints | None, released: deque[Ints]
    ) -> None:
        self.projected = projected
        self.features = features
        self.tokens = tokens
        self._held = held
        self._released = released

    def release(self) -> None:
        """Allow the cache to overwrite the rows; further calls do nothing."""
        held, self._held = self._held, None
        if held is not None:
            self._released.append(held)  # takes no lock: the garbage collector may call this

    __del__ = release


class WordCache:
    """Cache of the words' first-layer input projections; thread-safe.

    All rows are in one table. When it is full, the least used rows are evicted.

    Args:
        inputs: Computes the rows.
        vocabulary: Maps words and characters to ids.
        max_bytes: Maximum size of the table, including the words' strings and bookkeeping. It is allocated
            at once, but the operating system provides memory only for rows in use. A call that needs more
            rows than can be freed gets a temporary table.
    """

    def __init__(self, inputs: WordInputs, vocabulary: Vocabulary, max_bytes: int) -> None:
        self._inputs = inputs
        self._vocabulary = vocabulary
        self._capacity = max(1, max_bytes // row_bytes(inputs))
        self._projected = np.empty((self._capacity, inputs.projected_size), np.float32)
        self._features = np.empty((self._capacity, inputs.feature_size), np.float32)
        self._rows: dict[Key, int] = {}
        self._keys: list[Key] = [""] * self._capacity
        self._uses = np.zeros(self._capacity, np.float32)
        self._readers = np.full(self._capacity, -1, np.int32)  # -1 for a free row
        self._free = list(range(self._capacity - 1, -1, -1))
        self._released: deque[Ints] = deque()
        self._lock = Lock()
        self._hits = self._misses = 0

    @property
    def statistics(self) -> CacheStatistics:
        """The cache's size and its hit counts so far."""
        return CacheStatistics(len(self._rows), self._capacity, self._hits, self._misses)

    @property
    def max_words(self) -> int:
        """Recommended maximum of distinct words per call, so that several calls can share the table."""
        return max(MIN_WORDS, self._capacity // 4)

    def look_up(self, tokens: Sequence[str]) -> CachedWords:
        """Return the rows of tokens; words that are not in the cache are computed.

        Raises:
            InputError: As for ``WordInputs.vectors``.
        """
        with self._lock:
            while self._released:
                self._readers[self._released.popleft()] -= 1
            rows = np.fromiter(map(self._rows.get, tokens, repeat(-1)), np.int64, len(tokens))
            for index in np.flatnonzero(rows < 0).tolist():
                if len(tokens[index]) > LONGEST_KEY:
                    rows[index] = self._rows.get(_key(tokens[index]), -1)
            absent = np.flatnonzero(rows < 0).tolist()
            missing = list(dict.fromkeys([tokens[index] for index in absent]))
            if len(missing) > len(self._free) and not self._evict(len(missing), rows[rows >= 0]):
                return self._compute_temporary(tokens, rows, missing)
            if missing:
                added = dict(zip(missing, self._add(missing), strict=True))
                rows[absent] = [added[tokens[index]] for index in absent]
            uses = np.bincount(rows, minlength=self._capacity)
            held = np.flatnonzero(uses)
            self._uses += uses
            self._readers[held] += 1
            self._hits += len(tokens) - len(missing)
            self._misses += len(missing)
            return CachedWords(self._projected, self._features, rows, held, self._released)

    def _evict(self, count: int, protected: Ints) -> bool:
        """Free the least used rows until ``count`` are free; return False if there are too few.

        Rows in use and ``protected`` rows are never freed. Use counts decay: each eviction of half the table
        halves them, so that words of earlier texts are evicted eventually.
        """
        is_evictable = self._readers == 0
        is_evictable[protected] = False
        candidates = np.flatnonzero(is_evictable)
        missing = count - len(self._free)
        if missing > len(candidates):
            return False
        number = min(len(candidates), max(missing, self._capacity // _EVICTED_SHARE))
        evicted = candidates[np.argpartition(self._uses[candidates], number - 1)[:number]]
        for row in evicted.tolist():
            del self._rows[self._keys[row]]
            self._free.append(row)
        self._readers[evicted] = -1
        self._uses[evicted] = 0
        self._uses *= np.float32(0.5 ** (2 * number / self._capacity))
        return True

    def _add(self, words: Sequence[str]) -> list[int]:
        """Compute words into free rows and return the rows; on an error, add none."""
        rows = self._free[-len(words) :]
        self._compute(words, self._projected, self._features, rows)
        del self._free[-len(words) :]
        self._readers[rows] = 0
        for word, row in zip(words, rows, strict=True):
            key = _key(word)
            self._rows[key], self._keys[row] = row, key
        return rows

    def _compute_temporary(self, tokens: Sequence[str], rows: Ints, missing: Sequence[str]) -> CachedWords:
        """Build a temporary table of the tokens' words; ``rows`` (N,) are the cached rows, -1 if missing."""
        cached = np.unique(rows[rows >= 0])
        count = len(cached) + len(missing)
        projected = np.empty((count, self._projected.shape[1]), np.float32)
        features = np.empty((count, self._features.shape[1]), np.float32)
        projected[: len(cached)], features[: len(cached)] = self._projected[cached], self._features[cached]
        added = dict(zip(missing, range(len(cached), count), strict=True))
        self._compute(missing, projected, features, list(added.values()))
        temporary_rows = np.searchsorted(cached, rows)
        absent = np.flatnonzero(rows < 0).tolist()
        temporary_rows[absent] = [added[tokens[index]] for index in absent]
        self._hits += len(tokens) - len(missing)
        self._misses += len(missing)
        return CachedWords(projected, features, temporary_rows, None, self._released)

    def _compute(
        self, words: Sequence[str], projected: Floats, features: Floats, rows: Sequence[int]
    ) -> None:
        """Compute words into the given rows of both tables, one row per word."""
        for indices in _blocks(words):
            block = [words[index] for index in indices]
            table = WordTable(self._vocabulary)
            batch = table.batch([table.rows(block)])
            source, target = batch.positions[0], [rows[index] for index in indices]
            projected[target] = self._inputs.project(self._inputs.vectors(batch)[source])
            features[target] = self._inputs.features(batch)[source]


def _key(word: str) -> Key:
    return word if len(word) <= LONGEST_KEY else (len(word), hash(word), word[:16])


def row_bytes(inputs: WordInputs) -> int:
    """Return the maximum bytes per cached word, including its string and bookkeeping."""
    return 4 * (inputs.projected_size + inputs.feature_size) + KEY_BYTES


def _blocks(words: Sequence[str]) -> Iterator[list[int]]:
    """Yield the indices of words in blocks of similar length, shortest first."""
    order = sorted(range(len(words)), key=lambda index: len(words[index]))
    begin = 0
    while begin < len(order):
        end = min(begin + BLOCK_WORDS, len(order))
        longest = max(1, min(LONGEST_WORD, len(words[order[end - 1]])))
        end = min(end, begin + max(1, BLOCK_CHARACTERS // longest))
        yield order[begin:end]
        begin = end
