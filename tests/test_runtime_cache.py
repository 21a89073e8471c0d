"""The word cache: rows equal the engine's, memory is bounded, rows in use are not overwritten."""

import tracemalloc
from itertools import count, islice

import numpy as np
import pytest
from bundles import make_bundle

from tagger import Tagger
from tagger.features.batching import WordTable
from tagger.runtime import cache as cache_module
from tagger.runtime.cache import BLOCK_CHARACTERS, LONGEST_KEY, WordCache, row_bytes
from tagger.runtime.engine import Engine
from tagger.runtime.windows import make_windows
from tagger.runtime.word_inputs import WordInputs
from tagger.text.sentence import from_tokens


@pytest.fixture(scope="module")
def components():
    _, bundle = make_bundle()
    return Engine(bundle).words, bundle.vocabulary


def make_cache(components, words: int) -> WordCache:
    return WordCache(*components, words * row_bytes(components[0]))


def projections(components, tokens):
    table = WordTable(components[1])
    batch = table.batch([table.rows(tokens)])
    return components[0].project(components[0].vectors(batch))[batch.positions[0]]


def check(components, tokens, found):
    np.testing.assert_allclose(found.projected[found.tokens], projections(components, tokens), atol=1e-5)


def test_rows_equal_the_projections_of_the_engine(components):
    generator = np.random.default_rng(0)
    cache, held = make_cache(components, 20), []
    for number in range(50):
        tokens = [f"w{number}" for number in generator.zipf(1.3, size=12) % 60]
        held.append((tokens, cache.look_up(tokens)))
        for one in held:  # rows of earlier calls stay unchanged until they are released
            check(components, *one)
        del held[: len(held) - 3]
        if number % 7 == 0:
            held[0][1].release()
            del held[0]
        assert cache.statistics.words <= cache.statistics.capacity == 20
    statistics = cache.statistics
    assert statistics.hits + statistics.misses == 50 * 12
    assert 0.5 < statistics.hit_rate < 1.0


def test_rare_words_are_evicted_before_frequent_ones(components):
    cache = make_cache(components, 10)
    for number in range(40):
        cache.look_up(["the", "of", f"rare{number}"])
    before = cache.statistics.misses
    cache.look_up(["the", "of"])
    assert cache.statistics.misses == before == 42


def test_words_of_an_earlier_text_are_evicted_eventually(components):
    cache = make_cache(components, 32)
    early, late = [f"early{number}" for number in range(16)], [f"late{number}" for number in range(16)]
    for _ in range(100):
        cache.look_up(early)
    for number in range(400):
        cache.look_up([*late, f"rare{number}"])
    before = cache.statistics.misses
    cache.look_up(late)
    assert cache.statistics.misses == before
    cache.look_up(early)
    assert cache.statistics.misses > before


def test_a_call_with_more_words_than_the_capacity_returns_all_rows(components):
    cache = make_cache(components, 4)
    tokens = [f"w{number}" for number in range(30)]
    check(components, tokens, cache.look_up(tokens))
    held = cache.look_up(["w0", "a", "b"])
    many = ["a", *tokens, "b", *tokens]
    check(components, many, cache.look_up(many))  # some of its words are cached, and not all others fit
    check(components, ["w0", "a", "b"], held)
    for number in range(20):
        cache.look_up([f"x{number}"])
    assert cache.statistics.words <= 4


@pytest.mark.slow
@pytest.mark.parametrize("length", [5, LONGEST_KEY, 10_000])
def test_memory_stays_below_the_bound_for_any_words(components, length):
    """Look up new words with four-byte characters; tracemalloc sees Python and numpy allocations."""
    words = (f"{number:05}".rjust(length, "\U0001f600") for number in count())
    tracemalloc.start()
    try:
        cache = make_cache(components, 2000)
        cache.look_up(list(islice(words, 100)))
        tracemalloc.reset_peak()
        for _ in range(60):
            cache.look_up(list(islice(words, 100)))
        current, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    bound = 2000 * row_bytes(components[0])
    assert cache.statistics.misses == 6100
    assert cache.statistics.words > 1800
    # Above the bound: the words of a call and, at the peak, the character network's arrays for a block.
    assert current < bound + 200_000 + 8 * 100 * length
    assert peak < bound + 200_000 + 8 * 100 * length + 40 * 4 * BLOCK_CHARACTERS


def test_long_words_are_cached_and_distinguished(components):
    cache = make_cache(components, 10)
    tokens = ["x" * 1000, "x" * 999 + "y", "x" * 999, "x" * 1000]
    check(components, tokens, cache.look_up(tokens))
    check(components, tokens[::-1], cache.look_up(tokens[::-1]))
    assert (cache.statistics.misses, cache.statistics.words) == (3, 3)


def test_an_abandoned_stream_releases_its_rows(components):
    _, bundle = make_bundle()
    tagger = Tagger(bundle, threads=2)
    words = tagger.engine.words
    tagger._labeller.cache = WordCache(words, bundle.vocabulary, 60 * row_bytes(words))
    for begin in range(0, 2000, 50):
        next(tagger.tag_sentences([from_tokens([f"w{number}" for number in range(begin, begin + 50)])]))
    assert tagger.cache_statistics.words >= 50  # and no call needed a temporary table
    before = tagger.cache_statistics.misses
    tagger.tag_tokens([[f"w{number}" for number in range(1950, 2000)]])
    assert tagger.cache_statistics.misses == before


def test_an_error_leaves_the_cache_consistent(components, monkeypatch):
    cache = make_cache(components, 8)
    cache.look_up(["a", "b"])
    with monkeypatch.context() as patched:
        patched.delattr(WordInputs, "features")
        with pytest.raises(AttributeError):
            cache.look_up(["c", "d", "e"])
    assert cache.statistics.words == 2
    for number in range(20):
        tokens = ["a", f"x{number}", "c"]
        check(components, tokens, cache.look_up(tokens))
    assert cache.statistics.words <= 8


@pytest.mark.parametrize("has_documents", [True, False])
def test_a_window_ends_early_after_many_new_words(components, monkeypatch, has_documents):
    monkeypatch.setattr(cache_module, "MIN_WORDS", 40)
    cache = make_cache(components, 100)
    sentences = [
        from_tokens([f"w{number}-{index}" for index in range(9)], starts_document=True)
        for number in range(50)
    ]
    vocabulary = components[1] if has_documents else None
    windows = list(make_windows(sentences, cache, vocabulary, max_items=1000, max_tokens=10_000))
    assert [one for window in windows for one in window.sentences] == sentences
    assert max(len(set(window.words.tokens.tolist())) for window in windows) <= 40 + 9


def test_no_tokens(components):
    cache = make_cache(components, 4)
    assert len(cache.look_up([]).tokens) == 0
    assert cache.statistics.hit_rate == 0.0
