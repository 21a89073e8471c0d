"""A self-contained HTML page with all errors of a model on a file, and filters (``error_page.html``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagger.evaluation.confusion import NO_SPAN, SPAN_KINDS, TAG_KINDS, Kind, Outcome
from tagger.evaluation.mistakes import group_mistakes, words_around
from tagger.reports.marks import SIDES, Piece, Side, split_sentence
from tagger.reports.page import hue_rules
from tagger.reports.templates import filtered_head, read_source, render
from tagger.runtime.model_evaluation import Evaluation, TaskEvaluation
from tagger.storage import replace_file
from tagger.text.markup import label_hues

FREQUENT = 20  # most frequent groups of errors to list
EXAMPLES = 3  # example sentences per group
MANY = 12  # a matrix with more labels than this has a small font

KINDS: tuple[Kind, ...] = tuple(kind for kind in (*SPAN_KINDS, *TAG_KINDS) if kind != "right")


@dataclass(frozen=True, slots=True)
class _Article:
    """A sentence with errors in one task."""

    task: _Task
    number: int

    @property
    def anchor(self) -> str:
        return self.task.anchor(self.number)

    @property
    def source(self) -> str:
        return self.task.source(self.number)

    @property
    def text(self) -> str:
        return self.task.evaluation.sentences[self.number].text

    @property
    def errors(self) -> list[Outcome]:
        return [outcome for outcome in self.task.result.outcomes[self.number] if outcome.kind != "right"]

    def pieces(self, side: Side) -> Iterator[Piece]:
        evaluation = self.task.evaluation
        return split_sentence(
            evaluation.sentences[self.number],
            self.task.result.outcomes[self.number],
            side,
            seen=evaluation.seen[self.number],
            hues=self.task.hues,
        )


@dataclass(frozen=True, slots=True)
class _Task:
    """One task on the page.

    Attributes:
        index: The index of the task, for anchors.
        name: The task's name.
        evaluation: The results of all tasks.
        label_ids: The id of each label in filters; None is the label of "no span".
        hues: The hue of each span label; empty for a task without spans.
    """

    index: int
    name: str
    evaluation: Evaluation
    label_ids: Mapping[str | None, int]
    hues: Mapping[str, int]

    @property
    def result(self) -> TaskEvaluation:
        return self.evaluation.tasks[self.name]

    def anchor(self, number: int) -> str:
        """Return the link target of a sentence."""
        return f"t{self.index}-s{number + 1}"

    def source(self, number: int) -> str:
        """Return the location of a sentence."""
        return self.evaluation.sentences[number].source or f"sentence {number + 1}"

    def pair(self, labels: tuple[str | None, str | None]) -> str:
        """Return the ids of a gold and a predicted label, as the filters use them."""
        return f"{self.label_ids[labels[0]]}.{self.label_ids[labels[1]]}"

    def headline(self) -> list[tuple[str, str]]:
        """Return the names of the main scores with their values."""
        scores = self.result.scores
        if "accuracy" in scores:
            return [
                ("accuracy", f"{scores['accuracy']:.4f}"),
                ("on words seen in train", f"{scores['seen']['accuracy']:.4f}"),
                ("on words unseen in train", f"{scores['unseen']['accuracy']:.4f}"),
                ("tokens", f"{scores['support']:,}"),
            ]
        return [
            ("F1 (conlleval mode)", f"{scores['f1']:.4f}"),
            ("precision", f"{scores['precision']:.4f}"),
            ("recall", f"{scores['recall']:.4f}"),
            (f"F1, strict mode ({scores['strict']['scheme']})", f"{scores['strict']['f1']:.4f}"),
            ("F1, all words seen in train", f"{scores['seen']['f1']:.4f}"),
            ("F1, with an unseen word", f"{scores['unseen']['f1']:.4f}"),
            ("gold spans", f"{scores['support']:,}"),
        ]

    def matrix(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of the confusion matrix."""
        confusion, labels = self.result.confusion, list(self.label_ids)
        for row, counts in enumerate(confusion["matrix"]):
            total = sum(counts)
            cells = [
                {
                    "name": name,
                    "count": count,
                    "share": max(1, round(100 * count / max(total, 1))),
                    "is_right": row == column,
                    "pair": self.pair((labels[row], labels[column])),
                }
                for column, (name, count) in enumerate(zip(confusion["names"], counts, strict=True))
            ]
            yield {"name": confusion["names"][row], "cells": cells}

    def frequent_errors(self) -> list[dict[str, Any]]:
        """Return the largest groups of equal errors, each with an example."""
        groups = []
        for group in group_mistakes(self.result.mistakes)[:FREQUENT]:
            outcome, sentence = group[0].outcome, self.evaluation.sentences[group[0].sentence]
            before, words, after = words_around(sentence.tokens, outcome.start, outcome.end, width=110)
            numbers = list(dict.fromkeys(mistake.sentence for mistake in group))[:EXAMPLES]
            groups.append(
                {
                    "count": len(group),
                    "text": group[0].text,
                    "outcome": outcome,
                    "before": before,
                    "words": words,
                    "after": after,
                    "examples": [_Article(self, number) for number in numbers],
                }
            )
        return groups

    def wrong_sentences(self) -> Iterator[_Article]:
        """Yield the sentences with errors."""
        for number, outcomes in enumerate(self.result.outcomes):
            if any(outcome.kind != "right" for outcome in outcomes):
                yield _Article(self, number)


def write_errors(evaluation: Evaluation, path: Path, *, model: str, file: str) -> None:
    """Write the page.

    Args:
        evaluation: The model's results on the file.
        path: The output file; an earlier file is replaced atomically.
        model: The model's name, for the title.
        file: The corpus file's name, for the title.

    Raises:
        InputError: The page cannot be written.
    """
    with replace_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as page:
        page.writelines(errors_page(evaluation, model=model, file=file))


def errors_page(evaluation: Evaluation, *, model: str, file: str) -> Iterator[str]:
    """Yield the page in pieces; see ``write_errors``."""
    tasks = _make_tasks(evaluation)
    counts = Counter(mistake.outcome.kind for task in tasks for mistake in task.result.mistakes)
    script = read_source("reports/errors.js")
    rules = hue_rules(hue for task in tasks for hue in task.hues.values())
    head = filtered_head(f"Errors of {model} on {file}", script, style=rules)
    return render(
        "reports/error_page.html",
        head=head,
        evaluation=evaluation,
        tasks=tasks,
        model=model,
        file=file,
        kinds=[{"id": id, "name": kind, "count": counts[kind]} for id, kind in enumerate(KINDS)],
        kind_ids={kind: id for id, kind in enumerate(KINDS)},
        sides=SIDES,
        no_span=NO_SPAN,
        many=MANY,
        script=script,
    )


def _make_tasks(evaluation: Evaluation) -> Sequence[_Task]:
    tasks: list[_Task] = []
    n_labels = 0
    for index, (name, result) in enumerate(evaluation.tasks.items()):
        labels = [*result.confusion["by_label"], *[None] * result.has_spans]
        label_ids = {label: id for id, label in enumerate(labels, start=n_labels)}
        n_labels += len(labels)
        hues = label_hues(result.confusion["by_label"]) if result.has_spans else {}
        tasks.append(_Task(index, name, evaluation, label_ids, hues))
    return tasks
