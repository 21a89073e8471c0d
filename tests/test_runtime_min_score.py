"""``apply_min_score`` on sentences, and its agreement with ``Tagger``'s own threshold."""

from dataclasses import replace

import numpy as np
import pytest
from bundles import make_bundle, random_sentences

from tagger import Tagger
from tagger.runtime.min_score import apply_min_score
from tagger.text.schemes import SCHEMES, spans_to_tags
from tagger.text.sentence import Span, from_tokens


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("min_score", [0.5, {"PER": 0.9, "LOC": 0.2}])
def test_a_threshold_can_be_applied_after_tagging(scheme, min_score):
    _, bundle = make_bundle()
    tagger = Tagger(bundle, scheme=scheme)
    sentences = [*random_sentences(bundle.vocabulary, count=30), []]
    for options in ({}, {"scores": True, "n_best": 2, "candidates": 0.1}):
        expected = tagger.tag_tokens(sentences, min_score=min_score, **options)
        full = tagger.tag_tokens(sentences, **options)
        assert full != expected
        assert [apply_min_score(one, min_score, scheme=scheme) for one in full] == expected


def test_a_sentence_without_low_spans_is_returned_unchanged():
    (sentence,) = Tagger(make_bundle()[1]).tag_tokens([["Mira", "met", "Tom"]])
    assert apply_min_score(sentence, 0.0) is apply_min_score(sentence, {"none": 1.0}) is sentence


def made(*scores: float | None):
    """A sentence with adjacent spans of one token that have these scores."""
    spans = tuple(Span(index, index + 1, "PER", score) for index, score in enumerate(scores))
    tags = tuple(spans_to_tags(spans, len(scores), "IOB1"))
    return replace(from_tokens(["Ada"] * len(scores)), tags={"ner": tags}, spans={"ner": spans})


def test_tags_after_a_dropped_span_follow_the_scheme():
    sentence = made(0.9, 0.1, 0.9)
    assert sentence.tags["ner"] == ("I-PER", "B-PER", "B-PER")
    assert apply_min_score(sentence, 0.5, scheme="IOB1").tags["ner"] == ("I-PER", "O", "I-PER")


def test_a_score_equal_to_the_threshold_is_kept():
    score = float(np.float32(0.9))
    assert score < 0.9
    assert apply_min_score(made(score), 0.9).spans["ner"][0].score == score
    assert apply_min_score(made(score), np.nextafter(np.float32(0.9), np.float32(1))).spans["ner"] == ()


def test_spans_without_a_score_are_kept():
    sentence = made(None, 0.1)
    assert apply_min_score(sentence, 1.0).spans["ner"] == sentence.spans["ner"][:1]
