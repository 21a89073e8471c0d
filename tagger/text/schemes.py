"""Tag schemes: encode labelled spans as one tag per token, and read illegal tag sequences.

A span tag is ``O`` or a prefix with a label, ``B-PER``; a label may contain hyphens. A bare prefix, as in
word segmentation (``B``, ``I``, ``E``, ``S``), has the label ``_`` (seqeval's convention) and is written
without a label. Internally all prefixes are four letters: B begins a span, I continues it, E ends it, S is a
span of one token. BILOU writes L for E and U for S, BMES writes M for I.

The tag ``?`` is unknown. It is legal in every scheme, and so is a tag next to it if some tag in its place
would make that tag legal.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from functools import lru_cache, reduce
from itertools import pairwise, product
from operator import or_
from typing import Literal

from tagger.errors import InputError
from tagger.text.scheme_rules import (
    BARE_LABEL,
    SCHEME_RULES,
    belongs,
    continues,
    is_legal,
    may_follow,
    read_tag,
)
from tagger.text.scheme_rules import is_span_tag as is_span_tag
from tagger.text.scheme_rules import split_tag as split_tag
from tagger.text.sentence import UNKNOWN_TAG, Span

Mode = Literal["strict", "repair"]

_ANY_PREFIX = "*"

SCHEMES = tuple(SCHEME_RULES)
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
    if plain in SCHEME_RULES:
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


def belongs_to(tag: str, scheme: str) -> bool:
    """True if the scheme has this tag at any position: IOB2 has no ``E-PER``. ``?`` belongs to every scheme.

    Raises:
        InputError: The scheme is unknown.
    """
    return belongs(tag, normalise_scheme(scheme))


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
    begins at B and S, after O, after E and S, and where the label changes. Tags that are not span tags, ``?``
    among them, count as O.

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
        letter, label = read_tag(tag)
        is_continued = continues(before, label_before, letter, label)
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
    return continues(*read_tag(before), *read_tag(tag))


def spans_to_tags(spans: Iterable[Span], length: int, scheme: str) -> list[str]:
    """Encode spans as ``length`` tags; only IO merges adjacent spans of one label.

    Raises:
        InputError: Spans overlap, are empty or exceed the sentence, or the scheme is unknown.
    """
    rules = SCHEME_RULES[normalise_scheme(scheme)]
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

    Unknown tags (``?``) stay unknown. A tag next to them becomes ``?`` as well if its prefix in the target
    scheme depends on the unknown tag: in BIOES, IOB2's ``B-PER ?`` may begin with B-PER or S-PER.

    Raises:
        InputError: The sequence is illegal in strict mode, or the scheme is unknown.
    """
    converted = spans_to_tags(tags_to_spans(tags, source, mode=mode), len(tags), target)
    if UNKNOWN_TAG not in tags:
        return converted
    target = normalise_scheme(target)
    if target == "IO":  # one prefix only
        return [old if old == UNKNOWN_TAG else new for old, new in zip(tags, converted, strict=True)]
    suffixes = sorted(
        {tag.removeprefix(split_tag(tag)[0]) for tag in tags if is_span_tag(tag) and tag != "O"}
    )
    target_tags = (
        "O",
        *(prefix + end for end in suffixes for prefix in sorted(SCHEME_RULES[target].prefixes)),
    )
    return [
        options[0] if len(options) == 1 and tag != UNKNOWN_TAG else UNKNOWN_TAG
        for tag, options in zip(tags, possible_tags(tags, source, target_tags, target), strict=True)
    ]


def possible_tags(
    tags: Sequence[str], source: str, target_tags: tuple[str, ...], target: str
) -> list[list[str]]:
    """Return for each of T tags the tags of another scheme that it may be, given that ``?`` may be any tag.

    These are its tags in all legal sequences of target tags whose conversion to the source scheme agrees with
    the known tags. An illegal tag is read as ``tags_to_spans`` does; next to ``?`` it may have any prefix. So
    may the other tags next to ``?`` if no tag in its place is legal (BIOES's ``B-PER ? I-LOC``). IO is read
    as IOB1.

    Args:
        tags: T tags.
        source: Their scheme.
        target_tags: O, and every tag of the target scheme for some labels, those of ``tags`` among them.
        target: Their scheme: any but IO, which cannot encode all spans.

    Raises:
        InputError: A scheme is unknown.
    """
    source, target = normalise_scheme(source), normalise_scheme(target)
    source = "IOB1" if source == "IO" else source
    read = spans_to_tags(tags_to_spans(tags, source), len(tags), source)
    padded = ["O", *tags, "O"]
    is_next = [UNKNOWN_TAG in (padded[index], padded[index + 2]) for index in range(len(tags))]
    loose = [
        _ANY_PREFIX + tag.removeprefix(split_tag(tag)[0]) if is_span_tag(tag) and tag != "O" else tag
        for tag in tags
    ]
    known = list(tags)
    for index in violations(tags, source):
        known[index] = loose[index] if is_next[index] and is_span_tag(tags[index]) else read[index]
    possible = _complete(known, source, target_tags, target)
    if not all(possible):
        known = [loose[index] if is_next[index] else tag for index, tag in enumerate(known)]
        possible = _complete(known, source, target_tags, target)
    return possible


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
    rules, target_rules = SCHEME_RULES[normalise_scheme(source)], SCHEME_RULES[normalise_scheme(target)]
    # IOE1 marks an end only if the next span is adjacent; no tag of another scheme encodes this.
    has_ends = rules.last == "E" if target_rules.last == "E" else rules is target_rules
    if target_rules.needs_right and not has_ends:
        raise InputError(
            f"Tags in {source} cannot become {target} one by one: {source} does not mark the end of spans. "
            "Convert to IOB2 instead.",
            code="argument.value",
        )
    letter, label = read_tag(tag)
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
    after = [[may_follow(before, tag, name) for tag in tags] for before in tags]
    return after, [may_follow("O", tag, name) for tag in tags], [may_follow(tag, "O", name) for tag in tags]


def _complete(known: Sequence[str], source: str, tags: tuple[str, ...], scheme: str) -> list[list[str]]:
    """Return the tags at each position of all legal paths that agree with the known tags (may be none)."""
    edges = [_edges(tag, source, tags, scheme) for tag in ("O", *known, "O")]
    steps = [
        [after & before for after, before in zip(right, left, strict=True)]
        for (_, right), (left, _) in pairwise(edges)
    ]
    reached = [1 << tags.index("O")]  # bit masks of tags
    for step in steps:
        reached.append(reduce(or_, (after for tag, after in enumerate(step) if reached[-1] >> tag & 1), 0))
    for index in reversed(range(len(steps))):
        alive = (1 << tag for tag, after in enumerate(steps[index]) if after & reached[index + 1])
        reached[index] &= sum(alive)
    return [[tag for index, tag in enumerate(tags) if mask >> index & 1] for mask in reached[1:-1]]


@lru_cache(maxsize=1 << 10)
def _edges(known: str, source: str, tags: tuple[str, ...], scheme: str) -> tuple[list[int], list[int]]:
    """Return which tags may stand in the place of a known tag.

    A source tag fixes whether a span begins here (a condition on the tag before and this one), and whether it
    ends here (on this one and the next), independently.

    Returns:
        For each tag before, the bit mask of this tag; for each tag in this place, that of the next.
    """
    following = [_mask(may_follow(before, tag, scheme) for tag in tags) for before in tags]
    if known == UNKNOWN_TAG:
        return [_mask([True] * len(tags))] * len(tags), following
    prefix, label = split_tag(known)
    here = [tag for tag in tags if split_tag(tag)[1] == label]
    # A neighbour with another label ends a span as O does.
    seen = [tag if tag in here else "O" for tag in tags]
    matches = {
        (before, tag, after)
        for before, tag, after in product({"O", *here}, here, {"O", *here})
        if may_follow(before, tag, scheme) and may_follow(tag, after, scheme)
        if prefix == _ANY_PREFIX
        or spans_to_tags(tags_to_spans([before, tag, after], scheme), 3, source)[1] == known
    }
    begins, ends = {match[:2] for match in matches}, {match[1:] for match in matches}
    left = [_mask((before, tag) in begins for tag in tags) for before in seen]
    right = [
        mask & _mask((tag, after) in ends for after in seen)
        for tag, mask in zip(tags, following, strict=True)
    ]
    return left, right


def _mask(flags: Iterable[bool]) -> int:
    return sum(flag << index for index, flag in enumerate(flags))


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
