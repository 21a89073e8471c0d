"""Load a split: detect and read its files, determine their tag schemes, and summarise the decisions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tagger.corpus.detection import Detected, detect
from tagger.corpus.files import FORMATS, find_format
from tagger.corpus.memory import MemoryCorpus, Source
from tagger.corpus.reading import Reading, Writing
from tagger.corpus.tags import (
    TagReading,
    count_repairs,
    find_scheme,
    find_tag_reading,
    parse_schemes,
    path_of,
)
from tagger.errors import InputError, escape_line
from tagger.storage import new_folder, open_text, replace_file
from tagger.text.scheme_detection import SchemeEvidence
from tagger.text.schemes import Mode, convert_tags, split_tag
from tagger.text.sentence import UNKNOWN_TAG, UNSPECIFIED, Sentence

MOST_LABELS = 20  # maximum number of labels in a summary line


@dataclass(frozen=True, slots=True)
class FileOptions:
    """Options for reading the files of a split. By default they are detected from the files.

    Attributes:
        columns: Names of the columns (see ``corpus.columns.parse_columns``).
        format: A key of ``corpus.files.FORMATS``.
        schemes: The result of ``corpus.tags.parse_schemes``.
        usual: Default column names, used if a file does not show which columns hold the tasks and has as many
            columns.
        broken_tags: ``repair`` reads tags that violate their scheme as conlleval does, ``strict`` raises.
    """

    columns: str | None = None
    format: str | None = None
    schemes: Mapping[str, str] = field(default_factory=dict)
    usual: str | None = None
    broken_tags: Mode = "repair"


@dataclass(frozen=True, slots=True)
class Split:
    """The sentences of one split.

    Attributes:
        sentences: The sentences of all files, in order.
        schemes: The tag scheme of each task, None for one tag per token.
        repairs: For each span task, the number of tags that violate its scheme.
        unspecified: For each task without spans, the number of tokens without a tag (``_``).
        summary: One line per file: its format, columns, schemes and labels.
        unknown: For each task, the number of tokens with the unknown tag (``?``). In a task without spans,
            the sentences have ``_`` instead.
    """

    sentences: list[Sentence]
    schemes: dict[str, str | None]
    repairs: dict[str, int]
    unspecified: dict[str, int]
    summary: tuple[str, ...]
    unknown: dict[str, int]


def detect_files(
    paths: Sequence[Source], tasks: Sequence[str], options: FileOptions
) -> list[Detected | MemoryCorpus]:
    """Detect each file of a split; data in memory needs no detection.

    Raises:
        InputError: If a file contradicts its name or the options.
    """
    named = [Path(path) for path in paths if not isinstance(path, MemoryCorpus)]
    repeated = [path for index, path in enumerate(named) if path in named[:index]]
    if repeated:
        raise InputError(
            "the split lists this file twice. List it once.", code="option.value", where=repeated[0]
        )
    files = [
        path
        if isinstance(path, MemoryCorpus)
        else detect(path, format=options.format, columns=options.columns, tasks=tasks, usual=options.usual)
        for path in paths
    ]
    for detected in files:
        if detected.problem:
            raise detected.problem
    return files


def find_tasks(
    paths: Sequence[Source],
    tasks: Sequence[str],
    options: FileOptions,
    reading: Reading,
) -> tuple[list[str], dict[str, InputError]]:
    """Return which of several tasks all files of a split have, according to their first sentences.

    A single task is not checked: loading the split reports what is wrong.

    Args:
        paths: The files.
        tasks: The tasks.
        options: The file options.
        reading: The reader options.

    Returns:
        The tasks that all files have, and for each other task the reason.

    Raises:
        InputError: If a file contradicts its name or the options.
    """
    missing: dict[str, InputError] = {}
    if len(tasks) == 1:
        return list(tasks), missing
    for detected in detect_files(paths, tasks, options):
        for task in tasks:
            reason = None if task in missing else detected.find_missing_task(task, reading)
            if reason:
                missing[task] = reason
    return [task for task in tasks if task not in missing], missing


def load_split(
    paths: Sequence[Source],
    tasks: Sequence[str],
    *,
    options: FileOptions = FileOptions(),
    reading: Reading = Reading(),  # noqa: B008
    has_spans: Mapping[str, bool] | None = None,
) -> Split:
    """Read all files of a split.

    If the files use different tag schemes, their tags are converted to IOB2.

    Args:
        paths: The files, at least one.
        tasks: The tasks that every sentence must have tags for.
        options: The file options.
        reading: The reader options. Its columns and tasks are ignored.
        has_spans: For tasks of an existing model: True if their tags mark spans.

    Raises:
        InputError: If a file cannot be read, contradicts the options, lacks a task, or has tags outside its
            scheme.
    """
    known = has_spans or {}
    files = []
    for detected in detect_files(paths, tasks, options):
        detected.require_columns()
        files.append(_load(detected, tasks, options, reading, known))
    schemes = dict(files[0].schemes)
    for task in tasks:
        if len({file.schemes[task] for file in files}) > 1:
            schemes[task] = "IOB2"
            for file in files:
                _rewrite(file, task)
    return Split(
        sentences=[sentence for file in files for sentence in file.sentences],
        schemes=schemes,
        repairs={task: sum(file.repairs.get(task, 0) for file in files) for task in tasks if schemes[task]},
        unspecified={task: sum(file.unspecified.get(task, 0) for file in files) for task in tasks},
        summary=tuple(line for file in files for line in file.summary),
        unknown={task: sum(file.unknown[task] for file in files) for task in tasks},
    )


def read_corpus(
    source: str | Path,
    *,
    task: str | Sequence[str] = (),
    columns: str | None = None,
    format: str | None = None,
    scheme: str | None = None,
) -> list[Sentence]:
    """Read a corpus file into memory; everything that is not given is detected from the file.

    Args:
        source: The file; for some formats a folder, or the name of a dataset on the hub (see
            ``corpus.files.read_sentences``).
        task: The tasks that every sentence must have tags for, by default all tasks of the file.
        columns: Names of its columns, e.g. ``token,pos,ner``.
        format: A key of ``corpus.files.FORMATS``.
        scheme: Its tag scheme (see ``corpus.tags.parse_schemes``).

    Returns:
        The sentences. If tasks are named, labels without prefix become IO tags; all other tags are
        unchanged.

    Raises:
        InputError: The file cannot be read, contradicts the arguments or lacks a task.
    """
    options = FileOptions(columns=columns, format=format, schemes=parse_schemes(scheme))
    tasks = (task,) if isinstance(task, str) else tuple(task)
    if tasks:
        return load_split([source], tasks, options=options).sentences
    (detected,) = detect_files([source], (), options)
    return list(detected.read(Reading(tasks=())))


def write_corpus(
    sentences: Iterable[Sentence],
    target: str | Path,
    *,
    task: str | Sequence[str] = (),
    format: str | None = None,
) -> None:
    """Write sentences to a corpus file; an existing file is replaced only after success.

    Args:
        sentences: The sentences.
        target: The file, or for some formats a new folder or a new database.
        task: The tasks to write, by default those of the first sentence.
        format: A key of ``corpus.files.FORMATS``; by default the one of the suffix.

    Raises:
        InputError: The format does not exist or cannot hold a sentence, or the file cannot be written.
    """
    sentences = list(sentences)
    known = FORMATS[find_format(target, format)]
    tasks = (task,) if isinstance(task, str) else tuple(task)
    has_spaces = any(" " in token for sentence in sentences for token in sentence.tokens)
    writing = Writing(
        tasks=tasks or tuple(sentences[0].tags if sentences else ()),
        separator="\t" if has_spaces else " ",
        has_texts=True,
    )
    target = Path(target)
    if known.write:
        is_compressed = target.suffix.lower() == ".gz"
        with replace_file(target) as partial, open_text(partial, is_compressed=is_compressed) as file:
            known.write(sentences, file, writing)
    elif known.write_folder:
        with new_folder(target) as folder:
            known.write_folder(sentences, folder, writing)
    elif known.write_database:
        known.write_database(sentences, target, writing)


def name_files(paths: Sequence[Source]) -> str:
    """Return the file names of a split, without folders."""
    return ", ".join(path.path if isinstance(path, MemoryCorpus) else Path(path).name for path in paths)


def untagged(split: Split) -> dict[str, InputError]:
    """Return an error for each task without any known tags (all ``_`` or ``?``)."""
    n_tokens = sum(map(len, split.sentences))
    path = path_of(split.sentences)
    return {
        task: InputError(
            f"no token has a tag of {task!r} (got only {UNSPECIFIED} or {UNKNOWN_TAG}). Pass a file with "
            "tags, or leave the task out.",
            code="corpus.empty",
            where=path,
        )
        for task, count in split.unspecified.items()
        if count + split.unknown[task] == n_tokens
    }


def _load(
    detected: Detected | MemoryCorpus,
    tasks: Sequence[str],
    options: FileOptions,
    reading: Reading,
    has_spans: Mapping[str, bool],
) -> Split:
    """Read one file."""
    sentences = list(detected.read(replace(reading, tasks=tuple(tasks))))
    schemes: dict[str, str | None] = {}
    repairs, unspecified, unknown = dict[str, int](), dict[str, int](), dict[str, int]()
    parts = []
    for task in tasks:
        evidence = SchemeEvidence()
        for sentence in sentences:
            evidence.add(sentence.tags[task], sentence.tokens)
        tag_reading = TagReading(None)
        if has_spans.get(task) is not False:
            tag_reading = find_tag_reading(evidence, task, options.schemes, is_only=len(tasks) == 1)
        if tag_reading.is_bare:
            reading.warn(bare_warning(detected, task))
            sentences = [tag_reading.apply(sentence, task) for sentence in sentences]
        scheme = find_scheme(sentences, task, has_spans=has_spans.get(task), reading=tag_reading)
        schemes[task] = scheme
        if scheme:
            repairs[task] = count_repairs(sentences, task, scheme, mode=options.broken_tags)
        else:
            unspecified[task] = evidence.tags[UNSPECIFIED]
            sentences = [sentence.without_unknown(task) for sentence in sentences]
        counts, unknown[task] = evidence.split_unknown(scheme)
        n_tokens = sum(map(len, sentences))
        for warning in missing_warnings(task, unspecified.get(task, 0), unknown[task], n_tokens):
            reading.warn(f"{detected.path}: {warning}")
        parts.append(describe_tags(task, counts, scheme, tag_reading, is_only=len(tasks) == 1))
    return Split(sentences, schemes, repairs, unspecified, (summarise(detected, parts),), unknown)


def summarise(detected: Detected | MemoryCorpus, parts: Sequence[str]) -> str:
    """Return a one-line summary of a file: its format, and its columns (see ``describe_tags``)."""
    return escape_line("; ".join([detected.describe(), *parts]))


def describe_tags(
    task: str, counts: Mapping[str, int], scheme: str | None, tag_reading: TagReading, *, is_only: bool
) -> str:
    """Describe how a column is read, for instance ``scheme IOB1; spans PER, LOC``.

    Args:
        task: The column.
        counts: The frequency of each known tag, as spelled in the file.
        scheme: The scheme of its spans, or None.
        tag_reading: How the tags are read.
        is_only: True if it is the only described column.
    """
    if scheme is None:
        n_tags = len(counts.keys() - {UNSPECIFIED})
        return f"{task} one tag per token, {n_tags:,} tags"
    labels = sorted({tag if tag_reading.is_bare else split_tag(tag)[1] for tag in counts if tag != "O"})
    more = f" and {len(labels) - MOST_LABELS:,} more" if len(labels) > MOST_LABELS else ""
    named = ", ".join(labels[:MOST_LABELS]) + more
    spelled = "labels without prefix" if tag_reading.is_bare else f"scheme {scheme}"
    return f"{spelled}; spans {named or 'none'}" if is_only else f"{task} {spelled}, spans {named or 'none'}"


def bare_warning(detected: Detected | MemoryCorpus, task: str, option: str = "--scheme") -> str:
    """Return a warning that labels without prefix are read as spans, with the option to read them as tags."""
    return escape_line(
        f"{detected.path}: the tags of {task!r} are labels without prefix; a run of one label is read as one "
        f"span. Pass {option} {task}=none to read one tag per token."
    )


def missing_warnings(task: str, n_unspecified: int, n_unknown: int, n_tokens: int) -> Iterator[str]:
    """Yield warnings with the numbers of tokens without a tag (``_``) and with an unknown one (``?``)."""
    for count, problem in (
        (n_unspecified, f"no tag of {task!r} ({UNSPECIFIED})"),
        (n_unknown, f"the unknown tag {UNKNOWN_TAG} of {task!r}"),
    ):
        if count:
            yield f"{count:,} of {n_tokens:,} tokens have {problem}; loss and scores ignore them."


def _rewrite(file: Split, task: str) -> None:
    """Convert the tags of a file to IOB2."""
    scheme = file.schemes[task]
    if scheme is None:
        raise InputError(
            f"the column {task!r} holds one tag per token, but other files of the "
            "split mark spans in it. Pass files of one kind.",
            code="corpus.scheme",
            where=path_of(file.sentences),
        )
    file.sentences[:] = [
        replace(
            sentence, tags={**sentence.tags, task: tuple(convert_tags(sentence.tags[task], scheme, "IOB2"))}
        )
        for sentence in file.sentences
    ]
