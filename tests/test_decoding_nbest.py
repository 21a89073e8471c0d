"""The K best tag sequences against brute force over every tag sequence, and against Viterbi."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from score_cases import MINUS_INFINITY, all_scores, path_score, random_case, sentences_of

from tagger.decoding.crf import forward_backward
from tagger.decoding.nbest import nbest
from tagger.decoding.viterbi import Transitions, constrain, viterbi

CASES = st.builds(
    lambda seed, forbid, scale: random_case(seed, forbid=forbid, scale=scale),
    st.integers(0, 10_000),
    st.sampled_from([0.0, 0.2, 0.5, 0.8]),
    st.sampled_from([0.1, 1.0, 20.0]),
)


def ranked(emissions, transitions):
    """All legal sequences of one sentence, best first; the lower last tag wins a tie."""
    result = [pair for pair in zip(*all_scores(emissions, transitions), strict=True) if pair[1] > -np.inf]
    return sorted(result, key=lambda pair: (-pair[1], pair[0][::-1]))


def sequences(result, row, length):
    return [tuple(path) for path in result.tags[row, : result.counts[row], :length].tolist()]


@pytest.mark.slow
@given(CASES, st.sampled_from([1, 2, 3, 7, 40, 1100]))
def test_the_best_sequences_are_in_order(case, most):
    emissions, lengths, transitions = case
    result = nbest(emissions, lengths, transitions, most)
    assert result.tags.shape == (len(lengths), most, emissions.shape[1])
    assert result.scores.shape == (len(lengths), most)
    for row, sentence in sentences_of(emissions, lengths):
        expected = ranked(sentence, transitions)[:most]
        paths = sequences(result, row, lengths[row])
        if not expected:
            assert paths == [tuple(sentence.argmax(axis=1))]
            assert result.scores[row, 0] == MINUS_INFINITY
            continue
        assert len(set(paths)) == len(paths) == len(expected)
        scores = result.scores[row, : len(paths)]
        np.testing.assert_allclose(scores, [score for _, score in expected], rtol=1e-6, atol=1e-4)
        own = [path_score(sentence, path, transitions) for path in paths]
        np.testing.assert_allclose(scores, own, rtol=1e-12, atol=1e-12)
    beyond = np.arange(most) >= result.counts[:, None]
    assert np.isneginf(result.scores[beyond]).all()
    assert not result.tags[beyond].any()
    assert not result.tags.swapaxes(1, 2)[np.arange(emissions.shape[1]) >= lengths[:, None]].any()
    assert not result.counts[lengths == 0].any()


@pytest.mark.slow
@given(CASES, st.integers(1, 20))
def test_the_first_sequence_equals_viterbi(case, most):
    emissions, lengths, transitions = case
    tags = viterbi(emissions, lengths, transitions)
    result = nbest(emissions, lengths, transitions, most)
    assert (result.tags[:, 0] == tags).all()


@pytest.mark.slow
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.3]))
def test_ties_go_to_the_lower_tag_from_the_last_token_back(seed, forbid):
    rng = np.random.default_rng(seed)
    emissions = rng.integers(0, 2, (4, 4, 3)).astype(np.float32)
    parts = [rng.integers(0, 2, shape).astype(np.float32) for shape in ((3, 3), (3,), (3,))]
    masks = [rng.random(part.shape) >= forbid for part in parts]
    transitions = constrain(Transitions(*parts), *masks)
    lengths = [4, 2, 3, 4]
    result = nbest(emissions, lengths, transitions, 12)
    assert (result.tags[:, 0] == viterbi(emissions, lengths, transitions)).all()
    for row, sentence in sentences_of(emissions, lengths):
        expected = [path for path, _ in ranked(sentence, transitions)[:12]]
        assert not expected or sequences(result, row, lengths[row]) == expected


@pytest.mark.slow
@given(CASES)
def test_the_probabilities_of_all_sequences_sum_to_one(case):
    emissions, lengths, transitions = case
    result = nbest(emissions, lengths, transitions, 4**5)
    totals = forward_backward(emissions, lengths, transitions).log_partition
    for row, length in enumerate(lengths):
        if length and totals[row] > MINUS_INFINITY:
            probabilities = np.exp(result.scores[row] - totals[row])
            assert probabilities.sum() == pytest.approx(1.0, abs=1e-9)
            assert (np.diff(probabilities[: result.counts[row]]) <= 1e-5).all()


def test_the_first_sequence_equals_viterbi_with_free_transitions():
    emissions, lengths, _ = random_case(3, tags=4)
    result = nbest(emissions, lengths, Transitions.free(4), 3)
    assert (result.tags[:, 0] == viterbi(emissions, lengths, Transitions.free(4))).all()


def test_long_texts_keep_their_precision():
    """Every step adds 1e4 to both tags; only transitions of 0.01 tell the sequences apart."""
    steps = 3000
    emissions = np.full((1, steps, 2), 1e4, np.float32)
    alternate = np.array([[0.0, 0.01], [0.01, 0.0]], np.float32)
    transitions = Transitions(alternate, np.array([0.0, 0.02], np.float32), np.zeros(2, np.float32))
    result = nbest(emissions, [steps], transitions, 3)
    assert result.tags[0, 0].tolist() == [1, 0] * (steps // 2)
    assert result.tags[0, 0].tolist() == viterbi(emissions, [steps], transitions)[0].tolist()
    best = steps * 1e4 + 0.02 + (steps - 1) * float(np.float32(0.01))
    # The next sequences have one tag change less and score 0.01 less.
    np.testing.assert_allclose(result.scores[0] - best, [0.0, -0.01, -0.01], atol=1e-6)


@pytest.mark.parametrize("budget", [1, 400])
def test_blocks_of_sentences_do_not_change_the_result(monkeypatch, budget):
    emissions, lengths, transitions = random_case(2, sentences=40, steps=7, tags=5)
    expected = nbest(emissions, lengths, transitions, 6)
    monkeypatch.setattr("tagger.decoding.nbest._POINTER_BUDGET", budget)
    again = nbest(emissions, lengths, transitions, 6)
    for one, other in ((again.tags, expected.tags), (again.scores, expected.scores)):
        assert np.array_equal(one, other)


def test_many_tags_and_ranks_need_wider_integers():
    rng = np.random.default_rng(0)
    emissions = rng.normal(size=(2, 2, 300)).astype(np.float32)
    parts = [rng.normal(size=shape).astype(np.float32) for shape in ((300, 300), 300, 300)]
    result = nbest(emissions, [2, 2], Transitions(*parts), 400)
    assert result.tags.dtype == np.uint16
    for row in range(2):
        scores = emissions[row, 0][:, None] + parts[0] + emissions[row, 1] + parts[1][:, None] + parts[2]
        best = np.sort(scores.ravel())[::-1][:400]
        np.testing.assert_allclose(result.scores[row], best, atol=1e-5)


@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (3, 0), (2, 3)])
def test_empty_batches_and_sentences(shape):
    result = nbest(np.full((*shape, 3), np.nan, np.float32), [0] * shape[0], Transitions.free(3), 2)
    assert result.counts.tolist() == [0] * shape[0]
    assert np.isneginf(result.scores).all()


def test_zero_sequences_are_rejected():
    with pytest.raises(ValueError, match="expected at least 1 sequence, got 0"):
        nbest(np.zeros((1, 1, 2), np.float32), [1], Transitions.free(2), 0)
    with pytest.raises(ValueError, match="expected lengths from 0 to 3"):
        nbest(np.zeros((1, 3, 2), np.float32), [4], Transitions.free(2), 1)
