"""Temperature scaling of a trained model on a split, to calibrate its probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tagger.decoding import temperature
from tagger.decoding.temperature import GoldBatch
from tagger.features.batching import group_by_length
from tagger.network.model import TaggingModel
from tagger.training.encoded_split import EncodedSplit
from tagger.training.prediction import DEV_BATCH_TOKENS

BATCH_SENTENCES = 256


def fit_on_split(model: TaggingModel, split: EncodedSplit) -> dict[str, float]:
    """Fit one temperature per task on a split (see ``decoding.temperature.fit_temperature``).

    Args:
        model: The trained network.
        split: Labelled sentences outside the train split; they may contain tags that the model does not know.
    """
    model.eval()
    gold = {
        task.name: [
            np.array(task.encode(sentence.tags[task.name], split.schemes[task.name]), np.int64)
            for sentence in split.sentences
        ]
        for task in model.tasks
        if task.name in split.schemes
    }
    labelled = replace(split, tags=gold)

    def gold_batches() -> Iterator[dict[str, GoldBatch]]:
        for indices in group_by_length(split.lengths, BATCH_SENTENCES, DEV_BATCH_TOKENS):
            batch = labelled.batch(indices)
            yield {
                name: GoldBatch(emissions, batch.lengths, batch.tags[name])
                for name, emissions in model.emissions(batch).items()
                if name in gold
            }

    transitions = {name: values for name, values in model.transitions().items() if name in gold}
    return temperature.fit_temperatures(gold_batches(), transitions)
