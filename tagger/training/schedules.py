"""Learning rate schedules of ``train.schedule``, with warm-up."""

from __future__ import annotations

import math
from collections.abc import Callable

from tagger.config import ScheduleKind, TrainConfig


def _inverse_time(config: TrainConfig, epoch: int, step: int, steps: int) -> float:
    return config.learning_rate / (1.0 + config.decay * (epoch - 1))


def _cosine(config: TrainConfig, epoch: int, step: int, steps: int) -> float:
    begin, end = cosine_cycle(config, epoch)
    share = ((epoch - 1 - begin) * steps + step - 1) / ((end - begin) * steps)
    return config.learning_rate * (0.5 * (1.0 + math.cos(math.pi * min(1.0, share))))


def _constant(config: TrainConfig, epoch: int, step: int, steps: int) -> float:
    return config.learning_rate


# The learning rate without warm-up, with the arguments of ``learning_rate``.
SCHEDULES: dict[ScheduleKind, Callable[[TrainConfig, int, int, int], float]] = {
    "inverse_time": _inverse_time,
    "cosine": _cosine,
    "constant": _constant,
}


def learning_rate(config: TrainConfig, epoch: int, step: int, steps: int) -> float:
    """Compute the learning rate of one step.

    Args:
        config: Peak learning rate, schedule and warm-up.
        epoch: Number of the epoch, from 1.
        step: Number of the step in its epoch, from 1.
        steps: Total steps of the epoch.
    """
    rate = SCHEDULES[config.schedule](config, epoch, step, steps)
    done = (epoch - 1) * steps + step
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
