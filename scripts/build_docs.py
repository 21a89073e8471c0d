"""Build the documentation site from docs/, without a network.

python scripts/build_docs.py [FOLDER]        # FOLDER/site has the site; by default, FOLDER is build/docs

The pages are copied to FOLDER/pages, with the files of the repository that they link to, so that all links
lead to a page or a file of the site. The reference pages are written from the docstrings of the public names
and from the help of the commands. Broken links and anchors, pages without an entry in the navigation, and all
other warnings of Zensical are errors.
"""

import ast
import html
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
CONFIG = "zensical.toml"
OTHER = "repository"  # folder of the site with files from outside docs/
PUBLIC = (
    "tagger",
    "tagger.corpus",
    "tagger.integrations.presidio_recognizer",
    "tagger.integrations.sklearn",
    "tagger.integrations.spacy_component",
)
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)(?=[)#])")  # the path of a relative link
TABLE_ROW = re.compile(r"^\|.*$", re.M)
CODE = re.compile(r"`[^`\n]+`")
CODE_OR_OPTION = re.compile(
    r"(?P<code>^```.*?^```$|`[^`\n]+`)|(?P<option>(?<![\w-])--[a-z][a-z-]*)", re.M | re.S
)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "docs"
    build(DOCS, folder, {"reference/api.md": api_reference(), "reference/cli.md": cli_reference()})


def build(docs: Path, folder: Path, written: dict[str, str]) -> None:
    """Build a site.

    Args:
        docs: The folder of pages and configuration.
        folder: Where to build it; its contents are deleted.
        written: The text of further pages by their names.

    Raises:
        SystemExit: There is a problem. The message names it, or Zensical has printed it.
    """
    pages = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")} | written.keys()
    config = tomllib.loads((docs / CONFIG).read_text(encoding="utf-8"))
    if missing := sorted(pages - set(entries(config["project"]["nav"]))):
        sys.exit(f"{docs / CONFIG}: the navigation lacks {', '.join(missing)}. Add an entry.")
    shutil.rmtree(folder, ignore_errors=True)
    for name, text in written.items():
        write(folder / "pages" / name, text)
    Stage(docs, folder).copy_all()
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    environment = {**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
    if code := subprocess.run(command, cwd=folder, env=environment, check=False).returncode:
        sys.exit(code)


def entries(navigation: Any) -> Iterator[str]:
    """Yield the pages of a navigation."""
    if isinstance(navigation, str):
        yield navigation
    else:
        for one in navigation.values() if isinstance(navigation, dict) else navigation:
            yield from entries(one)


class Stage:
    """Copies the configuration, the pages, and all files that they link to, directly or not.

    Args:
        docs: The folder of pages and configuration.
        folder: Where the site is built.
    """

    def __init__(self, docs: Path, folder: Path) -> None:
        self._docs = docs
        self._folder = folder

    def copy_all(self) -> None:
        """Copy everything."""
        waiting = [path for path in sorted(self._docs.rglob("*")) if path.is_file()]
        known = set(waiting)
        while waiting:
            for target in self._copy(waiting.pop()) - known:
                known.add(target)
                waiting.append(target)

    def _copy(self, path: Path) -> set[Path]:
        """Copy a file and return the files that it links to."""
        if path.suffix != ".md":
            copy = self._place(path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            return set()
        targets = set()

        def move(match: re.Match[str]) -> str:
            target = (path.parent / match[1]).resolve()
            if target.is_file():
                targets.add(target)
            elif not (target.is_relative_to(self._docs) and self._place(target).is_file()):
                sys.exit(
                    f"{path}: there is no file {match[1]}. Correct the link."
                )  # Zensical checks only pages
            return Path(os.path.relpath(self._place(target), self._place(path).parent)).as_posix()

        text = LINK.sub(move, path.read_text(encoding="utf-8"))
        write(self._place(path), TABLE_ROW.sub(lambda row: CODE.sub(_bare_pipes, row[0]), text))
        return targets

    def _place(self, path: Path) -> Path:
        """Return the place of a file of the repository in the build folder."""
        if path == self._docs / CONFIG:
            return self._folder / CONFIG
        if path.is_relative_to(self._docs):
            return self._folder / "pages" / path.relative_to(self._docs)
        return self._folder / "pages" / OTHER / path.relative_to(ROOT)


def _bare_pipes(code: re.Match[str]) -> str:
    return code[0].replace("\\|", "|")  # GitHub needs the backslash; Zensical shows it


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def api_reference() -> str:
    """Return a page with the docstrings of the public names, for mkdocstrings."""
    lines = ["# API reference", "", "[Stability](../python.md#stability) tells what may change."]
    for module in PUBLIC:
        lines += ["", f"## {module}"]
        lines += [f"\n::: {module}.{name}" for name in public_names(module)]
    return "\n".join(lines) + "\n"


def public_names(module: str) -> list[str]:
    """Return the ``__all__`` of a module without importing it, since it may need other packages."""
    path = ROOT.joinpath(*module.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for statement in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
            return list(ast.literal_eval(statement.value))
    raise LookupError(f"{source} has no __all__")


def cli_reference() -> str:
    """Return a page with the help of all commands, as Typer writes it, with examples as blocks."""
    command = [sys.executable, "-m", "typer", "tagger.cli.app", "utils", "docs", "--name", "tagger"]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    text = html.unescape(text).replace("# `tagger`\n", "# Command line\n", 1)
    text = re.sub(r"```console\n\$ (.*)\n```", r"```text\n\1\n```", text)
    # Blank lines separate the examples in the terminal; their lines have no other mark.
    text = re.sub(r"(?<=^Examples:\n\n)(?:(?!#|\*).*\n)+", _example_block, text, flags=re.MULTILINE)
    return CODE_OR_OPTION.sub(lambda match: match["code"] or f"`{match['option']}`", text)


def _example_block(match: re.Match[str]) -> str:
    lines = [line for line in match[0].splitlines() if line]
    return "\n".join(["```sh", *lines, "```", "", ""])


if __name__ == "__main__":
    main()
