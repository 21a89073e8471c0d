"""``ModelScores``: the scores of a model as a typed record, for use in Python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LabelScore:
    """Scores of one label or tag, as fractions.

    Attributes:
        precision: Share of the predicted items that are correct.
        recall: Share of the gold items that are found.
        f1: Harmonic mean of precision and recall.
        support: Number of gold items.
    """

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True, repr=False)
class TaskScore:
    """Scores of one task, as fractions. A task with spans has no accuracy, any other task only accuracy.

    Attributes:
        task: The task.
        support: Number of gold spans, or of tokens if the task has no spans.
        by_label: The scores of each label, or of each tag.
        metrics: The values of all metrics as JSON values (see ``evaluation.tasks``).
    """

    task: str
    support: int
    by_label: Mapping[str, LabelScore]
    metrics: Mapping[str, Any]

    @property
    def precision(self) -> float:
        """Micro-averaged precision of the spans.

        Raises:
            AttributeError: The task has no spans.
        """
        return self._metric("precision")

    @property
    def recall(self) -> float:
        """Micro-averaged recall of the spans.

        Raises:
            AttributeError: The task has no spans.
        """
        return self._metric("recall")

    @property
    def f1(self) -> float:
        """Micro-averaged F1 of the spans, as conlleval computes it.

        Raises:
            AttributeError: The task has no spans.
        """
        return self._metric("f1")

    @property
    def accuracy(self) -> float:
        """Share of tokens with the correct tag.

        Raises:
            AttributeError: The task has spans.
        """
        return self._metric("accuracy")

    def _metric(self, name: str) -> float:
        if name not in self.metrics:
            has = "accuracy" if "accuracy" in self.metrics else "precision, recall and f1"
            raise AttributeError(f"the task {self.task!r} has no {name}. Use {has}.")
        return float(self.metrics[name])

    def to_dict(self) -> dict[str, Any]:
        """Return all metrics as JSON values, as ``tagger evaluate --json`` writes them."""
        return dict(self.metrics)

    def __repr__(self) -> str:
        names = [name for name in ("precision", "recall", "f1", "accuracy") if name in self.metrics]
        values = ", ".join(f"{name}={self.metrics[name]:.4f}" for name in names)
        return f"TaskScore({self.task!r}, {values}, support={self.support})"


@dataclass(frozen=True, slots=True, repr=False)
class ModelScores:
    """Scores of each task: ``scores["ner"]``, or ``scores.ner``.

    Attributes:
        tasks: The scores by task.
    """

    tasks: Mapping[str, TaskScore]

    @classmethod
    def from_metrics(cls, metrics: Mapping[str, Mapping[str, Any]]) -> ModelScores:
        """Build the record from the metrics of each task (see ``evaluation.tasks.score_task``)."""
        return cls(
            {
                task: TaskScore(
                    task,
                    values["support"],
                    {label: LabelScore(**scores) for label, scores in values["by_label"].items()},
                    values,
                )
                for task, values in metrics.items()
            }
        )

    def __getitem__(self, task: str) -> TaskScore:
        return self.tasks[task]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)

    def __getattr__(self, name: str) -> TaskScore:
        if name.startswith("__") or name == "tasks":  # copy and pickle look these up on an empty record
            raise AttributeError(name)
        if name not in self.tasks:
            raise AttributeError(f"there are no scores of {name!r}. The tasks are {', '.join(self.tasks)}.")
        return self.tasks[name]

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return all metrics of each task as JSON values, as ``tagger evaluate --json`` writes them."""
        return {name: scores.to_dict() for name, scores in self.tasks.items()}

    def __repr__(self) -> str:
        return f"ModelScores({', '.join(map(repr, self.tasks.values()))})"
