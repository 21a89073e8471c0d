"""How the tags of a column are read: as spans in some scheme, as bare labels, or as one tag per token."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tagger.errors import InputError
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
from tagger.text.sentence import UNSPECIFIED, Sentence
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
"""What can be requested besides a scheme: labels without prefix as spans, and one tag per token."""

_ALL_TASKS = ""
_SPANS = re.compile(r"(?:ner|chunk)\d*")
_PARTS_OF_SPEECH = ("pos", "upos", "xpos")


@dataclass(frozen=True, slots=True)
class TagReading:
    """How the tags of one column are read.

    Attributes:
        scheme: The scheme of their spans; None for one tag per token.
        is_bare: True if they are labels without prefix, so that a run of one label is a span.
        problem: Why they cannot be read, as a clause and what to do; None if they can.
    """

    scheme: str | None
    is_bare: bool = False
    problem: str | None = None

    def apply(self, sentence: Sentence, task: str) -> Sentence:
        """Return the sentence with tags of a scheme: bare labels become tags of IO."""
        if not self.is_bare:
            return sentence
        return replace(sentence, tags={**sentence.tags, task: add_prefixes(sentence.tags[task])})


def parse_schemes(spec: str | None) -> dict[str, str]:
    """Read which scheme tags are written in: ``IOB1``, or by task ``ner=bare,pos=none``.

    Returns:
        Names of schemes, ``bare`` or ``none`` by task; under an empty name that of all tasks with spans.

    Raises:
        InputError: If there is no such scheme, or a task has two.
    """
    schemes: dict[str, str] = {}
    for item in spec.split(",") if spec else ():
        task, equals, name = (part.strip() for part in item.partition("="))
        if not equals:
            task, name = _ALL_TASKS, task
        if task in schemes:
            raise InputError(
                f"{spec!r} gives {f'the scheme of {task!r}' if task else 'a scheme'} twice. Give it once."
            )
        schemes[task] = name.lower() if name.lower() in (BARE, PLAIN) else normalise_scheme(name)
    return schemes


def judge_tags(
    evidence: SchemeEvidence, task: str, requested: Mapping[str, str], *, is_only: bool = True
) -> TagReading:
    """Decide how a column is read.

    Args:
        evidence: All its tags.
        task: The column's name; parts of speech are never taken for bare labels or misspelled tags.
        requested: What ``parse_schemes`` returns.
        is_only: True if no other column could be meant by a scheme that is requested without a task.
    """
    counts = evidence.tags
    is_named = task in _PARTS_OF_SPEECH and task not in requested
    respelling = None if is_named else find_respelling(counts)
    if not is_named and not respelling and (outside := find_outside(counts)):
        respelling = (outside, "O")
    is_bare = not is_named and not respelling and are_bare_labels(counts)
    detected = evidence.scheme
    wanted = requested.get(task)
    if wanted is None and (is_only or detected or respelling or is_bare):
        wanted = requested.get(_ALL_TASKS)
    if wanted == PLAIN:
        return TagReading(None)
    if wanted == BARE or (is_bare and wanted is None):
        return TagReading("IO", is_bare=True)
    if wanted is not None:
        return TagReading(wanted)
    problem = _find_problem(counts, detected, respelling)
    values = counts.keys() - {UNSPECIFIED}
    if _SPANS.fullmatch(task) and values and all(tag.isascii() and tag.isdigit() for tag in values):
        problem = f"the tags of {task!r} are numbers, without their names (got {min(values)!r})."
    elif _SPANS.fullmatch(task) and are_brackets(values):
        first = next(tag for tag in values if tag[0] == "(")
        problem = f"the tags of {task!r} are spans in brackets (got {first!r}). Write B-, I- and O instead."
    if problem:
        problem += (
            f" Correct the tags of {task!r}, or pass --scheme {task}={PLAIN} to read one tag per token."
        )
    return TagReading(detected, problem=problem)


def _find_problem(
    counts: Mapping[str, int], detected: str | None, respelling: tuple[str, str] | None
) -> str | None:
    if respelling:
        return f"no scheme has the tag {respelling[0]!r}; it would be {respelling[1]!r}."
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
    """Tell the scheme of a column and check that every tag is one of it.

    Args:
        sentences: A file's sentences; all have tags for the task.
        task: The column.
        has_spans: True if the tags have to mark spans, as a model for this task requires; None where nothing
            is known before.
        reading: How the column is read, if that was judged before.

    Returns:
        The scheme's name, or None if each token just has a tag, as in part-of-speech tagging.

    Raises:
        InputError: A tag is outside the scheme, or the column marks no spans where it has to.
    """
    if has_spans is False:
        return None
    if reading is None:
        evidence = SchemeEvidence()
        for sentence in sentences:
            evidence.add(sentence.tags[task])
        reading = judge_tags(evidence, task, {})
        if reading.is_bare:  # only whoever reads a file may add prefixes, and say so
            reading = TagReading(None)
    if reading.problem:
        found = _find_tag(sentences, task, lambda tag: respell(tag) is not None)
        raise InputError(f"{line_of(*found) if found else _path(sentences)}: {reading.problem}")
    if reading.scheme is None:
        _refuse_unknown_prefixes(sentences, task)
        if has_spans:
            tag = sentences[0].tags[task][0]
            raise InputError(
                f"{line_of(sentences[0], 0)}: the column {task!r} should mark spans, as in B-PER, but holds "
                f"{tag!r}; name the right column with --columns."
            )
        return None
    scheme = reading.scheme
    found = _find_tag(sentences, task, lambda tag: not belongs_to(tag, scheme))
    if found:
        raise InputError(describe_foreign(*found, task, scheme))
    return scheme


def describe_foreign(sentence: Sentence, place: int, task: str, scheme: str) -> str:
    """Say that a tag is none of a scheme, and what it would be if one replacement makes a tag of it."""
    tag = sentence.tags[task][place]
    right = respell(tag)
    return (
        f"{line_of(sentence, place)}: the tag {tag!r} of {sentence.tokens[place]!r} is none of {scheme}, in "
        f"which the column {task!r} is written; "
        + (f"write {right!r}." if right else "correct it or name another column.")
    )


def require_spans(sentences: Sequence[Sentence], task: str) -> None:
    """Refuse a part that is to be learnt or chosen by and marks nothing.

    Raises:
        InputError: Every tag of the column is O.
    """
    if all(tag == "O" for sentence in sentences for tag in sentence.tags[task]):
        raise InputError(
            f"{_path(sentences)}: the column {task!r} holds no span at all, only O; name the right column "
            "with --columns, or give a file with spans."
        )


def count_repairs(sentences: Iterable[Sentence], task: str, scheme: str, *, mode: Mode = "repair") -> int:
    """How many tags of a span task stand where their scheme forbids them.

    Args:
        sentences: Sentences with tags for the task.
        task: The column.
        scheme: Its scheme.
        mode: ``repair`` counts them, since they are read as conlleval reads them; ``strict`` refuses them.

    Raises:
        InputError: In strict mode, for the first of them.
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
    """Which tags a model can never find, since the train part lacks them.

    Args:
        sentences: Sentences with tags for the task.
        task: The column.
        known: The model's tags, in whatever scheme.
        has_spans: Whether the tags mark spans; then only their labels matter, for a model has every prefix of
            a label.

    Returns:
        How many tags have each label that no known tag has (of spans), or how often each unknown tag stands
        there, the most frequent first.
    """
    found = Counter(_label(tag, has_spans) for sentence in sentences for tag in sentence.tags[task])
    seen = {_label(tag, has_spans) for tag in known} | {"" if has_spans else UNSPECIFIED}
    return {label: count for label, count in found.most_common() if label not in seen}


def refuse_unseen(
    sentences: Iterable[Sentence], task: str, unseen: Collection[str], *, has_spans: bool
) -> None:
    """Refuse sentences that hold what ``count_unseen`` found.

    Raises:
        InputError: For the first tag whose label (of spans) or which itself is among ``unseen``.
    """
    found = _find_tag(sentences, task, lambda tag: _label(tag, has_spans) in unseen)
    if found:
        sentence, place = found
        kind = "label" if has_spans else "tag"
        raise InputError(
            f"{line_of(sentence, place)}: the {kind} {_label(sentence.tags[task][place], has_spans)!r} of "
            f"{sentence.tokens[place]!r} is nowhere in train, so no model learns it; correct it, move such "
            "sentences to train, or set data.unseen_tags=count to score it as wrong."
        )


def _label(tag: str, has_spans: bool) -> str:
    """What is learnt of a tag: of a span's its label, "" for none."""
    return split_tag(tag)[1] if has_spans else tag


def _path(sentences: Sequence[Sentence]) -> str:
    return sentences[0].source.rpartition(":")[0] or "The corpus"


def _refuse_unknown_prefixes(sentences: Sequence[Sentence], task: str) -> None:
    """Refuse O and X-LABEL whose X no scheme knows: learnt as plain tags they would score nonsense."""
    tags = {tag for sentence in sentences for tag in sentence.tags[task]}
    if "O" not in tags or not all(tag == "O" or tag[1:2] == "-" for tag in tags):
        return
    found = _find_tag(sentences, task, lambda tag: not is_span_tag(tag))
    if found:
        sentence, place = found
        raise InputError(
            f"{line_of(sentence, place)}: the tag {sentence.tags[task][place]!r} looks like a span's, but no "
            f"scheme has its prefix; write B-, I-, E- or S-."
        )


def _find_tag(
    sentences: Iterable[Sentence], task: str, is_wrong: Callable[[str], bool]
) -> tuple[Sentence, int] | None:
    """The first place of a wrong tag; each distinct tag is judged once."""
    judged: dict[str, bool] = {}
    for sentence in sentences:
        for place, tag in enumerate(sentence.tags[task]):
            if tag not in judged:
                judged[tag] = is_wrong(tag)
            if judged[tag]:
                return sentence, place
    return None


def line_of(sentence: Sentence, place: int) -> str:
    """``file:line`` of one token, or of the whole sentence where tokens have no lines of their own."""
    path, _, first = sentence.source.rpartition(":")
    if not sentence.has_token_lines:
        return sentence.source or "The corpus"
    between = sum(0 < before <= place for before, _ in sentence.extra_lines)
    return f"{path}:{int(first) + place + between}"
