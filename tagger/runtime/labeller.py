"""``Labeller``: engine, word cache and decoders of one model, which tag a stream of sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from time import sleep
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tagger.bundle import Bundle
from tagger.runtime.annotation import Annotator
from tagger.runtime.arguments import limit_alternatives
from tagger.runtime.cache import WordCache
from tagger.runtime.engine import Engine
from tagger.runtime.min_score import apply_min_score
from tagger.runtime.options import TagOptions
from tagger.runtime.overlap import compute_ahead
from tagger.runtime.recurrence import Precision
from tagger.runtime.windows import Window, make_windows
from tagger.text.sentence import Sentence

Floats = NDArray[np.float32]

WINDOW = 1024  # sentences per window; memory holds one window per thread and one in preparation
WINDOW_TOKENS = 16_384  # tokens per window, unless a single sentence is longer; bounds the memory
BATCH_TOKENS = 4096
MOST_POINTERS = 1 << 26  # back-pointers for one sentence's alternatives, usually of two bytes (see ``nbest``)


class Labeller:
    """Tag sentences with a model; thread-safe.

    Args:
        bundle: The model.
        scheme: Scheme of the tags of span tasks.
        precision: Precision of the recurrent weights: ``f32`` or ``int8``.
        cache_megabytes: Size of the word cache in MiB.

    Raises:
        InputError: The bundle's tensors do not match its config.
    """

    def __init__(self, bundle: Bundle, scheme: str, precision: Precision, cache_megabytes: int) -> None:
        self.bundle = bundle
        self.scheme = scheme
        self.engine = Engine(bundle, precision)
        self.cache = WordCache(self.engine.words, bundle.vocabulary, cache_megabytes << 20)
        self.annotators = self._make_annotators()

    def with_bundle(self, bundle: Bundle) -> Self:
        """Return a labeller with the temperatures of another bundle of the same model; it shares the rest."""
        other = copy(self)
        other.bundle = bundle
        other.annotators = other._make_annotators()
        return other

    def _make_annotators(self) -> list[Annotator]:
        return [
            Annotator(
                task,
                self.engine.transitions[task.name],
                self.scheme,
                temperature=self.bundle.temperature(task.name),
            )
            for task in self.bundle.vocabulary.tasks
        ]

    def label(self, sentences: Iterable[Sentence], options: TagOptions, threads: int) -> Iterator[Sentence]:
        """Tag a stream of valid sentences in order (see ``Tagger.tag_sentences``).

        Args:
            sentences: The sentences.
            options: Checked options.
            threads: Number of threads that run the network.
        """
        if options.n_best:
            tag_count = max(len(task.tags) for task in self.bundle.vocabulary.tasks)
            sentences = limit_alternatives(sentences, options.n_best, MOST_POINTERS // tag_count)
        windows = make_windows(
            sentences,
            self.cache,
            self.bundle.vocabulary if self.engine.words.context else None,
            max_items=WINDOW,
            max_tokens=max(BATCH_TOKENS, WINDOW_TOKENS // max(1, options.n_best)),
        )
        tagged = (
            sentence
            for window, emissions in compute_ahead(self._emissions, windows, threads)
            for sentence in self._annotate(window, emissions, options)
        )
        if not options.min_score:
            return tagged
        return (apply_min_score(sentence, options.min_score, scheme=self.scheme) for sentence in tagged)

    def _emissions(self, window: Window) -> dict[str, Floats]:
        emissions = self.engine.emissions(window)
        window.words.release()  # a window is held until its sentences are emitted
        return emissions

    def _annotate(
        self, window: Window, emissions: Mapping[str, Floats], options: TagOptions
    ) -> list[Sentence]:
        sentences = [window.sentences[index] for index in window.non_empty]
        # For each parameter of ``Sentence.with_tags``, the values of each task that has it.
        values: dict[str, dict[str, list[Any]]] = {}
        for annotator in self.annotators:
            task = annotator.task.name
            annotations = annotator.annotate(emissions[task], window.lengths, sentences, options)
            for name, task_values in annotations.items():
                values.setdefault(name, {})[task] = task_values
        tagged = list(window.sentences)
        if len(window.non_empty) < len(tagged):
            empty = {name: dict.fromkeys(tasks, ()) for name, tasks in values.items()}
            tagged = [one if one.tokens else one.with_tags(**empty) for one in tagged]
        for number, (index, sentence) in enumerate(zip(window.non_empty, sentences, strict=True)):
            tagged[index] = sentence.with_tags(
                **{name: {task: row[number] for task, row in tasks.items()} for name, tasks in values.items()}
            )
            if number % 64 == 63:
                sleep(0)  # hands the interpreter's lock to a waiting thread
        return tagged
