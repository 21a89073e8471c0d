"""The charts of the page, each with its caption."""

from __future__ import annotations

from collections.abc import Sequence

from tagger.evaluation.significance import Estimate
from tagger.experiments.findings import Contrast, Findings, LookaheadCurve, OriginKind, Row
from tagger.experiments.prose import HEADS, format_gain, format_score
from tagger.experiments.report_tables import ORIGINS, compared_rows, encoder_title, origins_of
from tagger.experiments.results import Variant
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
from tagger.reports.page import escape, label_hues

EPOCH_MARKS = 5  # numbers below a learning curve, at most
STYLES = {  # of variants by direction, those of two directions by merge mode
    "forward": "s0",
    "backward": "s1 dash1",
    "concat": "s2",
    "sum": "s3 dash3",
    "mul": "s4 dash2",
    "ave": "s5 dash4",
}
RANDOM = "s6"  # trained with a random lookahead
GAIN, LOSS = "s2", "s0"
DRAWN_GAINS: tuple[OriginKind, ...] = ("novelty", "position", "length", "span")  # labels are slopes


def score_figure(rows: Sequence[Row], part: str, caption: str) -> str:
    """Bars of the scores on a part, below the names of their heads."""
    groups: dict[str, list[Bar]] = {}
    for row in rows:
        score = row.scores.get(part)
        if score:
            label, text, style = encoder_title(row.variant), format_score(score.mean), _style(row.variant)
            bar = Bar(label, 100 * score.mean, text, _interval(score), style)
            groups.setdefault(HEADS[row.variant.head], []).append(bar)
    values = [value for row in rows if part in row.scores for value in _extent(row.scores[part])]
    low, high = min(values, default=0.0), max(values, default=100.0)
    axis = fit_axis([max(0.0, low - (high - low) / 3), min(100.0, high)])
    told = f"{caption} {part}, with 95 % intervals over seeds."
    if axis.low > 0:
        told += f" The axis begins at {axis.low:g}: compare ends, not lengths."
    return _figure(draw_bars(groups, axis, title=f"{caption} {part}"), told)


def label_figure(contrast: Contrast) -> str:
    """Slopes of the labels' scores from one way to both ways."""
    labels = origins_of(contrast, "label")
    hues = label_hues(one.bucket for one in labels)
    slopes = [_slope(one.bucket, one.base, one.other, f"hue h{hues[one.bucket]}") for one in labels]
    sides = contrast.base.direction, contrast.other.direction
    chart = draw_slopes(slopes, sides=sides, title=f"Score of each label under {HEADS[contrast.base.head]}")
    return _figure(chart, "Score of each label; dashed where it falls.")


def fit_gains(contrasts: Sequence[Contrast]) -> Axis:
    """One axis for the gains of all contrasts, so that they can be compared by eye."""
    gains = [one.difference for own in contrasts for one in own.origins if one.kind in DRAWN_GAINS]
    # The wide interval of a bucket with few items must not make all bars short; it runs off the axis.
    most = 150 * max((abs(gain.mean) for gain in gains), default=0.0)
    ends = [value for gain in gains for value in _extent(gain)]
    return fit_axis([0.0, *(min(max(end, -most), most) for end in ends)])


def gain_figure(contrast: Contrast, axis: Axis) -> str:
    """Bars of the gain by novelty, position, length, and for borders and types."""
    groups: dict[str, list[Bar]] = {}
    for kind in DRAWN_GAINS:
        for one in origins_of(contrast, kind):
            gain = one.difference
            style, text = GAIN if gain.mean >= 0 else LOSS, format_gain(gain.mean)
            bar = Bar(one.bucket, 100 * gain.mean, text, _interval(gain), style)
            groups.setdefault(ORIGINS[kind].capitalize(), []).append(bar)
    chart = draw_bars(groups, axis, title=f"Gain in points under {HEADS[contrast.base.head]}")
    return _figure(chart, "Gain in points, with 95 % intervals over seeds.")


def heads_figure(pairs: Sequence[tuple[Row, Row]]) -> str:
    """Slopes of each encoder's score from softmax to CRF."""
    slopes = []
    for softmax, crf in pairs:
        variant = softmax.variant
        is_plain = variant.merge_mode in (None, "concat")
        name = variant.direction if is_plain else str(variant.merge_mode)
        slopes.append(_slope(name, softmax.scores["dev"], crf.scores["dev"], _style(variant)))
    chart = draw_slopes(slopes, sides=("softmax", "CRF"), title="Scores on dev under both heads")
    return _figure(chart, "Score on dev of each direction (or merge mode) under both heads.")


def curves_figure(rows: Sequence[Row], head: str) -> str:
    """Learning curves of the variants of one head."""
    curves = [
        Curve(
            encoder_title(row.variant) + ", random lookahead" * (row.variant.lookahead == "random"),
            [(epoch, 100 * score) for epoch, score in enumerate(row.curve, start=1)],
            style=_style(row.variant),
        )
        for row in rows
    ]
    # The first epochs, far below all others, would leave no room for the differences that are looked for.
    lowest = min(min(row.curve[len(row.curve) // 4 :]) for row in rows)
    axis = fit_axis([100 * lowest, *(100 * max(row.curve) for row in rows)])
    epochs = max(len(row.curve) for row in rows)
    step = -(-epochs // EPOCH_MARKS)
    marks = {float(epoch): str(epoch) for epoch in (1, *range(step, epochs - step // 2, step), epochs)}
    title = f"Score on dev by epoch under {HEADS[rows[0].variant.head]}"
    chart = draw_curves(curves, axis, marks=marks, title=title, below="epochs")
    is_cut = min(100 * row.curve[0] for row in rows) < axis.low
    return _figure(chart, f"{head}: score on dev, mean over seeds." + " The first epochs lie lower." * is_cut)


def cost_figure(costs: Sequence[tuple[Row, float, str]], caption: str) -> str:
    """Bars of what each variant costs: the row, its cost and how this is printed."""
    bars = [Bar(row.variant.title, cost, text, style=_style(row.variant)) for row, cost, text in costs]
    axis = fit_axis([0.0, *(bar.value for bar in bars)])
    return _figure(draw_bars({"": bars}, axis, title=caption), f"{caption}.")


def lookahead_figure(curves: Sequence[LookaheadCurve], findings: Findings, head: str) -> str:
    """Scores against lookahead for the variants of one head, between forward and whole sentences."""
    places = _lookahead_places(curves)
    drawn = [
        Curve(
            _trained(curve.variant),
            [(places[point.words], 100 * point.score.mean) for point in curve.points],
            [_interval(point.score) for point in curve.points],
            _style(curve.variant),
        )
        for curve in curves
    ]
    for row in compared_rows(findings):
        if row.variant.head == curves[0].variant.head and row.variant.direction != "backward":
            score, style = 100 * row.scores["dev"].mean, _style(row.variant).partition(" ")[0]
            level = [(min(places.values()), score), (max(places.values()), score)]
            name = f"{encoder_title(row.variant)}, whole sentences"
            drawn.append(Curve(name, level, style=f"{style} level"))
    values = [y for curve in drawn for _, y in curve.points]
    values += [end for curve in drawn for interval in curve.intervals if interval for end in interval]
    chart = draw_curves(
        drawn,
        fit_axis(values),
        marks=_lookahead_marks(places),
        title=f"Score on dev by lookahead under {head}",
        below="next words known",
    )
    return _figure(chart, f"{head}: score on dev by lookahead, with 95 % intervals over seeds.")


def word_cost_figure(curves: Sequence[LookaheadCurve], head: str) -> str:
    """Time a word against lookahead for the variants of one head; nothing where it was not measured."""
    places = _lookahead_places(curves)
    drawn = []
    for curve in curves:
        costs = [
            (places[point.words], point.microseconds)
            for point in curve.points
            if point.microseconds is not None
        ]
        if costs:
            drawn.append(Curve(_trained(curve.variant), costs, style=_style(curve.variant)))
    if not drawn:
        return ""
    chart = draw_curves(
        drawn,
        fit_axis([0.0, *(cost for curve in drawn for _, cost in curve.points)]),
        marks=_lookahead_marks(places),
        title=f"Microseconds a word by lookahead under {head}",
        below="next words known",
    )
    return _figure(chart, f"{head}: microseconds a word when words come one at a time.")


def _lookahead_places(curves: Sequence[LookaheadCurve]) -> dict[int | None, float]:
    """Each lookahead with its place, the same way apart; whole sentences last."""
    tried = {point.words for curve in curves for point in curve.points}
    ordered = sorted(tried, key=lambda words: (words is None, words or 0))
    return {words: float(place) for place, words in enumerate(ordered)}


def _lookahead_marks(places: dict[int | None, float]) -> dict[float, str]:
    return {place: "all" if words is None else str(words) for words, place in places.items()}


def _trained(variant: Variant) -> str:
    kind = "random lookahead" if variant.lookahead == "random" else "whole sentences"
    return f"{encoder_title(variant)}, trained with {kind}"


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


def _figure(chart: str, caption: str) -> str:
    return f"<figure>\n<figcaption>{escape(caption)}</figcaption>\n{chart}</figure>\n"
