"""Build the tables of a comparison, and write the report in Markdown from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tagger.evaluation.significance import Estimate
from tagger.experiments.contrasts import ConfusionChange, Contrast, GroupGain, GroupKind
from tagger.experiments.findings import Findings, LookaheadCurve, Row
from tagger.experiments.grid import Variant, find_bidirectional
from tagger.experiments.report_text import (
    COST_NOTE,
    HEADS,
    LOOKAHEAD_NOTE,
    NO_VALUE,
    TEST_NOTE,
    UNITS_NOTE,
    count_examples,
    describe_backward_gain,
    describe_crf,
    describe_groups,
    describe_lookahead,
    describe_setup,
    format_gain,
    format_interval,
    format_p,
    format_score,
)
from tagger.experiments.results import Comparison
from tagger.reports.page import isolate
from tagger.training.card import cell

GROUP_TITLES: dict[GroupKind, str] = {
    "label": "label",
    "vocabulary": "vocabulary",
    "position": "position in the sentence",
    "length": "sentence length in tokens",
    "span": "boundaries and types",
}
_NO_ISOLATION = dict.fromkeys(map(ord, isolate("")))  # `cell` would replace these marks as control characters


@dataclass(frozen=True, slots=True)
class Table:
    """A table of plain text cells.

    Attributes:
        name: Title.
        head: Column names.
        rows: Cells of each row; the first cell names the row.
        texts: Number of leading text columns; the other columns hold numbers.
    """

    name: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: int = 1


def files_table(comparison: Comparison) -> Table:
    """Tabulate the files with their numbers of sentences and tokens."""
    rows = [
        (
            name,
            file["file"],
            *(f"{file[key]:,}" if key in file else NO_VALUE for key in ("sentences", "tokens")),
        )
        for name, file in comparison.settings["files"].items()
    ]
    return Table("Files", ("split", "file", "sentences", "tokens"), rows, texts=2)


def headline_table(findings: Findings, splits: Sequence[str]) -> Table:
    """Tabulate the scores of every variant on each split."""
    head = ["model", "seeds"]
    for split in splits:
        head += [f"{split}, mean", "sd", "95 % interval"]
    rows = [
        (
            row.variant.title,
            str(row.seeds),
            *(text for split in splits for text in _score_cells(row.scores.get(split))),
        )
        for row in findings.rows
    ]
    return Table("Scores", head, rows)


def gains_table(findings: Findings) -> Table:
    """Tabulate the gains of bidirectional models with their intervals and p-values."""
    rows = [
        (
            f"{gain.other.title}, over {gain.base.direction}",
            gain.split,
            format_gain(gain.difference.mean),
            format_interval(gain.difference, is_gain=True),
            format_p(gain.p_value),
            format_p(gain.p_corrected),
        )
        for gain in findings.gains
    ]
    return Table("Gains", ("gain of", "split", "points", "95 % interval", "p", "p, corrected"), rows, texts=2)


def group_table(contrast: Contrast, kind: GroupKind) -> Table:
    """Tabulate the gain in each bucket of a kind."""
    rows = [
        (
            group.bucket,
            f"{group.support:,}",
            format_score(group.base.mean),
            format_score(group.other.mean),
            format_gain(group.difference.mean),
            format_interval(group.difference, is_gain=True),
        )
        for group in select_groups(contrast, kind)
    ]
    sides = contrast.base.direction, contrast.other.direction
    return Table(
        f"Gain by {GROUP_TITLES[kind]}", (GROUP_TITLES[kind], "gold", *sides, "gain", "95 % interval"), rows
    )


def select_groups(contrast: Contrast, kind: GroupKind) -> list[GroupGain]:
    """Return the groups of a kind, in order."""
    return [group for group in contrast.groups if group.kind == kind]


def confusion_table(contrast: Contrast) -> Table:
    """Tabulate the kinds of confusion with their mean count per run of either variant."""
    rows = [
        (
            f"{_format_labels(one)}, {one.kind}",
            f"{one.base:,.1f}",
            f"{one.other:,.1f}",
            f"{one.other - one.base:+,.1f}".replace("-", "−"),
        )
        for one in contrast.confusions
    ]
    sides = contrast.base.direction, contrast.other.direction
    return Table("Kinds of confusion", ("confusion", *sides, "change"), rows)


def merge_table(findings: Findings, splits: Sequence[str]) -> Table:
    """Tabulate the scores of bidirectional variants by merge mode; no rows if there is only one mode."""
    rows = merge_rows(findings)
    table = headline_table(Findings(rows, (), (), ()), splits)
    named = [
        (f"{row.variant.merge_mode}, {HEADS[row.variant.head]}", *cells[1:])
        for row, cells in zip(rows, table.rows, strict=True)
    ]
    return Table("Merge modes", ("merge mode", *table.head[1:]), named)


def merge_rows(findings: Findings) -> list[Row]:
    """Return the rows of bidirectional variants; none if there is only one merge mode."""
    rows = [row for row in full_rows(findings) if row.variant.merge_mode]
    return rows if len({row.variant.merge_mode for row in rows}) > 1 else []


def full_rows(findings: Findings) -> list[Row]:
    """Return the rows of variants trained on whole sentences."""
    return [row for row in findings.rows if row.variant.lookahead == "full"]


def compared_rows(findings: Findings) -> list[Row]:
    """Return the rows of unidirectional variants, and for each head the bidirectional variant to compare."""
    rows = full_rows(findings)
    variants = [row.variant for row in rows]
    return [
        row
        for row in rows
        if not row.variant.merge_mode or row.variant == find_bidirectional(variants, row.variant.head)
    ]


def head_pairs(findings: Findings) -> list[tuple[Row, Row]]:
    """Return the softmax and the CRF row of each encoder that has both heads."""
    rows = {row.variant: row for row in full_rows(findings)}
    pairs = []
    for variant, row in rows.items():
        with_crf = Variant(variant.direction, variant.merge_mode, "crf")
        if variant.head == "softmax" and with_crf in rows:
            pairs.append((row, rows[with_crf]))
    return pairs


def encoder_title(variant: Variant) -> str:
    """Return the title of a variant without its head."""
    return variant.title.partition(",")[0]


def heads_table(findings: Findings) -> Table:
    """Tabulate the dev scores of each encoder with both heads."""
    rows = []
    for softmax, crf in head_pairs(findings):
        means = [row.scores["dev"].mean for row in (softmax, crf)]
        rows.append(
            (encoder_title(softmax.variant), *map(format_score, means), format_gain(means[1] - means[0]))
        )
    return Table("Heads", ("dev, mean", "softmax", "CRF", "CRF over softmax"), rows)


def cost_table(findings: Findings) -> Table:
    """Tabulate the size and speed of every variant."""
    head = ("model", "units", "encoder", "words", "heads", "parameters", "s/epoch")
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
    return Table("Cost", (*head, "training tokens/s", "tagging tokens/s"), rows)


def lookahead_table(curve: LookaheadCurve) -> Table:
    """Tabulate score, share of the gain and time per word for each lookahead of one variant."""
    rows = [
        (
            "whole sentence" if point.words is None else str(point.words),
            *_score_cells(point.score),
            NO_VALUE if point.share is None else f"{100 * point.share:.0f} %".replace("-", "−"),
            NO_VALUE if point.microseconds is None else f"{point.microseconds:,.0f}",
        )
        for point in curve.points
    ]
    head = ("lookahead (words)", "dev, mean", "sd", "95 % interval", "share of the gain", "µs/word")
    return Table(f"Lookahead: {curve.variant.title}", head, rows)


def write_markdown(comparison: Comparison, findings: Findings) -> str:
    """Write the report as Markdown: the text and tables of the page, without charts and examples."""
    lines = [f"# What the backward pass adds: {cell(comparison.task)}", ""]
    lines += [
        f"**{describe_backward_gain(comparison, findings)}**",
        "",
        describe_setup(comparison, findings),
        "",
        UNITS_NOTE,
        "",
    ]
    for title, texts, tables in _chapters(comparison, findings):
        filled = [table for table in tables if table.rows]
        if filled:
            lines += [f"## {title}", ""]
            lines += [line for text in texts if text for line in (text, "")]
            lines += [line for table in filled for line in (*_markdown_table(table), "")]
    return "\n".join(lines)


def _chapters(
    comparison: Comparison, findings: Findings
) -> Iterator[tuple[str, Sequence[str], Sequence[Table]]]:
    splits = list(comparison.gold)
    yield "Scores", (), [headline_table(findings, splits)]
    yield "Gains", [TEST_NOTE], [gains_table(findings)]
    for contrast in findings.contrasts:
        head = HEADS[contrast.base.head]
        by_kind = [group_table(contrast, kind) for kind in GROUP_TITLES]
        yield f"Where the gain comes from: {head}", [describe_groups(contrast)], by_kind
        counts = [f"{text}." for text in count_examples(contrast)]
        yield f"Changed errors: {head}", counts, [confusion_table(contrast)]
    yield "Merge modes", (), [merge_table(findings, splits)]
    yield "CRF versus softmax", [describe_crf(findings)], [heads_table(findings)]
    texts = [LOOKAHEAD_NOTE, *(f"- {text}" for text in describe_lookahead(findings.lookahead))]
    yield "Lookahead", texts, [*map(lookahead_table, findings.lookahead)]
    yield "Cost", [COST_NOTE], [cost_table(findings)]
    yield "Files", (), [files_table(comparison)]


def _markdown_table(table: Table) -> Iterator[str]:
    yield f"| {' | '.join(map(cell, table.head))} |"
    yield "|---" * table.texts + "|---:" * (len(table.head) - table.texts) + "|"
    for row in table.rows:
        yield f"| {' | '.join(cell(text.translate(_NO_ISOLATION)) for text in row)} |"


def _format_labels(confused: ConfusionChange) -> str:
    """Format the gold and the predicted label, or the only one of them."""
    labels = dict.fromkeys(label for label in (confused.gold, confused.predicted) if label is not None)
    return " → ".join(map(isolate, labels))


def _score_cells(estimate: Estimate | None) -> tuple[str, str, str]:
    if estimate is None:
        return NO_VALUE, NO_VALUE, NO_VALUE
    deviation = NO_VALUE if estimate.deviation is None else format_score(estimate.deviation)
    return format_score(estimate.mean), deviation, format_interval(estimate)
