"""Bundles: round trips, interrupted saves, and clear errors for invalid folders."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import bundles
import numpy as np
import pytest

from tagger import Tagger
from tagger.bundle import FILES, MAPPED, Bundle, load_bundle, save_bundle
from tagger.bundle_schema import FORMAT_VERSION, MIGRATIONS
from tagger.config import Config
from tagger.errors import InputError
from tagger.features.vocab import Task, Vocabulary
from tagger.shrinking import shrink_bundle


def make_bundle(value: float = 1.0) -> Bundle:
    vocabulary = Vocabulary(
        words=("<padding>", "<unknown>", "straße", "東京"),
        characters=("<padding>", "<unknown>", "s"),
        tasks=(Task("ner", ("O", "B-product-car", "I-product-car"), "IOB2"), Task("pos", ("NOUN",), None)),
        lowercase=True,
        fold_digits=False,
        frozen_words=("york",),
    )
    tensors = {
        "matrix": np.full((2, 3), value, np.float32),
        "frozen": np.array([[0.5, 1.5]], np.float16),
        "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    }
    config = Config.model_validate({"model": {"hidden_size": 7}, "data": {"tasks": ["ner", "pos"]}})
    tokenizer, temperatures = {"split_hyphens": True}, {"ner": 1.75}
    return Bundle(config, vocabulary, tokenizer, tensors, {"score": 0.5}, "# A model\n", temperatures)


def test_save_and_load_round_trip(tmp_path):
    bundle = make_bundle()
    save_bundle(bundle, tmp_path / "new" / "model")
    loaded = load_bundle(tmp_path / "new" / "model")
    assert (loaded.config, loaded.vocabulary, loaded.tokenizer) == (
        bundle.config,
        bundle.vocabulary,
        bundle.tokenizer,
    )
    assert (loaded.metrics, loaded.card) == (bundle.metrics, bundle.card)
    assert loaded.temperatures == bundle.temperatures == {"ner": 1.75}
    assert (loaded.temperature("ner"), loaded.temperature("pos")) == (1.75, 1)
    assert loaded.tensors.keys() == bundle.tensors.keys()
    for name, tensor in bundle.tensors.items():
        assert loaded.tensors[name].dtype == tensor.dtype
        assert np.array_equal(loaded.tensors[name], tensor)
    assert sorted(p.name for p in (tmp_path / "new" / "model").iterdir()) == sorted(FILES)


def test_a_model_without_temperatures_is_loaded(tmp_path):
    save_bundle(make_bundle(), tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    del values["temperatures"]
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert load_bundle(tmp_path).temperatures == {}
    assert load_bundle(tmp_path).temperature("ner") == 1


@pytest.mark.parametrize("version", [1, 2, 3])
def test_models_of_earlier_formats_are_loaded_and_saved_in_the_current_one(tmp_path, version):
    assert list(MIGRATIONS) == list(range(1, FORMAT_VERSION))
    network: dict[str, object] = {"context": "sentence", "character_width": (3,)} if version == 1 else {}
    _, bundle = bundles.make_bundle(**network)
    bundle = replace(bundle, metrics={"data": {"vectors": {"covered": 1, "frozen": 2}}})
    if version == 1:
        bundle = replace(bundle, vocabulary=replace(bundle.vocabulary, n_frequent=0))
    if version == 3:
        bundle = shrink_bundle(bundle, precision="int8")
    save_bundle(bundle, tmp_path)
    expected = load_bundle(tmp_path)
    tags = Tagger(expected).tag("Mira met Tom in Glasgow.")
    bundles.convert_to_version(tmp_path, version)
    earlier = load_bundle(tmp_path)
    assert bundles.is_same(earlier, expected)
    assert earlier.is_shrunk == expected.is_shrunk
    assert isinstance(earlier.tensors[MAPPED], np.memmap)
    assert Tagger(earlier).tag("Mira met Tom in Glasgow.") == tags
    save_bundle(earlier, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["format_version"] == FORMAT_VERSION
    assert bundles.is_same(load_bundle(tmp_path), expected)


def test_hostile_values_of_earlier_formats_are_an_error(tmp_path):
    for version in (1, 2, 3):
        for name, key in (("config.json", "model"), ("config.json", "train"), ("metrics.json", "data")):
            _, bundle = bundles.make_bundle()
            folder = tmp_path / f"{version}{key}"
            save_bundle(bundle, folder)
            bundles.edit(folder / "config.json", lambda values, v=version: values.update(format_version=v))
            bundles.edit(folder / name, lambda values, key=key: values.update({key: [1]}))
            with pytest.raises(InputError) if name == "config.json" else nullcontext():
                load_bundle(folder)


def test_a_failed_save_leaves_the_earlier_model_unchanged(tmp_path, monkeypatch):
    save_bundle(make_bundle(1.0), tmp_path)

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tagger.bundle.os.fsync", no_space)
    with pytest.raises(InputError, match="No space left"):
        save_bundle(make_bundle(2.0), tmp_path)
    assert load_bundle(tmp_path).tensors["matrix"][0, 0] == 1.0
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(FILES)


def fail_moves(monkeypatch: pytest.MonkeyPatch, error: BaseException, *, allowed: int = 0) -> None:
    """Make moves of files and removals of folders fail after ``allowed`` calls."""
    remaining = [None] * allowed

    def count(original):
        def step(path: Path, *target: Path) -> object:
            if path.exists():
                if not remaining:
                    raise error
                remaining.pop()
            return original(path, *target)

        return step

    monkeypatch.setattr(Path, "replace", count(Path.replace))
    monkeypatch.setattr(Path, "rmdir", count(Path.rmdir))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(13, "Permission denied")], ids=repr)
@pytest.mark.parametrize("allowed", range(len(FILES) + 2))  # the commit, each file, the emptied folder
def test_a_save_interrupted_anywhere_leaves_one_complete_model(tmp_path, monkeypatch, allowed, error):
    save_bundle(make_bundle(1.0), tmp_path)
    with monkeypatch.context() as patch:
        fail_moves(patch, error, allowed=allowed)
        with pytest.raises(InputError if isinstance(error, OSError) else KeyboardInterrupt):
            save_bundle(make_bundle(2.0), tmp_path)
    expected = 2.0 if allowed else 1.0
    with monkeypatch.context() as patch:
        fail_moves(patch, OSError(30, "Read-only file system"))
        assert load_bundle(tmp_path).tensors["matrix"][0, 0] == expected
    assert load_bundle(tmp_path).tensors["matrix"][0, 0] == expected
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(FILES)


def test_a_save_replaces_an_interrupted_one(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        fail_moves(patch, KeyboardInterrupt(), allowed=2)
        with pytest.raises(KeyboardInterrupt):
            save_bundle(make_bundle(1.0), tmp_path)
    (tmp_path / ".saving").mkdir()
    (tmp_path / ".saving" / "vocab.json").write_text("{")
    save_bundle(make_bundle(2.0), tmp_path)
    assert load_bundle(tmp_path).tensors["matrix"][0, 0] == 2.0
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(FILES)


def test_a_folder_with_the_name_of_a_file_is_an_error_before_any_move(tmp_path):
    (tmp_path / "metrics.json").mkdir()
    with pytest.raises(InputError) as caught:
        save_bundle(make_bundle(), tmp_path)
    assert (caught.value.code, caught.value.file) == ("bundle.output", str(tmp_path / "metrics.json"))
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.json"]


def test_a_card_that_is_not_utf_8_is_loaded(tmp_path):
    save_bundle(make_bundle(), tmp_path)
    (tmp_path / "README.md").write_bytes("# Modèle\n".encode("latin-1"))
    assert load_bundle(tmp_path).card == "# Mod\N{REPLACEMENT CHARACTER}le\n"


def test_files_of_different_models_are_an_error(tmp_path):
    save_bundle(make_bundle(1.0), tmp_path / "a")
    save_bundle(make_bundle(2.0), tmp_path / "b")
    (tmp_path / "a" / "model.safetensors").replace(tmp_path / "b" / "model.safetensors")
    with pytest.raises(InputError, match="different models") as caught:
        load_bundle(tmp_path / "b")
    assert (caught.value.code, caught.value.file) == ("bundle.damaged", str(tmp_path / "b"))


@pytest.mark.parametrize("name", ["config.json", "vocab.json", "model.safetensors", "metrics.json"])
@pytest.mark.parametrize("damage", ["missing", "empty", "half", "rubbish"])
def test_a_damaged_file_is_a_one_line_error(tmp_path, name, damage):
    save_bundle(make_bundle(), tmp_path)
    path = tmp_path / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "half": content[: len(content) // 2], "rubbish": b"\xff[1"}[damage])
    with pytest.raises(InputError) as caught:
        load_bundle(tmp_path)
    assert (caught.value.code, caught.value.file) == ("bundle.damaged", str(path))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"format": "other"}, "bundle.missing"),
        ({"format_version": 99}, "bundle.version"),
        ({"model": {"hidden_size": -1}}, "bundle.damaged"),
        ({"model": {"invented": 1}}, "bundle.damaged"),
        ({"tokenizer": 3}, "bundle.damaged"),
        ({"tokenizer": []}, "bundle.damaged"),
        ({"tokenizer": "longest"}, "bundle.damaged"),
        ({"tokenizer": {"invented": True}}, "bundle.damaged"),
        ({"tokenizer": {"invented": None}}, "bundle.damaged"),
        ({"tokenizer": {"split_hyphens": "no"}}, "bundle.damaged"),
        ({"tokenizer": {"longest": "many"}}, "bundle.damaged"),
        ({"tokenizer": {"longest": 0}}, "bundle.damaged"),
        ({"tokenizer": {"newlines": "sometimes"}}, "bundle.damaged"),
    ],
)
def test_an_invalid_config_is_an_error(tmp_path, change, code):
    save_bundle(make_bundle(), tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError) as caught:
        load_bundle(tmp_path)
    expected = path if code == "bundle.damaged" else tmp_path
    assert (caught.value.code, caught.value.file) == (code, str(expected))
    assert caught.value.message.startswith(next(iter(change))) or code != "bundle.damaged"


def test_a_folder_without_a_bundle(tmp_path):
    for folder in (tmp_path / "nowhere", tmp_path / ("long" * 100)):
        with pytest.raises(InputError) as caught:
            load_bundle(folder)
        assert (caught.value.code, caught.value.file) == ("bundle.missing", str(folder / "config.json"))
