"""Parse charts as XML and compare lengths and positions with the values."""

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.reports.charts import (
    CURVES,
    INSIDE,
    LINE,
    Axis,
    Bar,
    Curve,
    Slope,
    draw_bars,
    draw_curves,
    draw_slopes,
    fit_axis,
    read_chart_style,
    spread,
)

NUMBERS = st.floats(-1e4, 1e4)
NASTY = ["<script>x</script>", "\"'&amp;", "x" * 300, "\u202eabc", ""]


def read(chart):
    """Return the root of a chart, which can have a legend."""
    return ET.fromstring(f"<div>{chart}</div>")


def find(root, tag, kind):
    return [one for one in root.iter(tag) if kind in one.get("class", "").split()]


def share(element, name):
    """Return a relative position in the plot area of bars, from 0 to 1."""
    return (float(element.get(name).removesuffix("%")) - (100 - INSIDE) / 2) / INSIDE


@given(st.lists(NUMBERS, min_size=1))
def test_an_axis_contains_all_values_and_has_few_ticks(values):
    axis = fit_axis(values)
    assert all(-1e-6 <= axis.share(value) <= 1 + 1e-6 for value in values)
    assert 2 <= len(axis.ticks) <= 7
    assert axis.ticks[0] == axis.low < axis.high == axis.ticks[-1]


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0, 10], [0, 5, 10]),
        ([84.3, 91.2], [84, 86, 88, 90, 92]),
        ([-1, 3], [-1, 0, 1, 2, 3]),
        ([0.5], [0, 0.5, 1]),
        ([], [-0.5, 0, 0.5]),
    ],
)
def test_ticks_are_round(values, ticks):
    result = fit_axis(values).ticks
    assert result[0] == pytest.approx(ticks[0])
    assert result[-1] == pytest.approx(ticks[-1])
    assert set(ticks) <= {round(tick, 9) for tick in result}


@given(st.dictionaries(st.text("abc", max_size=3), st.lists(NUMBERS, min_size=1, max_size=4), min_size=1))
def test_lengths_of_bars_match_their_values(groups):
    bars = {
        name: [Bar(f"{name}{number}", value, f"{value:.1f}", (value - 1, value + 2)) for number, value in own]
        for name, own in ((name, list(enumerate(values))) for name, values in groups.items())
    }
    values = [value for own in groups.values() for value in own]
    axis = fit_axis([*(value - 1 for value in values), *(value + 2 for value in values)])
    root = read(draw_bars(bars, axis, title="t"))
    begin = 0 if axis.low <= 0 <= axis.high else axis.low
    drawn = find(root, "rect", "bar")
    assert len(drawn) == len(values)
    assert len(find(root, "path", "break")) == (len(values) if begin else 0)
    for bar, value in zip(drawn, values, strict=True):
        left, width = share(bar, "x"), float(bar.get("width").removesuffix("%")) / INSIDE
        ends = sorted([axis.share(begin), axis.share(value)])
        assert (left, left + width) == pytest.approx(tuple(ends), abs=1e-3)
    whiskers = [group[0] for group in find(root, "g", "whisker")]
    for line, value in zip(whiskers, values, strict=True):
        assert share(line, "x1") == pytest.approx(axis.share(value - 1), abs=1e-3)
        assert share(line, "x2") == pytest.approx(axis.share(value + 2), abs=1e-3)
    tops = [float(bar.get("y")) for bar in drawn]
    assert all(below - above > 12 for above, below in pairwise(tops))
    assert tops[-1] + 12 < float(root[0].get("height"))


def test_a_bar_without_interval_has_no_whisker():
    root = read(draw_bars({"": [Bar("a", 1.0, "1")]}, fit_axis([0, 1]), title="t"))
    assert find(root, "rect", "bar")
    assert not find(root, "g", "whisker")


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=20))
def test_slopes_match_their_values_and_labels_do_not_overlap(pairs):
    slopes = [Slope(f"l{number}", *pair, ("a", "b")) for number, pair in enumerate(pairs)]
    root = read(draw_slopes(slopes, sides=("left", "right"), title="t"))
    lines = find(root, "line", "slope")
    lows = [value for pair in pairs for value in pair]
    axis = fit_axis(lows)
    for line, (left, right) in zip(lines, pairs, strict=True):
        rise = (float(line.get("y1")) - float(line.get("y2"))) / (LINE * max(len(pairs), 9))
        assert rise == pytest.approx(axis.share(right) - axis.share(left), abs=2e-3)
    falling = [("dash3" in group.get("class")) for group in root[0].iter("g")]
    assert falling == [right < left for left, right in pairs]
    for side in ("46%", "80%"):
        heights = sorted(float(text.get("y")) for text in root.iter("text") if text.get("x") == side)
        assert all(b - a >= LINE - 0.2 for a, b in pairwise(heights[1:]))
        assert heights[-1] < float(root[0].get("height"))


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=12), st.floats(1, 20))
def test_spread_preserves_order_and_mean_and_ensures_the_gap(positions, gap):
    wide = (-10_000, 10_000)
    result = spread(positions, gap, wide)
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    moved = [result[index] for index in order]
    assert all(b - a >= gap - 1e-6 for a, b in pairwise(moved))
    assert sum(result) == pytest.approx(sum(positions), abs=1e-6)
    if all(positions[b] - positions[a] >= gap for a, b in pairwise(order)):
        assert result == pytest.approx(positions)


def test_spread_respects_the_limits():
    assert spread([5, 5, 5], 2, (4, 20)) == pytest.approx([4, 6, 8])
    assert spread([19, 20], 4, (0, 20)) == pytest.approx([16, 20])
    assert spread([], 4, (0, 20)) == []


def test_curves_go_through_their_points():
    points = [(0.0, 10.0), (1.0, 30.0), (2.0, 20.0)]
    curves = [Curve("one", points, [(9, 11), None, (15, 25)]), Curve("two", [(0, -5), (2, 30)], style="s1")]
    axis = Axis(0.0, 40.0, [0.0, 20.0, 40.0])
    marks = {0.0: "0", 1.0: "1", 2.0: "all"}
    root = read(draw_curves(curves, axis, marks=marks, title="t", below="words"))
    drawn = [line.get("points") for line in root.iter("polyline")]
    assert drawn == ["0.00,75.00 50.00,25.00 100.00,50.00", "0.00,112.50 100.00,25.00"]
    circles = [float(one.get("cy")) for one in root.iter("circle")]
    assert circles == pytest.approx([8 + CURVES * y for y in (0.75, 0.25, 0.5, 0.25)])  # one point is clipped
    assert len(find(root, "line", "whisker")) == 2
    assert [one.text or one[0].tail.strip() for one in root.iter("li")] == ["one", "two"]
    assert [text.text for text in find(root, "text", "middle")] == ["0", "1", "all"]


def test_a_chart_has_a_label_for_screen_readers_and_escapes_text():
    charts = [
        draw_bars({name: [Bar(name, 1.0, "1.00")] for name in NASTY}, fit_axis([0, 1]), title=NASTY[0]),
        draw_slopes([Slope(name, 0, 1, ("0", "1")) for name in NASTY], sides=("<a>", "<b>"), title=NASTY[0]),
        draw_curves(
            [Curve(name, [(0, 0), (1, 1)]) for name in NASTY],
            fit_axis([0, 1]),
            marks={0: "<0>", 1: "1"},
            title=NASTY[0],
            below="<i>",
        ),
    ]
    for chart in charts:
        root = read(chart)
        assert root[0].get("role") == "img"
        assert root[0].get("aria-label").startswith(NASTY[0])
        assert all(name in root[0].get("aria-label") for name in NASTY)
        assert {one.tag for one in root.iter()} <= {
            *("div", "svg", "g", "title", "text", "tspan", "line", "rect", "path", "circle", "polyline"),
            *("ul", "li"),
        }


def luminance(colour):
    channels = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    red, green, blue = (((v + 0.055) / 1.055) ** 2.4 if v > 0.04 else v / 12.92 for v in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(("background", "mode"), [("#ffffff", 0), ("#15171a", 1)])
def test_colours_contrast_with_the_page_and_directions_differ_in_lightness(background, mode):
    lights, darks = (
        dict(re.findall(r"--(s\d):(#\w{6})", rule)) for rule in read_chart_style().splitlines()[:2]
    )
    colours = {name: luminance(colour) for name, colour in (darks if mode else lights).items()}
    assert len(colours) == 7
    page = luminance(background)
    for own in colours.values():
        assert (max(own, page) + 0.05) / (min(own, page) + 0.05) >= 3  # WCAG 2.1, 1.4.11
    directions = sorted(colours[name] + 0.05 for name in ("s0", "s1", "s2"))
    assert all(b / a >= 1.25 for a, b in pairwise(directions))
