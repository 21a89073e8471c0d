"""Label errors of gold tags: compare the suspicions with enumeration of all tag sequences."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from bundles import every_legal_path, make_bundle, random_sentences
from hypothesis import given
from hypothesis import strategies as st
from input_errors import raises

import tagger
from tagger import Sentence, Tagger
from tagger.features.batching import WordTable
from tagger.runtime.label_errors import LEAST_PROPOSAL, assign_folds, cross_validate, find_label_errors
from tagger.text.schemes import convert_tags, tags_to_spans
from tagger.text.sentence import from_tokens

WORDS = [["Mira"], ["Ayr", "lost"], ["Tom", "met", "Glasgow"], ["New", "Ayr", "lost"], ["Rain", "Tom"]]
NER = ("B-PER", "I-PER", "B-LOC", "I-LOC", "B-NEW", "O", "O")  # the models lack the label NEW
POS = ("N", "V", "P", "NEW", "_")


def gold_sentences(words: list[list[str]], seed: int) -> list[Sentence]:
    """Return sentences with random gold tags, each a document."""
    generator = np.random.default_rng(seed)
    tags = [
        {
            "ner": convert_tags(generator.choice(NER, len(own)), "IOB2", "IOB2"),  # repairs illegal tags
            "pos": generator.choice(POS, len(own)).tolist(),
        }
        for own in words
    ]
    return [
        from_tokens(tokens, starts_document=True).with_tags(own)
        for tokens, own in zip(words, tags, strict=True)
    ]


def key(span):
    return None if span is None else (span.start, span.end, span.label)


def touches(one, other):
    return one[0] < other[1] and other[0] < one[1]


def marginals(model: Tagger, tokens: list[str], name: str):
    """Enumerate the probability of each tag (T, C) and of each span."""
    task = next(task for task in model.tasks if task.name == name)
    table = WordTable(model.bundle.vocabulary)
    emissions = model.engine.emissions(table.batch([table.rows(tokens)]))[name]
    paths, weights = every_legal_path(task, len(tokens), model.engine.transitions[name], emissions)
    weights = weights ** (1 / model.bundle.temperature(name))
    weights /= weights.sum()
    tags, spans = np.zeros((len(tokens), len(task.tags))), {}
    for path, weight in zip(paths, weights, strict=True):
        tags[range(len(tokens)), path] += weight
        for span in tags_to_spans([task.tags[one] for one in path], "BIOES") if task.scheme else ():
            spans[key(span)] = spans.get(key(span), 0.0) + weight
    return tags, spans, task


def expected_spans(model: Tagger, sentence: Sentence):
    """Return the gold span, the proposal and both probabilities of each suspicion, by definition."""
    tags, spans, _ = marginals(model, list(sentence.tokens), "ner")
    likely = {one: weight for one, weight in spans.items() if weight >= LEAST_PROPOSAL}
    gold = [key(span) for span in tags_to_spans(sentence.tags["ner"], "IOB2")]
    rows = []
    for span in gold:
        others = {None: tags[span[0] : span[1], 0].min()}
        others |= {one: weight for one, weight in likely.items() if one != span and touches(one, span)}
        best = max(others, key=others.get)
        rows.append((span, best, spans.get(span, 0.0), others[best]))
    for one, weight in likely.items():
        if not any(touches(one, span) for span in gold):
            rows.append((None, one, tags[one[0] : one[1], 0].min(), weight))
    kept: list[tuple] = []
    for row in sorted(rows, key=lambda row: row[2] - row[3]):
        tokens = {token for span in row[:2] if span for token in range(*span[:2])}
        taken = {token for other in kept for span in other[:2] if span for token in range(*span[:2])}
        if row[2] < row[3] and not tokens & taken:
            kept.append(row)
    return kept


@pytest.mark.parametrize("head", ["crf", "softmax"])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_suspicions_of_spans_equal_enumeration(head, temperature):
    kinds = set()
    for seed in range(6):
        model = Tagger(replace(make_bundle(seed, head=head)[1], temperatures={"ner": temperature}))
        gold = gold_sentences(WORDS, seed)
        found = find_label_errors(model, gold, tasks=["ner"])
        kinds |= {one.kind for one in found}
        assert [one.margin for one in found] == sorted(one.margin for one in found)
        for index, sentence in enumerate(gold):
            own = [one for one in found if one.sentence == index]
            expected = expected_spans(model, sentence)
            assert [(key(one.outcome.gold), key(one.outcome.predicted)) for one in own] == [
                row[:2] for row in expected
            ]
            for one, row in zip(own, expected, strict=True):
                assert (one.gold_probability, one.proposal_probability) == pytest.approx(row[2:], abs=1e-5)
                assert one.words == sentence.tokens[one.outcome.start : one.outcome.end]
    assert kinds >= {"wrong type", "wrong borders and type", "spurious", "missing"}


def test_suspicions_of_tags_equal_enumeration():
    for seed in range(3):
        model = Tagger(make_bundle(seed)[1])
        gold = gold_sentences(WORDS, seed)
        found = find_label_errors(model, gold, tasks=["pos"])
        count = 0
        for index, sentence in enumerate(gold):
            tags, _, task = marginals(model, list(sentence.tokens), "pos")
            for token, tag in enumerate(sentence.tags["pos"]):
                best = int(tags[token].argmax())
                if tag in ("_", task.tags[best]):
                    continue
                (one,) = [one for one in found if (one.sentence, one.outcome.start) == (index, token)]
                assert (one.kind, one.outcome.labels) == ("wrong tag", (tag, task.tags[best]))
                own = tags[token, task.ids[tag]] if tag in task.ids else 0.0
                assert one.gold_probability == pytest.approx(own, abs=1e-5)
                assert one.proposal_probability == pytest.approx(tags[token, best], abs=1e-5)
                count += 1
        assert len(found) == count > 0


def test_scores_equal_those_of_the_tagger_in_documents_and_batches():
    """Repeated words have document context, and one sentence is empty."""
    _, bundle = make_bundle(2)
    model, words = Tagger(bundle), [*random_sentences(bundle.vocabulary, count=40), []]
    gold = [
        replace(one, starts_document=index % 9 == 0) for index, one in enumerate(gold_sentences(words, 0))
    ]
    tagged = list(model.tag_sentences(gold, candidates=0.001))
    found = find_label_errors(model, gold, tasks=["ner"])
    assert found
    for one in found:
        scores = {key(span): span.score for span in tagged[one.sentence].candidates["ner"]}
        for span, score in (
            (one.outcome.gold, one.gold_probability),
            (one.outcome.predicted, one.proposal_probability),
        ):
            if span:
                assert score == pytest.approx(scores.get(key(span), 0.0), abs=1.1e-3)


def test_the_tags_of_a_softmax_head_are_the_most_probable_ones():
    model = Tagger(make_bundle(1, head="softmax")[1])
    sentences = [from_tokens(own, starts_document=True) for own in WORDS]
    assert find_label_errors(model, model.tag_sentences(sentences), tasks=["pos"]) == []
    assert find_label_errors(model, [], tasks=["ner"]) == []


def test_sources_name_the_line_of_the_first_token():
    sentence = replace(
        from_tokens(["Ayr", "lost", "Tom"]).with_tags({"ner": ["O", "B-NEW", "I-NEW"]}),
        source="a.conll:5",
        has_token_lines=True,
    )
    for seed in range(5):
        for one in find_label_errors(Tagger(make_bundle(seed)[1]), [sentence], tasks=["ner"]):
            assert one.source == f"a.conll:{5 + one.outcome.start}"
            assert one.values()["source"] == one.source


def test_places_with_unknown_tags_are_left_out():
    """The span before ``?`` may continue there, so its end is unknown, too."""
    model = Tagger(make_bundle(3)[1])
    rows = [gold_sentences(WORDS, seed) for seed in range(5)]
    for before in [one for row in rows for one in row]:
        tags = {name: (*before.tags[name][:-1], "?") for name in ("ner", "pos")}
        after = before.with_tags(tags)
        found = find_label_errors(model, [after])
        start = len(before) - 1
        while start > 0 and tags["ner"][start - 1] != "O" and tags["ner"][start][0] != "B":
            start -= 1
        assert all(one.outcome.end <= (start if one.task == "ner" else len(before) - 1) for one in found)
        assert [one for one in found if one.task == "pos"] == [
            one for one in find_label_errors(model, [before], tasks=["pos"]) if one.outcome.end < len(before)
        ]


def test_invalid_arguments():
    model = Tagger(make_bundle()[1])
    with raises("corpus.task", mentions="'chunk'"):
        find_label_errors(model, [], tasks=["chunk"])
    with raises("corpus.task", file="sentence 1", option="--columns"):
        find_label_errors(model, [from_tokens(["Ayr"])])


@st.composite
def documents(draw):
    """Draw sentences with document boundaries."""
    starts = draw(st.lists(st.booleans(), min_size=2, max_size=30))
    return [from_tokens([f"w{index}"], starts_document=start) for index, start in enumerate(starts)]


@given(documents(), st.integers(2, 6), st.integers(0, 3))
def test_folds_are_disjoint_balanced_and_keep_documents_together(sentences, n_folds, seed):
    if n_folds > len(sentences):
        with raises("argument.value", option="n_folds"):
            assign_folds(sentences, n_folds, seed)
        return
    folds = assign_folds(sentences, n_folds, seed)
    assert folds == assign_folds(sentences, n_folds, seed)
    sizes = Counter(folds)
    assert set(sizes) == set(range(n_folds))
    starts = [index for index, one in enumerate(sentences) if one.starts_document or index == 0]
    lengths = [end - start for start, end in pairwise([*starts, len(sentences)])]
    if len(starts) < n_folds:
        lengths = [1]
    else:
        assert all(
            own == before
            for index, (before, own) in enumerate(pairwise(folds), start=1)
            if index not in starts
        )
    assert max(sizes.values()) - min(sizes.values()) <= max(lengths)


@pytest.mark.parametrize("scheme", ["IOB1", "IOB2", "BIOES"])
def test_cross_validation_scores_each_sentence_with_a_model_of_the_other_folds(scheme):
    """With the same model in each fold, the result is that of one pass over all documents."""
    model = Tagger(make_bundle(2)[1])
    words = random_sentences(model.bundle.vocabulary, count=40)
    gold = [
        replace(one, starts_document=index % 4 == 0) for index, one in enumerate(gold_sentences(words, 5))
    ]
    splits = []

    def train(sentences):
        splits.append(sentences)
        return model

    changed = [
        one.with_tags({**one.tags, "ner": convert_tags(one.tags["ner"], "IOB2", scheme)}) for one in gold
    ]
    seen: list[Sentence] = []

    def watch(sentences):
        for one in sentences:
            seen.append(one)
            yield one

    found = cross_validate(changed, train, tasks=["ner", "pos"], n_folds=3, watch=watch)
    assert found == find_label_errors(model, gold)
    assert len(splits) == 3
    assert sorted(one.tokens for one in seen) == sorted(one.tokens for one in gold)
    folds = assign_folds(gold, 3, 1)
    for fold, split in enumerate(splits):
        assert split == [one for one, own in zip(gold, folds, strict=True) if own != fold]


def test_sentences_of_different_documents_are_not_joined():
    """There are fewer documents than folds, so the folds hold single sentences of both."""
    sentences = [
        from_tokens(["a"], starts_document=index in (0, 5)).with_tags({"pos": ["N"]}) for index in range(10)
    ]
    splits = []

    def train(split):
        splits.append(split)
        return Tagger(make_bundle()[1])

    cross_validate(sentences, train, tasks=["pos"], n_folds=5)
    assert [sum(one.starts_document for one in split) for split in splits] == [2] * 5


@pytest.mark.slow
def test_corrupted_labels_of_a_small_corpus_are_found():
    names = {"PER": ("Ada", "Otto", "Mia"), "LOC": ("Oslo", "Lima", "Bonn")}
    rows = []
    for person, place in product(names["PER"] * 3, names["LOC"] * 3):
        tokens = [person, "sang", "in", place, "."]
        rows.append((tokens, ["B-PER", "O", "O", "B-LOC", "O"]))
    wrong = {4: (3, "B-PER"), 30: (0, "O"), 55: (1, "B-LOC")}
    for index, (token, tag) in wrong.items():
        rows[index][1][token] = tag
    sizes = {"hidden_size": 8, "word_size": 8, "context": "sentence", "epochs": 8, "min_steps": 0}
    found = cross_validate(
        [from_tokens(tokens).with_tags({"ner": tags}) for tokens, tags in rows],
        lambda sentences: tagger.train(sentences, optimizer="adamw", learning_rate=0.02, ema=0.0, **sizes),
        tasks=["ner"],
        n_folds=3,
    )
    assert {(one.sentence, one.outcome.start) for one in found[:3]} == {
        (index, token) for index, (token, _) in wrong.items()
    }
    assert {one.kind for one in found[:3]} == {"wrong type", "missing", "spurious"}


def test_unknown_tags_are_no_label_errors():
    """A place with an unknown tag is never suspicious; all other places are as without it."""
    model = Tagger(make_bundle(3)[1])
    gold = gold_sentences(WORDS, 5)
    hidden = [
        replace(one, tags={**one.tags, "ner": ("?",) * len(one)}) if number % 2 else one
        for number, one in enumerate(gold)
    ]
    expected = [one for one in find_label_errors(model, gold, tasks=["ner"]) if not one.sentence % 2]
    assert find_label_errors(model, hidden, tasks=["ner"]) == expected
    assert expected
