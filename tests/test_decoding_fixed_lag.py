"""Fixed-lag Viterbi against brute force over all paths of a window."""

import itertools

import numpy as np
import pytest
from score_cases import path_score, random_case

from tagger.decoding.fixed_lag import decode_window
from tagger.decoding.viterbi import Transitions, viterbi

FORBIDDEN = float("-inf")


def window_scores(emissions, transitions, before, *, is_end):
    """Every path of one window (W, C) with its score, by the definition."""
    count = len(transitions.start)
    nothing = np.zeros(count, np.float32)
    start = transitions.start if before is None else transitions.scores[before]
    rules = Transitions(transitions.scores, start, transitions.end if is_end else nothing)
    paths = list(itertools.product(range(count), repeat=len(emissions)))
    return paths, np.array([path_score(emissions, path, rules) for path in paths])


def best_path(emissions, transitions, before, *, is_end):
    paths, scores = window_scores(emissions, transitions, before, is_end=is_end)
    return tuple(emissions.argmax(axis=1)) if scores.max() == FORBIDDEN else paths[int(scores.argmax())]


def windows_case(seed, forbid):
    """Windows of equal width with a previous tag for each."""
    rng = np.random.default_rng(seed)
    emissions, _, transitions = random_case(seed, forbid=forbid)
    emissions = rng.normal(size=emissions.shape).astype(np.float32)
    emissions = emissions[:, : rng.integers(1, emissions.shape[1] + 1)]
    return emissions, transitions, rng.integers(0, emissions.shape[2], len(emissions))


@pytest.mark.parametrize("forbid", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("is_end", [False, True])
@pytest.mark.parametrize("seed", range(15))
def test_windows_are_decoded_as_by_enumeration(seed, is_end, forbid):
    emissions, transitions, before = windows_case(seed, forbid)
    result = decode_window(emissions, transitions, before, is_end=is_end)
    for row, path in enumerate(result):
        assert tuple(path) == best_path(emissions[row], transitions, before[row], is_end=is_end)
    result = decode_window(emissions, transitions, is_end=is_end)
    for row, path in enumerate(result):
        assert tuple(path) == best_path(emissions[row], transitions, None, is_end=is_end)


def test_the_cases_above_include_windows_without_a_legal_path():
    illegal = 0
    for seed in range(15):
        emissions, transitions, before = windows_case(seed, 0.7)
        for window, tag in zip(emissions, before, strict=True):
            illegal += window_scores(window, transitions, tag, is_end=True)[1].max() == FORBIDDEN
    assert illegal > 5


def emit(emissions, transitions, lag):
    """Emit the tags of (B, T, C) emissions one by one."""
    length = emissions.shape[1]
    given, before = [], None
    for first in range(max(0, length - lag)):
        window = emissions[:, first : first + lag + 1]
        before = decode_window(window, transitions, before, is_end=False)[:, 0]
        given.append(before)
    rest = emissions[:, len(given) :]
    if rest.shape[1]:
        given += list(decode_window(rest, transitions, before, is_end=True).T)
    return np.stack(given, axis=1)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("lag", range(7))
def test_emitted_tags_equal_a_naive_search(seed, lag):
    emissions, _, transitions = random_case(seed, forbid=0.1, tags=3)
    emissions = np.nan_to_num(emissions, nan=0.5)
    result = emit(emissions, transitions, lag)
    for row, sentence in enumerate(emissions):
        given = []
        while len(given) + lag < len(sentence):
            window = sentence[len(given) : len(given) + lag + 1]
            given.append(best_path(window, transitions, given[-1] if given else None, is_end=False)[0])
        if len(given) < len(sentence):
            before = given[-1] if given else None
            given += best_path(sentence[len(given) :], transitions, before, is_end=True)
        assert result[row].tolist() == given
    if lag >= emissions.shape[1]:
        lengths = np.full(len(emissions), emissions.shape[1])
        assert np.array_equal(result, viterbi(emissions, lengths, transitions))


def test_free_tags_are_the_best_of_each_token():
    emissions = np.random.default_rng(0).normal(size=(4, 3, 5)).astype(np.float32)
    result = decode_window(emissions, Transitions.free(5), np.array([0, 1, 2, 3]), is_end=False)
    assert np.array_equal(result, emissions.argmax(axis=2))


def test_mismatched_shapes_are_rejected():
    with pytest.raises(ValueError, match="expected transitions of shape"):
        decode_window(np.zeros((2, 3, 4), np.float32), Transitions.free(5), is_end=True)
