"""The house of CONTRIBUTING.md: floors, files in order, what lives where; kept true by reading imports."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "tagger"
# From the ground up. A file imports from lower floors, or from files of its own folder that stand before it.
FLOORS: list[dict[str, list[str]]] = [
    {"": ["errors"]},
    {
        "text": [
            "sentence",
            "casing",
            "schemes",
            "scheme_detection",
            "spelling",
            "lexicon",
            "patterns",
            "splitting",
            "tokenizer",
            "documents",
        ],
        "": ["storage", "config", "signals"],
    },
    {
        "corpus": [
            "lines",
            "columns",
            "reading",
            "alignment",
            "conll",
            "conllu_columns",
            "conllu",
            "placement",
            "offsets",
            "values",
            "tokens",
            "token_records",
            "records",
            "jsonl",
            "regions",
            "labelstudio",
            "brat",
            "tables",
            "rows",
            "hub",
            "files",
            "layout",
            "tags",
            "consistency",
            "detection",
            "loading",
            "inspection",
            "conversion",
        ],
        "features": ["vocab", "layouts", "vectors", "mentions", "batching"],
        "decoding": ["viterbi", "marginals", "temperature", "nbest", "fixed_lag", "spans", "candidates"],
        "evaluation": [
            "scores",
            "tasks",
            "confusion",
            "mistakes",
            "breakdown",
            "calibration",
            "significance",
        ],
    },
    {
        "network": ["dropout", "encoder", "words", "context", "crf", "heads", "model"],
        "": ["bundle_files", "bundle", "shrinking", "included"],
    },
    {
        "training": [
            "schema",
            "average",
            "rows",
            "preparation",
            "costs",
            "processes",
            "progress",
            "loop",
            "calibration",
            "checkpoint",
            "card",
            "curves",
            "folder",
            "run",
        ],
        "runtime": [
            "weights",
            "lstm",
            "recurrence",
            "layer",
            "context",
            "engine",
            "export",
            "cache",
            "annotation",
            "arguments",
            "overlap",
            "windows",
            "tagger",
            "stream",
            "evaluation",
            "calibration",
        ],
    },
    {"reports": ["page", "charts", "matrix", "reliability", "marks", "errors"]},
    {
        "experiments": [
            "results",
            "grid",
            "material",
            "run_files",
            "training",
            "workers",
            "comparison",
            "findings",
            "pairing",
            "origins",
            "evidence",
            "lookahead",
            "summary",
            "prose",
            "tables",
            "figures",
            "quotations",
            "sections",
            "page",
            "report",
        ]
    },
    {
        "cli": [
            "console",
            "output",
            "input",
            "formats",
            "sources",
            "column_files",
            "stream",
            "workers",
            "thresholds",
            "tag",
            "watch",
            "train",
            "evaluate",
            "info",
            "check",
            "convert",
            "grid",
            "compare",
            "export",
            "shrink",
            "app",
            "main",
        ]
    },
]
ONLY_HOME = {
    "torch": ("network/", "training/"),
    "torchcrf": ("network/heads.py",),
    "accelerate": ("training/",),
    "safetensors": ("bundle.py", "training/checkpoint.py"),
    "pydantic": ("config.py", "bundle.py", "training/schema.py"),
    "seqeval": ("evaluation/",),
    "scipy": ("evaluation/significance.py",),
    "datasets": ("corpus/hub.py",),
    "pyarrow": ("corpus/hub.py",),
    "matplotlib": ("training/curves.py", "reports/matrix.py", "reports/reliability.py"),
    "onnxruntime": ("runtime/recurrence.py",),
    "onnx": ("runtime/export.py",),
    "typer": ("cli/",),
    "rich": ("cli/",),
}


def place(room: str, name: str) -> tuple[int, int]:
    for floor, rooms in enumerate(FLOORS):
        if name in rooms.get(room, []):
            return floor, rooms[room].index(name)
    raise AssertionError(f"tagger/{room}/{name}.py has no place in FLOORS")


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if p.stem not in ("__init__", "__main__"))


def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = str(node.module)
            is_room = (PACKAGE.parent / module.replace(".", "/")).is_dir() and module != "tagger"
            found += [f"{module}.{alias.name}" for alias in node.names] if is_room else [module]
    return found


def split(module: str) -> tuple[str, str]:
    parts = module.split(".")[1:]
    return (parts[0], parts[1]) if len(parts) == 2 else ("", parts[0])


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_file_imports_only_from_below(path: Path):
    relative = path.relative_to(PACKAGE)
    room, name = (relative.parts[0] if len(relative.parts) == 2 else ""), relative.stem
    floor, order = place(room, name)
    for module in imports(path):
        if module == "tagger":
            assert room == "cli", f"{relative} imports the package's front door"
            continue
        if not module.startswith("tagger."):
            home = ONLY_HOME.get(module.partition(".")[0])
            assert home is None or str(relative).startswith(home), f"{relative} imports {module}"
            continue
        other_room, other = split(module)
        other_floor, other_order = place(other_room, other)
        is_before = other_room == room and other_floor == floor and other_order < order
        assert other_floor < floor or is_before, f"{relative} imports {module}"
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400, f"{relative} is too long: split it by noun"
    assert "TYPE_CHECKING" not in text


def test_importing_tagger_loads_nothing_heavy():
    code = (
        "import sys, tagger; from importlib import import_module; from tagger.cli.app import COMMANDS; "
        "[import_module(f'tagger.cli.{name}') for name in COMMANDS]; print(' '.join(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert not loaded & {
        "torch",
        "accelerate",
        "seqeval",
        "scipy",
        "sklearn",
        "datasets",
        "pyarrow",
        "matplotlib",
        "torchcrf",
    }
