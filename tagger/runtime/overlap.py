"""Work that threads do ahead while its results are used."""

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
    """How many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def compute_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with ``function(item)``, in order; threads compute the next ones meanwhile.

    As many items are taken ahead as there are threads, and one more. A single item, or one thread, starts no
    thread at all. The threads end with the iterator, so that a process may be forked between two uses.

    Args:
        function: What to compute; it should let go of the interpreter's lock for most of its time.
        items: What to compute it of; taken by the calling thread alone.
        threads: How many may compute at the same time.
    """
    errors: list[Exception] = []

    def taken() -> Iterator[Item]:
        try:
            yield from items
        except Exception as error:  # what was taken before it is given out first
            errors.append(error)

    source = taken()
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
