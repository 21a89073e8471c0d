"""``Tagger``: what users import. Raw text or tokens in, sentences with tags and spans out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy, deepcopy
from dataclasses import replace
from pathlib import Path
from time import sleep
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tagger.bundle import Bundle, load_bundle
from tagger.decoding.temperature import HIGHEST, LOWEST
from tagger.errors import InputError
from tagger.features.vocab import Task
from tagger.included import find_model
from tagger.runtime.annotation import Annotations, Annotator, Request
from tagger.runtime.arguments import (
    MinScore,
    checked_sentences,
    describe,
    make_request,
    require_megabytes,
    require_number,
    require_settings,
    require_text,
    require_threads,
    sentences_of_tokens,
    with_room_for,
)
from tagger.runtime.cache import CacheStatistics, WordCache
from tagger.runtime.engine import Engine
from tagger.runtime.overlap import compute_ahead, usable_cores
from tagger.runtime.recurrence import choose_precision
from tagger.runtime.windows import Window, make_windows
from tagger.text.schemes import normalise_scheme
from tagger.text.sentence import Sentence
from tagger.text.tokenizer import Tokenizer

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

TextTokenizer = Callable[[str], Sequence[Sentence]]
WINDOW = 1024  # sentences that the network reads together; each thread may hold a window, and one is prepared
WINDOW_TOKENS = 16_384  # of a window, or it has a single longer sentence; this bounds what is held
BATCH_TOKENS = 4096
CACHE_MEGABYTES = 80  # with the English model and two threads the whole process stays below 256 MB
MOST_POINTERS = 1 << 26  # of one sentence's alternatives, of two bytes as a rule (see ``nbest``)


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
        cache_megabytes: Size of the word cache in MiB, exact with all its bookkeeping (see ``WordCache``): by
            default for 11,000 words of the English model, or 20,000 with 100 units a direction. In addition
            each thread that reads takes about 15 MB.

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
        cache_megabytes: int = CACHE_MEGABYTES,
    ) -> None:
        if not isinstance(bundle, Bundle):
            raise TypeError(
                f"bundle must be a Bundle (got {describe(bundle)}). Use Tagger.load for a folder."
            )
        require_settings(tokenizer, scheme, precision)
        self.bundle = bundle
        self.tokenizer: TextTokenizer = tokenizer or Tokenizer(**bundle.tokenizer).tokenize
        self.scheme = normalise_scheme(scheme)
        self.threads = usable_cores() if threads is None else require_threads(threads)
        self._cache_megabytes = require_megabytes(cache_megabytes)
        self.precision = choose_precision(precision, bundle.config.model.hidden_size)
        self._begin()

    def _begin(self) -> None:
        """Build everything that follows from the model and the settings."""
        self.engine = Engine(self.bundle, self.precision)
        self._cache = WordCache(self.engine, self.bundle.vocabulary, self._cache_megabytes << 20)
        self._annotators = self._make_annotators()

    def __getstate__(self) -> dict[str, Any]:
        """Return the model and the settings; a copy rebuilds the rest, with an empty word cache."""
        return {name: value for name, value in self.__dict__.items() if name not in _REBUILT}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Restore what ``__getstate__`` returned."""
        self.__dict__.update(state)
        self._begin()

    def __copy__(self) -> Self:
        """Return a tagger that shares everything with this one."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return an independent tagger that shares the bundle, which nothing changes and may be a file."""
        memo[id(self.bundle)] = self.bundle
        other = object.__new__(type(self))
        memo[id(self)] = other
        other.__setstate__(deepcopy(self.__getstate__(), memo))
        return other

    def _make_annotators(self) -> list[Annotator]:
        return [
            Annotator(
                task,
                self.engine.transitions[task.name],
                self.scheme,
                temperature=self.bundle.temperature(task.name),
            )
            for task in self.tasks
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
        cache_megabytes: int = CACHE_MEGABYTES,
    ) -> Tagger:
        """Load a model; the other arguments are those of the class.

        Args:
            path: The folder that ``tagger train`` wrote, or the name of a model in the package, as ``"en"``;
                a folder of that name comes first.
            tokenizer: See the class.
            scheme: See the class.
            threads: See the class.
            precision: See the class.
            cache_megabytes: See the class.

        Raises:
            InputError: The folder is missing or is no model of this version, or there is no such scheme.
        """
        require_settings(tokenizer, scheme, precision)
        threads = None if threads is None else require_threads(threads)
        cache_megabytes = require_megabytes(cache_megabytes)
        scheme, bundle = normalise_scheme(scheme), load_bundle(find_model(path))
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
    def labels(self) -> tuple[str, ...]:
        """The labels of spans in all tasks."""
        return tuple(dict.fromkeys(label for one in self._annotators for label in one.labels))

    def with_temperatures(self, temperatures: Mapping[str, float]) -> Tagger:
        """Return a tagger that shares all with this one but the temperatures of its probabilities.

        Args:
            temperatures: For each task what its scores are divided by (see ``Bundle``); 1 for a task that is
                not named, so that ``{}`` gives the model's probabilities as it was trained.
        """
        if not isinstance(temperatures, Mapping):
            raise TypeError(
                f"temperatures must be a mapping (got {describe(temperatures)}). Pass a number for each task."
            )
        choose_tasks(self, list(temperatures))
        for task, value in temperatures.items():
            name, hint = f"temperatures[{task!r}]", "Pass 1 for the model's own probabilities."
            require_number(value, name, least=LOWEST, most=HIGHEST, hint=hint)
        other = copy(self)
        other.bundle = replace(self.bundle, temperatures=dict(temperatures))
        other._annotators = other._make_annotators()
        return other

    @property
    def cache_statistics(self) -> CacheStatistics:
        """How many words are kept with what the network makes of them, and how often that served."""
        return self._cache.statistics

    def tag(
        self,
        text: str,
        *,
        n_best: int = 0,
        scores: bool = False,
        min_score: MinScore = 0.0,
        candidates: float = 0.0,
    ) -> list[Sentence]:
        """Tag raw text; offsets count characters of ``text``.

        Args:
            text: A document.
            n_best: How many alternatives each sentence gets, see ``tag_sentences``.
            scores: Whether each tag gets its probability, see ``tag_sentences``.
            min_score: The least score of a span that is given out, see ``tag_sentences``.
            candidates: The least probability of candidate spans, see ``tag_sentences``.

        Raises:
            TypeError: ``text`` is no string, another argument has a wrong type, or the tokenizer returns
                something other than sentences.
            InputError: A number is out of bounds, or ``min_score`` has an unknown label.
        """
        request = make_request(n_best, scores, min_score, candidates, self.labels)
        found = checked_sentences(self.tokenizer(require_text(text)), "tokenizer(text)")
        return list(self._tag(found, request))

    def tag_tokens(
        self,
        sentences: Iterable[Sequence[str]],
        *,
        n_best: int = 0,
        scores: bool = False,
        min_score: MinScore = 0.0,
        candidates: float = 0.0,
        is_document: bool = False,
    ) -> list[Sentence]:
        """Tag sentences of ready tokens, in order; offsets count characters of the tokens joined by spaces.

        Args:
            sentences: The tokens of each sentence.
            n_best: How many alternatives each sentence gets, see ``tag_sentences``.
            scores: Whether each tag gets its probability, see ``tag_sentences``.
            min_score: The least score of a span that is given out, see ``tag_sentences``.
            candidates: The least probability of candidate spans, see ``tag_sentences``.
            is_document: Whether they are one document, so that what a name is in one of them helps in the
                others; by default each stands alone, and no sentence depends on what else is in the list.

        Raises:
            TypeError: A sentence is no list of strings, or another argument has a wrong type.
            InputError: A sentence is a string instead of a list of tokens, a number is out of bounds, or
                ``min_score`` has an unknown label.
        """
        request = make_request(n_best, scores, min_score, candidates, self.labels)
        return list(self._tag(sentences_of_tokens(sentences, is_document=is_document), request))

    def tag_sentences(
        self,
        sentences: Iterable[Sentence],
        *,
        n_best: int = 0,
        scores: bool = False,
        min_score: MinScore = 0.0,
        candidates: float = 0.0,
    ) -> Iterator[Sentence]:
        """Tag a stream of sentences in order.

        The network reads windows of at most ``WINDOW`` sentences and ``WINDOW_TOKENS`` tokens (with
        alternatives ``WINDOW_TOKENS / n_best``, yet a whole batch), one a thread and one ahead: memory does
        not grow with the stream, only with its longest sentence (see ``Engine`` and ``nbest`` for how).
        What comes before an error in the stream is tagged and given out first. Alternatives that take
        ``nbest`` more than ``MOST_POINTERS`` back-pointers are refused: of 16 tags, a sentence of 100,000
        tokens can have 41 alternatives, and one of 4,000 tokens 1000 of them.

        All probabilities (of spans, tags and alternatives) are those of the model's scores divided by the
        task's temperature, if the model has one: it was fitted to its dev part, so that they mean what they
        say. Tags, and the order of alternatives, do not depend on it.

        Args:
            sentences: What to tag; what tags they carry is not looked at.
            n_best: Fills ``Sentence.alternatives`` with so many of the likeliest tag sequences of each task,
                or with all if there are fewer; the first is the sentence's own tags. Probabilities are those
                of the model's sequences: where the model's tags are not in the tagger's scheme and are not
                constrained to their own, or the scheme is IO, several of them may be written alike, and each
                stands for itself. At most ``arguments.MOST_ALTERNATIVES``.
            scores: Fills ``Sentence.tag_scores`` with the marginal probability of each token's tag under the
                model. Where the model's scheme is another than the tagger's, it is the probability of the
                model's own tag: that of ``S-PER`` where ``B-PER`` is written.
            min_score: Spans whose score is lower are left out, and their tokens tagged ``O``, with the
                probability of ``O`` if there are ``scores``. A mapping has a number for each label; labels
                that it lacks have none. Tags of tasks without spans and alternatives stay as they are.
            candidates: Fills ``Sentence.candidates`` with every span whose score is at least this, whether
                the tags have it or not: overlapping spans, and several labels for one place. A span's score
                is the probability that exactly this span with this label is in the tag sequence, for either
                head. ``min_score`` plays no part. At least ``arguments.LEAST_CANDIDATE``, 0 for none.

        Raises:
            TypeError: ``sentences`` is not iterable, an argument has a wrong type, or, once it comes to it,
                an item is no ``Sentence``.
            InputError: A number is out of bounds, ``min_score`` has an unknown label, or, once it comes to
                it, ``n_best`` is too large for a sentence.
        """
        request = make_request(n_best, scores, min_score, candidates, self.labels)
        return self._tag(checked_sentences(sentences, "sentences"), request)

    def _tag(self, sentences: Iterable[Sentence], request: Request) -> Iterator[Sentence]:
        if request.n_best:
            tag_count = max(len(task.tags) for task in self.tasks)
            sentences = with_room_for(sentences, request.n_best, MOST_POINTERS // tag_count)
        windows = make_windows(
            sentences,
            self._cache,
            self.bundle.vocabulary if self.engine.context else None,
            most_items=WINDOW,
            most_tokens=max(BATCH_TOKENS, WINDOW_TOKENS // max(1, request.n_best)),
        )
        return (
            tagged
            for window, emissions in compute_ahead(self._emissions, windows, self.threads)
            for tagged in self._annotate(window, emissions, request)
        )

    def _emissions(self, window: Window) -> dict[str, Floats]:
        words, additions = window.words, None
        if self.engine.context and window.mentions and len(window.mentions.places):
            additions = self.engine.context.additions(
                words.shown, words.tokens, window.lengths, window.mentions
            )
        emissions = self.engine.emissions(words.projected, words.tokens, window.lengths, additions)
        words.release()  # a window is held until its sentences are emitted
        return emissions

    def _annotate(self, window: Window, emissions: Mapping[str, Floats], request: Request) -> list[Sentence]:
        nothing: dict[str, tuple[()]] = {task.name: () for task in self.tasks}
        no_spans: dict[str, tuple[()]] = {task.name: () for task in self.tasks if task.scheme}
        empty = {
            "spans": no_spans,
            "tag_scores": nothing if request.has_scores else None,
            "alternatives": nothing if request.n_best else None,
            "candidates": no_spans if request.candidates else None,
        }
        tagged = list(window.sentences)
        if len(window.filled) < len(tagged):
            tagged = [one if one.tokens else one.with_tags(nothing, **empty) for one in tagged]
        sentences = [window.sentences[place] for place in window.filled]
        found = {
            annotator.task.name: annotator.annotate(
                emissions[annotator.task.name], window.lengths, sentences, request
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
        candidates={task: one.candidates[number] for task, one in found.items() if one.candidates},
    )


_REBUILT = ("engine", "_cache", "_annotators")  # what ``Tagger._begin`` makes


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
