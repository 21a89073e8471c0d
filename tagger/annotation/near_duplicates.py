"""Find sentences that are nearly equal to others, so that nobody annotates the same sentence twice."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from hashlib import blake2b
from itertools import pairwise
from math import ceil

from tagger.features.word_forms import DIGIT

THRESHOLD = 0.8  # resemblance from which sentences are near-duplicates


class NearDuplicates:
    """A set of sentences that finds the near-duplicates of its members.

    The resemblance of two sentences is the number of shingles that both have, divided by the number of those
    that either has (Broder 1997, "On the resemblance and containment of documents").

    The search is exact. A set of n shingles can have a resemblance of at least t only with sets that contain
    one of its first n - ⌈t n⌉ + 1 shingles among their own first ones, in any fixed order (prefix filtering:
    Chaudhuri, Ganti and Kaushik 2006, "A primitive operator for similarity joins in data cleaning"), so the
    index holds these only. Memory grows with the members, not with the sentences that are looked up.

    Args:
        threshold: Resemblance of near-duplicates, above 0, at most 1.
    """

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self._threshold = threshold
        self._members: list[array[int]] = []
        self._by_shingle: dict[int, list[int]] = {}

    def add(self, shingles: array[int]) -> None:
        """Add a sentence by its shingles, see ``find_shingles``."""
        for shingle in self._prefix(shingles):
            self._by_shingle.setdefault(shingle, []).append(len(self._members))
        self._members.append(shingles)

    def has_similar(self, shingles: array[int]) -> bool:
        """Return True if a member is a near-duplicate of a sentence with these shingles."""
        candidates = {
            member for shingle in self._prefix(shingles) for member in self._by_shingle.get(shingle, ())
        }
        own = frozenset(shingles)
        for member in candidates:
            n_common = len(own.intersection(self._members[member]))
            if n_common / (len(own) + len(self._members[member]) - n_common) >= self._threshold:
                return True
        return False

    def _prefix(self, shingles: array[int]) -> array[int]:
        """Return the shingles of which a near-duplicate must have one."""
        # The margin covers rounding: 0.1 * 30 is above 3.
        return shingles[: len(shingles) - ceil(self._threshold * len(shingles) - 1e-9) + 1]


def find_shingles(tokens: Sequence[str]) -> array[int]:
    """Return the sorted hashes of a sentence's pairs of adjacent words, including its borders.

    Words are compared in lower case and with 0 for every digit.
    """
    words = ["", *(DIGIT.sub("0", token.lower()) for token in tokens), ""]
    hashes = (
        blake2b(f"{before}\0{word}".encode(errors="surrogatepass"), digest_size=8).digest()
        for before, word in pairwise(words)
    )
    return array("Q", sorted({int.from_bytes(one) for one in hashes}))
