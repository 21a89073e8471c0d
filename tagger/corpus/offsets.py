"""Units of offsets: characters, UTF-16 code units or UTF-8 bytes, which one a file counts, and conversion."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import get_args

from tagger.corpus.placement import TextSpan
from tagger.corpus.reading import Offsets, OffsetUnit, Reading
from tagger.errors import InputError

NAMES: dict[OffsetUnit, str] = {
    "characters": "characters",
    "utf16": "UTF-16 code units",
    "bytes": "bytes of UTF-8",
}
_UNITS: tuple[OffsetUnit, ...] = get_args(OffsetUnit)
_SPACED_SCRIPTS_END = "\u0e00"  # from Thai on, scripts may write words without spaces
_OPTION = "(data.offsets in a config)"


def require_offsets(value: str, choices: Sequence[str] = get_args(Offsets)) -> None:
    """Raise InputError if a name of a unit is none of the choices."""
    if value not in choices:
        raise InputError(f"The unit of offsets must be one of {', '.join(choices)} (got {value!r}).")


def measure(text: str, unit: OffsetUnit) -> Callable[[int], int]:
    """Return a function from positions in characters to positions in another unit."""
    if not _differs(text, unit):
        return lambda place: place
    places = _places(text, unit)
    return lambda place: places[place]


@dataclass(frozen=True, slots=True)
class Ruler:
    """Converts the offsets of one text to characters.

    Attributes:
        text: The text.
        unit: What the offsets count.
        text_start: Position of the text in its document.
    """

    text: str
    unit: OffsetUnit
    text_start: int = 0

    def convert(self, spans: Sequence[TextSpan]) -> list[TextSpan]:
        """Return the spans with offsets in characters; positions outside the text stay outside.

        Raises:
            InputError: If a span begins or ends inside a character.
        """
        if not _differs(self.text, self.unit):
            return list(spans)
        places = _places(self.text, self.unit)
        converted = []
        for span in spans:
            start, end = (_index(places, place - self.text_start) for place in (span.start, span.end))
            if start is None or end is None:
                raise InputError(
                    f"{span.where}: the span [{span.start}, {span.end}) ({span.label}) begins or ends inside "
                    f"a character, counted in {NAMES[self.unit]}; correct the offsets, or say what they "
                    f"count with --offsets {_OPTION}."
                )
            converted.append(replace(span, start=start + self.text_start, end=end + self.text_start))
        return converted


class OffsetUnits:
    """Finds out which unit the offsets of one file count.

    With ``reading.offsets = "auto"`` the unit is that in which all spans of a text cover what the file says
    that they cover. Where it does not say so and the units differ, UTF-16 is taken if offsets in characters
    would leave the text or cut words and those in UTF-16 would not; else the unit that earlier texts of the
    file showed; else characters, with a note.

    Args:
        reading: The unit, if it is known; what becomes of problems and notes.
        path: The file, for messages.
    """

    def __init__(self, reading: Reading, path: str | Path) -> None:
        require_offsets(reading.offsets)
        self._reading = reading
        self._path = path
        self._shown: set[OffsetUnit] = set()
        self._unclear: str | None = None  # the first text that could be read in two units

    def choose(self, text: str, spans: Sequence[TextSpan], where: str, *, text_start: int = 0) -> OffsetUnit:
        """Return the unit of a text's spans, which are still counted in it."""
        if self._reading.offsets != "auto":
            return self._reading.offsets
        if text.isascii() or not spans:
            return "characters"
        if any(span.text is not None for span in spans):
            fitting = [unit for unit in _UNITS if _covers(text, spans, unit, text_start)]
            if len(fitting) in (0, len(_UNITS)):
                return "characters"
            if "characters" in fitting and "utf16" in fitting:
                return "characters"  # both are the same here
            self._show(fitting[0], where, "as the spans' own texts show")
            return fitting[0]
        return self._guess(text, spans, where, text_start)

    def _guess(self, text: str, spans: Sequence[TextSpan], where: str, text_start: int) -> OffsetUnit:
        """Choose between characters and UTF-16 for spans that do not say what they cover."""
        if not _differs(text, "utf16"):
            return "characters"
        places = _places(text, "utf16")
        pairs = [(span.start - text_start, span.end - text_start) for span in spans]
        as_utf16 = [(_index(places, start), _index(places, end)) for start, end in pairs]
        if as_utf16 == pairs:
            return "characters"
        wrong = any(_is_unlikely(text, start, end) for start, end in pairs)
        wrong_utf16 = any(
            start is None or end is None or _is_unlikely(text, start, end) for start, end in as_utf16
        )
        if wrong != wrong_utf16:
            unit: OffsetUnit = "utf16" if wrong else "characters"
            self._show(unit, where, "since offsets in characters would leave the text or cut words")
            return unit
        if len(self._shown) == 1:
            return next(iter(self._shown))
        if self._unclear is None:
            self._unclear = where
            self._reading.note(
                f"{where}: characters beyond U+FFFF stand before spans; the offsets are read as characters, "
                f"but could be UTF-16 code units; say --offsets characters or utf16 {_OPTION}."
            )
        return "characters"

    def _show(self, unit: OffsetUnit, where: str, reason: str) -> None:
        if unit not in self._shown and unit != "characters":
            self._reading.note(f"{where}: the offsets are read as {NAMES[unit]}, {reason}.")
            if self._unclear:
                self._reading.refuse(
                    f"{where}: the offsets count {NAMES[unit]}, but those of {self._unclear} were read as "
                    f"characters; say --offsets {unit} {_OPTION}."
                )
        self._shown.add(unit)


def is_same_text(given: str, there: str) -> bool:
    r"""Whether two texts are the same but for white space, which browsers change; ``\n`` may be escaped."""
    return given == there or given.replace("\\n", " ").split() == there.replace("\\n", " ").split()


def _covers(text: str, spans: Sequence[TextSpan], unit: OffsetUnit, text_start: int) -> bool:
    """Whether all spans, counted in this unit, cover what they are said to cover."""
    try:
        converted = Ruler(text, unit, text_start).convert(spans)
    except InputError:
        return False
    return all(
        span.text is None
        or is_same_text(span.text, text[max(span.start - text_start, 0) : max(span.end - text_start, 0)])
        for span in converted
    )


def _differs(text: str, unit: OffsetUnit) -> bool:
    if unit == "characters" or text.isascii():
        return False
    return unit == "bytes" or max(text) > "\uffff"


def _places(text: str, unit: OffsetUnit) -> list[int]:
    """The position in the unit of each border between characters, T + 1 of them."""
    if unit == "bytes":
        return list(accumulate((len(one.encode()) for one in text), initial=0))
    return list(accumulate((1 + (one > "\uffff") for one in text), initial=0))


def _index(places: Sequence[int], place: int) -> int | None:
    """The index of a border; None inside a character. What is outside of the text stays outside."""
    if place < 0:
        return place
    if place > places[-1]:
        return len(places) - 1 + place - places[-1]
    index = bisect_left(places, place)
    return index if places[index] == place else None


def _is_unlikely(text: str, start: int, end: int) -> bool:
    """Whether a span is empty, leaves the text, begins or ends with white space, or cuts a word."""
    if not 0 <= start < end <= len(text) or text[start].isspace() or text[end - 1].isspace():
        return True
    return any(_is_inside_word(text, place) for place in (start, end))


def _is_inside_word(text: str, place: int) -> bool:
    around = text[place - 1 : place + 1] if place else ""
    return len(around) == 2 and all(one.isalnum() and one < _SPACED_SCRIPTS_END for one in around)
