"""Packed slots: each token has one index, sentences do not mix; and the graphs match their script."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tagger.errors import InputError
from tagger.runtime import recurrence
from tagger.runtime.recurrence import (
    GRAPHS,
    PROJECTION,
    HiddenWeights,
    PackedSlots,
    TokenInputs,
    choose_precision,
    project,
    read,
)

SIZES = st.lists(st.integers(1, 30), min_size=1, max_size=60)
WAYS = [(False,), (True,), (False, True)]


@given(SIZES)
def test_sentences_are_packed_whole_into_slots_of_similar_length(sizes):
    lengths = np.array(sizes)
    slots = PackedSlots.pack(lengths)
    assert len(set(slots.indices.tolist())) == len(slots.indices) == sum(sizes)
    assert slots.indices.max() < slots.steps * slots.count
    ends = np.cumsum(lengths)
    assert np.array_equal(slots.begins, slots.indices[ends - lengths])
    assert np.array_equal(slots.ends, slots.indices[ends - 1])
    for begin, end in zip(ends - lengths, ends, strict=True):
        assert (np.diff(slots.indices[begin:end]) == slots.count).all()
    # The longest slot was the shortest when it got its last sentence (Graham 1969).
    assert slots.steps <= sum(sizes) / slots.count + max(sizes) * (1 - 1 / slots.count) + 1e-9


@given(st.lists(st.integers(1, 30), min_size=1, max_size=7))
@example([8, 8, 8, 9])  # 16 steps, although a third of the tokens are 11
def test_packing_takes_at_most_four_thirds_of_the_optimum(sizes):
    """The bound of Graham 1969 for the longest sentence first, against all packings."""
    slots = PackedSlots.pack(np.array(sizes))
    packings = {(0,) * slots.count}
    for size in sizes:
        packings = {
            tuple(sorted([*one[:slot], one[slot] + size, *one[slot + 1 :]]))
            for one in packings
            for slot in range(slots.count)
        }
    optimum = min(map(max, packings))
    assert slots.steps <= (4 / 3 - 1 / (3 * slots.count)) * optimum + 1e-9


@pytest.mark.parametrize("is_backward", WAYS)
@given(SIZES)
def test_each_direction_reads_the_sentences_in_its_own_order(is_backward, sizes):
    lengths = np.array(sizes)
    slots = PackedSlots.pack(lengths)
    tokens = np.arange(1, sum(sizes) + 1)
    rows, reset_mask = slots.rows(tokens, is_backward), slots.reset_mask(is_backward)
    assert rows.shape == reset_mask.shape[:3] == (slots.steps, len(is_backward), slots.count)
    for d, back in enumerate(is_backward):
        found = slots.gather(rows[:, :, :, None].astype(np.float32), d, is_backward=back)
        assert np.array_equal(found[:, 0], tokens * len(is_backward) + d)
        gathered = slots.gather(reset_mask, d, is_backward=back)[:, 0]
        ends = np.cumsum(lengths)
        assert np.array_equal(np.flatnonzero(gathered == 0), ends - 1 if back else ends - lengths)


def test_long_slots_are_read_in_several_calls(monkeypatch):
    generator = np.random.default_rng(0)
    table, hidden, heads = (
        generator.normal(size=shape).astype(np.float32) for shape in ((9, 12), (2, 3, 12), (2, 3, 4))
    )
    slots = PackedSlots.pack(np.array([40, 3, 17, 29, 1]))
    rows = slots.rows(generator.integers(4, size=90), (False, True))
    reset_mask = slots.reset_mask((False, True))
    weights = HiddenWeights(hidden)
    whole = [read(table, rows, reset_mask, weights, one) for one in (heads, None)]
    assert [one.shape[3] for one in whole] == [4, 3]
    monkeypatch.setattr(recurrence, "_OUTPUT_BUDGET", 2 * slots.count * 3 * 7)
    for one, expected in zip((heads, None), whole, strict=True):
        np.testing.assert_allclose(read(table, rows, reset_mask, weights, one), expected, atol=1e-6)


@pytest.mark.parametrize("precision", GRAPHS)
@given(SIZES, st.integers(0, 1000))
def test_a_sentence_has_the_same_outputs_bit_for_bit_with_others(precision, sizes, seed):
    generator = np.random.default_rng(seed)
    weights = HiddenWeights(generator.normal(size=(2, 50, 200)).astype(np.float32) / 5)
    if precision == "int8":
        weights = weights.quantized()
    heads = generator.normal(size=(2, 50, 9)).astype(np.float32)
    features, inputs = (generator.normal(size=shape).astype(np.float32) for shape in ((9, 30), (30, 400)))
    bias = np.zeros(400, np.float32)
    table = project(features, inputs, bias)
    assert np.array_equal(table, np.concatenate([project(row[None], inputs, bias) for row in features]))
    tokens = generator.integers(9, size=sum(sizes))

    def outputs(lengths, words):
        slots = PackedSlots.pack(np.array(lengths))
        rows, reset_mask = slots.rows(words, (False, True)), slots.reset_mask((False, True))
        read_all = read(table.reshape(18, -1), rows, reset_mask, weights, heads)
        return np.stack([slots.gather(read_all, d, is_backward=bool(d)) for d in range(2)])

    together, ends = outputs(sizes, tokens), np.cumsum(sizes)
    for size, end in zip(sizes, ends, strict=True):
        alone = outputs([size], tokens[end - size : end])
        assert np.array_equal(alone, together[:, end - size : end])


@pytest.mark.parametrize("is_backward", WAYS)
def test_inputs_of_single_tokens_are_added_to_word_inputs(monkeypatch, is_backward):
    """Compare with a table that has a row per token, in one call and in blocks of a few steps."""
    generator = np.random.default_rng(3)
    directions, total = len(is_backward), 90
    table = generator.normal(size=(9 * directions, 12)).astype(np.float32)
    weights = HiddenWeights(generator.normal(size=(directions, 3, 12)).astype(np.float32))
    feature_weights = generator.normal(size=(directions, 5, 12)).astype(np.float32)
    features = generator.normal(size=(30, 5)).astype(np.float32)
    slots = PackedSlots.pack(np.array([40, 3, 17, 29, 1]))
    tokens, numbers = generator.integers(9, size=total), np.full(total, -1)
    numbers[generator.choice(total, 30, replace=False)] = np.arange(30)
    every = table.reshape(9, directions, 12)[tokens]
    for token in np.flatnonzero(numbers >= 0):
        every[token] += np.einsum("f,dfg->dg", features[numbers[token]], feature_weights)
    reset_mask = slots.reset_mask(is_backward)
    expected = read(
        every.reshape(-1, 12), slots.rows(np.arange(total), is_backward), reset_mask, weights, None
    )
    own = TokenInputs(slots.scatter(numbers, is_backward, -1), features, feature_weights)
    rows = slots.rows(tokens, is_backward)
    for budget in (1 << 20, 12 * directions * slots.count * 7, 1):
        monkeypatch.setattr(recurrence, "_INPUT_BUDGET", budget)
        found = read(table, rows, reset_mask, weights, None, own)
        for direction, back in enumerate(is_backward):
            np.testing.assert_allclose(
                slots.gather(found, direction, is_backward=back),
                slots.gather(expected, direction, is_backward=back),
                atol=1e-5,
            )


def test_a_step_equals_the_lstm_equations():
    """Compare with a float64 LSTM with forget gates (Gers et al. 2000) on one sentence."""
    generator = np.random.default_rng(1)
    table, hidden = (generator.normal(size=shape).astype(np.float32) for shape in ((5, 8), (1, 2, 8)))
    slots = PackedSlots.pack(np.array([5]))
    rows, reset_mask = slots.rows(np.arange(5), (False,)), slots.reset_mask((False,))
    found = read(table, rows, reset_mask, HiddenWeights(hidden), None)
    state = cell = np.zeros(2)
    for step in range(5):
        gates = table[step].astype(np.float64) + state @ hidden[0].astype(np.float64)
        input_gate, forget_gate, output_gate = (1 / (1 + np.exp(-gates[i : i + 2])) for i in (0, 2, 6))
        cell = forget_gate * cell + input_gate * np.tanh(gates[4:6])
        state = output_gate * np.tanh(cell)
        np.testing.assert_allclose(found[step, 0, 0], state, atol=1e-5)


@pytest.mark.parametrize("directions", [1, 2])
def test_int8_weights_are_rounded_to_the_nearest_value(directions):
    """Compare the int8 graph with the float32 graph on the same quantized weights."""
    generator = np.random.default_rng(2)
    table = generator.normal(size=(7 * directions, 24)).astype(np.float32)
    hidden = HiddenWeights(generator.normal(size=(directions, 6, 24)).astype(np.float32))
    quantized = hidden.quantized()
    assert quantized.values.dtype == np.int8
    dequantized = quantized.values * quantized.scales
    assert (np.abs(dequantized - hidden.values) <= quantized.scales / 2 + 1e-6).all()
    slots = PackedSlots.pack(np.array([1, 1, 1]))  # the first state is zero, so rounding does not change it
    is_backward = (False, True)[:directions]
    rows, reset_mask = slots.rows(generator.integers(7, size=3), is_backward), slots.reset_mask(is_backward)
    first = [read(table, rows, reset_mask, one, None) for one in (quantized, hidden)]
    np.testing.assert_allclose(*first, atol=1e-6)
    slots = PackedSlots.pack(np.array([9, 5, 8, 2]))
    rows, reset_mask = slots.rows(generator.integers(7, size=24), is_backward), slots.reset_mask(is_backward)
    found = read(table, rows, reset_mask, quantized, None)
    expected = read(table, rows, reset_mask, HiddenWeights(dequantized.astype(np.float32)), None)
    # The remaining difference is the rounding of states: up to half of 1/127 times the weights per step.
    assert 0 < np.abs(found - expected).max() < 0.05


def test_precision_names():
    assert [choose_precision(name) for name in ("f32", "int8")] == ["f32", "int8"]
    assert choose_precision("auto", 8) in GRAPHS
    for name, code in (("f16", "option.unknown"), ("bf16", "argument.value")):
        with pytest.raises(InputError, match=name) as error:
            choose_precision(name)
        assert (error.value.code, error.value.option) == (code, "precision")


def test_the_graphs_match_their_script(monkeypatch):
    pytest.importorskip("onnx")
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parent.parent / "scripts"))
    from build_recurrence import make_all

    sys.modules.pop("build_recurrence")
    assert {path.stem for path in [PROJECTION, *GRAPHS.values()]} == set(make_all())
    for name, model in make_all().items():
        assert (
            model.SerializeToString(deterministic=True) == PROJECTION.with_name(f"{name}.onnx").read_bytes()
        )
