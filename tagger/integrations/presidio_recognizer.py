"""``TaggerRecognizer``: find personal data with Presidio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tagger.errors import InputError
from tagger.evaluation.calibration import reach_recall
from tagger.runtime.arguments import require_min_score, require_recall
from tagger.runtime.entity_pipeline import choose_task
from tagger.runtime.min_score import MinScore
from tagger.runtime.tagger import Tagger

try:
    from presidio_analyzer import AnalysisExplanation, LocalRecognizer, RecognizerResult
    from presidio_analyzer.input_validation.yaml_recognizer_models import (
        CONFIG_MODEL_MAP,
        PredefinedRecognizerConfig,
    )
    from presidio_analyzer.nlp_engine import NlpArtifacts
except ImportError as error:
    raise InputError(
        "TaggerRecognizer needs the package presidio-analyzer. Install the extra `presidio` (see README).",
        code="package.missing",
    ) from error

__all__ = ["TaggerRecognizer"]
# Presidio's names of labels. A label that is not here keeps its name, since a dropped span would leak.
ENTITIES = {
    "PER": "PERSON",
    "LOC": "LOCATION",
    "GPE": "LOCATION",
    "FAC": "LOCATION",
    "ORG": "ORGANIZATION",
    "NORP": "NRP",
    "DATE": "DATE_TIME",
    "TIME": "DATE_TIME",
}


class TaggerRecognizer(LocalRecognizer):
    """Find the spans of a model in a text, as Presidio's entities with calibrated scores.

    The model receives the whole text as one document. Errors are raised: an empty result would leak personal
    data. No model finds everything, so that a result is no guarantee.

    Args:
        supported_entities: The entities to return, by Presidio's names; by default all of the model.
        name: The recogniser's name.
        supported_language: Presidio's code of the language.
        version: The recogniser's version.
        context: Context words, see Presidio.
        model: A model's folder, or the name of an included model.
        task: The task, by default the first with spans.
        labels: Presidio's name of each of the model's labels, in addition to ``ENTITIES``; other labels keep
            their names.
        min_score: Score threshold of the spans: a number, or one per label of the model.
        recall: Use the highest score threshold that reached this recall on the model's dev split, instead of
            ``min_score``. The recall on other text can be lower.

    Raises:
        InputError: The model cannot be loaded, has no such task or no spans, an argument is invalid, or the
            model does not store a threshold that reaches the recall.
    """

    name: str  # which Presidio does not annotate

    def __init__(
        self,
        supported_entities: list[str] | None = None,
        name: str | None = None,
        supported_language: str = "en",
        version: str = "0.1.0",
        context: list[str] | None = None,
        *,
        model: str | Path = "en",
        task: str | None = None,
        labels: Mapping[str, str] | None = None,
        min_score: MinScore = 0.0,
        recall: float | None = None,
    ) -> None:
        self.tagger = Tagger.load(model)
        self.task = choose_task(self.tagger, task)
        if self.task.scheme is None:
            raise InputError(
                f"the task must have spans (got {self.task.name!r}). Name a task with spans.",
                code="corpus.task",
                where="TaggerRecognizer",
                option="task",
            )
        require_min_score(min_score, self.tagger.labels)
        self.min_score = min_score
        if recall is not None:
            if min_score:
                raise InputError(
                    "TaggerRecognizer takes min_score or recall (got both). Pass one of them.",
                    code="argument.value",
                    option="recall",
                )
            self.min_score = _find_threshold(self.tagger, self.task.name, recall)
        self.entities = {label: label for label in self.tagger.labels} | {
            label: entity
            for label, entity in {**ENTITIES, **(labels or {})}.items()
            if label in self.tagger.labels
        }
        super().__init__(
            supported_entities=supported_entities or sorted(set(self.entities.values())),
            name=name or type(self).__name__,
            supported_language=supported_language,
            version=version,
            context=context,
        )

    def load(self) -> None:
        """Do nothing: the constructor loads the model. Presidio requires the method."""

    def analyze(
        self, text: str, entities: Sequence[str] | None = None, nlp_artifacts: NlpArtifacts | None = None
    ) -> list[RecognizerResult]:
        """Find personal data in a text.

        Args:
            text: A whole document.
            entities: The entities to return, by default all supported ones.
            nlp_artifacts: Presidio's tokens, not used.

        Raises:
            TypeError: ``text`` is not a string.
        """
        requested = set(self.supported_entities).intersection(entities or self.supported_entities)
        return [
            self._result(self.entities[span.label], span.start_char, span.end_char, span.score or 0.0)
            for sentence in self.tagger.tag(text, min_score=self.min_score)
            for span in sentence.spans[self.task.name]
            if self.entities[span.label] in requested
        ]

    def _result(self, entity: str, start: int, end: int, score: float) -> RecognizerResult:
        return RecognizerResult(
            entity_type=entity,
            start=start,
            end=end,
            score=score,
            analysis_explanation=AnalysisExplanation(recognizer=self.name, original_score=score),
            recognition_metadata={
                RecognizerResult.RECOGNIZER_NAME_KEY: self.name,
                RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: self.id,
            },
        )


def _find_threshold(tagger: Tagger, task: str, recall: float) -> float:
    """Return the highest score threshold that reached a recall on the dev split of the model's training.

    Raises:
        TypeError: ``recall`` is not a number.
        InputError: It is not a probability, or the model has no such threshold.
    """
    require_recall(recall, "recall")
    try:
        measured = tagger.bundle.metrics["thresholds"][task]
        row = reach_recall(measured, recall)
        best = max(one["recall"] for one in measured)
    except (LookupError, TypeError, ValueError):  # an older model, or edited metrics, which are not validated
        raise InputError(
            f"recall needs the score thresholds of {task!r} on dev, which the model does not store. Measure "
            f"them with `tagger evaluate MODEL FILE --recall {recall:g}` and pass min_score.",
            code="argument.value",
            where="TaggerRecognizer",
            option="recall",
        ) from None
    if row is None:
        raise InputError(
            f"no score threshold of {task!r} reached recall {recall:g} on dev (the best is {best:.4f}). Pass "
            "a lower recall.",
            code="argument.value",
            where="TaggerRecognizer",
            option="recall",
        )
    return float(row["min_score"])


class _Config(PredefinedRecognizerConfig, extra="allow"):
    """The recogniser's entry in a YAML file. Presidio drops unknown options of other recognisers."""

    def model_dump(self, *args: Any, **options: Any) -> dict[str, Any]:
        """Return the entry without the options that the file does not have."""
        return super().model_dump(*args, **{"exclude_none": True, **options})


CONFIG_MODEL_MAP[TaggerRecognizer.__name__] = _Config
