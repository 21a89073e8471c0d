"""All that changes while a model is trained, so that a run can be broken off and gone on with."""

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
    """The progress of a run at one moment.

    Attributes:
        tensors: Weights, their average, the optimizer's memory, and torch's random numbers of each process.
        values: All else, as JSON values.
    """

    tensors: Mapping[str, Tensor]
    values: Mapping[str, Any]


class Progress:
    """The model, what trains it, and how far it is; the caller's random numbers of torch are left alone.

    Args:
        preparation: The data.
        config: The model and how to train it.
        processes: Those that train it together.

    Attributes:
        model: The network.
        costs: Of wrong tags in the loss, by task (see ``costs.make_costs``).
        rows: The update of the word vectors where it is not the optimizer's; between the ends of two epochs
            those that no batch needed lag behind.
        parameters: The weights that the optimizer updates.
        optimizer: The update rule.
        average: The moving average of the weights, if there is one.
        generator: Orders the sentences and chooses the words that are forgotten.
        order_state: The generator's state when the running epoch began.
        random_state: torch's random numbers (of the processor; a GPU's are not kept).
        epoch: The running epoch, from 1.
        step: Updates made in it.
        loss_sum: Summed losses of its sentences so far.
        sentences: Its sentences so far.
        tokens: Its tokens so far.
        seconds: Its training time so far.
        best: The best dev score so far.
        epochs_without_gain: Epochs since then.
        is_finished: Whether training is over.
    """

    def __init__(self, preparation: Preparation, config: Config, processes: Processes) -> None:
        self.processes = processes
        self._threads = config.train.threads
        callers_state = torch.get_rng_state()
        self.model = build_model(preparation, config).to(processes.device)
        if processes.count > 1:  # each has dropout of its own
            torch.manual_seed(config.train.seed + sum(processes.share(range(processes.count))))
        self.random_state = torch.get_rng_state()
        torch.set_rng_state(callers_state)
        costs = make_costs(preparation.vocabulary.tasks, preparation.train, config.train)
        self.costs = {name: own.to(processes.device) for name, own in costs.items()}
        self.rows = make_rows(self.model, config.train)
        self.optimizer = make_optimizer(self.model, config.train)
        self.parameters: list[Tensor] = [p for group in self.optimizer.param_groups for p in group["params"]]
        elsewhere = []
        if self.rows and self.rows.average is not None:
            elsewhere = [(self.model.words.trained.weight, self.rows.average)]
        ema = config.train.ema
        self.average = WeightAverage(self.parameters, ema, elsewhere) if ema else None
        self.generator = np.random.default_rng(config.train.seed)
        self.order_state = self.generator.bit_generator.state
        self.best = -math.inf
        self.epochs_without_gain = 0
        self.is_finished = False
        self.epoch = 0
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Go to the first step of the next epoch."""
        self.epoch += 1
        self.step = self.sentences = self.tokens = 0
        self.loss_sum = self.seconds = 0.0

    @contextmanager
    def own_torch(self) -> Iterator[None]:
        """Within, torch's random numbers and its number of threads are the run's; then the caller's again."""
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
        """What ``restore`` needs; all processes have to call it at the same step."""
        tensors: dict[str, Tensor] = {
            f"model.{name}": parameter for name, parameter in self.model.named_parameters()
        }
        values: dict[str, Any] = {name: getattr(self, name) for name in _COUNTERS}
        values["best"] = None if math.isinf(self.best) else self.best
        values["generator"] = self.generator.bit_generator.state
        values["order"] = self.order_state
        memory = self.optimizer.state_dict()["state"]
        for number, slots in memory.items():
            kept = {slot: tensor for slot, tensor in slots.items() if tensor is not None}
            tensors |= {f"optimizer.{number}.{slot}": tensor for slot, tensor in kept.items()}
        if self.rows:
            tensors |= {f"rows.{name}": tensor for name, tensor in self.rows.state().items()}
        if self.average:
            tensors |= {f"average.{n}": weight for n, weight in enumerate(self.average.weights)}
            values["average_updates"] = self.average.updates
        for number, state in enumerate(self.processes.gather([self.random_state])):
            tensors[f"random.{number}"] = state
        return Snapshot({name: tensor.detach().cpu() for name, tensor in tensors.items()}, values)

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to where a run of the same data and config was; all processes have to call it.

        Args:
            snapshot: Its ``values`` are those of ``schema.SavedProgress``.

        Raises:
            ValueError, RuntimeError: A tensor is missing, has another shape or type, or holds wrong values.
        """
        tensors, values = snapshot.tensors, snapshot.values
        self._require_matching(tensors)
        for name, parameter in self.model.named_parameters():
            parameter.detach().copy_(tensors[f"model.{name}"])
        memory = {
            number: {slot: tensors[f"optimizer.{number}.{slot}"] for slot in self._slots()}
            for number in range(len(self.parameters))
        }
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": memory})
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
        torch.Generator().set_state(tensors[names[0]])  # raises RuntimeError if it is no state
        self.random_state = tensors[names[0]]
        self.generator.bit_generator.state = values["generator"]
        self.order_state = values["order"]
        for name in _COUNTERS:
            setattr(self, name, values[name])
        self.best = -math.inf if values["best"] is None else values["best"]

    def _slots(self) -> tuple[str, ...]:
        """Names of what the optimizer keeps for each parameter."""
        if isinstance(self.optimizer, torch.optim.AdamW):
            return "step", "exp_avg", "exp_avg_sq"
        return ("momentum_buffer",) if self.optimizer.defaults["momentum"] else ()

    def _require_matching(self, tensors: Mapping[str, Tensor]) -> None:
        """Check names, shapes, types and finiteness of a snapshot's tensors.

        Raises:
            ValueError: A tensor is wrong.
        """
        expected = {name: (t.dtype, list(t.shape)) for name, t in self.capture().tensors.items()}
        for number, parameter in enumerate(self.parameters):
            for slot in self._slots():
                shape = [] if slot == "step" else list(parameter.shape)
                expected[f"optimizer.{number}.{slot}"] = (torch.float32, shape)
        if "rows.course" in expected and "rows.course" in tensors:  # it grows with the steps
            shape = [4, max(1, min(SPAN, *tensors["rows.course"].shape[-1:]))]
            expected["rows.course"] = (torch.float64, shape)
        for name in {**expected, **tensors}:
            tensor = tensors.get(name)
            found = None if tensor is None else (tensor.dtype, list(tensor.shape))
            require_equal(f"tensor {name}", found, expected.get(name))
            if tensor is not None and tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                raise ValueError(f"tensor {name} holds NaN or infinity")


def build_model(preparation: Preparation, config: Config) -> TaggingModel:
    """The network with its first weights, which depend on the seed alone; torch's random numbers go on."""
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
    """The model that was trained on these data, with weights of ``TaggingModel.state_dict``."""
    return Bundle(
        config=config,
        vocabulary=preparation.vocabulary,
        tokenizer=preparation.tokenizer.settings(),
        tensors={name: tensor.cpu().numpy() for name, tensor in weights.items()},
        metrics=metrics or {},
        card=card,
    )


def make_rows(model: TaggingModel, config: TrainConfig) -> LazyRows | None:
    """The lazy update of the word vectors; None where every row changes at every step in a way of its own."""
    if config.optimizer != "sgd" or config.weight_decay:
        return None
    model.words.trained.sparse = True
    return LazyRows(model.words.trained.weight, config.momentum, is_averaged=bool(config.ema))


def make_optimizer(model: TaggingModel, config: TrainConfig) -> torch.optim.Optimizer:
    """The update rule over all weights but those that ``make_rows`` took over.

    Biases and vectors of words are not decayed by adamw.
    """
    tables = [module for module in model.modules() if isinstance(module, torch.nn.Embedding)]
    elsewhere = {id(table.weight) for table in tables if table.sparse}
    parameters = [parameter for parameter in model.parameters() if id(parameter) not in elsewhere]
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
