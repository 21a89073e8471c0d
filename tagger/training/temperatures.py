"""Temperatures fitted to a part: they make a trained model's probabilities mean what they say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tagger.decoding import temperature
from tagger.decoding.temperature import GoldBatch
from tagger.features.batching import group_by_length
from tagger.network.model import TaggingModel
from tagger.training.loop import DEV_BATCH_TOKENS
from tagger.training.preparation import Part

BATCH_SENTENCES = 256


def fit_temperatures(model: TaggingModel, part: Part) -> dict[str, float]:
    """For each task the temperature that fits a part best (see ``decoding.temperature.fit_temperature``).

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

    def scored() -> Iterator[dict[str, GoldBatch]]:
        for places in group_by_length(part.lengths, BATCH_SENTENCES, DEV_BATCH_TOKENS):
            batch = labelled.batch(places)
            yield {
                name: GoldBatch(emissions, batch.lengths, batch.tags[name])
                for name, emissions in model.emissions(batch).items()
            }

    return temperature.fit_temperatures(scored(), model.transitions())
