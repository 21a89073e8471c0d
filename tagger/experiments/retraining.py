"""Train configs with new seeds and test whether their scores differ."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tagger.config import Config
from tagger.errors import InputError
from tagger.evaluation.breakdown import count_sentences, gold_items, predicted_items
from tagger.evaluation.significance import (
    Estimate,
    correct_p_values,
    estimate,
    estimate_difference,
    randomisation_test,
)
from tagger.experiments.grid import RUNS
from tagger.experiments.results import LARGEST_FILE
from tagger.storage import claim_folder, make_own_folder, read_input, write_whole, writing
from tagger.training.checkpoint import data_digests, describe_options
from tagger.training.encoded_split import EncodedSplit
from tagger.training.loop import EpochRecord, train
from tagger.training.prediction import predict_split
from tagger.training.preparation import Preparation, prepare, read_split
from tagger.training.processes import Processes
from tagger.training.progress import Progress
from tagger.training.schema import Count, Saved, validate

FORMAT = "tagger retraining 1"
SplitCounts = Mapping[str, Mapping[str, NDArray[np.int64]]]
"""Correct, predicted and gold items of each sentence, (S, 3), by split and task."""


@dataclass(frozen=True, slots=True)
class Data:
    """The files of a search and its comparison.

    Attributes:
        train_files: Corpus files of the train split.
        dev_files: Corpus files of the dev split, which selects the best epoch of each run.
        test_files: Corpus files of the test split, used by the comparison only; may be empty.
        vectors_file: Static word vectors, or None.
    """

    train_files: Sequence[Path]
    dev_files: Sequence[Path]
    test_files: Sequence[Path] = ()
    vectors_file: Path | None = None

    def prepare(self, config: Config) -> Preparation:
        """Read the train and dev splits and the vectors.

        Raises:
            InputError: A file cannot be read, or lacks what the config requests.
        """
        return prepare(config, self.train_files, self.dev_files, self.vectors_file)


@dataclass(frozen=True, slots=True)
class RetrainedRecord:
    """A run of the comparison is finished, now or in an earlier call.

    Attributes:
        name: Name of the config.
        seed: Seed of the run.
        scores: Its score by split, the mean over tasks, a fraction of 1.
    """

    name: str
    seed: int
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class TestedGain:
    """The gain of the second config over the first, on one split in one task.

    Attributes:
        split: The split, ``dev`` or ``test``.
        task: The task.
        base: Scores of the first config over seeds: F1, or accuracy in tasks without spans.
        other: Scores of the second config.
        difference: Other minus base, paired by seed.
        p_value: P-value of approximate randomisation over sentences, all seeds of a sentence together.
        p_corrected: P-value after Holm's correction for all tasks of the split.
    """

    split: str
    task: str
    base: Estimate
    other: Estimate
    difference: Estimate
    p_value: float
    p_corrected: float


class _SavedRun(Saved):
    format: Literal["tagger retraining 1"]
    description: dict[str, str]
    counts: dict[str, dict[str, list[list[Count]]]]


def compare_configs(
    base: tuple[str, Config],
    other: tuple[str, Config],
    data: Data,
    *,
    seeds: Sequence[int],
    output: Path,
) -> Generator[RetrainedRecord, None, list[TestedGain]]:
    """Train two configs with the same seeds, and test the difference of their scores.

    A run keeps the weights of its best epoch on dev, as ``tagger train`` does. Each finished run is a file in
    ``output/runs``, which a later call with the same options and data reuses.

    Args:
        base: Name and options of the baseline.
        other: Name and options of the config to compare with it.
        data: The files.
        seeds: Seeds of the runs; replace ``train.seed``.
        output: Folder of the comparison.

    Yields:
        A record after each run.

    Returns:
        The gains in each task on dev and, if there is one, on test.

    Raises:
        InputError: A file is invalid, the folder cannot be written, or another process writes to it.
    """
    folder = output / RUNS
    with writing(folder):
        make_own_folder(folder)
    counts: dict[str, list[SplitCounts]] = {}
    with claim_folder(folder):
        for name, config in (base, other):
            preparation = data.prepare(config)
            splits = {"dev": preparation.dev}
            if data.test_files:
                splits["test"] = read_split(config, data.test_files, preparation)
            digests = data_digests(preparation, splits.get("test"))
            scored = {split: encoded for split, encoded in splits.items() if encoded}
            counts[name] = []
            for seed in seeds:
                seeded = _with_seed(config, seed)
                description, path = describe_options(seeded) | digests, folder / f"{name}-{seed}.json"
                run = _load_counts(path, description, scored)
                if run is None:
                    run = _train(seeded, preparation, scored)
                    _save_counts(path, description, run)
                counts[name].append(run)
                yield RetrainedRecord(name, seed, {split: _mean_score(run[split]) for split in run})
    return _test_gains(counts[base[0]], counts[other[0]])


def _with_seed(config: Config, seed: int) -> Config:
    return config.model_copy(update={"train": config.train.model_copy(update={"seed": seed})})


def _train(config: Config, preparation: Preparation, splits: Mapping[str, EncodedSplit]) -> SplitCounts:
    """Train a model and count the items that its best epoch predicts."""
    progress = Progress(preparation, config, Processes())
    weights: Mapping[str, Any] = {}
    for record in train(preparation, config, progress):
        if isinstance(record, EpochRecord) and record.weights is not None:
            weights = record.weights
    progress.model.load_state_dict(weights)
    with progress.own_torch():
        predictions = {
            name: predict_split(progress.model, split, progress.processes) for name, split in splits.items()
        }
    return {
        name: {task: _count(splits[name], task, tags) for task, tags in by_task.items()}
        for name, by_task in predictions.items()
    }


def _count(split: EncodedSplit, task: str, predicted: Sequence[Sequence[str]]) -> NDArray[np.int64]:
    """Count the correct, predicted and gold items of each sentence: (S, 3)."""
    gold, scheme = [sentence.tags[task] for sentence in split.sentences], split.schemes[task]
    return count_sentences(gold_items(gold, scheme), predicted_items(gold, predicted, scheme)[1])


def _score(counts: NDArray[np.int64]) -> float:
    """Return F1, or accuracy if each token is a gold and a predicted item."""
    right, predicted, gold = counts.sum(axis=0).tolist()
    return 2 * right / (predicted + gold) if predicted + gold else 0.0


def _mean_score(by_task: Mapping[str, NDArray[np.int64]]) -> float:
    return float(np.mean([_score(counts) for counts in by_task.values()]))


def _test_gains(base: Sequence[SplitCounts], other: Sequence[SplitCounts]) -> list[TestedGain]:
    gains = []
    for split, tasks in base[0].items():
        sides = [[[run[split][task] for run in runs] for runs in (base, other)] for task in tasks]
        p_values = [randomisation_test(np.stack(first), np.stack(second)) for first, second in sides]
        corrected = correct_p_values(p_values)
        for task, (first, second), p_value, p_corrected in zip(
            tasks, sides, p_values, corrected, strict=True
        ):
            scores = [[_score(counts) for counts in runs] for runs in (first, second)]
            gains.append(
                TestedGain(
                    split,
                    task,
                    base=estimate(scores[0]),
                    other=estimate(scores[1]),
                    difference=estimate_difference(*scores),
                    p_value=p_value,
                    p_corrected=p_corrected,
                )
            )
    return gains


def _save_counts(path: Path, description: Mapping[str, str], run: SplitCounts) -> None:
    values = {
        "format": FORMAT,
        "description": dict(description),
        "counts": {
            split: {task: counts.tolist() for task, counts in by_task.items()}
            for split, by_task in run.items()
        },
    }
    write_whole(path, json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode())


def _load_counts(
    path: Path, description: Mapping[str, str], splits: Mapping[str, EncodedSplit]
) -> SplitCounts | None:
    """Read a finished run; None without a run of these options and data.

    Raises:
        InputError: The file is damaged.
    """
    if not path.exists():
        return None
    try:
        values = json.loads(read_input(path, max_bytes=LARGEST_FILE, is_stored=True))
        validate(_SavedRun, values)
        if values["description"] != description:  # of an earlier winner or default
            return None
        return {
            name: {
                task: np.array(values["counts"][name][task], dtype=np.int64).reshape(len(split.rows), 3)
                for task in split.schemes
            }
            for name, split in splits.items()
        }
    except (OSError, ValueError, KeyError, RecursionError) as error:
        raise InputError(
            f"the run is damaged ({error}). Delete the file to train this run again.",
            code="run.damaged",
            where=path,
        ) from None
