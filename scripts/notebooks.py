"""Turn the tutorials into notebooks, and into the same notebooks as Python scripts in the percent format.

python scripts/notebooks.py [FOLDER]

Text becomes Markdown cells, Python blocks become code cells, and console blocks become cells of ``%%bash``.
Shown outputs are left out: running the notebook prints them. FOLDER is runs/notebooks by default.
"""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parent.parent
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
_BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$(?:\n```text\n.*?^```$)?", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^\$ ((?:[^\n]*<<'END'\n.*?\nEND)|(?:[^\n]*\\\n)*[^\n]*)$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Cell:
    """A cell of a notebook."""

    kind: Literal["markdown", "code"]
    text: str


def read_cells(page: str) -> Iterator[Cell]:
    """Yield the cells of a tutorial in Markdown."""
    end = 0
    for block in _BLOCK.finditer(page):
        yield from _text_cell(page[end : block.start()])
        if block[1] == "python":
            yield Cell("code", block[2].strip())
        else:
            yield Cell("code", "\n".join(["%%bash", *_COMMAND.findall(block[2])]))
        end = block.end()
    yield from _text_cell(page[end:])


def _text_cell(text: str) -> Iterator[Cell]:
    if text.strip():
        yield Cell("markdown", text.strip())


def write_notebook(cells: list[Cell]) -> str:
    """Return a notebook as JSON (nbformat 4.5)."""
    entries = []
    for number, cell in enumerate(cells):
        entry = {"id": f"cell-{number}", "cell_type": cell.kind, "metadata": {}}
        if cell.kind == "code":
            entry |= {"execution_count": None, "outputs": []}
        entries.append(entry | {"source": cell.text.splitlines(keepends=True)})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": entries}
    return json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"


def write_script(cells: list[Cell]) -> str:
    """Return a script in the percent format of editors and Jupytext, with shell commands as comments."""
    parts = []
    for cell in cells:
        commands = cell.text.removeprefix("%%bash\n")
        if cell.kind == "code" and commands == cell.text:
            parts.append(f"# %%\n{cell.text}\n")
        else:
            head = "# %% [markdown]" if cell.kind == "markdown" else '# %% language="bash"'
            parts.append("\n".join([head, *(f"# {line}".rstrip() for line in commands.splitlines())]) + "\n")
    return "\n".join(parts)


def main() -> None:
    folder = Path(sys.argv[1]) if sys.argv[1:] else ROOT / "runs" / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(ROOT / "data", folder / "data", dirs_exist_ok=True)
    for page in TUTORIALS:
        cells = list(read_cells(page.read_text(encoding="utf-8")))
        (folder / f"{page.stem}.ipynb").write_text(write_notebook(cells), encoding="utf-8")
        (folder / f"{page.stem}.py").write_text(write_script(cells), encoding="utf-8")
        print(folder / f"{page.stem}.ipynb")


if __name__ == "__main__":
    main()
