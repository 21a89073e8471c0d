"""The training loop: a generator that yields what happened, while the caller prints and saves."""

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
from tagger.network.encoder import Chunks
from tagger.network.model import TaggingModel
from tagger.text.casing import RECASINGS
from tagger.text.schemes import convert_tags
from tagger.training.preparation import Part, Preparation
from tagger.training.processes import Processes
from tagger.training.progress import Progress

DEV_BATCH_TOKENS = 4096
# Of `train.lookahead = "random"`: next words that a batch's sentences see at most; None for all of them.
LOOKAHEADS = (0, 1, 2, 4, 8, None)


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
    """One pass over the train part, or several where it is small.

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


def train(
    preparation: Preparation, config: Config, progress: Progress | None = None
) -> Iterator[StepRecord | EpochRecord]:
    """Train a model; data, config and seed alone decide what comes out, however often the run is broken off.

    torch's random numbers and its number of threads are the run's own while it works, and the caller's again
    while it is suspended at a record. At every record ``progress`` is what a later run may go on from.

    Args:
        preparation: The data.
        config: The model and how to train it.
        progress: Where to go on, made for the same data and config; from the beginning when not said.

    Yields:
        A record after every step and after every epoch.

    Raises:
        InputError: The loss left the numbers, as it does when steps are too large; another of the processes
            that train together is gone.
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
    """Make the steps of the running epoch that are still to be made."""
    generator, part = progress.generator, preparation.train
    if progress.step:  # the order of an epoch that was broken off, drawn once more
        ordering = np.random.default_rng()
        ordering.bit_generator.state = progress.order_state
    else:
        progress.order_state = generator.bit_generator.state
        ordering = generator
    # Train's words have the lower ids, those of the vectors file alone come behind them.
    singletons = np.zeros(len(preparation.vocabulary.words), np.bool_)
    singletons[list(preparation.unvectored_singletons)] = True
    batches = draw_batches(part.lengths, config, ordering)
    progress.model.train()
    begun, before = time.perf_counter(), progress.seconds
    for places in batches[progress.step :]:
        casings = draw_casings(len(places), config.recased, generator) if config.recased else None
        batch = part.batch(places, casings)
        _forget_singletons(batch, singletons, config.singleton_unknown, generator)
        rate = learning_rate(config, progress.epoch, progress.step + 1, len(batches))
        chunks = draw_chunks(generator) if config.lookahead == "random" else None
        loss = _make_step(progress, batch, rate, config.clip, chunks)
        if not math.isfinite(loss):
            raise InputError(
                f"The loss is no number any more in epoch {progress.epoch}, step {progress.step + 1}; lower "
                f"train.learning_rate ({config.learning_rate}) or clip gradients with train.clip."
            )
        progress.step += 1
        progress.loss_sum += loss * len(places)
        progress.sentences += len(places)
        progress.tokens += int(batch.lengths.sum())
        progress.seconds = before + time.perf_counter() - begun
        yield StepRecord(
            progress.epoch,
            progress.step,
            len(batches),
            progress.loss_sum / progress.sentences,
            progress.tokens / max(progress.seconds, 1e-9),
        )


def _make_step(progress: Progress, batch: Batch, rate: float, clip: float, chunks: Chunks | None) -> float:
    """Update the weights, unless the mean loss of the batch's sentences is no number; return that loss."""
    model, optimizer, processes = progress.model, progress.optimizer, progress.processes
    rows, parameters = progress.rows, progress.parameters
    for parameter in parameters:
        parameter.grad = None
    if rows:
        rows.look_up(np.append(batch.words, UNKNOWN))  # the unknown word may stand in for any
    loss = 0.0
    own = processes.share(range(len(batch.lengths)))
    if own:
        # What the batch's mean owes to this process's sentences; the sum over all processes is the mean.
        share = model.loss(batch if processes.count == 1 else batch.select(own), chunks, progress.costs)
        share = share * (len(own) / len(batch.lengths))
        torch.autograd.backward(share)
        loss = share.item()
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
    """Score the weights and go on to the next epoch."""
    model, average = progress.model, progress.average
    if progress.rows:
        progress.rows.settle()
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
    """True if all epochs are done, or dev has not become better for ``train.patience`` of them."""
    has_no_patience = 0 < config.patience <= progress.epochs_without_gain
    return has_no_patience or progress.epoch > config.epochs


def draw_batches(
    lengths: Sequence[int], config: TrainConfig, generator: np.random.Generator
) -> list[list[int]]:
    """Batches of one epoch: all sentences, and once more until there are ``config.min_steps`` batches.

    Args:
        lengths: Tokens of each sentence.
        config: Holds the size of a batch and the least number of steps.
        generator: Draws the order of each pass.

    Returns:
        The places of each batch's sentences; every place comes equally often.
    """
    batches = shuffled_batches(lengths, config.batch_size, config.batch_tokens, generator)
    while 0 < len(batches) < config.min_steps:
        batches += shuffled_batches(lengths, config.batch_size, config.batch_tokens, generator)
    return batches


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
        begin, end = cosine_cycle(config, epoch)
        share = (done - 1 - begin * steps) / ((end - begin) * steps)
        rate *= 0.5 * (1.0 + math.cos(math.pi * min(1.0, share)))
    return rate * min(1.0, done / config.warmup_steps) if config.warmup_steps else rate


def cosine_cycle(config: TrainConfig, epoch: int) -> tuple[int, int]:
    """Epochs done before and after the cosine cycle of an epoch (Loshchilov and Hutter 2017, section 3).

    Args:
        config: Holds the number of epochs and the warm restarts.
        epoch: Number of the epoch, from 1.
    """
    begin = max((end for end in config.warm_restarts if end < epoch), default=0)
    return begin, min((end for end in config.warm_restarts if end >= epoch), default=config.epochs)


def draw_chunks(generator: np.random.Generator) -> Chunks | None:
    """Draw what the backward direction sees of one batch; None for whole sentences.

    With a lookahead of k words the sentences are cut into chunks of k + 1 words, at a random place: the words
    of a chunk see k, k - 1, …, 0 of the next ones, just as those of a window do whose first word's tag is
    due (see ``runtime.stream``), at the cost of a single pass.
    """
    lookahead = LOOKAHEADS[generator.integers(len(LOOKAHEADS))]
    return None if lookahead is None else Chunks(lookahead + 1, int(generator.integers(lookahead + 1)) + 1)


def draw_casings(count: int, share: float, generator: np.random.Generator) -> list[int]:
    """For each of so many sentences the place of a casing in ``RECASINGS``, or -1 for its own.

    Args:
        count: How many sentences.
        share: How many of them are shown in another casing, in [0, 1); casings are equally likely.
        generator: Random numbers.
    """
    drawn = generator.integers(len(RECASINGS), size=count)
    is_recased = generator.random(count) < share
    return [int(casing) if is_other else -1 for casing, is_other in zip(drawn, is_recased, strict=True)]


def predict_part(model: TaggingModel, part: Part, processes: Processes) -> dict[str, list[list[str]]]:
    """For each task the tags of every sentence of a part, in the part's order, IOB2 where they mark spans.

    Each process tags its share of the batches.
    """
    model.eval()
    transitions = model.transitions()
    batches = list(group_by_length(part.lengths, 256, DEV_BATCH_TOKENS))
    found: list[tuple[int, str, list[str]]] = []
    for places in processes.share(batches):
        batch = part.batch(places)
        emissions = model.emissions(batch)
        for task in model.tasks:
            ids = viterbi(emissions[task.name], batch.lengths, transitions[task.name])
            for place, row, length in zip(places, ids, batch.lengths, strict=True):
                tags = [task.tags[number] for number in row[:length]]
                own = convert_tags(tags, task.scheme, "IOB2") if task.scheme else tags
                found.append((place, task.name, own))
    predicted: dict[str, list[list[str]]] = {task.name: [[]] * len(part.rows) for task in model.tasks}
    for place, name, tags in processes.gather(found):
        predicted[name][place] = tags
    return predicted


def score_part(model: TaggingModel, part: Part, processes: Processes) -> dict[str, dict[str, Any]]:
    """Scores of every task on a part (see ``evaluation.tasks.score_task``)."""
    return score_predicted(part, predict_part(model, part, processes))


def score_predicted(part: Part, predicted: Mapping[str, TagSequences]) -> dict[str, dict[str, Any]]:
    """Scores of every task that was predicted, as ``predict_part`` returns it, on a part."""
    seen = part.table.vocabulary.mark_seen(part.sentences)
    return {
        name: score_task(
            [sentence.tags[name] for sentence in part.sentences], tags, scheme=part.schemes[name], seen=seen
        )
        for name, tags in predicted.items()
    }


def _mean_score(dev: Mapping[str, Mapping[str, Any]]) -> float | None:
    scores = [main_score(task) for task in dev.values()]
    return sum(scores) / len(scores) if scores else None


def _copy_weights(model: TaggingModel) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _forget_singletons(
    batch: Batch, singletons: NDArray[np.bool_], share: float, generator: np.random.Generator
) -> None:
    """Replace some of the words that train holds once by the unknown word, so that its vector is learnt."""
    places = np.flatnonzero(singletons[batch.words])
    batch.words[places[generator.random(len(places)) < share]] = UNKNOWN
