"""Measure a loaded model's calibration, and fit its temperatures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagger.corpus.tags import find_scheme
from tagger.decoding import temperature
from tagger.decoding.temperature import GoldBatch
from tagger.errors import InputError
from tagger.evaluation.calibration import (
    BINS,
    STEPS,
    THRESHOLDS,
    Judged,
    ThresholdScore,
    expected_calibration_error,
    judge_spans,
    judge_tags,
    reach_recall,
    reliability,
    score_thresholds,
)
from tagger.runtime.sentence_tagger import SentenceTagger, choose_tasks, emission_batches
from tagger.text.sentence import Sentence

Watch = Callable[[Iterator[Sentence]], Iterator[Sentence]]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Scores of one task's predictions, and which of them are correct.

    Attributes:
        has_spans: True if the predictions are spans, scored by the probability of exactly this span. False
            for tokens, scored by the probability of their tags.
        temperature: The model's temperature.
        gold: Number of gold spans or tokens.
        is_right: (M,) True for correct predictions.
        before: (M,) scores at temperature 1.
        after: (M,) scores at the model's temperature.
    """

    has_spans: bool
    temperature: float
    gold: int
    is_right: NDArray[np.bool_]
    before: NDArray[np.float32]
    after: NDArray[np.float32]

    @property
    def errors(self) -> tuple[float, float]:
        """The expected calibration errors at temperature 1 and at the model's temperature."""
        before, after = (
            expected_calibration_error(self.is_right, scores) for scores in (self.before, self.after)
        )
        return before, after

    def against(self, thresholds: Sequence[float] = THRESHOLDS) -> list[ThresholdScore]:
        """Return precision and recall at score thresholds, at the model's temperature."""
        return score_thresholds(self.is_right, self.after, self.gold, thresholds)

    def at_recall(self, recall: float) -> ThresholdScore | None:
        """Return the scores at the highest threshold of four decimals that reaches a recall, if any."""
        return reach_recall(self.against(np.linspace(0, 1, STEPS + 1).round(4).tolist()), recall)

    def values(self) -> dict[str, Any]:
        """Return the summary as JSON values, without the single predictions."""
        sides = zip(("before", "after"), self.errors, (self.before, self.after), strict=True)
        return {
            "of": "spans" if self.has_spans else "tokens",
            "temperature": self.temperature,
            "bins": BINS,
            **{
                side: {
                    "expected_calibration_error": error,
                    "reliability": reliability(self.is_right, scores),
                }
                for side, error, scores in sides
            },
            "thresholds": self.against(),
        }


def measure_calibration(
    tagger: SentenceTagger,
    sentences: Iterable[Sentence],
    *,
    tasks: Sequence[str] | None = None,
    watch: Watch = iter,
) -> dict[str, Calibration]:
    """Tag labelled sentences and compare each predicted span with the gold spans; for other tasks, each tag.

    Args:
        tagger: The model.
        sentences: Sentences with gold tags.
        tasks: Tasks to measure, by default all of the model.
        watch: Receives the tagged sentences of each pass and yields them unchanged, e.g. to show progress.

    Raises:
        InputError: The model lacks a task, or a sentence lacks its gold tags or has a tag outside the scheme.
    """
    gold, schemes = read_gold(tagger, sentences, tasks)
    has_tags = None in schemes.values()
    after = list(watch(tagger.tag_sentences(gold, scores=has_tags)))
    before = after
    if any(tagger.bundle.temperature(name) != 1 for name in schemes):
        before = list(watch(tagger.with_temperatures({}).tag_sentences(gold, scores=has_tags)))
    calibrations = {}
    for name, scheme in schemes.items():
        judged = _judge(gold, after, name, scheme)
        calibrations[name] = Calibration(
            has_spans=scheme is not None,
            temperature=tagger.bundle.temperature(name),
            gold=judged.gold,
            is_right=judged.is_right,
            before=_judge(gold, before, name, scheme).scores,
            after=judged.scores,
        )
    return calibrations


def fit_temperatures(
    tagger: SentenceTagger, sentences: Iterable[Sentence], *, tasks: Sequence[str] | None = None
) -> dict[str, float]:
    """Fit each task's temperature on labelled sentences (see ``decoding.temperature.fit_temperature``).

    Training does the same on its dev split. Pass the result to ``Tagger.with_temperatures``.

    Args:
        tagger: The model; its own temperatures are ignored.
        sentences: Sentences with gold tags that the model was not trained on.
        tasks: Tasks to fit, by default all of the model.

    Raises:
        InputError: As for ``measure_calibration``.
    """
    gold, schemes = read_gold(tagger, sentences, tasks)
    batches = (batch for _, batch in gold_batches(tagger, gold, schemes))
    transitions = {name: tagger.engine.transitions[name] for name in schemes}
    return temperature.fit_temperatures(batches, transitions)


def gold_batches(
    tagger: SentenceTagger, gold: Sequence[Sentence], schemes: Mapping[str, str | None]
) -> Iterator[tuple[list[int], dict[str, GoldBatch]]]:
    """Yield batches of labelled sentences with the model's emissions: their indices, and a batch per task.

    Args:
        tagger: The model.
        gold: Sentences with gold tags.
        schemes: The result of ``read_gold``.
    """
    known = {task.name: task for task in tagger.tasks}
    tags = {
        name: [np.array(known[name].encode(one.tags[name], scheme), np.int64) for one in gold]
        for name, scheme in schemes.items()
    }
    for indices, batch, emissions in emission_batches(tagger, gold, tags):
        yield (
            indices,
            {name: GoldBatch(emissions[name], batch.lengths, batch.tags[name]) for name in schemes},
        )


def read_gold(
    tagger: SentenceTagger, sentences: Iterable[Sentence], tasks: Sequence[str] | None
) -> tuple[list[Sentence], dict[str, str | None]]:
    """Return the sentences, and the gold tags' scheme for each requested task.

    In tasks without spans, which have no scheme, unknown tags (``?``) become ``_``.

    Raises:
        InputError: The model lacks a task, or a sentence lacks its gold tags or has a tag outside the scheme.
    """
    gold = list(sentences)
    known = {task.name: task for task in tagger.tasks}
    schemes = {}
    for name in choose_tasks(tagger, tasks):
        require_gold(gold, name)
        schemes[name] = find_scheme(gold, name, has_spans=known[name].scheme is not None)
        if schemes[name] is None:
            gold = [one.without_unknown(name) for one in gold]
    return gold, schemes


def require_gold(sentences: Iterable[Sentence], task: str) -> None:
    """Check that all sentences have tags of a task.

    Raises:
        InputError: A sentence lacks them.
    """
    for number, sentence in enumerate(sentences, start=1):
        if task not in sentence.tags:
            columns = ", ".join(sentence.tags) or "none"
            raise InputError(
                f"tags of the task {task!r} are missing (got the columns {columns}). Name the column of each "
                "task.",
                code="corpus.task",
                where=sentence.source or f"sentence {number}",
                option="--columns",
            )


def _judge(gold: Sequence[Sentence], tagged: Sequence[Sentence], task: str, scheme: str | None) -> Judged:
    tags = [one.tags[task] for one in gold]
    if scheme is None:
        return judge_tags(tags, [one.tags[task] for one in tagged], [one.tag_scores[task] for one in tagged])
    return judge_spans(tags, [one.spans[task] for one in tagged], scheme)
