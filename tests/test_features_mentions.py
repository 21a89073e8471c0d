"""Mentions and what they show, against the definition written as loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.features.batching import WordTable
from tagger.features.mentions import EXTRAS, MAX_TOKENS, MentionIndex, aggregate, find_mentions
from tagger.features.vocab import CASINGS, SPECIAL, Vocabulary, casing_id

FREQUENT = ("the", "of")
RARE = ("Ayr", "ayr", "AYR", "Mira", "mira", "lost", "7", "7b", "-", "unseen", "Ärger", "ärger", "東京")
VOCABULARY = Vocabulary(
    words=(*SPECIAL, *FREQUENT, "ayr", "mira", "lost", "7"),
    characters=SPECIAL,
    tasks=(),
    lowercase=True,
    fold_digits=False,
    frequent=len(FREQUENT),
)
tokens = st.sampled_from([*FREQUENT, "The", *RARE])
documents = st.lists(st.lists(st.lists(tokens, max_size=6), min_size=1, max_size=4), min_size=1, max_size=3)


def others_of(document, row, step):
    """The other mentions of a token, as (sentence, step), by the definition."""
    form = document[row][step].lower()
    if form in FREQUENT or not form[0].isalpha():
        return []
    return [
        (r, s)
        for r, sentence in enumerate(document)
        for s, token in enumerate(sentence)
        if token.lower() == form and (r, s) != (row, step)
    ]


@given(documents)
def test_mentions_are_those_of_the_definition(corpus):
    flat = [[token for sentence in document for token in sentence] for document in corpus]
    found = find_mentions(flat, VOCABULARY)
    groups = [found.places[a:b].tolist() for a, b in zip(found.starts[:-1], found.starts[1:], strict=True)]
    expected, begin = set(), 0
    for document in flat:
        for place in range(len(document)):
            others = [step for _, step in others_of([document], 0, place)]
            if others:
                expected.add(tuple(sorted(begin + other for other in [place, *others])))
        begin += len(document)
    assert sorted(map(tuple, groups)) == sorted(expected)
    assert found.words.tolist() == [n for n, group in enumerate(groups) for _ in group]


@given(documents, st.randoms(use_true_random=False))
def test_what_a_batch_is_told_of_mentions_is_what_stands_around_them(corpus, random):
    index = MentionIndex(corpus, VOCABULARY)
    sentences = [(document, row) for document in corpus for row in range(len(document))]
    places = random.sample(range(len(sentences)), random.randint(1, len(sentences)))
    found = index.batch(places)
    width = max(len(sentences[place][0][sentences[place][1]]) for place in places)
    generator = np.random.default_rng(0)
    shows = generator.normal(size=(20, 2)).astype(np.float32)  # of each word id, on either side
    shows[0] = 0.0
    features = np.concatenate(
        [shows[found.left, :1], shows[found.right, 1:], np.eye(len(CASINGS))[found.casing]], axis=1
    ).astype(np.float32)
    told = dict(zip(found.tokens.tolist(), aggregate(features, found.words, found.own), strict=True))
    for row, place in enumerate(places):
        document, number = sentences[place]
        for step in range(len(document[number])):
            others = others_of(document, number, step)
            assert (row * width + step in told) == bool(others)
            if others:
                expected = np.mean([shown_by(document, *other, shows) for other in others], axis=0)
                expected = [*expected, min(len(others), 10) / 10, 1.0]
                np.testing.assert_allclose(told[row * width + step], expected, atol=1e-5)


def shown_by(document, row, step, shows):
    sentence = document[row]
    left = VOCABULARY.word_id(sentence[step - 1]) if step else 0
    right = VOCABULARY.word_id(sentence[step + 1]) if step + 1 < len(sentence) else 0
    casing = casing_id(sentence[step]) if step else 0
    return [shows[left, 0], shows[right, 1], *np.eye(len(CASINGS))[casing]]


@given(documents, st.randoms(use_true_random=False))
def test_a_selection_of_a_batch_is_the_batch_of_the_selection(corpus, random):
    table = WordTable(VOCABULARY)
    sentences = [sentence for document in corpus for sentence in document]
    rows = [table.rows(sentence) for sentence in sentences]
    index = MentionIndex(corpus, VOCABULARY)
    places = list(range(len(sentences)))
    batch = WordTable.batch(table, rows)
    object.__setattr__(batch, "mentions", index.batch(places))
    chosen = random.sample(places, random.randint(1, len(places)))
    selected, direct = batch.select(chosen).mentions, index.batch(chosen)
    assert selected is not None
    by_token = np.argsort(selected.tokens)
    assert selected.tokens[by_token].tolist() == direct.tokens.tolist()
    for name in ("left", "right", "casing"):
        mine, its = getattr(selected, name)[selected.own[by_token]], getattr(direct, name)[direct.own]
        assert mine.tolist() == its.tolist()


def test_a_document_beyond_all_measure_has_no_mentions():
    assert len(find_mentions([["Ayr"] * MAX_TOKENS], VOCABULARY).places) == MAX_TOKENS
    assert len(find_mentions([["Ayr"] * (MAX_TOKENS + 1)], VOCABULARY).places) == 0


@pytest.mark.parametrize("corpus", [[], [[]], [[[]]]])
def test_nothing_has_no_mentions(corpus):
    index = MentionIndex(corpus, VOCABULARY)
    if corpus and corpus[0]:
        assert len(index.batch([0]).tokens) == 0
    assert aggregate(np.zeros((0, 5), np.float32), np.zeros(0, np.int64), np.zeros(0, np.int64)).shape == (
        0,
        5 + EXTRAS - len(CASINGS),
    )
