"""Tagging the rows of tables: order, nulls and memory."""

import tracemalloc

import pytest
from bundles import make_bundle
from hypothesis import given
from hypothesis import strategies as st

from tagger import Tagger
from tagger.corpus.text_tables import TextRow
from tagger.errors import InputError
from tagger.runtime import tagged_tables
from tagger.runtime.tagged_tables import span_columns, tag_rows, tag_texts

TAGGER = Tagger(make_bundle()[1])
PROBLEM = InputError("not a text", code="corpus.record")


def measure(blocks):
    """Stand-in for the model: the length of each text."""
    return ([(len(text),) for text in block] for block in blocks)


@given(
    st.lists(st.none() | st.just(PROBLEM) | st.text(max_size=4), max_size=12),
    st.integers(1, 5),
    st.integers(1, 6),
)
def test_every_row_is_tagged_or_reported_once_in_order(items, n_rows, n_characters):
    rows = [
        TextRow(number, "", item, problem=None)
        if item is not PROBLEM
        else TextRow(number, "", problem=PROBLEM)
        for number, item in enumerate(items)
    ]
    bad, sizes = [], []

    def tag_blocks(blocks):
        for block in list(blocks):  # read ahead, as with several processes
            sizes.append(len(block))
            yield [(len(text),) for text in block]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tagged_tables, "BLOCK_ROWS", n_rows)
        patch.setattr(tagged_tables, "BLOCK_CHARACTERS", n_characters)
        found = list(tag_rows(rows, ["size"], tag_blocks, bad.append))
    assert bad == [row for row in rows if row.problem]
    assert [row for row, _ in found] == [row for row in rows if not row.problem]
    assert [cells["size"] for row, cells in found] == [
        None if row.text is None else len(row.text) for row, _ in found
    ]
    assert max(sizes, default=0) <= n_rows


@pytest.mark.parametrize("text", ["Mira met Tom. ", None])
def test_memory_does_not_grow_with_the_rows(text):
    peaks = []
    for count in (3_000, 30_000):
        rows = (TextRow(number, "", text and f"{text * 20}{number}") for number in range(count))
        tracemalloc.start()
        assert sum(1 for _ in tag_rows(rows, ["size"], measure, list)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_the_spans_are_those_of_each_text_alone():
    texts = ["Mira met Tom.\n\nRain fell.", "", "Glasgow lost 2-0."]
    ner, pos = TAGGER.tasks
    for text, (spans, tokens) in zip(texts, tag_texts(TAGGER, texts, [ner, pos], 0.2), strict=True):
        tagged = TAGGER.tag(text, min_score=0.2)
        expected = [span for sentence in tagged for span in sentence.spans["ner"]]
        assert [(one["start"], one["end"], one["label"]) for one in spans] == [
            (one.start_char, one.end_char, one.label) for one in expected
        ]
        assert [one["score"] for one in spans] == pytest.approx([one.score for one in expected], abs=1e-5)
        assert [one["label"] for one in tokens] == [tag for one in tagged for tag in one.tags["pos"]]


def test_names_of_the_new_columns():
    assert span_columns("spans", []) == span_columns("spans", ["ner"]) == ["spans"]
    assert span_columns("spans", ["ner", "pos"]) == ["spans_ner", "spans_pos"]
