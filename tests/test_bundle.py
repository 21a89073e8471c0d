"""Bundles: round trips, interrupted saves, and clear errors for invalid folders."""

import json
from pathlib import Path

import numpy as np
import pytest

from tagger.bundle import FILES, Bundle, load_bundle, save_bundle
from tagger.config import Config
from tagger.errors import InputError
from tagger.features.vocab import Task, Vocabulary


def make_bundle(value: float = 1.0) -> Bundle:
    vocabulary = Vocabulary(
        words=("<padding>", "<unknown>", "straße", "東京"),
        characters=("<padding>", "<unknown>", "s"),
        tasks=(Task("ner", ("O", "B-product-car", "I-product-car"), "IOB2"), Task("pos", ("NOUN",), None)),
        lowercase=True,
        fold_digits=False,
        fixed_words=("york",),
    )
    tensors = {
        "matrix": np.full((2, 3), value, np.float32),
        "fixed": np.array([[0.5, 1.5]], np.float16),
        "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    }
    config = Config.model_validate({"model": {"hidden_size": 7}, "data": {"tasks": ["ner", "pos"]}})
    tokenizer, temperatures = {"split_hyphens": True}, {"ner": 1.75}
    return Bundle(config, vocabulary, tokenizer, tensors, {"score": 0.5}, "# A model\n", temperatures)


def test_save_and_load_round_trip(tmp_path):
    bundle = make_bundle()
    save_bundle(bundle, tmp_path / "new" / "model")
    found = load_bundle(tmp_path / "new" / "model")
    assert (found.config, found.vocabulary, found.tokenizer) == (
        bundle.config,
        bundle.vocabulary,
        bundle.tokenizer,
    )
    assert (found.metrics, found.card) == (bundle.metrics, bundle.card)
    assert found.temperatures == bundle.temperatures == {"ner": 1.75}
    assert (found.temperature("ner"), found.temperature("pos")) == (1.75, 1)
    assert found.tensors.keys() == bundle.tensors.keys()
    for name, tensor in bundle.tensors.items():
        assert found.tensors[name].dtype == tensor.dtype
        assert np.array_equal(found.tensors[name], tensor)
    assert sorted(p.name for p in (tmp_path / "new" / "model").iterdir()) == sorted(FILES)


def test_a_model_without_temperatures_is_loaded(tmp_path):
    save_bundle(make_bundle(), tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    del values["temperatures"]
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert load_bundle(tmp_path).temperatures == {}
    assert load_bundle(tmp_path).temperature("ner") == 1


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
    with pytest.raises(InputError, match=r"metrics\.json: must be a file \(got a folder\)"):
        save_bundle(make_bundle(), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.json"]


def test_a_card_that_is_not_utf_8_is_loaded(tmp_path):
    save_bundle(make_bundle(), tmp_path)
    (tmp_path / "README.md").write_bytes("# Modèle\n".encode("latin-1"))
    assert load_bundle(tmp_path).card == "# Mod\N{REPLACEMENT CHARACTER}le\n"


def test_files_of_different_models_are_an_error(tmp_path):
    save_bundle(make_bundle(1.0), tmp_path / "a")
    save_bundle(make_bundle(2.0), tmp_path / "b")
    (tmp_path / "a" / "model.safetensors").replace(tmp_path / "b" / "model.safetensors")
    with pytest.raises(InputError, match="different models"):
        load_bundle(tmp_path / "b")


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
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "must be that of a tagger model"),
        ({"format_version": 99}, r"format version must be at most 3 \(got 99\)"),
        ({"model": {"hidden_size": -1}}, "damaged"),
        ({"model": {"invented": 1}}, "damaged"),
        ({"tokenizer": 3}, "tokenizer"),
        ({"tokenizer": []}, "tokenizer"),
        ({"tokenizer": "longest"}, "tokenizer"),
        ({"tokenizer": {"invented": True}}, "tokenizer"),
        ({"tokenizer": {"invented": None}}, "tokenizer"),
        ({"tokenizer": {"split_hyphens": "no"}}, "tokenizer"),
        ({"tokenizer": {"longest": "many"}}, "tokenizer"),
        ({"tokenizer": {"longest": 0}}, "tokenizer"),
        ({"tokenizer": {"newlines": "sometimes"}}, "tokenizer"),
    ],
)
def test_an_invalid_config_is_an_error(tmp_path, change, message):
    save_bundle(make_bundle(), tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=message) as caught:
        load_bundle(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_folder_without_a_bundle(tmp_path):
    with pytest.raises(InputError, match=r"config\.json.*cannot be read"):
        load_bundle(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"config\.json.*cannot be read"):
        load_bundle(tmp_path / ("long" * 100))
