"""README, CONTRIBUTING and docs: examples run and print what is shown, options and links exist.

The blocks of a page run from top to bottom in a folder of the page's own. The Python blocks of tutorials and
explanations share their names, as cells of a notebook; those of other pages must stand alone.
"""

import io
import json
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from typer.main import get_command

from tagger.cli.app import COMMANDS, app
from tagger.config import option_names
from tagger.included import included_models

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
TOP_PAGES = [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG", "SECURITY")]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [*TOP_PAGES, *DOCS, ROOT / "data" / "README.md"]
SHELL = f'tagger() {{ "{sys.executable}" -m tagger "$@"; }}; set -o pipefail\n'
SCORE_TOLERANCE = 1e-4  # probabilities differ slightly between processors and versions of onnxruntime
# A model that a tutorial trains differs more, since small differences grow from step to step.
TRAINED = ("train-on-your-columns", "measure-the-backward-pass")
TRAINED_TOLERANCE = 0.1
SHARED_NAMES = ("tutorials", "explanations")
needs_english = pytest.mark.skipif(
    "en" not in included_models(), reason="the English model is not built here"
)


@dataclass(frozen=True)
class Block:
    """A fenced block; ``output`` is the ``text`` block that directly follows a ``python`` block."""

    page: Path
    line: int
    language: str
    text: str
    output: str | None = None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def read_blocks(page: Path) -> Iterator[Block]:
    content = page.read_text(encoding="utf-8")
    pattern = r"^```(\w+)\n(.*?)^```$(?:\n```text\n(.*?)^```$)?"
    for match in re.finditer(pattern, content, re.MULTILINE | re.DOTALL):
        line = content.count("\n", 0, match.start()) + 1
        yield Block(page, line, match[1], match[2], match[3])


BLOCKS = [block for page in PAGES for block in read_blocks(page)]


def blocks_of(*languages: str) -> list[Block]:
    return [block for block in BLOCKS if block.language in languages]


def assert_same_output(printed: str, shown: str, tolerance: float = SCORE_TOLERANCE) -> None:
    """Compare exactly, except for decimals in the tolerance, text shown as "…" and spaces at line ends."""
    pieces = re.split(r"((?<![\d.,])\d+\.\d{2,})", shown.rstrip())
    pieces[::2] = [re.escape(piece).replace("…", ".*") for piece in pieces[::2]]
    numbers, pieces[1::2] = pieces[1::2], [r"(\d+\.\d{2,})"] * len(pieces[1::2])
    match = re.fullmatch("".join(pieces), re.sub(r"[ ]+$", "", printed, flags=re.MULTILINE).rstrip())
    assert match, f"{printed}\ninstead of\n{shown}"
    for left, right in zip(match.groups(), numbers, strict=True):
        bound = max(tolerance * max(1, float(right)), 10 ** -len(right.partition(".")[2]))
        assert float(left) == pytest.approx(float(right), abs=bound), printed


def run_shell(command: str, workplace: Path) -> str:
    done = subprocess.run(
        ["bash", "-c", SHELL + command], cwd=workplace, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_python(block: Block, workplace: Path, names: dict[str, object]) -> str:
    """Run a block in this process, which has imported torch already, and return what it prints."""
    printed = io.StringIO()
    with chdir(workplace), redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(block.text, str(block), "exec"), names)
    return printed.getvalue()


def runnable_pages() -> list[Path]:
    return [page for page in PAGES if any(block.page == page for block in blocks_of("console", "python"))]


@needs_english
@pytest.mark.parametrize("page", runnable_pages(), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_blocks_of_a_page_print_what_they_show(page: Path, tmp_path: Path):
    shutil.copytree(ROOT / "data", tmp_path / "data")
    tolerance = TRAINED_TOLERANCE if page.stem in TRAINED else SCORE_TOLERANCE
    names: dict[str, object] = {"__name__": "__main__"}
    for block in (block for block in blocks_of("console", "python") if block.page == page):
        if block.language == "python":
            if page.parent.name not in SHARED_NAMES:
                names = {"__name__": "__main__"}
            assert_same_output(run_python(block, tmp_path, names), block.output or "", tolerance)
            continue
        first, *examples = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
        assert first == "", f"{block}: begin a console block with `$ command`"
        for example in examples:
            command, shown = split_example(example)
            assert_same_output(run_shell(command, tmp_path), shown, tolerance)


def split_example(example: str) -> tuple[str, str]:
    """Split a command, which a backslash or a here-document continues, from its output."""
    heredoc, continued = r"[^\n]*<<'END'\n.*?\nEND", r"(?:[^\n]*\\\n)*[^\n]*"
    match = re.match(rf"({heredoc}|{continued})\n?", example, re.DOTALL)
    assert match
    return match[1], example[match.end() :]


@cache
def options_of(command: str) -> frozenset[str]:
    context = get_command(app).make_context("tagger", [], resilient_parsing=True)
    parsed = get_command(app).get_command(context, command)
    assert parsed is not None
    return frozenset(
        name for parameter in parsed.params for name in (*parameter.opts, *parameter.secondary_opts)
    ) | {"--help", "-h"}


def command_lines(text: str) -> list[str]:
    """The commands of a shell block or of inline code, without comments, continuations joined."""
    joined = text.replace("\\\n", " ")
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in joined.splitlines())
    return [re.sub(r'"[^"]*"', "TEXT", line) for line in lines if line]


def assert_is_possible(command: str) -> None:
    words = re.findall(r"[^\s\[\]|]+", command)
    if "tagger" in words[:8] and words[0] in ("tagger", "torchrun", "accelerate"):
        name, *rest = words[words.index("tagger") + 1 :]
        assert name in COMMANDS, command
        options = {word.partition("=")[0].rstrip("…") for word in rest if re.match(r"--?[a-z]", word)}
        assert options <= options_of(name), (command, options - options_of(name))
        settings = re.findall(r"--set ([a-z]+\.[a-z_]+)=", command)
        assert set(settings) <= set(option_names()), command
    elif words[0] == "python":
        source = (ROOT / words[1]).read_text(encoding="utf-8")
        if "from measurement import" in source:  # it has the options of all benchmarks
            source += (ROOT / "scripts" / "benchmarks" / "measurement.py").read_text(encoding="utf-8")
        for option in (word for word in words[2:] if word.startswith("--")):
            assert f'"{option}"' in source or "argparse" not in source, command
    elif words[0] == "make":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), command
    elif words[0] not in ("curl", "export"):  # tests/test_serving*.py have the requests
        assert words[:2] in (["pip", "install"], ["pip", "wheel"]), f"{command}: unknown command"


@pytest.mark.parametrize("block", blocks_of("sh"), ids=str)
def test_a_shell_block_uses_existing_commands_and_options(block: Block):
    for command in command_lines(block.text):
        assert_is_possible(command)


@pytest.mark.parametrize("page", [*TOP_PAGES, *DOCS], ids=lambda p: str(p.relative_to(ROOT)))
def test_inline_code_names_existing_options(page: Path):
    content = page.read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```$", "", content, flags=re.MULTILINE | re.DOTALL)
    known = frozenset().union(*(options_of(name) for name in COMMANDS)) | set(option_names())
    scripts = "".join(block.text for block in blocks_of("sh") if block.page == page)
    for code in re.findall(r"`([^`\n]+)`", text):
        if re.match(r"(tagger [a-z]+|make [a-z]+|python scripts/)", code):
            assert_is_possible(code.replace("\\|", " "))
        elif name := re.match(r"(--[a-z-]+|(?:data|model|train)\.[a-z_]+)(?=$|[ =])", code):
            assert name[0] in known or name[0] in scripts, code


def test_extras_of_pip_commands_exist():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for block in blocks_of("sh"):
        for extra in re.findall(r"\.\[([\w,]+)\]'", block.text):
            assert all(re.search(rf"^{name} = \[", project, re.MULTILINE) for name in extra.split(","))


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name) if name else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_the_first_pages_are_short(name: str):
    assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.parametrize("page", ["README.md", "docs/comparison.md"])
@pytest.mark.parametrize("task", ["ner", "chunk", "pos"])
@pytest.mark.parametrize("head", ["softmax", "crf"])
def test_gains_are_those_of_the_committed_results(page: str, task: str, head: str):
    results = ROOT / "scripts" / "experiments" / "results" / f"{task}-words" / "results.json"
    rows = json.loads(results.read_text(encoding="utf-8"))["rows"]
    forward, both = (
        100 * row["scores"]["dev"]["mean"]
        for direction in ("forward", "bidirectional")
        for row in rows
        if row["variant"]["direction"] == direction
        and row["variant"]["head"] == head
        and row["variant"]["lookahead"] == "full"
    )
    cells = rf"\| {forward:.2f} → \*\*{both:.2f}\*\* \| \+{both - forward:.2f}[ |(]"
    assert re.search(cells, (ROOT / page).read_text(encoding="utf-8")), cells
