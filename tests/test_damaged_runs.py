"""Damaged checkpoints and runs: an invalid value raises an error that names the file, or has no effect."""

import copy
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import input_error, run, run_error
from safetensors import safe_open
from safetensors.torch import save

from tagger.cli.compare import DEFAULTS
from tagger.config import Config
from tagger.config_loading import load_config
from tagger.errors import InputError
from tagger.experiments.comparison import compare
from tagger.experiments.grid import Request, build_grid, load_data
from tagger.experiments.results import load_run
from tagger.training.checkpoint import CHECKPOINT, load_checkpoint, restore_progress
from tagger.training.optimizers import OPTIMIZERS
from tagger.training.preparation import prepare
from tagger.training.processes import Processes
from tagger.training.progress import Progress
from tagger.training.run import run_training

pytestmark = pytest.mark.slow

SIZES = {
    "data.tasks": "pos,ner",
    "data.columns": "token,pos,ner",
    "model.hidden_size": 3,
    "model.word_size": 3,
    "model.character_size": 3,
    "model.character_hidden": 2,
    "model.context_size": 2,
    "train.batch_size": 9,
    "train.min_steps": 0,
    "train.epochs": 3,
    "train.ema": 0.9,
}


def settings(**changes: object) -> list[str]:
    values = SIZES | {key.replace("__", "."): value for key, value in changes.items()}
    return [word for key, value in values.items() for word in ("--set", f"{key}={value}")]


WRONG = [None, True, "x", -1, 0.5, 10**400, [[]], {"x": None}, float("nan")]
KeyPath = tuple[str | int, ...]


def key_paths(value: Any, key_path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the key path of each JSON value; for lists only of the first and the last item."""
    yield key_path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from key_paths(inner, (*key_path, key))
    elif isinstance(value, list):
        for number in {0, len(value) - 1} & {*range(len(value))}:
            yield from key_paths(value[number], (*key_path, number))


def damaged(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield descriptions and copies of a JSON value, each with one value replaced or missing."""
    for key_path in key_paths(value):
        for wrong in WRONG:
            changed = {"root": copy.deepcopy(value)}
            inner: Any = changed
            *parents, last = ("root", *key_path)
            for key in parents:
                inner = inner[key]
            if inner[last] == wrong and type(inner[last]) is type(wrong):
                continue
            inner[last] = wrong
            yield f"{key_path} = {wrong!r:.20}", changed["root"]
        if key_path:
            changed = copy.deepcopy(value)
            inner = changed
            for key in key_path[:-1]:
                inner = inner[key]
            del inner[key_path[-1]]
            yield f"without {key_path}", changed


def require_one_line(error: InputError, path: Path) -> None:
    assert str(error).startswith(f"{path}: ")
    assert str(error).isprintable()
    assert "damaged (" not in str(error) or len(str(error)) < 300 + len(str(path))


def configure(**changes: object) -> Config:
    return load_config(None, {**SIZES, **changes})


@pytest.fixture(scope="module", params=OPTIMIZERS)
def stopped(corpus, request, tmp_path_factory) -> tuple[Config, Path]:
    """The folder of a run that stopped in its second epoch."""
    folder, calls = tmp_path_factory.mktemp("stopped"), iter(range(100))
    config = configure(**{"train.optimizer": request.param})
    files = {"train_files": [corpus / "train.conll"], "dev_files": [corpus / "dev.conll"]}
    list(run_training(config, folder, **files, is_stopped=lambda: next(calls) == 5))
    return config, folder


def read(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    with safe_open(path, framework="pt") as file:
        return file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def with_state(content: bytes, state: object) -> bytes:
    """Return a checkpoint's bytes with other JSON values; much faster than to save its tensors again."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"]["state"] = json.dumps(state)
    changed = json.dumps(header).encode()
    changed += b" " * (-len(changed) % 8)  # tensors are aligned
    return len(changed).to_bytes(8, "little") + changed + content[8 + size :]


def test_each_damaged_value_of_a_checkpoint(corpus, stopped, tmp_path):
    config, folder = stopped
    if config.train.optimizer != "sgd":
        return  # the JSON values have the same types
    tmp_path = shutil.copytree(folder, tmp_path / "m")
    content = (folder / CHECKPOINT).read_bytes()
    state = json.loads(read(folder / CHECKPOINT)[0]["state"])
    preparation = prepare(config, [corpus / "train.conll"], [corpus / "dev.conll"], None)
    progress, path = Progress(preparation, config, Processes()), tmp_path / CHECKPOINT
    passed, count = [], 0
    for what, changed in damaged(state):
        count += 1
        path.write_bytes(with_state(content, changed))
        try:
            checkpoint = load_checkpoint(tmp_path)
            if checkpoint.snapshot:
                restore_progress(progress, checkpoint.snapshot, tmp_path)
        except InputError as error:
            require_one_line(error, path)
            continue
        passed.append((what, path.read_bytes()))
    assert count > 900
    assert len(passed) < 0.12 * count, [what for what, _ in passed]
    for what, accepted in passed[:: len(passed) // 20 + 1]:  # training from these must succeed
        path.write_bytes(accepted)
        if any(key in what for key in ("'run'", "is_finished")):
            continue
        files = {"train_files": [corpus / "train.conll"], "dev_files": [corpus / "dev.conll"]}
        assert list(run_training(config, tmp_path, **files, resume=True)), what


def changes_of(tensor: torch.Tensor) -> Iterator[torch.Tensor | None]:
    yield None
    yield tensor.to(torch.float16 if tensor.dtype != torch.float16 else torch.int32)
    yield tensor[None]
    yield torch.cat([tensor.flatten(), tensor.flatten()[:1]])
    if tensor.is_floating_point():
        yield torch.full_like(tensor, torch.nan)


def test_each_damaged_tensor_of_a_checkpoint(corpus, stopped, tmp_path):
    config, folder = stopped
    metadata, tensors = read(folder / CHECKPOINT)
    preparation = prepare(config, [corpus / "train.conll"], [corpus / "dev.conll"], None)
    progress, path, cases = Progress(preparation, config, Processes()), tmp_path / CHECKPOINT, 0
    others = [{**tensors, "model.other": torch.ones(1)}, {**tensors, "x\n": torch.ones(1)}]
    others += [{**tensors, "random.0": torch.ones_like(tensors["random.0"])}]
    if "optimizer.rows.last_step" in tensors:
        others += [
            {**tensors, "optimizer.rows.last_step": torch.full_like(tensors["optimizer.rows.last_step"], n)}
            for n in (-1, 10**9)
        ]
    for name, tensor in tensors.items():
        for changed in changes_of(tensor):
            rest = {key: value for key, value in tensors.items() if key != name}
            others.append(rest if changed is None else {**rest, name: changed})
    for changed in others:
        path.write_bytes(save({name: one.contiguous() for name, one in changed.items()}, metadata))
        cases += 1
        with pytest.raises(InputError) as error:
            restore_progress(progress, load_checkpoint(tmp_path).snapshot, tmp_path)
        require_one_line(error.value, path)
    assert cases > 150


def replace_value(path: Path, key_path: KeyPath, value: object) -> None:
    state = json.loads(read(path)[0]["state"])
    inner = state
    for key in key_path[:-1]:
        inner = inner[key]
    inner[key_path[-1]] = value
    path.write_bytes(with_state(path.read_bytes(), state))


DAMAGES: list[Callable[[Path], object]] = [
    lambda path: replace_value(path, ("epochs", 0, "loss"), "much\n\x1b[31m"),
    lambda path: replace_value(path, ("progress", "epoch"), 7),
    lambda path: replace_value(path, ("progress", "generator", "state", "state"), -1),
    lambda path: path.write_bytes(path.read_bytes()[:-100]),
    lambda path: path.write_bytes(save({}, {"format": "tagger checkpoint 3", "state": "[" * 100_000})),
    lambda path: (path.unlink(), path.mkdir()),
    lambda path: (path.unlink(), os.mkfifo(path)),
]


@pytest.mark.parametrize("number", range(len(DAMAGES)))
def test_the_command_names_a_damaged_checkpoint(corpus, stopped, tmp_path, number):
    config, folder = stopped
    path = tmp_path / CHECKPOINT
    path.write_bytes((folder / CHECKPOINT).read_bytes())
    DAMAGES[number](path)
    files = ["--train", corpus / "train.conll", "--dev", corpus / "dev.conll", "--output", tmp_path]
    options = settings(train__optimizer=config.train.optimizer)
    error = input_error("train", *files, *options, "--resume")
    assert (error.code, error.where) == ("run.damaged", str(path))
    assert error.message.endswith("). Train again with --restart.")


@pytest.fixture(scope="module", params=["ner", "pos"])
def finished(corpus, request, tmp_path_factory) -> tuple[Request, Path]:
    """A comparison of one run, and the run's file."""
    output = tmp_path_factory.mktemp("finished")
    comparison = Request(
        config=load_config(None, {**SIZES, "data.tasks": request.param}, defaults=DEFAULTS),
        train_files=[corpus / "train.conll"],
        dev_files=[corpus / "dev.conll"],
        test_files=[corpus / "dev.conll"],
        vectors_file=None,
        variants=build_grid(("bidirectional",), ("sum",), ("softmax",)),
        seeds=1,
        match="hidden",
        lookaheads=(1, None),
        output=output,
    )
    list(compare(comparison))
    (path,) = (output / "runs").iterdir()
    return comparison, path


def test_each_damaged_value_of_a_comparison_run(finished):
    comparison, path = finished
    content = path.read_bytes()
    data = load_data(comparison)
    (job,) = data.jobs()
    passed, count = [], 0
    try:
        for what, changed in damaged(json.loads(content)):
            count += 1
            path.write_text(json.dumps(changed))
            try:
                load_run(job, data)
            except InputError as error:
                require_one_line(error, path)
                continue
            passed.append((what, path.read_bytes()))
        assert count > 600
        assert len(passed) < 0.15 * count, [what for what, _ in passed]
        for _, changed in passed[:: len(passed) // 10 + 1]:  # building the pages from these must succeed
            path.write_bytes(changed)
            list(compare(comparison))
    finally:
        path.write_bytes(content)


def test_the_command_names_a_damaged_run(finished):
    comparison, path = finished
    content = path.read_bytes()
    named = {
        "--train": comparison.train_files, "--dev": comparison.dev_files, "--test": comparison.test_files
    }  # fmt: skip
    files = [word for option, paths in named.items() for path in paths for word in (option, path)]
    grid = ["--directions", "bidirectional", "--merge-modes", "sum", "--heads", "softmax", "--seeds", "1"]
    small = settings(data__tasks=comparison.config.data.tasks[0])
    command = ["compare", *files, *small, "--lookahead", "1,full", *grid, "--output", comparison.output]
    try:
        code, _, error = run(*command)
        assert (code, error) == (0, "")
        for damage in (
            "{",
            content.decode().replace('"seed":1', '"seed":"1"'),
            content.decode()[:-9],
            "[" * 9999,
        ):
            path.write_text(damage)
            message = run_error(*command)
            assert message.startswith(f"{path}: the run is damaged (")
            assert message.endswith("). Delete the file to train this run again.")
    finally:
        path.write_bytes(content)
