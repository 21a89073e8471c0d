"""``Labeller``: engine, word cache and decoders of one model, which tag a stream of sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from time import sleep
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tagger.bundle import Bundle, load_bundle, read_header
from tagger.errors import InputError
from tagger.features.contextual import ContextualEncoder
from tagger.included import find_included, included_name
from tagger.runtime.annotation import Annotator
from tagger.runtime.arguments import limit_alternatives
from tagger.runtime.cache import WordCache
from tagger.runtime.engine import Engine
from tagger.runtime.min_score import apply_min_score
from tagger.runtime.options import TagOptions
from tagger.runtime.overlap import compute_ahead
from tagger.runtime.recurrence import Precision
from tagger.runtime.windows import Window, make_windows, number_documents
from tagger.text.sentence import Sentence

Floats = NDArray[np.float32]

WINDOW = 1024  # sentences per window; memory holds one window per thread and one in preparation
WINDOW_TOKENS = 16_384  # tokens per window, unless a single sentence is longer; bounds the memory
BATCH_TOKENS = 4096
RESTORED = 4  # models from pickles that a process keeps
MOST_POINTERS = 1 << 26  # back-pointers for one sentence's alternatives, usually of two bytes (see ``nbest``)


@dataclass(frozen=True, slots=True)
class ModelSource:
    """The folder of a loaded model, which a pickle holds in place of the weights.

    Attributes:
        folder: The absolute path.
        header: The content of config.json, which identifies the model.
    """

    folder: Path
    header: bytes

    @property
    def included_name(self) -> str | None:
        """The name of an included model; None for other folders."""
        return included_name(self.folder)

    @property
    def digest(self) -> str:
        """A digest of the model."""
        import hashlib  # imported late: only pickling needs it, and it loads OpenSSL

        return hashlib.sha256(self.header).hexdigest()


def find_source(folder: Path) -> ModelSource:
    """Return the source of the model in a folder."""
    return ModelSource(folder.resolve(), read_header(folder))


def open_encoder(bundle: Bundle) -> ContextualEncoder | None:
    """Open the contextual encoder of a model; None if it has none.

    Raises:
        InputError: There is no such encoder, or it is not the one that the model was trained with.
    """
    if bundle.encoder is None or bundle.config.model.encoder is None:
        return None
    return ContextualEncoder(Path(bundle.config.model.encoder), identity=bundle.encoder.identity)


class Labeller:
    """Tag sentences with a model; thread-safe.

    The pickle of a model from a folder holds the path; a process loads the model once for all such pickles.

    Args:
        bundle: The model.
        scheme: Scheme of the tags of span tasks.
        precision: Precision of the recurrent weights: ``f32`` or ``int8``.
        cache_megabytes: Size of the word cache in MiB.
        source: The folder of the model; None if it was built in memory.

    Raises:
        InputError: The bundle's tensors do not match its config.
    """

    def __init__(
        self,
        bundle: Bundle,
        scheme: str,
        precision: Precision,
        cache_megabytes: int,
        *,
        source: ModelSource | None = None,
    ) -> None:
        self.bundle = bundle
        self.scheme = scheme
        self.precision = precision
        self.cache_megabytes = cache_megabytes
        self.source = source
        self.engine = Engine(bundle, precision, open_encoder(bundle))
        self.cache = WordCache(self.engine.words, bundle.vocabulary, cache_megabytes << 20)
        self.annotators = self._make_annotators()

    def with_bundle(self, bundle: Bundle) -> Self:
        """Return a labeller with the temperatures of another bundle of the same model; it shares the rest."""
        return self._copy(bundle=bundle)

    def with_scheme(self, scheme: str) -> Self:
        """Return a labeller whose tags have another scheme; it shares the rest."""
        return self._copy(scheme=scheme)

    def _copy(self, **changes: Any) -> Self:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, **changes)
        other.annotators = other._make_annotators()
        return other

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what pickle needs: the path and digest of a loaded model, or the content of another one."""
        settings = (self.scheme, self.precision, self.cache_megabytes)
        if self.source is None:
            return Labeller, (self.bundle, *settings)
        included = self.source.included_name
        path = included or str(self.source.folder)
        temperatures = dict(self.bundle.temperatures)
        return restore_labeller, (path, included is not None, self.source.digest, temperatures, *settings)

    def __deepcopy__(self, memo: dict[int, Any]) -> Labeller:
        """Return an independent labeller that shares the immutable bundle, which may be memory-mapped."""
        return Labeller(self.bundle, self.scheme, self.precision, self.cache_megabytes, source=self.source)

    @property
    def name(self) -> str:
        """The name of an included model, the path of another one, or "memory"."""
        if self.source is None:
            return "memory"
        return self.source.included_name or str(self.source.folder)

    def describe(self) -> str:
        """Return the model's name, its tasks with their labels or number of tags, and the scheme."""
        tasks = [
            f"{one.task.name} ({', '.join(sorted(one.labels)) or f'{len(one.task.tags)} tags'})"
            for one in self.annotators
        ]
        return f"{self.name}: {', '.join(tasks)}; {self.scheme}"

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

        The network reads windows of at most ``WINDOW`` sentences and ``WINDOW_TOKENS`` tokens (with
        alternatives ``WINDOW_TOKENS / n_best``, but at least a batch). Each thread holds one window, and one
        more is prepared. Memory does not grow with the stream, only with its longest sentence (see ``Engine``
        and ``nbest``). A sentence whose alternatives need more than ``MOST_POINTERS`` back-pointers is an
        error. Tags and the order of alternatives do not depend on temperatures.

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
        documents = None
        if self.bundle.config.model.has_consistent_labels:
            documents = number_documents(window.sentences)[window.non_empty]
        # For each parameter of ``Sentence.with_tags``, the values of each task that has it.
        values: dict[str, dict[str, list[Any]]] = {}
        for annotator in self.annotators:
            task = annotator.task.name
            annotations = annotator.annotate(emissions[task], window.lengths, sentences, options, documents)
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


def restore_labeller(
    path: str,
    is_included: bool,
    digest: str,
    temperatures: dict[str, float],
    scheme: str,
    precision: Precision,
    cache_megabytes: int,
) -> Labeller:
    """Return the labeller of a pickle; labellers of the same model share engine and word cache.

    Args:
        path: The model's folder, or the name of an included model.
        is_included: True if the path is the name of an included model.
        digest: The digest of the pickled model.
        temperatures: The temperatures of the pickled model.
        scheme: See ``Labeller``.
        precision: See ``Labeller``.
        cache_megabytes: See ``Labeller``.

    Raises:
        InputError: The model cannot be loaded, or it has changed.
    """
    folder = find_included(path) if is_included else Path(path)
    labeller = _load_once(folder, digest, scheme, precision, cache_megabytes)
    if temperatures == labeller.bundle.temperatures:
        return labeller
    return labeller.with_bundle(replace(labeller.bundle, temperatures=temperatures))


@lru_cache(maxsize=RESTORED)
def _load_once(
    folder: Path, digest: str, scheme: str, precision: Precision, cache_megabytes: int
) -> Labeller:
    bundle, source = load_bundle(folder), find_source(folder)
    if source.digest != digest:
        raise InputError(
            "the model must be the one that was pickled (got another config.json). Restore it, or pickle the "
            "tagger again.",
            code="bundle.damaged",
            where=folder,
        )
    return Labeller(bundle, scheme, precision, cache_megabytes, source=source)
