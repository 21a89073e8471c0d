"""Tag schemes: how a tag per token marks labelled spans, and how broken tag sequences are read.

A span tag is ``O`` or a prefix with a label, ``B-PER``; a label may hold hyphens of its own. A bare prefix,
as word segmentation uses it (``B``, ``I``, ``E``, ``S``), has the label ``_`` (seqeval's convention) and is
written bare again. All prefixes are thought of as four letters: B begins a span, I continues it, E ends it, S
is a span of one token. BILOU writes L for E and U for S, BMES writes M for I.
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
        only: Letter of a span's token where the span has no other.
        first: Letter of a longer span's first token.
        inside: Letter of the tokens between first and last.
        last: Letter of a longer span's last token.
        needs_left: Letters that may only follow B or I of the same label.
        needs_right: Letters that only I or E of the same label may follow.
        spelling: How it writes letters that it spells differently.
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
    # Ramshaw and Marcus (1995): B only where a span touches the one before it and has the same label.
    "IOB1": _Scheme("I", "I", "I", "I", needs_left="B", needs_right=""),
    # Tjong Kim Sang and Veenstra (1999): every span begins with B.
    "IOB2": _Scheme("B", "B", "I", "I", needs_left="I", needs_right=""),
    "BIOES": _Scheme("S", "B", "I", "E", needs_left="IE", needs_right="BI"),
    # Ratinov and Roth (2009).
    "BILOU": _Scheme(
        "S", "B", "I", "E", needs_left="IE", needs_right="BI", spelling=(("E", "L"), ("S", "U"))
    ),
    "BMES": _Scheme("S", "B", "I", "E", needs_left="IE", needs_right="BI", spelling=(("I", "M"),)),
    # Tjong Kim Sang and Veenstra (1999): E only at the end of a span that touches the next one of its label.
    "IOE1": _Scheme("I", "I", "I", "I", needs_left="", needs_right="E"),
    # The same: every span ends with E.
    "IOE2": _Scheme("E", "I", "I", "E", needs_left="", needs_right="I"),
    # Touching spans of one label become one.
    "IO": _Scheme("I", "I", "I", "I", needs_left="", needs_right=""),
}
SCHEMES = tuple(_RULES)
"""Names of all schemes, as ``normalise_scheme`` returns them."""

# A scheme is known by its letters, in whatever order they are named: BIOES = IOBES = BIESO.
_BY_LETTERS = {
    frozenset("BI"): "IOB2",
    frozenset("BIES"): "BIOES",
    frozenset("BILU"): "BILOU",
    frozenset("BMES"): "BMES",
    frozenset("IE"): "IOE2",
    frozenset("I"): "IO",
}


def normalise_scheme(name: str) -> str:
    """Return the scheme's name as ``SCHEMES`` has it; case, hyphens and the order of letters do not matter.

    ``BIO`` and ``IOB`` without a number mean IOB2; ``IOBES`` means BIOES.

    Raises:
        InputError: If there is no such scheme; the nearest name is offered.
    """
    plain = name.upper().replace("-", "").replace("_", "")
    if plain in _RULES:
        return plain
    if plain in ("BIO1", "BIO2"):
        return f"IOB{plain[-1]}"
    found = _BY_LETTERS.get(frozenset(plain) - {"O"})
    if found:
        return found
    near = difflib.get_close_matches(plain, SCHEMES, n=1, cutoff=0.0)[0]
    raise InputError(f"There is no tag scheme {name!r}; did you mean {near} (of {', '.join(SCHEMES)})?")


def split_tag(tag: str) -> tuple[str, str]:
    """Return prefix and label: ``B-product-car`` gives ``("B", "product-car")``, ``O`` gives ``("O", "")``.

    A bare prefix gets the label ``_``.
    """
    prefix, _, label = tag.partition("-")
    return prefix, label or ("" if tag == "O" else BARE_LABEL)


def is_span_tag(tag: str) -> bool:
    """Whether the tag is ``O`` or has the prefix of some scheme (``NN`` has not)."""
    return tag == "O" or _read(tag)[0] != "O"


def belongs_to(tag: str, scheme: str) -> bool:
    """Whether the scheme has such a tag at all, wherever it stands: ``E-PER`` is none of IOB2's.

    Raises:
        InputError: If there is no such scheme.
    """
    return _belongs(tag, normalise_scheme(scheme))


def violations(tags: Sequence[str], scheme: str) -> list[int]:
    """Return the places of the tags that the scheme does not allow beside their neighbours.

    These are the tags that ``repair`` reads by its own rule: a prefix that the scheme does not have, a
    continuation of nothing (IOB2's ``O I-PER``), a beginning that nothing continues (BIOES's ``B-PER O``; it
    is ``B-PER`` that is illegal), IOB1's B away from a span of the same label, anything that is no span tag.

    Raises:
        InputError: If there is no such scheme.
    """
    name = normalise_scheme(scheme)
    padded = ["O", *tags, "O"]
    return [
        place for place, tag in enumerate(tags) if not is_legal(padded[place], tag, padded[place + 2], name)
    ]


def describe_violation(
    tags: Sequence[str], place: int, scheme: str, tokens: Sequence[str] | None = None
) -> str:
    """Say which tag is illegal where, for one of the places that ``violations`` returns."""
    token = f"token {place}" + (f" ({tokens[place]!r})" if tokens else "")
    before = f"after {tags[place - 1]!r}" if place else "at the sentence's beginning"
    after = f"before {tags[place + 1]!r}" if place + 1 < len(tags) else "at its end"
    return f"{token} has the tag {tags[place]!r}, which {scheme} does not allow {before} and {after}"


def tags_to_spans(
    tags: Sequence[str],
    scheme: str,
    *,
    mode: Mode = "repair",
    tokens: Sequence[str] | None = None,
    where: str = "",
) -> list[Span]:
    """Return the spans that T tags stand for, in order.

    Every legal sequence is read alike in both modes. ``repair`` reads all others as the evaluation script of
    CoNLL-2000 does (Tjong Kim Sang and Buchholz 2000, ``conlleval``; extended to E and S as seqeval does it):
    a span begins at B and S, after O, after E and S, and where the label changes. What is no span tag counts
    as O.

    Args:
        tags: T tags.
        scheme: The scheme that they are written in.
        mode: ``strict`` refuses illegal sequences, ``repair`` reads them.
        tokens: The T tokens, for the error message.
        where: The sentence, for the error message; best as ``file:line``.

    Raises:
        InputError: In strict mode, for the first tag that is illegal (see ``violations``); if there is no
            such scheme.
    """
    if mode == "strict":
        _refuse_violations(tags, normalise_scheme(scheme), tokens, where)
    spans: list[Span] = []
    before, label_before, start = "O", "", 0
    for place, tag in enumerate(tags):
        letter, label = _read(tag)
        goes_on = _goes_on(before, label_before, letter, label)
        if before != "O" and not goes_on:
            spans.append(Span(start, place, label_before))
        if not goes_on:
            start = place
        before, label_before = letter, label
    if before != "O":
        spans.append(Span(start, len(tags), label_before))
    return spans


def continues_span(before: str, tag: str) -> bool:
    """Whether ``tag`` belongs to the span of the tag before it, as ``tags_to_spans`` reads them."""
    return _goes_on(*_read(before), *_read(tag))


def spans_to_tags(spans: Iterable[Span], length: int, scheme: str) -> list[str]:
    """Write spans as ``length`` tags; touching spans of one label run together in IO, and only there.

    Raises:
        InputError: If spans overlap, are empty or leave the sentence; if there is no such scheme.
    """
    rules = _RULES[normalise_scheme(scheme)]
    tags = ["O"] * length
    end_before, label_before = 0, ""
    for span in sorted(spans, key=lambda span: span.start):
        if not 0 <= span.start < span.end <= length:
            raise InputError(f"The span {_name(span)} does not lie inside a sentence of {length} tokens.")
        if span.start < end_before:
            raise InputError(f"The span {_name(span)} overlaps another; tags can hold one span a token.")
        letters = [rules.first, *[rules.inside] * (span.end - span.start - 2), rules.last]
        if span.end - span.start == 1:
            letters = [rules.only]
        ending = "" if span.label in ("", BARE_LABEL) else f"-{span.label}"
        if span.start == end_before and span.label == label_before:  # the spans touch
            if "B" in rules.needs_left:
                letters[0] = "B"
            if "E" in rules.needs_right:
                tags[end_before - 1] = "E" + ending
        tags[span.start : span.end] = [rules.spell(letter) + ending for letter in letters]
        end_before, label_before = span.end, span.label
    return tags


def convert_tags(tags: Sequence[str], source: str, target: str, *, mode: Mode = "repair") -> list[str]:
    """Rewrite T tags from one scheme in another; illegal tags are read as ``tags_to_spans`` says.

    Raises:
        InputError: In strict mode, for the first illegal tag; if there is no such scheme.
    """
    return spans_to_tags(tags_to_spans(tags, source, mode=mode), len(tags), target)


@lru_cache(maxsize=1 << 12)
def convert_next_tag(before: str, tag: str, source: str, target: str) -> str:
    """Rewrite one tag of a sequence that is still growing, told by the tag before it alone.

    Over a legal sequence this is what ``convert_tags`` makes of it.

    Args:
        before: The tag before it in the ``source`` scheme, O at the beginning.
        tag: The tag.
        source: Scheme of both.
        target: Scheme to write the tag in.

    Raises:
        InputError: If ``target`` marks where spans end and ``source`` does not, so that the next tag would
            have to be known; if there is no such scheme.
    """
    rules, written = _RULES[normalise_scheme(source)], _RULES[normalise_scheme(target)]
    # IOE1 marks an end only where the next span touches it, which no tag of another scheme tells.
    has_ends = rules.last == "E" if written.last == "E" else rules is written
    if written.needs_right and not has_ends:
        raise InputError(
            f"Tags in {source} do not tell at once where a span ends, as {target} writes it; use IOB2."
        )
    letter, label = _read(tag)
    # What a scheme with ends promises stands for the next tag; schemes without ends do not look at it.
    after = f"{rules.spell('I')}-{label}" if letter in rules.needs_right else "O"
    return convert_tags([before, tag, after], source, target)[1]


def allowed_transitions(
    tags: Sequence[str], scheme: str | None
) -> tuple[list[list[bool]], list[bool], list[bool]]:
    """Return which of C tags may follow, begin and end which: exactly what ``violations`` calls legal.

    Args:
        tags: The C tags of the inventory.
        scheme: Their scheme; None allows everything.

    Returns:
        (C, C) whether tag j may follow tag i; (C,) whether a sentence may begin with the tag; (C,) whether it
        may end with it. A tag that is foreign to the scheme is allowed nowhere.

    Raises:
        InputError: If there is no such scheme.
    """
    if scheme is None:
        return [[True] * len(tags) for _ in tags], [True] * len(tags), [True] * len(tags)
    name = normalise_scheme(scheme)
    after = [[_may_follow(before, tag, name) for tag in tags] for before in tags]
    return after, [_may_follow("O", tag, name) for tag in tags], [_may_follow(tag, "O", name) for tag in tags]


@lru_cache(maxsize=1 << 12)
def _read(tag: str) -> tuple[str, str]:
    """Return letter (O for what is no span tag) and label."""
    prefix, label = split_tag(tag)
    letter = _OTHER_SPELLINGS.get(prefix, prefix)
    return (letter, label) if letter in ("B", "I", "E", "S") else ("O", "")


def _goes_on(before: str, label_before: str, letter: str, label: str) -> bool:
    return before in "BI" and letter in "IE" and label == label_before


@lru_cache(maxsize=1 << 14)
def is_legal(before: str, tag: str, after: str, scheme: str) -> bool:
    """Whether the tag may stand between these two; a sentence is taken to lie between two O."""
    return _belongs(tag, scheme) and _accepts_left(before, tag, scheme) and _accepts_right(tag, after, scheme)


def _may_follow(before: str, tag: str, scheme: str) -> bool:
    """Whether neither of two neighbours is illegal for the other's sake."""
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


def _refuse_violations(tags: Sequence[str], scheme: str, tokens: Sequence[str] | None, where: str) -> None:
    """Raise InputError for the first illegal tag, if there is one."""
    illegal = violations(tags, scheme)
    if illegal:
        problem = describe_violation(tags, illegal[0], scheme, tokens)
        raise InputError(
            f"{where + ': ' if where else ''}{problem}; correct it, or read the tags in repair mode."
        )


def _name(span: Span) -> str:
    return f"{span.label} [{span.start}, {span.end})"
