"""Mutable training state: everything a checkpoint must save to resume a run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tagger.bundle import Bundle
from tagger.config import Config
from tagger.features.batching import Batch
from tagger.network.model import TaggingModel
from tagger.training.average import WeightAverage
from tagger.training.costs import make_costs
from tagger.training.encoder_states import states_of
from tagger.training.initial import load_weights
from tagger.training.optimizers import dense_parameters, expected_state, make_optimizer
from tagger.training.preparation import Preparation
from tagger.training.processes import Processes
from tagger.training.rowwise_sgd import RowwiseSGD
from tagger.training.schema import require_equal

_OPTIMIZER = "optimizer."  # prefix of the optimizer's tensors in a snapshot
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
        optimizer: The optimizer; each step also updates the average.
        average: The moving average of the weights, or None.
        generator: Random generator for batches, casings, lookaheads and the words replaced by UNK.
        order_state: The generator's state at the beginning of the current epoch.
        random_state: torch's random state on the CPU (GPU states are not saved).
        epoch: The current epoch, from 1.
        step: Steps done in the current epoch.
        loss_sum: Sum of the losses of the current epoch's sentences so far.
        sentences: Sentences of the current epoch so far.
        tokens: Tokens of the current epoch so far.
        seconds: Training time of the current epoch so far.
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
        self.costs = {name: cost.to(processes.device) for name, cost in costs.items()}
        self.optimizer = make_optimizer(self.model, config.train)
        self.average = self._average(config.train.ema) if config.train.ema else None
        self.generator = np.random.default_rng(config.train.seed)
        self.order_state = self.generator.bit_generator.state
        self.best = -math.inf
        self.epochs_without_gain = 0
        self.is_finished = False
        self.epoch = 0
        self.begin_epoch()

    def _average(self, decay: float) -> WeightAverage:
        average = WeightAverage(dense_parameters(self.optimizer), decay)
        if isinstance(self.optimizer, RowwiseSGD):
            self.optimizer.average(average)
        self.optimizer.register_step_post_hook(lambda *_: average.update())
        return average

    def begin_epoch(self) -> None:
        """Advance to the first step of the next epoch."""
        self.epoch += 1
        self.step = self.sentences = self.tokens = 0
        self.loss_sum = self.seconds = 0.0

    def count(self, batch: Batch, loss: float) -> None:
        """Count a step and its mean loss per sentence."""
        self.step += 1
        self.loss_sum += loss * len(batch.lengths)
        self.sentences += len(batch.lengths)
        self.tokens += int(batch.lengths.sum())

    @property
    def mean_loss(self) -> float:
        """Mean loss per sentence of the current epoch so far."""
        return self.loss_sum / max(1, self.sentences)

    @property
    def tokens_per_second(self) -> float:
        """Training tokens per second of the current epoch so far."""
        return self.tokens / max(self.seconds, 1e-9)

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Replace the weights of the model by their moving average, if there is one, within the block."""
        if self.average:
            self.average.swap()
        try:
            yield
        finally:
            if self.average:
                self.average.swap()

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
        for number, slots in self.optimizer.state_dict()["state"].items():
            present = {slot: tensor for slot, tensor in slots.items() if tensor is not None}
            tensors |= {f"{_OPTIMIZER}{number}.{slot}": tensor for slot, tensor in present.items()}
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
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": _optimizer_state(tensors)})
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

    def _require_matching(self, tensors: Mapping[str, Tensor]) -> None:
        """Check that a snapshot's tensors have the expected names, shapes and types, and finite values.

        Raises:
            ValueError: A tensor is missing, unexpected or has a wrong shape, type or value.
        """
        expected = {name: (t.dtype, list(t.shape)) for name, t in self.capture().tensors.items()}
        optimizer_tensors = {name.removeprefix(_OPTIMIZER): tensor for name, tensor in tensors.items()}
        for name, shape in expected_state(self.optimizer, optimizer_tensors).items():
            expected[f"{_OPTIMIZER}{name}"] = shape
        for name in {**expected, **tensors}:
            tensor = tensors.get(name)
            actual = None if tensor is None else (tensor.dtype, list(tensor.shape))
            require_equal(f"tensor {name}", actual, expected.get(name))
            if tensor is not None and tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                raise ValueError(f"tensor {name} contains NaN or infinity")


def _optimizer_state(tensors: Mapping[str, Tensor]) -> dict[int | str, dict[str, Tensor]]:
    """Return the optimizer's state by number of the parameter, from the tensors of a snapshot."""
    state: dict[int | str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(_OPTIMIZER):
            number, slot = name.removeprefix(_OPTIMIZER).split(".")
            state.setdefault(int(number) if number.isdecimal() else number, {})[slot] = tensor
    return state


def build_model(preparation: Preparation, config: Config) -> TaggingModel:
    """Build the network with weights that depend on the seed and the initial model only; reseeds torch."""
    torch.manual_seed(config.train.seed)
    vocabulary, vectors, initial = preparation.vocabulary, preparation.vectors, preparation.initial
    model = TaggingModel(config.model, vocabulary, vectors, states_of(preparation.encoder))
    if initial and vectors:
        load_weights(model, initial, vocabulary, vectors)
    return model


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
        config=stored_config(preparation, config),
        vocabulary=preparation.vocabulary,
        tokenizer=preparation.tokenizer.settings(),
        tensors={name: tensor.cpu().numpy() for name, tensor in weights.items()},
        metrics=metrics or {},
        card=card,
        encoder=preparation.encoder,
    )


def stored_config(preparation: Preparation, config: Config) -> Config:
    """Return the options as bundles store them: with all tasks of the vocabulary, and an absolute path."""
    tasks = tuple(task.name for task in preparation.vocabulary.tasks)
    data, model = config.data.model_copy(update={"tasks": tasks}), config.model
    if model.encoder:  # the model may be loaded from another working directory
        model = model.model_copy(update={"encoder": str(Path(model.encoder).absolute())})
    return config.model_copy(update={"data": data, "model": model})
