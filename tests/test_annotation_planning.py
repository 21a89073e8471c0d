"""The queue of a project, the proposals of its model, and the annotations that look wrong to it."""

import numpy as np
import pytest
from annotation_desks import SETTINGS, Clock, make_model, make_store

from tagger import Tagger
from tagger.annotation.annotation_cost import PRIOR
from tagger.annotation.audits import find_audits, read_tags
from tagger.annotation.model_versions import start_with
from tagger.annotation.planning import (
    QUEUE_SIZE,
    ProjectPool,
    choose_sentences,
    count_waiting,
    draw_sentences,
    measure_cost,
    top_up,
)
from tagger.annotation.project_records import Decision, QueueEntry
from tagger.annotation.proposals import propose
from tagger.annotation.store import AnnotationStore
from tagger.corpus.project_documents import ProjectSettings
from tagger.runtime.label_errors import find_label_errors
from tagger.runtime.options import TagOptions
from tagger.text.sentence import from_tokens

NAMES = ("Mira", "Tom", "Ayr", "Rain", "Lang", "dog")


def sentences(count, seed=0):
    source = np.random.default_rng(seed)
    return [f"{number} " + " ".join(source.choice(NAMES, 1 + number % 7)) for number in range(count)]


@pytest.fixture
def model(tmp_path):
    return make_model(tmp_path)


@pytest.fixture
def tagger(model):
    return Tagger.load(model, threads=1)


def annotate(store, identifier, decision, arm="chosen"):
    return store.record(store.lease("ada", identifier, arm=arm, strategy="").key, decision)


def test_the_pool_has_ids_in_order_and_can_be_read_again(tmp_path):
    texts = sentences(30)
    with make_store(tmp_path / "case.db", texts) as store:
        pool = ProjectPool(store)
        assert [" ".join(one.tokens) for one in pool] == [" ".join(one.tokens) for one in pool] == texts
        assert [store.sentence(index + 1).tokens for index in range(30)] == [one.tokens for one in pool]


def test_a_queue_without_a_model_is_drawn_at_random(database, tagger):
    with make_store(database, sentences(3 * QUEUE_SIZE)) as store:
        drawn = draw_sentences(store, 1.0)
        chosen = choose_sentences(store, tagger, 1, random_share=1.0)
        assert [entry.sentence for entry in drawn] == [entry.sentence for entry in chosen]
        assert {(entry.arm, entry.strategy) for entry in drawn + chosen} == {("random", "random")}
        shared = draw_sentences(store, 0.2)
        assert [entry.sentence for entry in shared] == [entry.sentence for entry in drawn]
        assert [entry.arm for entry in shared[:7]] == [*["chosen"] * 2, "random", *["chosen"] * 4]
        assert [entry.arm for entry in shared].count("random") == QUEUE_SIZE // 5
        assert {entry.arm for entry in draw_sentences(store, 0.0)} == {"chosen"}
        annotate(store, drawn[0].sentence, Decision(None))
        assert draw_sentences(store, 0.2)[:-1] == shared[1:]


def test_the_queue_has_both_arms_and_nothing_annotated(database, tagger):
    with make_store(database, sentences(2 * QUEUE_SIZE)) as store:
        first = choose_sentences(store, tagger, 7)
        assert first == choose_sentences(store, tagger, 7)
        assert [entry.arm for entry in first].count("random") == QUEUE_SIZE // 5
        assert {entry.model_version for entry in first} == {7}
        done = {entry.sentence for entry in first[:30]}
        for identifier in done:
            annotate(store, identifier, Decision(None))
        second = {entry.sentence for entry in choose_sentences(store, tagger, 7)}
        assert not done & second
        assert len(second) == QUEUE_SIZE


def test_a_queue_is_topped_up_behind_what_waits(database):
    with make_store(database, sentences(12)) as store:
        store.replace_queue(QueueEntry(number, "chosen", "longest", None) for number in (7, 3, 5))
        annotate(store, 7, Decision(None))
        drawn = [entry.sentence for entry in draw_sentences(store, 0.2)]
        top_up(store, 0.2)
        order = [store.lease_next("ada") for _ in range(11)]
        assert [lease.strategy for lease in order] == ["longest"] * 2 + ["random"] * 9
        assert [lease.sentence for lease in order] == [3, 5, *(one for one in drawn if one not in (3, 5))]
        assert store.lease_next("ada") is None


def test_waiting_sentences_are_neither_leased_nor_annotated(database):
    with make_store(database, sentences(5)) as store:
        store.replace_queue(QueueEntry(number, "chosen", "longest") for number in (1, 2, 3))
        assert count_waiting(store) == 3
        lease = store.lease_next("ada")
        assert count_waiting(store) == 2
        store.record(lease.key, Decision(None))
        assert count_waiting(store) == 2


def test_the_cost_is_learnt_from_the_seconds_of_decisions(database):
    with make_store(database, sentences(40)) as store:
        assert measure_cost(store) == PRIOR
        for identifier in range(1, 41):
            n_tokens = len(store.sentence(identifier))
            annotate(store, identifier, Decision(("O",) * n_tokens, 2.0 + 0.5 * n_tokens))
        assert measure_cost(store) == pytest.approx((2.0, 0.5))


@pytest.mark.parametrize("labels", [("PER", "LOC", "ORG"), ("LOC",)])
def test_proposals_are_the_tags_of_the_model_in_the_document(tmp_path, tagger, labels):
    document = [
        from_tokens(text.split(), starts_document=not number) for number, text in enumerate(sentences(9))
    ]
    with AnnotationStore.create(tmp_path / "case.db", ProjectSettings("ner", labels)) as store:
        store.add_pool(document)
        expected = list(tagger.annotate(document, TagOptions(has_scores=True)))
        assert any(one.spans["ner"] for one in expected)
        for identifier, sentence in enumerate(expected, start=1):
            found = propose(store, tagger, identifier)
            kept = [span for span in sentence.spans["ner"] if span.label in labels]
            assert [(one.start, one.end, one.label) for one in found.spans] == [
                (one.start, one.end, one.label) for one in kept
            ]
            assert [one.score for one in found.spans] == pytest.approx([one.score for one in kept], abs=1e-5)
            assert found.scores == pytest.approx(sentence.tag_scores["ner"], abs=1e-5)
            if len(labels) == 3:
                assert found.tags == sentence.tags["ner"]


def test_proposals_without_spans_are_tags(tmp_path, tagger):
    settings = ProjectSettings("pos", ("N", "V"), None)
    with make_store(tmp_path / "case.db", sentences(9), settings=settings) as store:
        for identifier, sentence in store.unannotated():
            (expected,) = tagger.tag_tokens([sentence.tokens])
            found = propose(store, tagger, identifier)
            assert found.tags == tuple(tag if tag in "NV" else "?" for tag in expected.tags["pos"])
            assert [(one.start, one.label) for one in found.spans] == [
                (index, tag) for index, tag in enumerate(found.tags) if tag != "?"
            ]


def test_a_model_starts_a_project_once(tmp_path, model):
    other = make_model(tmp_path, 1)
    with make_store(tmp_path / "case.db", sentences(1), model) as store:
        assert start_with(store, str(model)).version == 1
        store.activate(store.add_model(other, {}))
        assert start_with(store, str(model)).version == 2  # the later version stays active
        assert [one.folder for one in store.models()] == [str(model), str(other)]


def test_audits_are_label_errors_outside_the_random_share(tmp_path, tagger):
    with make_store(tmp_path / "case.db", sentences(12), clock=Clock()) as store:
        arms = ["chosen", "random", "audit"]
        for identifier in range(1, 13):
            n_tokens = len(store.sentence(identifier))
            annotate(store, identifier, Decision(("O",) * n_tokens), arms[identifier % 3])
        own = [sentence for one, sentence in store.annotated() if one.arm == "chosen"]
        ids = [one.sentence for one, _ in store.annotated() if one.arm == "chosen"]
        expected = [
            (ids[one.sentence], one.outcome.predicted)
            for one in find_label_errors(tagger, own, tasks=["ner"])
        ]
        audits = find_audits(store, tagger)
        assert expected
        assert list(audits) == list(dict.fromkeys(identifier for identifier, _ in expected))
        assert {(key, one.outcome.predicted) for key, found in audits.items() for one in found} == set(
            expected
        )


def test_audits_leave_out_labels_that_model_or_project_do_not_have(tmp_path, tagger):
    settings = ProjectSettings("ner", ("SHIP",))
    with make_store(tmp_path / "case.db", sentences(6), settings=settings) as store:
        assert find_audits(store, tagger) == {}
        for identifier in range(1, 7):
            n_tokens = len(store.sentence(identifier))
            annotate(store, identifier, Decision(("B-SHIP",) + ("O",) * (n_tokens - 1)))
        assert find_audits(store, tagger) == {}


def test_tags_in_effect(database):
    with make_store(database, ["Mira fell", "Rain"], settings=SETTINGS) as store:
        assert read_tags(store, 1) is None
        annotate(store, 1, Decision(("B-PER", "?")))
        annotate(store, 2, Decision(None))
        assert read_tags(store, 1) == ("B-PER", "?")
        assert read_tags(store, 2) is None
        annotate(store, 1, Decision(("O", "O")))
        store.undo("ada")
        assert read_tags(store, 1) == ("B-PER", "?")
