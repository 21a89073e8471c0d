"""Labelled data for the evaluation of a model, from files or from memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from tagger.corpus.loading import FileOptions, find_tasks, load_split, name_files, untagged
from tagger.corpus.reading import Reading
from tagger.errors import InputError, ignore
from tagger.runtime.arguments import checked_sentences
from tagger.runtime.document_pipe import TextTokenizer
from tagger.runtime.sentence_tagger import SentenceTagger, choose_tasks
from tagger.text.sentence import Sentence

_HINT = "Pass the path of a labelled file, or sentences with tags."


def read_gold_files(
    tagger: SentenceTagger,
    files: Sequence[str | Path],
    requested: Sequence[str],
    options: FileOptions,
    reading: Reading,
) -> tuple[list[Sentence], list[str], list[str]]:
    """Read the files of one split with the tasks of a model.

    Args:
        tagger: The model.
        files: Files with gold tags.
        requested: The tasks to evaluate; by default those of the model that the files have.
        options: The file options.
        reading: The reader options.

    Returns:
        The sentences, the tasks to evaluate, and a summary in lines. The summary names the model's tasks that
        the files lack.

    Raises:
        InputError: A file cannot be read, or the files lack a requested task or all tasks.
    """
    model_tasks = choose_tasks(tagger, requested)
    tasks, missing = find_tasks(files, model_tasks, options, replace(reading, warn=ignore))
    if missing and (requested or not tasks):
        raise next(iter(missing.values()))
    has_spans = {task.name: task.scheme is not None for task in tagger.tasks}
    split = load_split(files, tasks, options=options, reading=reading, has_spans=has_spans)
    without_tags = untagged(split)
    tasks = [task for task in tasks if task not in without_tags]
    if without_tags and (requested or not tasks):
        raise next(iter(without_tags.values()))
    skipped = [
        f"{name_files(files)}: no gold tags for the model's task {task!r}; it is not evaluated"
        for task in [*missing, *without_tags]
    ]
    return split.sentences, tasks, [*split.summary, *skipped]


def gold_data(
    tagger: SentenceTagger, tokenize: TextTokenizer, data: object, requested: Sequence[str]
) -> tuple[list[Sentence], list[str]]:
    """Return labelled sentences and the tasks to evaluate.

    Args:
        tagger: The model.
        tokenize: Splits running text in files without tokens.
        data: The path of a file, or an iterable of sentences.
        requested: The tasks to evaluate; by default those of the model that the data have.

    Raises:
        TypeError: The data are neither a path nor an iterable of sentences.
        InputError: See ``read_gold_files``; or there are no sentences.
    """
    if isinstance(data, str | os.PathLike):
        settings = tagger.bundle.config.data
        reading = Reading(tokenize=tokenize, offsets=settings.offsets, label_names=settings.label_names)
        options = FileOptions(usual=settings.columns)
        sentences, tasks, _ = read_gold_files(tagger, [os.fspath(data)], requested, options, reading)
        return sentences, tasks
    if not isinstance(data, Iterable) or isinstance(data, bytes | bytearray):
        raise TypeError(
            f"data must be a path or an iterable of Sentence objects (got {type(data).__name__}). {_HINT}"
        )
    sentences = list(checked_sentences(data, "data", hint=_HINT))
    if not sentences:
        raise InputError(
            "data must have at least one sentence (got none). Pass labelled sentences.",
            code="corpus.empty",
            option="data",
        )
    tasks = list(choose_tasks(tagger, requested))
    tagged = [task for task in tasks if all(task in sentence.tags for sentence in sentences)]
    return sentences, tasks if requested else tagged or tasks  # without tags, evaluation names the sentence
