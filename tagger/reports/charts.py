"""Charts as SVG for a page: bars with intervals, slopes between two sides, curves.

Across they are drawn in shares of their width and down in pixels: a chart is as wide as its place, and its
words are as large on a phone as on a screen. Colours are classes of ``charts.css``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from tagger.reports.page import escape, isolate

ROW = 36  # pixels of a bar with its label
HEADING = 26  # pixels of a group's heading
LINE = 17  # least pixels between two labels of a slope chart
TICKS = 22  # pixels of the numbers along an axis
CURVES = 220  # pixels of the area of curves
INSIDE = 90  # hundredths of its width that the area of bars has
MARKED = 10  # points up to which a curve shows each of them
MOST_CHARACTERS = {"bar": 34, "slope": 11}  # of a label; the whole of it is shown by pointing at it

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Axis:
    """A stretch of numbers that begins and ends at round ones.

    Attributes:
        low: Where it begins.
        high: Where it ends.
        ticks: The round numbers in it.
    """

    low: float
    high: float
    ticks: Sequence[float]

    def share(self, value: float) -> float:
        """How far along the axis a value stands: 0 where it begins, 1 where it ends."""
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Attributes:
        label: What it is of.
        value: Where it ends.
        text: The value as it is printed.
        interval: How sure the value is; None where that is not known.
        style: CSS classes.
    """

    label: str
    value: float
    text: str
    interval: Interval | None = None
    style: str = "s0"


@dataclass(frozen=True, slots=True)
class Slope:
    """A line from a value on the left to one on the right, with both as they are printed."""

    label: str
    left: float
    right: float
    texts: tuple[str, str]
    style: str = "s0"


@dataclass(frozen=True, slots=True)
class Curve:
    """A line through points.

    Attributes:
        label: What it is of.
        points: x and y, by rising x.
        intervals: For each point how sure y is; empty where that is not known.
        style: CSS classes.
    """

    label: str
    points: Sequence[tuple[float, float]]
    intervals: Sequence[Interval | None] = ()
    style: str = "s0"


def read_chart_style() -> str:
    """The rules in CSS that a page with charts needs, beside those of ``reports.page``."""
    return files("tagger.reports").joinpath("charts.css").read_text(encoding="utf-8")


def fit_axis(values: Iterable[float], *, ticks: int = 4) -> Axis:
    """An axis that holds all values, its ends and ticks 1, 2 or 5 times a power of ten apart.

    Args:
        values: What it holds.
        ticks: About how many steps it has.
    """
    values = list(values)
    low, high = min(values, default=0.0), max(values, default=0.0)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / ticks
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return Axis(first * step, last * step, [place * step for place in range(first, last + 1)])


def draw_bars(groups: Mapping[str, Sequence[Bar]], axis: Axis, *, title: str) -> str:
    """Bars one below the other, each with its label and value above it and its interval upon it.

    They begin at 0 where the axis holds it; else they are broken off where the axis begins.

    Args:
        groups: Headings and the bars below each; "" is no heading.
        axis: Holds all values and intervals.
        title: What the chart shows, for those who do not see it.
    """
    height = sum(HEADING * bool(name) + ROW * len(bars) for name, bars in groups.items())
    parts, top = list(_vertical_ticks(axis, height)), 0
    for name, bars in groups.items():
        if name:
            parts.append(f'<text class="heading" y="{top + 19}">{escape(name)}</text>')
            top += HEADING
        for bar in bars:
            parts.append(_bar(bar, axis, top))
            top += ROW
    told = "; ".join(f"{bar.label} {bar.text}" for bars in groups.values() for bar in bars)
    return _chart(parts, height + TICKS, f"{title}: {told}")


def draw_slopes(slopes: Sequence[Slope], *, sides: tuple[str, str], title: str) -> str:
    """A line for each label from its value on one side to that on the other; those that fall are dashed.

    Args:
        slopes: The lines.
        sides: Names of the sides.
        title: What the chart shows, for those who do not see it.
    """
    values = [value for slope in slopes for value in (slope.left, slope.right)]
    axis, height = fit_axis(values), LINE * max(len(slopes), 9)
    heights = {value: TICKS + height * (1 - axis.share(value)) for value in values}
    limits = (TICKS + 6.0, TICKS + height - 6.0)
    lefts = spread([heights[slope.left] for slope in slopes], LINE, limits)
    rights = spread([heights[slope.right] for slope in slopes], LINE, limits)
    parts = [
        f'<text class="heading end" x="46%" y="14">{escape(sides[0])}</text>',
        f'<text class="heading end" x="100%" y="14">{escape(sides[1])}</text>',
    ]
    for slope, left, right in zip(slopes, lefts, rights, strict=True):
        places = heights[slope.left], heights[slope.right]
        is_falling = " dash3" * (slope.right < slope.left)
        parts.append(
            f'<g class="{slope.style}{is_falling}"><title>{escape(slope.label)}: {slope.texts[0]} → '
            f"{slope.texts[1]}</title>"
            f'<line class="lead" x1="46.5%" y1="{left:.1f}" x2="49%" y2="{places[0]:.1f}"/>'
            f'<line class="slope" x1="49%" y1="{places[0]:.1f}" x2="77%" y2="{places[1]:.1f}"/>'
            f'<line class="lead" x1="77%" y1="{places[1]:.1f}" x2="79.5%" y2="{right:.1f}"/>'
            f'<text class="end" x="46%" y="{left + 4:.1f}">{escape(_short(slope.label, "slope"))} '
            f"<tspan>{slope.texts[0]}</tspan></text>"
            f'<text x="80%" y="{right + 4:.1f}">{slope.texts[1]}</text>'
            f'<circle cx="49%" cy="{places[0]:.1f}" r="3"/><circle cx="77%" cy="{places[1]:.1f}" r="3"/></g>'
        )
    told = "; ".join(f"{slope.label} {slope.texts[0]} → {slope.texts[1]}" for slope in slopes)
    return _chart(parts, TICKS + height + 8, f"{title}: {told}")


def draw_curves(
    curves: Sequence[Curve], axis: Axis, *, marks: Mapping[float, str], title: str, below: str
) -> str:
    """Lines through points, with a legend; what lies below the axis is cut off.

    Args:
        curves: The lines.
        axis: Of the values (y).
        marks: Places along the lower edge (x) and what is written there; the first and last are its ends.
        title: What the chart shows, for those who do not see it.
        below: What is counted along the lower edge.
    """
    first, last = min(marks), max(marks)
    parts = list(_horizontal_ticks(axis))
    for place, text in marks.items():
        across = _across((place - first) / max(last - first, 1e-9))
        parts.append(f'<text class="tick middle" x="{across}" y="{CURVES + 26}">{escape(text)}</text>')
    parts.append(f'<text class="tick end" x="100%" y="{CURVES + 44}">{escape(below)}</text>')
    for curve in curves:
        places = [((x - first) / max(last - first, 1e-9), 1 - axis.share(y)) for x, y in curve.points]
        parts += _curve(curve, places, axis)
    told = "; ".join(f"{curve.label} {curve.points[-1][1]:.2f}" for curve in curves if curve.points)
    return _chart(parts, CURVES + 50, f"{title}, at the end: {told}") + _legend(curves)


def spread(places: Sequence[float], gap: float, limits: Interval) -> list[float]:
    """Move places apart until no two are nearer than ``gap``, by the least sum of squared ways.

    Their order stays. The places less their rank times the gap must not fall, which is isotonic regression:
    neighbours that would are pooled (Ayer et al. 1955).

    Args:
        places: Where labels would stand.
        gap: Least distance of two.
        limits: Where the first and the last may stand; the first is kept if there is not room for all.
    """
    order = sorted(range(len(places)), key=lambda index: places[index])
    pools: list[tuple[float, int]] = []  # mean and size
    for rank, index in enumerate(order):
        mean, size = places[index] - rank * gap, 1
        while pools and pools[-1][0] > mean:
            other, count = pools.pop()
            mean, size = (other * count + mean * size) / (count + size), count + size
        pools.append((mean, size))
    highest = limits[1] - gap * (len(places) - 1)
    moved = [max(min(mean, highest), limits[0]) for mean, size in pools for _ in range(size)]
    found = dict(zip(order, (place + rank * gap for rank, place in enumerate(moved)), strict=True))
    return [found[index] for index in range(len(places))]


def _chart(parts: Iterable[str], height: float, told: str) -> str:
    return (
        f'<svg class="chart" role="img" height="{height:.0f}" aria-label="{escape(told)}">\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _bar(bar: Bar, axis: Axis, top: int) -> str:
    is_broken = not axis.low <= 0 <= axis.high
    begin, end = axis.low if is_broken else 0.0, bar.value
    left, right = sorted((axis.share(begin), axis.share(end)))
    middle, short = top + 26, _short(bar.label, "bar")
    parts = [
        f'<g class="{bar.style}"><title>{escape(bar.label)}: {escape(bar.text)}</title>',
        f'<text y="{top + 14}">{escape(short)}</text>',
        f'<text class="value end" x="100%" y="{top + 14}">{escape(bar.text)}</text>',
        f'<rect class="bar" x="{_inside(left)}" y="{middle - 6}" width="{INSIDE * (right - left):.2f}%" '
        'height="12"/>',
    ]
    if is_broken:  # the sign of a broken bar: a slanted gap
        gap = '<path class="break" d="M6 16l6 -16"/>'
        parts.append(f'<svg x="{_inside(0)}" y="{middle - 8}" width="20" height="16">{gap}</svg>')
    if bar.interval:
        low, high = (_inside(axis.share(value)) for value in bar.interval)
        for kind in ("halo", "whisker"):
            parts.append(
                f'<g class="{kind}"><line x1="{low}" y1="{middle}" x2="{high}" y2="{middle}"/>'
                f'<line x1="{low}" y1="{middle - 4}" x2="{low}" y2="{middle + 4}"/>'
                f'<line x1="{high}" y1="{middle - 4}" x2="{high}" y2="{middle + 4}"/></g>'
            )
    return "".join(parts) + "</g>"


def _curve(curve: Curve, places: Sequence[tuple[float, float]], axis: Axis) -> Iterator[str]:
    points = " ".join(f"{100 * x:.2f},{100 * y:.2f}" for x, y in places)
    yield f'<g class="{curve.style}"><title>{escape(curve.label)}</title>'
    # A line through points in shares of both sides needs an area of its own that is stretched.
    yield (
        f'<svg x="11%" y="8" width="85%" height="{CURVES}" viewBox="0 0 100 100" preserveAspectRatio="none">'
        f'<polyline class="curve" points="{points}"/></svg>'
    )
    if len(places) <= MARKED:
        for (x, y), interval in zip(places, curve.intervals or [None] * len(places), strict=True):
            if interval:
                low, high = (8 + CURVES * (1 - axis.share(value)) for value in interval)
                ends = f'y1="{low:.1f}" x2="{_across(x)}" y2="{high:.1f}"'
                yield f'<line class="whisker" x1="{_across(x)}" {ends}/>'
            if y <= 1:
                yield f'<circle cx="{_across(x)}" cy="{8 + CURVES * y:.1f}" r="3.5"/>'
    yield "</g>"


def _legend(curves: Sequence[Curve]) -> str:
    items = "".join(
        f'<li><svg class="{curve.style}" width="28" height="10" aria-hidden="true">'
        f'<line class="curve" x1="1" y1="5" x2="27" y2="5"/></svg> {escape(curve.label)}</li>'
        for curve in curves
    )
    return f'<ul class="legend">{items}</ul>\n'


def _vertical_ticks(axis: Axis, height: int) -> Iterator[str]:
    for tick in axis.ticks:
        across, kind = _inside(axis.share(tick)), "grid zero" if tick == 0 else "grid"
        yield f'<line class="{kind}" x1="{across}" y1="4" x2="{across}" y2="{height}"/>'
        yield f'<text class="tick middle" x="{across}" y="{height + 16}">{_number(tick, axis)}</text>'


def _horizontal_ticks(axis: Axis) -> Iterator[str]:
    for tick in axis.ticks:
        down = 8 + CURVES * (1 - axis.share(tick))
        yield f'<line class="grid" x1="11%" y1="{down:.1f}" x2="96%" y2="{down:.1f}"/>'
        yield f'<text class="tick end" x="10%" y="{down + 4:.1f}">{_number(tick, axis)}</text>'


def _number(tick: float, axis: Axis) -> str:
    step = axis.ticks[1] - axis.ticks[0]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{tick:.{decimals}f}".replace("-", "−")


def _inside(share: float) -> str:
    """A place across the area of bars, which leaves room for half a number at both ends."""
    return f"{(100 - INSIDE) / 2 + INSIDE * share:.2f}%"


def _across(share: float) -> str:
    """A place across the area of curves, right of the numbers along its axis."""
    return f"{11 + 85 * share:.2f}%"


def _short(label: str, kind: str) -> str:
    """A label, cut if it is long, that does not turn round the direction of what stands beside it."""
    most = MOST_CHARACTERS[kind]
    return isolate(label if len(label) <= most else label[: most - 1] + "…")
