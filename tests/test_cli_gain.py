"""``tagger retrain`` and ``tagger gain``, and projects with unknown tags in the commands for corpora."""

import json
import shutil

import pytest
from annotation_projects import SETTINGS, annotate_corpus
from command_line import input_error, options, run
from input_errors import check

from tagger.annotation.project_records import Decision
from tagger.annotation.random_share import read_share
from tagger.annotation.store import AnnotationStore
from tagger.cli.watch import StopSignals
from tagger.corpus.loading import read_corpus

QUICK = options({"train.epochs": 1})
UNTRAINED = ("--set", "train.epochs=0")


@pytest.fixture(scope="module")
def template(corpus, tmp_path_factory):
    path = tmp_path_factory.mktemp("project") / "case.db"
    with AnnotationStore.create(path, SETTINGS) as store:
        annotate_corpus(store, read_corpus(corpus / "train.conll", columns="token,pos,ner"), random_every=4)
        lease = store.lease("ada", 2, arm="audit")
        tags = {one.sentence: one.tags for one, _ in store.annotated()}[2]
        store.record(lease.key, Decision(("?", *tags[1:])))
    return path


@pytest.fixture
def project(template, tmp_path):
    return shutil.copy(template, tmp_path / "case.db")


def test_a_model_is_trained_and_measured(project, model, tmp_path):
    code, output, error = run("retrain", project, "--init-from", model, *UNTRAINED)
    assert code == 0, error
    assert output.startswith("version 2 does not become active: F1 ")
    assert "tagger: comparing the models\n" in error
    assert (tmp_path / "case.models" / "1" / "model" / "config.json").is_file()
    code, output, error = run("gain", project, "--json")
    assert code == 0, error
    gain = json.loads(output)
    with AnnotationStore(project) as store:
        n_sentences = len(read_share(store, is_random=False).sentences)
    assert [row["trained_on"]["sentences"] for row in gain["versions"]] == [0, n_sentences]
    assert [row["version"]["is_active"] for row in gain["versions"]] == [True, False]
    assert run("retrain", project, "--activate", 2)[::2] == (0, "tagger: version 2 is active\n")
    code, output, error = run("gain", project, "--figure", tmp_path / "gain.svg")
    assert code == 0, error
    assert "2 (active)" in output
    assert f"{gain['versions'][1]['score']['f1']:.4f}" in output
    assert "The random share has only" in output
    assert (tmp_path / "gain.svg").read_text().startswith("<?xml")
    assert [
        row["version"]["is_active"] for row in json.loads(run("gain", project, "--json")[1])["versions"]
    ] == [
        False,
        True,
    ]


def test_an_interrupted_run_is_resumed(project, monkeypatch):
    def interrupt(signals):
        signals.is_requested = True
        return signals

    with monkeypatch.context() as patch:
        patch.setattr(StopSignals, "__enter__", interrupt)
        code, output, error = run("retrain", project, *QUICK)
    assert (code, output) == (130, "")
    assert "run the same command to resume" in error
    code, output, _ = run("retrain", project, *QUICK)
    assert code == 0
    assert output.startswith("version 1 becomes active: no version was active, F1 ")


def test_options_that_exclude_each_other(project, tmp_path):
    error = input_error("retrain", project, "--activate", 1, "--restart")
    check(error, "option.conflict", option="--activate")
    check(input_error("retrain", project, "--activate", 9), "argument.value", file="case.db")
    check(input_error("gain", project, "--set", "train.epochs=1"), "option.conflict", option="--set")
    check(input_error("gain", project), "bundle.missing", file="case.db")
    error = input_error("gain", project, "--figure", tmp_path / "gain.pdf")
    check(error, "option.value", file="gain.pdf", option="--figure")
    check(
        input_error("gain", project, "--figure", tmp_path / "none" / "a.svg"), "file.unwritable", file="a.svg"
    )
    check(input_error("retrain", tmp_path / "none.db"), "file.missing", file="none.db")


@pytest.mark.slow
def test_a_control_is_printed(project, model):
    assert run("retrain", project, "--init-from", model, *UNTRAINED)[0] == 0
    code, output, error = run("gain", project, "--control", *UNTRAINED)
    assert code == 0, error
    assert error.count("tagger: training ") == 12
    for unit in ("tokens", "sentences", "minutes"):
        assert f" {unit}" in output
    assert "+0.0000 to +0.0000" in output


@pytest.mark.slow
def test_commands_for_corpora_take_a_project_with_unknown_tags(project, corpus, model, tmp_path):
    tuned = tmp_path / "tuned"
    files = ("--train", project, "--dev", corpus / "dev.conll", "--output", tuned)
    code, output, error = run("train", "--init-from", model, *files, "--task", "ner", *QUICK[-2:])
    assert code == 0, error
    code, output, error = run("evaluate", tuned, project, "--json")
    assert code == 0, error
    scores = json.loads(output)
    known = read_corpus(project)
    assert scores["sentences"] == len(known)
    code, output, error = run("check", project)
    assert code == 0, error
    assert "?" in output + error or "unknown" in output + error
    code, _, error = run("convert", project, tmp_path / "out.conll")
    assert code == 0, error
    assert [one.tags for one in read_corpus(tmp_path / "out.conll")] == [one.tags for one in known]
    assert any("?" in one.tags["ner"] for one in known)
