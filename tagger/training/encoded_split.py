"""Encoded splits: the ids and target tags of each sentence, and their batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tagger.config import Config
from tagger.corpus.loading import Split
from tagger.features.batching import Batch, Ints, SoftTags, WordTable, stack_soft, stack_states
from tagger.features.context_index import ContextIndex, index_context
from tagger.text.casing import RECASINGS, recase
from tagger.text.sentence import Sentence
from tagger.training.encoder_states import StateCache

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class EncodedSplit:
    """One encoded split of the corpus.

    Attributes:
        sentences: The sentences in file order.
        rows: Ids of each sentence's tokens in ``table``, (T,) each.
        tags: Tag ids of each sentence by task, (T,) each; empty if the split is only evaluated.
        schemes: Tag scheme of the files by task; None for tasks without spans.
        table: The distinct words.
        repairs: Number of illegal tags in the file's scheme by span task, repaired as conlleval does.
        unseen_tags: Number of tags by task whose label (or the tag itself) train lacks; empty for the train
            split.
        context_index: Index of repeated words in each document; None without document context.
        allowed: For some tasks the possible tags of each sentence's tokens, (T, C) each (see ``Batch``).
        soft: For some tasks the soft tags of each sentence, or None.
        states: The states (T, L, D) of a contextual encoder for each sentence; None without.
        recased: For each of ``RECASINGS`` the ids of each sentence's tokens in that casing; empty unless this
            is the train split and ``train.case_augmentation`` is set.
        recased_states: For each of ``RECASINGS`` as ``states``; empty without ``states`` or ``recased``.
        summary: As in ``Preparation``; empty unless ``read_split`` read the split.
        notes: As in ``Preparation``; empty unless ``read_split`` read the split.
    """

    sentences: Sequence[Sentence]
    rows: Sequence[Ints]
    tags: Mapping[str, Sequence[Ints]]
    schemes: Mapping[str, str | None]
    table: WordTable
    repairs: Mapping[str, int]
    unseen_tags: Mapping[str, int]
    context_index: ContextIndex | None = None
    allowed: Mapping[str, Sequence[Bools]] = field(default_factory=dict)
    soft: Mapping[str, Sequence[SoftTags | None]] = field(default_factory=dict)
    states: Sequence[NDArray[np.float16]] | None = None
    recased: Sequence[Sequence[Ints]] = ()
    recased_states: Sequence[Sequence[NDArray[np.float16]]] = ()
    summary: Sequence[str] = ()
    notes: Sequence[str] = ()

    @property
    def lengths(self) -> list[int]:
        """Tokens of each sentence."""
        return [len(rows) for rows in self.rows]

    def batch(self, indices: Sequence[int], casings: Sequence[int] | None = None) -> Batch:
        """Build a batch of sentences, with tags if the split has them.

        Args:
            indices: Indices of the sentences.
            casings: For each sentence an index into ``RECASINGS``, or -1 for the original casing; by default
                all original.
        """
        tags = {task: [values[index] for index in indices] for task, values in self.tags.items()}
        casings = casings or [-1] * len(indices)
        rows = [
            self.rows[index] if casing < 0 else self.recased[casing][index]
            for index, casing in zip(indices, casings, strict=True)
        ]
        batch = self._with_targets(self.table.batch(rows, tags), indices)
        if self.states is not None:
            own = [
                self.states[index] if casing < 0 else self.recased_states[casing][index]
                for index, casing in zip(indices, casings, strict=True)
            ]
            batch = replace(batch, states=stack_states(own, batch.positions.shape[1]))
        if self.context_index is None:
            return batch
        # The index has all original sentences first, then all sentences in each other casing.
        versions = [
            index + (casing + 1) * len(self.rows) for index, casing in zip(indices, casings, strict=True)
        ]
        return replace(batch, context=self.context_index.batch(versions))

    def _with_targets(self, batch: Batch, indices: Sequence[int]) -> Batch:
        """Add the possible tags and the soft tags of the sentences."""
        if not self.allowed and not self.soft:
            return batch
        width = batch.positions.shape[1]
        allowed = {}
        for task, values in self.allowed.items():
            rows = [values[index] for index in indices]
            allowed[task] = np.ones((len(rows), width, rows[0].shape[1]), np.bool_)
            for row, possible in enumerate(rows):
                allowed[task][row, : len(possible)] = possible
        stacked = {
            task: stack_soft([values[index] for index in indices], width)
            for task, values in self.soft.items()
        }
        return replace(
            batch, allowed=allowed, soft={task: soft for task, soft in stacked.items() if soft is not None}
        )


def encode_split(
    split: Split, table: WordTable, config: Config, encoder: StateCache | None, *, with_tags: bool
) -> EncodedSplit:
    """Encode the sentences of a split.

    Args:
        split: The sentences and their tag schemes.
        table: Supplies the vocabulary, and gains the words of the split.
        config: All options.
        encoder: The contextual encoder, or None.
        with_tags: True to encode the tags too, for training.
    """
    sentences, schemes = split.sentences, split.schemes
    tags: dict[str, list[Ints]] = {}
    allowed: dict[str, list[Bools]] = {}
    if with_tags:
        for task in table.vocabulary.tasks:
            source = schemes.get(task.name)
            tags[task.name] = [
                np.array(task.encode(sentence.tags[task.name], source))
                if task.name in schemes
                else np.full(len(sentence), -1)  # a task of the initial model that train lacks
                for sentence in sentences
            ]
            if source and split.unknown[task.name]:  # the tags next to unknown ones are restricted by them
                allowed[task.name] = [task.encode_allowed(one.tags[task.name], source) for one in sentences]
    rows = [table.rows(sentence.tokens) for sentence in sentences]
    context_index = None
    if config.model.has_document_context:
        recasings = RECASINGS if with_tags and config.train.case_augmentation else ()
        context_index = index_context(sentences, table.vocabulary, recasings)
    states = encoder.read([sentence.tokens for sentence in sentences]) if encoder else None
    return EncodedSplit(
        sentences, rows, tags, schemes, table, split.repairs, {}, context_index, allowed, states=states
    )


def with_recased(split: EncodedSplit, encoder: StateCache | None = None) -> EncodedSplit:
    """Add the encoded sentences in every other casing, for case augmentation.

    Args:
        split: The split.
        encoder: The contextual encoder of its states.
    """
    versions = [[recase(one, casing) for one in split.sentences] for casing in RECASINGS]
    return replace(
        split,
        recased=[list(map(split.table.rows, version)) for version in versions],
        recased_states=list(map(encoder.read, versions)) if encoder else (),
    )
