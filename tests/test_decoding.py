"""Viterbi, marginals and span probabilities against brute force over every tag sequence, and pytorch-crf."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from score_cases import MINUS_INFINITY, all_scores, path_score, random_case, sentences_of

from tagger.decoding.crf import Posterior, forward_backward
from tagger.decoding.span_scores import span_probabilities
from tagger.decoding.viterbi import Transitions, constrain, viterbi


def sequence_probabilities(emissions, transitions):
    paths, scores = all_scores(emissions, transitions)
    if scores.max() == MINUS_INFINITY:
        return paths, np.zeros(len(scores))
    weights = np.exp(scores - scores.max())
    return paths, weights / weights.sum()


@pytest.mark.parametrize("forbid", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("seed", range(25))
def test_viterbi_finds_the_best_of_all_sequences(seed, forbid):
    emissions, lengths, transitions = random_case(seed, forbid=forbid)
    tags = viterbi(emissions, lengths, transitions)
    assert tags.shape == emissions.shape[:2]
    assert tags.dtype == np.int64
    for row, sentence in sentences_of(emissions, lengths):
        result = tuple(tags[row, : lengths[row]])
        paths, scores = all_scores(sentence, transitions)
        if scores.max() == MINUS_INFINITY:
            assert result == tuple(sentence.argmax(axis=1))
        else:
            assert result == paths[int(scores.argmax())]
    assert not tags[np.arange(emissions.shape[1]) >= lengths[:, None]].any()


@pytest.mark.parametrize("seed", range(10))
def test_ties_go_to_the_lower_tag_from_the_last_token_back(seed):
    rng = np.random.default_rng(seed)
    emissions = rng.integers(0, 2, (8, 4, 3)).astype(np.float32)
    transitions = Transitions(*(rng.integers(0, 2, s).astype(np.float32) for s in ((3, 3), (3,), (3,))))
    tags = viterbi(emissions, np.full(8, 4), transitions)
    for row in range(8):
        paths, scores = all_scores(emissions[row], transitions)
        best = [path for path, score in zip(paths, scores, strict=True) if score == scores.max()]
        assert tuple(tags[row]) == min(best, key=lambda path: path[::-1])


@pytest.mark.parametrize("sentences", [1, 2])
def test_without_a_legal_sequence_each_token_has_its_best_tag(sentences):
    """One sentence in column order already has the decoder's layout; it must still be copied."""
    emissions = np.zeros((sentences, 3, 2), np.float32)
    emissions[:, 1, 1] = 1.0
    transitions = Transitions(
        np.array([[-3, -40], [-40, 700]], np.float32),
        np.array([0, -40], np.float32),
        np.full(2, -np.inf, np.float32),
    )
    assert viterbi(emissions, [3] * sentences, transitions).tolist() == [[0, 1, 0]] * sentences


def test_free_transitions_choose_the_best_tag_of_each_token():
    emissions, lengths, _ = random_case(3, tags=4)
    tags = viterbi(emissions, lengths, Transitions.free(4))
    for row, sentence in sentences_of(emissions, lengths):
        assert tags[row, : lengths[row]].tolist() == sentence.argmax(axis=1).tolist()


def test_a_forbidden_sequence_is_avoided_in_a_literal_example():
    # Tags O, B, I; "I" neither starts a sentence nor follows "O".
    transitions = constrain(
        Transitions.free(3), [[True, True, False], [True] * 3, [True] * 3], [True, True, False], [True] * 3
    )
    emissions = np.array([[[3.0, 0.0, 4.0], [0.0, 2.0, 5.0], [1.0, 0.0, 0.5]]], np.float32)
    # O I O = 3 + 5 + 1 and I I O = 4 + 5 + 1 are forbidden;
    # O B O = 3 + 2 + 1 equals B I O = 0 + 5 + 1: B < I.
    assert viterbi(emissions, [3], transitions).tolist() == [[0, 1, 0]]
    emissions[0, 1, 2] = 5.5
    assert viterbi(emissions, [3], transitions).tolist() == [[1, 2, 0]]


def test_a_single_sentence_without_a_legal_sequence_gets_the_best_tag_of_each_token():
    emissions = np.array([[[0.0, 1.0, 3.0], [0.0, 2.0, 1.0]]], np.float32)
    none = constrain(Transitions.free(3), np.ones((3, 3)), [True, False, False], [False] * 3)
    assert viterbi(emissions, [2], none).tolist() == [[2, 1]]
    assert viterbi(np.repeat(emissions, 3, axis=0), [2, 2, 2], none).tolist() == [[2, 1]] * 3


def test_scores_of_long_texts_keep_their_precision():
    # Each step adds 1e4 to every tag; only the small transitions tell the tags apart.
    steps = 3000
    emissions = np.full((1, steps, 2), 1e4, np.float32)
    alternate = np.array([[0.0, 0.01], [0.01, 0.0]], np.float32)
    transitions = Transitions(alternate, np.array([0.0, 0.01], np.float32), np.zeros(2, np.float32))
    assert viterbi(emissions, [steps], transitions).tolist() == [[1, 0] * (steps // 2)]


@pytest.mark.parametrize(("sentences", "steps"), [(0, 0), (0, 4), (3, 0), (2, 3)])
def test_empty_batches_and_sentences(sentences, steps):
    emissions = np.full((sentences, steps, 3), np.nan, np.float32)
    transitions = Transitions(np.eye(3, dtype=np.float32), np.ones(3, np.float32), np.ones(3, np.float32))
    lengths = np.zeros(sentences, np.int64)
    assert viterbi(emissions, lengths, transitions).tolist() == [[0] * steps] * sentences
    posterior = forward_backward(emissions, lengths, transitions)
    assert not posterior.tags.any()
    assert posterior.log_partition.tolist() == [0.0] * sentences
    assert span_probabilities(posterior, [], [], np.zeros((0, 1), int), [True] * 3).shape == (0,)


@pytest.mark.parametrize("method", [viterbi, forward_backward])
def test_mismatched_shapes_are_rejected(method):
    emissions = np.zeros((2, 3, 4), np.float32)
    four, five = Transitions.free(4), Transitions.free(5)
    with pytest.raises(ValueError, match=r"expected emissions of shape \(B, T, C\), got \(3, 4\)"):
        method(emissions[0], [3], Transitions.free(4))
    with pytest.raises(ValueError, match=r"expected lengths of shape \(2,\), got \(1,\)"):
        method(emissions, [3], Transitions.free(4))
    with pytest.raises(ValueError, match="expected lengths from 0 to 3, got 1 to 4"):
        method(emissions, [1, 4], Transitions.free(4))
    with pytest.raises(ValueError, match=r"expected transitions of shape \(4, 4\), got \(5, 5\)"):
        method(emissions, [1, 3], Transitions.free(5))
    with pytest.raises(ValueError, match=r"expected start of shape \(4,\), got \(5,\)"):
        method(emissions, [1, 3], Transitions(four.scores, five.start, four.end))
    with pytest.raises(ValueError, match=r"expected a mask of shape \(4,\), got \(2,\)"):
        constrain(Transitions.free(4), np.ones((4, 4)), [True, True], [True] * 4)


# The scales choose the path: 1 stays in scaled probabilities, 300 and 1e4 are computed again in log space.
@pytest.mark.parametrize("scale", [1.0, 30.0, 300.0, 1e4])
@pytest.mark.parametrize("forbid", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("seed", range(12))
def test_marginals_equal_the_sums_over_all_sequences(seed, forbid, scale):
    emissions, lengths, transitions = random_case(seed, forbid=forbid, scale=scale)
    posterior = forward_backward(emissions, lengths, transitions)
    expected = np.zeros_like(posterior.tags)
    for row, sentence in sentences_of(emissions, lengths):
        paths, probabilities = sequence_probabilities(sentence, transitions)
        for path, probability in zip(paths, probabilities, strict=True):
            expected[row, np.arange(len(path)), path] += probability
        scores = all_scores(sentence, transitions)[1]
        peak = scores.max()
        if peak == MINUS_INFINITY:
            assert posterior.log_partition[row] == MINUS_INFINITY
        else:
            total = peak + np.log(np.exp(scores - peak).sum())
            assert posterior.log_partition[row] == pytest.approx(total, rel=1e-9, abs=1e-6)
    np.testing.assert_allclose(posterior.tags, expected, atol=1e-6, rtol=0)
    assert posterior.tags.dtype == np.float32


def brute_force_span(sentence, transitions, start, path, closing):
    """The summed probability of the sequences with ``path`` at ``start`` and then a closing tag."""
    end = start + len(path)
    return sum(
        probability
        for sequence, probability in zip(*sequence_probabilities(sentence, transitions), strict=True)
        if sequence[start:end] == path and (end == len(sequence) or closing[sequence[end]])
    )


@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("forbid", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(8))
def test_span_probabilities_equal_the_sums_over_all_sequences(seed, forbid, scale):
    emissions, lengths, transitions = random_case(
        seed, forbid=forbid, scale=scale, sentences=3, steps=4, tags=3
    )
    rng = np.random.default_rng(1000 + seed)
    posterior = forward_backward(emissions, lengths, transitions)
    rows, starts, paths, closings, expected = [], [], [], [], []
    for row, sentence in sentences_of(emissions, lengths):
        for start, end in itertools.combinations(range(len(sentence) + 1), 2):
            path = tuple(int(tag) for tag in rng.integers(0, 3, end - start))
            closing = rng.random(3) < 0.5
            rows.append(row)
            starts.append(start)
            paths.append([*path] + [-1] * (4 - len(path)))
            closings.append(closing)
            expected.append(brute_force_span(sentence, transitions, start, path, closing))
    result = span_probabilities(posterior, rows, starts, np.array(paths), np.array(closings))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=1e-6, rtol=0)
    tag_marginals = posterior.tags[rows, starts, np.array(paths)[:, 0]]
    assert (result <= tag_marginals + 1e-6).all()


def test_one_closing_mask_for_all_spans():
    emissions, _, transitions = random_case(5, sentences=2, steps=4, tags=3)
    emissions = np.nan_to_num(emissions)
    posterior = forward_backward(emissions, [4, 4], transitions)
    paths, closing = np.array([[1, 2], [1, -1]]), np.array([True, True, False])
    one = span_probabilities(posterior, [0, 1], [0, 2], paths, closing)
    each = span_probabilities(posterior, [0, 1], [0, 2], paths, np.stack([closing, closing]))
    assert one.tolist() == each.tolist()


@pytest.mark.parametrize(("start", "path"), [(0, [-1]), (-1, [1]), (2, [1, 1]), (3, [1])])
def test_spans_outside_their_sentence_are_rejected(start, path):
    posterior = forward_backward(np.zeros((1, 4, 2), np.float32), [3], Transitions.free(2))
    with pytest.raises(ValueError, match="within their sentences"):
        span_probabilities(posterior, [0], [start], np.array([path]), [True, True])


def test_iob2_span_probabilities_sum_to_the_probability_of_their_first_tag():
    """P(B at t) is the sum over all ends of P(span from t to the end)."""
    begin, inside = 1, 2
    allowed = [[True, True, False], [True] * 3, [True] * 3]
    rng = np.random.default_rng(0)
    emissions = rng.normal(0, 2, (1, 6, 3)).astype(np.float32)
    posterior = forward_backward(
        emissions, [6], constrain(Transitions.free(3), allowed, [True, True, False], [True] * 3)
    )
    for start in range(6):
        paths = [[begin] + [inside] * more + [-1] * (5 - more) for more in range(6 - start)]
        not_inside = [True, True, False]
        spans = span_probabilities(
            posterior, [0] * len(paths), [start] * len(paths), np.array(paths), not_inside
        )
        assert spans.sum() == pytest.approx(posterior.tags[0, start, begin], abs=1e-6)
    assert posterior.tags[0, 0, inside] == 0
    assert posterior.tags[0].sum(axis=1) == pytest.approx(1)


CASES = st.builds(
    lambda seed, forbid, scale: random_case(seed, forbid=forbid, scale=scale, sentences=5, steps=9, tags=6),
    st.integers(0, 10_000),
    st.sampled_from([0.0, 0.3]),
    st.sampled_from([1.0, 20.0, 1e4]),
)


@given(CASES)
def test_marginals_sum_to_one_and_are_zero_beyond_the_length(case):
    emissions, lengths, transitions = case
    posterior = forward_backward(emissions, lengths, transitions)
    possible = (posterior.log_partition > MINUS_INFINITY)[:, None]
    inside = np.arange(emissions.shape[1]) < np.array(lengths)[:, None]
    sums = posterior.tags.sum(axis=2)
    np.testing.assert_allclose(sums, np.where(inside & possible, 1.0, 0.0), atol=1e-5)
    assert (posterior.tags >= 0).all()
    assert (posterior.tags <= 1).all()


@given(CASES)
def test_a_forbidden_tag_sequence_is_never_returned(case):
    emissions, lengths, transitions = case
    tags = viterbi(emissions, lengths, transitions)
    possible = forward_backward(emissions, lengths, transitions).log_partition > MINUS_INFINITY
    for row, sentence in sentences_of(emissions, lengths):
        if possible[row]:
            path = tags[row, : lengths[row]].tolist()
            assert path_score(sentence, path, transitions) > MINUS_INFINITY


@given(CASES, st.randoms(use_true_random=False))
def test_neither_the_order_of_sentences_nor_padding_matters(case, random):
    emissions, lengths, transitions = case
    order = list(range(len(lengths)))
    random.shuffle(order)
    padded = np.full((len(lengths), emissions.shape[1] + 3, emissions.shape[2]), 7e4, np.float32)
    padded[:, : emissions.shape[1]] = np.where(np.isnan(emissions), -5e4, emissions)
    tags = viterbi(emissions, lengths, transitions)
    again = viterbi(padded[order], lengths[order], transitions)
    assert again[:, : emissions.shape[1]].tolist() == tags[order].tolist()
    posterior = forward_backward(emissions, lengths, transitions)
    other = forward_backward(padded[order], lengths[order], transitions)
    steps = emissions.shape[1]
    np.testing.assert_allclose(other.tags[:, :steps], posterior.tags[order], atol=1e-6)
    assert not other.tags[:, steps:].any()
    assert not again[:, steps:].any()


def test_blocks_of_sentences_do_not_change_the_result(monkeypatch):
    emissions, lengths, transitions = random_case(2, sentences=80, steps=7, tags=5)
    tags = viterbi(emissions, lengths, transitions)
    posteriors = [forward_backward(emissions * scale, lengths, transitions) for scale in (1, 1000)]
    monkeypatch.setattr("tagger.decoding.crf._BLOCK_SIZE", 3)
    for budget in (25 * 32, 1):
        monkeypatch.setattr("tagger.decoding.viterbi._STEP_BUDGET", budget)
        monkeypatch.setattr("tagger.decoding.log_space._STEP_BUDGET", budget)
        assert viterbi(emissions, lengths, transitions).tolist() == tags.tolist()
        for scale, posterior in zip((1, 1000), posteriors, strict=True):
            again = forward_backward(emissions * scale, lengths, transitions)
            np.testing.assert_allclose(again.tags, posterior.tags, atol=1e-6)
            np.testing.assert_allclose(again.log_partition, posterior.log_partition, rtol=1e-9)


@pytest.mark.parametrize("scale", [5.0, 20.0, 40.0, 60.0, 80.0, 120.0, 300.0])
def test_rescaled_probabilities_equal_those_in_log_space(monkeypatch, scale):
    case = random_case(int(scale), forbid=0.3, scale=scale, sentences=40, steps=23, tags=6)
    posterior = forward_backward(*case)
    monkeypatch.setattr(
        "tagger.decoding.crf._is_trusted", lambda _, sizes, __: np.zeros(len(sizes), np.bool_)
    )
    in_logs = forward_backward(*case)
    np.testing.assert_allclose(posterior.tags, in_logs.tags, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(posterior.backward, in_logs.backward, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(posterior.log_partition, in_logs.log_partition, rtol=1e-12, atol=1e-9)


def test_small_totals_are_exact():
    """The best tag of each step cannot follow that of the step before, so all scaled probabilities shrink."""
    emissions = np.zeros((1, 7, 2), np.float32)
    emissions[0, ::2, 0] = emissions[0, 1::2, 1] = emissions[0, 6, 1] = 140.0
    stay = constrain(Transitions.free(2), np.eye(2), [True, True], [True, True])
    posterior = forward_backward(emissions, [7], stay)
    assert posterior.tags[0].ravel().tolist() == pytest.approx([0.5] * 14)
    assert posterior.log_partition.tolist() == pytest.approx([4 * 140 + np.log(2)])


def test_terms_that_underflow_in_both_directions_are_recovered():
    """The best path is 800 behind at either end of the sentence and wins in its middle."""
    emissions = np.zeros((1, 3, 2), np.float32)
    emissions[0, 0, 0] = emissions[0, 2, 0] = 800.0
    emissions[0, 1, 1] = 2000.0
    stay = constrain(Transitions.free(2), np.eye(2), [True, True], [True, True])
    posterior = forward_backward(emissions, [3], stay)
    assert posterior.tags[0].tolist() == [[0.0, 1.0]] * 3
    assert posterior.log_partition.tolist() == [2000.0]
    assert viterbi(emissions, [3], stay).tolist() == [[1, 1, 1]]


def test_hundreds_of_tags_are_decoded():
    rng = np.random.default_rng(0)
    emissions = rng.normal(size=(40, 6, 300)).astype(np.float32)
    parts = [rng.normal(size=shape).astype(np.float32) for shape in ((300, 300), 300, 300)]
    lengths = rng.integers(1, 7, 40)
    tags = viterbi(emissions, lengths, Transitions(*parts))
    posterior = forward_backward(emissions, lengths, Transitions(*parts))
    # The best sequence has the largest probability; two-token sentences are small enough to try all.
    for row in np.flatnonzero(lengths == 2):
        scores = emissions[row, 0][:, None] + parts[0] + emissions[row, 1] + parts[1][:, None] + parts[2]
        assert tags[row, :2].tolist() == list(divmod(int(scores.argmax()), 300))
        weights = np.exp(scores.astype(np.float64))
        np.testing.assert_allclose(posterior.tags[row, 0], weights.sum(axis=1) / weights.sum(), atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_equal_to_pytorch_crf_where_unconstrained(seed):
    torch = pytest.importorskip("torch")
    torchcrf = pytest.importorskip("torchcrf")
    emissions, lengths, transitions = random_case(seed, sentences=20, steps=12, tags=7)
    lengths = np.maximum(lengths, 1)  # pytorch-crf rejects an empty sentence
    emissions = np.nan_to_num(emissions)
    crf = torchcrf.CRF(7, batch_first=True)
    with torch.no_grad():
        crf.transitions.copy_(torch.from_numpy(transitions.scores))
        crf.start_transitions.copy_(torch.from_numpy(transitions.start))
        crf.end_transitions.copy_(torch.from_numpy(transitions.end))
        scores = torch.from_numpy(emissions)
        mask = torch.from_numpy(np.arange(12) < lengths[:, None])
        decoded = crf.decode(scores, mask=mask)
        tags = viterbi(emissions, lengths, transitions)
        assert [tags[row, :length].tolist() for row, length in enumerate(lengths)] == decoded
        likelihood = crf(scores, torch.from_numpy(tags), mask=mask, reduction="none").numpy()
    posterior: Posterior = forward_backward(emissions, lengths, transitions)
    own = [
        path_score(emissions[row, :length], tags[row, :length].tolist(), transitions)
        for row, length in enumerate(lengths)
    ]
    np.testing.assert_allclose(np.array(own) - posterior.log_partition, likelihood, atol=1e-4)
