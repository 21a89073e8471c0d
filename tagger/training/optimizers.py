"""The optimizers of ``train.optimizer``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tagger.config import OptimizerKind, TrainConfig
from tagger.features.vocab import UNKNOWN
from tagger.network.model import TaggingModel
from tagger.training.rowwise_sgd import ROWS, SPAN, RowwiseSGD

Optimizer = torch.optim.Optimizer
Shape = tuple[torch.dtype, list[int]]


def _make_sgd(model: TaggingModel, config: TrainConfig) -> Optimizer:
    """Build SGD; row-wise for the word vectors, unless weight decay changes every row in each step."""
    if config.weight_decay:
        return torch.optim.SGD(
            model.parameters(),
            lr=config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            fused=True,
        )
    words = model.words.trainable
    words.sparse = True
    others = [parameter for parameter in model.parameters() if parameter is not words.weight]
    return RowwiseSGD(others, words.weight, lr=config.learning_rate, momentum=config.momentum)


def _make_adamw(model: TaggingModel, config: TrainConfig) -> Optimizer:
    """Build AdamW, without weight decay on biases and embeddings."""
    tables = [module for module in model.modules() if isinstance(module, torch.nn.Embedding)]
    embeddings = {id(table.weight) for table in tables}
    decayed: list[Tensor] = []
    plain: list[Tensor] = []
    for parameter in model.parameters():
        is_plain = parameter.dim() < 2 or id(parameter) in embeddings
        (plain if is_plain else decayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)


OPTIMIZERS: dict[OptimizerKind, Callable[[TaggingModel, TrainConfig], Optimizer]] = {
    "sgd": _make_sgd,
    "adamw": _make_adamw,
}


def make_optimizer(model: TaggingModel, config: TrainConfig) -> Optimizer:
    """Build the optimizer for all weights of a model."""
    return OPTIMIZERS[config.optimizer](model, config)


def parameters_of(optimizer: Optimizer) -> list[Tensor]:
    """Return the weights that the next step updates; of the table of row-wise SGD, only gathered rows."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def dense_parameters(optimizer: Optimizer) -> list[Tensor]:
    """Return the weights that every step updates as a whole."""
    groups = optimizer.param_groups[:1] if isinstance(optimizer, RowwiseSGD) else optimizer.param_groups
    return [parameter for group in groups for parameter in group["params"]]


def begin_step(optimizer: Optimizer, word_ids: NDArray[np.int64]) -> None:
    """Clear all gradients, and bring the vectors of a batch's words up to date."""
    optimizer.zero_grad()
    if isinstance(optimizer, RowwiseSGD):
        optimizer.gather(np.append(word_ids, UNKNOWN))  # word dropout may replace any word by UNK


def flush(optimizer: Optimizer) -> None:
    """Bring all weights up to date, before they are evaluated or saved."""
    if isinstance(optimizer, RowwiseSGD):
        optimizer.flush()


def expected_state(optimizer: Optimizer, actual: Mapping[str, Tensor]) -> dict[str, Shape]:
    """Compute types and shapes of the optimizer's state after at least one step.

    Args:
        optimizer: A new optimizer.
        actual: State tensors by ``number.slot``; the number of steps in them determines some shapes.
    """
    kind = torch.optim.SGD if isinstance(optimizer, RowwiseSGD) else type(optimizer)
    probe = torch.zeros(2, 3, requires_grad=True)
    probe.grad = torch.zeros_like(probe)
    accepted = inspect.signature(kind).parameters  # not all defaults are arguments
    trial = kind([probe], **{name: value for name, value in optimizer.defaults.items() if name in accepted})
    trial.step()
    expected: dict[str, Shape] = {}
    for number, parameter in enumerate(dense_parameters(optimizer)):
        for slot, tensor in trial.state[probe].items():
            if tensor is not None:
                shape = parameter.shape if tensor.shape == probe.shape else tensor.shape
                expected[f"{number}.{slot}"] = (tensor.dtype, list(shape))
    for slot, tensor in optimizer.state_dict()["state"].get(ROWS, {}).items():
        shape = list(tensor.shape)
        name = f"{ROWS}.{slot}"
        if slot == "coefficients" and name in actual:
            shape = [4, max(1, min(SPAN, *actual[name].shape[-1:]))]
        expected[name] = (tensor.dtype, shape)
    return expected
