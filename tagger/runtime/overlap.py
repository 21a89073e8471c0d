"""Compute results ahead in threads while the caller uses earlier ones."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def usable_cores() -> int:
    """Return the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def compute_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with ``function(item)``, in order, while threads compute the next results.

    At most ``threads`` + 1 items are read ahead. For a single item, or with one thread, no thread is started.
    The threads end with the iterator, so the process can fork between two uses.

    Args:
        function: The function; it should release the interpreter's lock for most of its run time.
        items: The items; only the calling thread iterates over them.
        threads: Maximum number of threads.
    """
    errors: list[Exception] = []

    def until_error() -> Iterator[Item]:
        try:
            yield from items
        except Exception as error:  # raised after the results of earlier items
            errors.append(error)

    source = until_error()
    head = list(islice(source, 2)) if threads > 1 else []
    if len(head) < 2:
        yield from ((item, function(item)) for item in chain(head, source))
    else:
        with ThreadPoolExecutor(threads) as pool:
            waiting: deque[tuple[Item, Future[Result]]] = deque()
            try:
                for item in chain(head, source):
                    waiting.append((item, pool.submit(function, item)))
                    if len(waiting) > threads:
                        done, future = waiting.popleft()
                        yield done, future.result()
                while waiting:
                    done, future = waiting.popleft()
                    yield done, future.result()
            finally:
                for _, future in waiting:
                    future.cancel()
    if errors:
        raise errors[0]
