"""What functions that ``Tagger`` calls need of a tagger; ``Tagger`` implements it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tagger.bundle import Bundle
from tagger.config_loading import reject_encoder
from tagger.errors import InputError
from tagger.features.batching import Batch, WordTable, group_by_length, stack_states
from tagger.features.context_index import index_context
from tagger.features.vocab import Task
from tagger.runtime.engine import Engine
from tagger.runtime.labeller import BATCH_TOKENS
from tagger.runtime.min_score import MinScore
from tagger.text.schemes import convert_next_tag
from tagger.text.sentence import Sentence

BATCH_SENTENCES = 256


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


def select_tasks(tagger: SentenceTagger, tasks: Sequence[str] | None) -> tuple[Task, ...]:
    """Return the tasks that ``choose_tasks`` names."""
    by_name = {task.name: task for task in tagger.tasks}
    return tuple(by_name[name] for name in choose_tasks(tagger, tasks))


def require_causal(tagger: SentenceTagger) -> None:
    """Reject a tagger whose tags depend on later words than the lookahead.

    Raises:
        InputError: Its scheme marks the ends of spans but the model's does not, or it has an encoder.
    """
    reject_encoder(tagger.bundle.config.model, "streams need a model")
    for task in tagger.tasks:
        if task.scheme:
            convert_next_tag("O", "O", task.scheme, tagger.scheme)


def emission_batches(
    tagger: SentenceTagger,
    sentences: Sequence[Sentence],
    tags: Mapping[str, Sequence[NDArray[np.int64]]] | None = None,
) -> Iterator[tuple[list[int], Batch, dict[str, NDArray[np.float32]]]]:
    """Compute the emissions of sentences in batches of similar length; empty sentences are skipped.

    Args:
        tagger: The model.
        sentences: The sentences, in the order of their documents.
        tags: For each task the tag ids of each sentence, for the batches.

    Yields:
        The indices of B sentences, their batch, and the emissions of each task (B, T, C); padding is 0.
    """
    table = WordTable(tagger.bundle.vocabulary)
    has_context = tagger.engine.words.context is not None
    context_index = index_context(sentences, table.vocabulary) if has_context else None
    non_empty = [index for index, sentence in enumerate(sentences) if sentence.tokens]
    lengths = [len(sentences[index]) for index in non_empty]
    for group in group_by_length(lengths, BATCH_SENTENCES, BATCH_TOKENS):
        indices = [non_empty[number] for number in group]
        rows = [table.rows(sentences[index].tokens) for index in indices]
        chosen = {name: [values[index] for index in indices] for name, values in (tags or {}).items()}
        batch = table.batch(rows, chosen)
        if context_index:
            batch = replace(batch, context=context_index.batch(indices))
        if states := tagger.engine.encode([sentences[index].tokens for index in indices]):
            batch = replace(batch, states=stack_states(states, batch.positions.shape[1]))
        emissions = tagger.engine.emissions(batch)
        yield indices, batch, {name: _pad(values, batch.mask) for name, values in emissions.items()}


def _pad(emissions: NDArray[np.float32], is_token: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return emissions (N, C) as (B, T, C), given the mask of the tokens (B, T); padding is 0."""
    padded = np.zeros((*is_token.shape, emissions.shape[1]), np.float32)
    padded[is_token] = emissions
    return padded
