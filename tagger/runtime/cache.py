"""Words that were met lately, with what the network makes of each of them alone; bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tagger.features.batching import WordTable
from tagger.features.vocab import Vocabulary
from tagger.runtime.engine import Engine

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
_AT_ONCE = 1024  # new words that are computed together; their characters are padded to the longest


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


class FoundWords(NamedTuple):
    """What ``WordCache.look_up`` returns.

    Attributes:
        projected: (U, ``Engine.projected_size``) projected inputs of words.
        shown: (U, …) what they show of mentions, see ``Engine.show``.
        tokens: (N,) which row of both each token has.
    """

    projected: Floats
    shown: Floats
    tokens: Ints


class _Words:
    """Distinct words and what is kept of them; grows until it is full, and is never changed otherwise."""

    def __init__(self, capacity: int, width: int, shown: int) -> None:
        self.rows: dict[str, int] = {}
        self.projected = np.empty((capacity, width), np.float32)  # pages that are not touched cost nothing
        self.shown = np.empty((capacity, shown), np.float32)
        self.uses = np.zeros(capacity, np.int64)

    @property
    def room(self) -> int:
        return len(self.projected) - len(self.rows)

    def add(self, words: Sequence[str], projected: Floats, shown: Floats) -> None:
        begin = len(self.rows)
        self.projected[begin : begin + len(words)] = projected
        self.shown[begin : begin + len(words)] = shown
        self.rows.update(zip(words, range(begin, begin + len(words)), strict=True))

    def most_used(self, count: int, room: int) -> _Words:
        """A copy that keeps ``count`` words at most, the most used ones, and has room for ``room`` more.

        Uses count half from then on, so that a word that is not met any more is forgotten in time.
        """
        names = list(self.rows)
        kept = np.argsort(-self.uses[: len(names)], kind="stable")[:count]
        copy = _Words(len(kept) + room, self.projected.shape[1], self.shown.shape[1])
        copy.add([names[row] for row in kept], self.projected[kept], self.shown[kept])
        copy.uses[: len(kept)] = self.uses[kept] // 2
        return copy


class WordCache:
    """First-layer input projections of words, computed once a word; threads may share it.

    Args:
        engine: What computes them.
        vocabulary: Where the ids of words and characters come from.
        most_bytes: How much the projections may take. A call with more distinct words than that has room for
            gets them all the same.
    """

    def __init__(self, engine: Engine, vocabulary: Vocabulary, most_bytes: int) -> None:
        self._engine = engine
        self._vocabulary = vocabulary
        shown = engine.context.shown_size if engine.context else 0
        self._capacity = max(1, most_bytes // (4 * (engine.projected_size + shown)))
        self._words = _Words(self._capacity, engine.projected_size, shown)
        self._lock = Lock()
        self._hits = self._misses = 0

    @property
    def statistics(self) -> CacheStatistics:
        """How well it did so far."""
        return CacheStatistics(len(self._words.rows), self._capacity, self._hits, self._misses)

    def look_up(self, tokens: Sequence[str]) -> FoundWords:
        """Return what is kept of words, and which of them each token is.

        The rows of what was returned stay what they are, whatever is looked up later.
        """
        with self._lock:
            rows = self._rows(tokens)
            missing = list(dict.fromkeys(tokens[place] for place in np.flatnonzero(rows < 0).tolist()))
            if missing:
                if len(missing) > self._words.room:
                    distinct = len(set(tokens))
                    kept = max(0, min(self._capacity // 2, self._capacity - distinct))
                    self._words = self._words.most_used(kept, max(distinct, self._capacity - kept))
                    missing = [word for word in dict.fromkeys(tokens) if word not in self._words.rows]
                self._add(missing)
                rows = self._rows(tokens)
            words = self._words
            words.uses += np.bincount(rows, minlength=len(words.uses))
            self._hits += len(tokens) - len(missing)
            self._misses += len(missing)
            return FoundWords(words.projected, words.shown, rows)

    def _rows(self, tokens: Sequence[str]) -> Ints:
        """Row of each token, -1 where there is none."""
        return np.fromiter(map(self._words.rows.get, tokens, repeat(-1)), np.int64, len(tokens))

    def _add(self, words: Sequence[str]) -> None:
        ordered = sorted(words, key=len)
        for begin in range(0, len(ordered), _AT_ONCE):
            some = ordered[begin : begin + _AT_ONCE]
            table = WordTable(self._vocabulary)
            batch = table.batch([table.rows(some)])
            rows = batch.positions[0]
            vectors, shown = self._engine.word_vectors(batch)[rows], self._engine.show(batch)[rows]
            self._words.add(some, self._engine.project(vectors), shown)
