"""Build the sections of the page: a few sentences, charts and tables each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tagger.experiments.figures import (
    DRAWN_GAINS,
    cost_figure,
    curves_figure,
    fit_gains,
    gain_figure,
    heads_figure,
    label_figure,
    lookahead_figure,
    score_figure,
    word_cost_figure,
)
from tagger.experiments.findings import Contrast, Findings
from tagger.experiments.prose import COST, HEADS, LOOKAHEAD, TESTED, describe_origins, tell_lookahead, why_crf
from tagger.experiments.quotations import quote_evidence
from tagger.experiments.report_tables import (
    ORIGINS,
    Table,
    compared_rows,
    confusion_table,
    cost_table,
    gains_table,
    head_pairs,
    headline_table,
    heads_table,
    lookahead_table,
    merge_rows,
    merge_table,
    origins_of,
    origins_table,
)
from tagger.experiments.results import Comparison
from tagger.reports.page import escape, label_hues


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the page.

    Attributes:
        anchor: Link target, the HTML ``id``.
        title: Heading.
        fragments: Pieces of HTML; the page omits a section without any.
    """

    anchor: str
    title: str
    fragments: Sequence[str]


def make_sections(comparison: Comparison, findings: Findings, *, hide_words: bool) -> list[Section]:
    """Build all sections that have content, in page order."""
    sections = [
        Section("scores", "Scores and gain", list(_headline(comparison, findings))),
        Section("origins", "Where the gain comes from", list(_origins(findings))),
        Section("evidence", "Example sentences", list(_evidence(comparison, findings, hide_words))),
        Section("merge", "Merge modes", list(_merge(comparison, findings))),
        Section("heads", "CRF versus softmax", list(_heads(findings))),
        Section("curves", "Learning curves", list(_curves(findings))),
        Section("cost", "Cost", list(_cost(findings))),
        Section("lookahead", "Bounded lookahead", list(_lookahead(findings))),
    ]
    return [section for section in sections if section.fragments]


def table_html(table: Table) -> str:
    """Render a table as HTML inside a box that scrolls on its own."""
    kinds = [' class="text"' * (column < table.texts) for column in range(len(table.head))]
    head = "".join(
        f'<th scope="col"{kind}>{escape(name)}</th>' for kind, name in zip(kinds, table.head, strict=True)
    )
    rows = "".join(
        f'<tr><th scope="row" title="{escape(row[0])}">{escape(row[0])}</th>'
        + "".join(f"<td{kind}>{escape(text)}</td>" for kind, text in list(zip(kinds, row, strict=True))[1:])
        + "</tr>\n"
        for row in table.rows
    )
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(table.name)}">\n<table>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n"
    )


def _headline(comparison: Comparison, findings: Findings) -> Iterator[str]:
    splits, rows = list(comparison.gold), compared_rows(findings)
    yield _columns([score_figure(rows, split, "Scores on") for split in splits])
    yield table_html(headline_table(findings, splits))
    if findings.gains:
        yield "<h3>Gains with intervals and p-values</h3>\n"
        yield table_html(gains_table(findings))
        yield _note(TESTED)


def _origins(findings: Findings) -> Iterator[str]:
    axis = fit_gains(findings.contrasts)
    columns = []
    for contrast in findings.contrasts:
        column = f"<h3>{HEADS[contrast.base.head]}</h3>\n" + _note(describe_origins(contrast))
        if origins_of(contrast, "label"):
            column += label_figure(contrast)
        if any(origins_of(contrast, kind) for kind in DRAWN_GAINS):
            column += gain_figure(contrast, axis)
        tables = [table_html(origins_table(contrast, kind)) for kind in ORIGINS if origins_of(contrast, kind)]
        columns.append(column + _fold("All numbers", tables))
    if columns:
        yield _columns(columns)


def _evidence(comparison: Comparison, findings: Findings, hide_words: bool) -> Iterator[str]:
    if not findings.contrasts:
        return
    yield _note(
        "Errors are outlined."
        + " The words of this corpus are hidden: token numbers, counted from 1, stand in for them."
        * hide_words
    )
    has_spans = comparison.gold["dev"].scheme is not None
    for contrast in findings.contrasts:
        yield f"<h3>{HEADS[contrast.base.head]}</h3>\n"
        hues = _span_hues(contrast) if has_spans else {}
        yield from quote_evidence(contrast, hues, has_spans=has_spans, hide_words=hide_words)
    yield _columns(
        f"<h3>Kinds of confusion, mean count per run: {HEADS[contrast.base.head]}</h3>\n"
        f"{table_html(confusion_table(contrast))}"
        for contrast in findings.contrasts
        if contrast.vanished
    )


def _span_hues(contrast: Contrast) -> Mapping[str, int]:
    """Assign colours to labels: those of the label chart and those that occur only in predictions."""
    tags = {tag for one in (*contrast.gained, *contrast.lost) for tag in (*one.gold, *one.wrong.tags)}
    labels = {tag.partition("-")[2] for tag in tags if tag != "O"}
    return label_hues({*labels, *(one.bucket for one in origins_of(contrast, "label"))})


def _merge(comparison: Comparison, findings: Findings) -> Iterator[str]:
    rows, splits = merge_rows(findings), list(comparison.gold)
    if rows:
        yield _columns([score_figure(rows, split, "Merge modes on") for split in splits])
        yield table_html(merge_table(findings, splits))


def _heads(findings: Findings) -> Iterator[str]:
    pairs = head_pairs(findings)
    if pairs:
        yield f"<p>{escape(why_crf(findings))}</p>\n"
        yield _columns([heads_figure(pairs), table_html(heads_table(findings))])


def _curves(findings: Findings) -> Iterator[str]:
    figures = []
    for head, name in HEADS.items():
        rows = [row for row in findings.rows if row.variant.head == head and len(row.curve) > 1]
        if rows:
            figures.append(curves_figure(rows, name))
    if figures:
        yield _columns(figures)


def _cost(findings: Findings) -> Iterator[str]:
    if findings.rows:
        seconds = [(row, row.seconds_per_epoch, f"{row.seconds_per_epoch:,.1f}") for row in findings.rows]
        sizes = [(row, row.parameters["all"] / 1000, f"{row.parameters['all']:,}") for row in findings.rows]
        yield f"<p>{escape(COST)}</p>\n"
        yield _columns(
            [
                cost_figure(seconds, "Training seconds per epoch"),
                cost_figure(sizes, "Trained parameters (axis in thousands)"),
            ]
        )
        yield table_html(cost_table(findings))


def _lookahead(findings: Findings) -> Iterator[str]:
    if not findings.lookahead:
        return
    items = "".join(f"<li>{escape(text)}</li>\n" for text in tell_lookahead(findings.lookahead))
    yield f"<p>{LOOKAHEAD}</p>\n<ul>\n{items}</ul>\n"
    figures = []
    for head, name in HEADS.items():
        curves = [curve for curve in findings.lookahead if curve.variant.head == head]
        if curves:
            figures += [lookahead_figure(curves, findings, name), word_cost_figure(curves, name)]
    yield _columns(figures)
    tables = (lookahead_table(curve) for curve in findings.lookahead)
    yield _fold("All numbers", (f"<h4>{escape(table.name)}</h4>\n{table_html(table)}" for table in tables))


def _columns(fragments: Iterable[str]) -> str:
    """Lay fragments out side by side if the page is wide enough; omit empty ones."""
    columns = "".join(f"<div>\n{fragment}</div>\n" for fragment in fragments if fragment)
    return f'<div class="columns">\n{columns}</div>\n'


def _fold(summary: str, fragments: Iterable[str]) -> str:
    return f"<details>\n<summary>{summary}</summary>\n{''.join(fragments)}</details>\n"


def _note(text: str) -> str:
    return f'<p class="quiet">{escape(text)}</p>\n' if text else ""
