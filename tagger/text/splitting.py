"""Where sentences end in raw text."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Literal

from tagger.text.lexicon import ABBREVIATIONS, NUMBERED, STARTERS, TITLES

Newlines = Literal["wrapped", "boundary", "space"]

# Lines shorter than this many characters were ended by their author, not wrapped by a program.
_NARROWEST = 30
# How a paragraph is wrapped is judged by so many lines on either side.
LINES_AROUND = 16
# What stands before a full stop is looked at over so many characters, which bounds the work.
_REACH = 24

_NEWLINE = r"[\n\r\v\f\x85\u2028](?:(?<=\r)\n)?+"
# These patterns begin with one class of characters, so that ``re`` skips to the next of them at once.
_BLANK = re.compile(
    rf"[\n\r\v\f\x85\u2028\u2029](?:(?<=\u2029)|(?:(?<=\r)\n)?+[^\S\n\r\v\f\x85\u2028]*+{_NEWLINE})\s*+"
)
_LINE_END = re.compile(rf"{_NEWLINE}\s*+")

# Marks that end a sentence before a space; marks of scripts that write no space after them.
_MARKS = ".!?…‼⁇⁈⁉।॥۔؟։።၊။។๚๛"
_SPACELESS = "。！？｡﹒﹖﹗"
_OPENERS = "\"'“‘„«‹([{*_<¿¡"
_CLOSERS = "\"'”’»›)]}*_」』）】》〉"
_EMOJI = "\u2600-\u27bf\U0001f300-\U0001faff"
_EMOJI_PARTS = "[\u200d\ufe0f\U0001f3fb-\U0001f3ff]*+"
# What may follow the first character of a smiley or emoji.
_SMILEY_REST = (
    rf"(?:(?<=[:;=])[-^o']?[)(\]DPp](?!\w)|(?<=\^)_*+\^|(?<=<)3(?!\w)|(?<=[{_EMOJI}]){_EMOJI_PARTS})"
)
_SMILEY = rf"[:;=^<{_EMOJI}]{_SMILEY_REST}"
_STOP = re.compile(
    rf"([{_MARKS}{_SPACELESS}:;=^<{_EMOJI}](?:(?<=[{_MARKS}{_SPACELESS}])[{_MARKS}{_SPACELESS}]*+|{_SMILEY_REST}))"
    rf"([{re.escape(_CLOSERS)}]*+)((?:\s*+{_SMILEY})*+)(\s*+)"
)
_SPACE_FORGOTTEN = re.compile(r"[a-z]{2}[.!?][A-Z][a-z]++\s")
_NEXT_WORD = re.compile(rf"[{re.escape(_OPENERS)}]*+([^\W_]++(?:['’][^\W_]++)?)")
_ITEM = re.compile(r"(?:\A|[:;]\s)\s*[(*]*(?:\d{1,3}|[A-Za-z]|[ivx]{1,5}|[IVX]{1,5})\Z")
_BULLET = re.compile(r"(?:[-*+•·‣▪–—]|\(?(?:\d{1,3}|[A-Za-z])[.)])\s")
_ACRONYM = re.compile(r"[^\W\d_](?:\.[^\W\d_])*\Z")


def sentence_ranges(text: str, *, newlines: Newlines = "wrapped") -> list[tuple[int, int]]:
    """Return the half-open character ranges of the sentences in a text, without the white space around them.

    A blank line or a paragraph separator always ends a sentence. Elsewhere the marks that end sentences do,
    with the quotes, brackets and smileys that follow them, unless what stands before them is a title, an
    abbreviation, an initial or a list number and what follows does not look like a beginning.

    Args:
        text: The text.
        newlines: What a single line break means. ``"wrapped"``: a space where the paragraph was hard-wrapped,
            that is where the next line's first word would not have fitted on this line any more; a boundary
            elsewhere. ``"boundary"``: always a boundary. ``"space"``: always a space.
    """
    ranges: list[tuple[int, int]] = []
    start = 0
    for blank in _BLANK.finditer(text):
        _add_paragraph(ranges, text, start, blank.start(), newlines)
        start = blank.end()
    _add_paragraph(ranges, text, start, len(text), newlines)
    return ranges


def _add_paragraph(
    ranges: list[tuple[int, int]], text: str, start: int, end: int, newlines: Newlines
) -> None:
    paragraph = text[start:end]
    end = start + len(paragraph.rstrip())
    start += len(paragraph) - len(paragraph.lstrip())
    breaks = _line_breaks(text, start, end) if newlines != "space" else []
    if newlines == "wrapped" and breaks:
        breaks = _unwrapped(text, start, end, breaks)
    for stop in [*breaks, end]:
        for match in _STOP.finditer(text, start, stop):
            following = match.end()
            if following < stop and _is_end(text, start, match):
                ranges.append((start, match.start(4)))
                start = following
        if start < stop:
            ranges.append((start, start + len(text[start:stop].rstrip())))
        start = stop


def _line_breaks(text: str, start: int, end: int) -> list[int]:
    """Return where the second and later lines of a paragraph start."""
    return [match.end() for match in _LINE_END.finditer(text, start, end)]


def _unwrapped(text: str, start: int, end: int, starts: list[int]) -> list[int]:
    """Return those line starts that begin a sentence, where the other line breaks only wrap a paragraph.

    A program that wraps lines breaks where the next word does not fit. If at least half of the breaks around
    a line are such places, the lines are wrapped there, and only the other breaks are boundaries; if fewer
    are, the lines are headlines or a list, and every break is one. Hands break lines less strictly, so a line
    of several words, or of more than half the width, that ends in no mark before a small letter counts too.
    """
    lines = [text[a:b].rstrip() for a, b in pairwise([start, *starts, end])]
    # A line of one long word (an address) says nothing about the width.
    widths = [len(line) if " " in line else 0 for line in lines]
    is_full = [
        _is_full(line, following, max(widths[max(0, place - LINES_AROUND) : place + LINES_AROUND]))
        for place, (line, following) in enumerate(pairwise(lines))
    ]
    boundaries = []
    for place, (line_start, full) in enumerate(zip(starts, is_full, strict=True)):
        around = is_full[max(0, place - LINES_AROUND) : place + LINES_AROUND]
        if not full or 2 * sum(around) < len(around) or _BULLET.match(text, line_start):
            boundaries.append(line_start)
    return boundaries


def _is_full(line: str, following: str, width: int) -> bool:
    if following[0].islower() and not line.endswith((".", "!", "?", ":", ";")):
        return " " in line or 2 * len(line) > max(width, _NARROWEST)
    if width < _NARROWEST:
        return False
    return len(line) + 1 + len(following.split(None, 1)[0]) > width


def _is_end(text: str, start: int, match: re.Match[str]) -> bool:
    """Tell whether a mark ends the sentence that begins at ``start``."""
    mark, closed, smiley, space = match.groups()
    if mark[-1] in _SPACELESS:
        return True
    if not space:
        place = match.start()
        is_forgotten = place >= 2 and _SPACE_FORGOTTEN.match(text, place - 2) is not None
        return is_forgotten and _word_before(text, start, place).isalpha()
    following = _NEXT_WORD.match(text, match.end())
    if following is None:
        return text[match.end()] not in ",;:.!?…)]}%/"
    word: str = following[1]
    if mark[0] not in _MARKS:  # a smiley in place of a full stop
        return word[0].isupper() and match.start() > start
    if mark != "." or closed or smiley:
        if not word[0].islower():
            return True
        # "Really?" he asked; wait ... no; Yahoo! is.
        return not (
            closed or mark.endswith(("..", "…")) or _word_before(text, start, match.start())[:1].isupper()
        )
    # "by S. J. Perelman": a capital that has a full stop of its own begins no sentence.
    is_starter = word in STARTERS and text[following.end() : following.end() + 1] != "."
    return _full_stop_ends(text, start, match.start(), word, is_starter=is_starter)


def _full_stop_ends(text: str, start: int, place: int, word: str, *, is_starter: bool) -> bool:
    """Decide on a single full stop at ``place`` before a space and ``word``."""
    before = _word_before(text, start, place)
    if before in TITLES or _ITEM.search(text[max(start, place - _REACH) : place]):
        return False
    if before in ABBREVIATIONS or _ACRONYM.match(before):
        return is_starter
    if before in NUMBERED and word[0].isdigit():
        return False
    if word[0].islower():
        # Careless writing if a plain word comes before, an abbreviation that no list holds if not.
        return len(before) > 2 and before.isalpha() and before.islower()
    return True


def _word_before(text: str, start: int, end: int) -> str:
    pieces = text[max(start, end - _REACH) : end].split()
    if not pieces or text[end - 1].isspace():
        return ""
    return pieces[-1].lstrip(_OPENERS).rpartition("-")[2]
