"""The tables of a comparison, and the report in Markdown that is made of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tagger.evaluation.significance import Estimate
from tagger.experiments.findings import Confused, Contrast, Findings, LookaheadCurve, Origin, OriginKind, Row
from tagger.experiments.prose import (
    COST,
    HEADS,
    LOOKAHEAD,
    NOTHING,
    TESTED,
    UNITS,
    answer,
    compared,
    count_evidence,
    format_gain,
    format_interval,
    format_p,
    format_score,
    most_gained,
    tell_lookahead,
    why_crf,
)
from tagger.experiments.results import Comparison, Variant, find_twin
from tagger.reports.page import isolate
from tagger.training.card import cell

ORIGINS: dict[OriginKind, str] = {
    "label": "label",
    "novelty": "words in train",
    "position": "place in the sentence",
    "length": "tokens of the sentence",
    "span": "borders and types",
}


@dataclass(frozen=True, slots=True)
class Table:
    """A table of plain texts.

    Attributes:
        name: What it shows.
        head: Names of the columns.
        rows: The first column names the row.
        texts: Columns from the left that are no numbers.
    """

    name: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: int = 1


def files_table(comparison: Comparison) -> Table:
    """The files, and how much they hold."""
    rows = [
        (
            name,
            file["file"],
            *(f"{file[key]:,}" if key in file else NOTHING for key in ("sentences", "tokens")),
        )
        for name, file in comparison.settings["files"].items()
    ]
    return Table("Files", ("part", "file", "sentences", "tokens"), rows, texts=2)


def headline_table(findings: Findings, parts: Sequence[str]) -> Table:
    """Scores of every variant on each part."""
    head = ["model", "seeds"]
    for part in parts:
        head += [f"{part}, mean", "sd", "95 % interval"]
    rows = [
        (
            row.variant.title,
            str(row.seeds),
            *(text for part in parts for text in _score_cells(row.scores.get(part))),
        )
        for row in findings.rows
    ]
    return Table("Scores", head, rows)


def gains_table(findings: Findings) -> Table:
    """How much better bidirectional models are, and how sure that is."""
    rows = [
        (
            f"{gain.other.title}, over {gain.base.direction}",
            gain.part,
            format_gain(gain.difference.mean),
            format_interval(gain.difference, is_gain=True),
            format_p(gain.p_value),
            format_p(gain.p_corrected),
        )
        for gain in findings.gains
    ]
    return Table("Gains", ("gain of", "part", "points", "95 % interval", "p", "p, corrected"), rows, texts=2)


def origins_table(contrast: Contrast, kind: OriginKind) -> Table:
    """The gain in each bucket of a kind."""
    rows = [
        (
            origin.bucket,
            f"{origin.support:,}",
            format_score(origin.base.mean),
            format_score(origin.other.mean),
            format_gain(origin.difference.mean),
            format_interval(origin.difference, is_gain=True),
        )
        for origin in origins_of(contrast, kind)
    ]
    sides = contrast.base.direction, contrast.other.direction
    return Table(f"Gain by {ORIGINS[kind]}", (ORIGINS[kind], "gold", *sides, "gain", "95 % interval"), rows)


def origins_of(contrast: Contrast, kind: OriginKind) -> list[Origin]:
    """The origins of a kind, in their order."""
    return [origin for origin in contrast.origins if origin.kind == kind]


def confusion_table(contrast: Contrast) -> Table:
    """Kinds of confusion, and how often a run of either variant has them."""
    rows = [
        (
            f"{_taken(one)}, {one.kind}",
            f"{one.base:,.1f}",
            f"{one.other:,.1f}",
            f"{one.other - one.base:+,.1f}".replace("-", "−"),
        )
        for one in contrast.vanished
    ]
    sides = contrast.base.direction, contrast.other.direction
    return Table("Kinds of confusion", ("confusion", *sides, "change"), rows)


def merge_table(findings: Findings, parts: Sequence[str]) -> Table:
    """Scores of the bidirectional variants by merge mode; no rows where there is only one mode."""
    rows = merge_rows(findings)
    table = headline_table(Findings(rows, (), (), ()), parts)
    named = [
        (f"{row.variant.merge_mode}, {HEADS[row.variant.head]}", *cells[1:])
        for row, cells in zip(rows, table.rows, strict=True)
    ]
    return Table("Merge modes", ("merge mode", *table.head[1:]), named)


def merge_rows(findings: Findings) -> list[Row]:
    """Rows that differ by their merge mode; none where there is only one mode."""
    rows = [row for row in whole_rows(findings) if row.variant.merge_mode]
    return rows if len({row.variant.merge_mode for row in rows}) > 1 else []


def whole_rows(findings: Findings) -> list[Row]:
    """Rows of variants that were trained on whole sentences."""
    return [row for row in findings.rows if row.variant.lookahead == "full"]


def compared_rows(findings: Findings) -> list[Row]:
    """Rows of what reads one way, and for each head the bidirectional one that it is compared with."""
    rows = whole_rows(findings)
    variants = [row.variant for row in rows]
    return [
        row
        for row in rows
        if not row.variant.merge_mode or row.variant == find_twin(variants, row.variant.head)
    ]


def head_pairs(findings: Findings) -> list[tuple[Row, Row]]:
    """For each encoder that stands under both heads its softmax row and its CRF row."""
    rows = {row.variant: row for row in whole_rows(findings)}
    pairs = []
    for variant, row in rows.items():
        twin = Variant(variant.direction, variant.merge_mode, "crf")
        if variant.head == "softmax" and twin in rows:
            pairs.append((row, rows[twin]))
    return pairs


def encoder_title(variant: Variant) -> str:
    """Its title without its head."""
    return variant.title.partition(",")[0]


def heads_table(findings: Findings) -> Table:
    """Each encoder under both heads, on dev."""
    rows = []
    for softmax, crf in head_pairs(findings):
        means = [row.scores["dev"].mean for row in (softmax, crf)]
        rows.append(
            (encoder_title(softmax.variant), *map(format_score, means), format_gain(means[1] - means[0]))
        )
    return Table("Heads", ("dev, mean", "softmax", "CRF", "CRF over softmax"), rows)


def cost_table(findings: Findings) -> Table:
    """Size and speed of every variant."""
    head = ("model", "units", "encoder", "words", "heads", "parameters", "s an epoch")
    rows = [
        (
            row.variant.title,
            f"{row.hidden_size:,}",
            *(f"{row.parameters[name]:,}" for name in ("encoder", "words", "heads", "all")),
            f"{row.seconds_per_epoch:,.1f}",
            f"{row.training_tokens_per_second:,.0f}",
            f"{row.tagging_tokens_per_second:,.0f}",
        )
        for row in findings.rows
    ]
    return Table("Cost", (*head, "trained tokens/s", "tagged tokens/s"), rows)


def lookahead_table(curve: LookaheadCurve) -> Table:
    """Score, share of the gain and time a word for each lookahead of one variant."""
    rows = [
        (
            "whole sentence" if point.words is None else str(point.words),
            *_score_cells(point.score),
            NOTHING if point.share is None else f"{100 * point.share:.0f} %".replace("-", "−"),
            NOTHING if point.microseconds is None else f"{point.microseconds:,.0f}",
        )
        for point in curve.points
    ]
    head = ("next words known", "dev, mean", "sd", "95 % interval", "share of the gain", "µs a word")
    return Table(f"Lookahead: {curve.variant.title}", head, rows)


def write_markdown(comparison: Comparison, findings: Findings) -> str:
    """The report as Markdown: the same sentences and tables as the page, without its charts and examples."""
    lines = [f"# What the backward pass adds: {cell(comparison.task)}", ""]
    lines += [f"**{answer(comparison, findings)}**", "", compared(comparison, findings), "", UNITS, ""]
    for title, texts, tables in _chapters(comparison, findings):
        shown = [table for table in tables if table.rows]
        if shown:
            lines += [f"## {title}", ""]
            lines += [line for text in texts if text for line in (text, "")]
            lines += [line for table in shown for line in (*_markdown_table(table), "")]
    return "\n".join(lines)


def _chapters(
    comparison: Comparison, findings: Findings
) -> Iterator[tuple[str, Sequence[str], Sequence[Table]]]:
    parts = list(comparison.gold)
    yield "Scores", (), [headline_table(findings, parts)]
    yield "The gain", [TESTED], [gains_table(findings)]
    for contrast in findings.contrasts:
        head = HEADS[contrast.base.head]
        by_kind = [origins_table(contrast, kind) for kind in ORIGINS]
        yield f"Where it comes from: {head}", [most_gained(contrast)], by_kind
        counted = [f"{text}." for text in count_evidence(contrast)]
        yield f"What changes: {head}", counted, [confusion_table(contrast)]
    yield "Merge modes", (), [merge_table(findings, parts)]
    yield "CRF beside softmax", [why_crf(findings)], [heads_table(findings)]
    told = [LOOKAHEAD, *(f"- {text}" for text in tell_lookahead(findings.lookahead))]
    yield "Lookahead", told, [*map(lookahead_table, findings.lookahead)]
    yield "Cost", [COST], [cost_table(findings)]
    yield "Files", (), [files_table(comparison)]


def _markdown_table(table: Table) -> Iterator[str]:
    yield f"| {' | '.join(map(cell, table.head))} |"
    yield "|---" * table.texts + "|---:" * (len(table.head) - table.texts) + "|"
    for row in table.rows:
        yield f"| {' | '.join(map(cell, row))} |"


def _taken(confused: Confused) -> str:
    """The gold and the predicted label, or the one that there is."""
    labels = dict.fromkeys(label for label in (confused.gold, confused.predicted) if label is not None)
    return " → ".join(map(isolate, labels))


def _score_cells(estimate: Estimate | None) -> tuple[str, str, str]:
    if estimate is None:
        return NOTHING, NOTHING, NOTHING
    deviation = NOTHING if estimate.deviation is None else format_score(estimate.deviation)
    return format_score(estimate.mean), deviation, format_interval(estimate)
