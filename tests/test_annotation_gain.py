"""The gain of annotation: scores by version and effort, controls, their tables and their figure."""

from dataclasses import replace

import pytest
from annotation_projects import SETTINGS, annotate_corpus
from command_line import SMALL
from input_errors import raises

from tagger.annotation import annotation_gain
from tagger.annotation.annotation_gain import measure_control, measure_gain
from tagger.annotation.model_updates import update_model
from tagger.annotation.model_versions import start_with
from tagger.annotation.project_records import Decision
from tagger.annotation.random_share import Effort, read_origins, read_share
from tagger.annotation.store import AnnotationStore
from tagger.cli.gain_display import draw_figure
from tagger.corpus.loading import read_corpus
from tagger.runtime.tagger import Tagger


@pytest.fixture(scope="module")
def project(corpus, model, tmp_path_factory):
    """A project whose version 1 is a model from elsewhere, and version 2 the same model, extended."""
    folder = tmp_path_factory.mktemp("gain")
    sentences = read_corpus(corpus / "train.conll", columns="token,pos,ner")
    with AnnotationStore.create(folder / "case.db", SETTINGS) as store:
        annotate_corpus(store, sentences, random_every=5)
        update_model(store, folder / "models", initial=str(model), changes={"train.epochs": 0})
        yield store


def test_versions_have_their_effort_and_the_score_of_evaluate(project, model):
    gain = measure_gain(project)
    share = read_share(project, is_random=True)
    assert gain.share == share.effort
    efforts = [row.trained_on for row in gain.versions]
    assert efforts == [Effort(0, 0, 0.0), read_share(project, is_random=False).effort]
    expected = Tagger.load(model).evaluate(share.sentences, task="ner")["ner"]
    assert [row.score.f1 for row in gain.versions] == [pytest.approx(expected.f1)] * 2
    assert f"only {expected.support} gold items in {share.effort.sentences} sentences" in gain.warning
    assert gain.to_dict()["versions"][0]["score"]["support"] == expected.support


def test_a_large_share_has_no_warning_and_an_empty_one_has_no_score(project, tmp_path, model, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(annotation_gain, "MIN_SUPPORT", 3)
        assert measure_gain(project).warning == ""
    with AnnotationStore.create(tmp_path / "new.db", SETTINGS) as store:
        with raises("bundle.missing", file="new.db"):
            measure_gain(store)
        start_with(store, str(model))
        store.add_model(tmp_path / "deleted", {})
        gain = measure_gain(store)
        assert "no annotations" in gain.warning
        assert [row.score and row.score.low for row in gain.versions] == [None, None]
        assert "deleted" in gain.versions[1].problem
        draw_figure(gain, tmp_path / "empty.svg")
        with raises("corpus.empty", file="new.db", option="--control", mentions="(got 0)"):
            measure_control(store)


def record_training(monkeypatch, tagger):
    """Replace training; return the list that receives the sentences and the initial model of each call."""
    calls = []

    def train(sentences, *, task, init_from, config, progress):
        calls.append(([one.source for one in sentences], init_from))
        assert all(one.starts_document for one in sentences)
        return tagger

    monkeypatch.setattr("tagger.api.train", train)
    return calls


def test_a_control_trains_on_equal_amounts_and_never_on_what_measures(project, model, monkeypatch):
    calls = record_training(monkeypatch, Tagger.load(model))
    names = []
    controls = measure_control(project, on_model=names.append)
    origins = read_origins(project)
    share = read_share(project, is_random=True).sentences
    lengths = {
        one.source: len(one)
        for random in (True, False)
        for one in read_share(project, is_random=random).sentences
    }
    assert [one.unit for one in controls] == ["tokens", "sentences", "minutes"]
    assert len(calls) == len(names) == annotation_gain.FOLDS * 4
    assert {initial for _, initial in calls} == {model}
    random = [set(sources) for sources, _ in calls[:3]]
    assert set().union(*random) == {one.source for one in share}
    assert sum(map(len, random)) == 2 * len(share)  # each sentence trains in all folds but its own
    first_chosen = sorted(
        (source for source in lengths if origins[source].arm == "chosen"),
        key=lambda source: origins[source].rank,
    )
    measures = (lengths.__getitem__, lambda _: 1, lambda source: origins[source].seconds / 60)
    for number, measure in enumerate(measures, 1):
        for fold, (sources, _) in enumerate(calls[3 * number : 3 * number + 3]):
            assert sources == first_chosen[: len(sources)]
            amounts = [sum(map(measure, one)) for one in (sources, random[fold], sources[:-1])]
            assert amounts[0] >= amounts[1] - 1e-9 > amounts[2]
    expected = Tagger.load(model).evaluate(share, task="ner")["ner"].f1
    for one in controls:  # the same model everywhere
        assert one.chosen == one.random
        assert one.chosen.f1 == pytest.approx(expected)
        assert (one.low, one.high, one.p_value) == (0.0, 0.0, 1.0)


def test_a_unit_without_enough_chosen_sentences_is_left_out(tmp_path, project, model, monkeypatch):
    record_training(monkeypatch, Tagger.load(model))
    with AnnotationStore.create(tmp_path / "case.db", SETTINGS) as store:
        sentences = [
            replace(one, starts_document=True)
            for is_random in (True, False)
            for one in read_share(project, is_random=is_random).sentences
        ][:8]
        store.add_pool(sentences)
        for number, sentence in enumerate(sentences, 1):
            arm = "random" if number <= 5 else "chosen"
            seconds = 60.0 if arm == "chosen" else 0.5
            store.record(store.lease("ada", number, arm=arm).key, Decision(sentence.tags["ner"], seconds))
        assert [one.unit for one in measure_control(store)] == ["minutes"]


@pytest.mark.slow
def test_controls_are_trained_and_drawn(project, tmp_path):
    small = {"train.epochs": 1, "train.batch_size": SMALL["train.batch_size"], "train.min_steps": 0}
    controls = measure_control(project, changes=small)
    gain = replace(measure_gain(project), controls=controls)
    for one in controls:
        assert one.low <= one.chosen.f1 - one.random.f1 <= one.high
        assert one.chosen.sentences == gain.share.sentences
    draw_figure(gain, tmp_path / "gain.svg")
    picture = (tmp_path / "gain.svg").read_text()
    assert picture.count("<svg") == 1
    draw_figure(gain, tmp_path / "gain.png")
    assert (tmp_path / "gain.png").read_bytes().startswith(b"\x89PNG")
