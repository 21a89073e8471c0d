"""Measure the size of a tagging-only installation: `pip install . ./tagger/models` in a fresh environment.

    python scripts/benchmarks/install_size.py

The size counts everything added to site-packages, in blocks on disk as `du` does, without pip itself.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from measurement import HERE, parser, show, show_machine, write_results

MEGABYTE = 1_000_000
LARGEST = 8  # number of packages to list by name
CHECKOUT = HERE.parents[1]


def main() -> None:
    options = parser(__doc__).parse_args()
    show_machine()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "venv"
        venv.create(folder, with_pip=True)
        scripts = folder / ("Scripts" if sys.platform == "win32" else "bin")
        [packages] = folder.glob("lib/python*/site-packages") or folder.glob("Lib/site-packages")
        before = sizes(packages)
        pip = [
            str(scripts / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            str(CHECKOUT),
            str(CHECKOUT / "tagger" / "models"),
        ]
        subprocess.run(pip, check=True)
        added = {name: size - before.get(name, 0) for name, size in sizes(packages).items()}
    total = sum(added.values())
    largest = sorted(added, key=added.__getitem__, reverse=True)[:LARGEST]
    rows = [{"name": "all", "mb": total / MEGABYTE}]
    rows += [{"name": name, "mb": added[name] / MEGABYTE} for name in largest]
    show("a tagging-only installation", rows, {"name": "", "mb": "MB on disk"})
    print(write_results("install_size", options.results, rows, {}))


def sizes(folder: Path) -> dict[str, int]:
    """Return the bytes on disk of each entry of a folder, including subfolders."""
    return {entry.name: size(entry) for entry in folder.iterdir()}


def size(entry: Path) -> int:
    own = entry.lstat().st_blocks * 512
    return own + (sum(map(size, entry.iterdir())) if entry.is_dir() and not entry.is_symlink() else 0)


if __name__ == "__main__":
    main()
