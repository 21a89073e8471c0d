"""SVG charts for HTML pages: bars with intervals, slope charts and curves.

Horizontal lengths are percentages and vertical lengths are pixels, so that a chart fills the width of its
container without scaling the text. Colours are classes of ``charts.css``.

matplotlib's SVG was worse to read on a page 390 pixels wide: its text shrank to 7 or 8 pixels (here 12.5) and
labels took 40 % of the width. In dark mode its black axes and labels were invisible.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from tagger.reports.page import escape, isolate

ROW = 36  # height of a bar with its label, in pixels
HEADING = 26  # height of a group's heading, in pixels
LINE = 17  # minimum distance of two labels of a slope chart, in pixels
TICKS = 22  # height of tick labels, in pixels
CURVES = 220  # height of the plot area of curves, in pixels
INSIDE = 90  # width of the plot area of bars, in percent of the chart
MARKED = 10  # curves with at most this many points show point markers
MOST_CHARACTERS = {"bar": 34, "slope": 11}  # maximum length of labels; the tooltip has the full text

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Axis:
    """A range of numbers between two round numbers.

    Attributes:
        low: The lower end.
        high: The upper end.
        ticks: The round numbers in the range.
    """

    low: float
    high: float
    ticks: Sequence[float]

    def share(self, value: float) -> float:
        """Return the relative position of a value: 0 at the lower end, 1 at the upper end."""
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Attributes:
        label: The bar's label.
        value: The value.
        text: The formatted value.
        interval: Confidence interval of the value, None if unknown.
        style: CSS classes.
    """

    label: str
    value: float
    text: str
    interval: Interval | None = None
    style: str = "s0"


@dataclass(frozen=True, slots=True)
class Slope:
    """A line from a value on the left to one on the right, with both values and their formatted texts."""

    label: str
    left: float
    right: float
    texts: tuple[str, str]
    style: str = "s0"


@dataclass(frozen=True, slots=True)
class Curve:
    """A line through points.

    Attributes:
        label: The curve's label.
        points: Pairs of x and y, sorted by x.
        intervals: Confidence interval of each y; empty if unknown.
        style: CSS classes.
    """

    label: str
    points: Sequence[tuple[float, float]]
    intervals: Sequence[Interval | None] = ()
    style: str = "s0"


def read_chart_style() -> str:
    """Return the CSS rules that charts need in addition to those of ``reports.page``."""
    return files("tagger.reports").joinpath("charts.css").read_text(encoding="utf-8")


def fit_axis(values: Iterable[float], *, ticks: int = 4) -> Axis:
    """Return an axis that contains all values; its step is 1, 2 or 5 times a power of ten.

    Args:
        values: The values.
        ticks: Approximate number of steps.
    """
    values = list(values)
    low, high = min(values, default=0.0), max(values, default=0.0)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / ticks
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return Axis(first * step, last * step, [number * step for number in range(first, last + 1)])


def draw_bars(groups: Mapping[str, Sequence[Bar]], axis: Axis, *, title: str) -> str:
    """Draw a horizontal bar chart; labels and values are above the bars.

    Bars begin at 0 if the axis contains it. Otherwise they begin at its lower end and have a gap as a sign of
    the broken axis.

    Args:
        groups: The bars of each group by heading; "" is no heading.
        axis: An axis that contains all values and intervals.
        title: The chart's title, for screen readers.
    """
    height = sum(HEADING * bool(name) + ROW * len(bars) for name, bars in groups.items())
    elements, top = list(_vertical_ticks(axis, height)), 0
    for name, bars in groups.items():
        if name:
            elements.append(f'<text class="heading" y="{top + 19}">{escape(name)}</text>')
            top += HEADING
        for bar in bars:
            elements.append(_bar(bar, axis, top))
            top += ROW
    values = "; ".join(f"{bar.label} {bar.text}" for bars in groups.values() for bar in bars)
    return _chart(elements, height + TICKS, f"{title}: {values}")


def draw_slopes(slopes: Sequence[Slope], *, sides: tuple[str, str], title: str) -> str:
    """Draw a slope chart: a line per label between its values on both sides, dashed if it falls.

    Args:
        slopes: The lines.
        sides: Names of the sides.
        title: The chart's title, for screen readers.
    """
    values = [value for slope in slopes for value in (slope.left, slope.right)]
    axis, height = fit_axis(values), LINE * max(len(slopes), 9)
    heights = {value: TICKS + height * (1 - axis.share(value)) for value in values}
    limits = (TICKS + 6.0, TICKS + height - 6.0)
    lefts = spread([heights[slope.left] for slope in slopes], LINE, limits)
    rights = spread([heights[slope.right] for slope in slopes], LINE, limits)
    elements = [
        f'<text class="heading end" x="46%" y="14">{escape(sides[0])}</text>',
        f'<text class="heading end" x="100%" y="14">{escape(sides[1])}</text>',
    ]
    for slope, left, right in zip(slopes, lefts, rights, strict=True):
        ends = heights[slope.left], heights[slope.right]
        is_falling = " dash3" * (slope.right < slope.left)
        elements.append(
            f'<g class="{slope.style}{is_falling}"><title>{escape(slope.label)}: {slope.texts[0]} → '
            f"{slope.texts[1]}</title>"
            f'<line class="lead" x1="46.5%" y1="{left:.1f}" x2="49%" y2="{ends[0]:.1f}"/>'
            f'<line class="slope" x1="49%" y1="{ends[0]:.1f}" x2="77%" y2="{ends[1]:.1f}"/>'
            f'<line class="lead" x1="77%" y1="{ends[1]:.1f}" x2="79.5%" y2="{right:.1f}"/>'
            f'<text class="end" x="46%" y="{left + 4:.1f}">{escape(_short(slope.label, "slope"))} '
            f"<tspan>{slope.texts[0]}</tspan></text>"
            f'<text x="80%" y="{right + 4:.1f}">{slope.texts[1]}</text>'
            f'<circle cx="49%" cy="{ends[0]:.1f}" r="3"/><circle cx="77%" cy="{ends[1]:.1f}" r="3"/></g>'
        )
    values_text = "; ".join(f"{slope.label} {slope.texts[0]} → {slope.texts[1]}" for slope in slopes)
    return _chart(elements, TICKS + height + 8, f"{title}: {values_text}")


def draw_curves(
    curves: Sequence[Curve], axis: Axis, *, marks: Mapping[float, str], title: str, below: str
) -> str:
    """Draw curves with a legend; values below the axis are clipped.

    Args:
        curves: The lines.
        axis: The y axis.
        marks: Tick positions on the x axis with their labels; the smallest and largest are its ends.
        title: The chart's title, for screen readers.
        below: Label of the x axis.
    """
    first, last = min(marks), max(marks)
    elements = list(_horizontal_ticks(axis))
    for position, text in marks.items():
        across = _across((position - first) / max(last - first, 1e-9))
        elements.append(f'<text class="tick middle" x="{across}" y="{CURVES + 26}">{escape(text)}</text>')
    elements.append(f'<text class="tick end" x="100%" y="{CURVES + 44}">{escape(below)}</text>')
    for curve in curves:
        points = [((x - first) / max(last - first, 1e-9), 1 - axis.share(y)) for x, y in curve.points]
        elements += _curve(curve, points, axis)
    values = "; ".join(f"{curve.label} {curve.points[-1][1]:.2f}" for curve in curves if curve.points)
    return _chart(elements, CURVES + 50, f"{title}, at the end: {values}") + _legend(curves)


def spread(positions: Sequence[float], gap: float, limits: Interval) -> list[float]:
    """Move positions at least ``gap`` apart, with the minimum sum of squared shifts.

    The order is preserved. Position minus rank times gap must be non-decreasing, which is isotonic
    regression: neighbours that violate it are pooled (Ayer et al. 1955).

    Args:
        positions: Desired positions of labels.
        gap: Minimum distance of two positions.
        limits: Limits of the first and the last position; the first one has priority if space is short.
    """
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    pools: list[tuple[float, int]] = []  # mean and size
    for rank, index in enumerate(order):
        mean, size = positions[index] - rank * gap, 1
        while pools and pools[-1][0] > mean:
            other, count = pools.pop()
            mean, size = (other * count + mean * size) / (count + size), count + size
        pools.append((mean, size))
    highest = limits[1] - gap * (len(positions) - 1)
    shifted = [max(min(mean, highest), limits[0]) for mean, size in pools for _ in range(size)]
    result = dict(zip(order, (value + rank * gap for rank, value in enumerate(shifted)), strict=True))
    return [result[index] for index in range(len(positions))]


def _chart(elements: Iterable[str], height: float, label: str) -> str:
    return (
        f'<svg class="chart" role="img" height="{height:.0f}" aria-label="{escape(label)}">\n'
        + "\n".join(elements)
        + "\n</svg>\n"
    )


def _bar(bar: Bar, axis: Axis, top: int) -> str:
    is_broken = not axis.low <= 0 <= axis.high
    begin, end = axis.low if is_broken else 0.0, bar.value
    left, right = sorted((axis.share(begin), axis.share(end)))
    middle, short = top + 26, _short(bar.label, "bar")
    elements = [
        f'<g class="{bar.style}"><title>{escape(bar.label)}: {escape(bar.text)}</title>',
        f'<text y="{top + 14}">{escape(short)}</text>',
        f'<text class="value end" x="100%" y="{top + 14}">{escape(bar.text)}</text>',
        f'<rect class="bar" x="{_inside(left)}" y="{middle - 6}" width="{INSIDE * (right - left):.2f}%" '
        'height="12"/>',
    ]
    if is_broken:  # a slanted gap marks a broken axis
        gap = '<path class="break" d="M6 16l6 -16"/>'
        elements.append(f'<svg x="{_inside(0)}" y="{middle - 8}" width="20" height="16">{gap}</svg>')
    if bar.interval:
        low, high = (_inside(axis.share(value)) for value in bar.interval)
        for kind in ("halo", "whisker"):
            elements.append(
                f'<g class="{kind}"><line x1="{low}" y1="{middle}" x2="{high}" y2="{middle}"/>'
                f'<line x1="{low}" y1="{middle - 4}" x2="{low}" y2="{middle + 4}"/>'
                f'<line x1="{high}" y1="{middle - 4}" x2="{high}" y2="{middle + 4}"/></g>'
            )
    return "".join(elements) + "</g>"


def _curve(curve: Curve, positions: Sequence[tuple[float, float]], axis: Axis) -> Iterator[str]:
    points = " ".join(f"{100 * x:.2f},{100 * y:.2f}" for x, y in positions)
    yield f'<g class="{curve.style}"><title>{escape(curve.label)}</title>'
    # A polyline with relative coordinates needs its own stretched viewport.
    yield (
        f'<svg x="11%" y="8" width="85%" height="{CURVES}" viewBox="0 0 100 100" preserveAspectRatio="none">'
        f'<polyline class="curve" points="{points}"/></svg>'
    )
    if len(positions) <= MARKED:
        for (x, y), interval in zip(positions, curve.intervals or [None] * len(positions), strict=True):
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
    """Return a horizontal position in the plot area of bars, which has margins for tick labels."""
    return f"{(100 - INSIDE) / 2 + INSIDE * share:.2f}%"


def _across(share: float) -> str:
    """Return a horizontal position in the plot area of curves, to the right of the tick labels."""
    return f"{11 + 85 * share:.2f}%"


def _short(label: str, kind: str) -> str:
    """Truncate a long label and isolate its text direction."""
    most = MOST_CHARACTERS[kind]
    return isolate(label if len(label) <= most else label[: most - 1] + "…")
