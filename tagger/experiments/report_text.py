"""Write the sentences of a comparison report as plain text, for both the HTML page and Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from tagger.evaluation.significance import Estimate
from tagger.experiments.contrasts import Contrast
from tagger.experiments.findings import Findings, Gain, LookaheadCurve
from tagger.experiments.results import Comparison

MEASURES = {"f1": "F1", "accuracy": "accuracy"}
HEADS = {"softmax": "softmax", "crf": "CRF"}
CHANCE = 0.05  # significance level: a gain with a p-value of at least this may be due to chance
NO_VALUE = "–"

UNITS_NOTE = "Scores are percentages; gains are percentage points with their sign."
TEST_NOTE = (
    "Intervals use Student's t over seeds. P-values come from approximate randomisation over sentences "
    "(10,000 trials, two-sided), which exchanges all seeds of a sentence together. Corrected p-values "
    "use Holm's method over all gains tested on the same split."
)
COST_NOTE = (
    "A bidirectional encoder has two LSTMs, so it has more parameters and needs more time. With "
    "concatenation, the heads also read twice the width. The machine ran other work at the same time: the "
    "times show which model costs more, but only roughly by how much. Units are per direction; parameter "
    "counts cover trained parameters only."
)
LOOKAHEAD_NOTE = (
    "While a text is still being written, a tagger can wait for the next k words before it tags a word. Its "
    "backward direction then reads only these k words. The backward gain is the score of the bidirectional "
    "model on whole sentences minus the score of the forward model."
)
MATCH_TEXTS = {
    "hidden": (
        "All encoders have {size:,} LSTM units per direction (--match hidden), so a bidirectional encoder "
        "has twice as many units as a unidirectional one."
    ),
    "width": (
        "All encoder outputs have the same width (--match width): {size:,} units per direction where two "
        "directions are concatenated, {double:,} where there is one direction or both are merged into one."
    ),
    "parameters": (
        "All models have about the same number of trained parameters (--match parameters): a unidirectional "
        "encoder has more than the {size:,} units per direction of the bidirectional encoder."
    ),
}


def format_score(score: float) -> str:
    """Format a fraction of 1 as a percentage: ``90.66``."""
    return f"{100 * score:.2f}".replace("-", "−")


def format_gain(gain: float) -> str:
    """Format a difference of fractions as signed percentage points: ``+2.31``."""
    points = round(100 * gain, 2)
    return f"{points:+.2f}".replace("-", "−") if points else "0.00"


def format_interval(estimate: Estimate, *, is_gain: bool = False) -> str:
    """Format the 95 % interval of an estimate; a dash if a single value has none."""
    if estimate.low is None or estimate.high is None:
        return NO_VALUE
    format_value = format_gain if is_gain else format_score
    return f"{format_value(estimate.low)} to {format_value(estimate.high)}"


def format_p(p_value: float) -> str:
    """Format a p-value with four decimals; smaller values become ``< 0.0001``."""
    return "< 0.0001" if p_value < 0.0001 else f"{p_value:.4f}"


def describe_backward_gain(comparison: Comparison, findings: Findings) -> str:
    """Summarise what the backward pass adds, in one or two sentences."""
    gains = {name: _backward_gains(findings, name) for name in ("dev", "test")}
    if not gains["dev"]:
        return (
            "The grid has no forward and bidirectional model with the same head, so these runs do not show "
            "what the backward pass adds."
        )
    measure = MEASURES[comparison.measure]
    clauses = [_clause(gain, measure if gain is gains["dev"][0] else "") for gain in gains["dev"]]
    text = f"Adding a backward direction {' and '.join(clauses)}."
    if gains["test"]:
        on_test = ", ".join(
            f"{format_gain(gain.difference.mean)} with {HEADS[gain.base.head]}" for gain in gains["test"]
        )
        text += f" On test: {on_test}."
    return text


def describe_setup(comparison: Comparison, findings: Findings) -> str:
    """Describe the compared models, their data, and what all of them have in common."""
    files = comparison.settings["files"]
    options = comparison.settings["config"]
    size = options["model"]["hidden_size"]
    splits = " and ".join(f"{name} ({files[name]['sentences']:,} sentences)" for name in comparison.gold)
    seeds = sorted({row.seeds for row in findings.rows})
    each = _count(seeds[0], "seed") if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds"
    return (
        f"This report compares {_count(len(findings.rows), 'kind')} of models with {each} each. Each run is "
        f"trained on {files['train']['sentences']:,} sentences for "
        f"{_count(options['train']['epochs'], 'epoch')} and scored after the last epoch on {splits}; no "
        "epoch is selected by its score. All runs share their data and schedule; runs with the same seed "
        "start from the same word and character features. "
        + MATCH_TEXTS[comparison.match].format(size=size, double=2 * size)
    )


def describe_crf(findings: Findings) -> str:
    """Explain why a forward model with a CRF head uses the right context, and compare the measured gains."""
    text = (
        "A CRF already uses the right context: Viterbi decoding chooses all tags of a sentence jointly, and "
        "the transitions carry evidence from later words back to earlier tags. A forward LSTM with a CRF "
        "head therefore uses later words, while a softmax head chooses each tag only from the words read "
        "so far."
    )
    gains = {gain.base.head: gain for gain in _backward_gains(findings, "dev")}
    if {"softmax", "crf"} <= gains.keys():
        softmax, crf = (format_gain(gains[head].difference.mean) for head in ("softmax", "crf"))
        text += f" Here the backward pass adds {softmax} points with softmax and {crf} with a CRF."
    return text


def describe_groups(contrast: Contrast) -> str:
    """Describe the gain in and out of vocabulary, and the position in the sentence that gains most."""
    clauses = []
    by_vocabulary = {group.bucket: group for group in contrast.groups if group.kind == "vocabulary"}
    if {"seen", "unseen"} <= by_vocabulary.keys():
        seen, unseen = (format_gain(by_vocabulary[name].difference.mean) for name in ("seen", "unseen"))
        clauses.append(f"{unseen} points with out-of-vocabulary words, {seen} without")
    positions = [group for group in contrast.groups if group.kind == "position"]
    if len(positions) > 1:
        best = max(positions, key=lambda group: group.difference.mean)
        clauses.append(f"largest gain by position: {best.bucket} ({format_gain(best.difference.mean)})")
    return "; ".join(clauses)[:1].upper() + "; ".join(clauses)[1:] + "." if clauses else ""


def count_examples(contrast: Contrast) -> tuple[str, str]:
    """Count the sentences that only the second variant tags correctly, and those only the first does."""
    seeds = "the one seed" if contrast.seeds == 1 else f"all {contrast.seeds} seeds"
    base, other = contrast.base.direction, contrast.other.direction
    return (
        f"{_count(len(contrast.gained), 'sentence')} wrong in {seeds} of {base}, right in {seeds} of {other}",
        f"{_count(len(contrast.lost), 'sentence')} right in {seeds} of {base}, wrong in {seeds} of {other}",
    )


def describe_lookahead(curves: Sequence[LookaheadCurve]) -> list[str]:
    """Describe for each variant which lookahead reaches half and nine tenths of the backward gain."""
    return [_describe_curve(curve) for curve in curves]


def _describe_curve(curve: LookaheadCurve) -> str:
    title = curve.variant.title
    if all(point.share is None for point in curve.points):
        return f"{title}: no gain over the forward model was measured."
    half, most = _reach(curve, curve.half, 0.5), _reach(curve, curve.most, 0.9)
    return f"{title}: reaches half of the backward gain {half} and nine tenths {most}."


def _reach(curve: LookaheadCurve, words: int | None, share: float) -> str:
    if words is not None:
        return f"with k = {words}"
    last = curve.points[-1]
    is_reached = last.words is None and last.share is not None and last.share >= share
    return "only with whole sentences" if is_reached else "at no tested lookahead"


def _backward_gains(findings: Findings, split: str) -> list[Gain]:
    return [gain for gain in findings.gains if gain.split == split and gain.base.direction == "forward"]


def _clause(gain: Gain, measure: str) -> str:
    mean = gain.difference.mean
    verb = "raises" if mean >= 0 else "lowers"
    interval = format_interval(gain.difference, is_gain=True)
    certainty = "one seed, so no interval" if interval == NO_VALUE else f"95 % interval {interval}"
    p_value = format_p(gain.p_corrected)
    certainty += f", corrected p {p_value if '<' in p_value else '= ' + p_value}"
    if gain.p_corrected >= CHANCE:
        certainty += ", so it may be due to chance"
    score = f"{measure} on dev" if measure else "it"
    points = f"{format_score(abs(mean))} points"
    return f"{verb} {score} by {points} ({certainty}) with a {HEADS[gain.base.head]} head"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + "s" * (number != 1)
