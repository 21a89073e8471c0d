"""Confusion compared with brute force, scikit-learn and the scorer; mistakes grouped by hand."""

import itertools
import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from tagger.evaluation.confusion import (
    NO_SPAN,
    SPAN_KINDS,
    Outcome,
    count_confusion,
    match_spans,
    match_tags,
    match_task,
    most_confused,
)
from tagger.evaluation.mistakes import find_mistakes, group_mistakes, group_values, words_around
from tagger.evaluation.scores import score_spans, score_tags
from tagger.text.schemes import SCHEMES, convert_tags, tags_to_spans
from tagger.text.sentence import Span, from_tokens

TAG = st.sampled_from(["O", "O", *(f"{prefix}-{label}" for prefix in "BI" for label in ("a", "b-c", "d"))])
CORPUS = st.lists(st.lists(st.tuples(TAG, TAG), max_size=9), max_size=5)
SMALL = st.lists(st.tuples(TAG, TAG), max_size=7)


def sides_of(corpus):
    return [[[token[side] for token in sentence] for sentence in corpus] for side in range(2)]


def kinds(gold, predicted):
    pairs = match_spans(tags_to_spans(gold.split(), "IOB2"), tags_to_spans(predicted.split(), "IOB2"))
    return [
        (one.kind, *((span.start, span.end) if span else None for span in (one.gold, one.predicted)))
        for one in pairs
    ]


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        ("B-a I-a O", "B-a I-a O", [("right", (0, 2), (0, 2))]),
        ("B-a I-a O", "B-b I-b O", [("wrong type", (0, 2), (0, 2))]),
        ("B-a I-a O", "B-a O O", [("wrong borders", (0, 2), (0, 1))]),
        ("B-a I-a O", "O B-b I-b", [("wrong borders and type", (0, 2), (1, 3))]),
        ("B-a O O", "O B-a O", [("missed", (0, 1), None), ("spurious", None, (1, 2))]),
        # The larger overlap wins, even with another label; the remaining span is spurious.
        (
            "B-a I-a I-a",
            "B-a B-b I-b",
            [("spurious", None, (0, 1)), ("wrong borders and type", (0, 3), (1, 3))],
        ),
        # In a tie the equal label wins, then the left span.
        ("B-a I-a", "B-b B-a", [("spurious", None, (0, 1)), ("wrong borders", (0, 2), (1, 2))]),
        ("B-a I-a", "B-a B-a", [("wrong borders", (0, 2), (0, 1)), ("spurious", None, (1, 2))]),
        ("B-a B-a", "B-a I-a", [("wrong borders", (0, 1), (0, 2)), ("missed", (1, 2), None)]),
        ("", "", []),
    ],
)
def test_kinds_by_hand(gold, predicted, expected):
    assert sorted(kinds(gold, predicted), key=str) == sorted(expected, key=str)


def brute_force_matching(gold, predicted):
    """Return the pairing of overlapping spans with the best first pair, then the best second one, …"""

    def rank(one, other):
        shared = len(set(range(gold[one].start, gold[one].end)) & set(range(*borders(predicted[other]))))
        return (-shared, gold[one].label != predicted[other].label, one, other) if shared else None

    edges = [
        e for e in itertools.starmap(rank, itertools.product(range(len(gold)), range(len(predicted)))) if e
    ]
    ways = [
        sorted(way)
        for size in range(min(len(gold), len(predicted)) + 1)
        for way in itertools.combinations(edges, size)
        if len({e[2] for e in way}) == len({e[3] for e in way}) == size
    ]
    last = (1,)  # an additional pair is better than none
    return {(e[2], e[3]) for e in min(ways, key=lambda way: [*way, last])}


def borders(span):
    return span.start, span.end


@given(SMALL)
def test_the_matching_is_the_best_of_all(sentence):
    gold, predicted = (tags_to_spans([pair[side] for pair in sentence], "IOB2") for side in range(2))
    outcomes = match_spans(gold, predicted)
    pairs = {
        (gold.index(one.gold), predicted.index(one.predicted))
        for one in outcomes
        if one.gold and one.predicted
    }
    assert pairs == brute_force_matching(gold, predicted)
    assert [one.start for one in outcomes] == sorted(one.start for one in outcomes)


@given(CORPUS)
def test_every_span_is_counted_once_and_right_agrees_with_the_scorer(corpus):
    gold, predicted = sides_of(corpus)
    outcomes = match_task(gold, predicted, scheme="IOB2")
    for own_outcomes, *tags in zip(outcomes, gold, predicted, strict=True):
        for side, spans in enumerate(tags_to_spans(one, "IOB2") for one in tags):
            own = [(one.gold, one.predicted)[side] for one in own_outcomes]
            assert sorted(filter(None, own), key=borders) == spans
    confusion = count_confusion(itertools.chain(*outcomes), has_spans=True)
    scores = score_spans(gold, predicted)
    for label, counts in confusion["by_label"].items():
        score = scores["by_label"][label]
        assert counts["right"] == pytest.approx(score["recall"] * score["support"])
        assert sum(counts.values()) - counts["spurious"] == score["support"]
    right = confusion["kinds"]["right"]
    assert right == pytest.approx(scores["recall"] * scores["support"])
    assert scores["precision"] * sum(map(len, (tags_to_spans(t, "IOB2") for t in predicted))) == (
        pytest.approx(right)
    )


@given(CORPUS)
def test_the_matrix_counts_every_outcome(corpus):
    outcomes = list(itertools.chain(*match_task(*sides_of(corpus), scheme="IOB2")))
    confusion = count_confusion(outcomes, has_spans=True)
    names, matrix = confusion["names"], confusion["matrix"]
    pairs = Counter(tuple(label or NO_SPAN for label in one.labels) for one in outcomes)
    cells = {
        (gold, predicted): matrix[row][column]
        for row, gold in enumerate(names)
        for column, predicted in enumerate(names)
    }
    assert +Counter(cells) == pairs
    assert confusion["kinds"] == {kind: sum(one.kind == kind for one in outcomes) for kind in SPAN_KINDS}
    for kind in SPAN_KINDS:
        assert sum(counts[kind] for counts in confusion["by_label"].values()) == confusion["kinds"][kind]
    assert json.loads(json.dumps(confusion)) == confusion


@given(
    st.lists(st.lists(st.tuples(*[st.sampled_from(["NN", "VB", "O", "B-x"])] * 2), max_size=6), max_size=5)
)
def test_tag_counts_equal_scikit_learn(corpus):
    gold, predicted = sides_of(corpus)
    confusion = count_confusion(itertools.chain(*match_task(gold, predicted, scheme=None)), has_spans=False)
    flat = [list(itertools.chain(*side)) for side in (gold, predicted)]
    assert confusion["names"] == sorted({*flat[0], *flat[1]})
    if confusion["names"]:
        labels = [*confusion["names"], "another"]  # scikit-learn warns about a single label
        assert confusion["matrix"] == confusion_matrix(*flat, labels=labels)[:-1, :-1].tolist()
    scores = score_tags(gold, predicted)
    assert confusion["kinds"]["right"] == pytest.approx(scores["accuracy"] * scores["support"])
    assert sum(confusion["kinds"].values()) == scores["support"]


@pytest.mark.parametrize("scheme", sorted(set(SCHEMES) - {"IO"}))
def test_the_scheme_of_the_file_does_not_matter(scheme):
    gold = ["B-a", "B-a", "I-a", "O", "B-b"]
    predicted = ["B-a", "O", "B-a", "O", "B-c"]
    expected = match_task([gold], [predicted], scheme="IOB2")
    assert match_task([convert_tags(gold, "IOB2", scheme)], [predicted], scheme=scheme) == expected


def test_a_label_may_have_the_name_of_the_missing_span():
    outcomes = [Outcome("missed", Span(0, 1, NO_SPAN), None), Outcome("spurious", None, Span(1, 2, NO_SPAN))]
    confusion = count_confusion(outcomes, has_spans=True)
    assert confusion["names"] == [NO_SPAN, NO_SPAN]
    assert confusion["matrix"] == [[0, 1], [1, 0]]


def test_the_most_confused_labels_come_first():
    gold, predicted = list("NVNNVA"), list("NNVVNN")
    confusion = count_confusion(match_tags(gold, predicted), has_spans=False)
    assert most_confused(confusion, 2) == [
        {"gold": "N", "predicted": "V", "count": 2},
        {"gold": "V", "predicted": "N", "count": 2},
    ]
    assert [pair["count"] for pair in most_confused(confusion, 9)] == [2, 2, 1]


def test_nothing_to_count():
    assert count_confusion([], has_spans=True)["matrix"] == [[0]]
    empty = count_confusion([], has_spans=False)
    assert empty == {"names": [], "matrix": [], "kinds": {"right": 0, "wrong tag": 0}, "by_label": {}}
    assert most_confused(empty, 5) == []


SENTENCES = [from_tokens(text.split()) for text in ("Ada saw New Lima", "In Lima", "Near Lima Ada sang")]
GOLD = [["B-PER", "O", "B-LOC", "I-LOC"], ["O", "B-LOC"], ["O", "B-LOC", "B-PER", "O"]]
PREDICTED = [["B-PER", "O", "O", "B-LOC"], ["O", "B-PER"], ["O", "B-PER", "B-PER", "B-PER"]]


def test_mistakes_have_their_words_and_location():
    mistakes = find_mistakes(SENTENCES, match_task(GOLD, PREDICTED, scheme="IOB2"))
    assert [(one.outcome.kind, one.sentence, one.text) for one in mistakes] == [
        ("wrong borders", 0, "New Lima"),
        ("wrong type", 1, "Lima"),
        ("wrong type", 2, "Lima"),
        ("spurious", 2, "sang"),
    ]
    assert mistakes[0].values() == {
        "kind": "wrong borders",
        "gold": {"label": "LOC", "start": 2, "end": 4},
        "predicted": {"label": "LOC", "start": 3, "end": 4},
        "sentence": 0,
        "source": "",
        "words": ["New", "Lima"],
    }
    assert mistakes[3].values()["gold"] is None


def test_mistakes_of_one_kind_and_text_are_grouped():
    mistakes = find_mistakes(SENTENCES, match_task(GOLD, PREDICTED, scheme="IOB2"))
    groups = group_mistakes(mistakes)
    assert [group_values(group, examples=1) for group in groups[:2]] == [
        {
            "kind": "wrong type",
            "gold": "LOC",
            "predicted": "PER",
            "text": "Lima",
            "count": 2,
            "examples": [{"sentence": 1, "source": ""}],
        },
        {
            "kind": "wrong borders",
            "gold": "LOC",
            "predicted": "LOC",
            "text": "New Lima",
            "count": 1,
            "examples": [{"sentence": 0, "source": ""}],
        },
    ]
    assert [len(group) for group in groups] == [2, 1, 1]
    assert sorted(itertools.chain(*groups), key=mistakes.index) == mistakes


@pytest.mark.slow
@given(CORPUS)
def test_every_mistake_is_in_one_group(corpus):
    outcomes = match_task(*sides_of(corpus), scheme="IOB2")
    sentences = [from_tokens("ab"[number % 2] for number in range(len(own))) for own in corpus]
    mistakes = find_mistakes(sentences, outcomes)
    assert len(mistakes) == sum(one.kind != "right" for own in outcomes for one in own)
    counts = Counter((one.outcome.kind, *one.outcome.labels, one.text) for one in mistakes)
    assert [len(group) for group in group_mistakes(mistakes)] == sorted(counts.values(), reverse=True)


@given(
    st.lists(st.text("abc", min_size=1, max_size=9), min_size=1, max_size=30), st.data(), st.integers(0, 80)
)
def test_surrounding_words_fill_the_width(tokens, data, width):
    start = data.draw(st.integers(0, len(tokens) - 1))
    end = data.draw(st.integers(start + 1, len(tokens)))
    before, middle, after = words_around(tokens, start, end, width=width)
    assert middle == " ".join(tokens[start:end])
    left, right = before.split(), after.split()
    assert len(" ".join([*left, middle, *right])) <= max(width, len(middle) + 4)
    shown = [word for word in left if word != "…"], [word for word in right if word != "…"]
    assert shown[0] == tokens[start - len(shown[0]) : start]
    assert shown[1] == tokens[end : end + len(shown[1])]
    assert ("…" in left) == (len(shown[0]) < start)
    assert ("…" in right) == (len(shown[1]) < len(tokens) - end)
    if "…" in left:  # the next word would not fit
        longer = [tokens[start - len(shown[0]) - 1], *shown[0], middle, *shown[1]]
        assert len(" ".join(longer)) + 4 > width
