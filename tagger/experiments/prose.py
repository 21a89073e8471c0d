"""What a comparison shows in words and numbers, as plain text for the page and for Markdown alike."""

from __future__ import annotations

from collections.abc import Sequence

from tagger.evaluation.significance import Estimate
from tagger.experiments.findings import Contrast, Findings, Gain, LookaheadCurve
from tagger.experiments.results import Comparison

MEASURES = {"f1": "F1", "accuracy": "accuracy"}
HEADS = {"softmax": "softmax", "crf": "CRF"}
CHANCE = 0.05  # a p-value from which on a gain may be chance
NOTHING = "–"

UNITS = "Scores are given in percent, gains in percentage points with their sign."
TESTED = (
    "The intervals are those of Student's t over seeds. The p-values are of approximate randomisation over "
    "sentences (10,000 trials, two-sided), all seeds of a sentence exchanged together; the corrected ones "
    "take into account, by Holm's method, that several gains were tested on the same part."
)
COST = (
    "Two directions also mean two LSTMs: more parameters, more time, and, concatenated, heads that read "
    "twice the width. The times are of a machine that did other work as well: they tell what is "
    "dearer, and only roughly by how much. Units are those of one direction; the parameters are those that "
    "are trained."
)
LOOKAHEAD = (
    "While a text is still being written, a tagger may wait for k further words before it tags a word, and "
    "its backward direction then reads these alone. The backward gain is that of the bidirectional model on "
    "whole sentences over the forward model."
)
_HELD_EQUAL = {
    "hidden": (
        "All have {size:,} LSTM units a direction (--match hidden), so a bidirectional encoder has twice the "
        "units of one that reads one way."
    ),
    "width": (
        "The outputs of their encoders are equally wide (--match width): {size:,} units a direction where "
        "two are concatenated, {double:,} where there is one direction or both are merged into one."
    ),
    "parameters": (
        "They have about equally many trained parameters (--match parameters): what reads one way has more "
        "units than the {size:,} a direction of the bidirectional encoder."
    ),
}


def format_score(score: float) -> str:
    """A fraction of 1 in percent: ``90.66``."""
    return f"{100 * score:.2f}".replace("-", "−")


def format_gain(gain: float) -> str:
    """A difference of fractions in percentage points, with its sign: ``+2.31``."""
    points = round(100 * gain, 2)
    return f"{points:+.2f}".replace("-", "−") if points else "0.00"


def format_interval(estimate: Estimate, *, is_gain: bool = False) -> str:
    """Its 95 % interval, or a dash where one value has none."""
    if estimate.low is None or estimate.high is None:
        return NOTHING
    write = format_gain if is_gain else format_score
    return f"{write(estimate.low)} to {write(estimate.high)}"


def format_p(p_value: float) -> str:
    """A p-value with four decimals; one that is smaller than these can hold as ``< 0.0001``."""
    return "< 0.0001" if p_value < 0.0001 else f"{p_value:.4f}"


def answer(comparison: Comparison, findings: Findings) -> str:
    """What the backward pass adds, in a sentence or two."""
    gains = {name: _backward_gains(findings, name) for name in ("dev", "test")}
    if not gains["dev"]:
        return (
            "No forward model stands beside a bidirectional one with the same head here, so these runs do "
            "not say what the backward pass adds."
        )
    measure = MEASURES[comparison.measure]
    clauses = [_clause(gain, measure if gain is gains["dev"][0] else "") for gain in gains["dev"]]
    text = f"Reading each sentence from the right as well as from the left {' and '.join(clauses)}."
    if gains["test"]:
        on_test = ", ".join(
            f"{format_gain(gain.difference.mean)} with {HEADS[gain.base.head]}" for gain in gains["test"]
        )
        text += f" On test: {on_test}."
    return text


def compared(comparison: Comparison, findings: Findings) -> str:
    """What was compared, on what, and what was held equal."""
    files = comparison.settings["files"]
    options = comparison.settings["config"]
    size = options["model"]["hidden_size"]
    parts = " and ".join(f"{name} ({files[name]['sentences']:,})" for name in comparison.gold)
    seeds = sorted({row.seeds for row in findings.rows})
    each = _count(seeds[0], "seed") if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds"
    return (
        f"Compared are {_count(len(findings.rows), 'kind')} of models with {each} each, trained on "
        f"{files['train']['sentences']:,} sentences for {_count(options['train']['epochs'], 'epoch')} and "
        f"scored after the last one on the sentences of {parts}; no epoch was chosen by its score. All share "
        "their data, first word and character features (seed by seed), and schedule. "
        + _HELD_EQUAL[comparison.match].format(size=size, double=2 * size)
    )


def why_crf(findings: Findings) -> str:
    """Why a forward model with a CRF head is not blind to the right, and what that shows here."""
    text = (
        "A CRF already looks right: it chooses all tags of a sentence at once, and Viterbi carries what "
        "later words say back through the transitions between tags. So a forward LSTM under a CRF is not "
        "blind to the right, while under a softmax head each tag is chosen from what was read so far."
    )
    gains = {gain.base.head: gain for gain in _backward_gains(findings, "dev")}
    if {"softmax", "crf"} <= gains.keys():
        softmax, crf = (format_gain(gains[head].difference.mean) for head in ("softmax", "crf"))
        text += f" Here the backward pass is worth {softmax} points under softmax and {crf} under a CRF."
    return text


def most_gained(contrast: Contrast) -> str:
    """How the gain differs between words seen and unseen, and at which places it is the largest."""
    parts = []
    novelty = {one.bucket: one for one in contrast.origins if one.kind == "novelty"}
    if {"seen", "unseen"} <= novelty.keys():
        seen, unseen = (format_gain(novelty[name].difference.mean) for name in ("seen", "unseen"))
        parts.append(f"{unseen} points where train lacks a word, {seen} where it has all")
    positions = [one for one in contrast.origins if one.kind == "position"]
    if len(positions) > 1:
        most = max(positions, key=lambda one: one.difference.mean)
        parts.append(f"the most by position: {most.bucket} ({format_gain(most.difference.mean)})")
    return "; ".join(parts)[:1].upper() + "; ".join(parts)[1:] + "." if parts else ""


def count_evidence(contrast: Contrast) -> tuple[str, str]:
    """How many sentences only the second variant has right, and how many only the first."""
    seeds = "the one seed" if contrast.seeds == 1 else f"all {contrast.seeds} seeds"
    base, other = contrast.base.direction, contrast.other.direction
    return (
        f"{_count(len(contrast.gained), 'sentence')} wrong in {seeds} of {base}, right in {seeds} of {other}",
        f"{_count(len(contrast.lost), 'sentence')} right in {seeds} of {base}, wrong in {seeds} of {other}",
    )


def tell_lookahead(curves: Sequence[LookaheadCurve]) -> list[str]:
    """For each variant at which lookahead a reader gets half and nine tenths of the backward gain."""
    return [_tell_curve(curve) for curve in curves]


def _tell_curve(curve: LookaheadCurve) -> str:
    title = curve.variant.title
    if all(point.share is None for point in curve.points):
        return f"{title}: there is no gain of which a part could be had."
    half, most = _reach(curve, curve.half, 0.5), _reach(curve, curve.most, 0.9)
    return f"{title}: half of the backward gain is had {half}, nine tenths {most}."


def _reach(curve: LookaheadCurve, words: int | None, share: float) -> str:
    if words is not None:
        return f"with k = {words}"
    last = curve.points[-1]
    has_whole = last.words is None and last.share is not None and last.share >= share
    return "only with whole sentences" if has_whole else "at none of the lookaheads"


def _backward_gains(findings: Findings, part: str) -> list[Gain]:
    return [gain for gain in findings.gains if gain.part == part and gain.base.direction == "forward"]


def _clause(gain: Gain, measure: str) -> str:
    mean = gain.difference.mean
    verb = "adds" if mean >= 0 else "takes away"
    interval = format_interval(gain.difference, is_gain=True)
    sure = "one seed, so no interval" if interval == NOTHING else f"95 % interval {interval}"
    p_value = format_p(gain.p_corrected)
    sure += f", corrected p {p_value if '<' in p_value else '= ' + p_value}"
    if gain.p_corrected >= CHANCE:
        sure += ", so it may be chance"
    points = f"{format_score(abs(mean))} points" + (f" of {measure} on dev" if measure else "")
    return f"{verb} {points} ({sure}) with a {HEADS[gain.base.head]} head"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + "s" * (number != 1)
