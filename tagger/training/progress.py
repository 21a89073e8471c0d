"""Mutable training state: everything a checkpoint must save to resume a run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tagger.bundle import Bundle
from tagger.config import Config, TrainConfig
from tagger.network.model import TaggingModel
from tagger.training.average import WeightAverage
from tagger.training.costs import make_costs
from tagger.training.preparation import Preparation
from tagger.training.processes import Processes
from tagger.training.schema import require_equal
from tagger.training.sparse_sgd import SPAN, LazyRows

_COUNTERS = (
    "epoch",
    "step",
    "loss_sum",
    "sentences",
    "tokens",
    "seconds",
    "epochs_without_gain",
    "is_finished",
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A copy of the training state.

    Attributes:
        tensors: Weights, their moving average, the optimizer state, and torch's random state of each process.
        values: All other state, as JSON values.
    """

    tensors: Mapping[str, Tensor]
    values: Mapping[str, Any]


class Progress:
    """The model, its optimizer and the training counters; the caller's torch random state is not changed.

    Args:
        preparation: The data.
        config: Options of the model and its training.
        processes: The training processes.

    Attributes:
        model: The network.
        costs: Costs of wrong tags in the loss, by task (see ``costs.make_costs``).
        rows: Lazy update of the word embeddings, or None if the optimizer updates them; rows that no batch
            needs are out of date until the end of the epoch.
        parameters: The weights that the optimizer updates.
        optimizer: The optimizer.
        average: The moving average of the weights, or None.
        generator: Random generator for batches, casings, lookaheads and the words replaced by UNK.
        order_state: The generator's state at the beginning of the current epoch.
        random_state: torch's random state on the CPU (GPU states are not saved).
        epoch: The current epoch, from 1.
        step: Steps done in the current epoch.
        loss_sum: Sum of the losses of its sentences so far.
        sentences: Its sentences so far.
        tokens: Its tokens so far.
        seconds: Its training time so far.
        best: The best dev score so far.
        epochs_without_gain: Epochs since the best dev score.
        is_finished: True if training is over.
    """

    def __init__(self, preparation: Preparation, config: Config, processes: Processes) -> None:
        self.processes = processes
        self._threads = config.train.threads
        callers_state = torch.get_rng_state()
        self.model = build_model(preparation, config).to(processes.device)
        if processes.count > 1:  # each process draws its own dropout masks
            torch.manual_seed(config.train.seed + sum(processes.share(range(processes.count))))
        self.random_state = torch.get_rng_state()
        torch.set_rng_state(callers_state)
        costs = make_costs(preparation.vocabulary.tasks, preparation.train, config.train)
        self.costs = {name: own.to(processes.device) for name, own in costs.items()}
        self.rows = make_rows(self.model, config.train)
        self.optimizer = make_optimizer(self.model, config.train)
        self.parameters: list[Tensor] = [p for group in self.optimizer.param_groups for p in group["params"]]
        external = []
        if self.rows and self.rows.average is not None:
            external = [(self.model.words.trainable.weight, self.rows.average)]
        ema = config.train.ema
        self.average = WeightAverage(self.parameters, ema, external) if ema else None
        self.generator = np.random.default_rng(config.train.seed)
        self.order_state = self.generator.bit_generator.state
        self.best = -math.inf
        self.epochs_without_gain = 0
        self.is_finished = False
        self.epoch = 0
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Advance to the first step of the next epoch."""
        self.epoch += 1
        self.step = self.sentences = self.tokens = 0
        self.loss_sum = self.seconds = 0.0

    @contextmanager
    def own_torch(self) -> Iterator[None]:
        """Use the run's torch random state and number of threads; restore the caller's on exit."""
        callers_state, callers_threads = torch.get_rng_state(), torch.get_num_threads()
        torch.set_num_threads(self._threads)
        torch.set_rng_state(self.random_state)
        try:
            yield
        finally:
            self.random_state = torch.get_rng_state()
            torch.set_rng_state(callers_state)
            torch.set_num_threads(callers_threads)

    def capture(self) -> Snapshot:
        """Copy the state that ``restore`` needs; all processes must call this at the same step."""
        tensors: dict[str, Tensor] = {
            f"model.{name}": parameter for name, parameter in self.model.named_parameters()
        }
        values: dict[str, Any] = {name: getattr(self, name) for name in _COUNTERS}
        values["best"] = None if math.isinf(self.best) else self.best
        values["generator"] = self.generator.bit_generator.state
        values["order"] = self.order_state
        optimizer_state = self.optimizer.state_dict()["state"]
        for number, slots in optimizer_state.items():
            present = {slot: tensor for slot, tensor in slots.items() if tensor is not None}
            tensors |= {f"optimizer.{number}.{slot}": tensor for slot, tensor in present.items()}
        if self.rows:
            tensors |= {f"rows.{name}": tensor for name, tensor in self.rows.state().items()}
        if self.average:
            tensors |= {f"average.{n}": weight for n, weight in enumerate(self.average.weights)}
            values["average_updates"] = self.average.updates
        for number, state in enumerate(self.processes.gather([self.random_state])):
            tensors[f"random.{number}"] = state
        return Snapshot({name: tensor.detach().cpu() for name, tensor in tensors.items()}, values)

    def restore(self, snapshot: Snapshot) -> None:
        """Restore the state of a run of the same data and config; all processes must call this.

        Args:
            snapshot: The saved state; its ``values`` follow ``schema.SavedProgress``.

        Raises:
            ValueError, RuntimeError: A tensor is missing, has another shape or type, or holds wrong values.
        """
        tensors, values = snapshot.tensors, snapshot.values
        self._require_matching(tensors)
        for name, parameter in self.model.named_parameters():
            parameter.detach().copy_(tensors[f"model.{name}"])
        optimizer_state = {
            number: {slot: tensors[f"optimizer.{number}.{slot}"] for slot in self._slots()}
            for number in range(len(self.parameters))
        }
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": optimizer_state})
        if self.rows:
            own = {name: t for name, t in tensors.items() if name.startswith("rows.")}
            self.rows.load_state({name.removeprefix("rows."): t for name, t in own.items()})
        if self.average:
            if values.get("average_updates") is None:
                raise ValueError("average_updates is missing")
            for number, weight in enumerate(self.average.weights):
                weight.copy_(tensors[f"average.{number}"])
            self.average.updates = values["average_updates"]
        names = self.processes.share([f"random.{n}" for n in range(self.processes.count)])
        torch.Generator().set_state(tensors[names[0]])  # raises RuntimeError if it is not a valid state
        self.random_state = tensors[names[0]]
        self.generator.bit_generator.state = values["generator"]
        self.order_state = values["order"]
        for name in _COUNTERS:
            setattr(self, name, values[name])
        self.best = -math.inf if values["best"] is None else values["best"]

    def _slots(self) -> tuple[str, ...]:
        """Return the names of the optimizer's state tensors for each parameter."""
        if isinstance(self.optimizer, torch.optim.AdamW):
            return "step", "exp_avg", "exp_avg_sq"
        return ("momentum_buffer",) if self.optimizer.defaults["momentum"] else ()

    def _require_matching(self, tensors: Mapping[str, Tensor]) -> None:
        """Check that a snapshot's tensors have the expected names, shapes and types, and finite values.

        Raises:
            ValueError: A tensor is missing, unexpected or has a wrong shape, type or value.
        """
        expected = {name: (t.dtype, list(t.shape)) for name, t in self.capture().tensors.items()}
        for number, parameter in enumerate(self.parameters):
            for slot in self._slots():
                shape = [] if slot == "step" else list(parameter.shape)
                expected[f"optimizer.{number}.{slot}"] = (torch.float32, shape)
        if "rows.course" in expected and "rows.course" in tensors:  # its length depends on the step
            shape = [4, max(1, min(SPAN, *tensors["rows.course"].shape[-1:]))]
            expected["rows.course"] = (torch.float64, shape)
        for name in {**expected, **tensors}:
            tensor = tensors.get(name)
            actual = None if tensor is None else (tensor.dtype, list(tensor.shape))
            require_equal(f"tensor {name}", actual, expected.get(name))
            if tensor is not None and tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                raise ValueError(f"tensor {name} contains NaN or infinity")


def build_model(preparation: Preparation, config: Config) -> TaggingModel:
    """Build the network with initial weights that depend on the seed only; reseeds torch."""
    torch.manual_seed(config.train.seed)
    return TaggingModel(config.model, preparation.vocabulary, preparation.vectors)


def make_bundle(
    preparation: Preparation,
    config: Config,
    weights: Mapping[str, Tensor],
    *,
    metrics: Mapping[str, Any] | None = None,
    card: str = "",
) -> Bundle:
    """Bundle the trained weights, as in ``TaggingModel.state_dict``, with vocabulary and config."""
    return Bundle(
        config=config,
        vocabulary=preparation.vocabulary,
        tokenizer=preparation.tokenizer.settings(),
        tensors={name: tensor.cpu().numpy() for name, tensor in weights.items()},
        metrics=metrics or {},
        card=card,
    )


def make_rows(model: TaggingModel, config: TrainConfig) -> LazyRows | None:
    """Build the lazy update of the word embeddings; None if the optimizer must update every row each step."""
    if config.optimizer != "sgd" or config.weight_decay:
        return None
    model.words.trainable.sparse = True
    return LazyRows(model.words.trainable.weight, config.momentum, is_averaged=bool(config.ema))


def make_optimizer(model: TaggingModel, config: TrainConfig) -> torch.optim.Optimizer:
    """Build the optimizer for all weights except those that ``make_rows`` updates.

    adamw applies no weight decay to biases and embeddings.
    """
    tables = [module for module in model.modules() if isinstance(module, torch.nn.Embedding)]
    lazy = {id(table.weight) for table in tables if table.sparse}
    parameters = [parameter for parameter in model.parameters() if id(parameter) not in lazy]
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            fused=True,
        )
    embeddings = {id(table.weight) for table in tables}
    decayed: list[Tensor] = []
    plain: list[Tensor] = []
    for parameter in parameters:
        is_plain = parameter.dim() < 2 or id(parameter) in embeddings
        (plain if is_plain else decayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)
