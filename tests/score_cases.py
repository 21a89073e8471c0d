"""Random emission and transition scores, and brute force over every tag sequence."""

import itertools

import numpy as np

from tagger.decoding.viterbi import Transitions, constrain

MINUS_INFINITY = float("-inf")


def random_case(seed, *, forbid=0.0, scale=1.0, sentences=6, steps=5, tags=None):
    """A batch of ragged lengths (0 among them), NaN in the padding, a share of transitions forbidden."""
    rng = np.random.default_rng(seed)
    tags = tags or int(rng.integers(1, 5))
    emissions = rng.normal(0, scale, (sentences, steps, tags)).astype(np.float32)
    lengths = rng.integers(0, steps + 1, sentences)
    emissions[np.arange(steps) >= lengths[:, None]] = np.nan
    parts = [rng.normal(0, 1, shape).astype(np.float32) for shape in ((tags, tags), tags, tags)]
    allowed, start, end = (rng.random(part.shape) >= forbid for part in parts)
    return emissions, lengths, constrain(Transitions(*parts), allowed, start, end)


def path_score(emissions, path, transitions):
    """The definition, for one sentence (T, C)."""
    score = float(transitions.start[path[0]]) + float(transitions.end[path[-1]])
    score += sum(float(emissions[t, tag]) for t, tag in enumerate(path))
    return score + sum(float(transitions.scores[i, j]) for i, j in itertools.pairwise(path))


def all_scores(emissions, transitions):
    """Every tag sequence of one sentence with its score, in the order of itertools.product."""
    steps, tags = emissions.shape
    paths = list(itertools.product(range(tags), repeat=steps))
    return paths, np.array([path_score(emissions, path, transitions) for path in paths])


def sentences_of(emissions, lengths):
    return [(row, emissions[row, :length]) for row, length in enumerate(lengths) if length]
