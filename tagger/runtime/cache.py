"""A bounded cache of what the network computes from a word alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from tagger.features.batching import WordTable
from tagger.features.vocab import LONGEST_WORD, Vocabulary
from tagger.runtime.engine import Engine

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Key = str | tuple[int, int, str]
BLOCK_WORDS = 512  # new words computed together
BLOCK_CHARACTERS = 16_384  # of these words, padding included; bounds the character network's arrays
LONGEST_KEY = 64  # characters; longer words are kept under a digest of them
# A kept word's string (at most 80 + 4 * LONGEST_KEY bytes) or digest, its entry in the dict while that is
# resized, its row number, and its entries in the arrays of uses and readers.
KEY_BYTES = 512
FEWEST_WORDS = 1024  # distinct words of a window, however small the cache is
_EVICTED_SHARE = 16  # at least 1 / 16 of the rows is evicted together


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """How well a ``WordCache`` does.

    Attributes:
        words: Distinct words that it holds.
        capacity: How many it may hold.
        hits: Tokens so far whose word was there.
        misses: Words so far that had to be computed.
    """

    words: int
    capacity: int
    hits: int
    misses: int

    @property
    def hit_rate(self) -> float:
        """Share of the tokens whose word was there; 0 before the first."""
        return self.hits / max(1, self.hits + self.misses)


class FoundWords:
    """The result of ``WordCache.look_up``; its rows are not overwritten before ``release`` or its deletion.

    Attributes:
        projected: (U, ``Engine.projected_size``) projected inputs of words.
        shown: (U, …) context features of words, see ``Engine.show``.
        tokens: (N,) the row of each token in both.
    """

    __slots__ = ("_held", "_released", "projected", "shown", "tokens")

    def __init__(
        self, projected: Floats, shown: Floats, tokens: Ints, held: Ints | None, released: deque[Ints]
    ) -> None:
        self.projected = projected
        self.shown = shown
        self.tokens = tokens
        self._held = held
        self._released = released

    def release(self) -> None:
        """Allow the cache to overwrite the rows; further calls do nothing."""
        held, self._held = self._held, None
        if held is not None:
            self._released.append(held)  # without the cache's lock: the garbage collector may call this

    __del__ = release


class WordCache:
    """First-layer input projections of words, computed once per word; threads may share it.

    All rows are in one table, whose rarely used rows are overwritten when it is full.

    Args:
        engine: Computes the rows.
        vocabulary: Gives the ids of words and characters.
        most_bytes: Bound on the table with the words' strings and bookkeeping. It is allocated at once, but
            the operating system provides memory only for rows in use. A call with more distinct words than
            there are free rows gets a table of its own, which is not kept.
    """

    def __init__(self, engine: Engine, vocabulary: Vocabulary, most_bytes: int) -> None:
        self._engine = engine
        self._vocabulary = vocabulary
        shown = engine.context.shown_size if engine.context else 0
        self._capacity = max(1, most_bytes // row_bytes(engine))
        self._projected = np.empty((self._capacity, engine.projected_size), np.float32)
        self._shown = np.empty((self._capacity, shown), np.float32)
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
        """How well it did so far."""
        return CacheStatistics(len(self._rows), self._capacity, self._hits, self._misses)

    @property
    def most_words(self) -> int:
        """Distinct words that one call should look up at most, so that several calls share the table."""
        return max(FEWEST_WORDS, self._capacity // 4)

    def look_up(self, tokens: Sequence[str]) -> FoundWords:
        """Return the rows of these tokens; words that are not kept are computed.

        Raises:
            InputError: As for ``Engine.word_vectors``.
        """
        with self._lock:
            while self._released:
                self._readers[self._released.popleft()] -= 1
            rows = np.fromiter(map(self._rows.get, tokens, repeat(-1)), np.int64, len(tokens))
            for place in np.flatnonzero(rows < 0).tolist():
                if len(tokens[place]) > LONGEST_KEY:
                    rows[place] = self._rows.get(_key(tokens[place]), -1)
            absent = np.flatnonzero(rows < 0).tolist()
            missing = list(dict.fromkeys([tokens[place] for place in absent]))
            if len(missing) > len(self._free) and not self._evict(len(missing), rows[rows >= 0]):
                return self._compute_apart(tokens, rows, missing)
            if missing:
                added = dict(zip(missing, self._add(missing), strict=True))
                rows[absent] = [added[tokens[place]] for place in absent]
            uses = np.bincount(rows, minlength=self._capacity)
            held = np.flatnonzero(uses)
            self._uses += uses
            self._readers[held] += 1
            self._hits += len(tokens) - len(missing)
            self._misses += len(missing)
            return FoundWords(self._projected, self._shown, rows, held, self._released)

    def _evict(self, count: int, wanted: Ints) -> bool:
        """Free the least used rows, but none of ``wanted``, until ``count`` are free; False if that fails.

        Uses are halved per half a table of evicted rows, so that words of earlier texts leave in time.
        """
        may_go = self._readers == 0
        may_go[wanted] = False
        candidates = np.flatnonzero(may_go)
        short = count - len(self._free)
        if short > len(candidates):
            return False
        number = min(len(candidates), max(short, self._capacity // _EVICTED_SHARE))
        chosen = candidates[np.argpartition(self._uses[candidates], number - 1)[:number]]
        for row in chosen.tolist():
            del self._rows[self._keys[row]]
            self._free.append(row)
        self._readers[chosen] = -1
        self._uses[chosen] = 0
        self._uses *= np.float32(0.5 ** (2 * number / self._capacity))
        return True

    def _add(self, words: Sequence[str]) -> list[int]:
        """Compute words into free rows, and return these; all of them or none if there is an error."""
        rows = self._free[-len(words) :]
        self._compute(words, self._projected, self._shown, rows)
        del self._free[-len(words) :]
        self._readers[rows] = 0
        for word, row in zip(words, rows, strict=True):
            key = _key(word)
            self._rows[key], self._keys[row] = row, key
        return rows

    def _compute_apart(self, tokens: Sequence[str], rows: Ints, missing: Sequence[str]) -> FoundWords:
        """Make a table of these tokens' words alone; ``rows`` (N,) are those of the kept ones, else -1."""
        kept = np.unique(rows[rows >= 0])
        count = len(kept) + len(missing)
        projected = np.empty((count, self._projected.shape[1]), np.float32)
        shown = np.empty((count, self._shown.shape[1]), np.float32)
        projected[: len(kept)], shown[: len(kept)] = self._projected[kept], self._shown[kept]
        added = dict(zip(missing, range(len(kept), count), strict=True))
        self._compute(missing, projected, shown, list(added.values()))
        found = np.searchsorted(kept, rows)
        absent = np.flatnonzero(rows < 0).tolist()
        found[absent] = [added[tokens[place]] for place in absent]
        self._hits += len(tokens) - len(missing)
        self._misses += len(missing)
        return FoundWords(projected, shown, found, None, self._released)

    def _compute(self, words: Sequence[str], projected: Floats, shown: Floats, rows: Sequence[int]) -> None:
        """Fill in these rows of both tables for as many words."""
        for places in _blocks(words):
            block = [words[place] for place in places]
            table = WordTable(self._vocabulary)
            batch = table.batch([table.rows(block)])
            own, into = batch.positions[0], [rows[place] for place in places]
            projected[into] = self._engine.project(self._engine.word_vectors(batch)[own])
            shown[into] = self._engine.show(batch)[own]


def _key(word: str) -> Key:
    return word if len(word) <= LONGEST_KEY else (len(word), hash(word), word[:16])


def row_bytes(engine: Engine) -> int:
    """Bytes that a kept word takes at most, string and bookkeeping included."""
    shown = engine.context.shown_size if engine.context else 0
    return 4 * (engine.projected_size + shown) + KEY_BYTES


def _blocks(words: Sequence[str]) -> Iterator[list[int]]:
    """Group the indices of words by length, the shortest first."""
    order = sorted(range(len(words)), key=lambda place: len(words[place]))
    begin = 0
    while begin < len(order):
        end = min(begin + BLOCK_WORDS, len(order))
        longest = max(1, min(LONGEST_WORD, len(words[order[end - 1]])))
        end = min(end, begin + max(1, BLOCK_CHARACTERS // longest))
        yield order[begin:end]
        begin = end
