"""Load a whole split: detect and read its files, judge their tags, and say what was decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tagger.corpus.detection import Detected, detect
from tagger.corpus.reading import Reading
from tagger.corpus.tags import TagReading, count_repairs, find_scheme, judge_tags
from tagger.errors import InputError, escape_line
from tagger.text.scheme_detection import SchemeEvidence
from tagger.text.schemes import Mode, convert_tags, split_tag
from tagger.text.sentence import UNSPECIFIED, Sentence

MOST_LABELS = 20  # that a line names


@dataclass(frozen=True, slots=True)
class FileOptions:
    """How the files of a split are read; None and nothing where the files tell it.

    Attributes:
        columns: Names of the columns (see ``corpus.columns.parse_columns``).
        format: A key of ``corpus.files.FORMATS``.
        schemes: What ``corpus.tags.parse_schemes`` returns.
        usual: Columns to use where a file does not tell which hold the tasks and their number is right.
        broken_tags: ``repair`` reads tags that their scheme forbids as conlleval does, ``strict`` raises.
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
        sentences: Those of all files, in their order.
        schemes: For each task the scheme of its tags, None for one tag per token.
        repairs: For each task with spans how many tags its scheme forbids.
        unspecified: For each task without spans how many tokens have no tag (``_``).
        summary: A line for each file: its format, columns, schemes and labels.
    """

    sentences: list[Sentence]
    schemes: dict[str, str | None]
    repairs: dict[str, int]
    unspecified: dict[str, int]
    summary: tuple[str, ...]


def detect_files(paths: Sequence[str | Path], tasks: Sequence[str], options: FileOptions) -> list[Detected]:
    """Detect the files of a split, each by itself.

    Raises:
        InputError: A file is not what its name or the options say.
    """
    repeated = [path for place, path in enumerate(paths) if Path(path) in map(Path, paths[:place])]
    if repeated:
        raise InputError(f"{repeated[0]}: the file is given twice for one split. Give it once.")
    files = [
        detect(path, format=options.format, columns=options.columns, tasks=tasks, usual=options.usual)
        for path in paths
    ]
    for detected in files:
        if detected.problem:
            raise InputError(detected.problem)
    return files


def find_tasks(
    paths: Sequence[str | Path],
    tasks: Sequence[str],
    options: FileOptions,
    reading: Reading,
) -> tuple[list[str], dict[str, str]]:
    """Tell which of several tasks all files of a split have, judged by their heads.

    A task alone is not looked for: loading the split says what is wrong.

    Args:
        paths: The files.
        tasks: The tasks.
        options: What is known of the files.
        reading: How sentences are read.

    Returns:
        The tasks that are there, and for each of the others why not.

    Raises:
        InputError: A file is not what its name or the options say.
    """
    lacking: dict[str, str] = {}
    if len(tasks) == 1:
        return list(tasks), lacking
    for detected in detect_files(paths, tasks, options):
        for task in tasks:
            reason = None if task in lacking else detected.lacks(task, reading)
            if reason:
                lacking[task] = reason
    return [task for task in tasks if task not in lacking], lacking


def load_split(
    paths: Sequence[str | Path],
    tasks: Sequence[str],
    *,
    options: FileOptions = FileOptions(),
    reading: Reading = Reading(),  # noqa: B008
    has_spans: Mapping[str, bool] | None = None,
) -> Split:
    """Read all files of a split.

    Tags of files that are written in different schemes are converted to IOB2.

    Args:
        paths: The files; one at least.
        tasks: The tasks that every sentence must have.
        options: What is known of the files.
        reading: How sentences are read; its columns and tasks are not used.
        has_spans: For tasks that a model knows whether their tags mark spans.

    Raises:
        InputError: A file cannot be read, is not what the options say, lacks a task, or has tags outside its
            scheme.
    """
    known = has_spans or {}
    files = []
    for detected in detect_files(paths, tasks, options):
        detected.refuse_missing()
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
    )


def name_files(paths: Sequence[str | Path]) -> str:
    """Return the names of a split's files, without their folders."""
    return ", ".join(Path(path).name for path in paths)


def untagged(split: Split) -> dict[str, str]:
    """Return for each task that has no tag at all, only ``_``, an error message that says so."""
    n_tokens = sum(map(len, split.sentences))
    path = split.sentences[0].source.rpartition(":")[0] if split.sentences else "The corpus"
    return {
        task: f"{path}: no token has a tag of {task!r} (got only {UNSPECIFIED}). Give a file with tags, or "
        "leave the task out."
        for task, count in split.unspecified.items()
        if count == n_tokens
    }


def _load(
    detected: Detected,
    tasks: Sequence[str],
    options: FileOptions,
    reading: Reading,
    has_spans: Mapping[str, bool],
) -> Split:
    """Read one file."""
    sentences = list(detected.read(replace(reading, tasks=tuple(tasks))))
    schemes: dict[str, str | None] = {}
    repairs, unspecified = dict[str, int](), dict[str, int]()
    parts = []
    for task in tasks:
        evidence = SchemeEvidence()
        for sentence in sentences:
            evidence.add(sentence.tags[task])
        how = TagReading(None)
        if has_spans.get(task) is not False:
            how = judge_tags(evidence, task, options.schemes, is_only=len(tasks) == 1)
        if how.is_bare:
            reading.note(bare_note(detected, task))
            sentences = [how.apply(sentence, task) for sentence in sentences]
        scheme = find_scheme(sentences, task, has_spans=has_spans.get(task), reading=how)
        schemes[task] = scheme
        if scheme:
            repairs[task] = count_repairs(sentences, task, scheme, mode=options.broken_tags)
        else:
            unspecified[task] = evidence.tags[UNSPECIFIED]
        if unspecified.get(task):
            n_tokens = sum(map(len, sentences))
            reading.note(f"{detected.path}: {unspecified_note(task, unspecified[task], n_tokens)}")
        parts.append(describe_tags(task, evidence.tags, scheme, how, is_only=len(tasks) == 1))
    return Split(sentences, schemes, repairs, unspecified, (summarise(detected, parts),))


def summarise(detected: Detected, parts: Sequence[str]) -> str:
    """Return one line on a file: what it is, and how its columns are read (see ``describe_tags``)."""
    return escape_line("; ".join([detected.describe(), *parts]))


def describe_tags(
    task: str, counts: Mapping[str, int], scheme: str | None, how: TagReading, *, is_only: bool
) -> str:
    """Say how a column is read: ``scheme IOB1; spans PER, LOC``.

    Args:
        task: The column.
        counts: How often it has each tag, as the file writes them.
        scheme: The scheme of its spans, or None.
        how: How it is read.
        is_only: True if no other column is described with it.
    """
    if scheme is None:
        n_tags = len(counts.keys() - {UNSPECIFIED})
        return f"{task} one tag per token, {n_tags:,} tags"
    labels = sorted({tag if how.is_bare else split_tag(tag)[1] for tag in counts if tag != "O"})
    more = f" and {len(labels) - MOST_LABELS:,} more" if len(labels) > MOST_LABELS else ""
    named = ", ".join(labels[:MOST_LABELS]) + more
    spelled = "labels without prefix" if how.is_bare else f"scheme {scheme}"
    return f"{spelled}; spans {named or 'none'}" if is_only else f"{task} {spelled}, spans {named or 'none'}"


def bare_note(detected: Detected, task: str) -> str:
    """Say that labels without prefix are read as spans, and which option reads them otherwise."""
    return escape_line(
        f"{detected.path}: the tags of {task!r} are labels without prefix; a run of one label is read as one "
        f"span. Pass --scheme {task}=none to read one tag per token."
    )


def unspecified_note(task: str, count: int, n_tokens: int) -> str:
    """Say how many tokens have no tag."""
    return (
        f"{count:,} of {n_tokens:,} tokens have no tag of {task!r} ({UNSPECIFIED}); loss and scores leave "
        "them out."
    )


def _rewrite(file: Split, task: str) -> None:
    """Rewrite the tags of a file in IOB2."""
    scheme = file.schemes[task]
    if scheme is None:
        path = file.sentences[0].source.rpartition(":")[0]
        raise InputError(
            f"{path}: the column {task!r} holds one tag per token, but other files of the split mark spans "
            "in it. Give files of one kind."
        )
    file.sentences[:] = [
        replace(one, tags={**one.tags, task: tuple(convert_tags(one.tags[task], scheme, "IOB2"))})
        for one in file.sentences
    ]
