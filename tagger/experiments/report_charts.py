"""Draw the charts of the page, each with its caption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tagger.evaluation.significance import Estimate
from tagger.experiments.contrasts import Contrast, GroupKind
from tagger.experiments.findings import Findings, LookaheadCurve, Row
from tagger.experiments.grid import Variant
from tagger.experiments.report_tables import GROUP_TITLES, compared_rows, encoder_title, select_groups
from tagger.experiments.report_text import HEADS, format_gain, format_score
from tagger.reports.charts import (
    Axis,
    Bar,
    Curve,
    Interval,
    Slope,
    draw_bars,
    draw_curves,
    draw_slopes,
    fit_axis,
)
from tagger.text.markup import label_hues

EPOCH_MARKS = 5  # maximum number of axis marks below a learning curve
STYLES = {  # by direction; bidirectional variants by merge mode
    "forward": "s0",
    "backward": "s1 dash1",
    "concat": "s2",
    "sum": "s3 dash3",
    "mul": "s4 dash2",
    "ave": "s5 dash4",
}
RANDOM = "s6"  # trained with a random lookahead
GAIN, LOSS = "s2", "s0"
DRAWN_GROUPS: tuple[GroupKind, ...] = ("vocabulary", "position", "length", "span")  # labels are slopes


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart as SVG, and its caption."""

    chart: str
    caption: str


def score_figure(rows: Sequence[Row], split: str, caption: str) -> Figure:
    """Draw the scores on a split as bars, grouped by head."""
    groups: dict[str, list[Bar]] = {}
    for row in rows:
        score = row.scores.get(split)
        if score:
            label, text, style = encoder_title(row.variant), format_score(score.mean), _style(row.variant)
            bar = Bar(label, 100 * score.mean, text, _interval(score), style)
            groups.setdefault(HEADS[row.variant.head], []).append(bar)
    values = [value for row in rows if split in row.scores for value in _extent(row.scores[split])]
    low, high = min(values, default=0.0), max(values, default=100.0)
    axis = fit_axis([max(0.0, low - (high - low) / 3), min(100.0, high)])
    text = f"{caption} {split}, with 95 % intervals over seeds."
    if axis.low > 0:
        text += f" The axis starts at {axis.low:g}: compare the ends of the bars, not their lengths."
    return Figure(draw_bars(groups, axis, title=f"{caption} {split}"), text)


def label_figure(contrast: Contrast) -> Figure:
    """Draw the score of each label as a slope from the forward to the bidirectional variant."""
    labels = select_groups(contrast, "label")
    hues = label_hues(one.bucket for one in labels)
    slopes = [_slope(one.bucket, one.base, one.other, f"hue h{hues[one.bucket]}") for one in labels]
    sides = contrast.base.direction, contrast.other.direction
    chart = draw_slopes(slopes, sides=sides, title=f"Score of each label with {HEADS[contrast.base.head]}")
    return Figure(chart, "Score of each label; dashed lines fall.")


def fit_gains(contrasts: Sequence[Contrast]) -> Axis:
    """Fit one axis to the gains of all contrasts, so that the charts are comparable."""
    gains = [
        group.difference for contrast in contrasts for group in contrast.groups if group.kind in DRAWN_GROUPS
    ]
    # A bucket with few items has a wide interval. It runs off the axis instead of shrinking all bars.
    limit = 150 * max((abs(gain.mean) for gain in gains), default=0.0)
    ends = [value for gain in gains for value in _extent(gain)]
    return fit_axis([0.0, *(min(max(end, -limit), limit) for end in ends)])


def gain_figure(contrast: Contrast, axis: Axis) -> Figure:
    """Draw the gain as bars: in and out of vocabulary, by position and length, for boundaries and types."""
    groups: dict[str, list[Bar]] = {}
    for kind in DRAWN_GROUPS:
        for group in select_groups(contrast, kind):
            gain = group.difference
            style, text = GAIN if gain.mean >= 0 else LOSS, format_gain(gain.mean)
            bar = Bar(group.bucket, 100 * gain.mean, text, _interval(gain), style)
            groups.setdefault(GROUP_TITLES[kind].capitalize(), []).append(bar)
    chart = draw_bars(groups, axis, title=f"Gain in points with {HEADS[contrast.base.head]}")
    return Figure(chart, "Gain in points, with 95 % intervals over seeds.")


def heads_figure(pairs: Sequence[tuple[Row, Row]]) -> Figure:
    """Draw the score of each encoder as a slope from softmax to CRF."""
    slopes = []
    for softmax, crf in pairs:
        variant = softmax.variant
        is_plain = variant.merge_mode in (None, "concat")
        name = variant.direction if is_plain else str(variant.merge_mode)
        slopes.append(_slope(name, softmax.scores["dev"], crf.scores["dev"], _style(variant)))
    chart = draw_slopes(slopes, sides=("softmax", "CRF"), title="Scores on dev with both heads")
    return Figure(chart, "Score on dev of each direction (or merge mode) with both heads.")


def curves_figure(rows: Sequence[Row], head: str) -> Figure:
    """Draw the learning curves of the variants of one head."""
    curves = [
        Curve(
            encoder_title(row.variant) + ", random lookahead" * (row.variant.lookahead == "random"),
            [(epoch, 100 * score) for epoch, score in enumerate(row.curve, start=1)],
            style=_style(row.variant),
        )
        for row in rows
    ]
    # The first epochs score far below the others. The axis cuts them off, so that differences stay visible.
    lowest = min(min(row.curve[len(row.curve) // 4 :]) for row in rows)
    axis = fit_axis([100 * lowest, *(100 * max(row.curve) for row in rows)])
    epochs = max(len(row.curve) for row in rows)
    step = -(-epochs // EPOCH_MARKS)
    marks = {float(epoch): str(epoch) for epoch in (1, *range(step, epochs - step // 2, step), epochs)}
    title = f"Score on dev by epoch with {HEADS[rows[0].variant.head]}"
    chart = draw_curves(curves, axis, marks=marks, title=title, below="epochs")
    is_cut = min(100 * row.curve[0] for row in rows) < axis.low
    note = " The first epochs score below the axis." * is_cut
    return Figure(chart, f"{head}: score on dev, mean over seeds.{note}")


def cost_figure(costs: Sequence[tuple[Row, float, str]], caption: str) -> Figure:
    """Draw the cost of each variant as bars.

    Args:
        costs: For each variant its row, the cost, and the cost as text.
        caption: Title and caption of the chart.
    """
    bars = [Bar(row.variant.title, cost, text, style=_style(row.variant)) for row, cost, text in costs]
    axis = fit_axis([0.0, *(bar.value for bar in bars)])
    return Figure(draw_bars({"": bars}, axis, title=caption), f"{caption}.")


def lookahead_figure(curves: Sequence[LookaheadCurve], findings: Findings, head: str) -> Figure:
    """Draw score against lookahead for the variants of one head, with levels for whole sentences."""
    positions = _lookahead_positions(curves)
    drawn = [
        Curve(
            _training_title(curve.variant),
            [(positions[point.words], 100 * point.score.mean) for point in curve.points],
            [_interval(point.score) for point in curve.points],
            _style(curve.variant),
        )
        for curve in curves
    ]
    for row in compared_rows(findings):
        if row.variant.head == curves[0].variant.head and row.variant.direction != "backward":
            score, style = 100 * row.scores["dev"].mean, _style(row.variant).partition(" ")[0]
            level = [(min(positions.values()), score), (max(positions.values()), score)]
            name = f"{encoder_title(row.variant)}, whole sentences"
            drawn.append(Curve(name, level, style=f"{style} level"))
    values = [y for curve in drawn for _, y in curve.points]
    values += [end for curve in drawn for interval in curve.intervals if interval for end in interval]
    chart = draw_curves(
        drawn,
        fit_axis(values),
        marks=_lookahead_marks(positions),
        title=f"Score on dev by lookahead with {head}",
        below="lookahead (words)",
    )
    return Figure(chart, f"{head}: score on dev by lookahead, with 95 % intervals over seeds.")


def word_cost_figure(curves: Sequence[LookaheadCurve], head: str) -> Figure | None:
    """Draw the time per word against lookahead for the variants of one head; None if not measured."""
    positions = _lookahead_positions(curves)
    drawn = []
    for curve in curves:
        costs = [
            (positions[point.words], point.microseconds)
            for point in curve.points
            if point.microseconds is not None
        ]
        if costs:
            drawn.append(Curve(_training_title(curve.variant), costs, style=_style(curve.variant)))
    if not drawn:
        return None
    chart = draw_curves(
        drawn,
        fit_axis([0.0, *(cost for curve in drawn for _, cost in curve.points)]),
        marks=_lookahead_marks(positions),
        title=f"Microseconds per word by lookahead with {head}",
        below="lookahead (words)",
    )
    return Figure(chart, f"{head}: microseconds per word when words arrive one at a time.")


def _lookahead_positions(curves: Sequence[LookaheadCurve]) -> dict[int | None, float]:
    """Map each lookahead to its position on the axis, equally spaced; whole sentences come last."""
    lookaheads = {point.words for curve in curves for point in curve.points}
    ordered = sorted(lookaheads, key=lambda words: (words is None, words or 0))
    return {words: float(position) for position, words in enumerate(ordered)}


def _lookahead_marks(positions: dict[int | None, float]) -> dict[float, str]:
    return {position: "all" if words is None else str(words) for words, position in positions.items()}


def _training_title(variant: Variant) -> str:
    training = "random lookahead" if variant.lookahead == "random" else "whole sentences"
    return f"{encoder_title(variant)}, trained with {training}"


def _slope(label: str, left: Estimate, right: Estimate, style: str) -> Slope:
    texts = format_score(left.mean), format_score(right.mean)
    return Slope(label, 100 * left.mean, 100 * right.mean, texts, style)


def _style(variant: Variant) -> str:
    return RANDOM if variant.lookahead == "random" else STYLES[variant.merge_mode or variant.direction]


def _interval(estimate: Estimate) -> Interval | None:
    if estimate.low is None or estimate.high is None:
        return None
    return 100 * estimate.low, 100 * estimate.high


def _extent(estimate: Estimate) -> tuple[float, ...]:
    return (100 * estimate.mean, *(_interval(estimate) or ()))
