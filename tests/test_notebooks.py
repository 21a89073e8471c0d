"""Notebooks of the tutorials: the cells of one run as Python, and scripts hold the same code."""

import ast
import json
import re
import subprocess
import sys
from contextlib import chdir, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from notebooks import TUTORIALS, Cell, main, read_cells, write_script

from tagger.included import included_models

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "argv", ["notebooks.py", str(tmp_path)])
    main()
    return tmp_path


def code_cells(notebook: Path) -> list[str]:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.skipif("en" not in included_models(), reason="the English model is not built here")
def test_the_cells_of_a_notebook_run_in_order(folder: Path):
    names: dict[str, object] = {"__name__": "__main__"}
    shell = f'tagger() {{ "{sys.executable}" -m tagger "$@"; }}; set -e -o pipefail\n'
    printed = StringIO()
    with chdir(folder), redirect_stdout(printed):
        for cell in code_cells(folder / "tag-text.ipynb"):
            if cell.startswith("%%bash\n"):
                subprocess.run(["bash", "-c", shell + cell.removeprefix("%%bash\n")], check=True)
            else:
                exec(cell, names)
    assert "0 12 PER Grace Hopper" in printed.getvalue()


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda p: p.stem)
def test_a_notebook_has_all_text_and_commands_but_no_output(folder: Path, page: Path):
    lines = page.read_text(encoding="utf-8").splitlines()
    commands = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    headings = [line for line in lines if line.startswith("## ")]
    code = code_cells(folder / f"{page.stem}.ipynb")
    notebook = (folder / f"{page.stem}.ipynb").read_text(encoding="utf-8")
    assert [line for cell in code for line in cell.splitlines() if line in commands] == commands
    assert all(json.dumps(heading, ensure_ascii=False)[1:-1] in notebook for heading in headings)
    assert "```text" not in notebook
    assert "```console" not in notebook
    script = (folder / f"{page.stem}.py").read_text(encoding="utf-8")
    ast.parse(script)
    assert len(re.findall(r'^# %%(?: language="bash")?$', script, re.MULTILINE)) == len(code)


def test_a_console_cell_keeps_commands_of_several_lines():
    page = "Text.\n\n```console\n$ cat > a <<'END'\none\nEND\n$ tagger tag \\\n    a\noutput\n```\n"
    page += "```python\nx = 1\n```\n```text\n1\n```\n"
    cells = list(read_cells(page))
    commands = "%%bash\ncat > a <<'END'\none\nEND\ntagger tag \\\n    a"
    assert cells == [Cell("markdown", "Text."), Cell("code", commands), Cell("code", "x = 1")]
    assert write_script(cells).startswith('# %% [markdown]\n# Text.\n\n# %% language="bash"\n# cat > a')
