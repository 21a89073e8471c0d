"""Label errors of gold tags: compare the suspicions with enumeration of all tag sequences."""

from dataclasses import replace

import numpy as np
import pytest
from bundles import every_legal_path, make_bundle, random_sentences
from input_errors import raises

from tagger import Sentence, Tagger
from tagger.features.batching import WordTable
from tagger.runtime.label_errors import LEAST_PROPOSAL, find_label_errors
from tagger.text.schemes import tags_to_spans
from tagger.text.sentence import from_tokens

WORDS = [["Mira"], ["Ayr", "lost"], ["Tom", "met", "Glasgow"], ["New", "Ayr", "lost"], ["Rain", "Tom"]]
NER = ("B-PER", "I-PER", "B-LOC", "I-LOC", "B-NEW", "O", "O")  # the models lack the label NEW
POS = ("N", "V", "P", "NEW", "_")


def gold_sentences(words: list[list[str]], seed: int) -> list[Sentence]:
    """Return sentences with random gold tags, each a document."""
    generator = np.random.default_rng(seed)
    return [
        from_tokens(own, starts_document=True).with_tags(
            {"ner": generator.choice(NER, len(own)).tolist(), "pos": generator.choice(POS, len(own)).tolist()}
        )
        for own in words
    ]


def key(span):
    return None if span is None else (span.start, span.end, span.label)


def touches(one, other):
    return one[0] < other[1] and other[0] < one[1]


def marginals(tagger: Tagger, tokens: list[str], name: str):
    """Enumerate the probability of each tag (T, C) and of each span."""
    task = next(task for task in tagger.tasks if task.name == name)
    table = WordTable(tagger.bundle.vocabulary)
    emissions = tagger.engine.emissions(table.batch([table.rows(tokens)]))[name]
    paths, weights = every_legal_path(task, len(tokens), tagger.engine.transitions[name], emissions)
    weights = weights ** (1 / tagger.bundle.temperature(name))
    weights /= weights.sum()
    tags, spans = np.zeros((len(tokens), len(task.tags))), {}
    for path, weight in zip(paths, weights, strict=True):
        tags[range(len(tokens)), path] += weight
        for span in tags_to_spans([task.tags[one] for one in path], "BIOES") if task.scheme else ():
            spans[key(span)] = spans.get(key(span), 0.0) + weight
    return tags, spans, task


def expected_spans(tagger: Tagger, sentence: Sentence):
    """Return the gold span, the proposal and both probabilities of each suspicion, by definition."""
    tags, spans, _ = marginals(tagger, list(sentence.tokens), "ner")
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
        tagger = Tagger(replace(make_bundle(seed, head=head)[1], temperatures={"ner": temperature}))
        gold = gold_sentences(WORDS, seed)
        found = find_label_errors(tagger, gold, tasks=["ner"])
        kinds |= {one.kind for one in found}
        assert [one.margin for one in found] == sorted(one.margin for one in found)
        for index, sentence in enumerate(gold):
            own = [one for one in found if one.sentence == index]
            expected = expected_spans(tagger, sentence)
            assert [(key(one.outcome.gold), key(one.outcome.predicted)) for one in own] == [
                row[:2] for row in expected
            ]
            for one, row in zip(own, expected, strict=True):
                assert (one.gold_probability, one.proposal_probability) == pytest.approx(row[2:], abs=1e-5)
                assert one.words == sentence.tokens[one.outcome.start : one.outcome.end]
    assert kinds >= {"wrong type", "wrong borders and type", "spurious", "missing"}


def test_suspicions_of_tags_equal_enumeration():
    for seed in range(3):
        tagger = Tagger(make_bundle(seed)[1])
        gold = gold_sentences(WORDS, seed)
        found = find_label_errors(tagger, gold, tasks=["pos"])
        count = 0
        for index, sentence in enumerate(gold):
            tags, _, task = marginals(tagger, list(sentence.tokens), "pos")
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
    tagger, words = Tagger(bundle), [*random_sentences(bundle.vocabulary, count=40), []]
    gold = [
        replace(one, starts_document=index % 9 == 0) for index, one in enumerate(gold_sentences(words, 0))
    ]
    tagged = list(tagger.tag_sentences(gold, candidates=0.001))
    found = find_label_errors(tagger, gold, tasks=["ner"])
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
    tagger = Tagger(make_bundle(1, head="softmax")[1])
    sentences = [from_tokens(own, starts_document=True) for own in WORDS]
    assert find_label_errors(tagger, tagger.tag_sentences(sentences), tasks=["pos"]) == []
    assert find_label_errors(tagger, [], tasks=["ner"]) == []


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


def test_invalid_arguments():
    tagger = Tagger(make_bundle()[1])
    with raises("corpus.task", mentions="'chunk'"):
        find_label_errors(tagger, [], tasks=["chunk"])
    with raises("corpus.task", file="sentence 1", option="--columns"):
        find_label_errors(tagger, [from_tokens(["Ayr"])])
