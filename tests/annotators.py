"""Simulated annotators for tests: threads of several processes on one project, and one that gets killed."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

from tagger.annotation.project_records import Decision, Lease
from tagger.annotation.store import AnnotationStore

DECISION = Decision(("O", "O", "B-LOC"), 1.0, ("O", "O", "O"), (0.5, 0.5, 0.5), 1)
TIMEOUT_SECONDS = 300

Work = list[tuple[str, int, int]]
"""Annotator, sentence and id of annotations that the store has acknowledged."""


def annotate_queue(
    location: str, process: int, n_threads: int, barrier: Barrier, results: "Queue[Work]"
) -> None:
    """Let threads annotate until the queue is empty; they lease their first sentences at the same time."""

    def work(thread: int) -> Work:
        annotator = f"{process}-{thread}"
        barrier.wait(TIMEOUT_SECONDS)
        lease = store.lease_next(annotator)
        barrier.wait(TIMEOUT_SECONDS)  # all annotators hold a lease
        return [(annotator, lease.sentence, number) for lease, number in _annotate(store, annotator, lease)]

    with AnnotationStore(location) as store, ThreadPoolExecutor(n_threads) as threads:
        results.put([item for items in threads.map(work, range(n_threads)) for item in items])


def _annotate(store: AnnotationStore, annotator: str, lease: Lease | None) -> Iterator[tuple[Lease, int]]:
    while lease is not None:
        yield lease, store.record(lease.key, DECISION)
        lease = store.lease_next(annotator)


def annotate_until_killed(location: str) -> None:
    """Print the sentence and id of each annotation as soon as the store has acknowledged it."""
    with AnnotationStore(location, lease_seconds=0) as store:
        for lease, number in _annotate(store, "ada", store.lease_next("ada")):
            sys.stdout.write(f"{lease.sentence} {number}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    annotate_until_killed(sys.argv[1])
