"""What a comparison leaves in its folder: all numbers as JSON, a report in Markdown, and one page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tagger.experiments.comparison_page import comparison_page
from tagger.experiments.findings import Contrast, Findings
from tagger.experiments.report_tables import write_markdown
from tagger.experiments.results import FORMAT, Comparison
from tagger.storage import replace_file

RESULTS, MARKDOWN, PAGE = "results.json", "report.md", "report.html"


def write_report(
    comparison: Comparison, findings: Findings, folder: Path, *, hide_words: bool = False
) -> None:
    """Write ``results.json``, ``report.md`` and ``report.html``; of these only the page quotes the corpus.

    Args:
        comparison: The runs.
        findings: What they show.
        folder: Where the files go; earlier ones are replaced, each at once.
        hide_words: Show places and labels of the corpus's sentences but no word, so that the page may be
            passed on where the corpus may not.

    Raises:
        InputError: A file cannot be written.
    """
    contents = {
        RESULTS: [json.dumps(results(comparison, findings), ensure_ascii=False, indent=1), "\n"],
        MARKDOWN: [write_markdown(comparison, findings)],
        PAGE: comparison_page(comparison, findings, hide_words=hide_words),
    }
    for name, pieces in contents.items():
        # A label that came out of a damaged file may hold what UTF-8 does not.
        with replace_file(folder / name, follows_links=False) as place, place.open("wb") as file:
            file.writelines(piece.encode(errors="backslashreplace") for piece in pieces)


def results(comparison: Comparison, findings: Findings) -> dict[str, Any]:
    """All numbers as JSON values: settings, every run, and what the runs show together."""
    return {
        "format": FORMAT,
        "task": comparison.task,
        "measure": comparison.measure,
        "match": comparison.match,
        "settings": comparison.settings,
        "runs": [run.values() for run in comparison.runs],
        "rows": [asdict(row) for row in findings.rows],
        "gains": [asdict(gain) for gain in findings.gains],
        "contrasts": [_contrast_values(contrast) for contrast in findings.contrasts],
        "lookahead": [asdict(curve) for curve in findings.lookahead],
    }


def _contrast_values(contrast: Contrast) -> Mapping[str, Any]:
    """A contrast without its sentences, of which only the numbers are told."""
    return {
        "base": asdict(contrast.base),
        "other": asdict(contrast.other),
        "seeds": contrast.seeds,
        "origins": [asdict(origin) for origin in contrast.origins],
        "gained": len(contrast.gained),
        "lost": len(contrast.lost),
        "vanished": [asdict(one) for one in contrast.vanished],
    }
