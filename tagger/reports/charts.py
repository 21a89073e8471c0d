"""SVG charts for HTML pages: bars with intervals, slope charts and curves.

Horizontal lengths are percentages and vertical lengths are pixels, so that a chart fills the width of its
container without scaling the text. Colours are classes of ``charts.css``.

matplotlib's SVG was worse to read on a page 390 pixels wide: its text shrank to 7 or 8 pixels (here 12.5) and
labels took 40 % of the width. In dark mode its black axes and labels were invisible.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tagger.reports.page import isolate
from tagger.reports.templates import read_source, render

ROW = 36  # height of a bar with its label, in pixels
HEADING = 26  # height of a group's heading, in pixels
LINE = 17  # minimum distance of two labels of a slope chart, in pixels
TICKS = 22  # height of tick labels, in pixels
CURVES = 220  # height of the plot area of curves, in pixels
INSIDE = 90  # width of the plot area of bars, in percent of the chart
MARKED = 10  # curves with at most this many points show point markers
MAX_CHARACTERS = {"bar": 34, "slope": 11}  # maximum length of labels; the tooltip has the full text

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
    return read_source("reports/charts.css")


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
    items, top = list[dict[str, Any]](), 0
    is_broken = not axis.low <= 0 <= axis.high
    for name, bars in groups.items():
        if name:
            items.append({"heading": name, "top": top})
            top += HEADING
        for bar in bars:
            left, right = sorted((axis.share(axis.low if is_broken else 0.0), axis.share(bar.value)))
            items.append(
                {
                    "bar": bar,
                    "top": top,
                    "short": _short(bar.label, "bar"),
                    "left": _inside(left),
                    "width": f"{INSIDE * (right - left):.2f}%",
                    "interval": bar.interval and [_inside(axis.share(value)) for value in bar.interval],
                }
            )
            top += ROW
    values = "; ".join(f"{bar.label} {bar.text}" for bars in groups.values() for bar in bars)
    return _render(
        "bars",
        height=top + TICKS,
        label=f"{title}: {values}",
        plot_height=top,
        ticks=[
            {"position": _inside(axis.share(tick)), "text": _number(tick, axis), "is_zero": tick == 0}
            for tick in axis.ticks
        ],
        items=items,
        is_broken=is_broken,
        start=_inside(0),
    )


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
    items = [
        {
            "slope": slope,
            "short": _short(slope.label, "slope"),
            "is_falling": slope.right < slope.left,
            "left": left,
            "right": right,
            "start": heights[slope.left],
            "end": heights[slope.right],
        }
        for slope, left, right in zip(slopes, lefts, rights, strict=True)
    ]
    values_text = "; ".join(f"{slope.label} {slope.texts[0]} → {slope.texts[1]}" for slope in slopes)
    label = f"{title}: {values_text}"
    return _render("slopes", height=TICKS + height + 8, label=label, sides=sides, items=items)


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
    length = max(last - first, 1e-9)
    values = "; ".join(f"{curve.label} {curve.points[-1][1]:.2f}" for curve in curves if curve.points)
    return _render(
        "curves",
        height=CURVES + 50,
        label=f"{title}, at the end: {values}",
        plot_height=CURVES,
        ticks=[{"position": _down(axis.share(tick)), "text": _number(tick, axis)} for tick in axis.ticks],
        marks=[{"position": _across((x - first) / length), "text": text} for x, text in marks.items()],
        below=below,
        items=[_curve_item(curve, axis, first, length) for curve in curves],
    )


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


def _render(kind: str, **values: object) -> str:
    """Return the chart of ``charts.html``: bars, slopes or curves."""
    return "".join(render("reports/charts.html", kind=kind, **values)).lstrip()


def _curve_item(curve: Curve, axis: Axis, first: float, length: float) -> dict[str, Any]:
    """Return a curve with its line in percent of the plot area, and its point markers."""
    shares = [((x - first) / length, axis.share(y)) for x, y in curve.points]
    points = []
    if len(shares) <= MARKED:
        intervals = curve.intervals or [None] * len(shares)
        points = [
            {
                "x": _across(x),
                "y": _down(y),
                "is_visible": y >= 0,
                "interval": interval and [_down(axis.share(value)) for value in interval],
            }
            for (x, y), interval in zip(shares, intervals, strict=True)
        ]
    return {
        "curve": curve,
        "line": " ".join(f"{100 * x:.2f},{100 * (1 - y):.2f}" for x, y in shares),
        "points": points,
    }


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


def _down(share: float) -> float:
    """Return a vertical position in the plot area of curves, in pixels."""
    return 8 + CURVES * (1 - share)


def _short(label: str, kind: str) -> str:
    """Truncate a long label and isolate its text direction."""
    limit = MAX_CHARACTERS[kind]
    return isolate(label if len(label) <= limit else label[: limit - 1] + "…")
