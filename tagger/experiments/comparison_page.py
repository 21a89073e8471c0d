"""Render the report as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

from tagger.experiments.findings import Findings
from tagger.experiments.prose import UNITS, answer, describe_setup
from tagger.experiments.report_tables import files_table
from tagger.experiments.results import Comparison
from tagger.experiments.sections import make_sections, table_html
from tagger.reports.charts import read_chart_style
from tagger.reports.page import HUES, PAGE_END, escape, hue_rules, page_head, read_sheet

# A second line of defence: markup that escapes the escaping can neither run nor fetch anything.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def comparison_page(comparison: Comparison, findings: Findings, *, hide_words: bool) -> Iterator[str]:
    """Yield the HTML of the page in pieces.

    Args:
        comparison: All runs.
        findings: The findings of the runs.
        hide_words: Omit all words of the corpus.
    """
    style = files("tagger.experiments").joinpath("page.css").read_text(encoding="utf-8")
    yield page_head(
        f"What the backward pass adds: {comparison.task}",
        style=read_sheet() + read_chart_style() + style + hue_rules(HUES),
        meta=f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n',
        language="en",
    )
    sections = make_sections(comparison, findings, hide_words=hide_words)
    links = "".join(f'<a href="#{section.anchor}">{section.title}</a>\n' for section in sections)
    yield (
        f"<h1>What the backward pass adds: <bdi>{escape(comparison.task)}</bdi></h1>\n"
        f'<p class="answer">{escape(answer(comparison, findings))}</p>\n'
        f"<p>{escape(describe_setup(comparison, findings))}</p>\n"
        f"{table_html(files_table(comparison))}"
        f'<p class="quiet">{UNITS}</p>\n<nav aria-label="Sections">\n{links}</nav>\n'
    )
    for section in sections:
        yield f'<section id="{section.anchor}">\n<h2>{section.title}</h2>\n'
        yield from section.fragments
        yield "</section>\n"
    yield PAGE_END
