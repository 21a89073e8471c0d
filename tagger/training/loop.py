"""The training loop: a generator of records; the caller prints and saves them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tagger.config import Config, TrainConfig
from tagger.decoding.viterbi import viterbi
from tagger.errors import InputError
from tagger.evaluation.scores import TagSequences
from tagger.evaluation.tasks import main_score, score_task
from tagger.features.batching import Batch, group_by_length, shuffled_batches
from tagger.features.vocab import UNKNOWN
from tagger.network.encoder import Blocks
from tagger.network.model import TaggingModel
from tagger.text.casing import RECASINGS
from tagger.text.schemes import convert_tags
from tagger.training.preparation import Part, Preparation
from tagger.training.processes import Processes
from tagger.training.progress import Progress

DEV_BATCH_TOKENS = 4096
# Lookaheads in words that `train.lookahead = "random"` samples from; None for the whole sentence.
LOOKAHEADS = (0, 1, 2, 4, 8, None)


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
        yield from _train_epoch(preparation, config, progress)
        yield _end_epoch(preparation, config, progress)


def _train_epoch(preparation: Preparation, config: TrainConfig, progress: Progress) -> Iterator[StepRecord]:
    """Train the remaining steps of the current epoch."""
    generator, split = progress.generator, preparation.train
    if progress.step:  # resume an interrupted epoch: draw the same batches again
        ordering = np.random.default_rng()
        ordering.bit_generator.state = progress.order_state
    else:
        progress.order_state = generator.bit_generator.state
        ordering = generator
    # Words of train have the lower ids; words that only the vectors file has come after them.
    singletons = np.zeros(len(preparation.vocabulary.words), np.bool_)
    singletons[list(preparation.unvectored_singletons)] = True
    batches = draw_batches(split.lengths, config, ordering)
    progress.model.train()
    started_at, seconds_before = time.perf_counter(), progress.seconds
    for indices in batches[progress.step :]:
        casings = (
            draw_casings(len(indices), config.case_augmentation, generator)
            if config.case_augmentation
            else None
        )
        batch = split.batch(indices, casings)
        _mask_singletons(batch, singletons, config.singleton_unknown, generator)
        rate = learning_rate(config, progress.epoch, progress.step + 1, len(batches))
        blocks = draw_blocks(generator) if config.lookahead == "random" else None
        loss = _train_step(progress, batch, rate, config.clip, blocks)
        if not math.isfinite(loss):
            raise InputError(
                f"The loss is NaN or infinite in epoch {progress.epoch}, step {progress.step + 1}. Lower "
                f"train.learning_rate (got {config.learning_rate}) or clip gradients with train.clip."
            )
        progress.step += 1
        progress.loss_sum += loss * len(indices)
        progress.sentences += len(indices)
        progress.tokens += int(batch.lengths.sum())
        progress.seconds = seconds_before + time.perf_counter() - started_at
        yield StepRecord(
            progress.epoch,
            progress.step,
            len(batches),
            progress.loss_sum / progress.sentences,
            progress.tokens / max(progress.seconds, 1e-9),
        )


def _train_step(progress: Progress, batch: Batch, rate: float, clip: float, blocks: Blocks | None) -> float:
    """Update the weights unless the loss is NaN or infinite; return the mean loss per sentence."""
    model, optimizer, processes = progress.model, progress.optimizer, progress.processes
    rows, parameters = progress.rows, progress.parameters
    for parameter in parameters:
        parameter.grad = None
    if rows:
        rows.gather(np.append(batch.words, UNKNOWN))  # word dropout may replace any word by UNK
    loss = 0.0
    own = processes.share(range(len(batch.lengths)))
    if own:
        # Weight this process's mean by its share of sentences, so that the sum over processes is the mean.
        own_loss = model.loss(batch if processes.count == 1 else batch.select(own), blocks, progress.costs)
        own_loss = own_loss * (len(own) / len(batch.lengths))
        torch.autograd.backward(own_loss)
        loss = own_loss.item()
    if rows:
        rows.collect_gradient()
        parameters = [*parameters, rows.batch]
    loss = processes.sum_gradients(parameters, loss)
    if not math.isfinite(loss):
        return loss
    if clip:
        torch.nn.utils.clip_grad_norm_(parameters, clip)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    if progress.average:
        progress.average.update()
    if rows:
        rows.step(rate, progress.average.decay if progress.average else 0.0)
    return loss


def _end_epoch(preparation: Preparation, config: TrainConfig, progress: Progress) -> EpochRecord:
    """Evaluate the weights on dev and advance to the next epoch."""
    model, average = progress.model, progress.average
    if progress.rows:
        progress.rows.flush()
    if average:
        average.swap()
    dev = score_part(model, preparation.dev, progress.processes) if preparation.dev else {}
    score = _mean_score(dev)
    is_best = score is None or score > progress.best
    record = EpochRecord(
        epoch=progress.epoch,
        loss=progress.loss_sum / progress.sentences,
        learning_rate=learning_rate(config, progress.epoch, progress.step, progress.step),
        seconds=progress.seconds,
        tokens_per_second=progress.tokens / max(progress.seconds, 1e-9),
        dev=dev,
        score=score,
        is_best=is_best,
        weights=_copy_weights(model) if is_best else None,
    )
    if average:
        average.swap()
    progress.best = max(progress.best, -math.inf if score is None else score)
    progress.epochs_without_gain = 0 if is_best else progress.epochs_without_gain + 1
    progress.begin_epoch()
    progress.is_finished = is_over(config, progress)
    return record


def is_over(config: TrainConfig, progress: Progress) -> bool:
    """Return True if all epochs are done, or the dev score did not improve for ``train.patience`` epochs."""
    is_out_of_patience = 0 < config.patience <= progress.epochs_without_gain
    return is_out_of_patience or progress.epoch > config.epochs


def draw_batches(
    lengths: Sequence[int], config: TrainConfig, generator: np.random.Generator
) -> list[list[int]]:
    """Draw the batches of one epoch; repeat passes over all sentences up to ``config.min_steps`` batches.

    Args:
        lengths: Tokens of each sentence.
        config: Batch size and minimum number of steps.
        generator: Random generator for the order of each pass.

    Returns:
        The sentence indices of each batch; every index occurs equally often.
    """
    batches = shuffled_batches(lengths, config.batch_size, config.batch_tokens, generator)
    while 0 < len(batches) < config.min_steps:
        batches += shuffled_batches(lengths, config.batch_size, config.batch_tokens, generator)
    return batches


def learning_rate(config: TrainConfig, epoch: int, step: int, steps: int) -> float:
    """Compute the learning rate of one step.

    Args:
        config: Peak learning rate, schedule and warm-up.
        epoch: Number of the epoch, from 1.
        step: Number of the step in its epoch, from 1.
        steps: Total steps of the epoch.
    """
    done = (epoch - 1) * steps + step
    rate = config.learning_rate
    if config.schedule == "inverse_time":
        rate /= 1.0 + config.decay * (epoch - 1)
    elif config.schedule == "cosine":
        begin, end = cosine_cycle(config, epoch)
        share = (done - 1 - begin * steps) / ((end - begin) * steps)
        rate *= 0.5 * (1.0 + math.cos(math.pi * min(1.0, share)))
    return rate * min(1.0, done / config.warmup_steps) if config.warmup_steps else rate


def cosine_cycle(config: TrainConfig, epoch: int) -> tuple[int, int]:
    """Find the cosine cycle that contains an epoch (Loshchilov and Hutter 2017, section 3).

    Args:
        config: Number of epochs and warm restarts.
        epoch: Number of the epoch, from 1.

    Returns:
        The number of epochs done before the cycle, and the number done after it.
    """
    begin = max((end for end in config.warm_restarts if end < epoch), default=0)
    return begin, min((end for end in config.warm_restarts if end >= epoch), default=config.epochs)


def draw_blocks(generator: np.random.Generator) -> Blocks | None:
    """Sample the lookahead of the backward direction for one batch; None for whole sentences.

    A lookahead of k words splits sentences into blocks of k + 1 words, from a random offset. The words of a
    block see k, k - 1, …, 0 of the next words, exactly as in the window of a streaming tagger that must emit
    the tag of its first word (see ``runtime.stream``). A single pass over the batch suffices.
    """
    lookahead = LOOKAHEADS[generator.integers(len(LOOKAHEADS))]
    return None if lookahead is None else Blocks(lookahead + 1, int(generator.integers(lookahead + 1)) + 1)


def draw_casings(count: int, share: float, generator: np.random.Generator) -> list[int]:
    """Sample a casing for each sentence: its index in ``RECASINGS``, or -1 for the original casing.

    Args:
        count: Number of sentences.
        share: Expected share of recased sentences, in [0, 1); all casings are equally likely.
        generator: Random generator.
    """
    sampled = generator.integers(len(RECASINGS), size=count)
    is_recased = generator.random(count) < share
    return [int(casing) if is_other else -1 for casing, is_other in zip(sampled, is_recased, strict=True)]


def predict_part(model: TaggingModel, split: Part, processes: Processes) -> dict[str, list[list[str]]]:
    """Predict the tags of a split: by task, in the split's order; span tasks are in IOB2.

    Each process tags its share of the batches.
    """
    model.eval()
    transitions = model.transitions()
    batches = list(group_by_length(split.lengths, 256, DEV_BATCH_TOKENS))
    own: list[tuple[int, str, list[str]]] = []
    for indices in processes.share(batches):
        batch = split.batch(indices)
        emissions = model.emissions(batch)
        for task in model.tasks:
            tag_ids = viterbi(emissions[task.name], batch.lengths, transitions[task.name])
            for index, row, length in zip(indices, tag_ids, batch.lengths, strict=True):
                tags = [task.tags[tag_id] for tag_id in row[:length]]
                tags = convert_tags(tags, task.scheme, "IOB2") if task.scheme else tags
                own.append((index, task.name, tags))
    predicted: dict[str, list[list[str]]] = {task.name: [[]] * len(split.rows) for task in model.tasks}
    for index, name, tags in processes.gather(own):
        predicted[name][index] = tags
    return predicted


def score_part(model: TaggingModel, split: Part, processes: Processes) -> dict[str, dict[str, Any]]:
    """Evaluate a model on a split; return the scores of every task (see ``evaluation.tasks.score_task``)."""
    return score_predicted(split, predict_part(model, split, processes))


def score_predicted(split: Part, predicted: Mapping[str, TagSequences]) -> dict[str, dict[str, Any]]:
    """Score the tags that ``predict_part`` returns for a split, for every task."""
    seen = split.table.vocabulary.mark_seen(split.sentences)
    return {
        name: score_task(
            [sentence.tags[name] for sentence in split.sentences], tags, scheme=split.schemes[name], seen=seen
        )
        for name, tags in predicted.items()
    }


def _mean_score(dev: Mapping[str, Mapping[str, Any]]) -> float | None:
    scores = [main_score(task) for task in dev.values()]
    return sum(scores) / len(scores) if scores else None


def _copy_weights(model: TaggingModel) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _mask_singletons(
    batch: Batch, singletons: NDArray[np.bool_], share: float, generator: np.random.Generator
) -> None:
    """Replace a share of the words that train has once by UNK, to train the vector of UNK."""
    indices = np.flatnonzero(singletons[batch.words])
    batch.words[indices[generator.random(len(indices)) < share]] = UNKNOWN
