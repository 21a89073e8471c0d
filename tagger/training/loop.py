"""The training loop: a generator of records; the caller prints and saves them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tagger.config import Config, TrainConfig
from tagger.errors import InputError
from tagger.evaluation.tasks import main_score
from tagger.features.batching import Batch
from tagger.network.bilstm import Blocks
from tagger.training.optimizers import begin_step, flush, parameters_of
from tagger.training.prediction import score_split
from tagger.training.preparation import Preparation
from tagger.training.processes import Processes
from tagger.training.progress import Progress
from tagger.training.sampling import draw_batches, draw_inputs
from tagger.training.schedules import learning_rate


@dataclass(frozen=True)
class StepRecord:
    """One update of the weights.

    Attributes:
        epoch: Number of the epoch, from 1.
        step: Steps done in this epoch.
        steps: Total steps of this epoch.
        loss: Mean loss per sentence over this epoch so far.
        tokens_per_second: Training tokens per second over this epoch so far.
    """

    epoch: int
    step: int
    steps: int
    loss: float
    tokens_per_second: float


@dataclass(frozen=True)
class EpochRecord:
    """One epoch: a pass over the train split, or several passes if it is small.

    Attributes:
        epoch: Number of the epoch, from 1.
        loss: Mean loss per sentence.
        learning_rate: Learning rate of the last step.
        seconds: Training time, without evaluation on dev.
        tokens_per_second: Training tokens per second.
        dev: Scores on dev by task (see ``evaluation.scores``); empty without a dev split.
        score: Mean over tasks of the dev F1 or accuracy; None without a dev split.
        is_best: True if the score is higher than in all earlier epochs; always True without a dev split.
        weights: The model's state dict if this epoch is the best so far, else None.
    """

    epoch: int
    loss: float
    learning_rate: float
    seconds: float
    tokens_per_second: float
    dev: Mapping[str, Mapping[str, Any]]
    score: float | None
    is_best: bool
    weights: Mapping[str, Tensor] | None


def train(
    preparation: Preparation, config: Config, progress: Progress | None = None
) -> Iterator[StepRecord | EpochRecord]:
    """Train a model; the result depends on data, config and seed only, however often the run is interrupted.

    The run uses its own torch random state and number of threads, and restores the caller's whenever it
    yields. At every record ``progress`` holds the complete state to resume from.

    Args:
        preparation: The data.
        config: Options of the model and its training.
        progress: Training state to resume from, built for the same data and config; by default a new one.

    Yields:
        A record after every step and after every epoch.

    Raises:
        InputError: The loss is NaN or infinite, usually because the learning rate is too high; or another
            training process ended.
    """
    progress = progress or Progress(preparation, config, Processes())
    records = _train(preparation, config.train, progress)
    while True:
        with progress.own_torch():
            record = next(records, None)
        if record is None:
            return
        yield record


def _train(
    preparation: Preparation, config: TrainConfig, progress: Progress
) -> Iterator[StepRecord | EpochRecord]:
    while not progress.is_finished and progress.epoch <= config.epochs:
        batches = _order_batches(preparation, config, progress)
        inputs = draw_inputs(preparation, config, batches[progress.step :], progress.generator)
        progress.model.train()
        started_at, seconds_before = time.perf_counter(), progress.seconds
        for batch, blocks in inputs:
            rate = learning_rate(config, progress.epoch, progress.step + 1, len(batches))
            loss = _train_step(progress, batch, blocks, rate, config)
            if not math.isfinite(loss):
                raise _divergence(progress, config)
            progress.count(batch, loss)
            progress.seconds = seconds_before + time.perf_counter() - started_at
            yield StepRecord(
                progress.epoch,
                progress.step,
                len(batches),
                progress.mean_loss,
                progress.tokens_per_second,
            )
        yield _end_epoch(preparation, config, progress)


def _order_batches(preparation: Preparation, config: TrainConfig, progress: Progress) -> list[list[int]]:
    """Draw the batches of the current epoch; for an interrupted epoch, draw the same ones again."""
    ordering = progress.generator
    if progress.step:
        ordering = np.random.default_rng()
        ordering.bit_generator.state = progress.order_state
    else:
        progress.order_state = ordering.bit_generator.state
    return draw_batches(preparation.train.lengths, config, ordering)


def _train_step(
    progress: Progress, batch: Batch, blocks: Blocks | None, rate: float, config: TrainConfig
) -> float:
    """Update the weights unless the loss is NaN or infinite; return the mean loss per sentence."""
    optimizer, processes = progress.optimizer, progress.processes
    begin_step(optimizer, batch.words)
    loss = 0.0
    own_indices = processes.share(range(len(batch.lengths)))
    if own_indices:
        # Weight this process's mean by its share of sentences, so that the sum over processes is the mean.
        own_batch = batch if processes.count == 1 else batch.select(own_indices)
        own_share = len(own_indices) / len(batch.lengths)
        own_loss = progress.model.loss(own_batch, blocks, progress.costs, config.soft_weight) * own_share
        torch.autograd.backward(own_loss)
        loss = own_loss.item()
    parameters = parameters_of(optimizer)
    loss = processes.sum_gradients(parameters, loss)
    if math.isfinite(loss):
        if config.clip:
            torch.nn.utils.clip_grad_norm_(parameters, config.clip)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
    return loss


def _divergence(progress: Progress, config: TrainConfig) -> InputError:
    return InputError(
        f"The loss is NaN or infinite in epoch {progress.epoch}, step {progress.step + 1}. Lower "
        f"train.learning_rate (got {config.learning_rate}) or clip gradients with train.clip.",
        code="run.failed",
        option="train.learning_rate",
    )


def _end_epoch(preparation: Preparation, config: TrainConfig, progress: Progress) -> EpochRecord:
    """Evaluate the weights on dev and advance to the next epoch."""
    flush(progress.optimizer)
    with progress.averaged_weights():
        record = _evaluate(
            preparation, progress, learning_rate(config, progress.epoch, progress.step, progress.step)
        )
    progress.best = max(progress.best, -math.inf if record.score is None else record.score)
    progress.epochs_without_gain = 0 if record.is_best else progress.epochs_without_gain + 1
    progress.begin_epoch()
    progress.is_finished = is_over(config, progress)
    return record


def evaluate_initial(preparation: Preparation, progress: Progress) -> EpochRecord:
    """Evaluate the initial model on dev, as epoch 0 of a run without training, and end the run."""
    progress.epoch, progress.is_finished = 0, True
    with progress.own_torch():
        return _evaluate(preparation, progress, 0.0)


def _evaluate(preparation: Preparation, progress: Progress, rate: float) -> EpochRecord:
    """Evaluate the weights on dev; return the record of the current epoch."""
    dev = score_split(progress.model, preparation.dev, progress.processes) if preparation.dev else {}
    score = _mean_score(dev)
    is_best = score is None or score > progress.best
    return EpochRecord(
        epoch=progress.epoch,
        loss=progress.mean_loss,
        learning_rate=rate,
        seconds=progress.seconds,
        tokens_per_second=progress.tokens_per_second,
        dev=dev,
        score=score,
        is_best=is_best,
        weights=_copy_weights(progress.model) if is_best else None,
    )


def is_over(config: TrainConfig, progress: Progress) -> bool:
    """Return True if all epochs are done, or the dev score did not improve for ``train.patience`` epochs."""
    is_out_of_patience = 0 < config.patience <= progress.epochs_without_gain
    return is_out_of_patience or progress.epoch > config.epochs


def _mean_score(dev: Mapping[str, Mapping[str, Any]]) -> float | None:
    scores = [main_score(task) for task in dev.values()]
    return sum(scores) / len(scores) if scores else None


def _copy_weights(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
