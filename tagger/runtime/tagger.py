"""``Tagger``: the public tagging API, from raw text or tokens to sentences with tags and spans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path

from tagger.bundle import Bundle, load_bundle, save_bundle
from tagger.errors import InputError
from tagger.evaluation.model_scores import ModelScores
from tagger.features.vocab import Task
from tagger.included import find_model
from tagger.runtime.arguments import (
    check_options,
    checked_sentences,
    describe,
    require_integer,
    require_iterable,
    require_megabytes,
    require_names,
    require_path,
    require_settings,
    require_temperatures,
    require_threads,
    sentences_of_tokens,
)
from tagger.runtime.cache import CacheStatistics
from tagger.runtime.document_pipe import BATCH_SIZE, TextTokenizer, tag_documents, tokenize
from tagger.runtime.engine import Engine
from tagger.runtime.entity_pipeline import EntityPipeline
from tagger.runtime.labeller import Labeller, find_source
from tagger.runtime.min_score import MinScore
from tagger.runtime.options import TagOptions
from tagger.runtime.overlap import usable_cores
from tagger.runtime.recurrence import choose_precision
from tagger.runtime.sentence_tagger import choose_tasks
from tagger.runtime.tables import Frame, tag_table
from tagger.text.markup import escape
from tagger.text.schemes import normalise_scheme
from tagger.text.sentence import Sentence
from tagger.text.tokenizer import Tokenizer

CACHE_MEGABYTES = 80  # with the English model and two threads, the process stays below 256 MB


class Tagger:
    """Tag text with a trained model; thread-safe.

    Args:
        bundle: The model.
        tokenizer: Function that splits a raw text into sentences. By default, the tokenizer that the model
            learnt from its train split. The offsets of its sentences must refer to the text.
        scheme: Scheme of the tags of span tasks: one of ``text.schemes.SCHEMES``.
        threads: Number of threads that run the network, in addition to the calling thread. By default, the
            number of usable cores. With 1, the calling thread does everything.
        precision: Precision of the encoder's recurrent weights: ``f32``, ``int8`` (faster on most processors;
            changes the second digit of scores), or ``auto`` for the faster one in a short trial.
        cache_megabytes: Size of the word cache in MiB, bookkeeping included. The default holds 11,000 words
            of the English model, or 20,000 of a model with 100 units per direction. Each thread needs about
            15 MB more.

    Raises:
        TypeError: An argument has a wrong type.
        InputError: An argument is invalid, or the bundle's tensors do not match its config.
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
        self.tokenizer: TextTokenizer = tokenizer or Tokenizer(**bundle.tokenizer).tokenize
        self.threads = usable_cores() if threads is None else require_threads(threads)
        megabytes = require_megabytes(cache_megabytes)
        recurrent = choose_precision(precision, bundle.config.model.hidden_size)
        self._labeller = Labeller(bundle, normalise_scheme(scheme), recurrent, megabytes)

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
        """Load a model from a folder, an included model by name, or a model of the Hugging Face hub.

        Args:
            path: A folder, which takes precedence; ``"en"`` for the English model; or a model on the
                hub, ``"user/name"`` or ``"user/name@revision"``, downloaded unless it was pulled before.
            tokenizer: See the class.
            scheme: See the class.
            threads: See the class.
            precision: See the class.
            cache_megabytes: See the class.

        Raises:
            TypeError: An argument has a wrong type.
            InputError: The folder holds no model that this version reads, or see the class.
        """
        folder = find_model(path)
        bundle = load_bundle(folder)
        try:
            tagger = cls(
                bundle,
                tokenizer=tokenizer,
                scheme=scheme,
                threads=threads,
                precision=precision,
                cache_megabytes=cache_megabytes,
            )
        except InputError as error:
            if error.code == "bundle.damaged":  # it names the tensor but not the model's path
                raise InputError(str(error), code=error.code, where=path) from None
            raise
        tagger._labeller.source = find_source(folder)
        return tagger

    def save(self, folder: str | Path) -> None:
        """Save the model to a folder that ``load`` reads; an interruption leaves the old or the new model.

        Args:
            folder: The folder, which is created if needed. A model in it is replaced.

        Raises:
            TypeError: ``folder`` is neither a string nor a path.
            InputError: The folder cannot be written.
        """
        save_bundle(self.bundle, require_path(folder, "folder"))

    def __repr__(self) -> str:
        return f"<Tagger {self._labeller.describe()}>"

    def _repr_html_(self) -> str:
        return f"<b>Tagger</b> {escape(self._labeller.describe())}"

    @property
    def bundle(self) -> Bundle:
        """The model."""
        return self._labeller.bundle

    @property
    def scheme(self) -> str:
        """The scheme of the tags of span tasks."""
        return self._labeller.scheme

    @property
    def precision(self) -> str:
        """The precision of the recurrent weights."""
        return self._labeller.precision

    @property
    def engine(self) -> Engine:
        """The network."""
        return self._labeller.engine

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The model's tasks."""
        return self.bundle.vocabulary.tasks

    @property
    def labels(self) -> tuple[str, ...]:
        """The span labels of all tasks."""
        return tuple(dict.fromkeys(label for one in self._labeller.annotators for label in one.labels))

    def with_temperatures(self, temperatures: Mapping[str, float]) -> Tagger:
        """Return a tagger with other temperatures, which shares everything else with this one.

        Args:
            temperatures: Those of tasks, by default 1: ``{}`` turns calibration off.

        Raises:
            TypeError: ``temperatures`` is not a mapping from tasks to numbers.
            InputError: A task is unknown, or a temperature is out of bounds.
        """
        require_temperatures(temperatures)
        choose_tasks(self, list(temperatures))
        other = copy(self)
        other._labeller = self._labeller.with_bundle(replace(self.bundle, temperatures=dict(temperatures)))
        return other

    def with_scheme(self, scheme: str) -> Tagger:
        """Return a tagger with another scheme (see the class), which shares everything else with this one."""
        other = copy(self)
        other._labeller = self._labeller.with_scheme(normalise_scheme(scheme))
        return other

    @property
    def cache_statistics(self) -> CacheStatistics:
        """The size and the hit counts of the word cache."""
        return self._labeller.cache.statistics

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
            n_best: Number of alternatives per sentence, see ``tag_sentences``.
            scores: True to return the probability of each tag, see ``tag_sentences``.
            min_score: Score threshold of the returned spans, see ``tag_sentences``.
            candidates: Probability threshold of candidate spans, see ``tag_sentences``.

        Raises:
            TypeError: An argument has a wrong type, or the tokenizer returns something other than sentences.
            InputError: A number is out of bounds, or ``min_score`` has an unknown label.
        """
        options = self._options(n_best, scores, min_score, candidates)
        return list(self._tag(tokenize(self.tokenizer, text, "text"), options))

    def pipe(
        self,
        texts: Iterable[str],
        *,
        batch_size: int = BATCH_SIZE,
        n_best: int = 0,
        scores: bool = False,
        min_score: MinScore = 0.0,
        candidates: float = 0.0,
    ) -> Iterator[list[Sentence]]:
        """Tag many raw texts, each as a document of its own; faster than ``tag`` for short texts.

        The result equals that of ``tag``. Texts are read lazily, at most ``batch_size`` before the first of
        them is yielded, so that an endless iterator works; memory is bounded as in ``tag_sentences``. Texts
        before an error of the iterator, or before an item that is not a string, are tagged and yielded first.

        Args:
            texts: The documents.
            batch_size: Maximum number of texts to read ahead and tag together. Pass a small number if texts
                arrive slowly; 1 yields each text before the next one is read.
            n_best: Number of alternatives per sentence, see ``tag_sentences``.
            scores: True to return the probability of each tag, see ``tag_sentences``.
            min_score: Score threshold of the returned spans, see ``tag_sentences``.
            candidates: Probability threshold of candidate spans, see ``tag_sentences``.

        Returns:
            An iterator of the sentences of each text, in order; a text without tokens has none.

        Raises:
            TypeError: An argument has a wrong type, or, during iteration, an item is not a string.
            InputError: As for ``tag_sentences``.
        """
        options = self._options(n_best, scores, min_score, candidates)
        require_iterable(texts, "texts", "an iterable of strings", "Pass one text to Tagger.tag.")
        size = require_integer(batch_size, "batch_size", least=1, hint="Omit it to use the default.")
        return tag_documents(texts, self.tokenizer, lambda stream: self._tag(stream, options), size)

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
        """Tag tokenized sentences, in order; offsets count characters of the tokens joined by spaces.

        Args:
            sentences: The tokens of each sentence.
            n_best: Number of alternatives per sentence, see ``tag_sentences``.
            scores: True to return the probability of each tag, see ``tag_sentences``.
            min_score: Score threshold of the returned spans, see ``tag_sentences``.
            candidates: Probability threshold of candidate spans, see ``tag_sentences``.
            is_document: True if the sentences form one document, so that models with document context use
                it. By default, each sentence is tagged independently.

        Raises:
            TypeError: A sentence is not a list of strings, or another argument has a wrong type.
            InputError: A number is out of bounds, or ``min_score`` has an unknown label.
        """
        options = self._options(n_best, scores, min_score, candidates)
        return list(self._tag(sentences_of_tokens(sentences, is_document=is_document), options))

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

        Memory does not grow with the stream, only with its longest sentence. If the stream raises an error,
        the sentences before it are tagged and yielded first. With 16 tags, a sentence of 100,000 tokens can
        have 41 alternatives, and one of 4,000 tokens 1000; more are an error. Probabilities are computed from
        scores divided by the task's temperature, which training fits on the dev split to calibrate them.

        Args:
            sentences: Sentences to tag; tags that they already have are ignored.
            n_best: Number of most probable tag sequences per task to store in ``Sentence.alternatives``, or
                all if there are fewer; the first is the sentence's own tags, without ``consistent_labels``.
                Sequences of the model that are equal in the tagger's scheme (if it is IO, or if decoding is
                not constrained) remain separate alternatives. At most ``arguments.MOST_ALTERNATIVES``.
            scores: True to store the marginal probability of each token's tag in ``Sentence.tag_scores``. If
                the tagger's scheme differs from the model's, it is the probability of the model's own tag:
                that of ``S-PER`` for the converted tag ``B-PER``.
            min_score: Score threshold: spans with a lower score are dropped, and their tokens tagged ``O``,
                with the probability of ``O`` if ``scores`` is true. A mapping gives a threshold per label;
                other labels have none. Tasks without spans and alternatives are unaffected.
            candidates: Score threshold of the spans in ``Sentence.candidates``, which also lists spans that
                are not in the tags: overlapping spans, and several labels for the same tokens. A span's score
                is the probability that the tag sequence contains exactly this span with this label,
                whether the head is a CRF or softmax. Independent of ``min_score``. At least
                ``arguments.LEAST_CANDIDATE``; 0 for none.

        Raises:
            TypeError: ``sentences`` is not iterable, an argument has a wrong type, or, during iteration, an
                item is not a ``Sentence``.
            InputError: A number is out of bounds, ``min_score`` has an unknown label, or, during iteration,
                ``n_best`` is too large for a sentence.
        """
        options = self._options(n_best, scores, min_score, candidates)
        return self._tag(checked_sentences(sentences, "sentences"), options)

    def annotate(self, sentences: Iterable[Sentence], options: TagOptions) -> Iterator[Sentence]:
        """Tag a stream of sentences: ``tag_sentences`` with its options in a record.

        The options of model, input and output are not used. Raises the errors of ``tag_sentences``.
        """
        return self._tag(checked_sentences(sentences, "sentences"), check_options(options, self.labels))

    def evaluate(
        self,
        data: object,
        *,
        task: str | Sequence[str] | None = None,
        min_score: MinScore = 0.0,
    ) -> ModelScores:
        """Score the model on labelled data, as ``tagger evaluate`` does.

        seqeval scores spans. ``runtime.model_evaluation.evaluate`` also returns errors and calibration.

        Args:
            data: The path of a labelled file, or data in memory (see ``corpus.memory.hold``).
            task: The tasks to evaluate; by default those of the model that the data have.
            min_score: Score threshold of the predicted spans, see ``tag_sentences``.

        Raises:
            TypeError: An argument has a wrong type.
            InputError: The file cannot be read, there are no sentences, the model or the data lack a task, a
                tag is outside its scheme, seqeval is missing, or ``min_score`` is invalid.
        """
        # Imported late: they load the corpus formats.
        from tagger.runtime.gold_data import gold_data
        from tagger.runtime.model_evaluation import evaluate

        requested = require_names(task, "task")
        sentences, tasks = gold_data(self, self.tokenizer, data, requested)
        evaluation = evaluate(self, sentences, tasks=tasks, min_score=min_score)
        return ModelScores.from_metrics(evaluation.scores)

    def tag_table(
        self,
        frame: Frame,
        text: str,
        *,
        column: str = "spans",
        task: str | None = None,
        min_score: MinScore = 0.0,
    ) -> Frame:
        """Return a pandas, polars or pyarrow table with a new column of spans; see ``tables.tag_table``."""
        return tag_table(self, frame, text, column=column, task=task, min_score=min_score)

    def as_pipeline(self, *, task: str | None = None, min_score: MinScore = 0.0) -> EntityPipeline:
        """Return a function like Hugging Face's token-classification pipeline; see ``EntityPipeline``."""
        return EntityPipeline(self, task, min_score)

    def _options(self, n_best: int, scores: bool, min_score: MinScore, candidates: float) -> TagOptions:
        options = TagOptions(n_best=n_best, has_scores=scores, min_score=min_score, candidates=candidates)
        return check_options(options, self.labels)

    def _tag(self, sentences: Iterable[Sentence], options: TagOptions) -> Iterator[Sentence]:
        return self._labeller.label(sentences, options, self.threads)
