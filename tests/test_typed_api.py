"""Type checkers see the public names with their types."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import tagger
import tagger.corpus

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_typed_user_code_passes_mypy():
    command = [sys.executable, "-m", "mypy", "--strict", "tests/typed_api.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("package", [tagger, tagger.corpus], ids=lambda package: package.__name__)
def test_stubs_name_the_home_of_each_public_name(package):
    """The packages import lazily, so their stubs are what type checkers read."""
    stub = ast.parse(Path(package.__file__).with_suffix(".pyi").read_text())
    homes = {
        name.asname: node.module
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    assert sorted(homes) == sorted(package.__all__)
    for name, home in homes.items():
        assert getattr(package, name) is getattr(import_module(home), name)


def test_the_package_is_marked_as_typed():
    assert (ROOT / "tagger" / "py.typed").is_file()


def test_an_unknown_name_is_an_attribute_error():
    for package in (tagger, tagger.corpus):
        with pytest.raises(AttributeError, match="no_such_name"):
            getattr(package, "no_such_name")  # noqa: B009
