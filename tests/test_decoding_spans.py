"""Spans of many sentences at once, compared with ``tags_to_spans`` and ``spans_to_tags`` per sentence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.decoding.spans import SpanReader
from tagger.text.schemes import SCHEMES, spans_to_tags, tags_to_spans

TAGS = ["O", "B-PER", "I-PER", "E-PER", "S-PER", "B-LOC", "I-LOC", "L-LOC", "U-LOC", "M-LOC", "B", "I", "NN"]


@pytest.mark.slow
@pytest.mark.parametrize("target", SCHEMES)
@given(sentences=st.lists(st.lists(st.sampled_from(TAGS), min_size=1, max_size=7), min_size=1, max_size=5))
def test_spans_and_tags_are_those_of_each_sentence(target, sentences):
    reader = SpanReader(TAGS, target)
    ids = np.array([TAGS.index(tag) for tags in sentences for tag in tags])
    is_first = np.array([position == 0 for tags in sentences for position in range(len(tags))])
    result = reader.find(ids, is_first)
    written = reader.write(result, is_first)
    expected_spans, expected_tags, begin = [], [], 0
    for tags in sentences:
        spans = tags_to_spans(tags, "IOB2")
        expected_tags += spans_to_tags(spans, len(tags), target)
        expected_spans += [(begin + span.start, begin + span.end, span.label) for span in spans]
        begin += len(tags)
    labels = [reader.labels[position] for position in result.labels]
    assert list(zip(result.starts.tolist(), result.ends.tolist(), labels, strict=True)) == expected_spans
    assert written == expected_tags


def test_closing_tags_do_not_extend_a_span():
    reader = SpanReader(TAGS, "IOB2")
    for label, closing in zip(reader.labels, reader.closing, strict=True):
        for tag, may_follow in zip(TAGS, closing, strict=True):
            begun = "B" if label == "_" else f"B-{label}"
            assert may_follow == (tags_to_spans([begun, tag], "IOB2")[0].end == 1)


def test_no_tokens_and_no_span_tags():
    for tags in (["O"], ["N", "V"]):
        reader = SpanReader(tags, "BIOES")
        for size in (0, 3):
            is_first = np.arange(size) == 0
            result = reader.find(np.zeros(size, np.int64), is_first)
            assert len(result.starts) == 0
            assert reader.write(result, is_first) == ["O"] * size
