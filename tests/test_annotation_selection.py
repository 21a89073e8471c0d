"""Selection of sentences: compare with enumeration of tag sequences and a plain greedy search."""

import tracemalloc
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from bundles import every_legal_path, make_bundle, random_sentences
from input_errors import raises

from tagger import Tagger
from tagger.annotation import selection
from tagger.annotation.annotation_cost import PRIOR, AnnotationCost
from tagger.annotation.near_duplicates import NearDuplicates, find_shingles
from tagger.annotation.selection import random_order, select
from tagger.annotation.strategies import LEAST_CERTAIN, STRATEGIES, StrategyName
from tagger.features.batching import WordTable
from tagger.runtime import labeller
from tagger.text.sentence import from_tokens

LETTERS = str.maketrans("01", "lo")  # numbers as words: sentences that differ in digits are near-duplicates
COST = AnnotationCost(3.0, 0.7)


@pytest.fixture(scope="module")
def tagger():
    _, bundle = make_bundle(1, context="sentence")
    return Tagger(replace(bundle, temperatures={"ner": 1.7, "pos": 0.8}), threads=1)


def make_pool(count: int = 60, seed: int = 3):
    """Return sentences of 0 to 3 tokens; every third one starts a document, and some are equal."""
    vocabulary = make_bundle(1)[1].vocabulary
    words = [tokens[:3] for tokens in random_sentences(vocabulary, seed, count)]
    words[5], words[20], words[21] = [], words[2], words[2]
    return [from_tokens(tokens, starts_document=number % 3 == 0) for number, tokens in enumerate(words)]


def enumerate_paths(tagger, tokens):
    """Return all legal tag sequences with their calibrated probabilities, and the most probable one."""
    task = tagger.tasks[0]
    assert task.name == "ner"
    table, temperature = WordTable(tagger.bundle.vocabulary), tagger.bundle.temperature("ner")
    emissions = tagger.engine.emissions(table.batch([table.rows(tokens)]))["ner"]
    paths, probabilities = every_legal_path(task, len(tokens), tagger.engine.transitions["ner"], emissions)
    scaled = probabilities ** (1 / temperature)
    return paths, scaled / scaled.sum(), paths[int(np.argmax(probabilities))]


def expected_priority(tagger, strategy: StrategyName, tokens) -> float:
    if strategy == "longest":
        return len(tokens)
    paths, probabilities, best = enumerate_paths(tagger, tokens)
    if strategy == "mnlp":
        return -np.log(probabilities[paths.index(best)]) / len(tokens)
    doubts = [
        sum(p for path, p in zip(paths, probabilities, strict=True) if path[step] != best[step])
        for step in range(len(tokens))
    ]
    return sum(sorted(doubts)[-LEAST_CERTAIN:]) / (COST.per_sentence + COST.per_token * len(tokens))


def greedy(pool, priorities, budget, *, size=len, taken=()):
    """Take the best sentences that are not nearly equal to one that is taken."""
    index, chosen = NearDuplicates(), []
    for tokens in taken:
        index.add(find_shingles(tokens))
    for number in sorted(range(len(pool)), key=lambda number: (-priorities[number], number)):
        tokens = pool[number].tokens
        if tokens and budget > 0 and not index.has_similar(find_shingles(tokens)):
            index.add(find_shingles(tokens))
            chosen.append(number)
            budget -= size(tokens)
    return chosen


@pytest.mark.parametrize("strategy", ["uncertainty", "mnlp", "longest"])
@pytest.mark.parametrize("block", [3, 1000])
def test_the_choice_is_greedy_by_exact_probabilities(tagger, monkeypatch, strategy, block):
    monkeypatch.setattr(selection, "SMALLEST_BLOCK", block)
    pool = make_pool()
    expected = [
        float(f"{expected_priority(tagger, strategy, one.tokens):.4g}") if one.tokens else 0 for one in pool
    ]
    choices = select(pool, tagger, task="ner", n_tokens=40, strategy=strategy, random_share=0, cost=COST)
    assert [one.index for one in choices] == greedy(pool, expected, 40)
    assert [one.priority for one in choices] == pytest.approx(
        [expected[one.index] for one in choices], rel=1e-3
    )
    assert {(one.arm, one.strategy) for one in choices} == {("chosen", strategy)}
    used = [len(one.sentence) for one in choices]
    assert sum(used[:-1]) < 40 <= sum(used)


def test_random_is_the_random_order(tagger):
    pool = make_pool()
    order = [number for number in random_order(len(pool), 7).tolist() if pool[number].tokens]
    choices = select(pool, tagger, task="ner", n_sentences=10, strategy="random", random_share=0.5, seed=7)
    assert {one.strategy for one in choices} == {"random"}
    (drawn, chosen) = ([one.index for one in choices if one.arm == arm] for arm in ("random", "chosen"))
    assert drawn == order[:5]
    taken = [pool[number].tokens for number in drawn]
    ranks = {number: -rank for rank, number in enumerate(order[5:])}
    others = [ranks.get(number, -1000) for number in range(len(pool))]
    assert chosen == greedy(pool, others, 5, size=lambda _: 1, taken=taken)


def test_the_random_share_does_not_depend_on_strategy_model_or_duplicates(tagger):
    pool = make_pool()
    pool += [replace(one) for one in pool]
    other = Tagger(make_bundle(9)[1], threads=1)
    drawn = {
        tuple(one.index for one in choices if one.arm == "random")
        for model in (tagger, other)
        for strategy in STRATEGIES
        for choices in [select(pool, model, task="ner", n_tokens=60, random_share=0.5, strategy=strategy)]
    }
    (indices,) = drawn
    sizes = [len(pool[index]) for index in indices]
    assert sum(sizes[:-1]) < 30 <= sum(sizes)
    expected = [index for index in random_order(len(pool), 1).tolist() if pool[index].tokens]
    assert list(indices) == expected[: len(indices)]


def test_every_sentence_is_drawn_at_random_equally_often():
    counts = Counter(index for seed in range(2000) for index in random_order(10, seed)[:3].tolist())
    deviations = [(counts[index] - 600) / np.sqrt(2000 * 0.3 * 0.7) for index in range(10)]
    assert max(map(abs, deviations)) < 3.5


def test_the_mean_of_a_random_share_is_that_of_the_pool(tagger):
    """A share that left out sentences beyond the budget would have short ones."""
    pool = [from_tokens(["w"] * (1 if number % 2 else 9), starts_document=True) for number in range(40)]
    lengths = [
        len(one.sentence)
        for seed in range(30)
        for one in select(pool, tagger, task="ner", n_tokens=50, random_share=1, seed=seed)
    ]
    assert np.mean(lengths) == pytest.approx(5, abs=0.4)


def test_added_sentences_keep_the_random_order():
    longer = random_order(1000, 5)
    assert longer[longer < 300].tolist() == random_order(300, 5).tolist()


def test_the_batch_does_not_depend_on_windows_and_calls(tagger, monkeypatch):
    pool = make_pool(200)
    expected = select(pool, tagger, task="ner", n_tokens=150)
    assert select(tuple(pool), tagger, task="ner", n_tokens=150) == expected
    monkeypatch.setattr(labeller, "WINDOW", 7)
    smaller = select(pool, Tagger(tagger.bundle, threads=2), task="ner", n_tokens=150)
    assert [(one.index, one.arm) for one in smaller] == [(one.index, one.arm) for one in expected]
    assert [one.priority for one in smaller] == pytest.approx([one.priority for one in expected], rel=1e-4)


def test_excluded_sentences_and_their_near_duplicates_are_left_out(tagger):
    pool = make_pool()
    first = select(pool, tagger, task="ner", n_sentences=20)
    excluded = [one.sentence for one in first]
    second = select(pool, tagger, task="ner", n_sentences=20, excluded=excluded)
    known = {one.tokens for one in excluded}
    similar = NearDuplicates()
    for tokens in known:
        similar.add(find_shingles(tokens))
    assert not known & {one.sentence.tokens for one in second}
    assert not any(
        similar.has_similar(find_shingles(one.sentence.tokens)) for one in second if one.arm == "chosen"
    )
    assert len(second) == 20


def test_a_small_pool_is_chosen_completely(tagger):
    pool = make_pool()
    choices = select(pool, tagger, task="ner", n_tokens=10_000, random_share=0.1)
    assert sorted({one.sentence.tokens for one in choices}) == sorted({one.tokens for one in pool} - {()})
    assert select(pool, tagger, task="ner", n_tokens=10, excluded=pool) == []
    assert select([], tagger, task="ner", n_tokens=10) == []


@pytest.mark.parametrize("context", ["sentence", "document"])
def test_proposals_are_those_of_the_whole_documents(context):
    tagger = Tagger(make_bundle(2, context=context)[1], threads=1)
    pool = [one.shifted(start) for one, start in zip(make_pool(), range(0, 6000, 100), strict=True)]
    pool = [replace(one, starts_document=index % 3 == 0) for index, one in enumerate(pool)]
    tagged = list(tagger.tag_sentences(pool, scores=True))
    for one in select(pool, tagger, task="ner", n_tokens=50):
        expected = tagged[one.index]
        assert one.sentence.tags == {"ner": expected.tags["ner"]}
        assert one.sentence.tag_scores["ner"] == pytest.approx(expected.tag_scores["ner"], abs=1e-5)
        assert (one.sentence.text, one.sentence.starts_document) == (expected.text, True)
        shift = expected.text_start
        for span, other in zip(one.sentence.spans["ner"], expected.spans["ner"], strict=True):
            assert (span.start, span.end, span.label) == (other.start, other.end, other.label)
            assert (span.start_char + shift, span.end_char + shift) == (other.start_char, other.end_char)
            assert one.sentence.text[span.start_char : span.end_char] == other.text


def test_the_arms_are_spread(tagger):
    choices = select(make_pool(), tagger, task="ner", n_sentences=30, random_share=0.2)
    arms = [one.arm for one in choices]
    assert arms.count("random") == 6
    for stop in range(5, 31, 5):
        assert arms[:stop].count("random") == stop // 5


def test_an_underflown_probability_has_a_finite_priority():
    sentence = from_tokens(["w"] * 4).with_tags({})
    alternative = Tagger(make_bundle()[1]).tag_tokens([["w"]], n_best=1)[0].alternatives["ner"][0]
    sentence = sentence.with_tags({}, alternatives={"ner": [replace(alternative, probability=0.0)]})
    assert STRATEGIES["mnlp"].priority(sentence, "ner", PRIOR, 0.0) == pytest.approx(744.44 / 4, rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        ({}, "--tokens"),
        ({"n_tokens": 5, "n_sentences": 5}, "--tokens"),
        ({"n_tokens": 0}, "--tokens"),
        ({"n_sentences": -1}, "--tokens"),
        ({"n_tokens": 5, "random_share": 1.1}, "--random-share"),
        ({"n_tokens": 5, "random_share": float("nan")}, "--random-share"),
    ],
)
def test_invalid_arguments_are_rejected(tagger, arguments, option):
    with raises("option.value", option=option):
        select(make_pool(), tagger, task="ner", **arguments)


def test_an_unknown_task_is_rejected(tagger):
    with raises("corpus.task"):
        select(make_pool(), tagger, task="chunk", n_tokens=5)


def test_an_iterator_is_rejected(tagger):
    with pytest.raises(TypeError, match="several times"):
        select(iter(make_pool()), tagger, task="ner", n_tokens=5)


class Generated:
    """A pool that makes its sentences when it is iterated, and counts the iterations."""

    def __init__(self, count: int, word: str = "") -> None:
        self._numbers = range(count)
        self._word = word
        self.n_iterations = 0

    def __iter__(self):
        self.n_iterations += 1
        for number in self._numbers:
            first, second = (bin(one).translate(LETTERS) for one in divmod(number, 1 << 9))
            tokens = [self._word or first, self._word or second, str(number)]
            yield from_tokens(tokens, starts_document=True)


def test_a_pool_of_duplicates_is_read_a_few_times(tagger, monkeypatch):
    monkeypatch.setattr(selection, "SMALLEST_BLOCK", 10)
    pool = Generated(4_000, word="same")
    choices = select(pool, tagger, task="ner", n_sentences=5, strategy="longest", random_share=0)
    lengths = [len(str(one.index)) for one in choices]
    assert lengths == [1, 2, 3, 4]  # numbers with as many digits are near-duplicates
    assert pool.n_iterations < 15


@pytest.mark.slow
def test_memory_per_sentence_of_the_pool_is_small(tagger):
    def peak(count: int) -> int:
        tracemalloc.start()
        select(Generated(count), tagger, task="ner", n_tokens=300, strategy="longest")
        _, size = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return size

    assert (peak(16_000) - peak(6_000)) / 10_000 < 60
