"""Lanes: every token has one place, sentences do not mix, and the graph is what its script writes."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.errors import InputError
from tagger.runtime import recurrence
from tagger.runtime.recurrence import (
    GRAPHS,
    PROJECTION,
    HiddenWeights,
    Lanes,
    TokenInputs,
    choose_precision,
    read,
)

SIZES = st.lists(st.integers(1, 30), min_size=1, max_size=60)
WAYS = [(False,), (True,), (False, True)]


@given(SIZES)
def test_sentences_lie_whole_in_lanes_of_like_length(sizes):
    lengths = np.array(sizes)
    lanes = Lanes.arrange(lengths)
    assert len(set(lanes.places.tolist())) == len(lanes.places) == sum(sizes)
    assert lanes.places.max() < lanes.steps * lanes.count
    ends = np.cumsum(lengths)
    assert np.array_equal(lanes.begins, lanes.places[ends - lengths])
    assert np.array_equal(lanes.ends, lanes.places[ends - 1])
    for begin, end in zip(ends - lengths, ends, strict=True):
        assert (np.diff(lanes.places[begin:end]) == lanes.count).all()
    # Graham's bound for the longest processing time first: 4/3 of what is possible.
    assert lanes.steps <= 4 / 3 * max(max(sizes), -(-sum(sizes) // lanes.count)) + 1


@pytest.mark.parametrize("is_backward", WAYS)
@given(SIZES)
def test_each_direction_meets_each_sentence_in_its_own_order(is_backward, sizes):
    lengths = np.array(sizes)
    lanes = Lanes.arrange(lengths)
    tokens = np.arange(1, sum(sizes) + 1)
    rows, keep = lanes.rows(tokens, is_backward), lanes.keep(is_backward)
    assert rows.shape == keep.shape[:3] == (lanes.steps, len(is_backward), lanes.count)
    for d, back in enumerate(is_backward):
        found = lanes.pick(rows[:, :, :, None].astype(np.float32), d, is_backward=back)
        assert np.array_equal(found[:, 0], tokens * len(is_backward) + d)
        kept = lanes.pick(keep, d, is_backward=back)[:, 0]
        ends = np.cumsum(lengths)
        assert np.array_equal(np.flatnonzero(kept == 0), ends - 1 if back else ends - lengths)


def test_long_lanes_are_read_in_several_calls(monkeypatch):
    generator = np.random.default_rng(0)
    table, hidden, heads = (
        generator.normal(size=shape).astype(np.float32) for shape in ((9, 12), (2, 3, 12), (2, 3, 4))
    )
    lanes = Lanes.arrange(np.array([40, 3, 17, 29, 1]))
    rows = lanes.rows(generator.integers(4, size=90), (False, True))
    keep = lanes.keep((False, True))
    weights = HiddenWeights(hidden)
    whole = [read(table, rows, keep, weights, one) for one in (heads, None)]
    assert [one.shape[3] for one in whole] == [4, 3]
    monkeypatch.setattr(recurrence, "_OUTPUT_BUDGET", 2 * lanes.count * 3 * 7)
    for one, expected in zip((heads, None), whole, strict=True):
        np.testing.assert_allclose(read(table, rows, keep, weights, one), expected, atol=1e-6)


@pytest.mark.parametrize("is_backward", WAYS)
def test_inputs_of_single_tokens_are_added_to_those_of_their_words(monkeypatch, is_backward):
    """Against a table that has a row for every token, in one call and in blocks of a few steps."""
    generator = np.random.default_rng(3)
    directions, total = len(is_backward), 90
    table = generator.normal(size=(9 * directions, 12)).astype(np.float32)
    weights = HiddenWeights(generator.normal(size=(directions, 3, 12)).astype(np.float32))
    of_features = generator.normal(size=(directions, 5, 12)).astype(np.float32)
    features = generator.normal(size=(30, 5)).astype(np.float32)
    lanes = Lanes.arrange(np.array([40, 3, 17, 29, 1]))
    tokens, numbers = generator.integers(9, size=total), np.full(total, -1)
    numbers[generator.choice(total, 30, replace=False)] = np.arange(30)
    every = table.reshape(9, directions, 12)[tokens]
    for token in np.flatnonzero(numbers >= 0):
        every[token] += np.einsum("f,dfg->dg", features[numbers[token]], of_features)
    keep = lanes.keep(is_backward)
    expected = read(every.reshape(-1, 12), lanes.rows(np.arange(total), is_backward), keep, weights, None)
    own = TokenInputs(lanes.spread(numbers, is_backward, -1), features, of_features)
    rows = lanes.rows(tokens, is_backward)
    for budget in (1 << 20, 12 * directions * lanes.count * 7, 1):
        monkeypatch.setattr(recurrence, "_INPUT_BUDGET", budget)
        found = read(table, rows, keep, weights, None, own)
        for direction, back in enumerate(is_backward):
            np.testing.assert_allclose(
                lanes.pick(found, direction, is_backward=back),
                lanes.pick(expected, direction, is_backward=back),
                atol=1e-5,
            )


def test_a_step_is_the_lstm_of_its_definition():
    """Hochreiter and Schmidhuber with forget gates, in float64, one sentence."""
    generator = np.random.default_rng(1)
    table, hidden = (generator.normal(size=shape).astype(np.float32) for shape in ((5, 8), (1, 2, 8)))
    lanes = Lanes.arrange(np.array([5]))
    rows, keep = lanes.rows(np.arange(5), (False,)), lanes.keep((False,))
    found = read(table, rows, keep, HiddenWeights(hidden), None)
    state = cell = np.zeros(2)
    for step in range(5):
        gates = table[step].astype(np.float64) + state @ hidden[0].astype(np.float64)
        taken, forgotten, shown = (1 / (1 + np.exp(-gates[place : place + 2])) for place in (0, 2, 6))
        cell = forgotten * cell + taken * np.tanh(gates[4:6])
        state = shown * np.tanh(cell)
        np.testing.assert_allclose(found[step, 0, 0], state, atol=1e-5)


@pytest.mark.parametrize("directions", [1, 2])
def test_weights_of_8_bits_are_the_nearest_ones(directions):
    """The graph of whole numbers against the other one with weights and states rounded likewise."""
    generator = np.random.default_rng(2)
    table = generator.normal(size=(7 * directions, 24)).astype(np.float32)
    hidden = HiddenWeights(generator.normal(size=(directions, 6, 24)).astype(np.float32))
    rounded = hidden.rounded()
    assert rounded.values.dtype == np.int8
    near = rounded.values * rounded.steps
    assert (np.abs(near - hidden.values) <= rounded.steps / 2 + 1e-6).all()
    lanes = Lanes.arrange(np.array([1, 1, 1]))  # the state before the first step is zero: nothing to round
    is_backward = (False, True)[:directions]
    rows, keep = lanes.rows(generator.integers(7, size=3), is_backward), lanes.keep(is_backward)
    first = [read(table, rows, keep, one, None) for one in (rounded, hidden)]
    np.testing.assert_allclose(*first, atol=1e-6)
    lanes = Lanes.arrange(np.array([9, 5, 8, 2]))
    rows, keep = lanes.rows(generator.integers(7, size=24), is_backward), lanes.keep(is_backward)
    found = read(table, rows, keep, rounded, None)
    expected = read(table, rows, keep, HiddenWeights(near.astype(np.float32)), None)
    # What is left is the rounding of states: half a step of 1/127 times the weights, step after step.
    assert 0 < np.abs(found - expected).max() < 0.05


def test_names_of_precisions():
    assert [choose_precision(name) for name in ("f32", "int8")] == ["f32", "int8"]
    assert choose_precision("auto", 8) in GRAPHS
    with pytest.raises(InputError, match="There is no precision 'f16'; use f32, int8 or auto"):
        choose_precision("f16")
    with pytest.raises(InputError, match="no products of bf16 for processors; use f32"):
        choose_precision("bf16")


def test_the_graphs_are_what_their_script_writes(monkeypatch):
    pytest.importorskip("onnx")
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parent.parent / "scripts"))
    from build_recurrence import make_all

    sys.modules.pop("build_recurrence")
    assert {path.stem for path in [PROJECTION, *GRAPHS.values()]} == set(make_all())
    for name, model in make_all().items():
        assert (
            model.SerializeToString(deterministic=True) == PROJECTION.with_name(f"{name}.onnx").read_bytes()
        )
