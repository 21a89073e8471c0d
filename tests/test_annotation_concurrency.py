"""Many annotators at the same time, and processes that are killed, on SQLite and PostgreSQL."""

import multiprocessing
import random
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from select import select

import pytest
from annotation_projects import SETTINGS, pool
from annotators import DECISION, TIMEOUT_SECONDS, annotate_queue
from input_errors import raises

from tagger.annotation import decisions, leasing
from tagger.annotation.project_records import QueueEntry
from tagger.annotation.store import AnnotationStore

N_PROCESSES, N_THREADS = 4, 25
N_SENTENCES, QUEUE = 10_000, 2_000
KILLS = 12


def fill(store, numbers):
    store.replace_queue(QueueEntry(number, "chosen", "longest") for number in numbers)


def work_in_processes(database):
    """Return the acknowledged annotations of 100 annotators who empty the queue."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(N_PROCESSES * N_THREADS), context.Queue()
    processes = [
        context.Process(target=annotate_queue, args=(database, number, N_THREADS, barrier, results))
        for number in range(N_PROCESSES)
    ]
    for process in processes:
        process.start()
    try:
        return [item for _ in processes for item in results.get(timeout=TIMEOUT_SECONDS)]
    finally:
        for process in processes:
            process.join(TIMEOUT_SECONDS)
            process.kill()
            process.join()


@pytest.mark.slow
def test_a_hundred_annotators_share_ten_thousand_sentences(database):
    acknowledged = []
    with AnnotationStore.create(database, SETTINGS) as store:
        store.add_pool(pool(N_SENTENCES))
        for first in range(1, N_SENTENCES, QUEUE):
            fill(store, range(first, first + QUEUE))
            acknowledged += work_in_processes(database)
        assert Counter(sentence for _, sentence, _ in acknowledged) == Counter(range(1, N_SENTENCES + 1))
        assert len({annotator for annotator, _, _ in acknowledged}) == N_PROCESSES * N_THREADS
        stored = list(store.annotations())
        assert sorted(acknowledged) == sorted((one.annotator, one.sentence, one.id) for one in stored)
        assert all(one.superseded_by is None for one in stored)
        progress = store.progress()
        assert sum(share.accepted for share in progress.shares) == N_SENTENCES
        assert sum(share.tokens for share in progress.shares) == 3 * N_SENTENCES
        assert progress.queued == 0


@pytest.mark.slow
def test_a_sentence_whose_expired_lease_ends_in_an_annotation_is_not_leased(racing, database):
    lease, later = racing
    fill(later, [1, 2])
    assert in_thread_during(database, lease, lambda: later.lease_next("bob").sentence) == 2
    assert states(later) == {1: "ada"}


@pytest.mark.slow
def test_an_annotation_that_is_superseded_at_the_same_moment_is_not_undone(racing, database):
    lease, later = racing
    with AnnotationStore(database, lease_seconds=-1) as store:
        store.record(lease.key, DECISION)
        lease = store.lease("eve", 1)

    def undo():
        if not database.startswith("postgresql"):
            assert later.undo("ada") is None
            return
        with raises("run.exists", file=later.name):
            later.undo("ada")

    in_thread_during(database, lease, undo)
    assert states(later) == {1: "eve"}
    assert [one.kind for one in later.annotations()] == ["accepted", "accepted"]


@pytest.fixture
def racing(database):
    """Return an expired lease of the first sentence, and a store for whom it has expired."""
    with AnnotationStore.create(database, SETTINGS, lease_seconds=-1) as store:
        store.add_pool(pool(2))
        lease = store.lease("ada", 1)
    with AnnotationStore(database) as store:
        yield lease, store


def states(store):
    """Return the annotators in effect by sentence."""
    return {annotation.sentence: annotation.annotator for annotation, _ in store.annotated()}


def in_thread_during(database, lease, call):
    """Call a function that has to wait while a decision of a lease is being stored; return its result."""
    with AnnotationStore(database) as store, ThreadPoolExecutor(1) as thread:
        with store.writing() as connection:
            leasing.drop(connection, lease.key)
            decisions.insert_decision(connection, lease, DECISION, store.clock())
            future = thread.submit(call)
            if not database.startswith("postgresql"):  # its transactions never overlap
                with pytest.raises(TimeoutError):
                    future.result(0.05)
            deadline = time.monotonic() + TIMEOUT_SECONDS
            while database.startswith("postgresql") and not is_waiting(store):
                assert time.monotonic() < deadline
        return future.result(TIMEOUT_SECONDS)


def is_waiting(store):
    """Return True if a transaction of PostgreSQL waits for another one."""
    with store.reading() as connection:
        query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        return connection.exec_driver_sql(query).scalar_one() > 0


@pytest.mark.slow
def test_creating_a_project_and_adding_a_pool_at_the_same_time(database):
    code = (
        "import sys; from annotation_projects import SETTINGS, pool\n"
        "from tagger.annotation.store import AnnotationStore\n"
        "sys.stdin.read()\n"
        "with AnnotationStore.create(sys.argv[1], SETTINGS) as store: print(store.add_pool(pool(50, 2)))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, database],
            cwd=Path(__file__).parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    for process in processes:
        process.stdin.close()
        process.stdin = None
    added = [int(process.communicate(timeout=TIMEOUT_SECONDS)[0]) for process in processes]
    assert sorted(added) == [0, 0, 0, 0, 0, 100]
    with AnnotationStore(database) as store:
        assert store.progress().sentences == 100


@pytest.mark.slow
def test_a_killed_writer_loses_nothing_that_was_acknowledged(database):
    generator = random.Random(1)
    acknowledged = {}
    with AnnotationStore.create(database, SETTINGS) as store:
        store.add_pool(pool(N_SENTENCES))
        fill(store, range(1, N_SENTENCES + 1))
        for _ in range(KILLS):
            script = Path(__file__).with_name("annotators.py")
            with subprocess.Popen([sys.executable, script, database], stdout=subprocess.PIPE) as process:
                lines = [process.stdout.readline() for _ in range(generator.randrange(1, 20))]
                select([], [], [], generator.uniform(0, 0.02))  # any moment of the next transactions
                process.kill()
                lines += process.stdout.readlines()
            lines = [line for line in lines if line.endswith(b"\n")]
            acknowledged.update(map(int, line.split()) for line in lines)
            history = list(store.annotations())
            stored = {one.sentence: one.id for one in history}
            assert len(stored) == len(history)
            assert stored.items() >= acknowledged.items()
        assert len(stored) <= len(acknowledged) + KILLS
        # All that was killed between a lease and a decision is annotated by the next one.
        assert sorted(stored) == list(range(1, len(stored) + 1))
