"""Text as HTML: escaping, label colours, and marked ranges."""

from __future__ import annotations

import html
import zlib
from collections.abc import Iterable, Mapping

HUES = tuple(range(0, 360, 30))  # in degrees
HUE_SEED = 1030  # chosen so that common labels (PER, LOC, ...; NP, VP, ...) get clearly different hues
_MARK = "background:hsl({hue} 85% 86%);color:#1b1b1b;border-radius:.25em;padding:.08em .25em"
_LABEL = "font-size:.68em;margin-left:.4em"


def escape(text: str) -> str:
    r"""Escape text for HTML elements and quoted attributes.

    Characters that HTML cannot contain are replaced: NUL by U+FFFD, lone surrogates by text as ``\ud800``.
    """
    text = html.escape(text).encode(errors="backslashreplace").decode()
    # HTML parsers convert a carriage return to a line feed.
    return text.replace("\0", "\ufffd").replace("\r", "&#13;")


def label_hues(labels: Iterable[str]) -> dict[str, int]:
    """Return a hue in degrees for each label by hashing its name; on collision, use the next free hue."""
    hues: dict[str, int] = {}
    for label in sorted(set(labels)):
        index = zlib.crc32(label.encode("utf-8", "surrogatepass"), HUE_SEED) % len(HUES)
        candidates = (HUES[(index + step) % len(HUES)] for step in range(len(HUES)))
        hues[label] = next((hue for hue in candidates if hue not in hues.values()), HUES[index])
    return hues


def mark_ranges(
    text: str, ranges: Iterable[tuple[int, int, str]], hues: Mapping[str, int] | None = None
) -> str:
    """Return an escaped text whose ranges are marked with their labels, by inline styles.

    Args:
        text: The text.
        ranges: Start, end and label of each range. Ranges that overlap an earlier one are left out.
        hues: The hue of each label's colour. By default, labels are shown above the ranges.
    """
    pieces, position = [], 0
    for start, end, label in sorted(ranges):
        if start < position:
            continue
        inside, shown = escape(text[start:end]), escape(label)
        pieces.append(escape(text[position:start]))
        if hues is None:
            pieces.append(f"<ruby>{inside}<rt>{shown}</rt></ruby>")
        else:
            style = _MARK.format(hue=hues[label])
            pieces.append(f'<mark style="{style}">{inside}<b style="{_LABEL}">{shown}</b></mark>')
        position = end
    return "".join([*pieces, escape(text[position:])])
