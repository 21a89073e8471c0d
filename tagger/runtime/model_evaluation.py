"""What a loaded model scores on sentences that carry gold tags, and where it errs."""

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
from tagger.runtime.arguments import MinScore
from tagger.runtime.tagger import Tagger, choose_tasks
from tagger.text.schemes import convert_tags
from tagger.text.sentence import Sentence

FREQUENT = 50  # groups of errors that are listed as values
EXAMPLES = 3  # sentences that are named for each of them


@dataclass(frozen=True, slots=True)
class TaskAnalysis:
    """Where a model errs in one task.

    Attributes:
        has_spans: Whether the task's tags mark spans.
        outcomes: For each sentence what became of its spans or tags, the right ones among them.
        confusion: How many of them there are.
        mistakes: Those that are not right.
    """

    has_spans: bool
    outcomes: list[list[Outcome]]
    confusion: Confusion
    mistakes: list[Mistake]


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a model made of sentences with gold tags.

    Attributes:
        result: The scores, as ``evaluate`` returns them.
        sentences: The sentences with their gold tags.
        seen: For each sentence and token whether train has the word.
        tasks: For each task where the model errs.
    """

    result: dict[str, Any]
    sentences: list[Sentence]
    seen: list[list[bool]]
    tasks: dict[str, TaskAnalysis]

    def values(self) -> dict[str, Any]:
        """The scores as JSON values, and beside them each task's confusion, frequent and single mistakes."""
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
    """Gold tags of one task as the file has them, their scheme, and predicted tags (IOB2 for spans)."""

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
    """Tag sentences anew and compare with the tags that they carry.

    Args:
        tagger: The model.
        sentences: Sentences with gold tags.
        tasks: The tasks to score; all of the model's when not said.
        min_score: Spans of a lower score are left out, for all labels or by label (see
            ``Tagger.tag_sentences``).

    Returns:
        ``"tasks"`` with the scores of each task (see ``evaluation.tasks.score_task``; fractions of 1),
        ``"unseen_tags"`` with, for each task, how many gold tags have each label (or are each tag) that the
        model lacks, and so count as missed, ``"sentences"``, ``"tokens"`` and ``"tokens_per_second"`` (of
        tagging alone).

    Raises:
        InputError: A task is none of the model's, a sentence lacks its gold tags or has one outside the
            scheme, seqeval is missing, or ``min_score`` is no probability or has an unknown label.
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
    """Score as ``evaluate`` does, and tell what was taken for what, and where.

    Raises:
        InputError: As ``evaluate`` does.
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
        confusion=count_confusion((one for found in outcomes for one in found), has_spans=has_spans),
        mistakes=find_mistakes(sentences, outcomes),
    )


def gold_schemes(
    tagger: Tagger, gold: Sequence[Sentence], tasks: Sequence[str] | None
) -> dict[str, str | None]:
    """For each task that was asked for the scheme of the gold tags, None where they mark no spans.

    Raises:
        InputError: A task is none of the model's, or a sentence lacks its gold tags or has one outside the
            scheme.
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
    """Gold and predicted tags of each task, and the seconds that tagging took."""
    schemes = gold_schemes(tagger, gold, tasks)
    begun = time.perf_counter()
    found = list(tagger.tag_sentences(gold, min_score=min_score))
    seconds = time.perf_counter() - begun
    tags = {}
    for name, scheme in schemes.items():
        predicted: list[Sequence[str]] = [sentence.tags[name] for sentence in found]
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
            place = sentence.source or f"sentence {number}"
            columns = ", ".join(sentence.tags) or "none"
            raise InputError(
                f"{place}: there are no tags of the task {task!r}; the columns that were read are: {columns}."
            )
