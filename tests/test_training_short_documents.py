"""Training on documents of one short sentence: some parameters get no gradient in the first steps."""

from itertools import product
from pathlib import Path

import pytest
import torch
from command_line import run

from tagger.config import Config
from tagger.config_loading import load_config
from tagger.training.loop import EpochRecord, train
from tagger.training.optimizers import OPTIMIZERS, dense_parameters, parameters_of
from tagger.training.preparation import Preparation, prepare
from tagger.training.processes import Processes
from tagger.training.progress import Progress
from tagger.training.rowwise_sgd import RowwiseSGD

pytestmark = pytest.mark.slow

SIZES = {
    "data.columns": "token,ner",
    "model.hidden_size": 4,
    "model.word_size": 4,
    "model.character_size": 4,
    "model.character_hidden": 3,
    "model.context_size": 3,
    "train.batch_size": 1,
    "train.epochs": 1,
    "train.min_steps": 0,
}


def configure(**changes: object) -> Config:
    return load_config(None, {**SIZES, **{key.replace("__", "."): value for key, value in changes.items()}})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write twelve documents of one sentence; two repeat a word, one has a single token."""
    documents = [f", O\nAda{n} B-PER\n, O\nOslo{n} B-LOC\n, O" for n in range(9)]
    documents += ["Mia B-PER\n, O\nMia B-PER", "Lima B-LOC\n, O\nLima B-LOC\n, O", "Bonn B-LOC"]
    path = tmp_path_factory.mktemp("short") / "train.conll"
    path.write_text("".join(f"-DOCSTART- O\n\n{document}\n\n" for document in documents))
    return path


def finish(config: Config, corpus: Path) -> tuple[EpochRecord, Progress, Preparation]:
    preparation = prepare(config, [corpus], [], None)
    progress = Progress(preparation, config, Processes())
    *_, last = train(preparation, config, progress)
    assert isinstance(last, EpochRecord)
    return last, progress, preparation


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("head", ["crf", "softmax"])
@pytest.mark.parametrize("context", ["document", "sentence"])
@pytest.mark.parametrize("options", [
    {},
    {"train__momentum": 0},
    {"train__weight_decay": 0.01},
    {"train__case_augmentation": 0.5},
    {"train__clip": 0},
    {"model__characters": "lstm"},
    {"model__characters": "none"},
    {"model__direction": "forward"},
    {"model__direction": "backward"},
    {"model__merge_mode": "sum", "model__layers": 2},
    {"train__lookahead": "random", "model__context": "sentence"},
], ids=str)  # fmt: skip
def test_every_configuration_trains_on_documents_of_one_sentence(corpus, optimizer, head, context, options):
    chosen = {"train__optimizer": optimizer, "model__head": head, "model__context": context} | options
    record, progress, _ = finish(configure(**chosen), corpus)
    assert record.epoch == 1
    assert all(parameter.grad is not None for parameter in dense_parameters(progress.optimizer))
    assert all(bool(weight.isfinite().all()) for weight in record.weights.values())


@pytest.mark.parametrize("seed", range(8))
def test_every_order_of_the_documents_trains(corpus, seed):
    finish(configure(train__seed=seed), corpus)


@pytest.mark.parametrize(("optimizer", "momentum"), list(product(OPTIMIZERS, [0.0, 0.9])))
def test_a_missing_gradient_counts_as_zero(corpus, optimizer, momentum):
    """Compare with torch's unfused optimizer on the same gradients, with zeros for missing ones."""
    config = configure(train__optimizer=optimizer, train__momentum=momentum, train__weight_decay=0.01,
                       train__ema=0.0, train__clip=0)  # fmt: skip
    preparation = prepare(config, [corpus], [], None)
    progress = Progress(preparation, config, Processes())
    parameters = parameters_of(progress.optimizer)
    copies = [parameter.detach().clone() for parameter in parameters]
    groups, left = [], iter(copies)
    for group in progress.optimizer.param_groups:
        own = {key: value for key, value in group.items() if key != "fused"}
        groups.append({**own, "params": [next(left) for _ in group["params"]]})
    kind = type(progress.optimizer)
    plain = (torch.optim.SGD if kind is RowwiseSGD else kind)(groups)
    records = train(preparation, config, progress)
    without_context = 0
    for _ in range(len(preparation.train.rows)):
        next(records)
        without_context += not any(p.grad.any() for p in progress.model.context.parameters())
        for group, own in zip(plain.param_groups, progress.optimizer.param_groups, strict=True):
            group["lr"] = own["lr"]
        for copy, parameter in zip(copies, parameters, strict=True):
            copy.grad = parameter.grad.clone()
        plain.step()
        for copy, parameter in zip(copies, parameters, strict=True):
            torch.testing.assert_close(parameter.detach(), copy, rtol=1e-4, atol=1e-6)
    assert without_context >= 8


def test_a_run_interrupted_at_every_step_ends_with_the_same_weights(corpus):
    config = configure()
    record, _, preparation = finish(config, corpus)
    resumed = Progress(preparation, config, Processes())
    last = next(train(preparation, config, resumed))
    while not isinstance(last, EpochRecord):
        snapshot = resumed.capture()
        resumed = Progress(preparation, config, Processes())
        resumed.restore(snapshot)
        last = next(train(preparation, config, resumed))
    assert all(torch.equal(weight, record.weights[name]) for name, weight in last.weights.items())


def test_the_command_trains_with_default_settings(corpus, tmp_path):
    defaults = {"train.optimizer": "sgd", "train.learning_rate": 0.025, "train.ema": 0.9995}
    changes = {key: value for key, value in SIZES.items() if not key.startswith("data")} | defaults
    words = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    code, _, error = run(
        "train", "--train", corpus, "--columns", "token,ner", "--output", tmp_path / "m", *words
    )
    assert (code, error) == (0, "")
