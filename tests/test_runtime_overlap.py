"""Threads that compute ahead: order, limits, and results before an error."""

import threading

import pytest

from tagger.runtime.overlap import compute_ahead, usable_cores


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_results_are_in_order_and_reading_ahead_is_limited(threads):
    taken = []

    def items():
        for number in range(20):
            taken.append(number)
            yield number

    for index, (item, result) in enumerate(compute_ahead(lambda n: n * n, items(), threads)):
        assert (item, result) == (index, index * index)
        assert len(taken) <= index + 1 + (threads if threads > 1 else 0)
    assert len(taken) == 20


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_among_the_items_comes_after_their_results(threads):
    def items():
        yield from range(5)
        raise ValueError("broken")

    found = []
    with pytest.raises(ValueError, match="broken"):
        found.extend(result for _, result in compute_ahead(lambda n: -n, items(), threads))
    # ``extend`` keeps the results before the error.
    assert found == [0, -1, -2, -3, -4]


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_of_the_function_is_raised_in_order(threads):
    results = compute_ahead(lambda n: 1 // (2 - n), range(5), threads)
    assert [next(results), next(results)] == [(0, 0), (1, 1)]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_one_item_starts_no_thread():
    (found,) = compute_ahead(lambda _: threading.current_thread(), [0], 4)
    assert found[1] is threading.current_thread()
    assert list(compute_ahead(lambda n: n, [], 4)) == []
    assert usable_cores() >= 1


def test_threads_end_with_the_iterator():
    before = threading.active_count()
    results = compute_ahead(lambda n: n, range(100), 3)
    next(results)
    assert threading.active_count() > before
    results.close()
    assert threading.active_count() == before
