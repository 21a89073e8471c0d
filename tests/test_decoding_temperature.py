"""Temperature scaling: the fit compared with brute force over every tag sequence, and skipped sentences."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from score_cases import MINUS_INFINITY, all_scores, random_case, sentences_of

from tagger.decoding.crf import forward_backward
from tagger.decoding.temperature import (
    HIGHEST,
    LOWEST,
    GoldBatch,
    fit_temperature,
    golden_section,
    temper,
)
from tagger.decoding.viterbi import Transitions


def draw_gold(emissions, lengths, transitions, rng, *, temperature):
    """Sample tag sequences from a CRF of this temperature; -1 without a legal sequence."""
    gold = np.full(emissions.shape[:2], -1)
    for row, sentence in sentences_of(emissions, lengths):
        paths, scores = all_scores(sentence, transitions)
        if scores.max() > MINUS_INFINITY:
            weights = np.exp((scores - scores.max()) / temperature)
            gold[row, : len(sentence)] = paths[rng.choice(len(paths), p=weights / weights.sum())]
    return gold


def negative_log_likelihood(emissions, lengths, gold, transitions):
    """Return the negative log-likelihood of all legal gold sequences as a function of temperature."""
    held = []
    for row, sentence in sentences_of(emissions, lengths):
        paths, scores = all_scores(sentence, transitions)
        own = tuple(gold[row, : len(sentence)])
        if own in paths and scores[paths.index(own)] > MINUS_INFINITY:
            held.append(scores - scores[paths.index(own)])
    return lambda temperature: sum(math.log(np.exp(scores / temperature).sum()) for scores in held)


@pytest.mark.parametrize("forbid", [0.0, 0.2])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_no_other_temperature_makes_gold_likelier(temperature, forbid):
    rng = np.random.default_rng(0)
    emissions, lengths, transitions = random_case(4, forbid=forbid, sentences=30, steps=4, tags=3)
    gold = draw_gold(emissions, lengths, transitions, rng, temperature=temperature)
    batches = [GoldBatch(emissions[part], lengths[part], gold[part]) for part in (slice(12), slice(12, 30))]
    fitted = fit_temperature(batches, transitions)
    assert LOWEST < fitted < HIGHEST
    loss = negative_log_likelihood(emissions, lengths, gold, transitions)
    others = np.geomspace(LOWEST, HIGHEST, 60)
    assert loss(fitted) <= min(map(loss, others)) + 1e-3


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_fit_recovers_the_temperature_of_sampled_tags(temperature):
    rng = np.random.default_rng(0)
    emissions, lengths, transitions = random_case(1, scale=2.0, sentences=300, steps=4, tags=3)
    gold = draw_gold(emissions, lengths, transitions, rng, temperature=temperature)
    fitted = fit_temperature([GoldBatch(emissions, lengths, gold)], transitions)
    assert fitted == pytest.approx(temperature, rel=0.2)


def test_scores_twice_as_large_need_twice_the_temperature():
    emissions, lengths, transitions = random_case(5, sentences=60, tags=3)
    gold = draw_gold(emissions, lengths, transitions, np.random.default_rng(5), temperature=1.5)
    doubled = Transitions(*(2 * one for one in (transitions.scores, transitions.start, transitions.end)))
    once = fit_temperature([GoldBatch(emissions, lengths, gold)], transitions)
    twice = fit_temperature([GoldBatch(2 * emissions, lengths, gold)], doubled)
    assert twice == pytest.approx(2 * once, rel=5e-3)


def test_unknown_forbidden_and_empty_sentences_are_skipped():
    emissions, lengths, transitions = random_case(3, sentences=40, tags=3)
    gold = draw_gold(emissions, lengths, transitions, np.random.default_rng(3), temperature=2.0)
    expected = fit_temperature([GoldBatch(emissions, lengths, gold)], transitions)
    # Two more tags, one of them always forbidden; sentences with this tag, with an unknown tag, and empty.
    wide = np.concatenate([emissions, np.full((*emissions.shape[:2], 1), -50, np.float32)], axis=2)
    parts = (transitions.scores, transitions.start, transitions.end)
    forbidden = Transitions(*(np.pad(one, (0, 1), constant_values=MINUS_INFINITY) for one in parts))
    more = np.zeros((3, *wide.shape[1:]), np.float32)
    batches = [
        GoldBatch(wide, lengths, gold),
        GoldBatch(more, np.array([2, 3, 0]), np.array([[0, 3, 0, 0, 0], [0, -1, 0, 0, 0], [-1] * 5])),
        GoldBatch(more[:1], np.array([1]), np.array([[-1] * 5])),
    ]
    assert fit_temperature(batches, forbidden) == expected


def test_the_temperature_is_one_if_nothing_can_be_fitted():
    _, _, transitions = random_case(0, tags=2)
    assert fit_temperature([], transitions) == 1
    emissions = np.array([[[4, 0], [0, 4]]], np.float32)
    unknown = GoldBatch(emissions, np.array([2]), np.array([[0, -1]]))
    assert fit_temperature([unknown], Transitions.free(2)) == 1
    right = GoldBatch(emissions, np.array([2]), np.array([[0, 1]]))  # the likelihood only grows as T falls
    assert fit_temperature([right], Transitions.free(2)) == 1
    wrong = GoldBatch(emissions, np.array([2]), np.array([[1, 0]]))  # and here as it rises
    assert fit_temperature([wrong], Transitions.free(2)) == pytest.approx(HIGHEST, rel=1e-3)
    assert fit_temperature([wrong], Transitions.free(2)) <= HIGHEST


@given(st.floats(-3, 3), st.floats(0.01, 5))
def test_golden_section_finds_a_minimum_within_its_tolerance(position, steepness):
    calls = []

    def valley(x: float) -> float:
        calls.append(x)
        return steepness * abs(x - position)

    assert golden_section(valley, -3.0, 3.0, 1e-4) == pytest.approx(position, abs=1e-4)
    assert len(calls) <= 2 + math.ceil(math.log(6 / 1e-4) / -math.log(0.6180339))
    assert all(-3 <= x <= 3 for x in calls)


def test_scaled_posteriors_equal_posteriors_of_divided_scores():
    emissions, lengths, transitions = random_case(2, forbid=0.2, tags=3)
    posterior = forward_backward(emissions / np.float32(2.5), lengths, temper(transitions, 2.5))
    for row, sentence in sentences_of(emissions, lengths):
        paths, scores = all_scores(sentence, transitions)
        weights = np.exp((scores - scores.max()) / 2.5)
        for position, tag in itertools.product(range(len(sentence)), range(3)):
            share = sum(w for path, w in zip(paths, weights, strict=True) if path[position] == tag)
            assert posterior.tags[row, position, tag] == pytest.approx(share / weights.sum(), abs=1e-5)
