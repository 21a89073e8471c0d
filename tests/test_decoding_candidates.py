"""Candidate spans and their marginals, compared with an enumeration of all tag sequences."""

import itertools

import numpy as np
import pytest

from tagger.decoding.candidates import SpanMarginals
from tagger.decoding.crf import forward_backward
from tagger.decoding.spans import FoundSpans, SpanReader
from tagger.decoding.viterbi import Transitions, constrain
from tagger.text.schemes import allowed_transitions, tags_to_spans

TAGS = {
    "BIOES": ["O", "B-X", "I-X", "E-X", "S-X", "S-Y"],
    "IOB2": ["O", "B-X", "I-X", "B-Y", "I-Y"],
}


def random_posterior(scheme, *, constrained, lengths, seed=0, scale=1.5):
    """A CRF with random scores, and the posterior of random sentences."""
    generator, size = np.random.default_rng(seed), len(TAGS[scheme])
    scores, start, end = (
        generator.normal(scale=scale, size=shape).astype(np.float32) for shape in ((size, size), size, size)
    )
    transitions = Transitions(scores, start, end)
    if constrained:
        transitions = constrain(transitions, *allowed_transitions(TAGS[scheme], scheme))
    emissions = generator.normal(scale=scale, size=(len(lengths), max(lengths), size)).astype(np.float32)
    return forward_backward(emissions, np.array(lengths), transitions)


def enumerated(posterior, tags, scheme, row):
    """The marginal of every span of a sentence, by all tag sequences as ``tags_to_spans`` reads them."""
    length, transitions = int(posterior.lengths[row]), posterior.transitions
    emissions, results, total = posterior.emissions[row].astype(np.float64), {}, 0.0
    for path in itertools.product(range(len(tags)), repeat=length):
        score = float(transitions.start[path[0]]) + float(transitions.end[path[-1]])
        score += sum(emissions[position, tag] for position, tag in enumerate(path))
        score += sum(float(transitions.scores[pair]) for pair in itertools.pairwise(path))
        weight = np.exp(score)
        total += weight
        for span in tags_to_spans([tags[number] for number in path], scheme) if weight else ():
            key = (span.start, span.end, span.label)
            results[key] = results.get(key, 0.0) + weight
    return {key: weight / total for key, weight in results.items()}


def begins_of(posterior):
    """The index of each sentence's first token in the concatenated sentences."""
    return np.cumsum(posterior.lengths) - posterior.lengths


def as_mapping(results, reader, begin, end):
    """The candidates of one sentence, each once, with indices in the sentence."""
    own = results.select(np.flatnonzero((begin <= results.starts) & (results.starts < end)))
    keys = zip(
        (own.starts - begin).tolist(),
        (own.ends - begin).tolist(),
        [reader.labels[n] for n in own.labels],
        strict=True,
    )
    keys = list(keys)
    assert len(set(keys)) == len(keys)
    return dict(zip(keys, own.scores.tolist(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("constrained", [True, False])
@pytest.mark.parametrize("scheme", ["BIOES", "IOB2"])
@pytest.mark.parametrize("threshold", [0.001, 0.05, 0.3])
def test_every_span_above_the_threshold_is_found_with_its_marginal(scheme, constrained, threshold):
    lengths = [4, 1, 3, 2, 5]
    reader = SpanReader(TAGS[scheme], "IOB2")
    for seed in range(3):
        posterior = random_posterior(scheme, constrained=constrained, lengths=lengths, seed=seed)
        marginals = SpanMarginals(posterior, reader)
        begins = begins_of(posterior)
        results = marginals.find(threshold, begins)
        for row, length in enumerate(lengths):
            expected = enumerated(posterior, TAGS[scheme], scheme, row)
            own = as_mapping(results, reader, begins[row], begins[row] + length)
            assert own == {
                key: pytest.approx(value, abs=2e-6)
                for key, value in expected.items()
                if value >= threshold or key in own
            }
            assert all(value >= threshold - 2e-6 for key, value in expected.items() if key in own)
            every = FoundSpans.unscored(
                *(
                    begins[row] + np.array([key[position] for key in expected], np.int64)
                    for position in (0, 1)
                ),
                np.array([reader.labels.index(key[2]) for key in expected], np.int64),
            )
            scores = marginals.score(every, begins)
            assert scores.tolist() == pytest.approx(list(expected.values()), abs=2e-6)


def test_scores_of_any_size_are_finite():
    reader = SpanReader(TAGS["BIOES"], "IOB2")
    for scale in (0.0, 60.0, 2000.0):
        posterior = random_posterior("BIOES", constrained=True, lengths=[40, 7], scale=scale)
        begins = begins_of(posterior)
        results = SpanMarginals(posterior, reader).find(0.001, begins)
        assert np.isfinite(results.scores).all()
        assert len(results.scores)
        again = SpanMarginals(posterior, reader).score(results, begins)
        np.testing.assert_allclose(again, results.scores, atol=1e-6)


def test_marginals_of_spans_with_the_same_end_sum_to_at_most_one():
    """Spans that end at one token exclude one another, so their marginals sum to at most 1."""
    posterior = random_posterior("IOB2", constrained=True, lengths=[3000], scale=0.3)
    results = SpanMarginals(posterior, SpanReader(TAGS["IOB2"], "IOB2")).find(0.001, np.array([0]))
    sums = np.bincount(results.ends, weights=results.scores)
    assert sums.max() <= 1 + 1e-5
    assert len(results.scores) > 3000  # and so less than the 9,000,000 that there are


def test_no_candidates_without_a_legal_sequence_or_span():
    tags = ["O"]
    posterior = forward_backward(np.zeros((1, 3, 1), np.float32), np.array([3]), Transitions.free(1))
    assert len(SpanMarginals(posterior, SpanReader(tags, "IOB2")).find(0.001, np.array([0])).scores) == 0
    free = Transitions.free(5)
    nothing = Transitions(free.scores, np.full(5, -np.inf, np.float32), free.end)
    posterior = forward_backward(np.zeros((1, 3, 5), np.float32), np.array([3]), nothing)
    results = SpanMarginals(posterior, SpanReader(TAGS["IOB2"], "IOB2")).find(0.001, np.array([0]))
    assert len(results.scores) == 0
