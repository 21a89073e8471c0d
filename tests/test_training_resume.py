"""Resumed runs: an interrupted and resumed run gives the same result as an uninterrupted one."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from command_line import options, run, run_error
from input_errors import check

from tagger.bundle import FILES, load_bundle
from tagger.config import Config
from tagger.config_loading import load_config
from tagger.errors import InputError
from tagger.training.checkpoint import CHECKPOINT, FORMAT, Checkpoint, load_checkpoint, save_checkpoint
from tagger.training.loop import EpochRecord, StepRecord
from tagger.training.optimizers import OPTIMIZERS
from tagger.training.prediction import score_split
from tagger.training.run import DataRecord, StopRecord, run_training

pytestmark = pytest.mark.slow

COLUMNS = ("--columns", "token,pos,ner", "--task", "pos,ner")
WEIGHTS = "model.safetensors"
# Options that involve all training state: momentum, moving average, words replaced by UNK, casings,
# lookaheads, schedule, dropout, patience, and the order of several passes in an epoch.
CHANGES = {
    "data.tasks": ("pos", "ner"),
    "data.columns": "token,pos,ner",
    "model.hidden_size": 8,
    "model.word_size": 8,
    "model.character_hidden": 4,
    "model.word_dropout": 0.1,
    "train.epochs": 3,
    "train.batch_size": 4,
    "train.min_steps": 10,
    "train.learning_rate": 0.1,
    "train.schedule": "cosine",
    "train.ema": 0.9,
    "train.patience": 2,
    "train.case_augmentation": 0.3,
    "train.lookahead": "random",
}


def configure(**changes: object) -> Config:
    return load_config(None, {**CHANGES, **{key.replace("__", "."): value for key, value in changes.items()}})


def train(corpus: Path, output: Path, config: Config, **options: object) -> Iterator[object]:
    files = {"train_files": [corpus / "train.conll"], "dev_files": [corpus / "dev.conll"]}
    return run_training(config, output, **files, **options)


def command(corpus: Path, output: Path, *more: str) -> list[str]:
    files = ("--train", corpus / "train.conll", "--dev", corpus / "dev.conll", "--output", output)
    return ["train", *options({"train.ema": 0.9}), *COLUMNS, *map(str, files), *more]


def scores(folder: Path) -> list[dict]:
    """Read the lines of metrics.jsonl without timings."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if "second" not in key} for line in lines]


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory) -> Path:
    """The folder of an uninterrupted run of ``command``."""
    folder = tmp_path_factory.mktemp("whole")
    assert run(*command(corpus, folder))[0] == 0
    return folder


@pytest.mark.parametrize(
    ("optimizer", "stride", "changes"),
    [
        *product(OPTIMIZERS, [1, 4, 9, 13], [{}]),
        ("sgd", 9, {"model__linear": True, "train__lookahead": "full"}),
    ],
)
def test_a_stopped_and_resumed_run_gives_the_same_result(corpus, tmp_path, optimizer, stride, changes):
    config = configure(train__optimizer=optimizer, **changes)
    list(train(corpus, tmp_path / "whole", config))
    calls = 0

    def is_stopped() -> bool:
        nonlocal calls
        calls += 1
        return calls % stride == 0

    output, is_finished, stops = tmp_path / "resumed", False, 0
    while not is_finished:
        last = list(train(corpus, output, config, resume=True, is_stopped=is_stopped))[-1]
        is_finished = not isinstance(last, StopRecord)
        stops += not is_finished
    assert stops >= 2
    assert (output / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()
    assert (output / "config.json").read_bytes() == (tmp_path / "whole" / "config.json").read_bytes()
    assert load_bundle(output).temperatures.keys() == {"pos", "ner"}
    assert scores(output) == scores(tmp_path / "whole")


def test_the_records_have_the_step_where_a_run_stopped_and_resumed(corpus, tmp_path):
    steps = 0

    def is_stopped() -> bool:
        nonlocal steps
        steps += 1
        return steps == 22  # two passes of nine steps and an epoch before: the third step of the second epoch

    stopped = list(train(corpus, tmp_path, configure(), is_stopped=is_stopped))
    assert stopped[-1] == StopRecord(epoch=2, step=3)
    assert (stopped[0].earlier, stopped[0].step, stopped[0].is_finished) == ((), 0, False)
    resumed = list(train(corpus, tmp_path, configure(), resume=True))
    first = resumed[0]
    assert isinstance(first, DataRecord)
    assert [(record.epoch, record.weights) for record in first.earlier] == [(1, None)]
    assert (first.step, first.is_finished) == (3, False)
    assert isinstance(resumed[1], StepRecord)
    assert (resumed[1].epoch, resumed[1].step) == (2, 4)
    again = list(train(corpus, tmp_path, configure(), resume=True))
    assert len(again) == 1
    assert again[0].is_finished
    assert len(again[0].earlier) == 3


def test_an_error_lists_changed_settings_and_corpora(corpus, tmp_path):
    list(train(corpus, tmp_path / "m", configure(), is_stopped=lambda: True))
    before = (tmp_path / "m" / CHECKPOINT).read_bytes()
    other = tmp_path / "other"
    other.mkdir()
    (other / "train.conll").write_bytes((corpus / "train.conll").read_bytes() + b"Ada PROPN B-PER\n\n")
    (other / "dev.conll").write_bytes((corpus / "dev.conll").read_bytes())
    with pytest.raises(InputError) as error:
        list(train(other, tmp_path / "m", configure(train__learning_rate=0.2, model__layers=2), resume=True))
    assert (error.value.code, error.value.option) == ("run.mismatch", "--restart")
    message = error.value.message
    assert "train.learning_rate is 0.2, was 0.1" in message
    assert "model.layers is 2, was 1" in message
    assert re.search(r"the train split is 37 sentences \(\w+\), was 36 sentences \(\w+\)", message)
    assert "dev split" not in message
    assert (tmp_path / "m" / CHECKPOINT).read_bytes() == before
    # Options without an effect on the weights may change.
    watched = configure(train__checkpoint_minutes=1)
    assert list(train(corpus, tmp_path / "m", watched, resume=True))


def test_a_run_of_a_version_with_fewer_options_can_be_resumed(corpus, tmp_path):
    """An option that its checkpoint lacks had its default; another value is an error."""
    list(train(corpus, tmp_path, configure(), is_stopped=lambda: True))
    checkpoint = load_checkpoint(tmp_path)
    run = {name: value for name, value in checkpoint.run.items() if name != "train.soft_weight"}
    save_checkpoint(replace(checkpoint, run=run), tmp_path)
    with pytest.raises(InputError) as error:
        list(train(corpus, tmp_path, configure(train__soft_weight=0.5), resume=True))
    change = "train.soft_weight is 0.5, was 1"
    check(error.value, "run.mismatch", file=tmp_path, option="--restart", mentions=change)
    assert list(train(corpus, tmp_path, configure(), resume=True))


def test_a_run_can_be_resumed_with_a_moved_corpus(corpus, tmp_path):
    list(train(corpus, tmp_path / "m", configure(), is_stopped=lambda: True))
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("train.conll", "dev.conll"):
        (moved / name).write_bytes((corpus / name).read_bytes())
    assert isinstance(list(train(moved, tmp_path / "m", configure(), resume=True))[-1], EpochRecord)


def test_an_unfinished_run_is_not_overwritten_without_a_flag(corpus, tmp_path):
    list(train(corpus, tmp_path, configure(), is_stopped=lambda: True))
    before = (tmp_path / CHECKPOINT).read_bytes()
    with pytest.raises(InputError, match="0 epochs") as error:
        list(train(corpus, tmp_path, configure()))
    assert (error.value.code, error.value.where) == ("run.exists", str(tmp_path))
    assert error.value.option == "--resume"
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    assert isinstance(list(train(corpus, tmp_path, configure(), resume=False))[-1], EpochRecord)
    assert load_checkpoint(tmp_path).is_finished
    with pytest.raises(InputError, match=r"train\.epochs is 5, was 3.*train\.warm_restarts=3") as error:
        list(train(corpus, tmp_path, configure(train__epochs=5), resume=True))
    assert error.value.code == "run.mismatch"
    # A finished run may be replaced without a flag.
    assert isinstance(list(train(corpus, tmp_path, configure()))[-1], EpochRecord)


def test_resuming_without_a_checkpoint(corpus, model, tmp_path):
    assert isinstance(list(train(corpus, tmp_path, configure(), resume=True))[-1], EpochRecord)
    for name in FILES:
        (tmp_path / "old" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "old" / name).write_bytes((model / name).read_bytes())
    with pytest.raises(InputError) as error:
        list(train(corpus, tmp_path / "old", configure(), resume=True))
    assert (error.value.code, error.value.option) == ("run.exists", "--resume")


def test_a_checkpoint_loads_as_saved_or_raises_an_error(tmp_path):
    assert load_checkpoint(tmp_path) is None
    epoch = {"epoch": 1, "loss": 0.1, "learning_rate": 1e-3, "seconds": 1.5, "tokens_per_second": 9.5}
    epoch |= {"score": None, "is_best": True, "dev": {}}
    saved = Checkpoint({"train.seed": "1"}, [epoch], None, is_finished=True)
    save_checkpoint(saved, tmp_path)
    assert load_checkpoint(tmp_path) == saved
    content = (tmp_path / CHECKPOINT).read_bytes()
    for length in range(len(content)):
        (tmp_path / CHECKPOINT).write_bytes(content[:length])
        with pytest.raises(InputError) as error:
            load_checkpoint(tmp_path)
        assert (error.value.code, error.value.where) == ("run.damaged", str(tmp_path / CHECKPOINT))
    (tmp_path / CHECKPOINT).write_bytes(content.replace(FORMAT.encode(), b"tagger checkpoint 9"))
    with pytest.raises(InputError, match=r"format .*tagger checkpoint 3") as error:
        load_checkpoint(tmp_path)
    assert error.value.code == "run.damaged"


def test_runs_killed_anywhere_and_resumed_end_with_the_same_weights(corpus, whole, tmp_path):
    jobs, folders = [], [tmp_path / name for name in ("one", "two", "three")]
    for kind, seed, folder in zip(("writes", "writes", "moments"), (1, 2, 3), folders, strict=True):
        folder.mkdir()
        words = command(corpus, folder, "--set", "train.checkpoint_minutes=0.000001", "--resume")
        jobs.append(json.dumps([kind, seed, str(folder), *words]))
    program = [sys.executable, str(Path(__file__).with_name("broken_off.py")), *jobs]
    done = subprocess.run(program, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    deaths = json.loads(done.stdout.splitlines()[-1])
    assert all(count >= least for count, least in zip(deaths, (5, 5, 1), strict=True)), deaths
    for folder in folders:
        assert load_bundle(folder).temperatures == load_bundle(whole).temperatures != {}
        assert (folder / WEIGHTS).read_bytes() == (whole / WEIGHTS).read_bytes(), folder
        assert scores(folder) == scores(whole)
        left = {path.name for path in folder.iterdir() if not path.name.startswith(".saving-")}
        assert left == {path.name for path in whole.iterdir()}


@pytest.mark.parametrize("more", [(), ("--resume",), ("--restart",)], ids=str)
def test_a_second_run_in_a_folder_is_an_error_while_the_first_one_runs(corpus, tmp_path, more):
    words, link = command(corpus, tmp_path / "m", *more), tmp_path / "link"
    link.symlink_to(tmp_path / "m")
    first = train(corpus, tmp_path / "m", configure())
    next(first)
    for output in (tmp_path / "m", link):
        message = run_error(*command(corpus, output, *more))
        assert message == (
            f"{output}: another process is writing to this folder. Wait until it ends, or name another "
            "folder with --output."
        )
    first.close()
    assert run(*words)[0] == 0


def test_a_folder_is_released_when_its_process_is_killed(corpus, whole, tmp_path):
    words = [sys.executable, "-u", "-m", "tagger", *command(corpus, tmp_path, "--epochs", "100000")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("epoch "):
                break
        assert "another process" in run_error(*command(corpus, tmp_path, "--restart"))
        process.kill()
    assert run(*command(corpus, tmp_path, "--restart"))[0] == 0
    assert (tmp_path / WEIGHTS).read_bytes() == (whole / WEIGHTS).read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_after_the_step_and_says_how_to_resume(corpus, whole, tmp_path, number):
    words = [sys.executable, "-u", "-m", "tagger", *command(corpus, tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        output = ""
        for line in process.stdout:
            output += line
            if line.startswith("epoch 1/"):
                process.send_signal(number)
        error = process.stderr.read()
    assert (process.returncode, error) == (128 + number, "")
    last = output.splitlines()[-1]
    assert re.fullmatch(
        rf"stopped after step \d of epoch [23]; {re.escape(str(tmp_path))} holds the model of epoch \d; "
        r"run the same command with --resume to continue",
        last,
    )
    code, output, _ = run(*command(corpus, tmp_path, "--resume"))
    assert code == 0
    assert re.search(r"^resumed   after [12] epochs and \d steps$", output, re.MULTILINE)
    assert (tmp_path / WEIGHTS).read_bytes() == (whole / WEIGHTS).read_bytes()
    code, output, _ = run(*command(corpus, tmp_path, "--resume"))
    assert code == 0
    assert "finished  after 3 epochs: nothing to do" in output


def test_a_signal_during_evaluation_on_dev_stops_after_the_epoch(corpus, whole, tmp_path, monkeypatch):
    def interrupted(*arguments: object) -> object:
        os.kill(os.getpid(), signal.SIGINT)
        return score_split(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("tagger.training.loop.score_split", interrupted)
        code, output, error = run(*command(corpus, tmp_path))
    assert (code, error) == (130, "")
    assert output.splitlines()[-1].startswith(
        f"stopped after epoch 1; {tmp_path} holds the model of epoch 1;"
    )
    assert run(*command(corpus, tmp_path, "--resume"))[0] == 0
    assert (tmp_path / WEIGHTS).read_bytes() == (whole / WEIGHTS).read_bytes()


def test_an_interruption_during_preparation_leaves_the_folder_unchanged(corpus, whole, tmp_path, monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for path in whole.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr("tagger.training.run.prepare", interrupt)
    code, output, error = run(*command(corpus, tmp_path, "--seed", "5"))
    assert (code, error) == (130, "")
    assert output == f"interrupted before the first step; {tmp_path} is unchanged\n"
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in whole.iterdir()}
    assert all((tmp_path / path.name).read_bytes() == path.read_bytes() for path in whole.iterdir())


def test_a_full_disk_leaves_the_earlier_model_intact(corpus, whole, tmp_path):
    for path in whole.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    before = load_bundle(tmp_path)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))  # bytes; simulates a full disk

    words = [sys.executable, "-m", "tagger", *command(corpus, tmp_path, "--seed", "5")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, preexec_fn=limit)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert re.search(r"cannot be written \(File too large\)\. Free space", done.stderr)
    after = load_bundle(tmp_path)
    assert after.config == before.config
    assert (tmp_path / WEIGHTS).read_bytes() == (whole / WEIGHTS).read_bytes()
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert run(*command(corpus, tmp_path, "--seed", "5", "--resume"))[0] == 0
    assert load_bundle(tmp_path).config.train.seed == 5


@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), InputError("cannot be written", code="file.unwritable", where="m")],
    ids=repr,
)
def test_a_run_can_be_resumed_if_its_first_model_was_not_written(corpus, tmp_path, monkeypatch, error):
    list(train(corpus, tmp_path / "whole", configure()))

    def interrupt(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("tagger.training.run_folder.save_bundle", interrupt)
        with pytest.raises(type(error)):
            list(train(corpus, tmp_path / "m", configure()))
    assert [path.name for path in (tmp_path / "m").iterdir()] == [CHECKPOINT]
    list(train(corpus, tmp_path / "m", configure(), resume=True))
    assert (tmp_path / "m" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()


def test_the_first_error_takes_precedence(corpus, tmp_path, monkeypatch):
    def fail(name: str) -> Callable[..., None]:
        def write(*_: object) -> None:
            raise InputError("cannot be written.", code="file.unwritable", where=name)

        return write

    monkeypatch.setattr("tagger.training.run_folder.write_whole", fail("metrics"))
    monkeypatch.setattr("tagger.training.run_folder.draw_curves", fail("curves"))
    with pytest.raises(InputError, match="metrics"):
        list(train(corpus, tmp_path, configure()))
    assert load_bundle(tmp_path).metrics["epoch"] == 1


def test_a_full_disk_leaves_the_earlier_checkpoint_intact(tmp_path, monkeypatch):
    save_checkpoint(Checkpoint({"train.seed": "1"}), tmp_path)

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(InputError, match="No space left"):
        save_checkpoint(Checkpoint({"train.seed": "2"}), tmp_path)
    assert load_checkpoint(tmp_path).run == {"train.seed": "1"}
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]
