"""Near-duplicates: compare the search with all pairs."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.annotation.near_duplicates import NearDuplicates, find_shingles

sentences = st.lists(st.sampled_from(["a", "b", "A", "c", "1", "2"]), max_size=12)
# Long sentences that differ in a few words, so that resemblances are close to any threshold.
edits = st.lists(st.tuples(st.integers(0, 29), st.sampled_from("xyz")), max_size=6)
edited = edits.map(lambda changes: [dict(changes).get(index, f"w{index}") for index in range(30)])


def pairs_of(tokens):
    words = ["<s>", *(re.sub("[0-9]", "0", token.lower()) for token in tokens), "</s>"]
    return set(pairwise(words))


def resemblance(one, other):
    one, other = pairs_of(one), pairs_of(other)
    return len(one & other) / len(one | other)


@given(
    st.one_of(st.lists(sentences, max_size=6), st.lists(edited, max_size=6)),
    st.one_of(sentences, edited),
    st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0]),
)
def test_the_search_equals_the_comparison_with_all_members(members, tokens, threshold):
    index = NearDuplicates(threshold)
    for member in members:
        index.add(find_shingles(member))
    expected = any(resemblance(member, tokens) >= threshold for member in members)
    assert index.has_similar(find_shingles(tokens)) == expected


@pytest.mark.parametrize(
    ("one", "other", "is_similar"),
    [
        ("The match of 12 May ended 3 - 0", "the match of 30 may ended 2 - 1", True),
        ("", "", True),
        ("Rain", "Rain", True),
        ("Rain", "", False),
        ("Oslo beat Bonn", "Bonn beat Oslo", False),
        ("\ud800 broken", "\ud800 broken", True),
        ("New York", "New York City", False),
    ],
)
def test_case_and_digits_do_not_matter_but_words_and_their_order_do(one, other, is_similar):
    index = NearDuplicates()
    index.add(find_shingles(one.split()))
    assert index.has_similar(find_shingles(other.split())) == is_similar
