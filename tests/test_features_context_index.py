"""Occurrences and document context, compared with a definition written as loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.features.batching import WordTable
from tagger.features.context_index import EXTRAS, MAX_TOKENS, ContextIndex, aggregate, find_occurrences
from tagger.features.vocab import SPECIAL, Vocabulary
from tagger.features.word_forms import CASINGS, casing_id

FREQUENT = ("the", "of")
RARE = ("Ayr", "ayr", "AYR", "Mira", "mira", "lost", "7", "7b", "-", "unseen", "Ärger", "ärger", "東京")
VOCABULARY = Vocabulary(
    words=(*SPECIAL, *FREQUENT, "ayr", "mira", "lost", "7"),
    characters=SPECIAL,
    tasks=(),
    lowercase=True,
    fold_digits=False,
    n_frequent=len(FREQUENT),
)
tokens = st.sampled_from([*FREQUENT, "The", *RARE])
documents = st.lists(st.lists(st.lists(tokens, max_size=6), min_size=1, max_size=4), min_size=1, max_size=3)


def others_of(document, row, step):
    """The other occurrences of a token, as (sentence, step), by the definition."""
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
def test_occurrences_match_the_definition(corpus):
    flat = [[token for sentence in document for token in sentence] for document in corpus]
    result = find_occurrences(flat, VOCABULARY)
    groups = [
        result.indices[a:b].tolist() for a, b in zip(result.starts[:-1], result.starts[1:], strict=True)
    ]
    expected, begin = set(), 0
    for document in flat:
        for position in range(len(document)):
            others = [step for _, step in others_of([document], 0, position)]
            if others:
                expected.add(tuple(sorted(begin + other for other in [position, *others])))
        begin += len(document)
    assert sorted(map(tuple, groups)) == sorted(expected)
    assert result.words.tolist() == [n for n, group in enumerate(groups) for _ in group]


@given(documents, st.randoms(use_true_random=False))
def test_document_context_of_a_batch_matches_the_definition(corpus, random):
    index = ContextIndex(corpus, VOCABULARY)
    sentences = [(document, row) for document in corpus for row in range(len(document))]
    positions = random.sample(range(len(sentences)), random.randint(1, len(sentences)))
    result = index.batch(positions)
    width = max(len(sentences[position][0][sentences[position][1]]) for position in positions)
    generator = np.random.default_rng(0)
    embeddings = generator.normal(size=(20, 2)).astype(np.float32)  # of each word id, on either side
    embeddings[0] = 0.0
    features = np.concatenate(
        [embeddings[result.left, :1], embeddings[result.right, 1:], np.eye(len(CASINGS))[result.casing]],
        axis=1,
    ).astype(np.float32)
    context_by_token = dict(
        zip(result.tokens.tolist(), aggregate(features, result.words, result.own), strict=True)
    )
    for row, position in enumerate(positions):
        document, number = sentences[position]
        for step in range(len(document[number])):
            others = others_of(document, number, step)
            assert (row * width + step in context_by_token) == bool(others)
            if others:
                expected = np.mean([context_of(document, *other, embeddings) for other in others], axis=0)
                expected = [*expected, min(len(others), 10) / 10, 1.0]
                np.testing.assert_allclose(context_by_token[row * width + step], expected, atol=1e-5)


def context_of(document, row, step, embeddings):
    sentence = document[row]
    left = VOCABULARY.word_id(sentence[step - 1]) if step else 0
    right = VOCABULARY.word_id(sentence[step + 1]) if step + 1 < len(sentence) else 0
    casing = casing_id(sentence[step]) if step else 0
    return [embeddings[left, 0], embeddings[right, 1], *np.eye(len(CASINGS))[casing]]


@given(documents, st.randoms(use_true_random=False))
def test_selecting_from_a_batch_equals_batching_the_selection(corpus, random):
    table = WordTable(VOCABULARY)
    sentences = [sentence for document in corpus for sentence in document]
    rows = [table.rows(sentence) for sentence in sentences]
    index = ContextIndex(corpus, VOCABULARY)
    positions = list(range(len(sentences)))
    batch = WordTable.batch(table, rows)
    object.__setattr__(batch, "context", index.batch(positions))
    chosen = random.sample(positions, random.randint(1, len(positions)))
    selected, direct = batch.select(chosen).context, index.batch(chosen)
    assert selected is not None
    by_token = np.argsort(selected.tokens)
    assert selected.tokens[by_token].tolist() == direct.tokens.tolist()
    for name in ("left", "right", "casing"):
        mine, its = getattr(selected, name)[selected.own[by_token]], getattr(direct, name)[direct.own]
        assert mine.tolist() == its.tolist()


def test_a_document_beyond_the_size_limit_has_no_occurrences():
    assert len(find_occurrences([["Ayr"] * MAX_TOKENS], VOCABULARY).indices) == MAX_TOKENS
    assert len(find_occurrences([["Ayr"] * (MAX_TOKENS + 1)], VOCABULARY).indices) == 0


@pytest.mark.parametrize("corpus", [[], [[]], [[[]]]])
def test_empty_documents_have_no_occurrences(corpus):
    index = ContextIndex(corpus, VOCABULARY)
    if corpus and corpus[0]:
        assert len(index.batch([0]).tokens) == 0
    assert aggregate(np.zeros((0, 5), np.float32), np.zeros(0, np.int64), np.zeros(0, np.int64)).shape == (
        0,
        5 + EXTRAS - len(CASINGS),
    )
