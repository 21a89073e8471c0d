"""Compute emissions from a bundle's weights: the network of ``tagger.network`` without torch.

The weights keep their torch names. Word vectors and the first layer's input projection, which is linear in
them, are computed once per distinct word; only the recurrence runs token by token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tagger.bundle import Bundle
from tagger.config import HeadKind
from tagger.decoding.viterbi import Transitions, constrain
from tagger.errors import InputError
from tagger.features.batching import Batch, Ints
from tagger.features.context_index import context_width
from tagger.features.contextual import ContextualEncoder
from tagger.runtime.context_inputs import DocumentContext
from tagger.runtime.layer import Layer
from tagger.runtime.linear_scores import LinearScores
from tagger.runtime.lstm import Lstm, merge
from tagger.runtime.recurrence import PackedSlots, Precision, TokenInputs
from tagger.runtime.state_inputs import StateInputs
from tagger.runtime.weights import check_tensors, directions_of, is_moderate
from tagger.runtime.windows import Window
from tagger.runtime.word_inputs import WordInputs

Floats = NDArray[np.float32]
Encode = Callable[[Sequence[Sequence[str]]], list[NDArray[np.float16]]]


class Engine:
    """Compute emissions from a bundle; thread-safe.

    Sentences are never split, whatever their length. With one layer, memory per token is that of its
    emissions; each further layer adds its inputs, 32 * hidden_size bytes per token, and its outputs of the
    same size.

    Whole sentences always go through ``emissions``. Streams read word by word and use ``lstms``, ``score``,
    ``directions`` and ``merge_mode`` instead.

    Args:
        bundle: A loaded bundle.
        precision: Precision of the encoder's recurrent weights and states: ``f32``, or ``int8``, which is
            faster on processors with 8-bit products and changes emissions by a few hundredths.
        encoder: The model's contextual encoder; None without.

    Attributes:
        words: Computes the inputs of distinct words.
        transitions: For each task, its transition scores.
        directions: ``forward``, ``backward`` or both, in this order.
        merge_mode: How a layer's two directions are merged.

    Raises:
        InputError: The bundle's tensors do not match its config and vocabulary.
    """

    def __init__(
        self, bundle: Bundle, precision: Precision = "f32", encoder: ContextualEncoder | None = None
    ) -> None:
        self._tensors = bundle.tensors
        self._config = bundle.config.model
        self._tasks = bundle.vocabulary.tasks
        self.directions = directions_of(self._config)
        self.merge_mode = self._config.merge_mode
        check_tensors(bundle)
        names = [f"encoder.layers.{number}" for number in range(self._config.layers)]
        self._layers = [Layer.from_tensors(self._tensors, name, self.directions, precision) for name in names]
        self._encode: Encode | None = encoder.encode if encoder else None
        self._states: StateInputs | None = None
        if bundle.encoder:
            first = self._layers[0]
            weights = first.input_weights[-bundle.encoder.size :]
            self._states = StateInputs(self._tensors, weights, len(self.directions))
            rest = np.ascontiguousarray(first.input_weights[: -bundle.encoder.size])
            self._layers[0] = replace(first, input_weights=rest)
        context: DocumentContext | None = None
        if self._config.has_document_context:
            first = self._layers[0]
            n_word_inputs = len(first.input_weights) - context_width(self._config.context_size)
            context = DocumentContext(
                self._tensors, first.input_weights[n_word_inputs:], len(self.directions)
            )
            word_weights = np.ascontiguousarray(first.input_weights[:n_word_inputs])
            self._layers[0] = replace(first, input_weights=word_weights)
        self._linear = LinearScores(self._tensors, len(self._tasks)) if self._config.has_linear else None
        self.words = WordInputs(self._tensors, self._config, self._layers[0], context, self._linear)
        self._read_heads()
        self.transitions = {
            task.name: self._read_transitions(number) for number, task in enumerate(self._tasks)
        }

    @cached_property
    def lstms(self) -> list[list[Lstm]]:
        """For each layer, the float32 LSTM of each direction, for reading word by word.

        The first layer reads word vectors only, without context features.
        """
        return [
            [
                Lstm.from_tensors(
                    self._tensors,
                    f"encoder.layers.{number}.{way}_lstm",
                    None if number else self.words.size,
                )
                for way in self.directions
            ]
            for number in range(len(self._layers))
        ]

    def _read_heads(self) -> None:
        """Concatenate the heads of all tasks, so that one matrix product computes all emissions."""
        heads = [f"heads.{number}.projection" for number in range(len(self._tasks))]
        self._head_weights = np.concatenate([self._tensors[f"{name}.weight"].T for name in heads], axis=1)
        self._head_bias = np.concatenate([self._tensors[f"{name}.bias"] for name in heads])
        self._head_ends = np.cumsum([len(task.tags) for task in self._tasks])[:-1]
        # Except for "mul", the scores are a sum over the directions, so each direction has its own heads.
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
        read = TRANSITIONS[self._config.head]
        transitions = read(self._tensors, f"heads.{number}", len(task.tags))
        return constrain(transitions, *task.allowed()) if self._config.constrain else transitions

    def emissions(self, inputs: Batch | Window) -> dict[str, Floats]:
        """Compute each task's emissions (N, C) for the N tokens of all sentences, concatenated.

        Args:
            inputs: A batch, or a window with cached words.

        Raises:
            InputError: A frozen vector is not finite, or the weights give emissions that are not finite or
                far too large.
        """
        if isinstance(inputs, Window):
            words, lengths = inputs.words, inputs.lengths
            additions = None
            context_size = self.words.context.feature_size if self.words.context else 0
            context, linear = np.split(words.features, [context_size], axis=1)
            if self.words.context and inputs.occurrences and len(inputs.occurrences.indices):
                additions = self.words.context.token_inputs(
                    context, words.tokens, lengths, inputs.occurrences
                )
            if self._states and inputs.non_empty:
                states = self.encode([inputs.sentences[index].tokens for index in inputs.non_empty])
                additions = self._states.token_inputs(np.concatenate(states), additions)
            return self._read(words.projected, words.tokens, lengths, additions, linear)
        projected = self.words.project(self.words.vectors(inputs))
        tokens, lengths = inputs.positions[inputs.mask], inputs.lengths[inputs.lengths > 0]
        additions = self.words.batch_token_inputs(inputs)
        if self._states:
            assert inputs.states is not None
            additions = self._states.token_inputs(inputs.states[inputs.mask], additions)
        scores = self._linear.word_scores(inputs) if self._linear else None
        return self._read(projected, tokens, lengths, additions, scores)

    def encode(self, sentences: Sequence[Sequence[str]]) -> list[NDArray[np.float16]]:
        """Return the encoder's states (T, L, D) of each sentence; empty for models without an encoder."""
        return self._encode(sentences) if self._encode else []

    def use_states(self, encode: Encode) -> None:
        """Take the encoder's states from elsewhere, such as a cache."""
        self._encode = encode

    def _read(
        self,
        projected: Floats,
        tokens: Ints,
        lengths: Ints,
        additions: TokenInputs | None,
        linear: Floats | None,
    ) -> dict[str, Floats]:
        """Compute each task's emissions (N, C) from the input projections of distinct words.

        Args:
            projected: (U, P) input projections of distinct words.
            tokens: (N,) row of each token in ``projected``.
            lengths: (S,) sentence lengths, at least 1 each, N in total.
            additions: Context features of single tokens.
            linear: (U, 5C) the linear part's scores of distinct words, if the model has it.
        """
        if not len(tokens):
            return self._by_task(np.zeros((0, len(self._head_bias)), np.float32))
        slots = PackedSlots.pack(lengths)
        words = tokens
        *lower, last = self._layers
        with np.errstate(over="ignore", invalid="ignore"):
            for layer, above in zip(lower, self._layers[1:], strict=True):
                encoded = merge(layer.outputs(projected, tokens, slots, additions), self.merge_mode)
                projected, tokens, additions = above.project(encoded), np.arange(len(encoded)), None
            if self._heads_by_direction is None:
                encoded = merge(last.outputs(projected, tokens, slots, additions), self.merge_mode)
                scores = encoded @ self._head_weights
            else:
                scores = last.scores(projected, tokens, slots, self._heads_by_direction, additions)
            scores += self._head_bias
            if self._linear and linear is not None:
                self._linear.add_to(scores, linear, words, lengths)
        return self._by_task(scores)

    def score(self, encoded: Floats) -> dict[str, Floats]:
        """Compute each task's emissions (..., C) from the encoder's outputs (..., E).

        Raises:
            InputError: The weights give emissions that are not finite or far too large.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            return self._by_task(encoded @ self._head_weights + self._head_bias)

    def _by_task(self, scores: Floats) -> dict[str, Floats]:
        if not is_moderate(scores):
            raise InputError(
                "the model's weights give scores that are not finite or far too large. "
                "Copy or train the model again.",
                code="bundle.damaged",
            )
        by_task = np.split(scores, self._head_ends, axis=-1) if len(self._tasks) > 1 else [scores]
        return {task.name: emissions for task, emissions in zip(self._tasks, by_task, strict=True)}


def _crf_transitions(tensors: Mapping[str, Floats], name: str, size: int) -> Transitions:
    kinds = ("transitions", "start_transitions", "end_transitions")
    return Transitions(*(tensors[f"{name}.crf.{kind}"] for kind in kinds))


TRANSITIONS: dict[HeadKind, Callable[[Mapping[str, Floats], str, int], Transitions]] = {
    "crf": _crf_transitions,
    "softmax": lambda tensors, name, size: Transitions.free(size),
}
"""For each head, its transition scores, given all tensors, the head's name and the number of tags."""
