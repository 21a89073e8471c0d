"""What functions that ``Tagger`` calls need of a tagger; ``Tagger`` implements it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from tagger.bundle import Bundle
from tagger.errors import InputError
from tagger.features.vocab import Task
from tagger.runtime.engine import Engine
from tagger.runtime.min_score import MinScore
from tagger.text.sentence import Sentence


class SentenceTagger(Protocol):
    """A loaded model that tags sentences; see ``Tagger`` for its members."""

    @property
    def bundle(self) -> Bundle:
        """The model."""

    @property
    def scheme(self) -> str:
        """The scheme of the tags of span tasks."""

    @property
    def engine(self) -> Engine:
        """The network."""

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The model's tasks."""

    def tag_sentences(
        self, sentences: Iterable[Sentence], *, scores: bool = False, min_score: MinScore = 0.0
    ) -> Iterator[Sentence]:
        """Tag a stream of sentences in order."""

    def pipe(
        self, texts: Iterable[str], *, scores: bool = False, min_score: MinScore = 0.0
    ) -> Iterator[list[Sentence]]:
        """Tag many raw texts."""

    def with_temperatures(self, temperatures: Mapping[str, float]) -> SentenceTagger:
        """Return a tagger with other temperatures."""


def choose_tasks(tagger: SentenceTagger, tasks: Sequence[str] | None) -> tuple[str, ...]:
    """Return the requested tasks, by default all tasks of the model.

    Raises:
        InputError: The model lacks one of them.
    """
    known = [task.name for task in tagger.tasks]
    for name in tasks or ():
        if name not in known:
            message = f"the model has no task {name!r}. Its tasks are {', '.join(known)}."
            raise InputError(message, code="corpus.task")
    return tuple(dict.fromkeys(tasks)) if tasks else tuple(known)
