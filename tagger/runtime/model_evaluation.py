"""Evaluate a loaded model on labelled sentences: one record with its scores, errors and calibration."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from tagger.corpus.tags import count_unseen
from tagger.evaluation.confusion import Confusion, Outcome, count_confusion, match_task
from tagger.evaluation.mistakes import Mistake, find_mistakes, group_mistakes, group_values
from tagger.evaluation.scores import TagSequences
from tagger.evaluation.tasks import TaskScores, score_task
from tagger.runtime.min_score import MinScore
from tagger.runtime.model_calibration import Calibration, Watch, measure_calibration, read_gold
from tagger.runtime.sentence_tagger import SentenceTagger
from tagger.text.schemes import convert_tags
from tagger.text.sentence import Sentence

FREQUENT = 50  # most frequent groups of errors to list
EXAMPLES = 3  # example sentences per group


@dataclass(frozen=True, slots=True)
class TaskEvaluation:
    """The results of one task.

    Attributes:
        has_spans: True if the task's tags encode spans.
        scores: The value of each metric, as fractions (see ``evaluation.tasks``).
        outcomes: For each sentence, the outcomes of its spans or tags, including correct ones.
        confusion: The counts of the outcomes.
        mistakes: The outcomes that are not correct.
        unseen_tags: For each label (or tag) that the model lacks, the number of gold tags; these count as
            missed.
        calibration: The scores of the predictions; None if not measured.
    """

    has_spans: bool
    scores: TaskScores
    outcomes: list[list[Outcome]]
    confusion: Confusion
    mistakes: list[Mistake]
    unseen_tags: Mapping[str, int]
    calibration: Calibration | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The results of a model on labelled sentences. JSON, tables, pages and pictures read this record.

    Attributes:
        tasks: The results of each task.
        sentences: The sentences with their gold tags.
        seen: For each sentence and token, True if the train split contains the word.
        tokens_per_second: Speed of tagging.
        min_score: Score threshold of the predicted spans.
    """

    tasks: dict[str, TaskEvaluation]
    sentences: list[Sentence]
    seen: list[list[bool]]
    tokens_per_second: float
    min_score: MinScore = 0.0

    @property
    def n_tokens(self) -> int:
        """The number of tokens."""
        return sum(map(len, self.sentences))

    @property
    def scores(self) -> dict[str, TaskScores]:
        """The scores of each task."""
        return {name: task.scores for name, task in self.tasks.items()}

    @property
    def calibrations(self) -> dict[str, Calibration]:
        """The calibration of each task; empty if not measured."""
        return {name: task.calibration for name, task in self.tasks.items() if task.calibration}

    def values(self) -> dict[str, Any]:
        """Return scores, confusion counts, frequent errors, single errors and calibration as JSON values."""
        tasks = self.tasks.items()
        return {
            "tasks": self.scores,
            "unseen_tags": {name: task.unseen_tags for name, task in tasks},
            "sentences": len(self.sentences),
            "tokens": self.n_tokens,
            "tokens_per_second": self.tokens_per_second,
            "confusion": {name: task.confusion for name, task in tasks},
            "frequent": {
                name: [
                    group_values(group, examples=EXAMPLES)
                    for group in group_mistakes(task.mistakes)[:FREQUENT]
                ]
                for name, task in tasks
            },
            "mistakes": {name: [mistake.values() for mistake in task.mistakes] for name, task in tasks},
            "min_score": self.min_score,
            "calibration": {name: calibration.values() for name, calibration in self.calibrations.items()},
        }


def evaluate(
    tagger: SentenceTagger,
    sentences: Iterable[Sentence],
    *,
    tasks: Sequence[str] | None = None,
    min_score: MinScore = 0.0,
    has_calibration: bool = False,
    watch: Watch = iter,
) -> Evaluation:
    """Tag labelled sentences, and compare the result with their gold tags.

    Args:
        tagger: The model.
        sentences: Sentences with gold tags.
        tasks: Tasks to evaluate, by default all of the model.
        min_score: Score threshold of predicted spans, for all labels or per label (see
            ``Tagger.tag_sentences``).
        has_calibration: True to measure the calibration too, of all spans; it tags the sentences again.
        watch: Receives the tagged sentences of each pass and yields them unchanged, e.g. to show progress.

    Raises:
        InputError: The model lacks a task, a sentence lacks its gold tags or has a tag outside the scheme,
            seqeval is missing, or ``min_score`` is not a probability or has an unknown label.
    """
    gold, schemes = read_gold(tagger, sentences, tasks)
    start = time.perf_counter()
    tagged = list(watch(tagger.tag_sentences(gold, min_score=min_score)))
    seconds = time.perf_counter() - start
    seen = tagger.bundle.vocabulary.mark_seen(gold)
    calibrations = measure_calibration(tagger, gold, tasks=tasks, watch=watch) if has_calibration else {}
    known = {task.name: task.tags for task in tagger.tasks}
    results = {}
    for name, scheme in schemes.items():
        predicted: list[Sequence[str]] = [sentence.tags[name] for sentence in tagged]
        if scheme:
            predicted = [convert_tags(tags, tagger.scheme, "IOB2") for tags in predicted]
        results[name] = evaluate_task(
            name,
            gold,
            predicted,
            scheme=scheme,
            seen=seen,
            known_tags=known[name],
            calibration=calibrations.get(name),
        )
    speed = sum(map(len, gold)) / max(seconds, 1e-9)
    return Evaluation(results, gold, seen, speed, min_score)


def evaluate_task(
    name: str,
    sentences: Sequence[Sentence],
    predicted: TagSequences,
    *,
    scheme: str | None,
    seen: Sequence[Sequence[bool]],
    known_tags: Sequence[str],
    calibration: Calibration | None = None,
) -> TaskEvaluation:
    """Compare the predicted tags of one task with the gold tags.

    Args:
        name: The task.
        sentences: Sentences with gold tags.
        predicted: For each sentence the predicted tags; span tags are in IOB2.
        scheme: The scheme of the gold tags; None for tags that do not encode spans.
        seen: For each sentence and token, True if the train split contains the word.
        known_tags: The model's tags of this task.
        calibration: The scores of the predictions; None if not measured.

    Raises:
        InputError: As for ``evaluation.tasks.score_task``.
    """
    has_spans = scheme is not None
    gold = [sentence.tags[name] for sentence in sentences]
    outcomes = match_task(gold, predicted, scheme=scheme)
    return TaskEvaluation(
        has_spans=has_spans,
        scores=cast(TaskScores, score_task(gold, predicted, scheme=scheme, seen=seen)),
        outcomes=outcomes,
        confusion=count_confusion(
            (outcome for of_sentence in outcomes for outcome in of_sentence), has_spans=has_spans
        ),
        mistakes=find_mistakes(sentences, outcomes),
        unseen_tags=count_unseen(sentences, name, known_tags, has_spans=has_spans),
        calibration=calibration,
    )
