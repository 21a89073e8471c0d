"""Detect the tag scheme of a column of tags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from tagger.text.scheme_rules import is_legal, is_span_tag
from tagger.text.sentence import UNKNOWN_TAG, is_question_mark

_FOREIGN = "-"  # replaces every tag that no scheme has
_MAX_TAGS = 10_000  # distinct tags to count in one column
# In a tie, the earlier scheme wins. IO is not listed: its sequences are legal in IOB1 and encode the same
# spans.
_DETECTED = ("IOB2", "BIOES", "BILOU", "BMES", "IOB1", "IOE2", "IOE1")


def detect_scheme(sequences: Iterable[Sequence[str]]) -> str | None:
    """Return the scheme under which the fewest tags are illegal, reading the sequences once.

    In a tie, the earlier of IOB2, BIOES, BILOU, BMES, IOB1, IOE2, IOE1 wins. Tags with I and O only are IOB1,
    which reads them like IO and can also encode adjacent spans. O alone is IOB2.

    Returns:
        The scheme's name; None if most tags other than O are not span tags, for example parts of speech.
        Unknown tags (``?``) do not count.
    """
    evidence = SchemeEvidence()
    for tags in sequences:
        evidence.add(tags)
    return evidence.scheme


class SchemeEvidence:
    """Tag counts for ``detect_scheme``, collected one sequence at a time.

    Attributes:
        tags: Frequency of each tag. Counting stops in columns with very many values, such as lemmas.
        marks: Number of tokens ``?`` with the tag ``?``, which is an ordinary tag in a task without spans.
    """

    def __init__(self) -> None:
        self.tags: Counter[str] = Counter()
        self.marks = 0
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._foreign = 0  # tags that no scheme has

    def add(self, tags: Sequence[str], tokens: Sequence[str] = ()) -> None:
        """Count the tags of one sentence, each with its neighbours; ``tokens`` only for ``marks``."""
        if len(self.tags) < _MAX_TAGS:
            self.tags.update(tags)
            if UNKNOWN_TAG in tokens:
                self.marks += sum(map(is_question_mark, tokens, tags))
        marks = [tag if tag == UNKNOWN_TAG or is_span_tag(tag) else _FOREIGN for tag in tags]
        self._counts.update(zip(("O", *marks), marks, (*marks[1:], "O"), strict=False))
        self._foreign += marks.count(_FOREIGN)

    def split_unknown(self, scheme: str | None) -> tuple[Counter[str], int]:
        """Return the frequency of each known tag, and the number of unknown tags.

        Args:
            scheme: The scheme of the tags; None for tags that do not encode spans.
        """
        n_unknown = self.tags[UNKNOWN_TAG] - (0 if scheme else self.marks)
        return self.tags - Counter({UNKNOWN_TAG: n_unknown}), n_unknown

    @property
    def scheme(self) -> str | None:
        """Scheme of all sequences so far, as ``detect_scheme`` returns it."""
        inside = [
            (context, count)
            for context, count in self._counts.items()
            if context[1] not in ("O", UNKNOWN_TAG)
        ]
        if 2 * self._foreign > sum(count for _, count in inside):
            return None
        illegal = {
            name: sum(count for context, count in inside if not is_legal(*context, name))
            for name in _DETECTED
        }
        return min(_DETECTED, key=illegal.__getitem__)
