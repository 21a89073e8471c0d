"""Shrunk models: stored types, restored values, and equal results in the engine."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bundles import edit, edit_tensors, make_bundle, random_sentences
from command_line import input_error, run, run_error
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from input_errors import check, raises
from safetensors.numpy import load_file

from tagger import InputError, Tagger
from tagger.bundle import MAPPED, SCALES, Bundle, load_bundle, save_bundle
from tagger.runtime.stream import StreamingTagger
from tagger.shrinking import WORD_TABLES, quantise_rows, restore_bundle, shrink_bundle

pytestmark = pytest.mark.slow

TRAINED = WORD_TABLES[0]


def stored(bundle: Bundle, folder: Path) -> Bundle:
    save_bundle(bundle, folder)
    return load_bundle(folder)


@given(arrays(np.float32, (3, 4), elements=st.floats(-1e4, 1e4, width=32)))
def test_quantised_rows_are_within_half_a_scale(values):
    rows, scales = quantise_rows(values)
    assert (rows.dtype, scales.dtype, scales.shape) == (np.int8, np.float32, (3,))
    assert np.all(np.abs(rows * scales[:, None] - values) <= 0.5001 * scales[:, None] + 1e-38)
    for row, value in zip(rows, values, strict=True):
        assert not value.any() or np.abs(value).max() < 1e-40 or np.abs(row).max() == 127


@pytest.mark.parametrize("precision", ["f32", "f16", "int8"])
@pytest.mark.parametrize("words", [None, 0, 1, 2, 9])
def test_kept_vectors_and_stored_types(tmp_path, precision, words):
    _, bundle = make_bundle()
    bundle = replace(bundle, metrics={"data": {"vectors": {"file": "v.txt", "frozen": 2}, "dev": None}})
    kept = 2 if words is None else min(words, 2)
    loaded = stored(shrink_bundle(bundle, words=words, precision=precision), tmp_path)
    assert loaded.vocabulary.frozen_words == bundle.vocabulary.frozen_words[:kept]
    assert loaded.metrics["shrunk"] == {"frozen_words": kept, "precision": precision}
    assert loaded.metrics["data"] == {"vectors": {"file": "v.txt", "frozen": kept}, "dev": None}
    assert loaded.is_shrunk == (precision != "f32")
    types = {name: tensor.dtype for name, tensor in load_file(tmp_path / "model.safetensors").items()}
    for name in bundle.tensors:
        is_small = precision == "int8" and name in WORD_TABLES
        expected = np.int8 if is_small else np.float32 if precision == "f32" else np.float16
        assert types[name] == (np.float16 if precision == "f32" and name == MAPPED else expected)
    for name, tensor in bundle.tensors.items():
        restored = restore_bundle(loaded).tensors[name]
        original = tensor[:kept] if name == MAPPED else tensor
        assert (restored.dtype, restored.shape) == (tensor.dtype, original.shape)
        coarse = precision == "int8" and name in WORD_TABLES
        most = np.abs(original.astype(np.float32)).max(axis=-1, keepdims=True, initial=0.0)
        assert np.all(np.abs(restored - original) <= most * (0.0045 if coarse else 0.0005))
        assert precision != "f32" or np.array_equal(restored, original)


@pytest.mark.parametrize("precision", ["f32", "f16", "int8"])
@pytest.mark.parametrize("options", [{"linear": True}, {"characters": "lstm", "affix_size": 2}], ids=str)
def test_the_engine_gives_the_results_of_the_restored_model(tmp_path, precision, options):
    for seed in range(3):
        _, bundle = make_bundle(seed, **options)
        loaded = stored(shrink_bundle(bundle, words=2, precision=precision), tmp_path / str(seed))
        plain = stored(restore_bundle(loaded), tmp_path / f"plain{seed}")
        assert plain.tensors[MAPPED].dtype == np.float16
        sentences = random_sentences(bundle.vocabulary, seed, count=40)
        assert {"Glasgow", "river"} <= {token for tokens in sentences for token in tokens}
        one, other = Tagger(loaded, threads=1), Tagger(plain, threads=1)
        assert one.tag_tokens(sentences, scores=True) == other.tag_tokens(sentences, scores=True)
        for tokens in sentences[:5]:
            pairs = [StreamingTagger(tagger, lookahead=1) for tagger in (one, other)]
            tags = [[streaming.push(token) for token in tokens] for streaming in pairs]
            assert tags[0] == tags[1]


def test_a_shrunk_model_can_be_saved_and_shrunk_again(tmp_path):
    _, bundle = make_bundle()
    first = stored(shrink_bundle(bundle, precision="int8"), tmp_path / "first")
    again = stored(first, tmp_path / "again")
    assert again.tensors.keys() == first.tensors.keys() == {*bundle.tensors, MAPPED + SCALES}
    assert all(np.array_equal(again.tensors[name], first.tensors[name]) for name in first.tensors)
    smaller = stored(shrink_bundle(first, words=1, precision="int8"), tmp_path / "smaller")
    assert np.abs(smaller.tensors[MAPPED] - first.tensors[MAPPED][:1]).max() <= 1
    assert smaller.tensors[TRAINED] == pytest.approx(first.tensors[TRAINED], rel=1e-3, abs=1e-6)
    back = stored(shrink_bundle(first, precision="f32"), tmp_path / "back")
    assert not back.is_shrunk
    assert not json.loads((tmp_path / "back" / "config.json").read_text())["is_shrunk"]


def test_values_beyond_a_type_are_clipped(tmp_path):
    _, bundle = make_bundle()
    bundle = replace(bundle, tensors={**bundle.tensors, TRAINED: bundle.tensors[TRAINED] * 1e6})
    for precision in ("f16", "int8"):
        loaded = stored(shrink_bundle(bundle, precision=precision), tmp_path / precision)
        assert np.isfinite(loaded.tensors[TRAINED]).all()
        assert Tagger(loaded).tag_tokens([["rain"]])


@pytest.fixture
def shrunk(tmp_path) -> Path:
    _, bundle = make_bundle()
    save_bundle(shrink_bundle(bundle, precision="int8"), tmp_path / "m")
    return tmp_path / "m"


def test_a_model_with_a_wrong_mark_is_an_error(shrunk):
    edit(shrunk / "config.json", lambda values: values.update(is_shrunk=False))
    with pytest.raises(InputError, match=r"tensor .* must have (type|shape) .* \(got"):
        Tagger.load(shrunk)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (MAPPED + SCALES, lambda one: None, "words.frozen must have type float16 (got int8)"),
        (MAPPED + SCALES, lambda one: one[:1], "words.frozen.scales must have shape (2,) (got (1,))"),
        (MAPPED + SCALES, lambda one: one * np.nan, "frozen.scales contains a value that is not finite"),
        (MAPPED + SCALES, lambda one: one.astype(np.float64), "scales must have type float32 (got float64)"),
        (MAPPED, lambda one: one.astype(np.float16), "words.frozen must have type int8 (got float16)"),
        (MAPPED, lambda one: one[:1], "words.frozen must have shape (2, 4) (got (1, 4))"),
        (TRAINED + SCALES, lambda one: one[:1], "words.trainable.weight"),
        (TRAINED + SCALES, lambda one: None, "words.trainable.weight must have type float32 (got int8)"),
        (TRAINED + SCALES, lambda one: one * np.inf, "trainable.weight contains a value that is not finite"),
        ("heads.0.projection.bias", lambda one: one.astype(np.int8), "must have type float32 (got int8)"),
    ],
)  # fmt: skip
def test_errors_name_the_damaged_tensor(shrunk, name, change, message):
    def edited(tensors: dict[str, np.ndarray]) -> None:
        one = change(tensors.pop(name))
        if one is not None:
            tensors[name] = one

    edit_tensors(shrunk, edited)
    error = input_error("tag", "-m", shrunk, stdin=b"Rain fell.")
    check(error, "bundle.damaged", file=shrunk, mentions=message)


def test_a_too_large_scale_is_an_error_when_its_word_is_used(shrunk):
    edit_tensors(shrunk, lambda tensors: tensors.update({MAPPED + SCALES: np.full(2, 1e20, np.float32)}))
    assert Tagger.load(shrunk).tag("Rain fell.")
    with raises("bundle.damaged", mentions="words.frozen"):
        Tagger.load(shrunk).tag("Glasgow")


def test_the_command_writes_a_smaller_working_model(model, corpus, tmp_path):
    for precision in ("f32", "f16", "int8"):
        code, output, error = run("shrink", model, tmp_path / precision, "--precision", precision)
        assert (code, output) == (0, "")
        assert error.startswith(f"{tmp_path / precision}: ")
        assert run("evaluate", tmp_path / precision, corpus / "dev.conll")[::2] == (0, "")
        assert f"{precision}." in (tmp_path / precision / "README.md").read_text().splitlines()[-1]
        assert run("info", tmp_path / precision)[::2] == (0, "")
    facts = [json.loads(run("info", folder, "--json")[1]) for folder in (model, tmp_path / "int8")]
    assert facts[0]["parameters"] == facts[1]["parameters"]
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("f32", "f16", "int8")]
    assert max(sizes[1:]) < sizes[0]  # with eight columns, int8 with a scale per row saves nothing
    assert run("shrink", model, tmp_path / "int8", "--words", "0")[0] == 0  # an earlier model is replaced


def test_errors_of_the_command(model, tmp_path):
    check(input_error("shrink", model, model), "option.conflict", file=model)
    check(input_error("shrink", tmp_path / "none", tmp_path / "m"), "bundle.missing", file=tmp_path / "none")
    (tmp_path / "config.json").write_text("{}")
    check(input_error("shrink", model, tmp_path), "bundle.output", file=tmp_path, mentions="config.json")
    assert "--words" in run_error("shrink", model, tmp_path / "m", "--words", "-1")
