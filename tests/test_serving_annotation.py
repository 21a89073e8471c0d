"""The routes of ``tagger annotate``: leases, decisions, undo, audits and progress."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from time import monotonic

import pytest
from annotation_desks import (
    SETTINGS,
    TEXTS,
    Clock,
    decide,
    in_effect,
    make_model,
    make_store,
    opened,
    post,
    take,
)
from input_errors import raises
from servers import LONGEST_WAIT

from tagger.annotation import planning
from tagger.annotation.project_records import Decision
from tagger.annotation.store import AnnotationStore
from tagger.corpus.project_documents import ProjectSettings
from tagger.serving import annotation_desk
from tagger.serving.annotation_desk import Desk


@pytest.fixture(scope="module")
def model(folder):
    return make_model(folder)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path, model, clock):
    with make_store(tmp_path / "case.db", TEXTS, model, clock=clock) as store:
        yield store


@pytest.fixture
def client(store):
    with opened(store) as client:
        yield client


def test_a_decision_is_in_the_file_before_the_next_sentence(tmp_path, store, client):
    for count in range(1, len(TEXTS) + 1):
        answer = take(client)
        decide(client, answer)
        with AnnotationStore(tmp_path / "case.db") as other:
            assert len(in_effect(other)) == count
            assert answer["lease"]["sentence"] in in_effect(other)
    assert take(client) == {"lease": None, "state": "done"}


def test_a_sentence_has_its_text_and_the_proposal_that_is_recorded(store, client, model):
    for _ in TEXTS:
        answer = take(client)
        sentence = store.sentence(answer["lease"]["sentence"])
        assert (
            "".join(one["before"] + one["text"] for one in answer["tokens"]) + answer["after"]
            == sentence.text
        )
        assert [one["text"] for one in answer["tokens"]] == list(sentence.tokens)
        assert all(0 < span["score"] <= 1 for span in answer["spans"])
        decide(client, answer)
    for annotation in store.annotations():
        assert annotation.tags == annotation.proposed  # what a page accepts without a change
        assert len(annotation.scores) == len(annotation.tags)
        assert (annotation.annotator, annotation.kind, annotation.model_version) == ("ada", "accepted", 1)


def test_spans_and_unknown_tokens_become_tags(store, client):
    answer = take(client)
    while len(answer["tokens"]) < 4:
        decide(client, answer)
        answer = take(client)
    decide(client, answer, spans=[(2, 3, "ORG"), (0, 2, "LOC")], unknown=[3])
    tags = in_effect(store)[answer["lease"]["sentence"]]
    assert tags[:4] == ("B-LOC", "I-LOC", "B-ORG", "?")


def test_nobody_gets_a_sentence_that_somebody_has(store, client):
    names = ["ada", "ada", "bob"] * len(TEXTS)  # two tabs of one person, and another person
    take(client, "warm-up")
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda name: take(client, name), names))
    leases = [one["lease"] for one in answers if one["lease"]]
    assert len({one["sentence"] for one in leases}) == len(leases) == len(TEXTS) - 1
    assert {one["state"] for one in answers if not one["lease"]} == {"leased"}
    post(client, "release", key=leases[2]["key"])
    assert take(client, "bob")["lease"]["sentence"] == leases[2]["sentence"]


def test_two_servers_of_one_project_hand_out_different_sentences(database, model):
    with (
        make_store(database, TEXTS, model) as one,
        AnnotationStore(database) as other,
        opened(one) as first,
        opened(other) as second,
    ):
        clients = [first, second] * len(TEXTS)
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda client: take(client, "ada"), clients))
        leases = [answer["lease"] for answer in answers if answer["lease"]]
        assert len({lease["sentence"] for lease in leases}) == len(leases) == len(TEXTS)
        post(second, "decide", key=leases[0]["key"], work=None, seconds=1)
        assert list(in_effect(one)) == [leases[0]["sentence"]]


def test_leases_expire_unless_they_are_renewed(store, client, clock):
    first, second = take(client), take(client)
    clock.now += 400
    assert post(client, "renew", key=first["lease"]["key"]) == {"renewed": True}
    clock.now += 400
    sentences = [take(client, "bob") for _ in TEXTS]
    taken = {one["lease"]["sentence"] for one in sentences if one["lease"]}
    assert second["lease"]["sentence"] in taken
    assert first["lease"]["sentence"] not in taken
    assert post(client, "renew", key=second["lease"]["key"]) == {"renewed": False}
    answer = client.post(
        "/annotation/decide", json={"key": second["lease"]["key"], "work": None, "seconds": 1}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "run.exists")
    assert in_effect(store) == {}


def test_a_repeated_decision_changes_nothing(store, client):
    answer = take(client)
    assert decide(client, answer) == decide(client, answer, spans=[])
    assert len(list(store.annotations())) == 1


@pytest.mark.parametrize(("passed", "sent", "recorded"), [(5, 3, 3), (5, 50, 5), (0, 1, 0)])
def test_no_more_time_is_recorded_than_has_passed(store, client, clock, passed, sent, recorded):
    answer = take(client)
    clock.now += passed
    decide(client, answer, sent)
    (annotation,) = store.annotations()
    assert annotation.seconds == recorded


def test_another_process_takes_the_decision_without_time_and_proposal(store, client):
    answer = take(client)
    with opened(store) as other:
        decide(other, answer)
    (annotation,) = store.annotations()
    assert (annotation.seconds, annotation.proposed, annotation.model_version) == (0, None, None)
    assert len(annotation.tags) == len(answer["tokens"])


def test_undo_gives_back_the_sentence_with_its_tags(store, client):
    assert post(client, "undo", annotator="ada") == {"lease": None, "state": "nothing"}
    first = take(client)
    decide(client, first, spans=[(0, 1, "ORG")], unknown=[1])
    second = take(client)
    undone = post(client, "undo", annotator="ada", key=second["lease"]["key"])
    assert undone["lease"]["sentence"] == first["lease"]["sentence"]
    assert [(one["start"], one["end"], one["label"]) for one in undone["spans"]] == [(0, 1, "ORG")]
    assert undone["unknown"] == [1]
    assert in_effect(store) == {}
    assert take(client, "bob")["lease"]["sentence"] == second["lease"]["sentence"]  # it was released
    post(client, "decide", key=undone["lease"]["key"], work=None, seconds=1)
    assert in_effect(store) == {first["lease"]["sentence"]: None}


def test_undo_at_the_end_of_the_pool_can_be_left(store, client):
    for _ in TEXTS:
        decide(client, take(client))
    undone = post(client, "undo", annotator="ada")
    post(client, "release", key=undone["lease"]["key"])
    assert take(client)["lease"]["sentence"] == undone["lease"]["sentence"]


def test_an_audit_goes_through_likely_errors(store, client):
    for identifier, sentence in list(store.unannotated()):
        lease = store.lease("eve", identifier, arm="chosen", strategy="")
        store.record(lease.key, Decision(("B-ORG",) + ("I-ORG",) * (len(sentence) - 1)))
    seen = []
    for _ in TEXTS:
        if not (answer := take(client, audit=True))["lease"]:
            break
        span = {"start": 0, "end": len(answer["tokens"]), "label": "ORG"}
        assert [{name: one[name] for name in span} for one in answer["spans"]] == [span]
        first = answer["suspicions"][0]
        assert first["gold_probability"] < first["proposal_probability"]
        seen.append(answer["lease"]["sentence"])
        if len(seen) == 1:
            decide(client, answer, spans=[])
        else:
            post(client, "release", key=answer["lease"]["key"])
    else:
        answer = take(client, audit=True)
    assert answer["state"] == "done"
    assert len(seen) == len(set(seen)) > 1
    assert set(in_effect(store)[seen[0]]) == {"O"}
    assert in_effect(store)[seen[1]][0] == "B-ORG"
    again = take(client, audit=True)  # the next round leaves out what was decided
    assert again["lease"]["sentence"] == seen[1]
    assert {one.arm for one, _ in store.annotated() if one.sentence == seen[0]} == {"audit"}


def test_progress_counts_work_and_estimates_the_rest(store, client, clock):
    for count in range(4):
        answer = take(client)
        clock.now += 10
        if count == 3:
            post(client, "decide", key=answer["lease"]["key"], work=None, seconds=10)
        else:
            decide(client, answer, 10)
    progress = client.get("/annotation/progress").json()
    assert (progress["accepted"], progress["skipped"], progress["sentences"]) == (3, 1, len(TEXTS))
    assert progress["seconds"] == 40
    assert progress["annotators"] == [{"name": "ada", "accepted": 3}]
    left = [len(sentence) for _, sentence in store.unannotated()]
    assert progress["seconds_left"] >= sum(4 + 0.25 * n_tokens for n_tokens in left)
    assert progress["training"] is None
    assert [(one["version"], one["is_active"]) for one in progress["models"]] == [(1, True)]


def test_the_active_version_proposes_as_soon_as_it_is_loaded(store, client, tmp_path):
    assert take(client)["model"] == 1
    store.add_model(make_model(tmp_path, 3), {"f1": 0.5})
    assert take(client)["model"] == 1
    progress = post(client, "model", version=2)
    assert [one["is_active"] for one in progress["models"]] == [False, True]
    assert str(tmp_path) not in json.dumps(progress)
    answer = take(client)
    deadline = monotonic() + LONGEST_WAIT
    while answer["model"] == 1:  # the next version is loaded in the background
        assert monotonic() < deadline
        post(client, "release", key=answer["lease"]["key"])
        answer = take(client)
    assert answer["model"] == 2
    assert client.post("/annotation/model", json={"version": 9}).json()["code"] == "argument.value"


def test_a_model_that_cannot_be_loaded_is_an_error_and_not_a_new_queue(store, client, tmp_path):
    first = take(client)
    store.activate(store.add_model(tmp_path / "missing", {}))
    status, deadline = 200, monotonic() + LONGEST_WAIT
    while status == 200:
        assert monotonic() < deadline
        answer = client.post("/annotation/next", json={"annotator": "ada"})
        status = answer.status_code
        assert len(in_effect(store)) == 0
        if status == 200:
            post(client, "release", key=answer.json()["lease"]["key"])
    assert status == 404
    assert "missing" in answer.json()["detail"]
    store.activate(1)
    decide(client, first)


def test_a_project_without_a_model_draws_at_random(tmp_path):
    with make_store(tmp_path / "case.db", TEXTS) as store, opened(store) as client:
        answer = take(client)
        assert (answer["spans"], answer["model"]) == ([], None)
        decide(client, answer, spans=[(0, 1, "PER")])
        (annotation,) = store.annotations()
        assert (annotation.strategy, annotation.proposed) == ("random", None)
        assert take(client, audit=True) == {"lease": None, "state": "no model"}


def test_a_large_pool_has_random_sentences_until_it_is_ranked(tmp_path, model, monkeypatch):
    monkeypatch.setattr(annotation_desk, "HEAD_START", 3)
    monkeypatch.setattr(annotation_desk, "LEAST_WAITING", 1)
    monkeypatch.setattr(planning, "QUEUE_SIZE", 5)
    queues = []
    with make_store(tmp_path / "case.db", TEXTS, model) as store:
        replace_queue = store.replace_queue
        monkeypatch.setattr(
            store, "replace_queue", lambda all: replace_queue(queues.append(list(all)) or queues[-1])
        )
        with opened(store) as client:
            take(client)
    assert [{entry.strategy for entry in queue} for queue in queues] == [
        {"random"},
        {"random", "uncertainty"},
    ]


def test_a_task_without_spans_has_a_label_for_each_token(tmp_path, model):
    settings = ProjectSettings("pos", ("N", "V", "P"), None)
    with make_store(tmp_path / "case.db", TEXTS, model, settings) as store, opened(store) as client:
        assert not client.get("/annotation/project").json()["has_spans"]
        answer = take(client)
        assert all(one["end"] == one["start"] + 1 for one in answer["spans"])
        decide(client, answer, spans=[(0, 1, "V")])
        (annotation,) = store.annotations()
        assert annotation.tags == ("V",) + ("?",) * (len(answer["tokens"]) - 1)


def test_sixty_labels_and_five_thousand_characters(tmp_path, model):
    settings = ProjectSettings("ner", tuple(f"LABEL{number}" for number in range(60)))
    text = "Mira met Tom 😀 " * 334
    with make_store(tmp_path / "case.db", [text], model, settings) as store, opened(store) as client:
        assert [one["name"] for one in client.get("/annotation/project").json()["labels"]] == list(
            settings.labels
        )
        answer = take(client)
        spans = [(index, index + 1, f"LABEL{index % 60}") for index in range(len(answer["tokens"]))]
        decide(client, answer, spans=spans)
        (annotation,) = store.annotations()
        assert annotation.tags == tuple(f"B-{label}" for _, _, label in spans)


def test_a_model_without_the_task_is_an_error(tmp_path, model):
    settings = replace(SETTINGS, task="chunk")
    with (
        make_store(tmp_path / "case.db", TEXTS, model, settings) as store,
        raises("corpus.task", mentions="chunk"),
    ):
        Desk(store)


def test_closing_drops_a_ranking_in_progress(store):
    desk = Desk(store)
    desk.close()
    assert not desk.is_ready
    with pytest.raises(RuntimeError):
        desk.next_sentence("ada")
