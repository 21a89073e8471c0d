"""Predictions of the model in training on a split, and their scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tagger.decoding.viterbi import viterbi
from tagger.evaluation.scores import TagSequences
from tagger.evaluation.tasks import score_task
from tagger.features.batching import group_by_length
from tagger.network.model import TaggingModel
from tagger.text.schemes import convert_tags
from tagger.training.encoded_split import EncodedSplit
from tagger.training.processes import Processes

DEV_BATCH_TOKENS = 4096


def predict_split(
    model: TaggingModel, split: EncodedSplit, processes: Processes
) -> dict[str, list[list[str]]]:
    """Predict the tags of a split for its tasks: by task, in the split's order; span tasks are in IOB2.

    Each process tags its share of the batches.
    """
    model.eval()
    transitions = model.transitions()
    batches = list(group_by_length(split.lengths, 256, DEV_BATCH_TOKENS))
    tasks = [task for task in model.tasks if task.name in split.schemes]
    own_tags: list[tuple[int, str, list[str]]] = []  # sentence index, task and tags
    for indices in processes.share(batches):
        batch = split.batch(indices)
        emissions = model.emissions(batch)
        for task in tasks:
            tag_ids = viterbi(emissions[task.name], batch.lengths, transitions[task.name])
            for index, row, length in zip(indices, tag_ids, batch.lengths, strict=True):
                tags = [task.tags[tag_id] for tag_id in row[:length]]
                tags = convert_tags(tags, task.scheme, "IOB2") if task.scheme else tags
                own_tags.append((index, task.name, tags))
    predicted: dict[str, list[list[str]]] = {task.name: [[]] * len(split.rows) for task in tasks}
    for index, name, tags in processes.gather(own_tags):
        predicted[name][index] = tags
    return predicted


def score_split(model: TaggingModel, split: EncodedSplit, processes: Processes) -> dict[str, dict[str, Any]]:
    """Evaluate a model on a split; return the scores of every task (see ``evaluation.tasks.score_task``)."""
    return score_predicted(split, predict_split(model, split, processes))


def score_predicted(split: EncodedSplit, predicted: Mapping[str, TagSequences]) -> dict[str, dict[str, Any]]:
    """Score the tags that ``predict_split`` returns for a split, for every task."""
    seen = split.table.vocabulary.mark_seen(split.sentences)
    return {
        name: score_task(
            [sentence.tags[name] for sentence in split.sentences], tags, scheme=split.schemes[name], seen=seen
        )
        for name, tags in predicted.items()
    }
