"""Units of span offsets (characters, UTF-16 code units, UTF-8 bytes): detection and conversion."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np

from tagger.corpus.placement import TextSpan
from tagger.corpus.reading import Offsets, OffsetUnit, Reading
from tagger.errors import InputError

NAMES: dict[OffsetUnit, str] = {
    "characters": "characters",
    "utf16": "UTF-16 code units",
    "bytes": "bytes of UTF-8",
}
_UNITS: tuple[OffsetUnit, ...] = get_args(OffsetUnit)
_LAST_OF_SIZE = {"bytes": (0x7F, 0x7FF, 0xFFFF), "utf16": (0xFFFF,)}  # last code points of 1, 2, … units
_SPACED_SCRIPTS_END = "\u0e00"  # from Thai on, scripts may write words without spaces
_OPTION = "(data.offsets in a config)"


def require_offsets(value: str) -> None:
    """Raise InputError if there is no such unit of offsets."""
    if value not in get_args(Offsets):
        raise InputError(
            f"The unit of offsets must be one of {', '.join(get_args(Offsets))} (got {value!r}).",
            code="option.unknown",
            option="--offsets",
        )


def measure(text: str, unit: OffsetUnit) -> Callable[[int], int]:
    """Return a function from character positions to positions in another unit."""
    if not _differs(text, unit):
        return lambda position: position
    positions = _boundaries(text, unit)
    return lambda position: positions[position]


@dataclass(frozen=True, slots=True)
class Ruler:
    """Convert the offsets of one text to characters.

    Attributes:
        text: The text.
        unit: The unit of the offsets.
        text_start: Position of the text in its document.
    """

    text: str
    unit: OffsetUnit
    text_start: int = 0

    def convert(self, spans: Sequence[TextSpan]) -> list[TextSpan]:
        """Return the spans with offsets in characters. Positions outside the text stay outside.

        Raises:
            InputError: If a span begins or ends inside a character.
        """
        if not _differs(self.text, self.unit):
            return list(spans)
        boundaries = _boundaries(self.text, self.unit)
        converted = []
        for span in spans:
            start, end = (
                _index(boundaries, position - self.text_start) for position in (span.start, span.end)
            )
            if start is None or end is None:
                raise InputError(
                    f"the span [{span.start}, {span.end}) ({span.label}) begins or ends inside "
                    f"a character, counted in {NAMES[self.unit]}. Correct the offsets, or set their unit "
                    f"with --offsets {_OPTION}.",
                    code="corpus.offsets",
                    where=span.where,
                    option="--offsets",
                )
            converted.append(replace(span, start=start + self.text_start, end=end + self.text_start))
        return converted


class OffsetUnits:
    """Infer the unit of the offsets of one file.

    With ``reading.offsets = "auto"`` the unit is the one in which all spans of a text cover their declared
    texts. If the file declares no texts and the units differ, the unit is UTF-16 if only offsets in
    characters would leave the text or cut words; else the unit of earlier texts of the file; else
    characters, with a warning.

    Args:
        reading: The reader options, with the unit if it is known.
        path: The file, for messages.
    """

    def __init__(self, reading: Reading, path: str | Path) -> None:
        require_offsets(reading.offsets)
        self._reading = reading
        self._path = path
        self._detected: set[OffsetUnit] = set()
        self._unclear: str | None = None  # location of the first ambiguous text

    def choose(self, text: str, spans: Sequence[TextSpan], where: str, *, text_start: int = 0) -> OffsetUnit:
        """Return the unit of a text's spans, whose offsets are not converted yet."""
        if self._reading.offsets != "auto":
            return self._reading.offsets
        if text.isascii() or not spans:
            return "characters"
        if any(span.text is not None for span in spans):
            matching = [unit for unit in _UNITS if _covers(text, spans, unit, text_start)]
            if len(matching) in (0, len(_UNITS)):
                return "characters"
            if "characters" in matching and "utf16" in matching:
                return "characters"  # both give the same positions here
            self._report_unit(matching[0], where, "as the texts of the spans show")
            return matching[0]
        return self._guess(text, spans, where, text_start)

    def _guess(self, text: str, spans: Sequence[TextSpan], where: str, text_start: int) -> OffsetUnit:
        """Choose between characters and UTF-16 for spans without declared texts."""
        if not _differs(text, "utf16"):
            return "characters"
        boundaries = _boundaries(text, "utf16")
        pairs = [(span.start - text_start, span.end - text_start) for span in spans]
        as_utf16 = [(_index(boundaries, start), _index(boundaries, end)) for start, end in pairs]
        if as_utf16 == pairs:
            return "characters"
        wrong = any(_is_unlikely(text, start, end) for start, end in pairs)
        wrong_utf16 = any(
            start is None or end is None or _is_unlikely(text, start, end) for start, end in as_utf16
        )
        if wrong != wrong_utf16:
            unit: OffsetUnit = "utf16" if wrong else "characters"
            self._report_unit(unit, where, "because offsets in characters would leave the text or cut words")
            return unit
        if len(self._detected) == 1:
            return next(iter(self._detected))
        if self._unclear is None:
            self._unclear = where
            self._reading.warn(
                f"{where}: characters beyond U+FFFF precede spans; the offsets are read as characters, but "
                f"could be UTF-16 code units. Set the unit with --offsets characters or utf16 {_OPTION}."
            )
        return "characters"

    def _report_unit(self, unit: OffsetUnit, where: str, reason: str) -> None:
        if unit not in self._detected and unit != "characters":
            self._reading.warn(f"{where}: the offsets are read as {NAMES[unit]}, {reason}.")
            if self._unclear:
                self._reading.on_error(
                    InputError(
                        f"the offsets count {NAMES[unit]}, but those of {self._unclear} were read as "
                        f"characters. Pass --offsets {unit} {_OPTION}.",
                        code="corpus.offsets",
                        where=where,
                        option="--offsets",
                    )
                )
        self._detected.add(unit)


def is_same_text(declared: str, actual: str) -> bool:
    r"""Return True if two texts differ at most in white space, which browsers change, and escaped ``\n``."""
    return declared == actual or declared.replace("\\n", " ").split() == actual.replace("\\n", " ").split()


def _covers(text: str, spans: Sequence[TextSpan], unit: OffsetUnit, text_start: int) -> bool:
    """Return True if all spans, in this unit, cover their declared texts."""
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


def _boundaries(text: str, unit: OffsetUnit) -> list[int]:
    """Return the T + 1 positions of the boundaries between characters, in the unit.

    A lone surrogate counts as U+FFFD, which replaces it in UTF-8: three bytes, or one UTF-16 code unit.
    """
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    sizes = np.searchsorted(_LAST_OF_SIZE[unit], points) + 1
    return [0, *np.cumsum(sizes).tolist()]


def _index(boundaries: Sequence[int], position: int) -> int | None:
    """Return the index of a boundary, None inside a character. Positions outside the text stay outside."""
    if position < 0:
        return position
    if position > boundaries[-1]:
        return len(boundaries) - 1 + position - boundaries[-1]
    index = bisect_left(boundaries, position)
    return index if boundaries[index] == position else None


def _is_unlikely(text: str, start: int, end: int) -> bool:
    """Return True if a span is empty, leaves the text, has white space at an end, or cuts a word."""
    if not 0 <= start < end <= len(text) or text[start].isspace() or text[end - 1].isspace():
        return True
    return any(_is_inside_word(text, position) for position in (start, end))


def _is_inside_word(text: str, position: int) -> bool:
    around = text[position - 1 : position + 1] if position else ""
    return len(around) == 2 and all(
        character.isalnum() and character < _SPACED_SCRIPTS_END for character in around
    )
