"""``InputError``: location, pickling, and the codes of all raise sites."""

import ast
import copy
import pickle
from pathlib import Path
from typing import get_args

import pytest

import tagger
from tagger.errors import Code, InputError


@pytest.mark.parametrize(
    ("where", "file", "line"),
    [
        ("", "", None),
        ("a.conll", "a.conll", None),
        ("a.conll:12", "a.conll", 12),
        ("a.json:1: text 2", "a.json", 1),
        ("me/data:train:3", "me/data:train", 3),
        ("c:a:b", "c:a:b", None),
    ],
)
def test_the_location_begins_the_text_and_has_a_file_and_a_line(where, file, line):
    error = InputError("the line is empty. Fill it.", code="corpus.record", where=where)
    assert str(error) == (f"{where}: " if where else "") + "the line is empty. Fill it."
    assert (error.file, error.line) == (file, line)


@pytest.mark.parametrize(
    "transfer", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))]
)
def test_copies_keep_every_attribute(transfer):
    error = InputError("wrong. Correct it.", code="option.value", where="x.toml:3", option="train.epochs")
    copied = transfer(error)
    assert str(copied) == str(error)
    assert vars(copied) == vars(error)


def test_every_error_of_the_package_has_a_code_and_every_code_an_error():
    used = set()
    for path in Path(tagger.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "InputError":
                (code,) = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
                used |= {one.value for one in ast.walk(code) if isinstance(one, ast.Constant)}
    assert set(get_args(Code)) <= used
