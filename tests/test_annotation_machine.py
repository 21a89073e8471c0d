"""Any sequence of leases, decisions, undos and pauses on the store equals the same on a plain model."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from annotation_projects import SETTINGS, pool
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from input_errors import raises

from tagger.annotation.project_records import Decision, QueueEntry
from tagger.annotation.store import AnnotationStore

N_SENTENCES = 5
ANNOTATORS = st.sampled_from(["ada", "bob"])
SENTENCES = st.integers(1, N_SENTENCES)
TAGS = st.none() | st.tuples(*[st.sampled_from(["O", "B-PER", "?"])] * 3)
LEASE_SECONDS = 10.0


@dataclass
class Model:
    """The expected state: for each sentence a stack of decisions, the last one in effect."""

    now: float = 0.0
    queue: list = field(default_factory=list)
    stacks: dict = field(default_factory=lambda: {number: [] for number in range(1, N_SENTENCES + 1)})
    leases: dict = field(default_factory=dict)  # sentence: (key, annotator, expires)
    recorded: dict = field(default_factory=dict)  # key: id
    count: int = 0  # of rows, undone ones included

    def is_free(self, sentence):
        return sentence not in self.leases or self.leases[sentence][2] <= self.now

    def holder(self, key):
        return next((number for number, lease in self.leases.items() if lease[0] == key), None)


class StoreMachine(RuleBasedStateMachine):
    """Run the same operations on a store and on the model, from several connections in turn."""

    keys = Bundle("keys")

    def __init__(self):
        super().__init__()
        self.model = Model()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "case.db"
        self.stores = [self.open(AnnotationStore.create, SETTINGS)]
        self.stores[0].add_pool(pool(N_SENTENCES))
        self.stores.append(self.open(AnnotationStore))

    def open(self, function, *more):
        return function(self.path, *more, lease_seconds=LEASE_SECONDS, clock=lambda: self.model.now)

    @property
    def store(self):
        self.stores.reverse()
        return self.stores[0]

    def teardown(self):
        for store in self.stores:
            store.close()
        self.folder.cleanup()

    @rule(seconds=st.sampled_from([1.0, 5.0, LEASE_SECONDS]))
    def wait(self, seconds):
        self.model.now += seconds

    @rule(queue=st.lists(SENTENCES, unique=True))
    def fill(self, queue):
        self.store.replace_queue(QueueEntry(number, "chosen", "longest") for number in queue)
        self.model.queue = queue

    @rule(target=keys, annotator=ANNOTATORS)
    def lease_next(self, annotator):
        model = self.model
        waiting = [one for one in model.queue if model.is_free(one) and not model.stacks[one]]
        lease = self.store.lease_next(annotator)
        assert (lease and lease.sentence) == next(iter(waiting), None)
        return self.took(lease)

    @rule(target=keys, annotator=ANNOTATORS, sentence=SENTENCES)
    def lease(self, annotator, sentence):
        lease = self.store.lease(annotator, sentence)
        assert (lease is not None) == self.model.is_free(sentence)
        return self.took(lease)

    def took(self, lease):
        if lease is None:
            return ""
        assert lease.expires == self.model.now + LEASE_SECONDS
        self.model.leases[lease.sentence] = (lease.key, lease.annotator, lease.expires)
        return lease.key

    @rule(key=keys)
    def renew(self, key):
        sentence = self.model.holder(key)
        assert self.store.renew(key) == (sentence is not None)
        if sentence is not None:
            self.model.leases[sentence] = (*self.model.leases[sentence][:2], self.model.now + LEASE_SECONDS)

    @rule(key=keys)
    def release(self, key):
        self.store.release(key)
        self.model.leases.pop(self.model.holder(key), None)

    @rule(key=keys, tags=TAGS)
    def record(self, key, tags):
        model, sentence = self.model, self.model.holder(key)
        if sentence is None and key not in model.recorded:
            with raises("run.exists", file="case.db"):
                self.store.record(key, Decision(tags))
            return
        number = self.store.record(key, Decision(tags))
        if sentence is None:
            assert number == model.recorded[key]
            return
        model.count += 1
        model.recorded[key] = number
        _, annotator, _ = model.leases.pop(sentence)
        model.stacks[sentence].append((number, annotator, tags))

    @rule(target=keys, annotator=ANNOTATORS)
    def undo(self, annotator):
        model = self.model
        last = [
            (stack[-1][0], one) for one, stack in model.stacks.items() if stack and stack[-1][1] == annotator
        ]
        sentence = max(last)[1] if last else None
        if sentence is not None and not model.is_free(sentence):
            with raises("run.exists", file="case.db"):
                self.store.undo(annotator)
            return ""
        done = self.store.undo(annotator)
        if sentence is None:
            assert done is None
            return ""
        lease, undone = done
        assert (undone.id, undone.annotator, undone.tags) == model.stacks[sentence].pop()
        model.count += 1
        assert lease.sentence == sentence
        return self.took(lease)

    @invariant()
    def the_store_equals_the_model(self):
        store, model = self.store, self.model
        in_effect = [(stack[-1], one) for one, stack in model.stacks.items() if stack]
        assert [((one.id, one.annotator, one.tags), one.sentence) for one, _ in store.annotated()] == sorted(
            in_effect, key=lambda pair: pair[0][0]
        )
        history = list(store.annotations())
        assert len(history) == model.count
        current = [one.sentence for one in history if one.superseded_by is None]
        assert len(current) == len(set(current))
        assert {number for number, _ in store.unannotated()} == {
            number for number, stack in model.stacks.items() if not stack
        }
        progress = store.progress()
        assert sum(share.accepted + share.skipped for share in progress.shares) == len(in_effect)
        assert progress.queued == sum(not model.stacks[one] for one in model.queue)


StoreMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30)
TestStore = pytest.mark.slow(StoreMachine.TestCase)
