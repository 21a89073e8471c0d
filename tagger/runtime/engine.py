"""Emissions from a bundle's weights: the network of ``tagger.network`` without torch.

The weights keep the names that torch gave them. Words are computed once per distinct word, and so is the
first layer's input projection, which is linear in them; only the recurrence runs token by token.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tagger.bundle import MAPPED, Bundle, fixed_vectors, forget_pages
from tagger.decoding.viterbi import Transitions, constrain
from tagger.errors import InputError
from tagger.features.batching import Batch, Ints
from tagger.features.mentions import BatchMentions, aggregate, context_width
from tagger.features.vocab import PADDING
from tagger.runtime.context_inputs import DocumentContext
from tagger.runtime.layer import Additions, Layer
from tagger.runtime.lstm import Lstm, merge
from tagger.runtime.recurrence import Lanes, Precision
from tagger.runtime.weights import (
    BOTH,
    CHARACTER_LSTM,
    check_tensors,
    directions_of,
    is_moderate,
    not_moderate,
)

Floats = NDArray[np.float32]


class Engine:
    """Computes emissions from a bundle; threads may share it.

    A sentence is read as a whole, however long. With one layer memory grows with a sentence by what its
    emissions take; every further layer holds its inputs, 32 * hidden_size bytes a token, and as much again
    for what it makes of them.

    Args:
        bundle: A loaded bundle.
        precision: Of the encoder's hidden weights and states: ``f32``, or ``int8`` for 8 bits, which is
            faster on processors that can multiply them and changes emissions by some hundredths.

    Attributes:
        directions: ``forward``, ``backward`` or both, in this order.
        merge_mode: How a layer's two directions become one vector.
        context: What reads a word's other mentions in its document, None where sentences stand alone.
        transitions: For each task what a tag sequence scores apart from its emissions.

    Raises:
        InputError: The bundle's tensors are not those of its config and vocabulary.
    """

    def __init__(self, bundle: Bundle, precision: Precision = "f32") -> None:
        self._tensors = bundle.tensors
        self._config = bundle.config.model
        self._tasks = bundle.vocabulary.tasks
        self.directions = directions_of(self._config)
        self.merge_mode = self._config.merge_mode
        check_tensors(bundle)
        names = [f"encoder.layers.{number}" for number in range(self._config.layers)]
        self._layers = [Layer.from_tensors(self._tensors, name, self.directions, precision) for name in names]
        self.context: DocumentContext | None = None
        if self._config.has_mentions:
            first = self._layers[0]
            own = len(first.input_weights) - context_width(self._config.context_size)
            self.context = DocumentContext(self._tensors, first.input_weights[own:], len(self.directions))
            of_words = np.ascontiguousarray(first.input_weights[:own])
            self._layers[0] = replace(first, input_weights=of_words)
        self._character_layer = (
            Layer.from_tensors(self._tensors, CHARACTER_LSTM, BOTH)
            if self._config.characters == "lstm"
            else None
        )
        self._read_heads()
        self.transitions = {
            task.name: self._read_transitions(number) for number, task in enumerate(self._tasks)
        }

    @cached_property
    def lstms(self) -> list[list[Lstm]]:
        """For each layer the LSTM of each direction in float32, to be read word by word.

        The first one's inputs are those of words alone: what is read so does not know a document's others.
        """
        return [
            [
                Lstm.from_tensors(
                    self._tensors,
                    f"encoder.layers.{number}.{way}_lstm",
                    None if number else self.word_size,
                )
                for way in self.directions
            ]
            for number in range(len(self._layers))
        ]

    def _read_heads(self) -> None:
        """The heads of all tasks side by side, so that one product serves them all."""
        heads = [f"heads.{number}.projection" for number in range(len(self._tasks))]
        self._head_weights = np.concatenate([self._tensors[f"{name}.weight"].T for name in heads], axis=1)
        self._head_bias = np.concatenate([self._tensors[f"{name}.bias"] for name in heads])
        self._head_ends = np.cumsum([len(task.tags) for task in self._tasks])[:-1]
        # Of two directions only their product is not a sum of what each gives to the scores.
        self._heads_by_direction: Floats | None = None
        if len(self.directions) == 1:
            self._heads_by_direction = self._head_weights[None]
        elif self.merge_mode == "concat":
            self._heads_by_direction = self._head_weights.reshape(2, -1, len(self._head_bias))
        elif self.merge_mode != "mul":
            share = np.float32(1.0 if self.merge_mode == "sum" else 0.5)
            self._heads_by_direction = np.stack([self._head_weights * share] * 2)

    def _read_transitions(self, number: int) -> Transitions:
        task = self._tasks[number]
        size = len(task.tags)
        transitions = Transitions.free(size)
        if self._config.head == "crf":
            name = f"heads.{number}.crf"
            transitions = Transitions(
                self._tensors[f"{name}.transitions"],
                self._tensors[f"{name}.start_transitions"],
                self._tensors[f"{name}.end_transitions"],
            )
        return constrain(transitions, *task.allowed()) if self._config.constrain else transitions

    @property
    def word_size(self) -> int:
        """Width D of ``word_vectors``."""
        return len(self._layers[0].input_weights)

    @property
    def input_size(self) -> int:
        """Width of ``inputs``."""
        return self.word_size + (context_width(self._config.context_size) if self.context else 0)

    @property
    def projected_size(self) -> int:
        """Numbers of a word's projected input, see ``project``."""
        return self._layers[0].width

    def __call__(self, batch: Batch) -> dict[str, Floats]:
        """For each task the emissions (B, T, C) of a batch; 0 beyond a sentence's end.

        Raises:
            InputError: The weights are such that the emissions are not finite or far too large.
        """
        is_token = batch.mask
        lengths = batch.lengths[batch.lengths > 0]
        projected, tokens = self.project(self.word_vectors(batch)), batch.positions[is_token]
        additions = None
        if batch.mentions and len(batch.mentions.tokens):
            assert self.context
            places = (np.cumsum(is_token) - 1)[batch.mentions.tokens]
            additions = Additions(places, self._read_mentions(batch.mentions), self.context.weights)
        found = self.emissions(projected, tokens, lengths, additions)
        padded = {}
        for task, emissions in found.items():
            padded[task] = np.zeros((*is_token.shape, emissions.shape[1]), np.float32)
            padded[task][is_token] = emissions
        return padded

    def _read_mentions(self, mentions: BatchMentions) -> Floats:
        """(N, …) what ``aggregate`` makes of what the mentions show."""
        assert self.context
        ids = np.concatenate([mentions.left, mentions.right])
        shown = self.context.show(self.embed(ids), np.concatenate([mentions.casing] * 2))
        count = len(mentions.left)
        own, beside = np.arange(count), np.arange(count, 2 * count)
        left = np.where(mentions.left == PADDING, -1, own)
        right = np.where(mentions.right == PADDING, -1, beside)
        features = self.context.features(shown, left, own, right)
        return aggregate(features, mentions.words, mentions.own)

    def inputs(self, batch: Batch) -> Floats:
        """The encoder's inputs (B, T, ``input_size``): vectors of words, and what other mentions show.

        Raises:
            InputError: As for ``word_vectors``.
        """
        vectors = self.word_vectors(batch)[batch.positions]
        found = np.zeros((*batch.positions.shape, self.input_size), np.float32)
        found[:, :, : vectors.shape[2]] = vectors
        if batch.mentions and len(batch.mentions.tokens):
            flat = found.reshape(-1, self.input_size)
            flat[batch.mentions.tokens, vectors.shape[2] :] = self._read_mentions(batch.mentions)
        return found

    def show(self, batch: Batch) -> Floats:
        """(U, …) what a batch's words show of mentions, see ``DocumentContext.show``; no columns without it.

        Raises:
            InputError: As for ``word_vectors``.
        """
        if self.context is None:
            return np.zeros((len(batch.words), 0), np.float32)
        return self.context.show(self.embed(batch.words), batch.casing)

    def project(self, vectors: Floats) -> Floats:
        """The (U, ``projected_size``) first layer's input projections of ``word_vectors`` (U, D)."""
        with np.errstate(over="ignore", invalid="ignore"):  # ``emissions`` looks at what comes of it
            return self._layers[0].project(vectors)

    def emissions(
        self, projected: Floats, tokens: Ints, lengths: Ints, additions: Additions | None = None
    ) -> dict[str, Floats]:
        """For each task the emissions (N, C) of the N tokens of some sentences, one after another.

        Args:
            projected: (U, ``projected_size``) what ``project`` made of distinct words.
            tokens: (N,) which row of ``projected`` each token has.
            lengths: Tokens of each sentence, at least 1 each, N in all.
            additions: Context features of single tokens, see ``DocumentContext.additions``.

        Raises:
            InputError: The weights are such that the emissions are not finite or far too large.
        """
        if not len(tokens):
            return self._by_task(np.zeros((0, len(self._head_bias)), np.float32))
        lanes = Lanes.arrange(lengths)
        *lower, last = self._layers
        with np.errstate(over="ignore", invalid="ignore"):
            for layer, above in zip(lower, self._layers[1:], strict=True):
                encoded = merge(layer.outputs(projected, tokens, lanes, additions), self.merge_mode)
                projected, tokens, additions = above.project(encoded), np.arange(len(encoded)), None
            if self._heads_by_direction is None:
                return self.score(merge(last.outputs(projected, tokens, lanes, additions), self.merge_mode))
            scores = last.scores(projected, tokens, lanes, self._heads_by_direction, additions)
            scores += self._head_bias
        return self._by_task(scores)

    def score(self, encoded: Floats) -> dict[str, Floats]:
        """For each task the emissions (..., C) of the encoder's outputs (..., E).

        Raises:
            InputError: The weights are such that the emissions are not finite or far too large.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            return self._by_task(encoded @ self._head_weights + self._head_bias)

    def _by_task(self, scores: Floats) -> dict[str, Floats]:
        if not is_moderate(scores):
            raise InputError(
                "the model's weights give scores that are not finite or far too large; "
                "copy or train the model again."
            )
        parts = np.split(scores, self._head_ends, axis=-1) if len(self._tasks) > 1 else [scores]
        return {task.name: part for task, part in zip(self._tasks, parts, strict=True)}

    def word_vectors(self, batch: Batch) -> Floats:
        """The (U, D) vectors of a batch's distinct words: words, characters and casing side by side.

        Raises:
            InputError: The fixed vector of one of them is not finite.
        """
        parts = [self.embed(batch.words)]
        if self._config.characters == "cnn":
            parts += [
                self._convolve(number, batch.characters, batch.word_lengths)
                for number in range(len(self._config.character_width))
            ]
        elif self._config.characters == "lstm":
            parts.append(self._read_characters(batch.characters, batch.word_lengths))
        if self._config.casing_size:
            parts.append(self._tensors["words.casing.weight"][batch.casing])
        return np.concatenate(parts, axis=1)

    def embed(self, words: Ints) -> Floats:
        """(U,) word ids to (U, …) word embeddings alone.

        Raises:
            InputError: The fixed vector of one of them is not finite.
        """
        trained = self._tensors["words.trained.weight"]
        vectors = np.empty((len(words), trained.shape[1]), np.float32)
        is_fixed = words >= len(trained)
        vectors[~is_fixed] = trained[words[~is_fixed]]
        vectors[is_fixed] = fixed_vectors(self._tensors, words[is_fixed] - len(trained))
        forget_pages(self._tensors[MAPPED])
        if not is_moderate(vectors):
            raise not_moderate("words.fixed")
        return vectors

    @cached_property
    def _filters(self) -> list[Floats]:
        """For each filter width (width, alphabet, filters): every character's share at each offset.

        Filters are linear in each character under them, so that these shares only have to be added up.
        """
        embedding = self._tensors["words.characters.embedding.weight"]
        found = []
        for number in range(len(self._config.character_width)):
            weight = self._tensors[f"words.characters.filters.{number}.weight"]
            by_place = weight.reshape(len(weight), embedding.shape[1], -1)
            found.append(
                np.stack([embedding @ by_place[:, :, offset].T for offset in range(by_place.shape[2])])
            )
        return found

    def _convolve(self, number: int, characters: Ints, lengths: Ints) -> Floats:
        """(U, L) character ids to (U, filters) of one width: see ``network.words.CharacterCnn``."""
        by_offset = self._filters[number]
        bias = self._tensors[f"words.characters.filters.{number}.bias"]
        width, _, filters = by_offset.shape
        left = (width - 1) // 2
        places = characters.shape[1]
        padded = np.pad(characters, ((0, 0), (left, width - 1 - left)))
        scores = np.zeros((*characters.shape, filters), np.float32)
        for offset in range(width):
            scores += by_offset[offset][padded[:, offset : offset + places]]
        scores[np.arange(places) >= lengths[:, None]] = -np.inf
        return np.asarray(scores.max(axis=1) + bias, np.float32)

    def _read_characters(self, characters: Ints, lengths: Ints) -> Floats:
        """(U, L) character ids to (U, 2H): see ``network.words.CharacterLstm``."""
        assert self._character_layer is not None
        projected = self._character_layer.project(self._tensors["words.characters.embedding.weight"])
        is_character = np.arange(characters.shape[1]) < lengths[:, None]
        found = self._character_layer.outputs(projected, characters[is_character], Lanes.arrange(lengths))
        ends = np.cumsum(lengths)
        return np.concatenate([found[0][ends - 1], found[1][ends - lengths]], axis=1)
