"""Scores against hand-computed examples, seqeval's own functions and a brute-force reading of spans."""

import itertools
import json
import random
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.errors import InputError
from tagger.evaluation.scores import (
    score_spans,
    score_spans_by_vocabulary,
    score_tags,
    score_tags_by_vocabulary,
)
from tagger.evaluation.tasks import score_task
from tagger.text.schemes import tags_to_spans

# Mira Holm left Port Vell for Acme . / Ruiz agreed
GOLD = [["B-PER", "I-PER", "O", "B-LOC", "I-LOC", "O", "B-ORG", "O"], ["B-PER", "O"]]
# PER right; LOC too short; ORG taken for LOC; the second PER begins with I-, which only conlleval accepts.
PREDICTED = [["B-PER", "I-PER", "O", "B-LOC", "O", "O", "B-LOC", "O"], ["I-PER", "O"]]

PREFIXES = {
    "IO": "I",
    "IOB1": "BI",
    "IOB2": "BI",
    "BIOES": "BIES",
    "BILOU": "BILU",
    "BMES": "BMES",
    "IOE1": "IE",
    "IOE2": "IE",
}


def test_spans_by_hand():
    scores = score_spans(GOLD, PREDICTED)
    assert scores == {
        "precision": 2 / 4,
        "recall": 2 / 4,
        "f1": 2 / 4,
        "support": 4,
        "by_label": {
            "LOC": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1},
            "ORG": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1},
            "PER": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 2},
        },
        "strict": {"precision": 1 / 3, "recall": 1 / 4, "f1": 2 / 7, "scheme": "IOB2"},
    }
    assert json.loads(json.dumps(scores)) == scores


def test_spans_by_vocabulary_by_hand():
    # "Vell" and "Ruiz" are new: the gold LOC "Port Vell" is unseen, the predicted LOC "Port" is not.
    seen = [[True, True, True, True, False, True, True, True], [False, True]]
    assert score_spans_by_vocabulary(GOLD, PREDICTED, seen) == {
        "seen": {"precision": 1 / 3, "recall": 1 / 2, "f1": 2 / 5, "support": 2},
        "unseen": {"precision": 1.0, "recall": 1 / 2, "f1": 2 / 3, "support": 2},
    }


def test_tags_by_hand():
    gold = [["NOUN", "VERB", "NOUN"], [], ["ADV"]]
    predicted = [["NOUN", "NOUN", "NOUN"], [], ["ADJ"]]
    scores = score_tags(gold, predicted)
    assert scores == {
        "accuracy": 2 / 4,
        "support": 4,
        "by_label": {
            "ADJ": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0},
            "ADV": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1},
            "NOUN": {"precision": 2 / 3, "recall": 1.0, "f1": 4 / 5, "support": 2},
            "VERB": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1},
        },
    }
    assert json.loads(json.dumps(scores)) == scores
    assert score_tags_by_vocabulary(gold, predicted, [[True, True, False], [], [False]]) == {
        "seen": {"accuracy": 1 / 2, "support": 2},
        "unseen": {"accuracy": 1 / 2, "support": 2},
    }


def test_a_task_is_scored_in_the_scheme_of_its_file():
    iob2 = [["B-LOC", "B-LOC", "I-LOC", "O", "B-PER"]]
    predicted = [["B-LOC", "B-LOC", "O", "O", "B-PER"]]
    seen = [[True, True, False, True, True]]
    expected = {**score_spans(iob2, predicted), **score_spans_by_vocabulary(iob2, predicted, seen)}
    assert expected["f1"] == expected["strict"]["f1"] == 2 / 3
    written = {
        "IOB1": ["I-LOC", "B-LOC", "I-LOC", "O", "I-PER"],
        "BIOES": ["S-LOC", "B-LOC", "E-LOC", "O", "S-PER"],
        "IOB2": iob2[0],
    }
    for scheme, gold in written.items():
        scores = score_task([gold], predicted, scheme=scheme, seen=seen)
        strict = {**expected["strict"], "scheme": scheme}
        assert scores.items() >= {**expected, "strict": strict, "repairs": 0}.items()
    broken = score_task([["O", "I-LOC"]], [["O", "B-LOC"]], scheme="IOB2", seen=[[True, True]])
    assert (broken["f1"], broken["strict"]["f1"], broken["repairs"]) == (1.0, 0.0, 1)
    tags = score_task([["X", "Y"]], [["X", "X"]], scheme=None, seen=[[True, False]])
    assert tags["accuracy"] == 1 / 2
    assert tags["unseen"] == {"accuracy": 0.0, "support": 1}


@pytest.mark.parametrize(
    "labels", [("product-car", "product-ship"), ("-x-", "x"), ("a_b", "_"), ("B-I", "I-B")]
)
def test_labels_with_hyphens_and_underscores_are_kept_apart(labels):
    one, other = labels
    gold = [[f"B-{one}", f"I-{one}", "O", f"B-{other}"]]
    predicted = [[f"B-{one}", f"I-{one}", "O", f"B-{one}"]]
    scores = score_spans(gold, predicted)
    assert scores["by_label"] == {
        one: {"precision": 1 / 2, "recall": 1.0, "f1": 2 / 3, "support": 1},
        other: {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1},
    }
    assert (scores["precision"], scores["strict"]["precision"]) == (1 / 2, 1 / 2)
    # A change of label in the middle ends the span in strict mode, too.
    broken = [[f"B-{one}", f"I-{other}"]]
    assert score_spans([[f"B-{one}", f"I-{one}"]], broken)["f1"] == 0
    assert score_spans([[f"B-{one}", "O"]], broken)["strict"]["f1"] == 1


def test_bare_prefixes_are_spans_without_a_name():
    scores = score_spans([["B", "I", "E", "S"]], [["B", "E", "S", "S"]], scheme="BIOES")
    assert scores["by_label"] == {"_": {"precision": 1 / 3, "recall": 1 / 2, "f1": 2 / 5, "support": 2}}


@pytest.mark.parametrize("sequences", [[], [[]], [["O", "O"], [], ["O"]]])
def test_nothing_to_count_gives_zeros_without_warnings(sequences):
    zeros = {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
    scores = score_spans(sequences, sequences)
    strict = {"precision": 0.0, "recall": 0.0, "f1": 0.0, "scheme": "IOB2"}
    assert scores == {**zeros, "by_label": {}, "strict": strict}
    seen = [[True] * len(tags) for tags in sequences]
    assert score_spans_by_vocabulary(sequences, sequences, seen) == {"seen": zeros, "unseen": zeros}
    assert score_tags_by_vocabulary(sequences, sequences, seen)["unseen"] == {"accuracy": 0.0, "support": 0}


def test_an_empty_corpus_has_no_accuracy():
    assert score_tags([], []) == {"accuracy": 0.0, "support": 0, "by_label": {}}


@pytest.mark.parametrize("score", [score_spans, score_tags, lambda a, b: score_spans_by_vocabulary(a, a, b)])
def test_mismatched_sequences_are_rejected(score):
    with pytest.raises(InputError, match=r"Sentence 2 has 2 .* but 1 ") as error:
        score([["O"], ["O", "O"]], [["O"], ["O"]])
    assert error.value.code == "argument.value"
    with pytest.raises(InputError, match=r"2 sentences .* 1 ") as error:
        score([["O"], ["O"]], [["O"]])
    assert error.value.code == "argument.value"


def test_mismatched_marks_of_seen_words_are_rejected():
    with pytest.raises(InputError, match="Sentence 1 has 1 tags but 0 marks") as error:
        score_tags_by_vocabulary([["X"]], [["X"]], [[]])
    assert error.value.code == "argument.value"


@pytest.mark.parametrize("foreign", ["NN", "E-PER", "B_PER", "O-PER", "-PER", ""])
def test_tags_of_another_scheme_are_rejected(foreign):
    with pytest.raises(InputError, match=f"Sentence 2 .* predicted tag '{foreign}', .* IOB2") as error:
        score_spans([["O"], ["O", "O"]], [["O"], ["O", foreign]])
    assert error.value.code == "corpus.scheme"


def test_an_unknown_scheme_is_rejected():
    with pytest.raises(InputError, match="no tag scheme 'XYZ'"):
        score_spans([["O"]], [["O"]], scheme="XYZ")


def test_without_seqeval_the_error_names_the_extra(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "seqeval"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "seqeval", None)
    with pytest.raises(InputError, match="`train`") as error:
        score_spans(GOLD, PREDICTED)
    assert error.value.code == "package.missing"
    assert score_tags(GOLD, PREDICTED)["support"] == 10


def random_tags(seed, scheme, sentences=40):
    """Random gold and predicted tags, possibly illegal; half of the predictions are correct."""
    rng = random.Random(seed)
    inventory = ["O", "O", *(f"{prefix}-{label}" for prefix in PREFIXES[scheme] for label in ("X", "Y"))]
    gold = [[rng.choice(inventory) for _ in range(rng.randrange(9))] for _ in range(sentences)]
    predicted = [[tag if rng.random() < 0.5 else rng.choice(inventory) for tag in tags] for tags in gold]
    return gold, predicted


@pytest.mark.parametrize("scheme", ["IOB1", "IOB2", "IOE1", "IOE2", "BIOES"])
@pytest.mark.parametrize("seed", range(6))
def test_scores_equal_seqeval(seed, scheme):
    from seqeval.metrics.sequence_labeling import precision_recall_fscore_support
    from seqeval.metrics.v1 import precision_recall_fscore_support as strict_precision_recall_fscore_support
    from seqeval.scheme import IOB1, IOB2, IOBES, IOE1, IOE2

    gold, predicted = random_tags(seed, scheme)
    scores = score_spans(gold, predicted, scheme=scheme)
    *micro, support = precision_recall_fscore_support(gold, predicted, average="micro", zero_division=0)
    assert [scores["precision"], scores["recall"], scores["f1"]] == pytest.approx(micro)
    assert scores["support"] == support
    columns = precision_recall_fscore_support(gold, predicted, average=None, zero_division=0)
    for label, row in zip(("X", "Y"), zip(*columns, strict=True), strict=True):
        assert list(scores["by_label"][label].values()) == pytest.approx(list(row))
    *strict, _ = strict_precision_recall_fscore_support(
        gold,
        predicted,
        average="micro",
        zero_division=0,
        scheme={"IOB1": IOB1, "IOB2": IOB2, "IOE1": IOE1, "IOE2": IOE2, "BIOES": IOBES}[scheme],
    )
    assert list(scores["strict"].values())[:3] == pytest.approx(strict)


@pytest.mark.parametrize("scheme", ["BILOU", "BMES"])
def test_other_spellings_of_bioes_score_alike(scheme):
    gold, predicted = random_tags(11, "BIOES")
    spelling = str.maketrans("ES", "LU") if scheme == "BILOU" else str.maketrans("I", "M")
    respelt = [
        [[tag[:1].translate(spelling) + tag[1:] for tag in tags] for tags in side]
        for side in (gold, predicted)
    ]
    expected, scores = score_spans(gold, predicted, scheme="IOBES"), score_spans(*respelt, scheme=scheme)
    assert expected["strict"].pop("scheme") == "BIOES"
    assert scores["strict"].pop("scheme") == scheme
    assert scores == expected


def brute_force_spans(tags):
    """All (start, end, label) such that a span begins at start, continues up to end and ends there."""

    def begins(i):
        here, before = tags[i], tags[i - 1] if i else "O"
        return here != "O" and (here[0] in "BS" or before[0] in "OES" or before[2:] != here[2:])

    def goes_on(i):
        return i < len(tags) and tags[i] != "O" and not begins(i)

    return [
        (start, end, tags[start][2:])
        for start, end in itertools.combinations(range(len(tags) + 1), 2)
        if begins(start) and all(goes_on(i) for i in range(start + 1, end)) and not goes_on(end)
    ]


TAG = st.sampled_from(["O", "O", *(f"{prefix}-{label}" for prefix in "BIES" for label in ("a", "b-c"))])
# For each sentence its tokens; for each token gold tag, predicted tag, and True if it was seen.
CORPUS = st.lists(st.lists(st.tuples(TAG, TAG, st.booleans()), max_size=7), max_size=5)


def columns_of(corpus):
    return [[[token[column] for token in sentence] for sentence in corpus] for column in range(3)]


def brute_force_score(gold, predicted):
    right = len([span for span in gold if span in predicted])
    precision = right / len(predicted) if predicted else 0.0
    recall = right / len(gold) if gold else 0.0
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return pytest.approx({"precision": precision, "recall": recall, "f1": f1, "support": len(gold)})


@given(CORPUS)
def test_spans_equal_a_brute_force_count(corpus):
    gold, predicted, seen = columns_of(corpus)
    spans = [
        [(number, *span) for number, tags in enumerate(side) for span in brute_force_spans(tags)]
        for side in (gold, predicted)
    ]
    scores = score_spans(gold, predicted, scheme="BIOES")
    assert {key: scores[key] for key in ("precision", "recall", "f1", "support")} == brute_force_score(*spans)
    assert set(scores["by_label"]) == {span[3] for span in spans[0] + spans[1]}
    for label, score in scores["by_label"].items():
        assert score == brute_force_score(*([span for span in side if span[3] == label] for side in spans))

    parts = score_spans_by_vocabulary(gold, predicted, seen, scheme="BIOES")
    for name, has_new_word in (("seen", False), ("unseen", True)):
        chosen = [
            [span for span in side if (not all(seen[span[0]][span[1] : span[2]])) == has_new_word]
            for side in spans
        ]
        assert parts[name] == brute_force_score(*chosen)


@given(CORPUS)
def test_spans_are_those_of_the_scheme_reader(corpus):
    """The scorer counts the spans that ``Tagger`` returns, for legal and illegal tags."""
    gold, predicted, _ = columns_of(corpus)
    supports = Counter(span.label for tags in gold for span in tags_to_spans(tags, "BIOES"))
    scores = score_spans(gold, predicted, scheme="BIOES")["by_label"]
    assert {label: score["support"] for label, score in scores.items() if score["support"]} == supports


@given(CORPUS)
def test_tags_equal_a_brute_force_count(corpus):
    gold, predicted, seen = columns_of(corpus)
    tokens = [token for sentence in corpus for token in sentence]
    scores = score_tags(gold, predicted)
    right = [gold_tag == predicted_tag for gold_tag, predicted_tag, _ in tokens]
    assert scores["accuracy"] == (sum(right) / len(right) if right else 0.0)
    for tag, score in scores["by_label"].items():
        gold_places = [place for place, token in enumerate(tokens) if token[0] == tag]
        predicted_places = [place for place, token in enumerate(tokens) if token[1] == tag]
        assert score == brute_force_score(gold_places, predicted_places)
    for name, mark in (("seen", True), ("unseen", False)):
        part = [gold_tag == predicted_tag for gold_tag, predicted_tag, was_seen in tokens if was_seen is mark]
        expected = {"accuracy": sum(part) / len(part) if part else 0.0, "support": len(part)}
        assert score_tags_by_vocabulary(gold, predicted, seen)[name] == expected
