"""Prepare corpus files for training: vocabulary, vectors, tokenizer and encoded splits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tagger.bundle import Bundle
from tagger.bundle_schema import EncoderInfo
from tagger.config import Config
from tagger.corpus.loading import FileOptions, Split, find_tasks, load_split, untagged
from tagger.corpus.memory import Source
from tagger.corpus.reading import Reading
from tagger.corpus.tags import count_unseen, parse_schemes, reject_unseen, require_spans
from tagger.errors import InputError
from tagger.features.batching import WordTable
from tagger.features.vectors import Vectors, read_vectors
from tagger.features.vocab import Task, Vocabulary, build_vocabulary
from tagger.text.sentence import Sentence
from tagger.text.tokenizer import Tokenizer, learn_convention
from tagger.training.encoded_split import EncodedSplit, encode_split, with_recased
from tagger.training.encoder_states import StateCache, find_cache
from tagger.training.initial import (
    extend_vectors,
    extend_vocabulary,
    find_new_singletons,
    require_compatible,
)
from tagger.training.soft_targets import allow_other_labels, read_soft_tags, teach

MIN_COVERAGE = (
    0.01  # share of train's distinct words with a vector; below it the vectors file is likely wrong
)


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
        encoder: The contextual encoder, or None.
        teachers: The models whose posteriors are soft tags.
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
    encoder: EncoderInfo | None = None
    teachers: Sequence[Bundle] = ()


def prepare(
    config: Config,
    train: Sequence[Source],
    dev: Sequence[Source],
    vectors: Path | None,
    initial: Bundle | None = None,
    teachers: Sequence[Bundle] | None = None,
) -> Preparation:
    """Read the files, build vocabulary and tokenizer, and encode the splits.

    Args:
        config: All options.
        train: Corpus files of the train split, or data in memory.
        dev: As ``train``, for the dev split; empty for none.
        vectors: File of static word vectors, or None.
        initial: The model to start from, or None. The split may lack some of its tasks.
        teachers: Models whose posteriors replace the tags of all sentences of train whose tags have
            probabilities; with none of them, these probabilities do. None to ignore the probabilities.

    Raises:
        InputError: A file cannot be read or lacks what the config requests; or the initial model has other
            options.
    """
    _check_initial(config, initial)
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
        affix_min_words=config.model.affix_threshold,
        has_shapes=config.model.has_linear,
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
    encoder = find_cache(config, initial.encoder if initial else None)
    table = WordTable(vocabulary)
    encoded = encode_split(split, table, config, encoder, with_tags=True)
    if initial and config.train.partial:
        encoded = _with_latent_labels(encoded, initial)
    if teachers is not None:
        encoded = _with_teachers(encoded, teachers)
    encoded_dev = _encode_scored(config, dev_split, table, encoder) if dev_split else None
    return Preparation(
        vocabulary=vocabulary,
        unvectored_singletons=singletons,
        vectors=static,
        tokenizer=tokenizer,
        train=with_recased(encoded, encoder) if config.train.case_augmentation else encoded,
        dev=encoded_dev,
        notes=notes,
        summary=(*split.summary, *(dev_split.summary if dev_split else ()), *_kept_tasks(vocabulary, split)),
        initial=initial,
        encoder=encoder.info if encoder else None,
        teachers=tuple(teachers or ()),
    )


def _check_initial(config: Config, initial: Bundle | None) -> None:
    """Check the options that depend on the existence of an initial model."""
    if initial:
        require_compatible(config, initial)
    elif config.train.partial:
        raise InputError(
            "train.partial needs an initial model, which has the labels that train does not mark. Pass "
            "--init-from (init_from in Python), or leave it out.",
            code="option.conflict",
            option="train.partial",
        )
    elif not config.train.epochs:
        raise InputError(
            "train.epochs must be at least 1 (got 0). Only training from an existing model can have 0.",
            code="option.value",
            where="settings",
            option="train.epochs",
        )


def _with_latent_labels(split: EncodedSplit, initial: Bundle) -> EncodedSplit:
    """Let unmarked tokens have the labels of the initial model that the split does not mark."""
    tags, allowed = dict(split.tags), dict(split.allowed)
    tasks = split.table.vocabulary.tasks
    for task in tasks:
        if task.scheme and task.name in split.schemes:
            tags[task.name], allowed[task.name] = allow_other_labels(
                task, split.tags[task.name], split.allowed.get(task.name)
            )
    soft = teach([initial], split.sentences, tasks, allowed)
    return replace(split, tags=tags, allowed=allowed, soft=soft)


def _with_teachers(split: EncodedSplit, teachers: Sequence[Bundle]) -> EncodedSplit:
    """Add soft tags to the sentences whose tags have probabilities."""
    tasks = split.table.vocabulary.tasks
    is_taught = [bool(sentence.tag_scores) for sentence in split.sentences]
    if not any(is_taught):
        raise InputError(
            "no sentence has probabilities of its tags. Write predictions with `tagger tag --scores`, or "
            "pass teachers.",
            code="corpus.empty",
            option="teachers",
        )
    if teachers:
        taught = [one for one, is_one in zip(split.sentences, is_taught, strict=True) if is_one]
        posteriors = {name: iter(soft) for name, soft in teach(teachers, taught, tasks).items()}
        soft = {
            name: [next(values) if is_one else None for is_one in is_taught]
            for name, values in posteriors.items()
        }
    else:
        soft = {
            task.name: [read_soft_tags(one, task, split.schemes[task.name]) for one in split.sentences]
            for task in tasks
            if task.name in split.schemes
        }
    return replace(split, soft=soft)


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
    encoded = _encode_scored(config, split, preparation.train.table, find_cache(config, preparation.encoder))
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


def _encode_scored(
    config: Config, split: Split, table: WordTable, encoder: StateCache | None
) -> EncodedSplit:
    tasks = [task for task in table.vocabulary.tasks if task.name in split.schemes]
    unseen_tags = _check_unseen(config, split.sentences, tasks)
    return replace(encode_split(split, table, config, encoder, with_tags=False), unseen_tags=unseen_tags)


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
