"""``EntityPipeline``: spans of texts as the dictionaries of Hugging Face's token-classification pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypedDict, overload

from tagger.features.vocab import Task
from tagger.runtime.arguments import require_text
from tagger.runtime.min_score import MinScore
from tagger.runtime.sentence_tagger import SentenceTagger, choose_tasks
from tagger.text.sentence import Sentence, Span


class Entity(TypedDict):
    """An item of the pipeline's result.

    Attributes:
        entity_group: The label.
        score: Marginal probability of the span, or of the token's tag.
        word: The text, unchanged.
        start: Position of its first character in the text.
        end: Position after its last character.
    """

    entity_group: str
    score: float
    word: str
    start: int
    end: int


class EntityPipeline:
    """Find the spans of texts; the result is that of ``transformers.pipeline("token-classification")``.

    Hugging Face returns this shape with an ``aggregation_strategy`` other than ``"none"``.

    Args:
        tagger: The model.
        task: The task. By default, the first task with spans; without one, the first task, and each token is
            an item.
        min_score: Score threshold of the spans, see ``Tagger.tag_sentences``.

    Raises:
        TypeError: The task is not a string.
        InputError: The model lacks the task.
    """

    def __init__(self, tagger: SentenceTagger, task: str | None = None, min_score: MinScore = 0.0) -> None:
        self.task = choose_task(tagger, task)
        self._tagger = tagger
        self._min_score = min_score

    @overload
    def __call__(self, inputs: str) -> list[Entity]: ...

    @overload
    def __call__(self, inputs: list[str] | tuple[str, ...]) -> list[list[Entity]]: ...

    def __call__(self, inputs: str | list[str] | tuple[str, ...]) -> list[Entity] | list[list[Entity]]:
        """Return the entities of a text, or a list of them for each text of a list.

        Args:
            inputs: A text, or a list or tuple of texts. Each is a document of its own.

        Raises:
            TypeError: ``inputs`` is something else.
            InputError: ``min_score`` is invalid.
        """
        texts = inputs if isinstance(inputs, list | tuple) else [require_text(inputs, "inputs")]
        found = [
            list(map(entity_of, spans))
            for spans in spans_of_texts(self._tagger, texts, self.task, self._min_score)
        ]
        return found if texts is inputs else found[0]


def choose_task(tagger: SentenceTagger, task: str | None) -> Task:
    """Return a task of the model by name, by default the first with spans, or the first if none has.

    Raises:
        TypeError: The name is not a string.
        InputError: The model lacks the task.
    """
    if task is None:
        return next((one for one in tagger.tasks if one.scheme), tagger.tasks[0])
    if not isinstance(task, str):
        raise TypeError(f"task must be a str (got {type(task).__name__}). Pass the name of a task.")
    (name,) = choose_tasks(tagger, [task])
    return next(one for one in tagger.tasks if one.name == name)


def spans_of_texts(
    tagger: SentenceTagger, texts: Iterable[str], task: Task, min_score: MinScore
) -> Iterator[list[Span]]:
    """Yield the spans of each text, with scores; of a task without spans, each token with its tag.

    Raises:
        TypeError: An argument has a wrong type; see ``Tagger.pipe``.
        InputError: ``min_score`` is invalid.
    """
    for sentences in tagger.pipe(texts, scores=task.scheme is None, min_score=min_score):
        yield [span for sentence in sentences for span in spans_of(sentence, task)]


def entity_of(span: Span) -> Entity:
    """Return a span of ``spans_of_texts`` as an item of the pipeline's result."""
    return Entity(
        entity_group=span.label,
        score=span.score or 0.0,
        word=span.text,
        start=span.start_char,
        end=span.end_char,
    )


def spans_of(sentence: Sentence, task: Task) -> Sequence[Span]:
    """Return the spans of a tagged sentence; of a task without spans, each token with its tag and score."""
    return sentence.spans[task.name] if task.scheme else tokens_of(sentence, task)


def tokens_of(sentence: Sentence, task: Task) -> list[Span]:
    """Return each token of a sentence with its tag as label; the sentence must have tag scores."""
    columns = (sentence.tokens, sentence.offsets, sentence.tags[task.name], sentence.tag_scores[task.name])
    return [
        Span(index, index + 1, tag, score, *offsets, token)
        for index, (token, offsets, tag, score) in enumerate(zip(*columns, strict=True))
    ]
