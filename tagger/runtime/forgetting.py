"""What a model gained and lost by further training: scores before and after, per label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tagger.evaluation.tasks import main_score
from tagger.runtime.gold_data import gold_data
from tagger.runtime.model_evaluation import evaluate
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
        old = evaluate(before, sentences, tasks=old_tasks).scores if old_tasks else {}
        new = evaluate(after, sentences, tasks=tasks).scores
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
