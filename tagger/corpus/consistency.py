"""Find texts with inconsistent labels: spans with several labels, or tagged in some sentences only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tagger.corpus.tags import line_of
from tagger.text.sentence import Sentence

MAX_LOCATIONS = 3  # maximum number of listed locations per label
UNTAGGED = "O"


@dataclass(frozen=True, slots=True)
class Inconsistent:
    """A text with several labels, or with a label in some sentences only.

    Attributes:
        text: Its tokens, joined by spaces.
        counts: The frequency of each label; O counts occurrences outside all spans.
        locations: The first few locations of each label, as ``file:line``.
    """

    text: str
    counts: Mapping[str, int]
    locations: Mapping[str, Sequence[str]]


class SpanIndex:
    """Index the texts of a task's spans by label and location."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, ...], Counter[str]] = {}
        self._locations: dict[tuple[tuple[str, ...], str], list[str]] = {}
        self._lengths: dict[str, list[int]] = {}  # text lengths by first token, in descending order

    def add(self, tokens: tuple[str, ...], label: str, location: str) -> None:
        """Count an occurrence of a text with this label."""
        lengths = self._lengths.setdefault(tokens[0], [])
        if len(tokens) not in lengths:
            lengths.append(len(tokens))
            lengths.sort(reverse=True)
        self._counts.setdefault(tokens, Counter())[label] += 1
        locations = self._locations.setdefault((tokens, label), [])
        if len(locations) < MAX_LOCATIONS:
            locations.append(location)

    def add_untagged(self, sentence: Sentence, task: str) -> None:
        """Count the known texts outside all spans. Of overlapping texts, the first and longest counts."""
        tags = sentence.tags.get(task, ())
        start = 0
        while start < len(tags):
            length = 1
            if tags[start] == UNTAGGED and sentence.tokens[start] in self._lengths:
                for known_length in self._lengths[sentence.tokens[start]]:
                    text = sentence.tokens[start : start + known_length]
                    if text in self._counts and set(tags[start : start + known_length]) == {UNTAGGED}:
                        self.add(text, UNTAGGED, line_of(sentence, start))
                        length = known_length
                        break
            start += length

    def inconsistent(self) -> list[Inconsistent]:
        """Return the texts with several labels; those with most occurrences of minority labels come first."""
        result = [
            Inconsistent(
                " ".join(tokens),
                dict(counts.most_common()),
                {label: self._locations[tokens, label] for label, _ in counts.most_common()},
            )
            for tokens, counts in self._counts.items()
            if len(counts) > 1
        ]
        return sorted(result, key=lambda text: max(text.counts.values()) - sum(text.counts.values()))
