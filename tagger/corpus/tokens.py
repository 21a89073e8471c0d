"""Read JSON records of tokens with offsets, except their spans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tagger.corpus.placement import TextSpan
from tagger.corpus.reading import Reading
from tagger.corpus.values import boolean, each, integer, mapping, probability, sequence, string
from tagger.errors import InputError
from tagger.text.sentence import Alternative, Offset, Sentence


def flat_task(reading: Reading, where: str | Path) -> str:
    """Return the task of spans in a file that does not name tasks.

    Raises:
        InputError: If several tasks are requested.
    """
    if len(reading.tasks) > 1:
        raise InputError(
            "the spans do not name their task, but several tasks are requested (got "
            f"{', '.join(reading.tasks)}). Request one task.",
            code="corpus.task",
            where=where,
            option="--task",
        )
    return reading.tasks[0] if reading.tasks else "ner"


def read_tokens(
    values: Mapping[str, object],
    text: str,
    text_start: int,
    raw: Sequence[TextSpan],
    reading: Reading,
    where: str,
) -> Sentence:
    """Read the sentence of a record with tokens, except its spans.

    Args:
        values: The record.
        text: The text of the tokens.
        text_start: Position of the text in the document.
        raw: The tokens, with offsets in characters.
        reading: The reader options.
        where: ``file:line`` of the record.

    Raises:
        InputError: If a value is missing or invalid.
    """
    if text_start < 0:
        raise InputError(
            f"start must be at least 0 (got {text_start}). Write the text's position in its document.",
            code="corpus.offsets",
            where=where,
        )
    count = len(raw)
    extra_lines = tuple(
        _extra_line(line, count, where)
        for line in sequence(values.get("extra_lines", ()), "list of extra lines", where)
    )
    # The words of a multi-word token may differ from the text.
    tokens = _tokens(raw, text, text_start, where, is_exact=not extra_lines)
    return Sentence(
        tokens=tuple(token for token, _ in tokens),
        offsets=tuple(offset for _, offset in tokens),
        text=text,
        text_start=text_start,
        tags={
            task: each(tags, len(tokens), string, f"tag of {task}", where)
            for task, tags in values_by_task(values, "tags", reading, where).items()
        },
        starts_document=boolean(
            values.get("starts_document", text_start == 0), "value of starts_document", where
        ),
        source=where,
        comments=tuple(
            string(comment, "comment", where)
            for comment in sequence(values.get("comments", ()), "list of comments", where)
        ),
        extra_lines=extra_lines,
        text_before=string(values.get("text_before", ""), "text_before", where),
        tag_scores={
            task: each(scores, len(tokens), probability, f"score of {task}", where)
            for task, scores in values_by_task(values, "scores", reading, where).items()
        },
        alternatives={
            task: tuple(
                _alternative(item, len(tokens), where)
                for item in sequence(items, "list of alternatives", where)
            )
            for task, items in values_by_task(values, "n_best", reading, where).items()
        },
    )


def raw_tokens(values: Mapping[str, object], where: str) -> list[TextSpan] | None:
    """Read the tokens with the record's original offsets. None if it has no list of tokens.

    Raises:
        InputError: If a token has no text or no offsets.
    """
    if "tokens" not in values:
        return None
    result = []
    for value in sequence(values["tokens"], "list of tokens", where):
        token = mapping(value, "token", where)
        form = string(token.get("text"), "text of a token", where)
        start, end = (integer(token.get(name), f"{name} of a token", where) for name in ("start", "end"))
        result.append(TextSpan(start, end, "token", where=where, text=form))
    return result


def _tokens(
    raw: Sequence[TextSpan], text: str, text_start: int, where: str, *, is_exact: bool
) -> list[tuple[str, Offset]]:
    """Return the tokens and their offsets in the document.

    Raises:
        InputError: If they are not in order, exceed the text or, if ``is_exact``, differ from the text.
    """
    tokens: list[tuple[str, Offset]] = []
    start_before = end_before = text_start
    for token in raw:
        form, start, end = token.text or "", token.start, token.end
        is_in_order = start_before <= start < end and end_before <= end <= text_start + len(text)
        if not form or not is_in_order or (is_exact and start < end_before):
            raise InputError(
                f"the token {form!r} [{start}, {end}) is empty, exceeds the text or does not follow "
                "the previous token. Write the tokens in order, with offsets in the document.",
                code="corpus.offsets",
                where=where,
            )
        covered = text[start - text_start : end - text_start]
        if is_exact and form != covered:
            raise InputError(
                f"the token [{start}, {end}) should cover {form!r} (got {covered!r}). Correct the "
                "offsets in the document, or set their unit with --offsets.",
                code="corpus.offsets",
                where=where,
                option="--offsets",
            )
        start_before, end_before = start, end
        tokens.append((form, (start, end)))
    return tokens


def _extra_line(value: object, count: int, where: str) -> tuple[int, str]:
    pair = sequence(value, "extra line", where)
    if len(pair) != 2:
        raise InputError(
            f"an extra line must be [index, line] (got {value!r:.60}). Correct it.",
            code="corpus.record",
            where=where,
        )
    index = integer(pair[0], "index of an extra line", where)
    if not 0 <= index <= count:
        raise InputError(
            f"the index of an extra line must be from 0 to {count} (got {value!r:.60}). Write the "
            "index of the token that follows the line.",
            code="corpus.record",
            where=where,
        )
    return index, string(pair[1], "extra line", where)


def _alternative(value: object, count: int, where: str) -> Alternative:
    fields = mapping(value, "alternative", where)
    return Alternative(
        each(fields.get("tags"), count, string, "tag of an alternative", where),
        probability(fields.get("probability"), "probability of an alternative", where),
    )


def values_by_task(
    values: Mapping[str, object], name: str, reading: Reading, where: str
) -> dict[str, object]:
    """Return the values under a name for each requested task."""
    by_task = mapping(values.get(name, {}), f"value of {name}", where)
    return {task: value for task, value in by_task.items() if not reading.tasks or task in reading.tasks}
