"""Cost of annotation: compare fits with non-negative least squares of the observations without pauses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from input_errors import raises
from scipy.optimize import nnls

from tagger.annotation.annotation_cost import (
    LEAST_OBSERVATIONS,
    PRIOR,
    AnnotationCost,
    fit_cost,
    require_cost,
)


def observe(cost: AnnotationCost, noise: float, seed: int, count: int = 200):
    """Return lengths, and seconds with uniform noise, which is never as large as a pause."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 60, count)
    return lengths, cost.per_sentence + cost.per_token * lengths + generator.uniform(-noise, noise, count)


@pytest.mark.parametrize("cost", [AnnotationCost(5, 0.5), AnnotationCost(6, 0), AnnotationCost(0, 1.5)])
@pytest.mark.parametrize("n_pauses", [0, 20, 60])
def test_a_fit_is_least_squares_without_the_pauses(cost, n_pauses):
    lengths, seconds = observe(cost, noise=0.9 * min(1, max(cost.per_sentence, 1)), seed=n_pauses)
    seconds = np.maximum(seconds, 0.1)
    expected, _ = nnls(np.stack([np.ones(len(lengths)), lengths], axis=1), seconds)
    if n_pauses:
        paused = np.random.default_rng(1).choice(len(lengths), n_pauses, replace=False)
        others = np.setdiff1d(np.arange(len(lengths)), paused)
        expected, _ = nnls(np.stack([np.ones(len(others)), lengths[others]], axis=1), seconds[others])
        seconds[paused] += np.random.default_rng(2).uniform(60, 3600, n_pauses)
    assert fit_cost(lengths, seconds) == pytest.approx(expected, abs=1e-6)


def test_slips_of_the_keyboard_are_left_out():
    lengths, seconds = observe(AnnotationCost(20, 2), noise=1, seed=1)
    expected = fit_cost(lengths[10:], seconds[10:])
    seconds[:10] = 0.1
    assert fit_cost(lengths, seconds) == pytest.approx(expected)


@given(
    st.tuples(st.floats(0, 100), st.floats(0.001, 10)),
    st.lists(st.integers(1, 500), min_size=LEAST_OBSERVATIONS, max_size=50),
)
def test_an_exact_cost_is_recovered(cost, lengths):
    expected = AnnotationCost(*cost)
    fitted = fit_cost(lengths, [expected.seconds(length) for length in lengths])
    for length in lengths:  # equal lengths determine the seconds, not the coefficients
        assert fitted.seconds(length) == pytest.approx(expected.seconds(length), rel=1e-6)


@given(
    st.lists(st.tuples(st.integers(1, 100), st.floats(0.01, 1e5)), min_size=LEAST_OBSERVATIONS, max_size=40),
    st.randoms(use_true_random=False),
)
def test_any_seconds_give_a_valid_cost_that_does_not_depend_on_the_order(pairs, source):
    cost = fit_cost(*zip(*pairs, strict=True))
    assert require_cost(cost, "cost") is cost
    source.shuffle(pairs)
    assert fit_cost(*zip(*pairs, strict=True)) == pytest.approx(cost, rel=0.01, abs=1e-3)


def test_few_observations_give_the_prior():
    lengths, seconds = observe(AnnotationCost(50, 9), noise=1, seed=1, count=LEAST_OBSERVATIONS)
    assert fit_cost([], []) == fit_cost(lengths[1:], seconds[1:]) == PRIOR
    assert fit_cost(lengths, seconds).per_token == pytest.approx(9, abs=0.2)


@pytest.mark.parametrize("seconds", [(0, 0), (-1, 1), (1, -1), (float("nan"), 1), (1, float("inf"))])
def test_an_invalid_cost_is_rejected(seconds):
    with raises("option.value", option="--cost"):
        require_cost(AnnotationCost(*seconds), "--cost")
