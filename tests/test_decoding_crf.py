"""Path scores and the loss of the CRF, compared with sums over all tag sequences."""

import itertools

import numpy as np
import pytest

from tagger.decoding.crf import forward_backward, loss_gradient, path_scores
from tagger.decoding.viterbi import Transitions

TAGS = 3
Case = tuple[np.ndarray, np.ndarray, np.ndarray, Transitions]


def make_case(seed: int) -> Case:
    """Make emissions, tags, lengths from 1 to 4, and transitions, all in float64."""
    generator = np.random.default_rng(seed)
    shapes = ((TAGS, TAGS), (TAGS,), (TAGS,))
    transitions = Transitions(*(generator.normal(size=shape) for shape in shapes))
    emissions = generator.normal(size=(5, 4, TAGS))
    return emissions, generator.integers(TAGS, size=(5, 4)), np.array([1, 4, 2, 4, 3]), transitions


def score(emissions: np.ndarray, path: tuple[int, ...], transitions: Transitions) -> float:
    moves = sum(transitions.scores[one, other] for one, other in itertools.pairwise(path))
    ends = transitions.start[path[0]] + transitions.end[path[-1]]
    return ends + moves + sum(emissions[step, tag] for step, tag in enumerate(path))


def log_partitions(case: Case) -> np.ndarray:
    emissions, _, lengths, transitions = case
    totals = []
    for own, length in zip(emissions, lengths, strict=True):
        paths = itertools.product(range(TAGS), repeat=int(length))
        totals.append(np.log(np.exp([score(own, path, transitions) for path in paths]).sum()))
    return np.array(totals)


@pytest.mark.parametrize("seed", range(3))
def test_path_scores_equal_their_definition(seed):
    emissions, tags, lengths, transitions = make_case(seed)
    expected = [
        score(own, tuple(path[:length]), transitions)
        for own, path, length in zip(emissions, tags, lengths, strict=True)
    ]
    emissions[np.arange(4) >= lengths[:, None]] = np.nan
    np.testing.assert_allclose(path_scores(emissions, tags, lengths, transitions), expected, rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_loss_and_the_log_partition_equal_sums_over_all_sequences(seed):
    case = make_case(seed)
    emissions, tags, lengths, transitions = case
    expected = log_partitions(case)
    posterior = forward_backward(emissions, lengths, transitions)
    np.testing.assert_allclose(posterior.log_partition, expected, rtol=1e-12)
    loss, gradient = loss_gradient(emissions, tags, lengths, transitions)
    gold = path_scores(emissions, tags, lengths, transitions)
    assert loss == pytest.approx(expected.sum() - gold.sum(), rel=1e-12)
    is_gold = np.eye(TAGS)[tags] * (np.arange(4) < lengths[:, None])[:, :, None]
    np.testing.assert_allclose(gradient.emissions, posterior.tags - is_gold, atol=1e-6)


@pytest.mark.parametrize("field", ["start", "end", "scores"])
def test_the_gradient_of_the_transitions_equals_finite_differences(field):
    emissions, tags, lengths, transitions = make_case(7)
    _, gradient = loss_gradient(emissions, tags, lengths, transitions)
    actual = gradient.transitions if field == "scores" else getattr(gradient, field)
    scores = getattr(transitions, field)
    for index in np.ndindex(scores.shape):
        losses = []
        for step in (1e-5, -2e-5):
            scores[index] += step
            losses.append(loss_gradient(emissions, tags, lengths, transitions)[0])
        scores[index] += 1e-5
        assert (losses[0] - losses[1]) / 2e-5 == pytest.approx(actual[index], abs=1e-6)
