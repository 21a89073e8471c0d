"""``Tagger``: what users import. Raw text or tokens in, sentences with tags and spans out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from time import sleep
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tagger.bundle import Bundle, load_bundle
from tagger.errors import InputError
from tagger.features.vocab import Task
from tagger.runtime.annotation import Annotations, Annotator
from tagger.runtime.cache import CacheStatistics, WordCache
from tagger.runtime.engine import Engine
from tagger.runtime.overlap import compute_ahead, usable_cores
from tagger.runtime.recurrence import choose_precision
from tagger.text.schemes import normalise_scheme
from tagger.text.sentence import Sentence, from_tokens
from tagger.text.tokenizer import Tokenizer

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

TextTokenizer = Callable[[str], Sequence[Sentence]]
WINDOW = 1024  # sentences that the network reads together; each thread may hold a window, and one is prepared
WINDOW_TOKENS = 16_384  # of a window, or it has a single longer sentence; this bounds what is held
BATCH_TOKENS = 4096
MOST_ALTERNATIVES = 1000  # tag sequences of a sentence that may be asked for
MOST_POINTERS = 1 << 26  # of one sentence's alternatives, of two bytes as a rule (see ``nbest``)


class _Window(NamedTuple):
    """Sentences that the network reads together.

    Attributes:
        sentences: All of them.
        filled: Places of those that have a token.
        lengths: Tokens of each of these.
        projected: (U, …) projected inputs of words.
        tokens: (N,) which row of ``projected`` each token has.
    """

    sentences: list[Sentence]
    filled: list[int]
    lengths: Ints
    projected: Floats
    tokens: Ints


class Tagger:
    """A trained model, ready to tag; threads may share it.

    Args:
        bundle: The model.
        tokenizer: Makes sentences of a raw text, in place of the tokenizer that the model learnt from its
            train part; the offsets of the sentences it returns must fit the text.
        scheme: How tags of span tasks are written: one of ``text.schemes.SCHEMES``.
        threads: How many threads the network runs in, beside the one that calls; as many as there are cores
            when not said. With 1 the calling thread does everything.
        precision: Of the encoder's recurrent weights: ``f32``, ``int8`` (faster on most processors, scores
            change in the second digit), or ``auto`` for whichever a short trial finds faster here.
        cache_megabytes: How much may be kept of what the network makes of words: with 100 units a direction
            the most frequent 62,000 words when not said. Windows that are being read when it is renewed keep
            what they were given, so that it may take twice as much for a while, and more with many threads.

    Raises:
        InputError: There is no such scheme or precision, or the bundle's tensors do not fit its config.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        tokenizer: TextTokenizer | None = None,
        scheme: str = "IOB2",
        threads: int | None = None,
        precision: str = "f32",
        cache_megabytes: int = 192,
    ) -> None:
        self.bundle = bundle
        self.tokenizer: TextTokenizer = tokenizer or Tokenizer(**bundle.tokenizer).tokenize
        self.scheme = normalise_scheme(scheme)
        self.precision = choose_precision(precision, bundle.config.model.hidden_size)
        self.engine = Engine(bundle, self.precision)
        self.threads = threads or usable_cores()
        self._cache = WordCache(self.engine, bundle.vocabulary, cache_megabytes << 20)
        self._annotators = [
            Annotator(task, self.engine.transitions[task.name], self.scheme) for task in self.tasks
        ]

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        tokenizer: TextTokenizer | None = None,
        scheme: str = "IOB2",
        threads: int | None = None,
        precision: str = "f32",
        cache_megabytes: int = 192,
    ) -> Tagger:
        """Load a model from the folder that ``tagger train`` wrote; the arguments are those of the class.

        Raises:
            InputError: The folder is missing or is no model of this version, or there is no such scheme.
        """
        scheme, bundle = normalise_scheme(scheme), load_bundle(Path(path))
        precision = choose_precision(precision, bundle.config.model.hidden_size)
        try:
            return cls(
                bundle,
                tokenizer=tokenizer,
                scheme=scheme,
                threads=threads,
                precision=precision,
                cache_megabytes=cache_megabytes,
            )
        except InputError as error:  # which knows the tensor, but not where the model is
            raise InputError(f"{path}: {error}") from None

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What the model tags."""
        return self.bundle.vocabulary.tasks

    @property
    def cache_statistics(self) -> CacheStatistics:
        """How many words are kept with what the network makes of them, and how often that served."""
        return self._cache.statistics

    def tag(self, text: str, *, n_best: int = 0, scores: bool = False) -> list[Sentence]:
        """Tag raw text; offsets count characters of ``text``.

        Args:
            text: A document.
            n_best: How many alternatives each sentence gets, see ``tag_sentences``.
            scores: Whether each tag gets its probability, see ``tag_sentences``.

        Raises:
            InputError: ``n_best`` is out of bounds.
        """
        return list(self.tag_sentences(self.tokenizer(text), n_best=n_best, scores=scores))

    def tag_tokens(
        self, sentences: Iterable[Sequence[str]], *, n_best: int = 0, scores: bool = False
    ) -> list[Sentence]:
        """Tag sentences of ready tokens, in order; offsets count characters of the tokens joined by spaces.

        Args:
            sentences: The tokens of each sentence.
            n_best: How many alternatives each sentence gets, see ``tag_sentences``.
            scores: Whether each tag gets its probability, see ``tag_sentences``.

        Raises:
            InputError: A sentence is a string instead of a list of tokens, or ``n_best`` is out of bounds.
        """
        return list(self.tag_sentences(_from_lists(sentences), n_best=n_best, scores=scores))

    def tag_sentences(
        self, sentences: Iterable[Sentence], *, n_best: int = 0, scores: bool = False
    ) -> Iterator[Sentence]:
        """Tag a stream of sentences in order.

        The network reads windows of at most ``WINDOW`` sentences and ``WINDOW_TOKENS`` tokens (with
        alternatives ``WINDOW_TOKENS / n_best``, yet a whole batch), one a thread and one ahead: memory does
        not grow with the stream, only with its longest sentence (see ``Engine`` and ``nbest`` for how).
        What comes before an error in the stream is tagged and given out first. Alternatives that take
        ``nbest`` more than ``MOST_POINTERS`` back-pointers are refused: of 16 tags, a sentence of 100,000
        tokens can have 41 alternatives, and one of 4,000 tokens 1000 of them.

        Args:
            sentences: What to tag; what tags they carry is not looked at.
            n_best: Fills ``Sentence.alternatives`` with so many of the likeliest tag sequences of each task,
                or with all if there are fewer; the first is the sentence's own tags. Probabilities are those
                of the model's sequences: where the model's tags are not in the tagger's scheme and are not
                constrained to their own, or the scheme is IO, several of them may be written alike, and each
                stands for itself. At most ``MOST_ALTERNATIVES``.
            scores: Fills ``Sentence.tag_scores`` with the marginal probability of each token's tag under the
                model. Where the model's scheme is another than the tagger's, it is the probability of the
                model's own tag: that of ``S-PER`` where ``B-PER`` is written.

        Raises:
            InputError: ``n_best`` is out of bounds, or, once it comes to it, too large for a sentence.
        """
        if not 0 <= n_best <= MOST_ALTERNATIVES:
            raise InputError(
                f"The number of alternatives is {n_best}; use 0 for none, or at most {MOST_ALTERNATIVES}."
            )
        if n_best:
            tag_count = max(len(task.tags) for task in self.tasks)
            sentences = _with_room_for(sentences, n_best, MOST_POINTERS // tag_count)
        windows = self._windows(sentences, max(BATCH_TOKENS, WINDOW_TOKENS // max(1, n_best)))
        return (
            tagged
            for window, emissions in compute_ahead(self._emissions, windows, self.threads)
            for tagged in self._annotate(window, emissions, n_best=n_best, has_scores=scores)
        )

    def _windows(self, sentences: Iterable[Sentence], most_tokens: int) -> Iterator[_Window]:
        for window in _cut_windows(sentences, most_tokens):
            filled = [place for place, sentence in enumerate(window) if sentence.tokens]
            tokens = list(chain.from_iterable(sentence.tokens for sentence in window))
            lengths = np.array([len(window[place].tokens) for place in filled], np.int64)
            yield _Window(window, filled, lengths, *self._cache.look_up(tokens))

    def _emissions(self, window: _Window) -> dict[str, Floats]:
        return self.engine.emissions(window.projected, window.tokens, window.lengths)

    def _annotate(
        self, window: _Window, emissions: Mapping[str, Floats], *, n_best: int, has_scores: bool
    ) -> list[Sentence]:
        nothing: dict[str, tuple[()]] = {task.name: () for task in self.tasks}
        empty = {
            "spans": {task.name: () for task in self.tasks if task.scheme},
            "tag_scores": nothing if has_scores else None,
            "alternatives": nothing if n_best else None,
        }
        tagged = list(window.sentences)
        if len(window.filled) < len(tagged):
            tagged = [one if one.tokens else one.with_tags(nothing, **empty) for one in tagged]
        sentences = [window.sentences[place] for place in window.filled]
        found = {
            annotator.task.name: annotator.annotate(
                emissions[annotator.task.name],
                window.lengths,
                sentences,
                n_best=n_best,
                has_scores=has_scores,
            )
            for annotator in self._annotators
        }
        for number, (place, sentence) in enumerate(zip(window.filled, sentences, strict=True)):
            tagged[place] = _tagged(sentence, found, number)
            if number % 64 == 63:
                sleep(0)  # lets a thread that waits for the interpreter's lock have it
        return tagged


def _tagged(sentence: Sentence, found: Mapping[str, Annotations], number: int) -> Sentence:
    """A sentence with what is said of it, the one with this number, by each task."""
    return sentence.with_tags(
        {task: one.tags[number] for task, one in found.items()},
        {task: one.spans[number] for task, one in found.items() if one.spans},
        tag_scores={task: one.tag_scores[number] for task, one in found.items() if one.tag_scores},
        alternatives={task: one.alternatives[number] for task, one in found.items() if one.alternatives},
    )


def choose_tasks(tagger: Tagger, tasks: Sequence[str] | None) -> tuple[str, ...]:
    """The tasks that were asked for, or all of the model's.

    Raises:
        InputError: One of them is none of the model's.
    """
    known = [task.name for task in tagger.tasks]
    for name in tasks or ():
        if name not in known:
            raise InputError(f"The model has no task {name!r}; its tasks are {', '.join(known)}.")
    return tuple(dict.fromkeys(tasks)) if tasks else tuple(known)


def _cut_windows(sentences: Iterable[Sentence], most_tokens: int) -> Iterator[list[Sentence]]:
    window: list[Sentence] = []
    tokens = 0
    try:
        for sentence in sentences:
            window.append(sentence)
            tokens += len(sentence)
            if len(window) == WINDOW or tokens >= most_tokens:
                yield window
                window, tokens = [], 0
    except Exception:
        if window:  # what came before the error is tagged all the same
            yield window
        raise
    if window:
        yield window


def _with_room_for(sentences: Iterable[Sentence], n_best: int, most_tokens: int) -> Iterator[Sentence]:
    """Pass sentences on, and refuse one whose alternatives have more tokens in all than may be held."""
    for sentence in sentences:
        if n_best * len(sentence) > most_tokens:
            raise InputError(
                f"The sentence {sentence.text[:40]!r}… has {len(sentence):,} tokens, so that {n_best} "
                f"alternatives of it take too much memory; ask for {most_tokens // len(sentence)} or cut it."
            )
        yield sentence


def _from_lists(sentences: Iterable[Sequence[str]]) -> Iterator[Sentence]:
    for number, tokens in enumerate(sentences, start=1):
        if isinstance(tokens, str):
            raise InputError(
                f"Sentence {number} is a string; give a list of tokens, or raw text to `Tagger.tag`."
            )
        yield from_tokens(tokens)
