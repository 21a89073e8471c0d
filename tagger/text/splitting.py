"""Split raw text into sentences."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Literal

from tagger.text.lexicon import ABBREVIATIONS, NUMBERED, STARTERS, TITLES

Newlines = Literal["wrapped", "boundary", "space"]

# Minimum line width, in characters, of hard-wrapped text; no program wraps text to shorter lines.
_MIN_WRAP_WIDTH = 30
# Number of lines on either side that decide if a line is wrapped.
LINES_AROUND = 16
# Maximum number of characters read before a full stop; it bounds the run time.
_MAX_LOOKBEHIND = 24

_NEWLINE = r"[\n\r\v\f\x85\u2028](?:(?<=\r)\n)?+"
# These patterns begin with a character class, so that ``re`` skips to its next match quickly.
_BLANK = re.compile(
    rf"[\n\r\v\f\x85\u2028\u2029](?:(?<=\u2029)|(?:(?<=\r)\n)?+[^\S\n\r\v\f\x85\u2028]*+{_NEWLINE})\s*+"
)
_LINE_END = re.compile(rf"{_NEWLINE}\s*+")

# Marks that end a sentence before a space, and marks of scripts without spaces.
_MARKS = ".!?…‼⁇⁈⁉।॥۔؟։።၊။។๚๛"
_SPACELESS = "。！？｡﹒﹖﹗"
_OPENERS = "\"'“‘„«‹([{*_<¿¡"
_CLOSERS = "\"'”’»›)]}*_」』）】》〉"
_EMOJI = "\u2600-\u27bf\U0001f300-\U0001faff"
_EMOJI_PARTS = "[\u200d\ufe0f\U0001f3fb-\U0001f3ff]*+"
# Continuation of a smiley or emoji after its first character.
_SMILEY_REST = (
    rf"(?:(?<=[:;=])[-^o']?[)(\]DPp](?!\w)|(?<=\^)_*+\^|(?<=<)3(?!\w)|(?<=[{_EMOJI}]){_EMOJI_PARTS})"
)
_SMILEY = rf"[:;=^<{_EMOJI}]{_SMILEY_REST}"
_STOP = re.compile(
    rf"([{_MARKS}{_SPACELESS}:;=^<{_EMOJI}](?:(?<=[{_MARKS}{_SPACELESS}])[{_MARKS}{_SPACELESS}]*+|{_SMILEY_REST}))"
    rf"([{re.escape(_CLOSERS)}]*+)((?:\s*+{_SMILEY})*+)(\s*+)"
)
_MISSING_SPACE = re.compile(r"[a-z]{2}[.!?][A-Z][a-z]++\s")
_NEXT_WORD = re.compile(rf"[{re.escape(_OPENERS)}]*+([^\W_]++(?:['’][^\W_]++)?)")
_ITEM = re.compile(r"(?:\A|[:;]\s)\s*[(*]*(?:\d{1,3}|[A-Za-z]|[ivx]{1,5}|[IVX]{1,5})\Z")
_BULLET = re.compile(r"(?:[-*+•·‣▪–—]|\(?(?:\d{1,3}|[A-Za-z])[.)])\s")
_ACRONYM = re.compile(r"[^\W\d_](?:\.[^\W\d_])*\Z")


def sentence_ranges(text: str, *, newlines: Newlines = "wrapped") -> list[tuple[int, int]]:
    """Return the half-open character ranges of a text's sentences, without surrounding white space.

    A blank line or a paragraph separator always ends a sentence. Within a paragraph, sentence-final marks end
    a sentence, together with the quotes, brackets and smileys after them. A mark after a title, an
    abbreviation, an initial or a list number ends a sentence only if the next word looks like a beginning.

    Args:
        text: The text.
        newlines: How to read a single line break. ``"wrapped"``: as a space if the paragraph is hard-wrapped
            there (the first word of the next line would exceed the line width), else as a boundary.
            ``"boundary"``: always as a boundary. ``"space"``: always as a space.
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
    """Return the start positions of the second and later lines of a paragraph."""
    return [match.end() for match in _LINE_END.finditer(text, start, end)]


def _unwrapped(text: str, start: int, end: int, starts: list[int]) -> list[int]:
    """Return the starts of lines that begin a sentence; the other line breaks wrap a paragraph.

    A program breaks a line if the next word exceeds the width. If at least half of the breaks around a line
    are of this kind, the lines are wrapped, and only the other breaks are boundaries. Otherwise the lines are
    headlines or a list, and every break is a boundary. Authors break lines less strictly. A line without a
    final mark before a lower-case letter therefore also counts as wrapped, if it has several words or exceeds
    half the width.
    """
    lines = [text[a:b].rstrip() for a, b in pairwise([start, *starts, end])]
    # A line of one long word (an address) does not determine the width.
    widths = [len(line) if " " in line else 0 for line in lines]
    is_full = [
        _is_full(line, following, max(widths[max(0, index - LINES_AROUND) : index + LINES_AROUND]))
        for index, (line, following) in enumerate(pairwise(lines))
    ]
    boundaries = []
    for index, (line_start, full) in enumerate(zip(starts, is_full, strict=True)):
        around = is_full[max(0, index - LINES_AROUND) : index + LINES_AROUND]
        if not full or 2 * sum(around) < len(around) or _BULLET.match(text, line_start):
            boundaries.append(line_start)
    return boundaries


def _is_full(line: str, following: str, width: int) -> bool:
    if following[0].islower() and not line.endswith((".", "!", "?", ":", ";")):
        return " " in line or 2 * len(line) > max(width, _MIN_WRAP_WIDTH)
    if width < _MIN_WRAP_WIDTH:
        return False
    return len(line) + 1 + len(following.split(None, 1)[0]) > width


def _is_end(text: str, start: int, match: re.Match[str]) -> bool:
    """True if a mark ends the sentence that begins at ``start``."""
    mark, closed, smiley, space = match.groups()
    if mark[-1] in _SPACELESS:
        return True
    if not space:
        position = match.start()
        is_missing = position >= 2 and _MISSING_SPACE.match(text, position - 2) is not None
        return is_missing and _word_before(text, start, position).isalpha()
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
    # "by S. J. Perelman": a capital letter with its own full stop does not begin a sentence.
    is_starter = word in STARTERS and text[following.end() : following.end() + 1] != "."
    return _full_stop_ends(text, start, match.start(), word, is_starter=is_starter)


def _full_stop_ends(text: str, start: int, position: int, word: str, *, is_starter: bool) -> bool:
    """True if the full stop at ``position``, before a space and ``word``, ends a sentence."""
    before = _word_before(text, start, position)
    if before in TITLES or _ITEM.search(text[max(start, position - _MAX_LOOKBEHIND) : position]):
        return False
    if before in ABBREVIATIONS or _ACRONYM.match(before):
        return is_starter
    if before in NUMBERED and word[0].isdigit():
        return False
    if word[0].islower():
        # After a plain word the capital is missing; otherwise the word is an unlisted abbreviation.
        return len(before) > 2 and before.isalpha() and before.islower()
    return True


def _word_before(text: str, start: int, end: int) -> str:
    pieces = text[max(start, end - _MAX_LOOKBEHIND) : end].split()
    if not pieces or text[end - 1].isspace():
        return ""
    return pieces[-1].lstrip(_OPENERS).rpartition("-")[2]
