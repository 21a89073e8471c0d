"""Model folders with special files and links, and files beyond the limits."""

import json
import os
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bundles import JSON_FILES, damaged_file, edit, is_same, load_error, make_bundle
from command_line import input_error, options, run

from tagger.bundle import FILES, holds_bundle, load_bundle, save_bundle
from tagger.errors import InputError

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", [*JSON_FILES, "model.safetensors", "README.md"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "loop", "broken link"])
def test_special_files_are_never_read(bundle, name, kind):
    path = bundle / name
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)  # opening it would block forever
    else:
        path.symlink_to({"device": "/dev/zero", "loop": name, "broken link": "nowhere"}[kind])
    if name == "README.md" and kind in (
        "loop",
        "broken link",
    ):  # the model card is optional
        assert load_bundle(bundle).card == ""
        return
    assert damaged_file(bundle) == name


def test_links_to_files_are_followed_and_a_save_replaces_them(bundle, tmp_path):
    expected = load_bundle(bundle)
    cache, links = tmp_path / "cache", tmp_path / "links"
    shutil.move(bundle, cache)
    links.mkdir()
    for path in cache.iterdir():  # as in caches of downloaded models
        (links / path.name).symlink_to(path)
    assert is_same(load_bundle(links), expected)
    contents = {path.name: path.read_bytes() for path in cache.iterdir()}
    save_bundle(make_bundle(seed=1)[1], links)
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == contents
    assert not any(path.is_symlink() for path in links.iterdir())


def snapshot(folder: Path) -> dict[str, object]:
    """Return all entries below a folder: contents of files, targets of links, and None for folders."""
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else None
        for path in sorted(folder.rglob("*"))
    }


HOSTILE = ("tag -m {model} --text Ada", "info {model}", "evaluate {model} {model}", "shrink {model} out")


@pytest.mark.parametrize("target", ["../..", "../../other", "nowhere", "config.json"])
def test_a_link_in_place_of_a_committed_save_moves_nothing(tmp_path, bundle, target):
    project = tmp_path / "project"
    (project / "models").mkdir(parents=True)
    model = project / "models" / "evil"
    shutil.move(bundle, model)
    for name in FILES:  # files that loading would move to the model folder
        for folder in (project, project / "other"):
            folder.mkdir(exist_ok=True)
            (folder / name).write_text("precious")
    (model / ".complete").symlink_to(target)
    before = snapshot(project)
    for words in HOSTILE:
        error = input_error(*words.format(model=model).split())
        assert (error.code, error.file) == ("bundle.damaged", f"{model}/.complete")
    with pytest.raises(InputError) as caught:
        save_bundle(make_bundle()[1], model)
    assert (caught.value.code, caught.value.file) == ("bundle.damaged", f"{model}/.complete")
    assert holds_bundle(model)  # because of its config.json
    assert snapshot(project) == before
    (model / ".complete").unlink()
    (model / ".complete").write_text("")
    assert input_error("info", model).file == f"{model}/.complete"


def test_a_save_writes_and_deletes_nothing_through_links(tmp_path, bundle):
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in (*FILES, "deep"):
        (outside / name).write_text("precious")
    before = snapshot(outside)
    expected = make_bundle(seed=1)[1]
    (bundle / ".saving").symlink_to(outside)
    save_bundle(expected, bundle)
    assert is_same(load_bundle(bundle), expected)
    (bundle / ".saving").mkdir()
    for name in FILES:
        (bundle / ".saving" / name).symlink_to(outside / name)
        (bundle / name).unlink()
        (bundle / name).symlink_to(outside / name)
    save_bundle(expected, bundle)
    (bundle / ".complete").mkdir()
    (bundle / ".complete" / "README.md").symlink_to(outside / "README.md")
    assert load_bundle(bundle).card == "precious"  # reading through a link is harmless
    assert snapshot(outside) == before
    assert sorted(path.name for path in bundle.iterdir()) == sorted(FILES)


def test_train_and_compare_do_not_change_the_targets_of_links_in_a_hostile_folder(corpus, model, tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "model"
    outside.mkdir()
    shutil.copytree(model, folder)
    names = {*(path.name for path in folder.iterdir()), *FILES, "events.out.tfevents.1"}
    names |= {f".{name}.new" for name in names}
    for name in names:
        (outside / name).write_text("precious")
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(outside / name)
    shutil.copyfile(
        model / "config.json", outside / "config.json"
    )  # otherwise the folder is not a model folder
    for name in (".saving", "tensorboard", "runs"):
        (folder / name).symlink_to(outside)
    before = snapshot(outside)
    files = ("--train", corpus / "train.conll", "--output", folder, "--restart")
    small = options({"train.epochs": 1})
    code, _, error = run("train", *small, *files, "--columns", "token,pos,ner")
    assert (code, error) == (0, "")
    assert run("tag", "-m", folder, "--text", "Ada met Otto.")[0] == 0
    compare = (
        "compare",
        "--train",
        corpus / "train.conll",
        "--dev",
        corpus / "dev.conll",
        "--output",
        folder,
    )
    error = input_error(*compare)
    assert (error.code, error.file, error.option) == ("file.kind", f"{folder}/runs", "--output")
    assert snapshot(outside) == before


def test_a_folder_of_another_user_is_read_but_not_written(bundle, monkeypatch):
    expected = load_bundle(bundle)
    (bundle / ".complete").mkdir()
    for name in ("vocab.json", "config.json"):
        (bundle / name).rename(bundle / ".complete" / name)
    before = snapshot(bundle)
    monkeypatch.setattr(os, "geteuid", lambda: bundle.stat().st_uid + 1)
    assert is_same(load_bundle(bundle), expected)
    assert snapshot(bundle) == before
    monkeypatch.undo()
    assert is_same(load_bundle(bundle), expected)
    assert not (bundle / ".complete").exists()


def test_too_large_files_are_an_error_before_parsing(bundle):
    many = '{"words": [' + "[]," * 400_000 + "[]]}"
    (bundle / "vocab.json").write_text(many)
    tracemalloc.start()
    with pytest.raises(InputError, match=r"many more entries than the \d+ rows") as caught:
        load_bundle(bundle)
    assert (caught.value.code, caught.value.file) == ("bundle.damaged", str(bundle / "vocab.json"))
    peak = tracemalloc.get_traced_memory()[1]
    with (bundle / "vocab.json").open("wb") as file:
        file.truncate(1 << 34)  # sparse: takes no disk space
    with pytest.raises(InputError, match=r"more than [\d,]+ bytes") as caught:
        load_bundle(bundle)
    assert (caught.value.code, caught.value.file) == ("bundle.damaged", str(bundle / "vocab.json"))
    tracemalloc.stop()
    assert peak < 5 * len(many)
    for name in ("config.json", "metrics.json", "README.md"):
        folder = bundle.parent / name
        save_bundle(make_bundle()[1], folder)
        os.truncate(folder / name, 1 << 34)
        assert damaged_file(folder) == name
        assert "more than 16,777,216 bytes" in str(load_error(folder))


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("vocab.json", "words", [None] * 200_000),
        ("vocab.json", "tasks", [{}] * 200_000),
        ("vocab.json", "tasks", [{f"k{number}": 1 for number in range(100_000)}]),
        ("config.json", "data", {"tasks": [1.5] * 1_000_000}),
        ("config.json", "temperatures", {f"k{number}": None for number in range(500_000)}),
    ],
    ids=["words", "tasks", "keys", "options", "temperatures"],
)
def test_many_invalid_values_are_an_error_in_bounded_memory(bundle, name, key, value):
    edit(bundle / name, lambda values: values.update({key: value}))
    size = (bundle / name).stat().st_size
    tracemalloc.start()
    with pytest.raises(InputError) as caught:
        load_bundle(bundle)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (caught.value.code, caught.value.file) == ("bundle.damaged", str(bundle / name))
    assert peak < 50 * size


SCORES = {"f1": 0.5, "precision": 0.5, "recall": 0.5, "support": 3}
METRICS = {
    "epoch": 1,
    "dev": {
        "ner": {
            **SCORES,
            "by_label": {},
            "strict": {**SCORES, "scheme": "X"},
            "seen": SCORES,
            "unseen": SCORES,
        }
    },
    "data": {"train": {"file": "a.conll", "sentences": 1, "tokens": 2}, "vectors": None},
}


@pytest.mark.parametrize(
    "value", ["1e999", "-1e999", "NaN", "1" + "0" * 400, "[" * 60 + "]" * 60], ids=range(5)
)
def test_metrics_that_cannot_be_printed_or_saved_are_an_error(bundle, value):
    text = json.dumps({**METRICS, "epoch": "HERE"}).replace('"HERE"', value)
    (bundle / "metrics.json").write_text(text)
    assert damaged_file(bundle) == "metrics.json"
    assert str(input_error("shrink", bundle, bundle.parent / "small")) == str(load_error(bundle))


def test_metrics_of_any_type_are_printed_or_an_error_and_can_be_shrunk(bundle):
    def key_paths(values: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        yield path
        for key in values if isinstance(values, dict) else ():
            yield from key_paths(values[key], (*path, key))

    for path in list(key_paths(METRICS))[1:]:
        for value in (None, True, -1, 1.5, "x", "\x1b[31m", [], [1], {}, {"a": {}}):
            metrics = json.loads(json.dumps(METRICS))
            inner = metrics
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = value
            (bundle / "metrics.json").write_text(json.dumps(metrics))
            code, output, error = run("info", bundle)
            assert code in (0, 2), (path, value, error)
            assert "\x1b" not in output + error
            assert run("info", bundle, "--json")[0] == 0
    assert run("shrink", bundle, bundle.parent / "small")[0] == 0


def test_a_long_list_of_labels_is_truncated(bundle):
    metrics = json.loads(json.dumps(METRICS))
    metrics["dev"]["ner"]["by_label"] = {f"L{number}": SCORES for number in range(100_000)}
    metrics["dev"] |= {f"task {number}": metrics["data"] for number in range(1000)}
    metrics["epoch"] = "x" * 1_000_000
    (bundle / "metrics.json").write_text(json.dumps(metrics))
    code, output, _ = run("info", bundle)
    assert (code, len(output) < 200_000) == (0, True)
    assert "99,500 more labels" in output


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
    """Return the values with every string replaced by a path."""
    if isinstance(values, dict):
        return {key: spoil(value) for key, value in values.items()}
    if isinstance(values, list):
        return [spoil(value) for value in values]
    return TRAP if isinstance(values, str) else values


def test_no_value_is_used_as_a_path(bundle, tmp_path):
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
    assert int(loaded) >= 3  # entries without strings, and entries that are only printed
    assert any(str(copies) in path for path in opened), "nothing was watched"
    assert not any(TRAP in path for path in opened)
