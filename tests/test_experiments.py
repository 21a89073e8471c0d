"""Runs of a comparison: shared data, run files, and resuming after an interruption."""

import json
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from multiprocessing.connection import Connection, wait
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
import torch
from command_line import SMALL

from tagger.config_loading import load_config
from tagger.errors import InputError
from tagger.experiments import run_training
from tagger.experiments.comparison import GridRecord, compare
from tagger.experiments.grid import (
    ComparisonData,
    Job,
    Request,
    build_grid,
    load_data,
    require_local_features,
)
from tagger.experiments.results import Comparison, load_run
from tagger.experiments.run_training import EpochDone, RunDone
from tagger.network.model import TaggingModel
from tagger.training.progress import build_model

pytestmark = pytest.mark.slow

EPOCHS = 2
VARIANTS = build_grid(("forward", "bidirectional"), ("concat",), ("softmax",))


def make_request(corpus: Path, output: Path, **changes: object) -> Request:
    options = {"train.epochs": EPOCHS, "data.columns": "token,pos,ner", "model.scheme": "IOB2"}
    values = {
        "config": load_config(None, SMALL | options),
        "train_files": [corpus / "train.conll"],
        "dev_files": [corpus / "dev.conll"],
        "test_files": [],
        "vectors_file": None,
        "variants": VARIANTS,
        "seeds": 2,
        "match": "hidden",
        "lookaheads": (),
        "output": output,
    }
    return Request(**(values | changes))  # type: ignore[arg-type]


def finish(request: Request, processes: int = 1) -> tuple[list, Comparison]:
    """Return all records and the comparison."""
    records, seen = compare(request, processes=processes), []
    while True:
        try:
            seen.append(next(records))
        except StopIteration as end:
            return seen, end.value


@pytest.fixture(scope="module")
def whole(corpus: Path, folder: Path) -> tuple[list, Comparison]:
    """An uninterrupted comparison; tests only read it."""
    return finish(make_request(corpus, folder / "whole", test_files=[corpus / "train.conll"]))


def outcomes(comparison: Comparison) -> dict:
    """Return the results that interruptions must not change: everything except times."""
    return {
        run.name: (run.scores["dev"], run.predictions["dev"], [one["loss"] for one in run.curve])
        for run in comparison.runs
    }


def test_the_grid_is_trained_seed_by_seed(whole):
    records, comparison = whole
    assert isinstance(records[0], GridRecord)
    assert records[0].finished == {}
    finished = [record.name for record in records if isinstance(record, RunDone)]
    assert finished == [job.name for job in records[0].jobs]
    assert finished == [f"{variant.name}-{seed}" for seed in (1, 2) for variant in VARIANTS]
    epochs = [(one.name, one.epoch) for one in records if isinstance(one, EpochDone)]
    assert epochs == [(name, epoch) for name in finished for epoch in range(1, EPOCHS + 1)]
    assert [run.name for run in comparison.runs] == [f"{v.name}-{seed}" for v in VARIANTS for seed in (1, 2)]


def test_scores_are_those_of_the_last_epoch_on_each_split(whole):
    _, comparison = whole
    assert (comparison.task, comparison.measure) == ("ner", "f1")
    for run in comparison.runs:
        assert run.scores["dev"]["f1"] == run.curve[-1]["score"]
        assert set(run.scores) == set(run.predictions) == {"dev", "test"}
        for split, gold in comparison.gold.items():
            lengths = [len(sentence) for sentence in gold.sentences]
            assert [len(tags) for tags in run.predictions[split]] == lengths
    assert len(comparison.gold["dev"].sentences) == 12


def test_equal_seeds_start_from_equal_word_and_character_features(corpus, tmp_path):
    request = make_request(
        corpus,
        tmp_path,
        variants=build_grid(("forward", "backward", "bidirectional"), ("concat", "sum"), ("softmax", "crf")),
        match="hidden",
    )
    data = load_data(request)
    models = {
        (job.variant, job.seed): build_model(data.preparation, data.configure(job)).state_dict()
        for job in data.jobs()
    }
    words = {seed: [weights for (_, its), weights in models.items() if its == seed] for seed in (1, 2)}
    for own in words.values():
        for name in (name for name in own[0] if name.startswith("words.")):
            assert all(torch.equal(own[0][name], other[name]) for other in own)
    trained = "words.trainable.weight"
    assert not torch.equal(words[1][0][trained], words[2][0][trained])


def test_a_later_call_trains_only_missing_runs(corpus, tmp_path, whole):
    request = make_request(corpus, tmp_path, seeds=1, test_files=[corpus / "train.conll"])
    finish(request)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()}
    more = make_request(corpus, tmp_path, test_files=[corpus / "train.conll"])
    records, comparison = finish(more)
    assert set(records[0].finished) == {f"{variant.name}-1" for variant in VARIANTS}
    assert {one.name for one in records if isinstance(one, RunDone)} == {f"{v.name}-2" for v in VARIANTS}
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()}
    assert before.items() <= after.items()
    assert outcomes(comparison) == outcomes(whole[1])


@pytest.mark.parametrize("events", [2, 3, 6])
def test_an_interrupted_comparison_gives_the_same_results(corpus, tmp_path, whole, events):
    request = make_request(corpus, tmp_path, test_files=[corpus / "train.conll"])
    records = compare(request)
    list(islice(records, events))
    records.close()
    assert outcomes(finish(request)[1]) == outcomes(whole[1])


def with_checkpoints(corpus: Path, output: Path, minutes: float) -> Request:
    request = make_request(corpus, output, test_files=[corpus / "train.conll"])
    train = request.config.train.model_copy(update={"checkpoint_minutes": minutes})
    return replace(request, config=request.config.model_copy(update={"train": train}))


def interrupt(request: Request, epochs: int) -> Path:
    """Interrupt a comparison in the epoch after ``epochs``; return the folder of the current run."""
    records = compare(request)
    list(islice(records, 1 + epochs))
    next(records)
    records.close()
    return request.output / "runs" / f"{VARIANTS[0].name}-1"


@pytest.mark.parametrize("minutes", [0, 1e-9], ids=["every epoch", "every step"])
def test_a_run_resumes_from_its_checkpoint(corpus, tmp_path, whole, minutes):
    request = with_checkpoints(corpus, tmp_path, minutes)
    checkpoint_folder = interrupt(request, 1)
    assert (checkpoint_folder / "checkpoint.safetensors").exists()
    (checkpoint_folder / ".checkpoint.safetensors.new").write_text("temporary file of a killed call")
    seen, comparison = finish(request)
    repeated = [
        one.epoch for one in seen if isinstance(one, EpochDone) and one.name == checkpoint_folder.name
    ]
    assert repeated == [2]
    assert outcomes(comparison) == outcomes(whole[1])
    assert not checkpoint_folder.exists()


def test_the_checkpoint_of_a_finished_run_is_removed(corpus, tmp_path):
    request = make_request(corpus, tmp_path, seeds=1, variants=VARIANTS[:1])
    finish(request)
    checkpoint_folder = tmp_path / "runs" / f"{VARIANTS[0].name}-1"
    checkpoint_folder.mkdir()
    (checkpoint_folder / "checkpoint.safetensors").write_text("")
    finish(request)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [f"{checkpoint_folder.name}.json"]


def test_the_error_of_a_damaged_checkpoint_names_its_file_and_a_remedy(corpus, tmp_path):
    request = with_checkpoints(corpus, tmp_path, 0)
    (interrupt(request, 1) / "checkpoint.safetensors").write_bytes(b"no checkpoint")
    with pytest.raises(
        InputError, match=r"forward-softmax-1/checkpoint\.safetensors: .*damaged.*Delete the file"
    ):
        finish(request)


def test_an_error_in_a_run_names_the_run(corpus, tmp_path):
    rate = {"train.learning_rate": 1e38, "train.clip": 0, "train.optimizer": "sgd"}
    config = load_config(None, SMALL | {"data.columns": "token,pos,ner"} | rate)
    with pytest.raises(InputError, match=r"forward-softmax-1: The loss is NaN or infinite"):
        finish(make_request(corpus, tmp_path, config=config))


def test_two_calls_cannot_write_to_one_folder(corpus, tmp_path):
    request = make_request(corpus, tmp_path, seeds=1)
    first = compare(request)
    next(first)
    with pytest.raises(InputError, match=r"runs: another process is writing to this folder\. Wait"):
        next(compare(request))
    first.close()
    assert len(finish(request)[1].runs) == 2


def test_distributed_training_raises(corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError) as error:
        next(compare(make_request(corpus, tmp_path)))
    assert (error.value.code, error.value.option) == ("option.conflict", "--jobs")


@contextmanager
def worker_threads(request: Request, count: int) -> Iterator[list[Connection]]:
    """Start threads instead of worker processes, which take seconds to start."""
    pipes = [multiprocessing.Pipe() for _ in range(count)]
    threads = [Thread(target=run_training._work, args=(request, theirs)) for _, theirs in pipes]
    for thread in threads:
        thread.start()
    yield [ours for ours, _ in pipes]
    for ours, _ in pipes:
        ours.close()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("count", [2, 3, 5, 9])
def test_every_run_is_assigned_to_one_worker(monkeypatch, count):
    def pretend(job: Job, data: object) -> Iterator[EpochDone | RunDone]:
        yield EpochDone(job.name, 1, 0.5)
        yield RunDone(job.name, 0.5)

    monkeypatch.setattr(run_training, "_workers", worker_threads)
    monkeypatch.setattr(run_training, "load_data", lambda request: None)
    monkeypatch.setattr(run_training, "train_run", pretend)
    jobs = [Job(VARIANTS[0], seed, 1) for seed in range(6)]
    events = list(run_training.train_runs(jobs, SimpleNamespace(request=None), count))
    for kind in (EpochDone, RunDone):
        assert sorted(one.name for one in events if isinstance(one, kind)) == [job.name for job in jobs]


@pytest.mark.parametrize("error", [InputError("no space", code="file.unwritable"), MemoryError("no memory")])
def test_errors_of_a_worker_are_raised(monkeypatch, error):
    def fail(job: Job, data: object) -> Iterator[EpochDone | RunDone]:
        yield EpochDone(job.name, 1, 0.5)
        raise error

    monkeypatch.setattr(run_training, "_workers", worker_threads)
    monkeypatch.setattr(run_training, "load_data", lambda request: None)
    monkeypatch.setattr(run_training, "train_run", fail)
    with pytest.raises(type(error), match=str(error)):
        list(run_training.train_runs([Job(VARIANTS[0], 1, 1)] * 2, SimpleNamespace(request=None), 2))


def test_workers_survive_ctrl_c_and_their_end_is_reported(corpus, tmp_path, whole, monkeypatch):
    request = make_request(corpus, tmp_path, test_files=[corpus / "train.conll"])
    waits = []

    def interrupt_and_wait(connections: Sequence[Connection]) -> list:
        if not waits:  # the workers have just been started and are still importing modules
            for child in multiprocessing.active_children():
                os.kill(child.pid, signal.SIGINT)
        waits.append(len(connections))
        return wait(connections)

    monkeypatch.setattr(run_training, "wait", interrupt_and_wait)
    records = compare(request, processes=2)
    finished = 0
    while finished < 2:
        finished += isinstance(next(records), RunDone)
    for child in multiprocessing.active_children():
        child.kill()
        child.join()
    with pytest.raises(InputError) as error:
        list(records)
    assert (error.value.code, error.value.option) == ("run.failed", "--jobs")
    seen, comparison = finish(request)
    assert 2 <= len(seen[0].finished) < 4
    assert outcomes(comparison) == outcomes(whole[1])


def test_runs_with_other_options_raise(corpus, tmp_path):
    finish(make_request(corpus, tmp_path, seeds=1, variants=VARIANTS[:1]))
    other = load_config(None, SMALL | {"train.epochs": 3, "data.columns": "token,pos,ner"})
    with pytest.raises(InputError, match=r"train\.epochs is 3, was 2") as error:
        finish(make_request(corpus, tmp_path, seeds=1, config=other))
    assert (error.value.code, error.value.option) == ("run.mismatch", "--output")
    assert error.value.file == str(tmp_path / "runs" / "forward-softmax-1.json")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[1]",
        '{"format": "tagger comparison run 1"}',
        '{"format": "tagger comparison run 1", "run": [], "predictions": {}, "description": {}}',
        "\0",
    ],
)
def test_the_error_of_a_damaged_run_file_names_the_file(corpus, tmp_path, content):
    (tmp_path / "runs").mkdir()
    path = tmp_path / "runs" / "forward-softmax-1.json"
    path.write_text(content)
    with pytest.raises(InputError) as error:
        finish(make_request(corpus, tmp_path))
    assert (error.value.code, error.value.file) == ("run.damaged", str(path))


def test_a_run_file_restores_the_run(whole, corpus, folder):
    request = make_request(corpus, folder / "whole", test_files=[corpus / "train.conll"])
    data = load_data(request)
    runs = {run.name: run for run in whole[1].runs}
    for job in data.jobs():
        run = load_run(job, data)
        assert run == runs.pop(job.name)
        saved = json.loads((data.folder / f"{job.name}.json").read_text())
        assert saved["run"] == json.loads(json.dumps(run.values()))
    assert not runs


def test_bidirectional_models_are_scored_with_bounded_lookahead(corpus, tmp_path):
    variants = build_grid(("forward", "bidirectional"), ("sum",), ("crf",), has_lookahead=True)
    request = make_request(corpus, tmp_path, seeds=1, variants=variants, lookaheads=(0, 1, 50, None))
    runs = {run.variant: run for run in finish(request)[1].runs}
    assert runs.pop(variants[0]).lookahead == {}
    for variant, run in runs.items():
        assert variant.direction == "bidirectional"
        assert list(run.lookahead) == ["0", "1", "50", "full"]
        assert run.lookahead["50"].score == run.lookahead["full"].score == run.scores["dev"]["f1"]
        assert all((one.microseconds is None) == (words == "full") for words, one in run.lookahead.items())
    full, random = (run.curve[-1]["loss"] for run in runs.values())
    assert full != random


def data_of(corpus: Path, output: Path) -> ComparisonData:
    return load_data(make_request(corpus, output))


def test_features_of_single_words_pass(corpus, tmp_path):
    require_local_features(data_of(corpus, tmp_path))


def test_features_that_read_the_whole_sentence_raise(corpus, tmp_path, monkeypatch):
    forward = TaggingModel.forward

    def leak(self, batch, chunks=None):
        last = batch.positions[:, -1:].astype("float32")
        return {
            name: one + torch.from_numpy(last)[:, :, None]
            for name, one in forward(self, batch, chunks).items()
        }

    data = data_of(corpus, tmp_path)
    monkeypatch.setattr(TaggingModel, "forward", leak)
    with pytest.raises(InputError) as error:
        require_local_features(data)
    assert error.value.code == "option.conflict"
