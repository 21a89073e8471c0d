"""Write the output files of a comparison: all numbers as JSON, a report in Markdown, and an HTML page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Any

from tagger.evaluation.confusion import Outcome, match_task
from tagger.experiments.contrasts import Contrast, Example
from tagger.experiments.findings import Findings, Gain
from tagger.experiments.grid import Variant
from tagger.experiments.report_charts import (
    DRAWN_GROUPS,
    Figure,
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
from tagger.experiments.report_tables import (
    GROUP_TITLES,
    compared_rows,
    confusion_table,
    cost_table,
    files_table,
    gains_table,
    group_table,
    head_pairs,
    headline_table,
    heads_table,
    lookahead_table,
    merge_rows,
    merge_table,
    select_groups,
    write_markdown,
)
from tagger.experiments.report_text import (
    COST_NOTE,
    HEADS,
    LOOKAHEAD_NOTE,
    TEST_NOTE,
    UNITS_NOTE,
    count_examples,
    describe_backward_gain,
    describe_crf,
    describe_groups,
    describe_lookahead,
    describe_setup,
)
from tagger.experiments.results import FORMAT, Comparison
from tagger.reports.charts import read_chart_style
from tagger.reports.marks import SIDES, Side, split_sentence
from tagger.reports.page import hue_rules, page_head
from tagger.reports.templates import read_source, render
from tagger.storage import replace_file
from tagger.text.markup import HUES, label_hues
from tagger.text.sentence import from_tokens

RESULTS, MARKDOWN, PAGE = "results.json", "report.md", "report.html"
MAX_EXAMPLES = 60  # maximum number of example sentences of either kind
# A second defence: text that the templates fail to escape can neither run scripts nor load anything.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the page.

    Attributes:
        anchor: Link target; ``report_page.html`` has a macro with this name.
        title: Heading.
        content: The values that the macro uses. The page omits a section without content.
    """

    anchor: str
    title: str
    content: Mapping[str, Any]


def write_report(
    comparison: Comparison, findings: Findings, folder: Path, *, hide_words: bool = False
) -> None:
    """Write ``results.json``, ``report.md`` and ``report.html``; only the HTML page quotes the corpus.

    Args:
        comparison: All runs.
        findings: The findings of the runs.
        folder: Output folder; each existing file is replaced atomically.
        hide_words: Show token numbers and labels but no words, so that the page can be shared even if the
            corpus cannot.

    Raises:
        InputError: A file cannot be written.
    """
    contents = {
        RESULTS: [json.dumps(results(comparison, findings), ensure_ascii=False, indent=1), "\n"],
        MARKDOWN: [write_markdown(comparison, findings)],
        PAGE: report_page(comparison, findings, hide_words=hide_words),
    }
    for name, pieces in contents.items():
        # A label from a damaged file can contain lone surrogates, which UTF-8 cannot encode.
        with replace_file(folder / name, follows_links=False) as path, path.open("wb") as file:
            file.writelines(piece.encode(errors="backslashreplace") for piece in pieces)


def results(comparison: Comparison, findings: Findings) -> dict[str, Any]:
    """Return all numbers as JSON values: settings, every run, and the findings over all runs."""
    return {
        "format": FORMAT,
        "task": comparison.task,
        "measure": comparison.measure,
        "match": comparison.match,
        "settings": comparison.settings,
        "runs": [run.values() for run in comparison.runs],
        "rows": [asdict(row) for row in findings.rows],
        "gains": [_gain_values(gain) for gain in findings.gains],
        "contrasts": [_contrast_values(contrast) for contrast in findings.contrasts],
        "lookahead": [asdict(curve) for curve in findings.lookahead],
    }


def _gain_values(gain: Gain) -> Mapping[str, Any]:
    values = asdict(gain)
    return {("part" if name == "split" else name): value for name, value in values.items()}


def _contrast_values(contrast: Contrast) -> Mapping[str, Any]:
    """Return a contrast as JSON values, with the numbers of its examples instead of the sentences."""
    return {
        "base": asdict(contrast.base),
        "other": asdict(contrast.other),
        "seeds": contrast.seeds,
        "origins": [asdict(group) for group in contrast.groups],
        "gained": len(contrast.gained),
        "lost": len(contrast.lost),
        "vanished": [asdict(change) for change in contrast.confusions],
    }


def report_page(comparison: Comparison, findings: Findings, *, hide_words: bool) -> Iterator[str]:
    """Yield the self-contained HTML page in pieces.

    Args:
        comparison: All runs.
        findings: The findings of the runs.
        hide_words: Omit all words of the corpus.
    """
    style = read_source("reports/sheet.css") + read_chart_style() + read_source("experiments/report_page.css")
    head = page_head(
        f"What the backward pass adds: {comparison.task}",
        style=style + hue_rules(HUES),
        policy=_POLICY,
        language="en",
    )
    return render(
        "experiments/report_page.html",
        head=head,
        task=comparison.task,
        summary=describe_backward_gain(comparison, findings),
        setup=describe_setup(comparison, findings),
        files=files_table(comparison),
        units=UNITS_NOTE,
        sections=make_sections(comparison, findings, hide_words=hide_words),
    )


def make_sections(comparison: Comparison, findings: Findings, *, hide_words: bool) -> list[Section]:
    """Return all sections that have content, in page order."""
    sections = [
        Section("scores", "Scores and gain", _scores(comparison, findings)),
        Section("groups", "Where the gain comes from", _groups(findings)),
        Section("examples", "Example sentences", _examples(comparison, findings, hide_words)),
        Section("merge", "Merge modes", _merge(comparison, findings)),
        Section("heads", "CRF versus softmax", _heads(findings)),
        Section("curves", "Learning curves", _curves(findings)),
        Section("cost", "Cost", _cost(findings)),
        Section("lookahead", "Bounded lookahead", _lookahead(findings)),
    ]
    return [section for section in sections if section.content]


def _scores(comparison: Comparison, findings: Findings) -> dict[str, Any]:
    splits, rows = list(comparison.gold), compared_rows(findings)
    return {
        "figures": [score_figure(rows, split, "Scores on") for split in splits],
        "table": headline_table(findings, splits),
        "gains": gains_table(findings) if findings.gains else None,
        "note": TEST_NOTE,
    }


def _groups(findings: Findings) -> dict[str, Any]:
    axis = fit_gains(findings.contrasts)
    contrasts = []
    for contrast in findings.contrasts:
        figures = []
        if select_groups(contrast, "label"):
            figures.append(label_figure(contrast))
        if any(select_groups(contrast, kind) for kind in DRAWN_GROUPS):
            figures.append(gain_figure(contrast, axis))
        contrasts.append(
            {
                "head": HEADS[contrast.base.head],
                "text": describe_groups(contrast),
                "figures": figures,
                "tables": [
                    group_table(contrast, kind) for kind in GROUP_TITLES if select_groups(contrast, kind)
                ],
            }
        )
    return {"contrasts": contrasts} if contrasts else {}


def _examples(comparison: Comparison, findings: Findings, hide_words: bool) -> dict[str, Any]:
    if not findings.contrasts:
        return {}
    has_spans = comparison.gold["dev"].scheme is not None
    contrasts = [
        {
            "head": HEADS[contrast.base.head],
            "folds": _folds(contrast, has_spans=has_spans),
            "table": confusion_table(contrast),
        }
        for contrast in findings.contrasts
    ]
    return {"has_hidden_words": hide_words, "contrasts": contrasts}


def _folds(contrast: Contrast, *, has_spans: bool) -> list[dict[str, Any]]:
    """Return the sentences that only one variant tags correctly, in two collapsed lists."""
    hues = _span_hues(contrast) if has_spans else {}
    summaries = count_examples(contrast)
    base, other = contrast.base, contrast.other
    return [
        {
            "summary": summary,
            "is_cut": len(examples) > MAX_EXAMPLES,
            "examples": [
                {
                    # The file name only: the page must not disclose the folders of the machine.
                    "source": PurePath(example.source).name,
                    "sides": _sides(example, right, wrong, contrast.seeds, hues, has_spans=has_spans),
                }
                for example in examples[:MAX_EXAMPLES]
            ],
        }
        for examples, summary, wrong, right in (
            (contrast.gained, summaries[0], base, other),
            (contrast.lost, summaries[1], other, base),
        )
    ]


def _sides(
    example: Example,
    right: Variant,
    wrong: Variant,
    seeds: int,
    hues: Mapping[str, int],
    *,
    has_spans: bool,
) -> list[dict[str, Any]]:
    """Return the gold and the wrong tags of a sentence: its pieces, and its marks by token numbers."""
    scheme = "IOB2" if has_spans else None
    (outcomes,) = match_task([example.gold], [example.wrong.tags], scheme=scheme)
    sentence, seen = from_tokens(example.tokens), [True] * len(example.tokens)
    headings = {
        "gold": f"gold and {right.direction}",
        "predicted": f"{wrong.direction}, {example.wrong.runs} of {seeds} seed{'s' * (seeds != 1)}",
    }
    return [
        {
            "name": side,
            "heading": headings[side],
            "pieces": list(split_sentence(sentence, outcomes, side, seen=seen, hues=hues)),
            "marks": list(_marks(outcomes, side, hues)),
        }
        for side in SIDES
    ]


def _marks(outcomes: Sequence[Outcome], side: Side, hues: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """Yield the spans of a side, or its wrong tags, with token numbers counted from 1."""
    for outcome in outcomes:
        span = outcome.gold if side == "gold" else outcome.predicted
        is_right = outcome.kind == "right"
        if span is None or (is_right and not hues):
            continue
        last = "" if span.end == span.start + 1 else f"–{span.end}"
        yield {
            "tokens": f"{span.start + 1}{last}",
            "label": span.label,
            "hue": hues[span.label] if hues else None,
            "is_wrong": not is_right,
        }


def _span_hues(contrast: Contrast) -> Mapping[str, int]:
    """Return the hue of each label: those of the label chart and those that occur only in predictions."""
    tags = {
        tag for example in (*contrast.gained, *contrast.lost) for tag in (*example.gold, *example.wrong.tags)
    }
    labels = {tag.partition("-")[2] for tag in tags if tag != "O"}
    return label_hues({*labels, *(group.bucket for group in select_groups(contrast, "label"))})


def _merge(comparison: Comparison, findings: Findings) -> dict[str, Any]:
    rows, splits = merge_rows(findings), list(comparison.gold)
    if not rows:
        return {}
    figures = [score_figure(rows, split, "Merge modes on") for split in splits]
    return {"figures": figures, "table": merge_table(findings, splits)}


def _heads(findings: Findings) -> dict[str, Any]:
    pairs = head_pairs(findings)
    if not pairs:
        return {}
    return {"text": describe_crf(findings), "figure": heads_figure(pairs), "table": heads_table(findings)}


def _curves(findings: Findings) -> dict[str, Any]:
    figures = []
    for head, name in HEADS.items():
        rows = [row for row in findings.rows if row.variant.head == head and len(row.curve) > 1]
        if rows:
            figures.append(curves_figure(rows, name))
    return {"figures": figures} if figures else {}


def _cost(findings: Findings) -> dict[str, Any]:
    if not findings.rows:
        return {}
    seconds = [(row, row.seconds_per_epoch, f"{row.seconds_per_epoch:,.1f}") for row in findings.rows]
    sizes = [(row, row.parameters["all"] / 1000, f"{row.parameters['all']:,}") for row in findings.rows]
    figures = [
        cost_figure(seconds, "Training seconds per epoch"),
        cost_figure(sizes, "Trained parameters (axis in thousands)"),
    ]
    return {"note": COST_NOTE, "figures": figures, "table": cost_table(findings)}


def _lookahead(findings: Findings) -> dict[str, Any]:
    if not findings.lookahead:
        return {}
    figures: list[Figure | None] = []
    for head, name in HEADS.items():
        curves = [curve for curve in findings.lookahead if curve.variant.head == head]
        if curves:
            figures += [lookahead_figure(curves, findings, name), word_cost_figure(curves, name)]
    return {
        "note": LOOKAHEAD_NOTE,
        "texts": describe_lookahead(findings.lookahead),
        "figures": [figure for figure in figures if figure],
        "tables": [lookahead_table(curve) for curve in findings.lookahead],
    }
