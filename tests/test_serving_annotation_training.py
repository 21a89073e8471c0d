"""Trainings on the page of ``tagger annotate``: the routes, what the page says, and a first model."""

from dataclasses import replace

import pytest
from annotation_desks import TEXTS, FakeTraining, make_model, make_store, opened, post, take
from annotation_pages import call, press, tokens
from annotation_pages import opened as opened_page
from command_line import SMALL
from playwright.sync_api import expect
from servers import LONGEST_WAIT

from tagger.annotation.background_training import BackgroundTraining, TrainingStatus
from tagger.annotation.project_records import ModelVersion

TIMEOUT_SECONDS = 300  # for the imports and the training of a process of low priority
SCORES = {
    "f1": 0.61,
    "low": 0.5,
    "high": 0.7,
    "sentences": 34,
    "before": {"version": 1, "f1": 0.52, "low": 0.4, "high": 0.6},
    "difference": {"value": 0.09, "low": 0.01, "high": 0.2, "p_value": 0.03},
    "is_better": True,
}
WORSE = SCORES | {"f1": 0.5, "is_better": False}
FINISHED = {"epoch": 10, "epochs": 10}
SENTENCES = [
    "Mira met Tom",
    "Tom saw rain",
    "Lang lost hope",
    "Mira won twice",
    "Tom met Lang",
    "Ayr slept on",
]


@pytest.fixture(scope="module")
def model(folder):
    return make_model(folder)


@pytest.fixture
def store(tmp_path, model):
    with make_store(tmp_path / "case.db", TEXTS, model) as store:
        yield store


@pytest.fixture
def training(tmp_path):
    return FakeTraining(tmp_path / "models")


def make_unfinished_run(folder):
    (folder / "1").mkdir(parents=True)
    (folder / "1/run.json").write_text("{}")


def test_a_training_is_started_watched_and_stopped(store, training):
    with opened(store, training) as client:
        assert client.get("/annotation/training").json()["state"] == "idle"
        started = post(client, "training/start")
        assert (started["state"], started["is_running"]) == ("starting", True)
        refused = client.post("/annotation/training/start", json={})
        assert (refused.status_code, refused.json()["code"]) == (422, "run.exists")
        training.current = TrainingStatus("training", 3, 10)
        progress = client.get("/annotation/progress").json()["training"]
        assert progress == client.get("/annotation/training").json()
        assert (progress["epoch"], progress["epochs"]) == (3, 10)
        assert take(client)["lease"]  # people go on
        make_unfinished_run(training.folder)
        stopped = post(client, "training/stop")
        assert (stopped["state"], stopped["is_unfinished"]) == ("stopped", True)
        post(client, "training/start", restart=True)
        training.current = TrainingStatus("failed", problem="a\nb: wrong.", code="run.mismatch")
        failed = client.get("/annotation/training").json()
        assert (failed["problem"], failed["code"]) == ("a\\nb: wrong.", "run.mismatch")
    assert training.calls[0] is False
    assert training.calls[2] is True
    assert 0 < training.calls[-1] < LONGEST_WAIT  # the app stops a training at its end


def test_a_finished_training_has_a_result(store, training, model):
    version = ModelVersion(2, str(model), 0.0, SCORES, True)
    training.current = TrainingStatus("finished", **FINISHED, version=version)
    with opened(store, training) as client:
        result = client.get("/annotation/training").json()["result"]
    assert result.startswith(
        "version 2 becomes active: F1 0.610 on the 34 sentences of the random share, 0.520"
    )


def test_without_a_training_there_are_no_routes(store):
    with opened(store) as client:
        assert client.get("/annotation/training").status_code == 404
        assert client.post("/annotation/training/start", json={}).status_code == 404


@pytest.mark.parametrize("body", [[], {"restart": 1}, {"seed": 1}, None])
def test_other_bodies_are_refused(store, training, body):
    with opened(store, training) as client:
        assert client.post("/annotation/training/start", json=body).status_code == 422
    assert False not in training.calls


@pytest.mark.slow
def test_the_page_says_what_a_training_does(browser, store, training, model):
    with opened_page(browser, store, training=training) as page:
        state, buttons = page.locator("#training"), page.locator("#train-actions button:visible")
        expect(buttons).to_have_text(["T Train the model"])
        assert state.get_attribute("role") == "status"
        press(page, "t")
        expect(state).to_have_text("Training starts …")
        expect(buttons).to_have_text(["T Stop training"])
        training.current = TrainingStatus("training", 2, 10)
        expect(state).to_have_text("Training: epoch 3 of 10.")
        training.current = TrainingStatus("comparing", 10, 10)
        expect(state).to_contain_text("compared")
        number = call(store.add_model, model, WORSE)
        version = ModelVersion(number, str(model), 0.0, WORSE, False)
        training.current = TrainingStatus("finished", **FINISHED, version=version)
        expect(state).to_contain_text("Version 2 does not become active: F1 0.500")
        expect(page.locator("#models tr")).to_have_count(2)  # the list is up to date
        press(page, "t")
        call(store.activate, call(store.add_model, model, SCORES))
        version = replace(version, version=3, scores=SCORES, is_active=True)
        training.current = TrainingStatus("finished", **FINISHED, version=version)
        expect(state).to_contain_text("Version 3 becomes active: F1 0.610")
        expect(page.locator("#models tr")).to_have_count(3)
        press(page, "Enter")
        page.get_by_role("button", name="Use").first.focus()
        press(page, "Enter")
        expect(page.locator("#notice")).to_contain_text("Version 1 of the model proposes")


@pytest.mark.slow
def test_an_interrupted_training_is_resumed_or_replaced(browser, store, training):
    make_unfinished_run(training.folder)
    with opened_page(browser, store, training=training) as page:
        state, buttons = page.locator("#training"), page.locator("#train-actions button:visible")
        expect(state).to_contain_text("A training was interrupted.")
        expect(buttons).to_have_text(["T Resume training", "Discard it and train again"])
        press(page, "t")
        training.current = TrainingStatus("training", 3, 10)
        expect(state).to_have_text("Training: epoch 4 of 10.")
        press(page, "t")
        expect(state).to_have_text("Training was stopped after 3 of 10 epochs.")
        training.current = TrainingStatus("failed", problem="the process ended early (exit code 1)")
        press(page, "s")
        expect(state).to_have_text("Training failed: the process ended early (exit code 1).")
        training.current = TrainingStatus("failed", problem="see --restart.", code="run.mismatch")
        press(page, "s")
        expect(state).to_contain_text("it cannot be resumed.")
        expect(buttons).to_have_text(["Discard it and train again"])
        press(page, "t")  # never discards work
        buttons.focus()
        press(page, "Enter")
        expect(state).to_have_text("Training starts …")
        assert training.calls == [False, 0.0, True]
        training.current = TrainingStatus()


@pytest.mark.slow
def test_an_empty_project_becomes_a_model_with_the_keyboard_alone(browser, tmp_path):
    location = tmp_path / "case.db"
    training = BackgroundTraining(location, tmp_path / "models", changes=SMALL, niceness=0)
    with make_store(location, SENTENCES) as store, opened_page(browser, store, training=training) as page:
        for _ in SENTENCES[1:]:
            press(page, *(["2"] if tokens(page)[0] == "Ayr" else ["1"]), "Enter")
        press(page, "t")
        expect(page.locator("#training")).to_contain_text(
            "Version 1 becomes active: no version was active", timeout=1000 * TIMEOUT_SECONDS
        )
        press(page, "s")
        assert page.inner_text("#state") == "Nothing is left to annotate."
        (version,) = call(store.models)
        assert version.is_active
        assert (version.scores["trained_on"]["sentences"], version.scores["sentences"]) == (4, 1)
    assert not training.status().is_running
