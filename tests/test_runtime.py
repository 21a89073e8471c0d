"""Compare the numpy engine with torch, and the Tagger with brute force."""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from bundles import every_legal_path, make_bundle, random_sentences
from hypothesis import given
from hypothesis import strategies as st

from tagger import Tagger
from tagger.bundle import Bundle, load_bundle, save_bundle
from tagger.errors import InputError
from tagger.features.batching import WordTable
from tagger.network.bilstm import MERGES
from tagger.network.heads import HEADS
from tagger.network.words import CHARACTERS
from tagger.runtime.cache import WordCache, row_bytes
from tagger.runtime.engine import Engine
from tagger.runtime.labeller import Labeller
from tagger.runtime.windows import make_windows
from tagger.text.schemes import violations
from tagger.text.sentence import from_tokens


@pytest.mark.parametrize("characters", CHARACTERS)
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("merge_mode", MERGES)
@pytest.mark.parametrize("direction", ["forward", "backward", "bidirectional"])
def test_the_engine_equals_torch(direction, merge_mode, head, characters):
    layers = 2 if head == "crf" else 1
    network, bundle = make_bundle(
        direction=direction, merge_mode=merge_mode, head=head, characters=characters, layers=layers
    )
    table = WordTable(bundle.vocabulary)
    batch = table.batch([table.rows(tokens) for tokens in random_sentences(bundle.vocabulary)])
    engine = Engine(bundle)
    expected, found = network.emissions(batch), engine.emissions(batch)
    for task in ("ner", "pos"):
        np.testing.assert_allclose(found[task], expected[task][batch.mask], atol=1e-4)
        for name in ("scores", "start", "end"):
            ours = getattr(engine.transitions[task], name)
            assert np.array_equal(ours, getattr(network.transitions()[task], name))


@pytest.mark.parametrize(("character_width", "casing_size"), [(1, 0), (2, 3), ((5, 1), 3)])
def test_the_engine_equals_torch_for_other_sizes(character_width, casing_size):
    network, bundle = make_bundle(character_width=character_width, casing_size=casing_size)
    table = WordTable(bundle.vocabulary)
    batch = table.batch([table.rows(tokens) for tokens in random_sentences(bundle.vocabulary)])
    found = Engine(bundle).emissions(batch)["ner"]
    np.testing.assert_allclose(found, network.emissions(batch)["ner"][batch.mask], atol=1e-4)


@pytest.mark.parametrize("characters", ["cnn", "none"])
def test_the_engine_equals_torch_with_affixes(characters):
    network, bundle = make_bundle(affix_size=2, affix_min_words=2, characters=characters)
    table = WordTable(bundle.vocabulary)
    batch = table.batch([table.rows(tokens) for tokens in random_sentences(bundle.vocabulary)])
    assert 0 < (batch.affixes > 0).mean() < 1
    found = Engine(bundle).emissions(batch)["ner"]
    np.testing.assert_allclose(found, network.emissions(batch)["ner"][batch.mask], atol=1e-4)


@pytest.mark.parametrize("merge_mode", ["concat", "mul"])
@pytest.mark.parametrize("context", ["document", "sentence"])
def test_the_engine_equals_torch_with_a_linear_part(context, merge_mode):
    network, bundle = make_bundle(linear=True, affix_min_words=1, context=context, merge_mode=merge_mode)
    table = WordTable(bundle.vocabulary)
    sentences = [from_tokens(tokens) for tokens in random_sentences(bundle.vocabulary)]
    batch = table.batch([table.rows(sentence.tokens) for sentence in sentences])
    assert 0 < (batch.shapes > 0).mean() < 1
    labeller = Labeller(bundle, "BIOES", "f32", 1)
    (window,) = make_windows(sentences, labeller.cache, None, max_items=99, max_tokens=9999)
    for task, expected in network.emissions(batch).items():
        for inputs in (batch, window):
            found = labeller.engine.emissions(inputs)[task]
            np.testing.assert_allclose(found, expected[batch.mask], atol=1e-4)


def test_too_large_weights_and_scores_are_an_error():
    _, bundle = make_bundle()
    large = {"heads.0.projection.weight": np.full_like(bundle.tensors["heads.0.projection.weight"], 9e29)}
    tagger = Tagger(replace(bundle, tensors={**bundle.tensors, **large}))
    with pytest.raises(InputError, match="weights") as error:
        tagger.tag("Rain fell on Mira Lang and her dog. Mira met Tom in New Ayr.")
    assert error.value.code == "bundle.damaged"
    too_large = {"heads.0.crf.transitions": np.full_like(bundle.tensors["heads.0.crf.transitions"], 3e38)}
    with pytest.raises(InputError, match=r"crf\.transitions") as error:
        Tagger(replace(bundle, tensors={**bundle.tensors, **too_large}))
    assert error.value.code == "bundle.damaged"


def test_a_missing_tensor_or_a_wrong_shape_is_an_error():
    _, bundle = make_bundle()
    missing = dict(bundle.tensors)
    del missing["heads.0.projection.weight"]
    for tensors, message in (
        (missing, r"heads\.0\.projection\.weight .* \(got none\)"),
        (
            {**bundle.tensors, "words.frozen": np.zeros((1, 4), np.float16)},
            r"words\.frozen .*\(2, 4\).*\(1, 4\)",
        ),
        (
            {**bundle.tensors, "words.trainable.weight": np.float32(1)},
            r"words\.trainable\.weight .* \(got \(\)\)",
        ),
    ):
        with pytest.raises(InputError, match=message) as error:
            Engine(Bundle(bundle.config, bundle.vocabulary, {}, tensors, {}, ""))
        assert error.value.code == "bundle.damaged"


@pytest.mark.parametrize("characters", ["cnn", "lstm"])
@pytest.mark.parametrize(
    "change",
    [
        {"hidden_size": 6},
        {"casing_size": 7},
        {"casing_size": 0},
        {"affix_size": 3},
        {"linear": True},
        {"character_size": 4},
        {"character_hidden": 5},
        {"characters": "none"},
        {"layers": 1},
        {"layers": 3},
        {"direction": "forward"},
        {"merge_mode": "sum"},
        {"head": "softmax"},
    ],
    ids=repr,
)
def test_a_config_that_does_not_match_the_tensors_is_an_error(change, characters):
    _, bundle = make_bundle(characters=characters, layers=2)
    model = bundle.config.model.model_copy(update=change)
    config = bundle.config.model_copy(update={"model": model})
    with pytest.raises(InputError, match=r"tensor .* \(got .*\)") as error:
        Engine(replace(bundle, config=config))
    assert error.value.code == "bundle.damaged"


@pytest.mark.parametrize("changed", [0, 1])
def test_a_vocabulary_that_does_not_match_the_tensors_is_an_error(changed):
    _, bundle = make_bundle(head="softmax")
    tasks = list(bundle.vocabulary.tasks)
    tasks[changed] = replace(tasks[changed], tags=tasks[changed].tags[:-1])
    for vocabulary in (
        replace(bundle.vocabulary, tasks=tuple(tasks)),
        replace(bundle.vocabulary, tasks=bundle.vocabulary.tasks[:1]),
        replace(bundle.vocabulary, words=bundle.vocabulary.words[:-1]),
        replace(bundle.vocabulary, characters=bundle.vocabulary.characters[:-1]),
    ):
        with pytest.raises(InputError, match="tensor") as error:
            Engine(replace(bundle, vocabulary=vocabulary))
        assert error.value.code == "bundle.damaged"


@pytest.mark.parametrize("scheme", ["BIOES", "IOB2"])
@pytest.mark.parametrize("head", ["crf", "softmax"])
def test_tags_and_span_scores_equal_enumeration(head, scheme):
    for seed in range(4):
        _, bundle = make_bundle(seed, head=head, scheme=scheme)
        tagger = Tagger(bundle, scheme=scheme)
        task = next(task for task in tagger.tasks if task.name == "ner")
        engine, table = Engine(bundle), WordTable(bundle.vocabulary)
        for tokens in (["Mira"], ["Ayr", "lost"], ["Tom", "met", "Glasgow"]):
            emissions = engine.emissions(table.batch([table.rows(tokens)]))["ner"]
            paths, probabilities = every_legal_path(task, len(tokens), engine.transitions["ner"], emissions)
            best = paths[int(probabilities.argmax())]
            (sentence,) = tagger.tag_tokens([tokens])
            assert sentence.tags["ner"] == tuple(task.tags[number] for number in best)
            for span in sentence.spans["ner"]:
                span_tags = sentence.tags["ner"][span.start : span.end]
                continuation = f"I-{span.label}"
                expected = sum(
                    probability
                    for path, probability in zip(paths, probabilities, strict=True)
                    if tuple(task.tags[n] for n in path[span.start : span.end]) == span_tags
                    and (scheme == "BIOES" or task.tags[(*path, 0)[span.end]] != continuation)
                )
                assert span.score == pytest.approx(expected, abs=1e-5)


def test_character_offsets_of_spans_match_their_tokens():
    _, bundle = make_bundle()
    text = "Mira met Tom.  Glasgow lost 2-0 , she said!\n\nNew Ayr   was quiet."
    found = Tagger(bundle).tag(text)
    assert "".join(t for s in found for t in s.tokens) == "".join(text.split())
    spans = [(sentence, span) for sentence in found for span in sentence.spans["ner"]]
    assert spans
    for sentence, span in spans:
        words = text[span.start_char : span.end_char].split()
        assert "".join(words) == "".join(sentence.tokens[span.start : span.end])


def test_batching_changes_neither_tags_nor_order():
    _, bundle = make_bundle()
    sentences = [*random_sentences(bundle.vocabulary, count=40), []]
    together = Tagger(bundle).tag_tokens(sentences)
    assert [list(sentence.tokens) for sentence in together] == sentences
    for tokens, sentence in zip(sentences, together, strict=True):
        if not tokens:
            continue
        (alone,) = Tagger(bundle).tag_tokens([tokens])
        assert alone.tags == sentence.tags
        for one, other in zip(alone.spans["ner"], sentence.spans["ner"], strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-5)


@pytest.mark.parametrize("scheme", ["IOB1", "IOB2", "BIOES"])
def test_tags_are_legal_in_the_requested_scheme(scheme):
    for seed in range(5):
        _, bundle = make_bundle(seed)
        for sentence in Tagger(bundle, scheme=scheme).tag_tokens(random_sentences(bundle.vocabulary, seed)):
            assert violations(sentence.tags["ner"], scheme) == []


def test_a_saved_model_gives_the_same_tags(tmp_path):
    _, bundle = make_bundle()
    save_bundle(bundle, tmp_path)
    sentences = random_sentences(bundle.vocabulary)
    assert Tagger.load(tmp_path).tag_tokens(sentences) == Tagger(load_bundle(tmp_path)).tag_tokens(sentences)
    assert Tagger.load(str(tmp_path)).tag_tokens(sentences) == Tagger(bundle).tag_tokens(sentences)


def test_an_empty_sentence_has_all_tasks():
    _, bundle = make_bundle()
    tagger = Tagger(bundle)
    tagged = from_tokens([]).with_tags({"chunk": []}, {"chunk": []})
    for sentence in tagger.tag_sentences([from_tokens([]), tagged]):
        assert (sentence.tags, sentence.spans) == ({"ner": (), "pos": ()}, {"ner": ()})
    full, empty = tagger.tag_tokens([["Mira"], []])
    assert (full.tags.keys(), full.spans.keys()) == (empty.tags.keys(), empty.spans.keys())


def test_tokens_can_come_from_an_iterator():
    assert from_tokens(iter(["Mira", "met"])) == from_tokens(["Mira", "met"])
    _, bundle = make_bundle()
    (sentence,) = Tagger(bundle).tag_tokens([iter(["Mira", "met"])])
    assert sentence.tokens == ("Mira", "met")


@pytest.fixture
def _impatient_threads():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("_impatient_threads")
def test_threads_share_a_word_table():
    _, bundle = make_bundle()
    words = [f"{casing}{number}" for number in range(100) for casing in ("Ayr", "new", "xO", "3")]
    alone = WordTable(bundle.vocabulary)
    expected = alone.batch([alone.rows(words)])
    for _ in range(5):
        table = WordTable(bundle.vocabulary)
        with ThreadPoolExecutor(4) as pool:
            for batch in pool.map(lambda _: table.batch([table.rows(words)]), range(8)):  # noqa: B023
                for name in ("words", "casing", "word_lengths", "characters"):
                    result, target = getattr(batch, name), getattr(expected, name)
                    assert np.array_equal(result[batch.positions], target[expected.positions])
        assert len(table) == len(alone)


@pytest.mark.usefixtures("_impatient_threads")
def test_threads_share_a_tagger_whose_cache_evicts_words(monkeypatch):
    _, bundle = make_bundle()
    sentences = random_sentences(bundle.vocabulary, count=40)
    expected = [Tagger(bundle).tag_tokens([tokens])[0].tags for tokens in sentences]
    words = Tagger(bundle).engine.words
    small = partial(WordCache, max_bytes=5 * row_bytes(words))
    monkeypatch.setattr("tagger.runtime.labeller.WordCache", lambda *args: small(*args[:2]))
    tagger = Tagger(bundle)
    assert tagger.cache_statistics.capacity == 5
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            found = pool.map(lambda tokens: tagger.tag_tokens([tokens])[0].tags, sentences)
            assert list(found) == expected


def test_a_custom_tokenizer():
    _, bundle = make_bundle()
    tagger = Tagger(bundle, tokenizer=lambda text: [from_tokens(text.split("|"))])
    (sentence,) = tagger.tag("New Ayr|lost")
    assert sentence.tokens == ("New Ayr", "lost")


def test_a_string_among_token_lists_is_an_error():
    _, bundle = make_bundle()
    with pytest.raises(TypeError, match=r"^sentences\[1\] must .* \(got str 'Mira met Tom'\)"):
        Tagger(bundle).tag_tokens([["Mira"], "Mira met Tom"])


@given(st.text(max_size=60))
def test_any_text_is_tagged_without_loss(text):
    found = TAGGER.tag(text)
    for sentence in found:
        for token, (start, end) in zip(sentence.tokens, sentence.offsets, strict=True):
            assert text[start:end] == token
        assert all(len(tags) == len(sentence) for tags in sentence.tags.values())


TAGGER = Tagger(make_bundle()[1])
