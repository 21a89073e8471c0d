"""What a column of tags holds: spans in some scheme, or one tag a token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from tagger.errors import InputError
from tagger.text.schemes import (
    Mode,
    belongs_to,
    detect_scheme,
    is_span_tag,
    split_tag,
    tags_to_spans,
    violations,
)
from tagger.text.sentence import Sentence


def find_scheme(sentences: Sequence[Sentence], task: str, *, has_spans: bool | None = None) -> str | None:
    """Tell the scheme of a column and check that every tag is one of it.

    Args:
        sentences: A file's sentences; all have tags for the task.
        task: The column.
        has_spans: Whether the tags have to mark spans, as a model for this task says; None where nothing is
            known before.

    Returns:
        The scheme's name, or None if each token just has a tag, as in part-of-speech tagging.

    Raises:
        InputError: A tag is outside the scheme, or the column marks no spans where it has to.
    """
    if has_spans is False:
        return None
    scheme = detect_scheme(sentence.tags[task] for sentence in sentences)
    if scheme is None:
        _refuse_unknown_prefixes(sentences, task)
        if has_spans:
            tag = sentences[0].tags[task][0]
            raise InputError(
                f"{line_of(sentences[0], 0)}: the column {task!r} should mark spans, as in B-PER, but holds "
                f"{tag!r}; name the right column with --columns."
            )
        return None
    found = _find_tag(sentences, task, lambda tag: not belongs_to(tag, scheme))
    if found:
        sentence, place = found
        raise InputError(
            f"{line_of(sentence, place)}: the tag {sentence.tags[task][place]!r} of "
            f"{sentence.tokens[place]!r} is none of {scheme}, in which the column {task!r} is written; "
            "correct it or name another column."
        )
    return scheme


def require_spans(sentences: Sequence[Sentence], task: str) -> None:
    """Refuse a part that is to be learnt or chosen by and marks nothing.

    Raises:
        InputError: Every tag of the column is O.
    """
    if all(tag == "O" for sentence in sentences for tag in sentence.tags[task]):
        path = sentences[0].source.rpartition(":")[0] or "The corpus"
        raise InputError(
            f"{path}: the column {task!r} holds no span at all, only O; name the right column with "
            "--columns, or give a file with spans."
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
    seen = {_label(tag, has_spans) for tag in known} | ({""} if has_spans else set())
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
