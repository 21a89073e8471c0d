"""The unknown tag ``?`` in tag schemes, the encoding of tags and scores, compared with brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.features.vocab import Task, build_vocabulary
from tagger.text.scheme_detection import detect_scheme
from tagger.text.schemes import SCHEMES, convert_tags, tags_to_spans, violations
from tagger.text.sentence import UNKNOWN_TAG, Span, from_tokens

HOLDING_SCHEMES = [scheme for scheme in SCHEMES if scheme != "IO"]
PREFIXES = {"BIOES": "BIES", "IOB2": "BI"}
TARGETS = tuple(PREFIXES)


def make_task(scheme, labels=("A", "B")):
    return Task("ner", ("O", *(f"{p}-{label}" for label in labels for p in PREFIXES[scheme])), scheme)


def legal_sequences(task, length):
    return [
        sequence
        for sequence in itertools.product(task.tags, repeat=length)
        if not violations(sequence, task.scheme)
    ]


LEGAL = {scheme: [legal_sequences(make_task(scheme), length) for length in range(5)] for scheme in TARGETS}


def completions(task, tags, source):
    """Return all legal tag sequences of a task that agree with the known tags."""
    return [
        sequence
        for sequence in LEGAL[task.scheme][len(tags)]
        if all(
            known in (UNKNOWN_TAG, other)
            for known, other in zip(tags, convert_tags(sequence, task.scheme, source), strict=True)
        )
    ]


def union(task, sequences, length):
    allowed = np.zeros((length, len(task.tags)), np.bool_)
    for sequence in sequences:
        allowed[range(length), [task.ids[tag] for tag in sequence]] = True
    return allowed


@st.composite
def partial_tags(draw):
    """Draw a task, a source scheme, and legal tags of that scheme with some of them unknown."""
    task, source = make_task(draw(st.sampled_from(TARGETS))), draw(st.sampled_from(HOLDING_SCHEMES))
    tags = convert_tags(
        draw(st.sampled_from(LEGAL[task.scheme][draw(st.integers(0, 4))])), task.scheme, source
    )
    return task, source, [draw(st.sampled_from([tag, tag, UNKNOWN_TAG])) for tag in tags]


@given(partial_tags())
def test_allowed_tags_are_those_of_all_completions(case):
    task, source, tags = case
    expected = union(task, completions(task, tags, source), len(tags))
    allowed = task.encode_allowed(tags, source)
    assert (allowed == expected).all()
    singles = [int(row.argmax()) if row.sum() == 1 else -1 for row in expected]
    assert task.encode(tags, source) == singles


@given(partial_tags())
def test_conversion_keeps_what_no_completion_contradicts(case):
    task, source, tags = case
    converted = convert_tags(tags, source, task.scheme)
    for old, new, row in zip(tags, converted, task.encode_allowed(tags, source), strict=True):
        is_certain = old != UNKNOWN_TAG and row.sum() == 1
        assert new == (task.tags[row.argmax()] if is_certain else UNKNOWN_TAG)


@given(source=st.sampled_from(SCHEMES), task=st.sampled_from([*map(make_task, TARGETS)]), data=st.data())
def test_illegal_tags_keep_their_label(source, task, data):
    some = st.sampled_from(["O", UNKNOWN_TAG, *(f"{p}-{label}" for p in "BIESLUM" for label in "AB")])
    tags = data.draw(st.lists(some, max_size=8))
    allowed = task.encode_allowed(tags, source)
    assert allowed.any(axis=1).all()
    for tag, row in zip(tags, allowed, strict=True):
        labels = {task.tags[place].partition("-")[2] for place in np.flatnonzero(row)}
        assert tag == UNKNOWN_TAG or labels == {tag.partition("-")[2]}
    if UNKNOWN_TAG not in tags:
        assert allowed.argmax(axis=1).tolist() == task.encode(tags, source)


@pytest.mark.parametrize(
    ("tags", "source", "expected"),
    [
        (["B-A", "?", "O"], "IOB2", [["B-A", "S-A"], ["O", "E-A", "S-A", "S-B"], ["O"]]),
        (["?", "I-A"], "IOB2", [["B-A"], ["E-A"]]),
        # No tag fits between B-A and I-B, so that both may have any prefix.
        (["B-A", "?", "I-B", "E-B"], "BIOES", [["B-A", "S-A"], None, ["B-B", "I-B"], ["E-B"]]),
    ],
)
def test_examples_of_allowed_tags(tags, source, expected):
    task = make_task("BIOES")
    for row, allowed in zip(task.encode_allowed(tags, source), expected, strict=True):
        assert allowed is None or {task.tags[place] for place in np.flatnonzero(row)} == set(allowed)


def test_a_tag_that_the_task_lacks_may_be_any_tag_and_bounds_its_neighbours_as_before():
    task = make_task("BIOES")
    tags = ["B-A", "B-NEW", "O", "?"]
    allowed = task.encode_allowed(tags, "IOB2")
    assert allowed.sum(axis=1).tolist() == [1, len(task.tags), 1, 3]
    assert task.encode(tags, "IOB2") == [task.ids["S-A"], -1, 0, -1]
    assert task.encode(tags[:3], "IOB2") == [task.ids["S-A"], -1, 0]


def test_tasks_without_spans_have_no_unknown_tag_of_their_own():
    task = Task("pos", ("NN", "VB"), None)
    assert task.encode(["NN", "?", "_"], None) == [0, -1, -1]
    assert task.encode_allowed(["NN", "?", "VB"], None).tolist() == [[1, 0], [1, 1], [0, 1]]


# Schemes


@pytest.mark.parametrize("scheme", HOLDING_SCHEMES)
def test_unknown_tags_do_not_change_the_detected_scheme(scheme):
    tags = convert_tags(["B-A", "I-A", "I-A", "B-A", "B-B", "I-B", "O", "B-A"], "IOB2", scheme)
    assert detect_scheme([tags, ["?", *tags, "?"], ["?"] * 50]) == detect_scheme([tags])


def test_unknown_tags_are_legal_and_end_spans():
    assert not violations(["?", "I-A", "?"], "IOB2")
    assert not violations(["?", "E-A", "B-A", "?"], "BIOES")
    assert violations(["?", "O", "I-A"], "IOB2") == [2]
    assert tags_to_spans(["B-A", "?", "I-A"], "IOB2") == [Span(0, 1, "A"), Span(2, 3, "A")]


def test_the_vocabulary_has_the_labels_beside_unknown_tags_but_not_the_unknown_tag():
    sentences = [from_tokens("abc").with_tags({"ner": ["?", "I-A", "?"], "pos": ["N", "_", "N"]})]
    options = {"scheme": "BIOES", "lowercase": False, "fold_digits": False}
    vocabulary, _ = build_vocabulary(sentences, {"ner": "IOB1", "pos": None}, **options)
    assert [task.tags for task in vocabulary.tasks] == [("O", "B-A", "I-A", "E-A", "S-A"), ("N",)]
