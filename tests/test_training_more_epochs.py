"""Resume a finished or stopped run with more epochs: the weights equal those of an uninterrupted run."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import run, run_error

from tagger.bundle import load_bundle
from tagger.config import Config
from tagger.config_loading import load_config
from tagger.errors import InputError
from tagger.training.loop import EpochRecord
from tagger.training.run import StopRecord, run_training
from tagger.training.schedules import cosine_cycle, learning_rate

pytestmark = pytest.mark.slow

WEIGHTS = "model.safetensors"
SIZES = {
    "data.tasks": ("pos", "ner"),
    "data.columns": "token,pos,ner",
    "model.hidden_size": 6,
    "model.word_size": 6,
    "model.character_hidden": 3,
    "train.batch_size": 6,
    "train.min_steps": 0,
    "train.learning_rate": 0.1,
    "train.ema": 0.9,
    "train.case_augmentation": 0.3,
}


def configure(**changes: object) -> Config:
    return load_config(None, {**SIZES, **{key.replace("__", "."): value for key, value in changes.items()}})


def train(corpus: Path, output: Path, config: Config, **options: object) -> list[object]:
    files = {"train_files": [corpus / "train.conll"], "dev_files": [corpus / "dev.conll"]}
    return list(run_training(config, output, **{**files, **options}))


def lines(folder: Path) -> Iterator[dict]:
    """Read the lines of metrics.jsonl without timings."""
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        yield {key: value for key, value in json.loads(line).items() if "second" not in key}


def require_same(folder: Path, whole: Path) -> None:
    for name in (WEIGHTS, "config.json", "vocab.json"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    assert list(lines(folder)) == list(lines(whole))
    actual, expected = load_bundle(folder), load_bundle(whole)
    assert actual.temperatures == expected.temperatures
    for name in ("epoch", "epochs", "score", "dev", "data"):
        assert actual.metrics[name] == expected.metrics[name], name


@pytest.mark.parametrize(("optimizer", "has_dev"), [("sgd", True), ("adamw", False)])
@pytest.mark.parametrize(
    ("options", "restarts"),
    [
        ({"train__schedule": "constant"}, ()),
        ({"train__schedule": "inverse_time", "train__warmup_steps": 9}, ()),
        ({"train__schedule": "cosine"}, (2, 3)),
    ],
    ids=["constant", "inverse_time", "cosine"],
)
def test_a_finished_run_with_more_epochs_equals_an_uninterrupted_run(
    corpus, tmp_path, optimizer, options, restarts, has_dev
):
    own = {"train__optimizer": optimizer, **options}
    files = {} if has_dev else {"dev_files": []}
    train(
        corpus, tmp_path / "whole", configure(train__epochs=5, train__warm_restarts=restarts, **own), **files
    )
    train(corpus, tmp_path / "m", configure(train__epochs=2, **own), **files)
    longer = configure(train__epochs=3, train__warm_restarts=restarts[:1], **own)
    assert len(train(corpus, tmp_path / "m", longer, resume=True, **files)) > 1
    longest = configure(train__epochs=5, train__warm_restarts=restarts, **own)
    records = train(corpus, tmp_path / "m", longest, resume=True, **files)
    assert [record.epoch for record in records if isinstance(record, EpochRecord)] == [4, 5]
    assert [record.epoch for record in records[0].earlier] == [1, 2, 3]
    require_same(tmp_path / "m", tmp_path / "whole")
    assert len(train(corpus, tmp_path / "m", longest, resume=True, **files)) == 1  # nothing is left to do


def test_a_stopped_run_can_get_more_or_fewer_epochs_if_its_learning_rates_stay_the_same(corpus, tmp_path):
    own = {"train__schedule": "constant"}
    train(corpus, tmp_path / "whole", configure(train__epochs=3, **own))
    for epochs in (9, 2):
        calls, folder = iter(range(100)), tmp_path / str(epochs)
        records = train(
            corpus,
            folder,
            configure(train__epochs=epochs, **own),
            is_stopped=lambda calls=calls: next(calls) == 8,
        )
        assert isinstance(records[-1], StopRecord)
        train(corpus, folder, configure(train__epochs=3, **own), resume=True)
        require_same(folder, tmp_path / "whole")


def test_the_best_epoch_may_be_one_of_the_shorter_run(corpus, tmp_path, monkeypatch):
    scores = iter([0.5, 0.9, 0.1, 0.2] * 2)
    monkeypatch.setattr("tagger.training.loop._mean_score", lambda dev: next(scores))
    own = {"train__schedule": "constant"}
    train(corpus, tmp_path / "whole", configure(train__epochs=4, **own))
    train(corpus, tmp_path / "m", configure(train__epochs=2, **own))
    train(corpus, tmp_path / "m", configure(train__epochs=4, **own), resume=True)
    require_same(tmp_path / "m", tmp_path / "whole")
    assert load_bundle(tmp_path / "m").config.train.epochs == 4
    assert "after epoch 2 of at most 4" in (tmp_path / "m" / "README.md").read_text()


def test_an_error_says_why_a_run_cannot_be_resumed(corpus, tmp_path):
    def problem(output: Path, config: Config) -> str:
        with pytest.raises(InputError) as error:
            train(corpus, output, config, resume=True)
        assert (error.value.code, error.value.where) == ("run.mismatch", str(output))
        return error.value.message

    finished, stopped = tmp_path / "finished", tmp_path / "stopped"
    train(corpus, finished, configure(train__epochs=2))
    train(corpus, stopped, configure(train__epochs=2), is_stopped=lambda: True)
    message = problem(finished, configure(train__epochs=4))
    assert "its cosine schedule over 2 epochs cannot be extended" in message
    assert "--set train.warm_restarts=2 adds a cosine cycle over the new epochs" in message
    assert "warm_restarts=" not in problem(stopped, configure(train__epochs=4))
    assert "it has already trained 2 epochs" in problem(finished, configure(train__epochs=1))
    message = problem(finished, configure(train__epochs=4, train__learning_rate=0.2, train__warm_restarts=2))
    assert "train.learning_rate is 0.2, was 0.1" in message
    assert "cosine" not in message


def test_a_run_that_patience_ended_stays_finished_with_more_epochs(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr("tagger.training.loop._mean_score", lambda dev: 0.5)
    own = {"train__schedule": "constant", "train__patience": 1}
    train(corpus, tmp_path / "m", configure(train__epochs=4, **own))
    (record,) = train(corpus, tmp_path / "m", configure(train__epochs=8, **own), resume=True)
    assert record.is_finished
    assert len(record.earlier) == 2


def test_the_cosine_schedule_restarts_after_each_warm_restart():
    config = configure(train__epochs=9, train__warm_restarts="2,6").train
    assert [cosine_cycle(config, epoch) for epoch in range(1, 10)] == (
        [(0, 2)] * 2 + [(2, 6)] * 4 + [(6, 9)] * 3
    )
    for begin, end in ((0, 2), (2, 6), (6, 9)):
        alone = configure(train__epochs=end - begin).train
        for epoch, step in ((begin + 1, 1), (begin + 1, 5), (end, 1), (end, 7)):
            rate = learning_rate(config, epoch, step, 7)
            assert rate == pytest.approx(learning_rate(alone, epoch - begin, step, 7), rel=1e-12)


@pytest.mark.parametrize(
    ("restarts", "schedule"), [("9", "cosine"), ("4,2", "cosine"), ("2,2", "cosine"), ("2", "constant")]
)
def test_invalid_warm_restarts_are_an_error(tmp_path, restarts, schedule):
    settings = [f"train.warm_restarts={restarts}", f"train.schedule={schedule}"]
    words = [word for setting in settings for word in ("--set", setting)]
    message = run_error(
        "train", "--train", tmp_path / "t", "--output", tmp_path / "m", "--epochs", "9", *words
    )
    assert message.startswith("settings: train.warm_restarts must be ascending epochs before the last one")


def test_the_command_adds_epochs(corpus, tmp_path):
    words = [
        word for key, value in SIZES.items() if "data" not in key for word in ("--set", f"{key}={value}")
    ]
    words += ["--train", corpus / "train.conll", "--dev", corpus / "dev.conll", "--columns", "token,pos,ner"]
    command = ["train", *words, "--output", tmp_path / "m", "--epochs"]
    assert run(*command, "1")[0] == 0
    offer = re.search(r"--set (train\.warm_restarts=\S+)", run_error(*command, "3", "--resume"))
    code, output, error = run(*command, "3", "--resume", "--set", offer[1])
    assert (code, error) == (0, "")
    assert "resumed   after 1 epochs" in output
    assert "epoch 3/3" in output
