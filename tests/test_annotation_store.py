"""The annotation store on SQLite and PostgreSQL: pool, leases, decisions, undo, models and progress."""

from dataclasses import replace

import pytest
from annotation_projects import SETTINGS, pool
from input_errors import raises

from tagger.annotation.project_records import Decision, QueueEntry, Share
from tagger.annotation.store import AnnotationStore
from tagger.text.sentence import from_tokens

ADA = Decision(("B-PER", "O", "?"), 2.5, ("B-PER", "O", "O"), (0.9, 0.8, 0.4), 7)
NOBODY = Decision(("O", "O", "O"), 1.0)


class Clock:
    """A clock that tests set."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(database, clock):
    with AnnotationStore.create(database, SETTINGS, lease_seconds=60, clock=clock) as store:
        store.add_pool(pool(3, 2))
        store.replace_queue(QueueEntry(number, "chosen", "longest") for number in (4, 2, 6))
        yield store


def states(store):
    """Return the tags in effect by sentence, None for skipped ones."""
    return {annotation.sentence: annotation.tags for annotation, _ in store.annotated()}


def annotate(store, annotator, sentence, decision):
    return store.record(store.lease(annotator, sentence).key, decision)


def test_a_project_is_created_once_and_a_pool_is_added_once(database):
    for number in range(2):
        with AnnotationStore.create(database, replace(SETTINGS, created=number)) as store:
            assert store.add_pool(pool(3, 2)) == (0 if number else 6)
            assert store.add_pool(pool(4, 2)) == (0 if number else 2)
            assert store.settings == SETTINGS
            assert [sentence.tokens for _, sentence in store.unannotated()] == [
                sentence.tokens for sentence in pool(4, 2)
            ]
    with raises("run.mismatch", file=store.name, mentions="got ner in IOB2 with the labels ORG"):
        AnnotationStore.create(database, replace(SETTINGS, labels=("ORG",)))
    with AnnotationStore(database) as store:
        assert store.progress().sentences == 8


def test_white_space_does_not_make_another_document(store):
    assert store.add_pool([from_tokens(["Ada", "met0", "Bob0Ada", "met0 Bob1"])]) == 0


def test_sentences_keep_their_text_and_documents(store):
    made = pool(3, 2)
    for number, sentence in enumerate(made, 1):
        stored = store.sentence(number)
        assert replace(stored, source="") == sentence
        assert stored.source == f"{store.name}:{number}"
    assert [number for number, _ in store.document(4)] == [3, 4]
    assert [sentence.starts_document for _, sentence in store.document(4)] == [True, False]
    with raises("argument.value", file=store.name, mentions="no sentence 7"):
        store.sentence(7)


def test_the_queue_gives_each_sentence_to_one_lease(store):
    leases = [store.lease_next(annotator) for annotator in ("ada", "ada", "bob")]
    assert [(lease.sentence, lease.annotator, lease.strategy) for lease in leases] == [
        (4, "ada", "longest"),
        (2, "ada", "longest"),
        (6, "bob", "longest"),
    ]
    assert store.lease_next("ada") is None
    store.release(leases[1].key)
    store.replace_queue([QueueEntry(number, "random", "random") for number in (6, 1, 2)])
    assert [store.lease_next("eve").sentence for _ in range(2)] == [1, 2]
    assert store.lease_next("eve") is None
    assert store.lease("eve", 4) is None
    assert store.lease("eve", 7) is None


def test_a_decision_is_stored_with_its_origin(store, database, clock):
    lease = store.lease_next("ada")
    clock.now += 5
    number = store.record(lease.key, ADA)
    with AnnotationStore(database) as other:
        (annotation,) = other.annotations()
        ((in_effect, sentence),) = other.annotated(arm="chosen")
        assert not list(other.annotated(arm="random"))
    assert annotation == in_effect
    assert (annotation.id, annotation.sentence, annotation.annotator) == (number, 4, "ada")
    assert (annotation.created, annotation.seconds, annotation.kind) == (1005.0, 2.5, "accepted")
    assert (annotation.tags, annotation.proposed, annotation.scores) == (ADA.tags, ADA.proposed, ADA.scores)
    assert (annotation.model_version, annotation.arm, annotation.strategy) == (7, "chosen", "longest")
    assert sentence.tags == {"ner": ADA.tags}
    assert [number for number, _ in store.unannotated()] == [1, 2, 3, 5, 6]


def test_repeating_a_request_changes_nothing(store):
    lease = store.lease_next("ada")
    assert store.record(lease.key, ADA) == store.record(lease.key, NOBODY)
    assert states(store) == {4: ADA.tags}


@pytest.mark.parametrize("has_other", [True, False])
def test_an_expired_lease_counts_until_somebody_takes_the_sentence(store, clock, has_other):
    lease = store.lease_next("ada")
    clock.now += 59
    assert store.lease_next("bob").sentence == 2
    assert store.renew(lease.key)
    clock.now += 60
    assert not has_other or store.lease_next("bob").sentence == 4
    assert store.renew(lease.key) is not has_other
    if has_other:
        with raises("run.exists", file=store.name):
            store.record(lease.key, ADA)
        assert not states(store)
    else:
        store.record(lease.key, ADA)
        assert states(store) == {4: ADA.tags}


def test_undo_restores_what_a_decision_superseded(store):
    annotate(store, "ada", 4, ADA)
    annotate(store, "bob", 4, NOBODY)
    annotate(store, "bob", 4, Decision(None))
    expected = [(ADA.tags, "bob"), (NOBODY.tags, "bob"), (None, "bob")]
    while expected:
        tags, annotator = expected.pop()
        assert states(store) == {4: tags}
        if not expected:
            break
        lease, undone = store.undo(annotator)
        assert (lease.sentence, lease.annotator, undone.tags) == (4, annotator, tags)
        store.release(lease.key)
    assert store.undo("bob") is None
    lease, undone = store.undo("ada")
    assert undone.tags == ADA.tags
    assert not states(store)
    assert store.lease_next("bob").sentence == 2  # the lease of ada keeps 4
    store.record(lease.key, NOBODY)
    assert states(store) == {4: NOBODY.tags}
    assert [one.kind for one in store.annotations()] == (
        ["accepted", "accepted", "skipped", "undone", "undone", "undone", "accepted"]
    )


def test_undo_waits_for_the_lease_of_another(store):
    annotate(store, "ada", 4, ADA)
    store.lease("bob", 4)
    with raises("run.exists", file=store.name):
        store.undo("ada")
    assert states(store) == {4: ADA.tags}


@pytest.mark.parametrize(
    ("decision", "code", "mentions"),
    [
        (Decision(("O", "O")), "corpus.record", "the tags must be one per token (3; got 2)"),
        (Decision(None, proposed=("O",)), "corpus.record", "the proposed"),
        (Decision(("O", "O", "O"), scores=(1.0,)), "corpus.record", "the scores"),
        (Decision(("O", "B-ORG", "O")), "corpus.labels", "'B-ORG' has none of the project's labels"),
        (Decision(("O", "PER", "O")), "corpus.labels", "'PER'"),
        (Decision(("O", "I-PER", "O")), "corpus.scheme", "IOB2 does not allow after 'O'"),
    ],
)
def test_wrong_decisions_are_rejected_and_keep_the_lease(store, decision, code, mentions):
    lease = store.lease_next("ada")
    with raises(code, file=store.name, line=4, mentions=mentions):
        store.record(lease.key, decision)
    assert not list(store.annotations())
    store.record(lease.key, Decision(("?", "I-PER", "O")))


def test_a_task_without_spans_has_tags_as_labels(tmp_path):
    settings = replace(SETTINGS, task="pos", labels=("NOUN", "VERB"), scheme=None)
    with AnnotationStore.create(tmp_path / "pos.db", settings) as store:
        store.add_pool(pool(1))
        lease = store.lease("ada", 1)
        with raises("corpus.labels", file="pos.db", line=1, mentions="'O'"):
            store.record(lease.key, Decision(("NOUN", "O", "?")))
        store.record(lease.key, Decision(("NOUN", "VERB", "?")))
        assert states(store) == {1: ("NOUN", "VERB", "?")}


def test_the_random_share_keeps_its_sentences_when_they_are_checked_again(store):
    store.replace_queue([QueueEntry(1, "random", "random"), QueueEntry(2, "chosen", "longest")])
    for _ in range(2):
        store.record(store.lease_next("ada").key, NOBODY)
    annotate(store, "bob", 1, ADA)
    ((annotation, sentence),) = store.annotated(arm="random")
    assert (annotation.sentence, annotation.arm, sentence.tags["ner"]) == (1, "audit", ADA.tags)
    assert [one.sentence for one, _ in store.annotated(arm="chosen")] == [2]
    store.undo("bob")
    ((annotation, _),) = store.annotated(arm="random")
    assert (annotation.arm, annotation.tags) == ("random", NOBODY.tags)


def test_progress_counts_by_annotator_and_arm(store):
    store.record(store.lease_next("ada").key, ADA)
    store.record(store.lease_next("ada").key, Decision(None, 4.0))
    annotate(store, "bob", 1, replace(NOBODY, seconds=8.0))
    annotate(store, "bob", 4, NOBODY)
    progress = store.progress()
    assert (progress.sentences, progress.tokens, progress.queued) == (6, 18, 1)
    assert progress.shares == (
        Share("ada", "chosen", accepted=0, skipped=1, tokens=0, seconds=6.5),
        Share("bob", "audit", accepted=2, skipped=0, tokens=6, seconds=9.0),
    )


def test_one_model_is_active_and_an_earlier_one_can_be_again(store):
    first = store.add_model("en", {"ner": {"f1": 0.5}})
    second = store.add_model("runs/2", {})
    assert (first, second) == (1, 2)
    for version in (first, second, first):
        store.activate(version)
        assert [model.is_active for model in store.models()] == [version == 1, version == 2]
    assert store.models()[0].scores == {"ner": {"f1": 0.5}}
    with raises("argument.value", file=store.name, mentions="no model version 3"):
        store.activate(3)
    assert store.models()[0].is_active
