"""Labelled data for the evaluation of a model, from files or from memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tagger.corpus.loading import FileOptions, find_tasks, load_split, name_files, untagged
from tagger.corpus.memory import Source, as_sources
from tagger.corpus.reading import Reading
from tagger.errors import ignore
from tagger.runtime.document_pipe import TextTokenizer
from tagger.runtime.sentence_tagger import SentenceTagger, choose_tasks
from tagger.text.sentence import Sentence


def read_gold_files(
    tagger: SentenceTagger,
    files: Sequence[Source],
    requested: Sequence[str],
    options: FileOptions,
    reading: Reading,
) -> tuple[list[Sentence], list[str], list[str]]:
    """Read the files of one split with the tasks of a model.

    Args:
        tagger: The model.
        files: Files with gold tags, or data in memory.
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
        data: A path, several paths, or data in memory (see ``corpus.memory.hold``).
        requested: The tasks to evaluate; by default those of the model that the data have.

    Raises:
        TypeError: The data have another type.
        InputError: See ``read_gold_files``.
    """
    settings = tagger.bundle.config.data
    reading = Reading(tokenize=tokenize, offsets=settings.offsets, label_names=settings.label_names)
    options = FileOptions(usual=settings.columns)
    sentences, tasks, _ = read_gold_files(tagger, as_sources(data, "data"), requested, options, reading)
    return sentences, tasks
