"""The training loop: a generator that yields what happened, while the caller prints and saves."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from tagger.config import Config, TrainConfig
from tagger.decoding.viterbi import viterbi
from tagger.errors import InputError
from tagger.evaluation.tasks import score_task
from tagger.features.batching import Batch, group_by_length, shuffled_batches
from tagger.features.vocab import UNKNOWN
from tagger.network.model import TaggingModel
from tagger.text.schemes import convert_tags
from tagger.training.average import WeightAverage
from tagger.training.preparation import Part, Preparation

DEV_BATCH_TOKENS = 4096


@dataclass(frozen=True)
class StepRecord:
    """One update of the weights.

    Attributes:
        epoch: Number of the epoch, from 1.
        step: Updates made in this epoch.
        steps: Updates that this epoch has.
        loss: Mean loss a sentence over this epoch so far.
        tokens_per_second: Tokens trained on, a second of this epoch.
    """

    epoch: int
    step: int
    steps: int
    loss: float
    tokens_per_second: float


@dataclass(frozen=True)
class EpochRecord:
    """One pass over the train part.

    Attributes:
        epoch: Number of the epoch, from 1.
        loss: Mean loss a sentence.
        learning_rate: Step size at the end of the epoch.
        seconds: Training time, without scoring dev.
        tokens_per_second: Tokens trained on, a second.
        dev: For each task its scores on dev (see ``evaluation.scores``); empty without dev.
        score: Mean over tasks of the dev F1 or accuracy, None without dev.
        is_best: Whether no earlier epoch had this score; without dev every epoch is the best so far.
        weights: The model's state if this epoch is the best so far, else None.
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


def build_model(preparation: Preparation, config: Config) -> TaggingModel:
    """The network with its first weights, which depend on the seed alone; torch's random numbers go on."""
    torch.manual_seed(config.train.seed)
    return TaggingModel(config.model, preparation.vocabulary, preparation.vectors)


def train(preparation: Preparation, config: Config) -> Iterator[StepRecord | EpochRecord]:
    """Build a model and train it; data, config and seed alone decide what comes out.

    torch's random numbers and its number of threads are the run's own while it works, and the caller's again
    while it is suspended at a record.

    Args:
        preparation: The data.
        config: The model and how to train it.

    Yields:
        A record after every step and after every epoch.

    Raises:
        InputError: The loss left the numbers, as it does when steps are too large.
    """
    records = _train(preparation, config)
    state = None
    while True:
        callers_state, callers_threads = torch.get_rng_state(), torch.get_num_threads()
        torch.set_num_threads(config.train.threads)
        if state is not None:
            torch.set_rng_state(state)
        try:
            record = next(records, None)
        finally:
            state = torch.get_rng_state()
            torch.set_rng_state(callers_state)
            torch.set_num_threads(callers_threads)
        if record is None:
            return
        yield record


def _train(preparation: Preparation, configuration: Config) -> Iterator[StepRecord | EpochRecord]:
    config = configuration.train
    model = build_model(preparation, configuration)
    accelerator = Accelerator()
    optimizer = make_optimizer(model, config)
    model, optimizer = accelerator.prepare(model, optimizer)
    average = WeightAverage(model, config.ema) if config.ema else None
    generator = np.random.default_rng(config.seed)
    best = -math.inf
    epochs_without_gain = 0
    for epoch in range(1, config.epochs + 1):
        model.train()
        begun = time.perf_counter()
        step = None
        for step in _train_epoch(
            model, optimizer, accelerator, preparation, config, epoch, generator, average
        ):
            yield step
        assert step is not None
        seconds = time.perf_counter() - begun
        if average:
            average.swap()
        dev = score_part(model, preparation.dev) if preparation.dev else {}
        score = _mean_score(dev)
        is_best = score is None or score > best
        yield EpochRecord(
            epoch=epoch,
            loss=step.loss,
            learning_rate=optimizer.param_groups[0]["lr"],
            seconds=seconds,
            tokens_per_second=step.tokens_per_second,
            dev=dev,
            score=score,
            is_best=is_best,
            weights=_copy_weights(model) if is_best else None,
        )
        if average:
            average.swap()
        best = max(best, -math.inf if score is None else score)
        epochs_without_gain = 0 if is_best else epochs_without_gain + 1
        if config.patience and epochs_without_gain >= config.patience:
            return


def _train_epoch(
    model: TaggingModel,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
    preparation: Preparation,
    config: TrainConfig,
    epoch: int,
    generator: np.random.Generator,
    average: WeightAverage | None,
) -> Iterator[StepRecord]:
    part = preparation.train
    batches = shuffled_batches(part.lengths, config.batch_size, config.batch_tokens, generator)
    loss_sum = 0.0
    sentences = tokens = 0
    begun = time.perf_counter()
    for step, places in enumerate(batches, start=1):
        batch = part.batch(places)
        _forget_singletons(batch, preparation.unvectored_singletons, config.singleton_unknown, generator)
        rate = learning_rate(config, epoch, step, len(batches))
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        loss = model.loss(batch)
        value = loss.item()
        if not math.isfinite(value):
            raise InputError(
                f"The loss is no number any more in epoch {epoch}, step {step}; lower train.learning_rate "
                f"({config.learning_rate}) or clip gradients with train.clip."
            )
        accelerator.backward(loss)
        if config.clip:
            accelerator.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        if average:
            average.update()
        loss_sum += value * len(places)
        sentences += len(places)
        tokens += int(batch.lengths.sum())
        seconds = time.perf_counter() - begun
        yield StepRecord(epoch, step, len(batches), loss_sum / sentences, tokens / max(seconds, 1e-9))


def make_optimizer(model: TaggingModel, config: TrainConfig) -> torch.optim.Optimizer:
    """The update rule over all weights; biases and vectors of words are not decayed by adamw."""
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            model.parameters(),
            lr=config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
        )
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}
    decayed: list[Tensor] = []
    plain: list[Tensor] = []
    for parameter in model.parameters():
        is_plain = parameter.dim() < 2 or id(parameter) in embeddings
        (plain if is_plain else decayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate)


def learning_rate(config: TrainConfig, epoch: int, step: int, steps: int) -> float:
    """Step size of one update.

    Args:
        config: Holds the highest rate, the schedule and the warm-up.
        epoch: Number of the epoch, from 1.
        step: Number of the step in its epoch, from 1.
        steps: Steps in this epoch.
    """
    done = (epoch - 1) * steps + step
    rate = config.learning_rate
    if config.schedule == "inverse_time":
        rate /= 1.0 + config.decay * (epoch - 1)
    elif config.schedule == "cosine":
        rate *= 0.5 * (1.0 + math.cos(math.pi * min(1.0, (done - 1) / (config.epochs * steps))))
    return rate * min(1.0, done / config.warmup_steps) if config.warmup_steps else rate


def predict_part(model: TaggingModel, part: Part) -> dict[str, list[list[str]]]:
    """For each task the tags of every sentence of a part, in the part's order, IOB2 where they mark spans."""
    model.eval()
    transitions = model.transitions()
    found: dict[str, list[list[str]]] = {task.name: [[]] * len(part.rows) for task in model.tasks}
    for places in group_by_length(part.lengths, 256, DEV_BATCH_TOKENS):
        batch = part.batch(places)
        emissions = model.emissions(batch)
        for task in model.tasks:
            ids = viterbi(emissions[task.name], batch.lengths, transitions[task.name])
            for place, row, length in zip(places, ids, batch.lengths, strict=True):
                tags = [task.tags[number] for number in row[:length]]
                found[task.name][place] = convert_tags(tags, task.scheme, "IOB2") if task.scheme else tags
    return found


def score_part(model: TaggingModel, part: Part) -> dict[str, dict[str, Any]]:
    """Scores of every task on a part (see ``evaluation.scores.score_task``)."""
    predicted = predict_part(model, part)
    is_seen = part.table.vocabulary.is_seen
    seen = [[is_seen(token) for token in sentence.tokens] for sentence in part.sentences]
    return {
        name: score_task(
            [sentence.tags[name] for sentence in part.sentences], tags, scheme=part.schemes[name], seen=seen
        )
        for name, tags in predicted.items()
    }


def _mean_score(dev: Mapping[str, Mapping[str, Any]]) -> float | None:
    scores = [task["f1"] if "f1" in task else task["accuracy"] for task in dev.values()]
    return sum(scores) / len(scores) if scores else None


def _copy_weights(model: TaggingModel) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _forget_singletons(
    batch: Batch, singletons: frozenset[int] | Sequence[int], share: float, generator: np.random.Generator
) -> None:
    """Replace some of the words that train holds once by the unknown word, so that its vector is learnt."""
    for place, word in enumerate(batch.words):
        if int(word) in singletons and generator.random() < share:
            batch.words[place] = UNKNOWN
