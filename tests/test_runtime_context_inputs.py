"""Document context in the tagger: equal to torch, and independent of the windows."""

from dataclasses import replace

import numpy as np
import pytest
from bundles import make_bundle, random_sentences
from hypothesis import given
from hypothesis import strategies as st

from tagger import Tagger
from tagger.decoding.viterbi import viterbi
from tagger.features.batching import WordTable
from tagger.features.context_index import ContextIndex
from tagger.runtime.engine import Engine
from tagger.text.documents import WINDOW_CHARACTERS, WINDOW_TOKENS, cut_document_windows
from tagger.text.sentence import from_tokens


def batch_of(bundle, sentences, documents):
    table = WordTable(bundle.vocabulary)
    batch = table.batch([table.rows(tokens) for tokens in sentences])
    occurrences = ContextIndex(documents, bundle.vocabulary).batch(range(len(sentences)))
    return replace(batch, context=occurrences)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("merge_mode", ["concat", "mul"])
def test_the_engine_equals_torch_in_documents(layers, merge_mode):
    network, bundle = make_bundle(layers=layers, merge_mode=merge_mode)
    sentences = random_sentences(bundle.vocabulary)
    batch = batch_of(bundle, sentences, [sentences[:5], sentences[5:]])
    assert len(batch.context.tokens) > 20
    engine = Engine(bundle)
    expected, found = network.emissions(batch), engine.emissions(batch)
    alone = engine.emissions(replace(batch, context=None))
    for task in ("ner", "pos"):
        np.testing.assert_allclose(found[task], expected[task][batch.mask], atol=1e-4)
    assert np.abs(alone["ner"] - found["ner"]).max() > 0.1
    inputs = engine.words.inputs(batch)
    assert inputs.shape == (*batch.positions.shape, engine.words.input_size)
    assert engine.words.input_size == network.encoder.layers[0]["forward_lstm"].input_size


@pytest.mark.slow
@given(st.integers(0, 1000))
def test_the_tagger_equals_torch_in_documents(seed):
    network, bundle = make_bundle()
    sentences = random_sentences(bundle.vocabulary, seed=seed, count=9)
    batch = batch_of(bundle, sentences, [sentences[:4], sentences[4:]])
    expected = network.emissions(batch)["pos"]
    ids = viterbi(expected, batch.lengths, network.transitions()["pos"])
    tags = bundle.vocabulary.tasks[1].tags
    sentences = [from_tokens(s, starts_document=n == 4) for n, s in enumerate(sentences)]
    found = Tagger(bundle, threads=1).tag_sentences(sentences)
    for row, length, sentence in zip(ids, batch.lengths, found, strict=True):
        assert sentence.tags["pos"] == tuple(tags[number] for number in row[:length])


def test_tokenized_sentences_are_independent_unless_they_are_a_document():
    _, bundle = make_bundle()
    tagger = Tagger(bundle)
    sentences = random_sentences(bundle.vocabulary, count=30)
    alone = [tagger.tag_tokens([tokens], scores=True)[0] for tokens in sentences]
    apart = tagger.tag_tokens(sentences, scores=True)
    together = tagger.tag_tokens(sentences, scores=True, is_document=True)
    assert [one.tags for one in alone] == [one.tags for one in apart]
    assert [one.tag_scores["ner"] for one in apart] != [one.tag_scores["ner"] for one in together]
    document = tagger.tag_sentences(from_tokens(tokens) for tokens in sentences)
    assert [one.tags for one in document] == [one.tags for one in together]


@pytest.mark.parametrize("n_best", [0, 2])
def test_windows_do_not_change_the_tags_of_a_document(monkeypatch, n_best):
    _, bundle = make_bundle()
    generator = np.random.default_rng(3)
    sentences = [
        from_tokens(tokens, starts_document=bool(generator.random() < 0.2))
        for tokens in random_sentences(bundle.vocabulary, count=60)
    ]
    whole = list(Tagger(bundle).tag_sentences(sentences, n_best=n_best))
    monkeypatch.setattr("tagger.runtime.labeller.WINDOW_TOKENS", 16)
    monkeypatch.setattr("tagger.runtime.labeller.BATCH_TOKENS", 16)
    cut = list(Tagger(bundle).tag_sentences(iter(sentences), n_best=n_best))
    assert [one.tags for one in cut] == [one.tags for one in whole]


def test_a_model_without_document_context_ignores_documents():
    for settings in ({"context": "sentence"}, {"direction": "forward"}, {"direction": "backward"}):
        network, bundle = make_bundle(**settings)
        assert network.context is None
        assert Engine(bundle).words.context is None
        sentences = random_sentences(bundle.vocabulary)
        together = Tagger(bundle).tag_tokens(sentences, is_document=True)
        assert [one.tags for one in together] == [
            Tagger(bundle).tag_tokens([tokens])[0].tags for tokens in sentences
        ]


@given(
    st.lists(st.tuples(st.integers(0, 300), st.booleans(), st.integers(0, 3000)), max_size=30),
)
def test_document_windows_hold_whole_sentences_of_one_document(shapes):
    sentences, start = [], 0
    for length, starts_document, gap in shapes:
        start = 0 if starts_document else start + gap
        made = from_tokens(["a"] * length, starts_document=starts_document)
        sentences.append(replace(made, text_start=start))
        start += 2 * length
    windows = list(cut_document_windows(sentences))
    assert [one for window in windows for one in window] == sentences
    for window in windows:
        assert not any(one.starts_document for one in window[1:])
        assert len({one.text_start // WINDOW_CHARACTERS for one in window}) == 1
        assert sum(map(len, window)) <= WINDOW_TOKENS


def test_document_windows_before_an_error_are_emitted():
    def broken():
        yield from_tokens(["a"])
        raise ValueError("broken")

    windows = cut_document_windows(broken())
    assert len(next(windows)) == 1
    with pytest.raises(ValueError, match="broken"):
        next(windows)
