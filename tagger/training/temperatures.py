"""Calibration of a trained model on a split: temperatures, and precision and recall of score thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tagger.decoding import temperature
from tagger.decoding.candidates import SpanMarginals
from tagger.decoding.spans import SpanReader
from tagger.decoding.temperature import GoldBatch, compute_posterior
from tagger.decoding.viterbi import Transitions, viterbi
from tagger.evaluation.calibration import Judged, ThresholdScore, judge_spans, judge_tags, score_thresholds
from tagger.features.batching import group_by_length
from tagger.features.vocab import Task
from tagger.network.model import TaggingModel
from tagger.text.sentence import Span
from tagger.training.encoded_split import EncodedSplit
from tagger.training.prediction import DEV_BATCH_TOKENS

BATCH_SENTENCES = 256
THRESHOLD_GRID = (*(step / 20 for step in range(20)), 0.99)

IndexedBatch = tuple[list[int], GoldBatch]  # the indices of B sentences, and their batch


def calibrate_on_split(
    model: TaggingModel, split: EncodedSplit
) -> tuple[dict[str, float], dict[str, list[ThresholdScore]]]:
    """Fit one temperature per task on a split, and score thresholds at these temperatures.

    The thresholds have the precision and recall of the predictions with at least that score (see
    ``evaluation.calibration.score_thresholds``), before labels are made consistent in a document.

    Args:
        model: The trained network.
        split: Labelled sentences outside the train split; they may contain tags that the model does not know.

    Returns:
        The temperature of each task (see ``decoding.temperature.fit_temperature``), and its scores at each
        threshold of ``THRESHOLD_GRID``.
    """
    model.eval()
    tasks = [task for task in model.tasks if task.name in split.schemes]
    gold = {
        task.name: [
            np.array(task.encode(sentence.tags[task.name], split.schemes[task.name]), np.int64)
            for sentence in split.sentences
        ]
        for task in tasks
    }
    labelled = replace(split, tags=gold)
    batches: dict[str, list[IndexedBatch]] = {task.name: [] for task in tasks}
    for indices in group_by_length(split.lengths, BATCH_SENTENCES, DEV_BATCH_TOKENS):
        batch = labelled.batch(indices)
        emissions = model.emissions(batch)
        for name, task_batches in batches.items():
            task_batches.append((indices, GoldBatch(emissions[name], batch.lengths, batch.tags[name])))
    temperatures, thresholds = {}, {}
    for task in tasks:
        transitions, task_batches = model.transitions()[task.name], batches[task.name]
        fitted = temperature.fit_temperature([batch for _, batch in task_batches], transitions)
        judged = _judge(task, split, task_batches, transitions, fitted)
        temperatures[task.name] = fitted
        thresholds[task.name] = score_thresholds(judged.is_right, judged.scores, judged.gold, THRESHOLD_GRID)
    return temperatures, thresholds


def _judge(
    task: Task,
    split: EncodedSplit,
    batches: Sequence[IndexedBatch],
    transitions: Transitions,
    fitted: float,
) -> Judged:
    """Compare the model's scored predictions with the gold tags of the split."""
    tags: list[list[str]] = [[] for _ in split.sentences]
    scores: list[list[float]] = [[] for _ in split.sentences]
    spans: list[list[Span]] = [[] for _ in split.sentences]
    reader = SpanReader(task.tags, "IOB2") if task.scheme else None
    for indices, batch in batches:
        ids = viterbi(batch.emissions, batch.lengths, transitions)  # (B, T)
        posterior = compute_posterior(batch.emissions, batch.lengths, transitions, fitted)
        if reader is None:
            chosen = np.take_along_axis(posterior.tags, np.maximum(ids, 0)[:, :, None], axis=2)[:, :, 0]
            for row, (index, length) in enumerate(zip(indices, batch.lengths, strict=True)):
                tags[index] = [task.tags[tag] for tag in ids[row, :length]]
                scores[index] = chosen[row, :length].tolist()
            continue
        begins = np.cumsum(batch.lengths) - batch.lengths
        flat = ids[np.arange(ids.shape[1]) < batch.lengths[:, None]]  # (N,)
        found = reader.find(flat, np.isin(np.arange(len(flat)), begins))
        owners = found.sentences(begins)
        columns = (
            owners,
            found.starts,
            found.ends,
            found.labels,
            SpanMarginals(posterior, reader).score(found, begins),
        )
        for owner, start, end, label, score in zip(*(column.tolist() for column in columns), strict=True):
            first = int(begins[owner])
            spans[indices[owner]].append(Span(start - first, end - first, reader.labels[label], score))
    gold = [sentence.tags[task.name] for sentence in split.sentences]
    scheme = split.schemes[task.name]
    return judge_tags(gold, tags, scores) if scheme is None else judge_spans(gold, spans, scheme)
