"""Updates of a project's model: what trains it, what activates it, and interrupted runs."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from annotation_projects import SETTINGS, annotate_corpus
from command_line import SMALL
from input_errors import raises

from tagger.annotation import model_updates
from tagger.annotation.model_updates import models_folder, update_model
from tagger.annotation.model_versions import describe_version, find_active, start_with
from tagger.annotation.project_records import Decision
from tagger.annotation.random_share import read_share
from tagger.annotation.store import AnnotationStore
from tagger.bundle import load_bundle
from tagger.corpus.loading import read_corpus
from tagger.training.checkpoint import CHECKPOINT

CHANGES = SMALL | {"train.epochs": 2}
FINE = {"train.epochs": 2, "train.batch_size": 4, "train.min_steps": 0}


@pytest.fixture(scope="module")
def sentences(corpus):
    return read_corpus(corpus / "train.conll", columns="token,pos,ner")


@pytest.fixture
def store(tmp_path, sentences):
    with AnnotationStore.create(tmp_path / "case.db", SETTINGS) as store:
        annotate_corpus(store, sentences)
        yield store


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "models"


def trained_on(folder, number):
    return [one.tokens for one in read_corpus(folder / str(number) / "train.jsonl")]


@pytest.mark.slow
def test_versions_start_from_the_active_one_and_never_see_the_random_share(store, folder):
    share = {one.tokens for one in read_share(store, is_random=True).sentences}
    phases = []
    first = update_model(store, folder, changes=CHANGES, on_phase=lambda *phase: phases.append(phase))
    assert phases == [("training", 0, 2), ("training", 1, 2), ("training", 2, 2), ("comparing", 2, 2)]
    assert (first.version, first.is_active, first.scores["before"]) == (1, True, None)
    assert "version 1 becomes active: no version was active" in describe_version(first)
    effort = read_share(store, is_random=False).effort
    assert first.scores["trained_on"] == effort.to_dict()
    second = update_model(store, folder, changes=FINE | {"train.epochs": 30})
    assert second.scores["f1"] > first.scores["f1"] == second.scores["before"]["f1"]
    assert second.is_active
    assert find_active(store) == second
    assert "version 2 becomes active: F1" in describe_version(second)
    difference = second.scores["difference"]
    assert difference["low"] <= difference["value"] <= difference["high"]
    for number in (1, 2):
        assert share.isdisjoint(trained_on(folder, number))
        assert len(trained_on(folder, number)) == effort.sentences
        vocabulary = load_bundle(folder / str(number) / "model").vocabulary
        assert {tag.partition("-")[2] for task in vocabulary.tasks for tag in task.tags} == {"", "PER", "LOC"}
    store.activate(1)  # back to the first one, which the next run starts from
    assert find_active(store).version == 1
    third = update_model(store, folder, changes={"train.epochs": 0})
    assert third.scores["before"]["version"] == 1


def test_a_model_that_is_not_better_does_not_become_active(store, folder, model):
    same = update_model(store, folder, initial=str(model), changes={"train.epochs": 0})
    versions = store.models()
    assert [(one.version, one.is_active) for one in versions] == [(1, True), (2, False)]
    assert versions[0].folder == str(model)
    assert same.scores["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0, "p_value": 1.0}
    assert "version 2 does not become active" in describe_version(same)


def test_without_a_random_share_the_present_model_stays(tmp_path, folder, sentences, model):
    with AnnotationStore.create(tmp_path / "none.db", SETTINGS) as store:
        store.add_pool(replace(one, starts_document=True) for one in sentences[:2])
        for number, sentence in enumerate(sentences[:2], 1):
            arm = "random" if number == 1 else "chosen"
            tags = None if number == 1 else sentence.tags["ner"]
            store.record(store.lease("ada", number, arm=arm).key, Decision(tags))
        result = update_model(store, folder, initial=str(model), changes={"train.epochs": 0})
        assert not result.is_active
        assert "the random share has no annotations" in describe_version(result)


def test_a_stopped_run_resumes_with_its_own_annotations(store, folder, tmp_path, sentences):
    with AnnotationStore.create(tmp_path / "same.db", SETTINGS) as same:
        annotate_corpus(same, sentences)
        whole = update_model(same, tmp_path / "whole", changes=CHANGES)
    calls = iter([False] * 7 + [True])
    assert update_model(store, folder, changes=CHANGES, is_stopped=lambda: next(calls)) is None
    assert store.models() == []
    known = trained_on(folder, 1)
    annotate_corpus(store, [replace(sentences[1], tokens=(*sentences[1].tokens[:-1], "?"))], random_every=2)
    lease = store.lease("bob", 2, arm="audit")
    store.record(lease.key, Decision(None))
    resumed = update_model(store, folder, changes=CHANGES)
    assert trained_on(folder, 1) == known
    weights = "1/model/model.safetensors"
    assert (folder / weights).read_bytes() == (tmp_path / "whole" / weights).read_bytes()
    assert resumed.scores["trained_on"] == whole.scores["trained_on"]
    calls = iter([True])
    assert update_model(store, folder, changes=FINE, is_stopped=lambda: next(calls)) is None
    unfinished = folder / "2" / "model" / CHECKPOINT
    assert unfinished.is_file()
    assert not (folder / "1" / "model" / CHECKPOINT).exists()
    restarted = update_model(store, folder, changes={"train.epochs": 0}, restart=True)
    assert restarted.folder.endswith("2/model")
    assert len(trained_on(folder, 2)) == len(known) - 1


def test_processes_that_open_a_project_at_the_same_time_add_its_first_model_once(database, model):
    with AnnotationStore.create(database, SETTINGS) as store, ThreadPoolExecutor(4) as threads:
        versions = list(threads.map(lambda _: start_with(store, str(model)), range(8)))
        assert {(one.version, one.folder) for one in versions} == {(1, str(model))}
        assert store.models() == versions[:1]


def test_a_run_that_ends_before_the_comparison_is_not_trained_again(store, folder, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(model_updates, "_compare", fail)
        with pytest.raises(KeyboardInterrupt):
            update_model(store, folder, changes=CHANGES)
    phases = []
    update_model(store, folder, changes=CHANGES, on_phase=lambda *phase: phases.append(phase))
    assert phases == [("training", 2, 2), ("comparing", 2, 2)]


def test_what_cannot_be_trained(tmp_path, folder, store):
    with AnnotationStore.create(tmp_path / "empty.db", SETTINGS) as empty:
        with raises("corpus.empty", file="empty.db", mentions="outside the random share"):
            update_model(empty, folder, changes=CHANGES)
        assert not folder.exists()
        with raises("bundle.missing", file="nothing"):
            update_model(empty, folder, initial=str(tmp_path / "nothing"))
    with raises("option.value", option="--output", mentions="not a file"):
        models_folder("postgresql://nobody@localhost/none")
    assert models_folder(tmp_path / "case.db") == tmp_path / "case.models"
    assert update_model(store, folder, changes=CHANGES, is_stopped=lambda: True) is None
    (folder / "1" / "run.json").write_text("{}")
    with raises("run.damaged", file="run.json", option="--restart"):
        update_model(store, folder, changes=CHANGES)
