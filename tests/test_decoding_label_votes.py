"""Votes on the labels of a document's spans: the rule against its definition, and the tagger's results."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from bundles import make_bundle, random_sentences
from hypothesis import given
from hypothesis import strategies as st

from tagger import Tagger
from tagger.decoding.label_votes import LEAST_VOTE, SETTLED, find_conflicts, vote_labels
from tagger.text.schemes import SCHEMES, tags_to_spans
from tagger.text.sentence import from_tokens

SPANS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.integers(0, 64)), max_size=12)


@given(SPANS)
def test_the_vote_equals_its_definition(spans):
    spans = [(name, label, score / 64) for name, label, score in spans]  # exact sums
    names, labels, scores = ([span[column] for span in spans] for column in range(3))
    voted = vote_labels(names, np.array(labels, np.int64), np.array(scores, np.float32)).tolist()
    for (name, label, score), result in zip(spans, voted, strict=True):
        sums = [sum(s for n, o, s in spans if (n, o) == (name, one) and s >= LEAST_VOTE) for one in range(3)]
        expected = label if score >= SETTLED or sums[label] == max(sums) else sums.index(max(sums))
        assert result == expected
    conflicts = find_conflicts(names, np.array(labels, np.int64)).tolist()
    n_labels = Counter(name for name, _ in {(name, label) for name, label, _ in spans})
    assert conflicts == [index for index, name in enumerate(names) if n_labels[name] > 1]


def documents_of(bundle, seed):
    """40 sentences in documents of 8, with words in two casings."""
    sentences = random_sentences(bundle.vocabulary, seed=seed, count=40)
    cased = [[word.upper() if n % 3 else word for n, word in enumerate(tokens)] for tokens in sentences]
    return [from_tokens(tokens, starts_document=n % 8 == 0) for n, tokens in enumerate(cased)]


def expected_labels(sentences):
    """The label of each span by the definition, for tagged sentences without a vote."""
    names = []
    document = 0
    for sentence in sentences:
        document += sentence.starts_document
        for span in sentence.spans["ner"]:
            words = tuple(word.lower() for word in sentence.tokens[span.start : span.end])
            names.append((document, words))
    spans = [span for sentence in sentences for span in sentence.spans["ner"]]
    ids = {label: number for number, label in enumerate(("PER", "LOC", "ORG"))}
    labels = np.array([ids[span.label] for span in spans], np.int64)
    voted = vote_labels(names, labels, np.array([span.score for span in spans], np.float32))
    return [list(ids)[label] for label in voted]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_tagger_changes_labels_only_and_scores_the_new_ones(scheme):
    _, bundle = make_bundle()
    voting = replace(
        bundle,
        config=bundle.config.model_copy(
            update={"model": bundle.config.model.model_copy(update={"consistent_labels": True})}
        ),
    )
    plain_sentences = documents_of(bundle, seed=3)
    plain = list(Tagger(bundle).tag_sentences(plain_sentences, candidates=0.01))
    voted = list(Tagger(voting, scheme=scheme).tag_sentences(plain_sentences, scores=True))
    changed = 0
    found = []
    for before, after in zip(plain, voted, strict=True):
        borders = [(span.start, span.end) for span in before.spans["ner"]]
        assert [(span.start, span.end) for span in after.spans["ner"]] == borders
        assert after.tags["pos"] == before.tags["pos"]
        if scheme != "IO":
            read = tags_to_spans(after.tags["ner"], scheme)
            assert [(s.start, s.end, s.label) for s in read] == [
                (s.start, s.end, s.label) for s in after.spans["ner"]
            ]
        scores = {(s.start, s.end, s.label): s.score for s in before.candidates["ner"]}
        for old, new in zip(before.spans["ner"], after.spans["ner"], strict=True):
            found.append(new.label)
            changed += old.label != new.label
            assert new.score == pytest.approx(scores.get((new.start, new.end, new.label), 0.0), abs=0.01)
    assert changed
    assert found == expected_labels(plain)
    assert changed < len(found)


def test_the_vote_is_off_without_document_context_and_independent_of_the_windows():
    _, bundle = make_bundle(consistent_labels=True)
    tagger = Tagger(bundle)
    sentences = documents_of(bundle, seed=4)
    whole = list(tagger.tag_sentences(sentences))
    pieces = [one for first in range(0, 40, 8) for one in tagger.tag_sentences(sentences[first : first + 8])]
    assert [one.tags for one in pieces] == [one.tags for one in whole]
    for options in ({"context": "sentence"}, {"direction": "forward"}):
        alone = Tagger(make_bundle(consistent_labels=True, **options)[1])
        same = Tagger(make_bundle(**options)[1])
        tags = [one.tags for one in alone.tag_sentences(sentences)]
        assert tags == [one.tags for one in same.tag_sentences(sentences)]
