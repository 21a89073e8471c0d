"""Rules of all tag schemes, in the letters B, I, E and S, and the legality of tags (see ``text.schemes``)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from tagger.text.sentence import UNKNOWN_TAG

BARE_LABEL = "_"
_OTHER_SPELLINGS = {"L": "E", "U": "S", "M": "I"}


@dataclass(frozen=True, slots=True)
class SchemeRules:
    """Rules of one scheme, in the letters B, I, E, S.

    Attributes:
        only: Letter of a single-token span.
        first: Letter of the first token of a longer span.
        inside: Letter of the tokens between first and last.
        last: Letter of the last token of a longer span.
        needs_left: Letters that must follow B or I of the same label.
        needs_right: Letters that must precede I or E of the same label.
        spelling: Pairs of a letter and the scheme's own spelling of it.
    """

    only: str
    first: str
    inside: str
    last: str
    needs_left: str
    needs_right: str
    spelling: tuple[tuple[str, str], ...] = ()

    def spell(self, letter: str) -> str:
        """Return the scheme's spelling of a letter."""
        return dict(self.spelling).get(letter, letter)

    @property
    def prefixes(self) -> set[str]:
        """The prefixes of the scheme's tags."""
        letters = {self.only, self.first, self.inside, self.last, *self.needs_left, *self.needs_right}
        return {self.spell(letter) for letter in letters}


SCHEME_RULES: dict[str, SchemeRules] = {
    # Ramshaw and Marcus (1995): B only if a span is adjacent to the previous one and has its label.
    "IOB1": SchemeRules("I", "I", "I", "I", needs_left="B", needs_right=""),
    # Tjong Kim Sang and Veenstra (1999): every span begins with B.
    "IOB2": SchemeRules("B", "B", "I", "I", needs_left="I", needs_right=""),
    "BIOES": SchemeRules("S", "B", "I", "E", needs_left="IE", needs_right="BI"),
    # Ratinov and Roth (2009).
    "BILOU": SchemeRules(
        "S", "B", "I", "E", needs_left="IE", needs_right="BI", spelling=(("E", "L"), ("S", "U"))
    ),
    "BMES": SchemeRules("S", "B", "I", "E", needs_left="IE", needs_right="BI", spelling=(("I", "M"),)),
    # Tjong Kim Sang and Veenstra (1999): E only if the next span is adjacent and has the same label.
    "IOE1": SchemeRules("I", "I", "I", "I", needs_left="", needs_right="E"),
    # Same source: every span ends with E.
    "IOE2": SchemeRules("E", "I", "I", "E", needs_left="", needs_right="I"),
    # Adjacent spans of one label merge.
    "IO": SchemeRules("I", "I", "I", "I", needs_left="", needs_right=""),
}


def split_tag(tag: str) -> tuple[str, str]:
    """Return prefix and label: ``B-product-car`` gives ``("B", "product-car")``, ``O`` gives ``("O", "")``.

    A bare prefix gets the label ``_``. The unknown tag ``?`` has no label, like ``O``.
    """
    prefix, _, label = tag.partition("-")
    return prefix, label or ("" if tag in ("O", UNKNOWN_TAG) else BARE_LABEL)


def is_span_tag(tag: str) -> bool:
    """True if the tag is ``O`` or has a prefix of some scheme (``NN`` has none)."""
    return tag == "O" or read_tag(tag)[0] != "O"


@lru_cache(maxsize=1 << 12)
def read_tag(tag: str) -> tuple[str, str]:
    """Return letter and label; the letter is O unless the tag is a span tag."""
    prefix, label = split_tag(tag)
    letter = _OTHER_SPELLINGS.get(prefix, prefix)
    return (letter, label) if letter in ("B", "I", "E", "S") else ("O", "")


def continues(before: str, label_before: str, letter: str, label: str) -> bool:
    """True if a token with this letter and label continues the span of the token before it."""
    return before in "BI" and letter in "IE" and label == label_before


@lru_cache(maxsize=1 << 14)
def is_legal(before: str, tag: str, after: str, scheme: str) -> bool:
    """True if the tag is legal between its two neighbours; O pads the sentence on both sides."""
    return belongs(tag, scheme) and _accepts_left(before, tag, scheme) and _accepts_right(tag, after, scheme)


def may_follow(before: str, tag: str, scheme: str) -> bool:
    """True if both tags are legal next to each other."""
    return (
        belongs(before, scheme)
        and belongs(tag, scheme)
        and _accepts_left(before, tag, scheme)
        and _accepts_right(before, tag, scheme)
    )


def belongs(tag: str, scheme: str) -> bool:
    """True if the scheme has this tag at any position; every scheme has ``?``."""
    return tag in ("O", UNKNOWN_TAG) or (
        is_span_tag(tag) and split_tag(tag)[0] in SCHEME_RULES[scheme].prefixes
    )


def _accepts_left(before: str, tag: str, scheme: str) -> bool:
    letter_before, label_before = read_tag(before)
    letter, label = read_tag(tag)
    is_met = before == UNKNOWN_TAG or (letter_before in "BI" and label_before == label)
    return is_met or letter not in SCHEME_RULES[scheme].needs_left


def _accepts_right(tag: str, after: str, scheme: str) -> bool:
    letter, label = read_tag(tag)
    letter_after, label_after = read_tag(after)
    is_met = after == UNKNOWN_TAG or (letter_after in "IE" and label_after == label)
    return is_met or letter not in SCHEME_RULES[scheme].needs_right
