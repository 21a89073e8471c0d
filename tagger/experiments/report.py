"""Write the output files of a comparison: all numbers as JSON, a report in Markdown, and an HTML page."""

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
        PAGE: comparison_page(comparison, findings, hide_words=hide_words),
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
        "gains": [asdict(gain) for gain in findings.gains],
        "contrasts": [_contrast_values(contrast) for contrast in findings.contrasts],
        "lookahead": [asdict(curve) for curve in findings.lookahead],
    }


def _contrast_values(contrast: Contrast) -> Mapping[str, Any]:
    """Return a contrast as JSON values, with the numbers of its sentences instead of the sentences."""
    return {
        "base": asdict(contrast.base),
        "other": asdict(contrast.other),
        "seeds": contrast.seeds,
        "origins": [asdict(origin) for origin in contrast.origins],
        "gained": len(contrast.gained),
        "lost": len(contrast.lost),
        "vanished": [asdict(one) for one in contrast.vanished],
    }
