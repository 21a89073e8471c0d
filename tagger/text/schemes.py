"""Tag schemes: encode labelled spans as one tag per token, and read illegal tag sequences.

A span tag is ``O`` or a prefix with a label, ``B-PER``; a label may contain hyphens. A bare prefix, as in
word segmentation (``B``, ``I``, ``E``, ``S``), has the label ``_`` (seqeval's convention) and is written
without a label. Internally all prefixes are four letters: B begins a span, I continues it, E ends it, S is a
span of one token. BILOU writes L for E and U for S, BMES writes M for I.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from tagger.errors import InputError
from tagger.text.sentence import Span

Mode = Literal["strict", "repair"]

BARE_LABEL = "_"
_OTHER_SPELLINGS = {"L": "E", "U": "S", "M": "I"}


@dataclass(frozen=True, slots=True)
class _Scheme:
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
        return dict(self.spelling).get(letter, letter)

    @property
    def prefixes(self) -> set[str]:
        letters = {self.only, self.first, self.inside, self.last, *self.needs_left, *self.needs_right}
        return {self.spell(letter) for letter in letters}


_RULES = {
    # Ramshaw and Marcus (1995): B only if a span is adjacent to the previous one and has its label.
    "IOB1": _Scheme("I", "I", "I", "I", needs_left="B", needs_right=""),
    # Tjong Kim Sang and Veenstra (1999): every span begins with B.
    "IOB2": _Scheme("B", "B", "I", "I", needs_left="I", needs_right=""),
    "BIOES": _Scheme("S", "B", "I", "E", needs_left="IE", needs_right="BI"),
    # Ratinov and Roth (2009).
    "BILOU": _Scheme(
        "S", "B", "I", "E", needs_left="IE", needs_right="BI", spelling=(("E", "L"), ("S", "U"))
    ),
    "BMES": _Scheme("S", "B", "I", "E", needs_left="IE", needs_right="BI", spelling=(("I", "M"),)),
    # Tjong Kim Sang and Veenstra (1999): E only if the next span is adjacent and has the same label.
    "IOE1": _Scheme("I", "I", "I", "I", needs_left="", needs_right="E"),
    # Same source: every span ends with E.
    "IOE2": _Scheme("E", "I", "I", "E", needs_left="", needs_right="I"),
    # Adjacent spans of one label merge.
    "IO": _Scheme("I", "I", "I", "I", needs_left="", needs_right=""),
}
SCHEMES = tuple(_RULES)
"""Canonical names of all schemes, as ``normalise_scheme`` returns them."""

# The set of letters identifies a scheme, in any order: BIOES = IOBES = BIESO.
_BY_LETTERS = {
    frozenset("BI"): "IOB2",
    frozenset("BIES"): "BIOES",
    frozenset("BILU"): "BILOU",
    frozenset("BMES"): "BMES",
    frozenset("IE"): "IOE2",
    frozenset("I"): "IO",
}


def normalise_scheme(name: str) -> str:
    """Return the canonical name of a scheme; case, hyphens and the order of letters do not matter.

    ``BIO`` and ``IOB`` without a number mean IOB2; ``IOBES`` means BIOES.

    Raises:
        InputError: The scheme is unknown; the message suggests the closest name.
    """
    plain = name.upper().replace("-", "").replace("_", "")
    if plain in _RULES:
        return plain
    if plain in ("BIO1", "BIO2"):
        return f"IOB{plain[-1]}"
    by_letters = _BY_LETTERS.get(frozenset(plain) - {"O"})
    if by_letters:
        return by_letters
    closest = difflib.get_close_matches(plain, SCHEMES, n=1, cutoff=0.0)[0]
    raise InputError(
        f"There is no tag scheme {name!r} (did you mean {closest}?). Use one of {', '.join(SCHEMES)}.",
        code="option.unknown",
    )


def split_tag(tag: str) -> tuple[str, str]:
    """Return prefix and label: ``B-product-car`` gives ``("B", "product-car")``, ``O`` gives ``("O", "")``.

    A bare prefix gets the label ``_``.
    """
    prefix, _, label = tag.partition("-")
    return prefix, label or ("" if tag == "O" else BARE_LABEL)


def is_span_tag(tag: str) -> bool:
    """True if the tag is ``O`` or has a prefix of some scheme (``NN`` has none)."""
    return tag == "O" or _read(tag)[0] != "O"


def belongs_to(tag: str, scheme: str) -> bool:
    """True if the scheme has this tag at any position: IOB2 has no ``E-PER``.

    Raises:
        InputError: The scheme is unknown.
    """
    return _belongs(tag, normalise_scheme(scheme))


def violations(tags: Sequence[str], scheme: str) -> list[int]:
    """Return the indices of the tags that the scheme does not allow between their neighbours.

    These are the tags that ``repair`` reads by its own rule: a prefix of another scheme, a continuation
    without a beginning (IOB2's ``O I-PER``), a beginning without a continuation (BIOES's ``B-PER O``; the
    illegal tag is ``B-PER``), IOB1's B without an adjacent span of the same label, and tags that are not span
    tags.

    Raises:
        InputError: The scheme is unknown.
    """
    name = normalise_scheme(scheme)
    padded = ["O", *tags, "O"]
    return [
        index for index, tag in enumerate(tags) if not is_legal(padded[index], tag, padded[index + 2], name)
    ]


def describe_violation(
    tags: Sequence[str], index: int, scheme: str, tokens: Sequence[str] | None = None
) -> str:
    """Describe the illegal tag at one of the indices that ``violations`` returns."""
    token = f"token {index}" + (f" ({tokens[index]!r})" if tokens else "")
    before = f"after {tags[index - 1]!r}" if index else "at the sentence's beginning"
    after = f"before {tags[index + 1]!r}" if index + 1 < len(tags) else "at its end"
    return f"{token} has the tag {tags[index]!r}, which {scheme} does not allow {before} and {after}"


def tags_to_spans(
    tags: Sequence[str],
    scheme: str,
    *,
    mode: Mode = "repair",
    tokens: Sequence[str] | None = None,
    where: str = "",
) -> list[Span]:
    """Return the spans that T tags encode, in order.

    Both modes read legal sequences alike. ``repair`` reads illegal ones as the evaluation script of
    CoNLL-2000 does (Tjong Kim Sang and Buchholz 2000, ``conlleval``; seqeval extends it to E and S): a span
    begins at B and S, after O, after E and S, and where the label changes. Tags that are not span tags count
    as O.

    Args:
        tags: T tags.
        scheme: The scheme of the tags.
        mode: ``strict`` rejects illegal sequences, ``repair`` reads them.
        tokens: The T tokens, for the error message.
        where: Location of the sentence for the error message, preferably ``file:line``.

    Raises:
        InputError: The sequence is illegal in strict mode (the message names the first illegal tag, see
            ``violations``), or the scheme is unknown.
    """
    if mode == "strict":
        _check_legal(tags, normalise_scheme(scheme), tokens, where)
    spans: list[Span] = []
    before, label_before, start = "O", "", 0
    for index, tag in enumerate(tags):
        letter, label = _read(tag)
        is_continued = _continues(before, label_before, letter, label)
        if before != "O" and not is_continued:
            spans.append(Span(start, index, label_before))
        if not is_continued:
            start = index
        before, label_before = letter, label
    if before != "O":
        spans.append(Span(start, len(tags), label_before))
    return spans


def continues_span(before: str, tag: str) -> bool:
    """True if ``tag`` continues the span of the tag before it, as ``tags_to_spans`` reads them."""
    return _continues(*_read(before), *_read(tag))


def spans_to_tags(spans: Iterable[Span], length: int, scheme: str) -> list[str]:
    """Encode spans as ``length`` tags; only IO merges adjacent spans of one label.

    Raises:
        InputError: Spans overlap, are empty or exceed the sentence, or the scheme is unknown.
    """
    rules = _RULES[normalise_scheme(scheme)]
    tags = ["O"] * length
    end_before, label_before = 0, ""
    for span in sorted(spans, key=lambda span: span.start):
        if not 0 <= span.start < span.end <= length:
            raise InputError(
                f"Span {_name(span)} must lie inside the sentence (got {length} tokens). Correct its "
                "indices.",
                code="argument.value",
            )
        if span.start < end_before:
            raise InputError(
                f"Span {_name(span)} overlaps another span. Pass spans that do not overlap.",
                code="argument.value",
            )
        letters = [rules.first, *[rules.inside] * (span.end - span.start - 2), rules.last]
        if span.end - span.start == 1:
            letters = [rules.only]
        suffix = "" if span.label in ("", BARE_LABEL) else f"-{span.label}"
        if span.start == end_before and span.label == label_before:  # adjacent spans
            if "B" in rules.needs_left:
                letters[0] = "B"
            if "E" in rules.needs_right:
                tags[end_before - 1] = "E" + suffix
        tags[span.start : span.end] = [rules.spell(letter) + suffix for letter in letters]
        end_before, label_before = span.end, span.label
    return tags


def convert_tags(tags: Sequence[str], source: str, target: str, *, mode: Mode = "repair") -> list[str]:
    """Convert T tags from one scheme to another, reading illegal tags as ``tags_to_spans`` does.

    Raises:
        InputError: The sequence is illegal in strict mode, or the scheme is unknown.
    """
    return spans_to_tags(tags_to_spans(tags, source, mode=mode), len(tags), target)


@lru_cache(maxsize=1 << 12)
def convert_next_tag(before: str, tag: str, source: str, target: str) -> str:
    """Convert one tag of an incomplete sequence, given only the tag before it.

    On a legal sequence the result equals that of ``convert_tags``.

    Args:
        before: The previous tag in the ``source`` scheme; O at the start of a sentence.
        tag: The tag to convert.
        source: Scheme of both tags.
        target: Scheme to convert to.

    Raises:
        InputError: ``target`` marks the end of spans and ``source`` does not, so the conversion would need
            the next tag; or the scheme is unknown.
    """
    rules, target_rules = _RULES[normalise_scheme(source)], _RULES[normalise_scheme(target)]
    # IOE1 marks an end only if the next span is adjacent; no tag of another scheme encodes this.
    has_ends = rules.last == "E" if target_rules.last == "E" else rules is target_rules
    if target_rules.needs_right and not has_ends:
        raise InputError(
            f"Tags in {source} cannot become {target} one by one: {source} does not mark the end of spans. "
            "Convert to IOB2 instead.",
            code="argument.value",
        )
    letter, label = _read(tag)
    # A scheme with ends implies the next tag; schemes without ends do not read it.
    after = f"{rules.spell('I')}-{label}" if letter in rules.needs_right else "O"
    return convert_tags([before, tag, after], source, target)[1]


def allowed_transitions(
    tags: Sequence[str], scheme: str | None
) -> tuple[list[list[bool]], list[bool], list[bool]]:
    """Return the legal transitions, start tags and end tags of C tags, consistent with ``violations``.

    Args:
        tags: The C tags of the tag set.
        scheme: Their scheme; None allows everything.

    Returns:
        (C, C) True if tag j may follow tag i; (C,) True if a sentence may begin with the tag; (C,) True if it
        may end with the tag. A tag that the scheme does not have is never allowed.

    Raises:
        InputError: The scheme is unknown.
    """
    if scheme is None:
        return [[True] * len(tags) for _ in tags], [True] * len(tags), [True] * len(tags)
    name = normalise_scheme(scheme)
    after = [[_may_follow(before, tag, name) for tag in tags] for before in tags]
    return after, [_may_follow("O", tag, name) for tag in tags], [_may_follow(tag, "O", name) for tag in tags]


@lru_cache(maxsize=1 << 12)
def _read(tag: str) -> tuple[str, str]:
    """Return letter and label; the letter is O unless the tag is a span tag."""
    prefix, label = split_tag(tag)
    letter = _OTHER_SPELLINGS.get(prefix, prefix)
    return (letter, label) if letter in ("B", "I", "E", "S") else ("O", "")


def _continues(before: str, label_before: str, letter: str, label: str) -> bool:
    return before in "BI" and letter in "IE" and label == label_before


@lru_cache(maxsize=1 << 14)
def is_legal(before: str, tag: str, after: str, scheme: str) -> bool:
    """True if the tag is legal between its two neighbours; O pads the sentence on both sides."""
    return _belongs(tag, scheme) and _accepts_left(before, tag, scheme) and _accepts_right(tag, after, scheme)


def _may_follow(before: str, tag: str, scheme: str) -> bool:
    """True if both tags are legal next to each other."""
    return (
        _belongs(before, scheme)
        and _belongs(tag, scheme)
        and _accepts_left(before, tag, scheme)
        and _accepts_right(before, tag, scheme)
    )


def _belongs(tag: str, scheme: str) -> bool:
    return tag == "O" or (is_span_tag(tag) and split_tag(tag)[0] in _RULES[scheme].prefixes)


def _accepts_left(before: str, tag: str, scheme: str) -> bool:
    letter_before, label_before = _read(before)
    letter, label = _read(tag)
    return letter not in _RULES[scheme].needs_left or (letter_before in "BI" and label_before == label)


def _accepts_right(tag: str, after: str, scheme: str) -> bool:
    letter, label = _read(tag)
    letter_after, label_after = _read(after)
    return letter not in _RULES[scheme].needs_right or (letter_after in "IE" and label_after == label)


def _check_legal(tags: Sequence[str], scheme: str, tokens: Sequence[str] | None, where: str) -> None:
    """Raise InputError if a tag is illegal, naming the first one."""
    illegal = violations(tags, scheme)
    if illegal:
        problem = describe_violation(tags, illegal[0], scheme, tokens)
        raise InputError(
            f"{problem}. Correct it, or read the tags in repair mode.", code="corpus.scheme", where=where
        )


def _name(span: Span) -> str:
    return f"{span.label} [{span.start}, {span.end})"
