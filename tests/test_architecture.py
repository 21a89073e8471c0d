"""Layers, modules allowed to import heavy libraries, and module names (see CONTRIBUTING.md)."""

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "tagger"
# Lowest first: packages, and modules of the top folder. A module imports from lower layers, or from its own
# package; no chain of imports leads back.
LAYERS = (
    {"errors", "version"},
    {"storage", "signals", "validation", "hub_client"},
    {"text", "config", "config_loading"},
    {"corpus", "features", "decoding", "evaluation"},
    {"network", "bundle_files", "bundle_schema", "bundle", "shrinking", "model_hub", "included"},
    {"training", "runtime"},
    {"api"},
    {"reports", "annotation"},
    {"experiments"},
    {"serving", "integrations"},
    {"cli"},
)
ONLY_HOME = {
    "torch": ("network/", "training/"),
    "torchcrf": ("network/heads.py",),
    "accelerate": ("training/",),
    "safetensors": ("bundle.py", "training/checkpoint.py"),
    "pydantic": (
        "config.py",
        "config_loading.py",
        "validation.py",
        "bundle.py",
        "bundle_schema.py",
        "features/vocab.py",
        "training/schema.py",
        "serving/",
    ),
    "seqeval": ("evaluation/",),
    "scipy": ("evaluation/significance.py",),
    "huggingface_hub": ("hub_client.py",),
    "datasets": ("corpus/dataset_packages.py",),
    "pyarrow": ("corpus/dataset_packages.py", "corpus/parquet_tables.py", "runtime/tables.py"),
    "pandas": ("runtime/tables.py",),
    "polars": ("runtime/tables.py",),
    "matplotlib": (
        "training/curves.py",
        "reports/matrix.py",
        "reports/reliability.py",
        "reports/gain_figure.py",
    ),
    "jinja2": ("reports/templates.py",),
    "markupsafe": ("reports/templates.py",),
    "onnxruntime": ("runtime/recurrence.py", "features/contextual.py", "network/encoder_export.py"),
    "tokenizers": ("features/contextual.py",),
    "transformers": ("network/encoder_export.py",),
    "onnx": ("runtime/onnx_export.py",),
    "sklearn": ("integrations/sklearn.py",),
    "optuna": ("integrations/optuna.py",),
    "ray": ("integrations/ray_data.py",),
    "sqlalchemy": ("corpus/project_", "annotation/", "integrations/optuna.py"),
    "spacy": ("integrations/spacy_component.py",),
    "thinc": ("integrations/spacy_component.py",),
    "srsly": ("integrations/spacy_component.py",),
    "presidio_analyzer": ("integrations/presidio_recognizer.py",),
    "fastapi": ("serving/",),
    "starlette": ("serving/",),
    "uvicorn": ("serving/",),
    "prometheus_client": ("serving/",),
    "typer": ("cli/",),
    "rich": ("cli/", "training/training_bar.py"),
}


def layer(module: str) -> int:
    """The layer of a module such as ``tagger.corpus.conll`` or ``tagger.bundle``."""
    place = module.split(".")[1]
    found = [number for number, names in enumerate(LAYERS) if place in names]
    assert found, f"{module} has no place in LAYERS"
    return found[0]


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


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_from_below(path: Path):
    relative, name = path.relative_to(PACKAGE), name_of(path)
    for module in imports(path):
        if module == "tagger":
            assert relative.parts[0] == "cli", f"{relative} imports the package's front door"
        elif not module.startswith("tagger."):
            home = ONLY_HOME.get(module.partition(".")[0])
            assert home is None or str(relative).startswith(home), f"{relative} imports {module}"
        else:
            is_own = len(relative.parts) == 2 and module.split(".")[1] == relative.parts[0]
            is_top = len(relative.parts) == 1 and len(module.split(".")) == 2 and layer(module) == layer(name)
            assert is_own or is_top or layer(module) < layer(name), f"{relative} imports {module}"
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400, f"{relative} is too long: split it by noun"
    assert "TYPE_CHECKING" not in text


def test_no_chain_of_imports_leads_back():
    own = {name_of(path): {one for one in imports(path) if one.startswith("tagger.")} for path in modules()}
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " imports ".join((*way[way.index(module) :], module))
        if module not in done:
            for one in sorted(own.get(module, ())):
                visit(one, (*way, module))
            done.add(module)

    for module in own:
        visit(module, ())


def test_module_names_are_unique():
    names = Counter(path.stem for path in modules())
    # A command's module has the command's name.
    assert {name: count for name, count in names.items() if count > 1} == {}


@pytest.mark.slow
def test_no_test_imports_another_test():
    for path in Path(__file__).parent.glob("*.py"):
        for name in imports(path):
            assert not name.startswith("test_"), f"{path.name}: put what both need in a module"


@pytest.mark.slow
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
        "huggingface_hub",
        "optuna",
        "sqlalchemy",
        "datasets",
        "pyarrow",
        "pandas",
        "polars",
        "matplotlib",
        "jinja2",
        "torchcrf",
    }
