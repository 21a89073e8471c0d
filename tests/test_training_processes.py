"""Training in several processes: same result as one process, only rank 0 writes, crashes lose no epoch."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from command_line import run, write_corpus

from tagger.bundle import load_bundle
from tagger.training.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow

TORCHRUN = (
    sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "tagger",
)  # fmt: skip
ACCELERATE = (
    sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
    "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
    "-m", "tagger",
)  # fmt: skip
FORKS = (sys.executable, str(Path(__file__).with_name("forked_ranks.py")), "2")  # starts faster
SIZES = {
    "model.hidden_size": 6,
    "model.word_size": 8,
    "model.character_hidden": 4,
    "model.dropout": 0,
    "model.context_dropout": 0,
    "train.epochs": 1,
    "train.momentum": 0,
    "train.learning_rate": 1,
    "train.clip": 0,
    "train.schedule": "inverse_time",
    "train.ema": 0.0,
    "train.min_steps": 0,
}


def command(corpus: Path, output: Path, *more: str, **changes: object) -> list[str]:
    settings = {**SIZES, **{key.replace("__", "."): value for key, value in changes.items()}}
    files = [
        "--train",
        str(corpus / "train.conll"),
        "--dev",
        str(corpus / "dev.conll"),
        "--output",
        str(output),
    ]
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    return ["train", *files, *words, "--columns", "token,pos,ner", "--task", "pos,ner", *more]


def launch(launcher: tuple[str, ...], words: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run([*launcher, *words], capture_output=True, text=True, timeout=300, check=False)


def launch_to_end(launcher: tuple[str, ...], words: list[str]) -> subprocess.CompletedProcess:
    """Run a command that must succeed; a failure shows what its processes printed."""
    done = launch(launcher, words)
    assert done.returncode == 0, done.stderr
    return done


def tensors(folder: Path) -> dict[str, np.ndarray]:
    return dict(load_bundle(folder).tensors)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.mark.parametrize("launcher", [TORCHRUN, ACCELERATE], ids=["torchrun", "accelerate"])
def test_the_gradient_of_a_batch_equals_that_of_one_process(corpus, tmp_path, launcher):
    """Train one step over all sentences with a learning rate of 1: the weights change by the gradient."""
    sizes = {"train__batch_size": 50, "train__batch_tokens": 100_000}
    done = launch_to_end(launcher, command(corpus, tmp_path / "two", **sizes))
    assert "processes 2" in done.stdout
    assert len(re.findall("^epoch 1/1", done.stdout, re.MULTILINE)) == 1  # only rank 0 prints
    assert run(*command(corpus, tmp_path / "one", **sizes))[0] == 0
    one, two = tensors(tmp_path / "one"), tensors(tmp_path / "two")
    assert one.keys() == two.keys()
    for name, weights in one.items():
        np.testing.assert_allclose(two[name], weights, rtol=1e-4, atol=2e-6, err_msg=name)
    ours, others = ((tmp_path / name / "metrics.jsonl").read_text() for name in ("one", "two"))
    assert ours.count("\n") == others.count("\n") == 1


def test_batches_smaller_than_the_number_of_processes_and_words_replaced_by_unk(corpus, tmp_path):
    changes = {"train__batch_size": 5, "train__epochs": 2, "train__learning_rate": 0.1, "train__ema": 0.5}
    three = command(corpus, tmp_path / "three", **changes)
    launch_to_end((*FORKS[:-1], "3"), three)  # 36 sentences in batches of 5: the last has one
    assert run(*command(corpus, tmp_path / "one", **changes))[0] == 0
    one, many = tensors(tmp_path / "one"), tensors(tmp_path / "three")
    for name, weights in one.items():
        np.testing.assert_allclose(many[name], weights, rtol=1e-3, atol=1e-5, err_msg=name)


def test_documents_of_one_sentence_give_the_same_weights_as_one_process(tmp_path):
    """Most batches repeat no word, so that document context gets no gradient in any process."""
    documents = [f", PUNCT O\nAda{n} PROPN B-PER\n, PUNCT O\n" for n in range(10)]
    documents += ["Mia PROPN B-PER\n, PUNCT O\nMia PROPN B-PER\n"] * 2
    for name in ("train.conll", "dev.conll"):
        (tmp_path / name).write_text("".join(f"-DOCSTART- O O\n\n{one}\n" for one in documents))
    changes = {"train__batch_size": 3, "train__momentum": 0.9, "train__learning_rate": 0.1}
    launch_to_end(FORKS, command(tmp_path, tmp_path / "two", **changes))
    assert run(*command(tmp_path, tmp_path / "one", **changes))[0] == 0
    one, two = tensors(tmp_path / "one"), tensors(tmp_path / "two")
    for name, weights in one.items():
        np.testing.assert_allclose(two[name], weights, rtol=1e-3, atol=1e-5, err_msg=name)


def worker(launcher: int, rank: str) -> psutil.Process:
    children = psutil.Process(launcher).children(recursive=True)
    return next(child for child in children if child.environ().get("RANK") == rank)


def test_a_killed_worker_ends_the_run_with_an_error_and_a_checkpoint(corpus, tmp_path):
    changes = {
        "model__dropout": 0.2,
        "train__epochs": 25,
        "train__batch_size": 4,
        "train__learning_rate": 0.1,
    }
    words = command(corpus, tmp_path / "hurt", **changes)
    with subprocess.Popen(
        [*TORCHRUN, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:  # fmt: skip
        for line in process.stdout:
            if line.startswith("epoch  2/"):
                worker(process.pid, "1").send_signal(signal.SIGKILL)
                break
        _, error = process.communicate(timeout=120)
    assert process.returncode != 0
    assert re.search(
        r"^tagger: Process 0 of 2 lost contact with the others \([^/]*\)\. Check .*--resume",
        error,
        re.MULTILINE,
    )
    checkpoint = load_checkpoint(tmp_path / "hurt")
    assert not checkpoint.is_finished
    assert len(checkpoint.epochs) >= 2
    alone = run(*words, "--resume")
    assert alone[0] == 2
    assert "the number of processes is 1, was 2" in alone[2]
    launch_to_end(FORKS, [*words, "--resume"])
    launch_to_end(FORKS, command(corpus, tmp_path / "whole", **changes))
    hurt, whole = tensors(tmp_path / "hurt"), tensors(tmp_path / "whole")
    for name, weights in whole.items():
        assert np.array_equal(hurt[name], weights), name


def test_a_signal_to_the_launcher_stops_all_processes_and_the_run_can_be_resumed(corpus, tmp_path):
    changes = {"model__dropout": 0.2, "train__epochs": 25, "train__learning_rate": 0.1}
    words = command(corpus, tmp_path, **changes)
    with subprocess.Popen(
        [*TORCHRUN, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:  # fmt: skip
        output = ""
        for line in process.stdout:
            output += line
            if line.startswith("epoch  2/"):
                process.send_signal(signal.SIGTERM)
        process.stderr.read()
    assert re.search(
        r"^stopped after step \d of epoch \d+; .* run the same command with --resume", output, re.MULTILINE
    )
    launch_to_end(FORKS, [*words, "--resume"])
    assert load_checkpoint(tmp_path).is_finished
