"""Incremental tagging with bounded lookahead: each word is tagged after k further words.

A window holds the last k + 1 words. The forward LSTM carries its state from word to word. The backward LSTM
restarts from a zero state at the window's last word, as it does at the end of a sentence. A word's emissions
thus depend on all words before it and the k after it, and time and memory per word are bounded by k.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tagger.decoding.fixed_lag import decode_window
from tagger.errors import InputError
from tagger.features.batching import Batch, Ints, WordTable, group_by_length
from tagger.features.vocab import Task
from tagger.runtime.arguments import describe, require_integer, require_iterable, require_token
from tagger.runtime.engine import Engine, Floats
from tagger.runtime.labeller import BATCH_TOKENS
from tagger.runtime.lstm import Lstm, merge
from tagger.runtime.sentence_tagger import require_causal
from tagger.runtime.tagger import Tagger
from tagger.text.schemes import convert_next_tag
from tagger.text.sentence import Sentence

LOCKSTEP_SENTENCES = 256  # maximum sentences per batch
TagIds = Mapping[str, Ints]  # for each task, the (B,) tag ids of one word
State = tuple[Floats, Floats]  # hidden state and cell state of an LSTM, (B, H) each


@dataclass(frozen=True, slots=True)
class TaggedToken:
    """A token with its final tags.

    Attributes:
        token: The token.
        tags: The token's tag for each task.
    """

    token: str
    tags: Mapping[str, str]


@dataclass(slots=True)
class WindowState:
    """Mutable state of a ``WindowEncoder``.

    Attributes:
        states: For each layer, the forward LSTM's state after the last word whose inputs are final.
        forward: The (B, H) forward outputs of each word of the window.
        backward: The (B, 4H) projected backward inputs of each word of the window.
    """

    states: list[State]
    forward: deque[Floats]
    backward: deque[Floats]

    def copy(self) -> WindowState:
        """Return an independent copy. It shares the arrays of the window, which are never modified."""
        states = [(state.copy(), cell.copy()) for state, cell in self.states]
        return WindowState(states, self.forward.copy(), self.backward.copy())


class WindowEncoder:
    """Encode the last words of B sentences, reading all of them in lock-step.

    A forward LSTM reads each word once if its inputs are final: in the first layer, and in all layers of a
    forward model. Above a backward LSTM, each new word changes the inputs of the words before it. There, the
    forward LSTM re-reads the window, starting from the state after the last word that left the window.

    Args:
        engine: The network.
        count: B, the number of sentences.

    Attributes:
        state: The mutable state.
    """

    def __init__(self, engine: Engine, count: int) -> None:
        self._engine = engine
        self._layers = [dict(zip(engine.directions, layer, strict=True)) for layer in engine.lstms]
        states = [_zero_state(layer[0], count) for layer in engine.lstms]
        self.state = WindowState(states, deque(), deque())

    def __len__(self) -> int:
        """The number of words in the window."""
        return len(self.state.forward or self.state.backward)

    def append(self, projected: Sequence[Floats]) -> None:
        """Append the next word of each sentence to the window.

        Args:
            projected: For each direction, the (B, 4H) projected inputs of the first layer.
        """
        by_direction = dict(zip(self._engine.directions, projected, strict=True))
        if "backward" in by_direction:
            self.state.backward.append(by_direction["backward"])
        if "forward" in by_direction:
            read_once = self._layers[:1] if "backward" in by_direction else self._layers
            inputs = by_direction["forward"]
            for number, (layer, (state, cell)) in enumerate(zip(read_once, self.state.states, strict=False)):
                layer["forward"].step(layer["forward"].project(inputs) if number else inputs, state, cell)
                inputs = state
            self.state.forward.append(inputs.copy())

    def encode(self) -> Floats:
        """Return the outputs (B, W, E) for the W words of the window, and remove its first word."""
        results = []
        if self.state.forward:
            results.append(np.stack(list(self.state.forward)))
        if self.state.backward:
            results.append(_read_backward(self._layers[0]["backward"], list(self.state.backward)))
        encoded = merge(results, self._engine.merge_mode)  # (W, B, E)
        if self.state.backward:
            for layer, state in zip(self._layers[1:], self.state.states[1:], strict=True):
                encoded = self._reread_window(layer, state, encoded)
        for window in (self.state.forward, self.state.backward):
            if window:
                window.popleft()
        return encoded.swapaxes(0, 1)

    def _reread_window(self, layer: Mapping[str, Lstm], state: State, inputs: Floats) -> Floats:
        """Read a window's inputs (W, B, D) again, and advance the forward ``state`` by its first word."""
        results = []
        for direction, lstm in layer.items():
            projected = lstm.project(inputs.reshape(-1, inputs.shape[2])).reshape(*inputs.shape[:2], -1)
            if direction == "backward":
                results.append(_read_backward(lstm, projected))
            else:
                first = _read(lstm, projected[:1], state)
                lookahead = (state[0].copy(), state[1].copy())
                results.append(np.concatenate([first, _read(lstm, projected[1:], lookahead)]))
        return merge(results, self._engine.merge_mode)


class _Lockstep:
    """Encode and decode B sentences of the same length together, word by word.

    Args:
        engine: The network.
        count: B, the number of sentences.
        lookahead: Number of words after a word that the model sees before it tags the word.

    Attributes:
        encoder: Holds the words that are not tagged yet.
        before: The tag ids of the last tagged word; empty before the first.
    """

    def __init__(self, engine: Engine, count: int, lookahead: int) -> None:
        self._engine = engine
        self.encoder = WindowEncoder(engine, count)
        self._lookahead = lookahead
        self.before: TagIds = {}

    def push(self, projected: Sequence[Floats]) -> list[TagIds]:
        """Read a word as ``WindowEncoder.append`` does; return new tags. Errors leave the state unchanged."""
        is_window_full = len(self.encoder) >= self._lookahead
        saved = self.encoder.state.copy() if is_window_full else None
        with np.errstate(over="ignore", invalid="ignore"):  # ``Engine.score`` checks the result
            self.encoder.append(projected)
        return self._decode(saved, is_end=False) if saved else []

    def finish(self) -> list[TagIds]:
        """End the sentences; return the tags of the remaining words."""
        return self._decode(self.encoder.state.copy(), is_end=True) if len(self.encoder) else []

    def _decode(self, saved: WindowState, *, is_end: bool) -> list[TagIds]:
        """Tag the first word of the window, or all at the end; on an error, restore the ``saved`` state."""
        with np.errstate(over="ignore", invalid="ignore"):
            encoded = self.encoder.encode()
        try:
            scores = self._engine.score(encoded)
        except InputError:
            self.encoder.state = saved
            raise
        paths = {
            name: decode_window(
                emissions, self._engine.transitions[name], self.before.get(name), is_end=is_end
            )
            for name, emissions in scores.items()
        }
        count = encoded.shape[1] if is_end else 1
        words: list[TagIds] = [
            {name: path[:, index] for name, path in paths.items()} for index in range(count)
        ]
        self.before = words[-1]
        return words


class StreamingTagger:
    """Tag words as they arrive, each after ``lookahead`` further words.

    If the lookahead is at least the sentence's length, the tags equal those of ``Tagger.tag_tokens`` in f32,
    the precision of all streams. Streams do not use document context. Each object reads one stream: threads
    may share the ``Tagger``, but not a ``StreamingTagger``. It can be copied and pickled in the middle of a
    sentence; a pickle includes the model.

    Args:
        model: A tagger, whose scheme is used for the tags, or a model folder.
        lookahead: Number of words after a word that the model sees before it tags the word; 0 tags at once.

    Raises:
        TypeError: ``model`` is neither a tagger nor a path, or ``lookahead`` is not an integer.
        InputError: ``lookahead`` is negative, the folder holds no model, or the tagger's scheme marks the
            ends of spans (BIOES) but the model's does not, so that a tag would depend on the next one.
    """

    def __init__(self, model: Tagger | str | Path, *, lookahead: int) -> None:
        if not isinstance(model, Tagger | str | os.PathLike):
            raise TypeError(
                f"model must be a Tagger or a path (got {describe(model)}). Pass Tagger.load(FOLDER)."
            )
        lookahead = _require_lookahead(lookahead)
        self._tagger = model if isinstance(model, Tagger) else Tagger.load(model)
        require_causal(self._tagger)
        self._lookahead = lookahead
        self._begin()

    def __getstate__(self) -> dict[str, Any]:
        """Return the model, the lookahead and the state of the current sentence."""
        return {
            "_tagger": self._tagger,
            "_lookahead": self._lookahead,
            "_open": tuple(self._open),
            "_before": dict(self._before),
            "window": (self._sentence.encoder.state.copy(), self._sentence.before),
        }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Restore what ``__getstate__`` returned."""
        self._tagger, self._lookahead = state["_tagger"], state["_lookahead"]
        self._begin()
        self._open.extend(state["_open"])
        self._before.update(state["_before"])
        self._sentence.encoder.state, self._sentence.before = state["window"]

    def _begin(self) -> None:
        self._sentence = _Lockstep(self._tagger.engine, 1, self._lookahead)
        self._open: deque[str] = deque()  # tokens that are not tagged yet
        self._before = dict.fromkeys((task.name for task in self._tagger.tasks), "O")

    def push(self, token: str) -> list[TaggedToken]:
        """Read the sentence's next token; return the token that can now be tagged, if any.

        An error leaves the state unchanged.

        Raises:
            TypeError: The token is not a string.
            InputError: The model's weights give scores that are not finite or far too large.
        """
        require_token(token, "token")
        table = WordTable(self._tagger.bundle.vocabulary)  # a shared table would grow with the stream
        batch = table.batch([table.rows([token])])
        projected = [inputs[batch.positions[0]] for inputs in _project(self._tagger.engine, batch)]
        words = self._sentence.push(projected)
        self._open.append(token)
        return self._emit(words)

    def end_sentence(self) -> list[TaggedToken]:
        """End the sentence and return its remaining tokens; the next token starts a new sentence.

        Raises:
            InputError: As for ``push``.
        """
        tokens = self._emit(self._sentence.finish())
        self._begin()
        return tokens

    def tag(self, tokens: Iterable[str]) -> Iterator[TaggedToken]:
        """Tag the tokens of one sentence, reading at most ``lookahead`` of them ahead.

        Tokens that were pushed before are the beginning of the sentence. It ends with the last token, or
        when the iterator is closed.

        Raises:
            TypeError: ``tokens`` is not an ordered iterable of strings; the tokens are checked one by one.
            InputError: As for ``push``.
        """
        require_iterable(tokens, "tokens", "an iterable of tokens", "Pass them one by one, as in a list.")
        return self._tag(tokens)

    def _tag(self, tokens: Iterable[str]) -> Iterator[TaggedToken]:
        try:
            for index, token in enumerate(tokens):
                yield from self.push(require_token(token, f"tokens[{index}]"))
            yield from self.end_sentence()
        finally:
            self._begin()

    def _emit(self, words: Sequence[TagIds]) -> list[TaggedToken]:
        tokens = []
        for ids in words:
            tags = {}
            for task in self._tagger.tasks:
                tag = task.tags[ids[task.name][0]]
                tags[task.name] = _convert_tag(task, self._before[task.name], tag, self._tagger.scheme)
                self._before[task.name] = tag
            tokens.append(TaggedToken(self._open.popleft(), tags))
        return tokens


def tag_with_lookahead(
    tagger: Tagger, sentences: Sequence[Sentence], lookahead: int
) -> list[dict[str, list[str]]]:
    """Tag complete sentences in batches, with the same result as ``StreamingTagger``.

    Args:
        tagger: The model; the tags use its scheme.
        sentences: Sentences to tag.
        lookahead: Number of words after a word that the model sees before it tags the word.

    Returns:
        For each sentence, the tags of each task.

    Raises:
        InputError: As for ``StreamingTagger``.
    """
    lookahead = _require_lookahead(lookahead)
    require_causal(tagger)
    tags: list[dict[str, list[str]]] = [{} for _ in sentences]
    lengths = [len(sentence) for sentence in sentences]
    table = WordTable(tagger.bundle.vocabulary)
    for length, same in groupby(sorted(range(len(lengths)), key=lengths.__getitem__), lengths.__getitem__):
        indices = list(same)
        for group in group_by_length([length] * len(indices), LOCKSTEP_SENTENCES, BATCH_TOKENS):
            chosen = [indices[number] for number in group]
            batch = table.batch([table.rows(sentences[index].tokens) for index in chosen])
            for task, ids in _tag_in_lockstep(tagger, batch, lookahead):
                for index, row in zip(chosen, ids, strict=True):
                    model_tags = ["O", *(task.tags[number] for number in row)]
                    tags[index][task.name] = [
                        _convert_tag(task, before, tag, tagger.scheme) for before, tag in pairwise(model_tags)
                    ]
    return tags


def _tag_in_lockstep(tagger: Tagger, batch: Batch, lookahead: int) -> Iterator[tuple[Task, Ints]]:
    """Yield each task with the (B, T) tag ids of a batch of sentences that all have length T."""
    sentence = _Lockstep(tagger.engine, len(batch.lengths), lookahead)
    projected = _project(tagger.engine, batch)
    words: list[TagIds] = []
    for rows in batch.positions.T:
        words += sentence.push([inputs[rows] for inputs in projected])
    words += sentence.finish()
    for task in tagger.tasks:
        columns = [ids[task.name] for ids in words]
        yield task, np.stack(columns, axis=1) if columns else np.zeros(batch.positions.shape, np.int64)


def _project(engine: Engine, batch: Batch) -> list[Floats]:
    """Return, for each direction, the (U, 4H) projected inputs of a batch's distinct words."""
    with np.errstate(over="ignore", invalid="ignore"):  # ``Engine.score`` checks the result
        vectors = engine.words.vectors(batch)
        return [lstm.project(vectors) for lstm in engine.lstms[0]]


def _read(lstm: Lstm, projected: Iterable[Floats], state: State) -> Floats:
    """Read W projected inputs (B, 4H) in order; return the outputs (W, B, H) and advance ``state``."""
    outputs = []
    for inputs in projected:
        lstm.step(inputs, *state)
        outputs.append(state[0].copy())
    return np.stack(outputs) if outputs else np.zeros((0, *state[0].shape), np.float32)


def _read_backward(lstm: Lstm, projected: Sequence[Floats] | Floats) -> Floats:
    """Read W projected inputs (B, 4H) from the last to the first; return (W, B, H) in the words' order."""
    return _read(lstm, projected[::-1], _zero_state(lstm, len(projected[0])))[::-1]


def _zero_state(lstm: Lstm, count: int) -> State:
    shape = (count, len(lstm.hidden_weights))
    return np.zeros(shape, np.float32), np.zeros(shape, np.float32)


def _convert_tag(task: Task, before: str, tag: str, scheme: str) -> str:
    """Convert a tag of the model to the tagger's scheme, given the model's previous tag."""
    return convert_next_tag(before, tag, task.scheme, scheme) if task.scheme else tag


def _require_lookahead(lookahead: object) -> int:
    return require_integer(
        lookahead, "lookahead", least=0, hint="Pass 0 to tag at once, or a number of words."
    )
