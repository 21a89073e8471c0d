"""Intervals and tests against scipy, full enumeration and the definitions."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tagger.evaluation import significance
from tagger.evaluation.significance import (
    bootstrap_interval,
    correct_p_values,
    estimate,
    estimate_difference,
    randomisation_test,
)

TRIALS = 10_000
SCORES = st.lists(st.tuples(*[st.integers(0, 1000).map(lambda n: n / 1000)] * 2), min_size=2, max_size=9)
# Dyadic numbers of few digits: products with small whole numbers are exact.
P_VALUES = st.lists(st.integers(1, 256).map(lambda n: n / 256), max_size=9)


@given(SCORES)
def test_the_interval_of_a_difference_equals_the_paired_t_test(pairs):
    base, other = ([pair[side] for pair in pairs] for side in range(2))
    result = estimate_difference(base, other)
    assert result.values == pytest.approx([b - a for a, b in pairs])
    assert result.mean == pytest.approx(np.mean(other) - np.mean(base))
    assert result.deviation == pytest.approx(np.std(result.values, ddof=1))
    if result.deviation > 1e-9:  # scipy warns about equal values
        interval = stats.ttest_rel(other, base).confidence_interval(0.95)
        assert (result.low, result.high) == pytest.approx(tuple(interval))


def test_wider_confidence_is_a_wider_interval():
    values = [0.8, 0.9, 0.85]
    result = estimate(values, confidence=0.99)
    assert (result.low, result.high) == pytest.approx(
        tuple(stats.ttest_1samp(values, 0).confidence_interval(0.99))
    )


def test_a_single_value_has_no_interval_and_no_value_is_an_error():
    result = estimate_difference([0.5], [0.75])
    assert (result.mean, result.deviation, result.low, result.high, result.values) == (
        0.25,
        None,
        None,
        None,
        (0.25,),
    )
    with pytest.raises(ValueError, match="at least one value"):
        estimate([])
    with pytest.raises(ValueError, match="zip"):
        estimate_difference([0.5], [0.5, 0.6])


def draw_counts(generator, seeds, sentences):
    """Random counts: each system predicts some gold items and some wrong ones."""
    gold = np.broadcast_to(generator.integers(0, 4, size=sentences), (seeds, sentences))
    right = generator.integers(0, gold + 1)
    return np.stack([right, right + generator.integers(0, 3, size=gold.shape), gold], axis=-1)


def f1(counts):
    right, predicted, gold = (sum(count[side] for count in counts) for side in range(3))
    return 2 * right / (predicted + gold) if predicted + gold else 0.0


def exact_p_value(base, other):
    """Of all ways to exchange sentences, the share whose difference is at least as large."""

    def difference(is_exchanged):
        sides = ([], [])
        for first, second in zip(base.tolist(), other.tolist(), strict=True):  # a seed
            rows = list(zip(first, second, is_exchanged, strict=True))
            sides[0].append(f1([b if exchanged else a for a, b, exchanged in rows]))
            sides[1].append(f1([a if exchanged else b for a, b, exchanged in rows]))
        return abs(np.mean(sides[1]) - np.mean(sides[0]))

    sentences = base.shape[1]
    observed = difference([False] * sentences)
    ways = list(itertools.product([False, True], repeat=sentences))
    return np.mean([difference(way) >= observed - 1e-12 for way in ways])


def assert_near(p_value, exact, trials=TRIALS):
    """Within four standard errors of a share of so many trials."""
    assert abs(p_value - exact) <= 4 * (exact * (1 - exact) / trials) ** 0.5 + 1 / trials


@pytest.mark.parametrize("case", range(12))
def test_randomisation_is_near_the_enumeration_of_all_exchanges(case):
    generator = np.random.default_rng(case)
    base, other = (draw_counts(generator, 1 + case % 3, 4 + case % 5) for _ in range(2))
    assert_near(randomisation_test(base, other), exact_p_value(base, other))


@pytest.mark.parametrize("case", range(4))
def test_randomisation_of_equally_long_sentences_equals_scipys_permutation_test(case):
    generator = np.random.default_rng(case)
    right = generator.integers(0, 8, size=(2, 10)) + np.array([[0], [case]])
    tokens = np.full(10, 12)
    base, other = (np.stack([side, tokens, tokens], axis=-1)[None] for side in right)
    exact = stats.permutation_test(
        (right[0] / 12, right[1] / 12),
        lambda first, second, axis: np.mean(second - first, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    )
    assert_near(randomisation_test(base, other), exact.pvalue)


def test_equal_outputs_from_more_seeds_add_no_evidence():
    generator = np.random.default_rng(1)
    base, other = (draw_counts(generator, 1, 40) for _ in range(2))
    p_value = randomisation_test(base, other)
    assert 0.01 < p_value < 0.9
    assert randomisation_test(base.repeat(4, axis=0), other.repeat(4, axis=0)) == p_value
    assert randomisation_test(other, base) == p_value


def test_the_seed_of_the_random_numbers_decides():
    generator = np.random.default_rng(1)
    base, other = (draw_counts(generator, 2, 40) for _ in range(2))
    first, again, second = (randomisation_test(base, other, trials=999, seed=seed) for seed in (1, 1, 2))
    assert first == again != second


@pytest.mark.parametrize("numbers", [1, 7, 100])
def test_trials_come_in_blocks_of_bounded_memory(numbers, monkeypatch):
    monkeypatch.setattr(significance, "_BLOCK_NUMBERS", numbers)
    base, other = (draw_counts(np.random.default_rng(seed), 2, 6) for seed in (1, 2))
    assert_near(randomisation_test(base, other, trials=1001), exact_p_value(base, other), 1001)
    # One sentence that differs: every exchange gives the same difference, so every trial has to count.
    assert randomisation_test(base[:, :1], base[:, :1] + [1, 1, 1], trials=1001) == 1.0


def test_extremes():
    counts = draw_counts(np.random.default_rng(1), 3, 50)
    assert randomisation_test(counts, counts) == 1.0
    nothing = np.zeros((2, 0, 3), dtype=np.int64)
    assert randomisation_test(nothing, nothing) == 1.0
    ones = np.ones((1, 60, 3), dtype=np.int64)
    assert randomisation_test(ones * [0, 1, 1], ones, trials=99) == 1 / 100
    with pytest.raises(ValueError, match=r"one shape, got \(3, 50, 3\) and \(3, 49, 3\)"):
        randomisation_test(counts, counts[:, 1:])


@pytest.mark.parametrize("case", range(6))
@pytest.mark.parametrize("is_paired", [False, True])
def test_the_bootstrap_interval_is_near_that_of_all_samples(case, is_paired):
    generator = np.random.default_rng(case)
    counts, base = (draw_counts(generator, 1, 5)[0] for _ in range(2))
    samples = [
        f1(counts[list(drawn)]) - (f1(base[list(drawn)]) if is_paired else 0.0)
        for drawn in itertools.product(range(5), repeat=5)
    ]
    for confidence in (0.5, 0.9):
        interval = bootstrap_interval(
            counts, base if is_paired else None, confidence=confidence, trials=TRIALS
        )
        for end, share in zip(interval, ((1 - confidence) / 2, (1 + confidence) / 2), strict=True):
            # The share of samples below the end is the quantile, within four standard errors.
            margin = 4 * (share * (1 - share) / TRIALS) ** 0.5
            assert np.mean(np.less(samples, end - 1e-9)) <= share + margin
            assert np.mean(np.less_equal(samples, end + 1e-9)) >= share - margin


def test_the_bootstrap_of_equally_long_sentences_is_near_scipys():
    right = np.random.default_rng(1).integers(0, 11, size=200)
    counts = np.stack([right, np.full(200, 10), np.full(200, 10)], axis=-1)
    reference = stats.bootstrap(
        (right / 10,), np.mean, method="percentile", random_state=1
    ).confidence_interval
    assert bootstrap_interval(counts) == pytest.approx(tuple(reference), abs=0.01)


def test_the_bootstrap_comes_in_blocks_and_needs_sentences_of_one_shape(monkeypatch):
    counts = draw_counts(np.random.default_rng(1), 1, 30)[0]
    whole = bootstrap_interval(counts)
    assert bootstrap_interval(counts, counts) == (0.0, 0.0)
    monkeypatch.setattr(significance, "_BLOCK_NUMBERS", 100)
    assert bootstrap_interval(counts) == whole
    with pytest.raises(ValueError, match="got none"):
        bootstrap_interval(counts[:0])
    with pytest.raises(ValueError, match=r"\(30, 3\) and \(29, 3\)"):
        bootstrap_interval(counts, counts[1:])


@given(P_VALUES)
def test_corrected_p_values_match_the_definition(p_values):
    order = sorted(p_values)
    corrected = correct_p_values(p_values)
    for raw, result in zip(p_values, corrected, strict=True):
        rank = order.index(raw) + 1
        assert result == max(min(1.0, (len(order) - j) * order[j]) for j in range(rank))
        assert raw <= result <= 1
    assert sorted(corrected) == [
        result for _, result in sorted(zip(p_values, corrected, strict=True))
    ]  # the order stays


@given(P_VALUES, st.integers(1, 255).map(lambda n: n / 256))
def test_corrected_p_values_reject_the_same_hypotheses_as_the_procedure(p_values, level):
    """Holm (1979): from the smallest on, reject as long as p <= level / (hypotheses that are left)."""
    rejected = set()
    for step, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[place] * (len(p_values) - step) > level:
            break
        rejected.add(place)
    assert {place for place, result in enumerate(correct_p_values(p_values)) if result <= level} == rejected
