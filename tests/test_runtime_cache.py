"""The words that are kept: always what the engine makes of them, never more than there is room for."""

import numpy as np
import pytest
from test_runtime import make_bundle

from tagger.features.batching import WordTable
from tagger.runtime.cache import WordCache
from tagger.runtime.engine import Engine


@pytest.fixture(scope="module")
def parts():
    _, bundle = make_bundle()
    return Engine(bundle), bundle.vocabulary


def make_cache(parts, words: int) -> WordCache:
    return WordCache(*parts, 4 * (parts[0].projected_size + parts[0].context.shown_size) * words)


def projections(parts, tokens):
    table = WordTable(parts[1])
    batch = table.batch([table.rows(tokens)])
    return parts[0].project(parts[0].word_vectors(batch))[batch.positions[0]]


def test_words_have_the_projections_that_the_engine_gives_them(parts):
    generator = np.random.default_rng(0)
    cache, seen = make_cache(parts, 20), []
    for _ in range(50):
        tokens = [f"w{number}" for number in generator.zipf(1.3, size=12) % 60]
        projected, _, rows = cache.look_up(tokens)
        seen.append((tokens, projected, rows))
        assert cache.statistics.words <= cache.statistics.capacity == 20
    for tokens, projected, rows in seen:  # also of calls long past
        np.testing.assert_allclose(projected[rows], projections(parts, tokens), atol=1e-5)
    statistics = cache.statistics
    assert statistics.hits + statistics.misses == 50 * 12
    assert 0.5 < statistics.hit_rate < 1.0


def test_frequent_words_outlast_rare_ones(parts):
    cache = make_cache(parts, 10)
    for number in range(40):
        cache.look_up(["the", "of", f"rare{number}"])
    before = cache.statistics.misses
    cache.look_up(["the", "of"])
    assert cache.statistics.misses == before == 42


def test_more_words_than_there_is_room_for_are_all_served(parts):
    cache = make_cache(parts, 4)
    tokens = [f"w{number}" for number in range(30)]
    projected, _, rows = cache.look_up(tokens)
    np.testing.assert_allclose(projected[rows], projections(parts, tokens), atol=1e-5)
    cache.look_up(["other"])
    assert cache.statistics.words <= 30
    for number in range(20):
        cache.look_up([f"x{number}"])
    assert cache.statistics.words <= 4


def test_no_tokens(parts):
    cache = make_cache(parts, 4)
    assert len(cache.look_up([]).tokens) == 0
    assert cache.statistics.hit_rate == 0.0
