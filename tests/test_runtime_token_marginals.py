"""Compare the probabilities of all tags, in every scheme, with enumeration."""

import numpy as np
import pytest
from bundles import every_legal_path, make_bundle, random_sentences

from tagger import Tagger
from tagger.decoding.crf import forward_backward
from tagger.decoding.tag_marginals import TagMarginals
from tagger.decoding.viterbi import Transitions
from tagger.errors import InputError
from tagger.features.batching import WordTable
from tagger.runtime.engine import Engine
from tagger.runtime.token_marginals import predictable_tags, token_marginals
from tagger.text.schemes import SCHEMES, convert_tags
from tagger.text.sentence import from_tokens

SENTENCES = [["Mira"], ["Ayr", "lost"], [], ["Tom", "met", "Glasgow"]]


@pytest.mark.parametrize("constrain", [True, False])
@pytest.mark.parametrize("head", ["crf", "softmax"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_probabilities_equal_enumeration(scheme, head, constrain):
    """The model's own scheme is BIOES."""
    _, bundle = make_bundle(1, head=head, constrain=constrain)
    tagger = Tagger(bundle, scheme=scheme)
    engine, table = Engine(bundle), WordTable(bundle.vocabulary)
    sentences = [from_tokens(tokens, starts_document=True) for tokens in SENTENCES]
    for task in tagger.tasks:
        found = token_marginals(tagger, sentences, task.name)
        names = predictable_tags(tagger, task.name)
        assert list(names) == sorted(names)
        for tokens, marginals in zip(SENTENCES, found, strict=True):
            assert len(marginals) == len(tokens)
            if not tokens:
                continue
            emissions = engine.emissions(table.batch([table.rows(tokens)]))[task.name]
            paths, probabilities = every_legal_path(
                task, len(tokens), engine.transitions[task.name], emissions
            )
            expected = [dict.fromkeys(names, 0.0) for _ in tokens]
            for path, probability in zip(paths, probabilities, strict=True):
                tags = [task.tags[number] for number in path]
                for step, tag in enumerate(convert_tags(tags, task.scheme, scheme) if task.scheme else tags):
                    expected[step][tag] += probability
            assert marginals == [pytest.approx(one, abs=1e-5) for one in expected]


def test_the_probability_of_the_best_tag_equals_the_tag_score_at_any_temperature():
    _, bundle = make_bundle()
    tagger = Tagger(bundle, scheme="BIOES").with_temperatures({"ner": 1.7})
    sentences = random_sentences(bundle.vocabulary, count=30)
    tagged = tagger.tag_tokens(sentences, scores=True)
    for task in ("ner", "pos"):
        for sentence, marginals in zip(tagged, token_marginals(tagger, tagged, task), strict=True):
            own = [one[tag] for one, tag in zip(marginals, sentence.tags[task], strict=True)]
            assert own == pytest.approx(sentence.tag_scores[task], abs=1e-5)
            assert [sum(one.values()) for one in marginals] == pytest.approx([1.0] * len(own), abs=1e-5)


def test_blocks_and_large_scores_give_the_same_probabilities(monkeypatch):
    """Emissions that differ by hundreds need the recursion in log space."""
    task = make_bundle()[1].vocabulary.tasks[0]
    generator = np.random.default_rng(0)
    count = len(task.tags)
    emissions = generator.normal(scale=300, size=(1, 4, count)).astype(np.float32)
    transitions = Transitions(
        *(generator.normal(size=s).astype(np.float32) for s in ((count, count), count, count))
    )
    marginals = TagMarginals(task.tags, "IOB1")
    posterior = forward_backward(emissions, [4], transitions)
    (expected,) = marginals.compute(posterior)
    paths, probabilities = every_legal_path(task, 4, transitions, emissions[0])
    by_path = np.zeros_like(expected)
    for path, probability in zip(paths, probabilities, strict=True):
        tags = convert_tags([task.tags[number] for number in path], "BIOES", "IOB1")
        by_path[np.arange(4), [marginals.tags.index(tag) for tag in tags]] += probability
    assert expected == pytest.approx(by_path, abs=1e-6)
    monkeypatch.setattr("tagger.decoding.tag_marginals._BLOCK_TOKENS", 2)
    assert np.array_equal(marginals.compute(posterior)[0], expected)


def test_all_probabilities_are_zero_if_no_sequence_is_possible():
    task = make_bundle()[1].vocabulary.tasks[0]
    count = len(task.tags)
    free = Transitions.free(count)
    forbidden = Transitions(free.scores, free.start, np.full_like(free.end, -np.inf))
    posterior = forward_backward(np.zeros((2, 3, count), np.float32), [3, 0], forbidden)
    marginals, empty = TagMarginals(task.tags, "IOB2").compute(posterior)
    assert not marginals.any()
    assert len(empty) == 0


@pytest.mark.parametrize(
    "function", [predictable_tags, lambda tagger, task: token_marginals(tagger, [], task)]
)
def test_an_unknown_task_is_an_error(function):
    with pytest.raises(InputError) as error:
        function(Tagger(make_bundle()[1]), "chunk")
    assert error.value.code == "corpus.task"
