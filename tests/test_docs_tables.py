"""Tables of the docs that come from the JSON files of benchmarks and experiments."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs").rglob("*.md"))
FIGURE = re.compile(r"\d+\.\d\d+|\d+,\d{3}")


@pytest.mark.slow
def test_generated_tables_equal_their_json_files():
    pages = [str(path.relative_to(ROOT)) for path in PAGES if "[[[cog" in path.read_text(encoding="utf-8")]
    assert pages
    result = subprocess.run(
        [sys.executable, "-m", "cogapp", "-I", "scripts", "--check", *pages],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, (
        f"{result.stdout}{result.stderr} Run python -m cogapp -I scripts -r on these pages."
    )


def test_figures_of_readme_are_those_of_the_docs():
    docs = {figure for path in PAGES for figure in FIGURE.findall(path.read_text(encoding="utf-8"))}
    rows = re.findall(r"^\|.*\|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    shown = {figure for row in rows for figure in FIGURE.findall(row)}
    assert shown
    assert shown <= docs
