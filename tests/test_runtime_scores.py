"""Compare alternatives and tag scores of the Tagger with enumeration."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from bundles import every_legal_path, make_bundle, random_sentences

from tagger import Tagger
from tagger.decoding.viterbi import Transitions
from tagger.errors import InputError
from tagger.features.batching import WordTable
from tagger.runtime.annotation import Annotator
from tagger.runtime.arguments import MOST_ALTERNATIVES
from tagger.runtime.engine import Engine
from tagger.runtime.options import TagOptions
from tagger.text.schemes import convert_tags
from tagger.text.sentence import Alternative, from_tokens


@pytest.mark.parametrize("constrain", [True, False])
@pytest.mark.parametrize("head", ["crf", "softmax"])
@pytest.mark.parametrize("scheme", ["BIOES", "IOB2", "IO"])
def test_alternatives_and_scores_equal_enumeration(scheme, head, constrain):
    """The model's own scheme is BIOES."""
    _, bundle = make_bundle(1, head=head, constrain=constrain)
    tagger = Tagger(bundle, scheme=scheme)
    engine, table = Engine(bundle), WordTable(bundle.vocabulary)
    sentences = [["Mira"], ["Ayr", "lost"], ["Tom", "met", "Glasgow"]]
    found = tagger.tag_tokens(sentences, n_best=6, scores=True)
    for task, (tokens, sentence) in itertools.product(tagger.tasks, zip(sentences, found, strict=True)):
        emissions = engine.emissions(table.batch([table.rows(tokens)]))[task.name]
        paths, probabilities = every_legal_path(task, len(tokens), engine.transitions[task.name], emissions)
        order = np.argsort(-probabilities, kind="stable")[:6]
        alternatives = sentence.alternatives[task.name]
        assert [one.probability for one in alternatives] == pytest.approx(probabilities[order], abs=1e-5)
        for one, index in zip(alternatives, order, strict=True):
            tags = [task.tags[number] for number in paths[index]]
            assert one.tags == tuple(convert_tags(tags, task.scheme, scheme) if task.scheme else tags)
        assert alternatives[0].tags == sentence.tags[task.name]
        best = paths[order[0]]
        marginals = [
            sum(p for path, p in zip(paths, probabilities, strict=True) if path[step] == best[step])
            for step in range(len(tokens))
        ]
        assert sentence.tag_scores[task.name] == pytest.approx(marginals, abs=1e-5)


def test_alternatives_with_equal_tags_remain_separate():
    _, bundle = make_bundle(1, constrain=False)
    (sentence,) = Tagger(bundle).tag_tokens([["Mira", "met"]], n_best=200)
    alternatives = sentence.alternatives["ner"]
    assert len({one.tags for one in alternatives}) < len(alternatives)
    assert sum(one.probability for one in alternatives) == pytest.approx(1.0, abs=1e-6)


def test_alternatives_and_scores_are_optional_and_change_nothing_else():
    _, bundle = make_bundle()
    tagger = Tagger(bundle)
    sentences = random_sentences(bundle.vocabulary)
    plain = tagger.tag_tokens(sentences)
    full = tagger.tag_tokens(sentences, n_best=3, scores=True)
    for one, other in zip(plain, full, strict=True):
        assert (one.tags, one.spans) == (other.tags, other.spans)
        assert (one.tag_scores, one.alternatives) == ({}, {})
        assert other.tag_scores.keys() == other.alternatives.keys() == {"ner", "pos"}
    assert tagger.tag("Mira met Tom.", n_best=2)[0].alternatives["ner"]
    again = list(tagger.tag_sentences(full))
    assert [sentence.tag_scores for sentence in again] == [{}] * len(full)


def test_an_empty_sentence_gets_empty_results():
    _, bundle = make_bundle()
    (sentence,) = Tagger(bundle).tag_tokens([[]], n_best=2, scores=True)
    assert sentence.tag_scores == sentence.alternatives == {"ner": (), "pos": ()}


def test_the_probability_is_zero_if_no_sequence_is_legal():
    task = make_bundle(constrain=False)[1].vocabulary.tasks[0]
    free = Transitions.free(len(task.tags))
    forbidden = replace(free, end=np.full_like(free.end, -np.inf))  # no bundle has such transitions
    emissions = np.random.default_rng(0).normal(size=(2, len(task.tags))).astype(np.float32)
    sentence = from_tokens(["Mira", "met"])
    annotator = Annotator(task, forbidden, "IOB2")
    found = annotator.annotate(emissions, np.array([2]), [sentence], TagOptions(n_best=2, has_scores=True))
    assert found["alternatives"] == [[Alternative(found["tags"][0], 0.0)]]
    assert found["tag_scores"] == [[0.0, 0.0]]


@pytest.mark.parametrize("wrong", [-1, MOST_ALTERNATIVES + 1])
def test_an_invalid_number_of_alternatives_is_an_error_at_once(wrong):
    _, bundle = make_bundle()
    with pytest.raises(InputError, match=f"got {wrong}") as error:
        Tagger(bundle).tag_sentences([from_tokens(["Mira"])], n_best=wrong)
    assert (error.value.code, error.value.option) == ("argument.value", "n_best")


def test_too_many_alternatives_for_memory_are_an_error(monkeypatch):
    _, bundle = make_bundle()
    tagger = Tagger(bundle)
    tag_count = max(len(task.tags) for task in tagger.tasks)
    monkeypatch.setattr("tagger.runtime.labeller.MOST_POINTERS", 12 * tag_count)
    sentences = [["Mira", "met", "Tom"], ["Tom", "met", "Mira", "again"]]
    assert len(tagger.tag_tokens(sentences, n_best=3)[1].alternatives["pos"]) == 3
    with pytest.raises(
        InputError, match=r"at most 3 for the sentence 'Tom met Mira again'… .*\(got 4\)"
    ) as error:
        tagger.tag_tokens(sentences, n_best=4)
    assert (error.value.code, error.value.option) == ("input.size", "n_best")
    assert len(tagger.tag_tokens([["Mira"] * 99])[0]) == 99  # no limit without alternatives


def test_spans_have_the_same_scores_in_groups(monkeypatch):
    _, bundle = make_bundle()
    sentences = random_sentences(bundle.vocabulary, count=30)
    expected = [sentence.spans["ner"] for sentence in Tagger(bundle).tag_tokens(sentences)]
    assert len({span.end - span.start for spans in expected for span in spans}) > 1
    monkeypatch.setattr("tagger.runtime.annotation.SPAN_TOKENS", 2)
    assert [sentence.spans["ner"] for sentence in Tagger(bundle).tag_tokens(sentences)] == expected


def test_small_windows_give_the_same_tags(monkeypatch):
    _, bundle = make_bundle(context="sentence")
    sentences = [*random_sentences(bundle.vocabulary, count=20), []]
    expected = Tagger(bundle).tag_tokens(sentences)
    monkeypatch.setattr("tagger.runtime.labeller.WINDOW_TOKENS", 9)
    monkeypatch.setattr("tagger.runtime.labeller.BATCH_TOKENS", 5)
    read = 0

    def stream():
        nonlocal read
        for tokens in sentences:
            read += 1
            yield from_tokens(tokens)

    for threads in (1, 2):
        read = 0
        tagged = Tagger(bundle, threads=threads).tag_sentences(stream())
        first = next(tagged)
        windows = 1 if threads == 1 else threads + 1
        assert sum(map(len, sentences[: read - windows])) < 9 * windows
        assert [one.tags for one in (first, *tagged)] == [one.tags for one in expected]


@pytest.mark.parametrize("threads", [1, 2])
def test_sentences_before_an_error_are_tagged_first(monkeypatch, threads):
    _, bundle = make_bundle()
    monkeypatch.setattr("tagger.runtime.labeller.WINDOW", 2)
    sentences = [from_tokens(tokens) for tokens in random_sentences(bundle.vocabulary, count=7)]

    def stream():
        yield from sentences
        raise InputError("broken", code="corpus.record", where="a.conll:8")

    tagged = Tagger(bundle, threads=threads).tag_sentences(stream())
    assert [next(tagged).tokens for _ in sentences] == [one.tokens for one in sentences]
    with pytest.raises(InputError, match="broken") as error:
        next(tagged)
    assert (error.value.code, error.value.line) == ("corpus.record", 8)
