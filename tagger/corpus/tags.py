"""Determine how to read the tags of a column: spans in a scheme, bare labels, or one tag per token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tagger.corpus.columns import PARTS_OF_SPEECH, is_span_column
from tagger.errors import InputError, escape_line
from tagger.text.scheme_detection import SchemeEvidence
from tagger.text.schemes import (
    Mode,
    belongs_to,
    is_span_tag,
    normalise_scheme,
    split_tag,
    tags_to_spans,
    violations,
)
from tagger.text.sentence import UNKNOWN_TAG, UNSPECIFIED, Sentence
from tagger.text.spelling import (
    add_prefixes,
    are_bare_labels,
    are_brackets,
    find_outside,
    find_respelling,
    mixes_prefixes,
    respell,
)

BARE, PLAIN = "bare", "none"
"""Choices in addition to schemes: spans as labels without prefix, and one tag per token."""

_ALL_TASKS = ""


@dataclass(frozen=True, slots=True)
class TagReading:
    """How to read the tags of one column.

    Attributes:
        scheme: The scheme of their spans. None for one tag per token.
        is_bare: True if the tags are labels without prefix, so that a run of one label is a span.
        problem: Why they cannot be read, and what to do. None if they can.
    """

    scheme: str | None
    is_bare: bool = False
    problem: str | None = None

    def apply(self, sentence: Sentence, task: str) -> Sentence:
        """Return the sentence with tags of a scheme: bare labels become IO tags."""
        if not self.is_bare:
            return sentence
        return replace(sentence, tags={**sentence.tags, task: add_prefixes(sentence.tags[task])})


def parse_schemes(spec: str | None) -> dict[str, str]:
    """Parse the schemes of tags: ``IOB1``, or by task ``ner=bare,pos=none``.

    Returns:
        The scheme, ``bare`` or ``none`` by task. An empty task name stands for all tasks with spans.

    Raises:
        InputError: If the scheme does not exist, or a task has two schemes.
    """
    schemes: dict[str, str] = {}
    for item in spec.split(",") if spec else ():
        task, equals, name = (part.strip() for part in item.partition("="))
        if not equals:
            task, name = _ALL_TASKS, task
        if task in schemes:
            raise InputError(
                f"{spec!r} gives {f'the scheme of {task!r}' if task else 'a scheme'} twice. Name it once.",
                code="option.value",
                option="--scheme",
            )
        schemes[task] = name.lower() if name.lower() in (BARE, PLAIN) else normalise_scheme(name)
    return schemes


def find_tag_reading(
    evidence: SchemeEvidence,
    task: str,
    requested: Mapping[str, str],
    *,
    is_only: bool = True,
    option: str = "--scheme",
) -> TagReading:
    """Decide how to read a column.

    Args:
        evidence: All its tags.
        task: The column name. Parts of speech are never read as bare labels or misspelled tags.
        requested: The result of ``parse_schemes``.
        is_only: True if a scheme that is requested without a task can only refer to this column.
        option: The command-line option of ``requested``, for the error message.
    """
    counts, _ = evidence.split_unknown("IOB2")
    is_named = task in PARTS_OF_SPEECH and task not in requested
    respelling = None if is_named else find_respelling(counts)
    if not is_named and not respelling and (outside := find_outside(counts)):
        respelling = (outside, "O")
    is_bare = not is_named and not respelling and are_bare_labels(counts)
    detected = evidence.scheme
    target = requested.get(task)
    if target is None and (is_only or detected or respelling or is_bare):
        target = requested.get(_ALL_TASKS)
    if target == PLAIN:
        return TagReading(None)
    if target == BARE or (is_bare and target is None):
        return TagReading("IO", is_bare=True)
    if target is not None:
        return TagReading(target)
    problem = _find_problem(counts, detected, respelling)
    values = counts.keys() - {UNSPECIFIED}
    if is_span_column(task) and values and all(tag.isascii() and tag.isdigit() for tag in values):
        problem = f"the tags of {task!r} are numbers, without their names (got {min(values)!r})."
    elif is_span_column(task) and are_brackets(values):
        first = next(tag for tag in counts if tag[0] == "(")
        problem = f"the tags of {task!r} are spans in brackets (got {first!r}). Write B-, I- and O instead."
    if problem:
        choice = f"{option} {escape_line(task)}={PLAIN}"
        problem += f" Correct the tags of {task!r}, or pass {choice} to read one tag per token."
    return TagReading(detected, problem=problem)


def _find_problem(
    counts: Mapping[str, int], detected: str | None, respelling: tuple[str, str] | None
) -> str | None:
    if respelling:
        return f"the tag {respelling[0]!r} belongs to no scheme; it would be {respelling[1]!r}."
    mixed = mixes_prefixes(counts) if detected is None else None
    if mixed:
        return f"some tags have a prefix (got {mixed[0]!r}), others have none (got {mixed[1]!r})."
    return None


def find_scheme(
    sentences: Sequence[Sentence],
    task: str,
    *,
    has_spans: bool | None = None,
    reading: TagReading | None = None,
) -> str | None:
    """Determine the scheme of a column and check that every tag belongs to it.

    Args:
        sentences: The sentences of a file. All have tags for the task.
        task: The column.
        has_spans: True if the tags must mark spans, as a model for this task requires. None if this is
            unknown.
        reading: How to read the column, if it was determined before.

    Returns:
        The scheme, or None for one tag per token, as in part-of-speech tagging.

    Raises:
        InputError: If a tag is outside the scheme, or the column must mark spans and does not.
    """
    if has_spans is False:
        return None
    if reading is None:
        evidence = SchemeEvidence()
        for sentence in sentences:
            evidence.add(sentence.tags[task], sentence.tokens)
        reading = find_tag_reading(evidence, task, {})
        if reading.is_bare:  # only file readers may add prefixes, because they report it
            reading = TagReading(None)
    if reading.problem:
        location = _find_tag(sentences, task, lambda tag: respell(tag) is not None)
        raise InputError(
            f"{reading.problem}",
            code="corpus.scheme",
            where=line_of(*location) if location else path_of(sentences),
            option="--scheme",
        )
    if reading.scheme is None:
        _reject_unknown_prefixes(sentences, task)
        if has_spans:
            tag = next(tag for sentence in sentences for tag in sentence.tags[task] if tag != UNKNOWN_TAG)
            raise InputError(
                f"the column {task!r} must mark spans, as in B-PER (got "
                f"{tag!r}). Name the right column with --columns.",
                code="corpus.columns",
                where=line_of(sentences[0], 0),
                option="--columns",
            )
        return None
    scheme = reading.scheme
    location = _find_tag(sentences, task, lambda tag: not belongs_to(tag, scheme))
    if location:
        raise foreign_tag_error(*location, task, scheme)
    return scheme


def foreign_tag_error(sentence: Sentence, index: int, task: str, scheme: str) -> InputError:
    """Return the error for a tag outside a scheme; it suggests the correct spelling, if there is one."""
    tag = sentence.tags[task][index]
    suggestion = respell(tag)
    return InputError(
        f"the tag {tag!r} of {sentence.tokens[index]!r} does not belong to "
        f"{scheme}, the scheme of the column {task!r}. "
        + (f"Write {suggestion!r}." if suggestion else "Correct it or name another column."),
        code="corpus.scheme",
        where=line_of(sentence, index),
    )


def require_spans(sentences: Sequence[Sentence], task: str) -> None:
    """Check that the column of a split for training or model selection marks at least one span.

    Raises:
        InputError: If every tag of the column is O or unknown (``?``).
    """
    if all(tag in ("O", UNKNOWN_TAG) for sentence in sentences for tag in sentence.tags[task]):
        got = sorted({tag for sentence in sentences for tag in sentence.tags[task]}, reverse=True)
        raise InputError(
            f"the column {task!r} has no spans (got only {' and '.join(got)}). Name the right column "
            "with --columns, or give a file with spans.",
            code="corpus.empty",
            where=path_of(sentences),
            option="--columns",
        )


def count_repairs(sentences: Iterable[Sentence], task: str, scheme: str, *, mode: Mode = "repair") -> int:
    """Count the tags of a span task that violate their scheme.

    Args:
        sentences: Sentences with tags for the task.
        task: The column.
        scheme: Its scheme.
        mode: ``repair`` counts them, since readers repair them as conlleval does; ``strict`` raises.

    Raises:
        InputError: In strict mode, for the first violation.
    """
    count = 0
    for sentence in sentences:
        tags = sentence.tags[task]
        broken = violations(tags, scheme)
        count += len(broken)
        if broken and mode == "strict":
            where = line_of(sentence, broken[0])
            tags_to_spans(tags, scheme, mode="strict", tokens=sentence.tokens, where=where)
    return count


def count_unseen(
    sentences: Iterable[Sentence], task: str, known: Iterable[str], *, has_spans: bool
) -> Mapping[str, int]:
    """Count tags that a model can never predict because the training split lacks them.

    Args:
        sentences: Sentences with tags for the task.
        task: The column.
        known: The model's tags, in any scheme.
        has_spans: True if the tags mark spans. Then only their labels count, since a model has every prefix
            of a label.

    Returns:
        The frequency of each unseen label (of spans) or tag, most frequent first.
    """
    counts = Counter(_label(tag, has_spans) for sentence in sentences for tag in sentence.tags[task])
    seen = {_label(tag, has_spans) for tag in known} | {"" if has_spans else UNSPECIFIED}
    return {label: count for label, count in counts.most_common() if label not in seen}


def reject_unseen(
    sentences: Iterable[Sentence], task: str, unseen: Collection[str], *, has_spans: bool
) -> None:
    """Check that sentences have none of the labels or tags that ``count_unseen`` returned.

    Raises:
        InputError: For the first tag that is in ``unseen``, or whose label is (for spans).
    """
    location = _find_tag(sentences, task, lambda tag: _label(tag, has_spans) in unseen)
    if location:
        sentence, index = location
        kind = "label" if has_spans else "tag"
        raise InputError(
            f"the {kind} {_label(sentence.tags[task][index], has_spans)!r} of "
            f"{sentence.tokens[index]!r} does not occur in train, so no model learns it. Correct it, move "
            "such sentences to train, or set data.unseen_tags=count to score it as wrong.",
            code="corpus.labels",
            where=line_of(sentence, index),
            option="data.unseen_tags",
        )


def _label(tag: str, has_spans: bool) -> str:
    """Return the label of a span tag ("" for O); without spans, the tag unchanged."""
    return split_tag(tag)[1] if has_spans else tag


def path_of(sentences: Sequence[Sentence]) -> str:
    """Return the path of the file that the sentences come from, or "The corpus" if it is unknown."""
    path = sentences[0].source.rpartition(":")[0] if sentences else ""
    return path or "The corpus"


def _reject_unknown_prefixes(sentences: Sequence[Sentence], task: str) -> None:
    """Reject O and X-LABEL with an unknown prefix X: as plain tags their scores would be meaningless."""
    tags = {tag for sentence in sentences for tag in sentence.tags[task]} - {UNKNOWN_TAG}
    if "O" not in tags or not all(tag == "O" or tag[1:2] == "-" for tag in tags):
        return
    location = _find_tag(sentences, task, lambda tag: tag in tags and not is_span_tag(tag))
    if location:
        raise unknown_prefix_error(*location, task)


def unknown_prefix_error(sentence: Sentence, index: int, task: str) -> InputError:
    """Return the error for a tag that looks like a span tag but has a prefix of no scheme."""
    return InputError(
        f"the tag {sentence.tags[task][index]!r} looks like a span tag, but no scheme has its prefix. "
        "Write B-, I-, E- or S-.",
        code="corpus.scheme",
        where=line_of(sentence, index),
    )


def _find_tag(
    sentences: Iterable[Sentence], task: str, is_wrong: Callable[[str], bool]
) -> tuple[Sentence, int] | None:
    """Return the sentence and token index of the first wrong tag. Each distinct tag is checked once."""
    is_wrong_by_tag: dict[str, bool] = {}
    for sentence in sentences:
        for index, tag in enumerate(sentence.tags[task]):
            if tag not in is_wrong_by_tag:
                is_wrong_by_tag[tag] = is_wrong(tag)
            if is_wrong_by_tag[tag]:
                return sentence, index
    return None


def line_of(sentence: Sentence, index: int) -> str:
    """Return ``file:line`` of a token, or of the sentence if tokens have no lines of their own."""
    path, _, first = sentence.source.rpartition(":")
    if not sentence.has_token_lines:
        return sentence.source or "The corpus"
    between = sum(0 < before <= index for before, _ in sentence.extra_lines)
    return f"{path}:{int(first) + index + between}"
