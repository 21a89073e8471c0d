"""Bounded lookahead: tags for text that is still being written, each word's after k further words.

A window holds the last k + 1 words. The forward direction carries its state from word to word as ever; the
backward direction begins anew at the window's last word, as it does at a sentence's end, so that a word's
emissions depend on the words before it and the k after it. Work and memory a word are bounded by k.
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
from tagger.runtime.lstm import Lstm, merge
from tagger.runtime.tagger import BATCH_TOKENS, Tagger
from tagger.text.schemes import convert_next_tag
from tagger.text.sentence import Sentence

LOCKSTEP_SENTENCES = 256  # that are read together at most
TagIds = Mapping[str, Ints]  # for each task the (B,) tags of one word
State = tuple[Floats, Floats]  # what an LSTM put out last and its cells, (B, H) each


@dataclass(frozen=True, slots=True)
class TaggedToken:
    """A token whose tags are decided.

    Attributes:
        token: The token.
        tags: Its tag for each task.
    """

    token: str
    tags: Mapping[str, str]


@dataclass(slots=True)
class WindowState:
    """What a ``WindowEncoder`` keeps of the words it has read; none of its parts is shared with a copy.

    Attributes:
        states: For each layer the forward LSTM's state, of the last word that was read for good.
        forward: The (B, H) forward outputs of each word of the window.
        backward: The (B, 4H) projected backward inputs of each word of the window.
    """

    states: list[State]
    forward: deque[Floats]
    backward: deque[Floats]

    def copy(self) -> WindowState:
        """Return a copy; arrays of the window are never changed, and so shared."""
        states = [(state.copy(), cell.copy()) for state, cell in self.states]
        return WindowState(states, self.forward.copy(), self.backward.copy())


class WindowEncoder:
    """Encodes the last words of B sentences that are read in lock-step.

    A layer whose inputs never change reads each word forward once: the first layer, and all of them if there
    is no backward direction. Above a backward direction a word's inputs change with every word that follows
    it, so there the forward state is carried on from the last word that left the window.

    Args:
        engine: The network.
        count: B, how many sentences are read.

    Attributes:
        state: All that changes while words are read.
    """

    def __init__(self, engine: Engine, count: int) -> None:
        self._engine = engine
        self._layers = [dict(zip(engine.directions, layer, strict=True)) for layer in engine.lstms]
        states = [_zero_state(layer[0], count) for layer in engine.lstms]
        self.state = WindowState(states, deque(), deque())

    def __len__(self) -> int:
        """How many words the window holds."""
        return len(self.state.forward or self.state.backward)

    def append(self, projected: Sequence[Floats]) -> None:
        """Let the next word of each sentence into the window.

        Args:
            projected: For each direction the (B, 4H) projected inputs of the first layer.
        """
        by_direction = dict(zip(self._engine.directions, projected, strict=True))
        if "backward" in by_direction:
            self.state.backward.append(by_direction["backward"])
        if "forward" in by_direction:
            lasting = self._layers[:1] if "backward" in by_direction else self._layers
            inputs = by_direction["forward"]
            for number, (layer, (state, cell)) in enumerate(zip(lasting, self.state.states, strict=False)):
                layer["forward"].step(layer["forward"].project(inputs) if number else inputs, state, cell)
                inputs = state
            self.state.forward.append(inputs.copy())

    def encode(self) -> Floats:
        """Return the outputs (B, W, E) for the W words of the window; then its first word leaves it."""
        results = []
        if self.state.forward:
            results.append(np.stack(list(self.state.forward)))
        if self.state.backward:
            results.append(_read_backward(self._layers[0]["backward"], list(self.state.backward)))
        encoded = merge(results, self._engine.merge_mode)  # (W, B, E)
        if self.state.backward:
            for layer, state in zip(self._layers[1:], self.state.states[1:], strict=True):
                encoded = self._read_again(layer, state, encoded)
        for window in (self.state.forward, self.state.backward):
            if window:
                window.popleft()
        return encoded.swapaxes(0, 1)

    def _read_again(self, layer: Mapping[str, Lstm], state: State, inputs: Floats) -> Floats:
        """Read a window's inputs (W, B, D) anew; the forward ``state`` moves on by its first word."""
        results = []
        for direction, lstm in layer.items():
            projected = lstm.project(inputs.reshape(-1, inputs.shape[2])).reshape(*inputs.shape[:2], -1)
            if direction == "backward":
                results.append(_read_backward(lstm, projected))
            else:
                first = _read(lstm, projected[:1], state)
                ahead = (state[0].copy(), state[1].copy())
                results.append(np.concatenate([first, _read(lstm, projected[1:], ahead)]))
        return merge(results, self._engine.merge_mode)


class _Lockstep:
    """B sentences of one length that are read and decoded together, word by word.

    Args:
        engine: The network.
        count: B.
        lookahead: How many words after a word are known when its tags are decided.

    Attributes:
        encoder: Holds the words whose tags are not decided.
        before: The tags of the last decided word; empty before the first.
    """

    def __init__(self, engine: Engine, count: int, lookahead: int) -> None:
        self._engine = engine
        self.encoder = WindowEncoder(engine, count)
        self._lookahead = lookahead
        self.before: TagIds = {}

    def push(self, projected: Sequence[Floats]) -> list[TagIds]:
        """Read a word, given as for ``WindowEncoder.append``; return what it decides, or raise unchanged."""
        decides = len(self.encoder) >= self._lookahead
        kept = self.encoder.state.copy() if decides else None
        with np.errstate(over="ignore", invalid="ignore"):  # ``Engine.score`` looks at what comes of it
            self.encoder.append(projected)
        return self._decide(kept, is_end=False) if kept else []

    def finish(self) -> list[TagIds]:
        """Return the tags of all words that are left, for the sentences end here."""
        return self._decide(self.encoder.state.copy(), is_end=True) if len(self.encoder) else []

    def _decide(self, kept: WindowState, *, is_end: bool) -> list[TagIds]:
        """Decide words, or go back to the ``kept`` state where the scores are refused."""
        with np.errstate(over="ignore", invalid="ignore"):
            encoded = self.encoder.encode()
        try:
            scores = self._engine.score(encoded)
        except InputError:
            self.encoder.state = kept
            raise
        paths = {
            name: decode_window(
                emissions, self._engine.transitions[name], self.before.get(name), is_end=is_end
            )
            for name, emissions in scores.items()
        }
        decided = encoded.shape[1] if is_end else 1
        words: list[TagIds] = [
            {name: path[:, place] for name, path in paths.items()} for place in range(decided)
        ]
        self.before = words[-1]
        return words


class StreamingTagger:
    """Tags words that come one at a time, each after ``lookahead`` further words.

    With a lookahead of the sentence's length or more the tags are those of ``Tagger.tag_tokens`` in f32,
    which every stream is read in; but a model that is told of a word's other mentions does without them here.
    One object reads one stream: threads may share the ``Tagger``, not this.

    Args:
        model: A tagger, whose scheme the tags are written in, or the folder of a model.
        lookahead: How many words after a word are known when its tag is decided; 0 decides at once.

    It can be copied and pickled in the middle of a sentence; a pickle holds the whole model.

    Raises:
        TypeError: ``model`` is neither a tagger nor a path, or ``lookahead`` no integer.
        InputError: ``lookahead`` is negative, the folder is no model, or the tagger's scheme marks where
            spans end (BIOES) and the model's own does not, so that a tag would depend on the next one.
    """

    def __init__(self, model: Tagger | str | Path, *, lookahead: int) -> None:
        if not isinstance(model, Tagger | str | os.PathLike):
            raise TypeError(
                f"model must be a Tagger or a path (got {describe(model)}). Pass Tagger.load(FOLDER)."
            )
        lookahead = _require_lookahead(lookahead)
        self._tagger = model if isinstance(model, Tagger) else Tagger.load(model)
        _require_at_once(self._tagger)
        self._lookahead = lookahead
        self._begin()

    def __getstate__(self) -> dict[str, Any]:
        """Return the model, the lookahead and what is open of the sentence."""
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
        self._open: deque[str] = deque()  # the tokens whose tags are not decided
        self._before = dict.fromkeys((task.name for task in self._tagger.tasks), "O")

    def push(self, token: str) -> list[TaggedToken]:
        """Read the sentence's next token; return the one whose tags it decides, if there is one yet.

        A call that raises changes nothing.

        Raises:
            TypeError: The token is not a string.
            InputError: The model's weights are such that its scores are not finite or far too large.
        """
        require_token(token, "token")
        table = WordTable(self._tagger.bundle.vocabulary)  # a lasting one would grow with the stream
        batch = table.batch([table.rows([token])])
        projected = [inputs[batch.positions[0]] for inputs in _project(self._tagger.engine, batch)]
        words = self._sentence.push(projected)
        self._open.append(token)
        return self._give_out(words)

    def end_sentence(self) -> list[TaggedToken]:
        """Return the tokens whose tags were still open; the next token begins a new sentence.

        Raises:
            InputError: As for ``push``.
        """
        decided = self._give_out(self._sentence.finish())
        self._begin()
        return decided

    def tag(self, tokens: Iterable[str]) -> Iterator[TaggedToken]:
        """Tag the tokens of one sentence, reading no more than ``lookahead`` of them ahead.

        It ends with them, or where the iterator is closed; what was pushed before is its beginning.

        Raises:
            TypeError: ``tokens`` is not iterable or has no order; while reading, a token is not a string.
            InputError: ``tokens`` is a string, or as for ``push``.
        """
        require_iterable(tokens, "tokens", "an iterable of tokens", "Pass them one by one, as in a list.")
        return self._tag(tokens)

    def _tag(self, tokens: Iterable[str]) -> Iterator[TaggedToken]:
        try:
            for place, token in enumerate(tokens):
                yield from self.push(require_token(token, f"tokens[{place}]"))
            yield from self.end_sentence()
        finally:
            self._begin()

    def _give_out(self, words: Sequence[TagIds]) -> list[TaggedToken]:
        found = []
        for ids in words:
            tags = {}
            for task in self._tagger.tasks:
                tag = task.tags[ids[task.name][0]]
                tags[task.name] = _written(task, self._before[task.name], tag, self._tagger.scheme)
                self._before[task.name] = tag
            found.append(TaggedToken(self._open.popleft(), tags))
        return found


def tag_with_lookahead(
    tagger: Tagger, sentences: Sequence[Sentence], lookahead: int
) -> list[dict[str, list[str]]]:
    """Tag whole sentences as ``StreamingTagger`` tags them word by word, many at a time.

    Args:
        tagger: The model; the tags are written in its scheme.
        sentences: What to tag.
        lookahead: How many words after a word are known when its tag is decided.

    Returns:
        For each sentence each task's tags.

    Raises:
        InputError: As for ``StreamingTagger``.
    """
    lookahead = _require_lookahead(lookahead)
    _require_at_once(tagger)
    found: list[dict[str, list[str]]] = [{} for _ in sentences]
    lengths = [len(sentence) for sentence in sentences]
    table = WordTable(tagger.bundle.vocabulary)
    for length, same in groupby(sorted(range(len(lengths)), key=lengths.__getitem__), lengths.__getitem__):
        places = list(same)
        for group in group_by_length([length] * len(places), LOCKSTEP_SENTENCES, BATCH_TOKENS):
            chosen = [places[number] for number in group]
            batch = table.batch([table.rows(sentences[place].tokens) for place in chosen])
            for task, ids in _tag_in_lockstep(tagger, batch, lookahead):
                for place, row in zip(chosen, ids, strict=True):
                    own = [task.tags[number] for number in row]
                    found[place][task.name] = [
                        _written(task, before, tag, tagger.scheme) for before, tag in pairwise(["O", *own])
                    ]
    return found


def _tag_in_lockstep(tagger: Tagger, batch: Batch, lookahead: int) -> Iterator[tuple[Task, Ints]]:
    """Yield each task with the (B, T) tags of a batch of sentences of one length T."""
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
    """For each direction the (U, 4H) projected inputs of a batch's distinct words."""
    with np.errstate(over="ignore", invalid="ignore"):  # ``Engine.score`` looks at what comes of it
        vectors = engine.word_vectors(batch)
        return [lstm.project(vectors) for lstm in engine.lstms[0]]


def _read(lstm: Lstm, projected: Iterable[Floats], state: State) -> Floats:
    """Read W projected inputs (B, 4H) in order; return the outputs (W, B, H), and move ``state`` on."""
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


def _written(task: Task, before: str, tag: str, scheme: str) -> str:
    """A tag of the model in the tagger's scheme, told by the model's tag before it."""
    return convert_next_tag(before, tag, task.scheme, scheme) if task.scheme else tag


def _require_lookahead(lookahead: object) -> int:
    hint = "Pass 0 to tag at once, or a number of words."
    return require_integer(lookahead, "lookahead", least=0, hint=hint)


def _require_at_once(tagger: Tagger) -> None:
    """Refuse a scheme whose tags depend on the next word's.

    Raises:
        InputError: The scheme is such.
    """
    for task in tagger.tasks:
        if task.scheme:
            convert_next_tag("O", "O", task.scheme, tagger.scheme)
