"""Score models on labelled data: one model, or a model before and after further training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tagger.evaluation.model_scores import ModelScores
from tagger.evaluation.tasks import main_score
from tagger.runtime.gold_data import gold_data
from tagger.runtime.min_score import MinScore
from tagger.runtime.model_evaluation import evaluate as evaluate_model
from tagger.runtime.tagger import Tagger

OVERALL = "all"


@dataclass(frozen=True, slots=True)
class Change:
    """The score of one label on one split, before and after.

    Attributes:
        split: The name of the split.
        task: The task.
        label: A label (of a task without spans: a tag), or ``OVERALL`` for all of them.
        before: F1 (of all tags: accuracy) of the model before, as a fraction; None if it lacks the task.
        after: The same of the model after.
        support: Number of gold spans (or tags).
    """

    split: str
    task: str
    label: str
    before: float | None
    after: float
    support: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        return asdict(self)


def evaluate(
    model: Tagger | str | Path,
    data: object,
    *,
    task: str | Sequence[str] | None = None,
    min_score: MinScore = 0.0,
) -> ModelScores:
    """Score a model on labelled data: ``Tagger.evaluate`` for a model in memory, a folder or a name.

    Args:
        model: The model.
        data: See ``Tagger.evaluate``.
        task: See ``Tagger.evaluate``.
        min_score: See ``Tagger.evaluate``.

    Raises:
        TypeError: An argument has a wrong type.
        InputError: The model or the data cannot be read, or see ``Tagger.evaluate``.
    """
    tagger = model if isinstance(model, Tagger) else Tagger.load(model)
    return tagger.evaluate(data, task=task, min_score=min_score)


def measure_forgetting(before: Tagger, after: Tagger, splits: Mapping[str, object]) -> list[Change]:
    """Score two models on labelled splits, usually the dev sets of the old and of the new data.

    A label that a model lacks counts as missed.

    Args:
        before: The model that training started from.
        after: The trained model; it has all tasks of ``before``.
        splits: Labelled data by name: paths, or data in memory (see ``corpus.memory.hold``). Each split is
            scored on the tasks that it has.

    Returns:
        For each split and task the overall score, then that of every label.

    Raises:
        TypeError: A split is not labelled data.
        InputError: A split cannot be read, or see ``model_evaluation.evaluate``.
    """
    changes = []
    for name, data in splits.items():
        sentences, tasks = gold_data(after, after.tokenizer, data, ())
        old_tasks = [task.name for task in before.tasks if task.name in tasks]
        old = evaluate_model(before, sentences, tasks=old_tasks).scores if old_tasks else {}
        new = evaluate_model(after, sentences, tasks=tasks).scores
        for task, scores in new.items():
            earlier = old.get(task)
            overall = None if earlier is None else main_score(earlier)
            changes.append(Change(name, task, OVERALL, overall, main_score(scores), scores["support"]))
            for label, values in scores["by_label"].items():
                known = earlier["by_label"].get(label) if earlier else None
                changes.append(
                    Change(name, task, label, known["f1"] if known else None, values["f1"], values["support"])
                )
    return changes
