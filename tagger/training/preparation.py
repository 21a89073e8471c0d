"""Prepare corpus files for training: vocabulary, vectors, tokenizer and encoded splits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tagger.bundle import Bundle
from tagger.config import Config
from tagger.corpus.loading import FileOptions, Split, find_tasks, load_split, untagged
from tagger.corpus.memory import Source
from tagger.corpus.reading import Reading
from tagger.corpus.tags import count_unseen, parse_schemes, reject_unseen, require_spans
from tagger.errors import InputError
from tagger.features.batching import Batch, Ints, WordTable
from tagger.features.context_index import ContextIndex, index_context
from tagger.features.vectors import Vectors, read_vectors
from tagger.features.vocab import Task, Vocabulary, build_vocabulary
from tagger.text.casing import RECASINGS, recase
from tagger.text.sentence import Sentence
from tagger.text.tokenizer import Tokenizer, learn_convention
from tagger.training.initial import (
    extend_vectors,
    extend_vocabulary,
    find_new_singletons,
    require_compatible,
)

MIN_COVERAGE = (
    0.01  # share of train's distinct words with a vector; below it the vectors file is likely wrong
)


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
        recased: For each of ``RECASINGS`` the ids of each sentence's tokens in that casing; empty unless this
            is the train split and ``train.case_augmentation`` is set.
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
    recased: Sequence[Sequence[Ints]] = ()
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
        batch = self.table.batch(rows, tags)
        if self.context_index is None:
            return batch
        # The index has all original sentences first, then all sentences in each other casing.
        versions = [
            index + (casing + 1) * len(self.rows) for index, casing in zip(indices, casings, strict=True)
        ]
        return replace(batch, context=self.context_index.batch(versions))


@dataclass(frozen=True)
class Preparation:
    """Everything that training needs from the files.

    Attributes:
        vocabulary: Vocabulary of train, plus the words of the vectors file.
        unvectored_singletons: Ids of words that occur once in train and have no vector.
        vectors: Static word vectors, or None.
        tokenizer: Tokenizer that follows the convention of train.
        train: The train split.
        dev: The dev split, which selects the best epoch, or None.
        notes: Warnings: what the readers changed or skipped, one line each (see
            ``corpus.reading.Reading.warn``).
        summary: One line per corpus file: its format, columns, schemes and labels.
        initial: The model that training starts from, or None.
    """

    vocabulary: Vocabulary
    unvectored_singletons: frozenset[int]
    vectors: Vectors | None
    tokenizer: Tokenizer
    train: EncodedSplit
    dev: EncodedSplit | None
    notes: Sequence[str] = ()
    summary: Sequence[str] = ()
    initial: Bundle | None = None


def prepare(
    config: Config,
    train: Sequence[Source],
    dev: Sequence[Source],
    vectors: Path | None,
    initial: Bundle | None = None,
) -> Preparation:
    """Read the files, build vocabulary and tokenizer, and encode the splits.

    Args:
        config: All options.
        train: Corpus files of the train split, or data in memory.
        dev: As ``train``, for the dev split; empty for none.
        vectors: File of static word vectors, or None.
        initial: The model to start from, or None. The split may lack some of its tasks.

    Raises:
        InputError: A file cannot be read or lacks what the config requests; or the initial model has other
            options.
    """
    if initial:
        require_compatible(config, initial)
    elif not config.train.epochs:
        raise InputError(
            "train.epochs must be at least 1 (got 0). Only training from an existing model can have 0.",
            code="option.value",
            where="settings",
            option="train.epochs",
        )
    notes: list[str] = []
    reading = _make_reading(config, notes)
    tasks = _choose_tasks(config, train, reading, initial)
    split = _load(config, train, reading, tasks)
    sentences = split.sentences
    vocabulary, singletons = build_vocabulary(
        sentences,
        split.schemes,
        scheme=config.model.scheme,
        lowercase=config.model.lowercase,
        fold_digits=config.model.fold_digits,
    )
    if initial:
        new_singletons = [vocabulary.words[word_id] for word_id in singletons]
        vocabulary = extend_vocabulary(initial.vocabulary, vocabulary)
        singletons = find_new_singletons(new_singletons, initial.vocabulary, vocabulary)
    learned = initial.tokenizer if initial else learn_convention(sentences).settings()
    tokenizer = Tokenizer(**{**learned, **config.data.tokenizer})
    # Load dev before the vectors, which take longer to read: errors in dev show early.
    dev_split = _load(config, dev, reading, tasks, vocabulary.tasks) if dev else None
    static = None
    if vectors:
        words = vocabulary.word_ids
        static = read_vectors(
            vectors, words, limit=config.model.vectors_limit, normalise=vocabulary.normalise
        )
        if warning := coverage_warning(vectors, static, len(words)):
            notes.append(warning)
    if initial:
        static = extend_vectors(initial, vocabulary, static)
    if static:
        vocabulary = vocabulary.with_frozen_words(static.frozen_words)
        singletons = frozenset(
            word_id for word_id in singletons if vocabulary.words[word_id] not in static.trainable
        )
    table = WordTable(vocabulary)
    encoded = _encode(split, table, config, with_tags=True)
    encoded_dev = _encode_scored(config, dev_split, table) if dev_split else None
    return Preparation(
        vocabulary=vocabulary,
        unvectored_singletons=singletons,
        vectors=static,
        tokenizer=tokenizer,
        train=_with_recased(encoded) if config.train.case_augmentation else encoded,
        dev=encoded_dev,
        notes=notes,
        summary=(*split.summary, *(dev_split.summary if dev_split else ()), *_kept_tasks(vocabulary, split)),
        initial=initial,
    )


def coverage_warning(path: Path, vectors: Vectors, words: int) -> str | None:
    """Return a warning if a vectors file covers almost none of train's distinct words, else None.

    Args:
        path: The vectors file.
        vectors: Its vectors.
        words: Number of distinct words in train.
    """
    covered = len(vectors.trainable)
    if covered and covered >= MIN_COVERAGE * words:
        return None
    return (
        f"{path}: WARNING: only {covered:,} of train's {words:,} distinct words have a vector (got "
        f"{covered / max(1, words):.1%}). Check the file's language, casing and format, or omit --vectors."
    )


def read_split(config: Config, paths: Sequence[Source], preparation: Preparation) -> EncodedSplit:
    """Read and encode another split for evaluation, such as test.

    Args:
        config: The options of the preparation.
        paths: Corpus files of the split.
        preparation: Supplies words and tags of train; its word table gains the words of the split.

    Raises:
        InputError: A file cannot be read or lacks what the config requests.
    """
    notes: list[str] = []
    tasks = list(preparation.train.schemes)
    split = _load(config, paths, _make_reading(config, notes), tasks, preparation.vocabulary.tasks)
    encoded = _encode_scored(config, split, preparation.train.table)
    return replace(encoded, summary=split.summary, notes=notes)


def load_train(config: Config, paths: Sequence[Source], notes: list[str]) -> Split:
    """Read and check files as ``prepare`` does with the train split.

    Args:
        config: All options.
        paths: The files.
        notes: Receives the warnings of the readers.

    Raises:
        InputError: A file cannot be read or lacks what the config requests.
    """
    return _load(config, paths, _make_reading(config, notes), config.data.tasks)


def _make_reading(config: Config, notes: list[str]) -> Reading:
    """Build the reading options; the tokenizer for running text has the options of ``data.tokenizer``."""
    defaults = Tokenizer().settings()
    overrides = config.data.tokenizer
    for name, value in overrides.items():
        if name not in defaults or type(value) is not type(defaults[name]):
            options = ", ".join(f"{key} = {json.dumps(setting)}" for key, setting in defaults.items())
            raise InputError(
                f"{name} is not an option or has a wrong type (got {value!r}). The options are {options}.",
                code="option.type" if name in defaults else "option.unknown",
                where="data.tokenizer",
                option="data.tokenizer",
            )
    return Reading(
        tokenize=Tokenizer(**overrides).tokenize,  # type: ignore[arg-type]
        on_misaligned=config.data.on_misaligned,
        offsets=config.data.offsets,
        label_names=config.data.label_names,
        warn=notes.append,
    )


def _choose_tasks(
    config: Config, train: Sequence[Source], reading: Reading, initial: Bundle | None
) -> list[str]:
    """Return the tasks to learn: all of the config, but of an initial model only those that train has."""
    tasks = list(config.data.tasks)
    if initial is None:
        return tasks
    old = initial.config.data.tasks
    has, missing = find_tasks(train, tasks, _file_options(config), reading)
    for task, error in missing.items():
        if task not in old or not has:
            raise error
    return has


def _encode_scored(config: Config, split: Split, table: WordTable) -> EncodedSplit:
    tasks = [task for task in table.vocabulary.tasks if task.name in split.schemes]
    unseen_tags = _check_unseen(config, split.sentences, tasks)
    return replace(_encode(split, table, config, with_tags=False), unseen_tags=unseen_tags)


def _kept_tasks(vocabulary: Vocabulary, train: Split) -> Iterator[str]:
    for task in vocabulary.tasks:
        if task.name not in train.schemes:
            yield f"{task.name}: no tags in the train split; those of the initial model are kept"


def _file_options(config: Config) -> FileOptions:
    data = config.data
    return FileOptions(
        columns=data.columns,
        format=data.format,
        schemes=parse_schemes(data.scheme),
        broken_tags=data.broken_tags,
    )


def _load(
    config: Config,
    paths: Sequence[Source],
    reading: Reading,
    tasks: Sequence[str],
    known: Sequence[Task] = (),
) -> Split:
    """Load a split and check that every task has tags, and every span task a span.

    ``known`` are the tasks of train; empty while train itself is loaded.
    """
    split = load_split(
        paths,
        tasks,
        options=_file_options(config),
        reading=reading,
        has_spans={task.name: task.scheme is not None for task in known},
    )
    for error in untagged(split).values():
        raise error
    for task, scheme in split.schemes.items():
        if scheme:
            require_spans(split.sentences, task)
    return split


def _check_unseen(config: Config, sentences: Sequence[Sentence], tasks: Sequence[Task]) -> dict[str, int]:
    """Count tags that train lacks, by task; raise an error if ``data.unseen_tags`` is error."""
    counts = {}
    for task in tasks:
        has_spans = task.scheme is not None
        unseen = count_unseen(sentences, task.name, task.tags, has_spans=has_spans)
        if config.data.unseen_tags == "error":
            reject_unseen(sentences, task.name, unseen, has_spans=has_spans)
        counts[task.name] = sum(unseen.values())
    return counts


def _encode(split: Split, table: WordTable, config: Config, *, with_tags: bool) -> EncodedSplit:
    sentences, schemes = split.sentences, split.schemes
    tags: dict[str, list[Ints]] = {}
    if with_tags:
        for task in table.vocabulary.tasks:
            source = schemes.get(task.name)
            tags[task.name] = [
                np.array(task.encode(sentence.tags[task.name], source))
                if task.name in schemes
                else np.full(len(sentence), -1)  # a task of the initial model that train lacks
                for sentence in sentences
            ]
    rows = [table.rows(sentence.tokens) for sentence in sentences]
    context_index = None
    if config.model.has_document_context:
        recasings = RECASINGS if with_tags and config.train.case_augmentation else ()
        context_index = index_context(sentences, table.vocabulary, recasings)
    return EncodedSplit(sentences, rows, tags, schemes, table, split.repairs, {}, context_index)


def _with_recased(split: EncodedSplit) -> EncodedSplit:
    """Add the encoded sentences in every other casing, for case augmentation."""
    recased = [[split.table.rows(recase(one, casing)) for one in split.sentences] for casing in RECASINGS]
    return replace(split, recased=recased)
