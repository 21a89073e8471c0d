"""Texts that are spans in some places and labelled otherwise, or not at all, in others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tagger.corpus.tags import line_of
from tagger.text.sentence import Sentence

PLACES_SHOWN = 3  # of each finding
UNTAGGED = "O"


@dataclass(frozen=True, slots=True)
class Inconsistent:
    """A text that is labelled in several ways, or in some places only.

    Attributes:
        text: Its tokens, joined by spaces.
        counts: How often it has each label; O for not being part of any span.
        places: For each label the first few places.
    """

    text: str
    counts: Mapping[str, int]
    places: Mapping[str, Sequence[str]]


class SpanIndex:
    """The texts of a task's spans, with how they are labelled and where."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, ...], Counter[str]] = {}
        self._places: dict[tuple[tuple[str, ...], str], list[str]] = {}
        self._lengths: dict[str, list[int]] = {}  # of the texts that begin with a token, the longest first

    def add(self, tokens: tuple[str, ...], label: str, place: str) -> None:
        """Count a text that stands at this place with this label."""
        lengths = self._lengths.setdefault(tokens[0], [])
        if len(tokens) not in lengths:
            lengths.append(len(tokens))
            lengths.sort(reverse=True)
        self._counts.setdefault(tokens, Counter())[label] += 1
        places = self._places.setdefault((tokens, label), [])
        if len(places) < PLACES_SHOWN:
            places.append(place)

    def add_untagged(self, sentence: Sentence, task: str) -> None:
        """Count the known texts outside of all spans; of those that overlap the first and longest."""
        tags = sentence.tags.get(task, ())
        start = 0
        while start < len(tags):
            length = 1
            if tags[start] == UNTAGGED and sentence.tokens[start] in self._lengths:
                for one in self._lengths[sentence.tokens[start]]:
                    text = sentence.tokens[start : start + one]
                    if text in self._counts and set(tags[start : start + one]) == {UNTAGGED}:
                        self.add(text, UNTAGGED, line_of(sentence, start))
                        length = one
                        break
            start += length

    def inconsistent(self) -> list[Inconsistent]:
        """The texts with several labels, first those that most often have another than their usual one."""
        found = [
            Inconsistent(
                " ".join(tokens),
                dict(counts.most_common()),
                {label: self._places[tokens, label] for label, _ in counts.most_common()},
            )
            for tokens, counts in self._counts.items()
            if len(counts) > 1
        ]
        return sorted(found, key=lambda one: max(one.counts.values()) - sum(one.counts.values()))
