"""Start training from an existing model: extend its vocabulary and take over its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tagger.bundle import Bundle, frozen_vectors
from tagger.config import Config
from tagger.errors import InputError
from tagger.features.vectors import Vectors
from tagger.features.vocab import UNKNOWN, Task, Vocabulary, span_tags
from tagger.network.model import TaggingModel
from tagger.text.schemes import split_tag

LEARNING_RATE, EPOCHS = 0.005, 10
"""Defaults of training from an existing model, whose weights need smaller and fewer steps."""

# Options of the network that do not change its weights; all others are those of the initial model.
_FREE = {
    "vectors_limit", "context_dropout", "linear_dropout", "encoder_dropout", "dropout", "layer_dropout",
    "recurrent_dropout", "word_dropout", "constrain", "consistent_labels",
}  # fmt: skip
_WORDS, _FROZEN, _CHARACTERS, _AFFIXES = (
    "words.trainable.weight",
    "words.frozen",
    "words.characters.embedding.weight",
    "words.affixes.weight",
)
_NEW_LABEL_BIAS = -1.0  # added to a new label's bias, so that old labels win until it is trained


def default_options(initial: Bundle) -> dict[str, Any]:
    """Return the options of a run that starts from a model, by dotted name."""
    model = initial.config.model.model_dump()
    return {
        **{f"model.{name}": value for name, value in model.items()},
        "data.tasks": initial.config.data.tasks,
        "train.learning_rate": LEARNING_RATE,
        "train.epochs": EPOCHS,
    }


def require_compatible(config: Config, initial: Bundle) -> None:
    """Check that the options of the network are those of the initial model.

    Raises:
        InputError: An option differs that determines the weights.
    """
    options = config.model.model_dump()
    for name, value in initial.config.model.model_dump().items():
        if name not in _FREE and options[name] != value:
            raise InputError(
                f"model.{name} must be that of the initial model, {value} (got {options[name]}). Leave it "
                "out.",
                code="option.conflict",
                option=f"model.{name}",
            )


def extend_vocabulary(initial: Vocabulary, train: Vocabulary) -> Vocabulary:
    """Add the words, characters, affixes, shapes, labels and tasks of a train split to a vocabulary.

    All ids of trainable words, characters, affixes and shapes stay the same. A word that was frozen and
    occurs in the train split becomes trainable. Ids of tags change if a label is added.

    Args:
        initial: The existing vocabulary.
        train: The vocabulary of the train split alone.

    Raises:
        InputError: A task has spans in one of them only.
    """
    words = tuple(dict.fromkeys((*initial.words, *train.words)))
    characters = tuple(dict.fromkeys((*initial.characters, *train.characters)))
    added = {task.name: task for task in train.tasks}
    tasks = [_extend_task(task, added.pop(task.name, None)) for task in initial.tasks]
    now_trainable = set(words)
    return replace(
        initial,
        words=words,
        characters=characters,
        affixes=tuple(dict.fromkeys((*initial.affixes, *train.affixes))),
        shapes=tuple(dict.fromkeys((*initial.shapes, *train.shapes))),
        tasks=(*tasks, *added.values()),
        frozen_words=tuple(word for word in initial.frozen_words if word not in now_trainable),
    )


def _extend_task(task: Task, train: Task | None) -> Task:
    if train is None:
        return task
    if task.scheme != train.scheme:
        here, there = ("spans" if one.scheme else "one tag per token" for one in (task, train))
        raise InputError(
            f"the train split has {there} in the task {task.name!r}, but the initial model has {here}. Name "
            "another task, or pass the scheme of the files.",
            code="corpus.scheme",
            option="--scheme",
        )
    if not task.scheme:
        return replace(task, tags=task.tags + tuple(tag for tag in train.tags if tag not in task.ids))
    return replace(task, tags=span_tags((*task.tags, *train.tags), task.scheme))


def extend_vectors(initial: Bundle, vocabulary: Vocabulary, vectors: Vectors | None) -> Vectors:
    """Combine the word vectors of a model with those of a file for words that the model lacks.

    Args:
        initial: The model.
        vocabulary: The extended vocabulary, without frozen words of the file.
        vectors: The vectors of the file, or None.

    Returns:
        The vectors: ``trainable`` has the vectors of all new words, ``frozen`` those of the model's frozen
        words and of the file's.

    Raises:
        InputError: The size of the file's vectors is not that of the model's.
    """
    tensors, old = initial.tensors, initial.vocabulary
    size = tensors[_WORDS].shape[1]
    if vectors and vectors.size != size:
        raise InputError(
            f"the vectors must have {size} dimensions, as in the initial model (got {vectors.size}). Pass "
            "the vectors that the model was trained with, or omit them.",
            code="option.conflict",
            option="--vectors",
        )
    frozen = frozen_vectors(tensors)
    index = {word: row for row, word in enumerate(old.frozen_words)}
    trainable = {}
    for word in vocabulary.words[len(old.words) :]:
        row = old.word_id(word) - len(old.words)  # of the word itself or, at the end, of its lower-case form
        if vectors and word not in index and word in vectors.trainable:
            trainable[word] = vectors.trainable[word]
        elif row >= 0:
            trainable[word] = frozen[row].astype(np.float32)
    kept = frozen[[index[word] for word in vocabulary.frozen_words]]
    known = vocabulary.word_ids
    more = [n for n, word in enumerate(vectors.frozen_words) if word not in known] if vectors else []
    return Vectors(
        trainable=trainable,
        frozen_words=(*vocabulary.frozen_words, *(vectors.frozen_words[n] for n in more if vectors)),
        frozen=np.concatenate([kept, vectors.frozen[more]]) if vectors and more else kept,
        size=size,
        duplicates=vectors.duplicates if vectors else 0,
    )


def load_weights(model: TaggingModel, initial: Bundle, vocabulary: Vocabulary, vectors: Vectors) -> None:
    """Copy the weights of the initial model into the network of an extended vocabulary.

    New words without a vector start with the vector that the initial model gives them (usually that of UNK),
    new characters with that of unknown characters, and new affixes with zeros, like unknown affixes. The same
    holds in the linear part, where new shapes start with zeros, too. The
    weights of a new label are the means of those of the old labels with the same prefix. With the same
    labels, the network thus computes the same emissions.

    Args:
        model: The network, with random weights.
        initial: The initial model.
        vocabulary: The extended vocabulary.
        vectors: The result of ``extend_vectors``.
    """
    old = initial.vocabulary
    tensors = {name: torch.from_numpy(np.array(tensor)) for name, tensor in initial.tensors.items()}
    new_words = vocabulary.words[len(old.words) :]
    new = tensors[_WORDS][[old.word_id(w) if w not in vectors.trainable else UNKNOWN for w in new_words]]
    for row, word in enumerate(new_words):
        if word in vectors.trainable:
            new[row] = torch.from_numpy(vectors.trainable[word])
    tensors[_WORDS] = torch.cat([tensors[_WORDS], new])
    if _CHARACTERS in tensors:
        count = len(vocabulary.characters) - len(old.characters)
        new = tensors[_CHARACTERS][UNKNOWN].expand(count, -1)
        tensors[_CHARACTERS] = torch.cat([tensors[_CHARACTERS], new])
    if _AFFIXES in tensors:
        count = len(vocabulary.affixes) - len(old.affixes)
        tensors[_AFFIXES] = F.pad(tensors[_AFFIXES], (0, 0, 0, count))
    state = model.state_dict()
    for number, task in enumerate(vocabulary.tasks):
        if number < len(old.tasks):
            _extend_head(tensors, f"heads.{number}.", old.tasks[number], task, state)
            if model.linear is not None:
                _extend_linear(tensors, f"linear.{number}.", old, vocabulary, number)
    tensors = {name: tensor for name, tensor in tensors.items() if name in state}
    tensors[_FROZEN] = state[_FROZEN]
    model.load_state_dict({**state, **tensors})


def _extend_head(
    tensors: dict[str, Tensor], prefix: str, old: Task, new: Task, state: Mapping[str, Tensor]
) -> None:
    """Rearrange the rows of a head's weights by the tags of the extended task."""
    if old.tags == new.tags:
        return
    similar = [_similar_tags(tag, old) for tag in new.tags]
    weight, bias = f"{prefix}projection.weight", f"{prefix}projection.bias"
    old_weight, old_bias = tensors[weight], tensors[bias]
    tensors[weight], tensors[bias] = state[weight].clone(), state[bias].clone()
    for row, (tag, rows) in enumerate(zip(new.tags, similar, strict=True)):
        if rows:
            tensors[weight][row] = old_weight[rows].mean(0)
            tensors[bias][row] = old_bias[rows].mean() + _NEW_LABEL_BIAS * (tag not in old.ids)
    if f"{prefix}crf.transitions" in tensors:
        for name in ("start_transitions", "end_transitions"):
            name = f"{prefix}crf.{name}"
            scores = [tensors[name][rows].mean() if rows else torch.zeros(()) for rows in similar]
            tensors[name] = torch.stack(scores)
        transitions = tensors[f"{prefix}crf.transitions"]
        pairs = [
            [_similar_pairs(a, b, old, new, similar) for b in range(len(new.tags))]
            for a in range(len(new.tags))
        ]
        tensors[f"{prefix}crf.transitions"] = torch.stack(
            [
                torch.stack([transitions[pair].mean() if pair[0] else torch.zeros(()) for pair in row])
                for row in pairs
            ]
        )


def _extend_linear(
    tensors: dict[str, Tensor], prefix: str, old: Vocabulary, new: Vocabulary, number: int
) -> None:
    """Add rows for the new words, shapes and affixes, and arrange the columns by the tags of a task."""
    words, shapes, affixes = (f"{prefix}{kind}.weight" for kind in ("words", "shapes", "affixes"))
    added = len(new.words) - len(old.words)
    tensors[words] = torch.cat([tensors[words], tensors[words][UNKNOWN].expand(added, -1)])
    tensors[shapes] = F.pad(tensors[shapes], (0, 0, 0, len(new.shapes) - len(old.shapes)))
    tensors[affixes] = F.pad(tensors[affixes], (0, 0, 0, len(new.affixes) - len(old.affixes)))
    old_task, new_task = old.tasks[number], new.tasks[number]
    if old_task.tags == new_task.tags:
        return
    similar = [_similar_tags(tag, old_task) for tag in new_task.tags]
    for name in (words, shapes, affixes):
        table = tensors[name].view(len(tensors[name]), -1, len(old_task.tags))  # (N, 5 or 1, C)
        columns = [table[:, :, ids].mean(2) if ids else torch.zeros_like(table[:, :, 0]) for ids in similar]
        tensors[name] = torch.stack(columns, dim=2).flatten(1)


def _similar_pairs(
    first: int, second: int, old: Task, new: Task, similar: Sequence[Sequence[int]]
) -> tuple[list[int], list[int]]:
    """Return the old transitions to average for a new one: within a label, or between different labels."""

    def has_one_label(task: Task, a: int, b: int) -> bool:
        return split_tag(task.tags[a])[1] == split_tag(task.tags[b])[1]

    pairs = [(a, b) for a in similar[first] for b in similar[second]]
    is_same = has_one_label(new, first, second)
    alike = [pair for pair in pairs if has_one_label(old, *pair) == is_same] or pairs
    return [a for a, _ in alike], [b for _, b in alike]


def _similar_tags(tag: str, task: Task) -> list[int]:
    """Return the ids of the old tags whose weights a tag starts with: its own, or those of its prefix."""
    if tag in task.ids:
        return [task.ids[tag]]
    if not task.scheme:
        return []
    prefix = split_tag(tag)[0]
    return [number for number, old in enumerate(task.tags) if old != "O" and split_tag(old)[0] == prefix]


def find_new_singletons(words: Sequence[str], initial: Vocabulary, vocabulary: Vocabulary) -> frozenset[int]:
    """Return the ids of words that occur once in train and that the initial model has not been trained on."""
    return frozenset(vocabulary.word_ids[word] for word in words if not initial.is_seen(word))
