"""Temperatures fitted to a part: they make a trained model's probabilities mean what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tagger.decoding.temperature import GoldBatch, fit_temperature
from tagger.features.batching import group_by_length
from tagger.network.model import TaggingModel
from tagger.training.loop import DEV_BATCH_TOKENS
from tagger.training.preparation import Part

BATCH_SENTENCES = 256


def fit_temperatures(model: TaggingModel, part: Part) -> dict[str, float]:
    """For each task the temperature that fits a part best (see ``decoding.temperature.fit_temperature``).

    The emissions of the whole part are held meanwhile.

    Args:
        model: The trained network.
        part: Sentences with gold tags that it was not trained on; some may be unknown to it.
    """
    model.eval()
    gold = {
        task.name: [
            np.array(task.encode(sentence.tags[task.name], part.schemes[task.name]), np.int64)
            for sentence in part.sentences
        ]
        for task in model.tasks
    }
    labelled = replace(part, tags=gold)
    batches: dict[str, list[GoldBatch]] = {task.name: [] for task in model.tasks}
    for places in group_by_length(part.lengths, BATCH_SENTENCES, DEV_BATCH_TOKENS):
        batch = labelled.batch(places)
        for name, emissions in model.emissions(batch).items():
            batches[name].append(GoldBatch(emissions, batch.lengths, batch.tags[name]))
    transitions = model.transitions()
    return {name: fit_temperature(found, transitions[name]) for name, found in batches.items()}
