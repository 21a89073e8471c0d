"""Costs of wrong tags in the loss: class weights, and a bias between precision and recall."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from tagger.config import TrainConfig
from tagger.errors import InputError
from tagger.features.vocab import Task
from tagger.text.schemes import split_tag
from tagger.training.encoded_split import EncodedSplit


def make_costs(tasks: Sequence[Task], train: EncodedSplit, config: TrainConfig) -> dict[str, Tensor]:
    """Compute the costs of wrong tags that ``Head.loss`` adds, (C, C) by task, gold -> other.

    A label's weight w adds the cost log w to every other tag of the label's tokens: the loss multiplies the
    odds of all wrong tags by w (Menon et al. 2021 for single decisions; here for tag sequences, by the
    softmax-margin of Gimpel and Smith 2010, section 3). ``balanced`` weights are
    tokens / (labels * tokens of the label). A positive recall bias is the cost of O for a token of a span,
    as in recall-oriented training (Mohit et al. 2012). A negative bias is the cost of a wrong label other
    than O.

    Args:
        tasks: The tasks and their tags.
        train: The encoded train split.
        config: Class weights and recall bias.

    Returns:
        Costs by task; empty if neither option is set.

    Raises:
        InputError: No task has a weighted label, or a recall bias is set but no task has spans.
    """
    if not config.class_weights and not config.recall_bias:
        return {}
    labels = {task.name: [_label(task, tag) for tag in task.tags] for task in tasks}
    known = {label for task_labels in labels.values() for label in task_labels}
    if not isinstance(config.class_weights, str):
        for label in config.class_weights.keys() - known:
            raise InputError(
                f"no task has the label {label!r} (the labels are {', '.join(sorted(known))}). Correct or "
                "remove it.",
                code="option.value",
                where="train.class_weights",
                option="train.class_weights",
            )
    if config.recall_bias and all(task.scheme is None for task in tasks):
        raise InputError(
            "train.recall_bias needs a task with spans (got none). Remove it.",
            code="option.conflict",
            option="train.recall_bias",
        )
    costs_by_task = {}
    for task in tasks:
        task_labels, ids = labels[task.name], np.concatenate([*train.tags[task.name]])
        counts = np.bincount(ids[ids >= 0], minlength=len(task_labels))  # -1: no tag, or unknown
        weights = _weights(config.class_weights, task_labels, counts)
        costs = torch.tensor([[math.log(weights[label])] * len(task_labels) for label in task_labels])
        if task.scheme:
            is_outside = torch.tensor([tag == "O" for tag in task.tags])
            is_same = torch.tensor([[label == other for other in task_labels] for label in task_labels])
            is_missed, is_spurious = ~is_outside[:, None] & is_outside, ~is_same & ~is_outside
            costs[is_missed if config.recall_bias > 0 else is_spurious] += abs(config.recall_bias)
        costs_by_task[task.name] = costs.fill_diagonal_(0.0)
    return costs_by_task


def _label(task: Task, tag: str) -> str:
    return split_tag(tag)[1] if task.scheme and tag != "O" else tag


def _weights(
    weights: Mapping[str, float] | str, labels: Sequence[str], counts: np.ndarray
) -> dict[str, float]:
    """Compute the weight of each label; ``counts`` (C,) has the tokens of each tag."""
    if not isinstance(weights, str):
        return {label: weights.get(label, 1.0) for label in labels}
    totals = dict.fromkeys(labels, 0)
    for label, count in zip(labels, counts.tolist(), strict=True):
        totals[label] += count
    tokens = sum(totals.values())
    return {label: tokens / (len(totals) * max(1, count)) for label, count in totals.items()}
