"""Targets for tag sequences: conversions between schemes, and decoding against brute force."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from inputs import Choices, as_text, attempt
from numpy.typing import NDArray
from seqeval.metrics.sequence_labeling import get_entities

from tagger.decoding.crf import forward_backward
from tagger.decoding.span_scores import span_probabilities
from tagger.decoding.viterbi import Transitions, viterbi
from tagger.text.scheme_detection import detect_scheme
from tagger.text.schemes import (
    SCHEMES,
    allowed_transitions,
    belongs_to,
    convert_tags,
    is_span_tag,
    spans_to_tags,
    tags_to_spans,
    violations,
)

LOSSLESS = [scheme for scheme in SCHEMES if scheme != "IO"]  # IO joins adjacent spans of one label
# Tags that seqeval supports: span tags without the prefixes of BILOU and BMES.
KNOWN_TO_SEQEVAL = re.compile(r"O|[BIES](-.*)?", re.DOTALL)
INFINITY = float("inf")
MILD = (0.0, 1.0, -1.0, 0.5, 2.5, -3.0, 40.0, -40.0, 700.0, -1e4, 1e4, -INFINITY, 1e-30)
HUGE = (1e30, -1e30, 3e30, 1e10, -1e10)


def schemes(data: bytes, _: Path) -> None:
    """Read space-separated tags in every scheme and convert them to every other."""
    tags = as_text(data).split(" ")[:24]
    if all(map(KNOWN_TO_SEQEVAL.fullmatch, tags)):
        expected = [(label, start, end + 1) for label, start, end in get_entities(tags)]
        assert [(s.label, s.start, s.end) for s in tags_to_spans(tags, "IOB2")] == expected
    for scheme in SCHEMES:
        check_scheme(tags, scheme)
    detected = detect_scheme([tags])
    legal = [scheme for scheme in LOSSLESS if not violations(tags, scheme)]
    if legal:
        assert detected is not None
        assert tags_to_spans(tags, detected, mode="strict") == tags_to_spans(tags, legal[0])


def check_scheme(tags: Sequence[str], scheme: str) -> None:
    spans = tags_to_spans(tags, scheme)
    illegal = violations(tags, scheme)
    assert attempt(tags_to_spans, tags, scheme, mode="strict") == (None if illegal else spans)
    assert all(is_span_tag(tag) for tag in tags if belongs_to(tag, scheme))
    after, start, end = allowed_transitions(tags, scheme)
    pairs = all(after[index - 1][index] for index in range(1, len(tags)))
    assert (start[0] and pairs and end[-1]) == (not illegal)
    for other in LOSSLESS:
        converted = convert_tags(tags, scheme, other)
        assert converted == spans_to_tags(spans, len(tags), other)
        assert tags_to_spans(converted, other, mode="strict") == spans
        back = convert_tags(converted, other, scheme)
        assert back == convert_tags(tags, scheme, scheme)
        assert not violations(back, scheme)


def decoding(data: bytes, _: Path) -> None:
    """Check Viterbi, marginals and span probabilities of one small sentence, padded or not."""
    choices = Choices(data)
    tag_count, length, padding = 1 + choices.number(3), 1 + choices.number(4), choices.number(2)
    values = MILD + HUGE if choices.number(2) else MILD

    def scores(*shape: int) -> NDArray[np.float32]:
        count = int(np.prod(shape))
        return np.array([choices.pick(values) for _ in range(count)], np.float32).reshape(shape)

    transitions = Transitions(scores(tag_count, tag_count), scores(tag_count), scores(tag_count))
    emissions = scores(length, tag_count)
    paths = np.array(list(itertools.product(range(tag_count), repeat=length)))  # (P, T)
    totals = path_scores(emissions, transitions, paths)
    padded = np.full((1, length + padding, tag_count), np.nan, np.float32)
    padded[0, :length] = emissions

    greatest = np.abs([v for v in values if np.isfinite(v)]).max() * (2 * length + 1)
    tags = viterbi(padded, [length], transitions)[0]
    assert not tags[length:].any()
    check_best(tags[:length], emissions, transitions, totals, tolerance=1e-6 * greatest)
    posterior = forward_backward(padded, [length], transitions)
    assert not posterior.tags[0, length:].any()
    if totals.max() == -INFINITY:
        assert posterior.log_partition[0] == -INFINITY
        assert not posterior.tags.any()
        return
    probabilities = np.exp(totals - totals.max())
    log_partition = totals.max() + np.log(probabilities.sum())
    probabilities /= probabilities.sum()
    first = choices.number(length)
    span = paths[choices.number(len(paths)), first : first + 1 + choices.number(length)]
    closing = np.array([choices.number(2) == 0 for _ in range(tag_count)])
    probability = span_probabilities(posterior, [0], [first], span[None], closing)[0]
    np.testing.assert_allclose(posterior.tags[0].sum(axis=1)[:length], 1.0, atol=1e-5)
    np.testing.assert_allclose(posterior.log_partition[0], log_partition, atol=1e-6 + 1e-14 * greatest)
    assert 0 <= probability <= 1
    if values is MILD:  # with huge values, rounding hides the relevant differences
        marginals = np.stack([(paths == tag).T @ probabilities for tag in range(tag_count)], axis=1)
        np.testing.assert_allclose(posterior.tags[0, :length], marginals, atol=1e-5)
        last = first + len(span)
        has_span = (paths[:, first:last] == span).all(axis=1)
        if last < length:
            has_span &= closing[paths[:, last]]
        np.testing.assert_allclose(probability, probabilities[has_span].sum(), atol=1e-5)


def path_scores(
    emissions: NDArray[np.float32], transitions: Transitions, paths: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Compute the scores (P,) of all tag sequences by definition."""
    totals = transitions.start[paths[:, 0]].astype(np.float64) + transitions.end[paths[:, -1]]
    totals += emissions.astype(np.float64)[np.arange(len(emissions)), paths].sum(axis=1)
    totals += transitions.scores.astype(np.float64)[paths[:, :-1], paths[:, 1:]].sum(axis=1)
    return totals


def check_best(
    tags: NDArray[np.int64],
    emissions: NDArray[np.float32],
    transitions: Transitions,
    totals: NDArray[np.float64],
    *,
    tolerance: float,
) -> None:
    """Check that the sequence is legal and optimal; if none is legal, each token must have its best tag."""
    if totals.max() == -INFINITY:
        assert tags.tolist() == emissions.argmax(axis=1).tolist()
        return
    score = path_scores(emissions, transitions, tags[None])[0]
    assert score > -INFINITY
    assert score >= totals.max() - tolerance
