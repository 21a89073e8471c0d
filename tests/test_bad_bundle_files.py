"""Files of a model that are no files, or would lead elsewhere."""

import json
import os
import shutil
import subprocess
import sys
from typing import Any

import pytest
from test_bad_bundles import JSON_FILES, bundle, edit, is_same, refused
from test_runtime import make_bundle

from tagger.bundle import load_bundle, save_bundle

__all__ = ["bundle"]


@pytest.mark.parametrize("name", [*JSON_FILES, "model.safetensors", "README.md"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "loop", "broken link"])
def test_what_is_no_file_is_never_read(bundle, name, kind):
    path = bundle / name
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)  # whoever opens it waits for ever
    else:
        path.symlink_to({"device": "/dev/zero", "loop": name, "broken link": "nowhere"}[kind])
    if name == "README.md" and kind in (
        "loop",
        "broken link",
    ):  # a model does without its card
        assert load_bundle(bundle).card == ""
        return
    assert refused(bundle).startswith(f"{name}: cannot be read (")


def test_links_to_files_are_followed_and_a_save_replaces_them(bundle, tmp_path):
    expected = load_bundle(bundle)
    cache, links = tmp_path / "cache", tmp_path / "links"
    shutil.move(bundle, cache)
    links.mkdir()
    for path in cache.iterdir():  # as caches of downloaded models keep them
        (links / path.name).symlink_to(path)
    assert is_same(load_bundle(links), expected)
    contents = {path.name: path.read_bytes() for path in cache.iterdir()}
    save_bundle(make_bundle(seed=1)[1], links)
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == contents
    assert not any(path.is_symlink() for path in links.iterdir())


TRAP = "/tagger-must-not-open-this"
WATCH = """
import sys
from pathlib import Path
from tagger import Tagger
from tagger.errors import InputError
opened, loaded = [], 0
sys.addaudithook(lambda event, given: opened.append(str(given[0])) if event in ("open", "import") else None)
for folder in Path(sys.argv[1]).iterdir():
    try:
        Tagger.load(folder).tag("Mira met Tom.")
        loaded += 1
    except InputError:
        pass
print(loaded, *opened, sep="\\n")
"""


def spoil(values: Any) -> Any:
    """The same values with a path in place of every string."""
    if isinstance(values, dict):
        return {key: spoil(value) for key, value in values.items()}
    if isinstance(values, list):
        return [spoil(value) for value in values]
    return TRAP if isinstance(values, str) else values


def test_no_value_is_ever_used_as_a_path(bundle, tmp_path):
    (bundle / "metrics.json").write_text(json.dumps({"data": {"train": {"file": "train.conll"}}, "dev": {}}))
    copies = tmp_path / "copies"
    for name in JSON_FILES:
        for key, value in json.loads((bundle / name).read_text()).items():
            folder = shutil.copytree(bundle, copies / f"{name} {key}")
            edit(folder / name, lambda values, key=key, value=value: values.update({key: spoil(value)}))
    done = subprocess.run(
        [sys.executable, "-c", WATCH, copies], capture_output=True, text=True, timeout=120, check=True
    )
    loaded, *opened = done.stdout.splitlines()
    assert int(loaded) >= 3  # where there was no string, and where it is only shown
    assert any(str(copies) in path for path in opened), "nothing was watched"
    assert not any(TRAP in path for path in opened)
