"""Evaluate a loaded model on labelled sentences, and analyse its errors."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tagger.corpus.tags import count_unseen, find_scheme
from tagger.errors import InputError
from tagger.evaluation.confusion import Confusion, Outcome, count_confusion, match_task
from tagger.evaluation.mistakes import Mistake, find_mistakes, group_mistakes, group_values
from tagger.evaluation.scores import TagSequences
from tagger.evaluation.tasks import score_task
from tagger.runtime.min_score import MinScore
from tagger.runtime.tagger import Tagger, choose_tasks
from tagger.text.schemes import convert_tags
from tagger.text.sentence import Sentence

FREQUENT = 50  # most frequent groups of errors to list
EXAMPLES = 3  # example sentences per group


@dataclass(frozen=True, slots=True)
class TaskAnalysis:
    """A model's errors in one task.

    Attributes:
        has_spans: True if the task's tags mark spans.
        outcomes: For each sentence, the outcomes of its spans or tags, including correct ones.
        confusion: The counts of the outcomes.
        mistakes: The outcomes that are not correct.
    """

    has_spans: bool
    outcomes: list[list[Outcome]]
    confusion: Confusion
    mistakes: list[Mistake]


@dataclass(frozen=True, slots=True)
class Analysis:
    """A model's scores and errors on labelled sentences.

    Attributes:
        result: The scores, as ``evaluate`` returns them.
        sentences: The sentences with their gold tags.
        seen: For each sentence and token, True if the train split contains the word.
        tasks: The errors of each task.
    """

    result: dict[str, Any]
    sentences: list[Sentence]
    seen: list[list[bool]]
    tasks: dict[str, TaskAnalysis]

    def values(self) -> dict[str, Any]:
        """Return the scores, confusion counts, frequent errors and single errors as JSON values."""
        return {
            **self.result,
            "confusion": {name: task.confusion for name, task in self.tasks.items()},
            "frequent": {
                name: [
                    group_values(one, examples=EXAMPLES) for one in group_mistakes(task.mistakes)[:FREQUENT]
                ]
                for name, task in self.tasks.items()
            },
            "mistakes": {
                name: [mistake.values() for mistake in task.mistakes] for name, task in self.tasks.items()
            },
        }


@dataclass(frozen=True, slots=True)
class _TaskTags:
    """Gold tags of one task in the file's scheme, predicted tags (IOB2 for spans), and the file's scheme."""

    gold: TagSequences
    predicted: TagSequences
    scheme: str | None


def evaluate(
    tagger: Tagger,
    sentences: Iterable[Sentence],
    *,
    tasks: Sequence[str] | None = None,
    min_score: MinScore = 0.0,
) -> dict[str, Any]:
    """Tag labelled sentences and score the result against their gold tags.

    Args:
        tagger: The model.
        sentences: Sentences with gold tags.
        tasks: Tasks to score, by default all of the model.
        min_score: Score threshold of predicted spans, for all labels or per label (see
            ``Tagger.tag_sentences``).

    Returns:
        ``"tasks"``: the scores of each task, as fractions (see ``evaluation.tasks.score_task``).
        ``"unseen_tags"``: for each task, the number of gold tags for each label (or tag) that the model
        lacks; these count as missed. ``"sentences"``, ``"tokens"`` and ``"tokens_per_second"`` (of tagging
        only).

    Raises:
        InputError: The model lacks a task, a sentence lacks its gold tags or has a tag outside the scheme,
            seqeval is missing, or ``min_score`` is not a probability or has an unknown label.
    """
    gold = list(sentences)
    tags, seconds = _tag(tagger, gold, tasks, min_score)
    return _score(tagger, tags, gold, tagger.bundle.vocabulary.mark_seen(gold), seconds)


def analyse(
    tagger: Tagger,
    sentences: Iterable[Sentence],
    *,
    tasks: Sequence[str] | None = None,
    min_score: MinScore = 0.0,
) -> Analysis:
    """Score as ``evaluate`` does, and collect all errors.

    Raises:
        InputError: As for ``evaluate``.
    """
    gold = list(sentences)
    tags, seconds = _tag(tagger, gold, tasks, min_score)
    seen = tagger.bundle.vocabulary.mark_seen(gold)
    return Analysis(
        result=_score(tagger, tags, gold, seen, seconds),
        sentences=gold,
        seen=seen,
        tasks={name: _analyse_task(gold, own) for name, own in tags.items()},
    )


def _analyse_task(sentences: Sequence[Sentence], tags: _TaskTags) -> TaskAnalysis:
    outcomes = match_task(tags.gold, tags.predicted, scheme=tags.scheme)
    has_spans = tags.scheme is not None
    return TaskAnalysis(
        has_spans=has_spans,
        outcomes=outcomes,
        confusion=count_confusion((one for own in outcomes for one in own), has_spans=has_spans),
        mistakes=find_mistakes(sentences, outcomes),
    )


def gold_schemes(
    tagger: Tagger, gold: Sequence[Sentence], tasks: Sequence[str] | None
) -> dict[str, str | None]:
    """Return the gold tags' scheme for each requested task, None for tasks without spans.

    Raises:
        InputError: The model lacks a task, or a sentence lacks its gold tags or has a tag outside the scheme.
    """
    known = {task.name: task for task in tagger.tasks}
    schemes = {}
    for name in choose_tasks(tagger, tasks):
        _require_gold(gold, name)
        schemes[name] = find_scheme(gold, name, has_spans=known[name].scheme is not None)
    return schemes


def _tag(
    tagger: Tagger, gold: Sequence[Sentence], tasks: Sequence[str] | None, min_score: MinScore
) -> tuple[dict[str, _TaskTags], float]:
    """Return each task's gold and predicted tags, and the time of tagging in seconds."""
    schemes = gold_schemes(tagger, gold, tasks)
    begun = time.perf_counter()
    tagged = list(tagger.tag_sentences(gold, min_score=min_score))
    seconds = time.perf_counter() - begun
    tags = {}
    for name, scheme in schemes.items():
        predicted: list[Sequence[str]] = [sentence.tags[name] for sentence in tagged]
        if scheme:
            predicted = [convert_tags(one, tagger.scheme, "IOB2") for one in predicted]
        tags[name] = _TaskTags([sentence.tags[name] for sentence in gold], predicted, scheme)
    return tags, seconds


def _score(
    tagger: Tagger,
    tags: dict[str, _TaskTags],
    sentences: Sequence[Sentence],
    seen: Sequence[Sequence[bool]],
    seconds: float,
) -> dict[str, Any]:
    tokens = sum(map(len, sentences))
    known = {task.name: task for task in tagger.tasks}
    return {
        "tasks": {
            name: score_task(own.gold, own.predicted, scheme=own.scheme, seen=seen)
            for name, own in tags.items()
        },
        "unseen_tags": {
            name: count_unseen(sentences, name, known[name].tags, has_spans=known[name].scheme is not None)
            for name in tags
        },
        "sentences": len(sentences),
        "tokens": tokens,
        "tokens_per_second": tokens / max(seconds, 1e-9),
    }


def _require_gold(sentences: Iterable[Sentence], task: str) -> None:
    for number, sentence in enumerate(sentences, start=1):
        if task not in sentence.tags:
            where = sentence.source or f"sentence {number}"
            columns = ", ".join(sentence.tags) or "none"
            raise InputError(
                f"tags of the task {task!r} are missing (got the columns {columns}). Name the column of each "
                "task.",
                code="corpus.task",
                where=where,
            )
