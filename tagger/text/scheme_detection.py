"""Which tag scheme a column of tags is written in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from tagger.text.schemes import is_legal, is_span_tag

_FOREIGN = "?"  # stands for every tag that no scheme has
_MOST_TAGS = 10_000  # that are counted of one column
# In doubt the earlier one. IO is not among them: whatever is legal in IO is legal and means the same in IOB1.
_DETECTED = ("IOB2", "BIOES", "BILOU", "BMES", "IOB1", "IOE2", "IOE1")


def detect_scheme(sequences: Iterable[Sequence[str]]) -> str | None:
    """Return the scheme under which the fewest tags are illegal, reading the sequences once.

    Ties go to the earlier of IOB2, BIOES, BILOU, BMES, IOB1, IOE2, IOE1. Tags of I and O alone are IOB1,
    which reads them as IO does and has room for touching spans. Nothing but O is IOB2.

    Returns:
        The scheme's name; None if most tags other than O are no span tags, as parts of speech are not.
    """
    evidence = SchemeEvidence()
    for tags in sequences:
        evidence.add(tags)
    return evidence.scheme


class SchemeEvidence:
    """Counts that ``detect_scheme`` judges by, collected one sequence at a time.

    Attributes:
        tags: How often each tag occurs; columns with very many values, as lemmas, are not counted further.
    """

    def __init__(self) -> None:
        self.tags: Counter[str] = Counter()
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._foreign = 0  # tags that no scheme has

    def add(self, tags: Sequence[str]) -> None:
        """Count the tags of one sentence, each with its neighbours."""
        if len(self.tags) < _MOST_TAGS:
            self.tags.update(tags)
        marks = [tag if is_span_tag(tag) else _FOREIGN for tag in tags]
        self._counts.update(zip(("O", *marks), marks, (*marks[1:], "O"), strict=False))
        self._foreign += marks.count(_FOREIGN)

    @property
    def scheme(self) -> str | None:
        """The scheme of all sequences so far, as ``detect_scheme`` tells it."""
        marked = [(around, count) for around, count in self._counts.items() if around[1] != "O"]
        if 2 * self._foreign > sum(count for _, count in marked):
            return None
        illegal = {
            name: sum(count for around, count in marked if not is_legal(*around, name)) for name in _DETECTED
        }
        return min(_DETECTED, key=illegal.__getitem__)
