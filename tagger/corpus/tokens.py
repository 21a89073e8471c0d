"""Tokens with offsets in JSON records, and all that such a record says of them but its spans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tagger.corpus.placement import TextSpan
from tagger.corpus.reading import Reading
from tagger.corpus.values import boolean, each, integer, mapping, probability, sequence, string
from tagger.errors import InputError
from tagger.text.sentence import Alternative, Offset, Sentence


def flat_task(reading: Reading, where: str | Path) -> str:
    """The task that spans belong to where a file does not name one.

    Raises:
        InputError: If several tasks are asked for.
    """
    if len(reading.tasks) > 1:
        raise InputError(
            f"{where}: the spans do not say to which of the tasks {', '.join(reading.tasks)} they belong; "
            "ask for one task."
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
    """Read the sentence of a record with tokens, with everything but its spans.

    Args:
        values: The record.
        text: What its tokens were cut from.
        text_start: Position of the text in the document.
        raw: The tokens, counted in characters.
        reading: The tasks.
        where: ``file:line`` of the record.

    Raises:
        InputError: If something in it is missing or wrong.
    """
    if text_start < 0:
        raise InputError(f"{where}: the start is {text_start}; give the text's place in its document.")
    count = len(raw)
    extra_lines = tuple(
        _extra_line(line, count, where)
        for line in sequence(values.get("extra_lines", ()), "list of extra lines", where)
    )
    # The words of a multi-word token need not be what the text has.
    tokens = _tokens(raw, text, text_start, where, is_exact=not extra_lines)
    return Sentence(
        tokens=tuple(token for token, _ in tokens),
        offsets=tuple(offset for _, offset in tokens),
        text=text,
        text_start=text_start,
        tags={
            task: each(tags, len(tokens), string, f"tag of {task}", where)
            for task, tags in of_tasks(values, "tags", reading, where).items()
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
            for task, scores in of_tasks(values, "scores", reading, where).items()
        },
        alternatives={
            task: tuple(
                _alternative(one, len(tokens), where) for one in sequence(its, "list of alternatives", where)
            )
            for task, its in of_tasks(values, "n_best", reading, where).items()
        },
    )


def raw_tokens(values: Mapping[str, object], where: str) -> list[TextSpan] | None:
    """Read the tokens with the offsets that the record gives; None if it has no list of them.

    Raises:
        InputError: If one has no text or no offsets.
    """
    if "tokens" not in values:
        return None
    found = []
    for value in sequence(values["tokens"], "list of tokens", where):
        token = mapping(value, "token", where)
        form = string(token.get("text"), "text of a token", where)
        start, end = (integer(token.get(name), f"{name} of a token", where) for name in ("start", "end"))
        found.append(TextSpan(start, end, "token", where=where, text=form))
    return found


def _tokens(
    raw: Sequence[TextSpan], text: str, text_start: int, where: str, *, is_exact: bool
) -> list[tuple[str, Offset]]:
    """Return the tokens and their places in the document.

    Raises:
        InputError: If they are not in order, leave the text or, if ``is_exact``, are not what it has there.
    """
    tokens: list[tuple[str, Offset]] = []
    start_before = end_before = text_start
    for token in raw:
        form, start, end = token.text or "", token.start, token.end
        is_in_order = start_before <= start < end and end_before <= end <= text_start + len(text)
        if not form or not is_in_order or (is_exact and start < end_before):
            raise InputError(
                f"{where}: the token {form!r} [{start}, {end}) is empty, leaves the text or does not come "
                "after the one before; give the tokens in order, with offsets in the document."
            )
        there = text[start - text_start : end - text_start]
        if is_exact and form != there:
            raise InputError(
                f"{where}: the token [{start}, {end}) should be {form!r}, but the text has {there!r} there; "
                "correct the offsets in the document, or say what they count with --offsets."
            )
        start_before, end_before = start, end
        tokens.append((form, (start, end)))
    return tokens


def _extra_line(value: object, count: int, where: str) -> tuple[int, str]:
    pair = sequence(value, "extra line", where)
    if len(pair) != 2:
        raise InputError(f"{where}: the extra line {value!r:.60} is not [place, line]; write it so.")
    place = integer(pair[0], "place of an extra line", where)
    if not 0 <= place <= count:
        raise InputError(
            f"{where}: the place of the extra line {value!r:.60} is none of 0 to {count}; give the index of "
            "the token that it stands before."
        )
    return place, string(pair[1], "extra line", where)


def _alternative(value: object, count: int, where: str) -> Alternative:
    its = mapping(value, "alternative", where)
    return Alternative(
        each(its.get("tags"), count, string, "tag of an alternative", where),
        probability(its.get("probability"), "probability of an alternative", where),
    )


def of_tasks(values: Mapping[str, object], name: str, reading: Reading, where: str) -> dict[str, object]:
    """Return the values under a name for each of the requested tasks."""
    its = mapping(values.get(name, {}), f"value of {name}", where)
    return {task: value for task, value in its.items() if not reading.tasks or task in reading.tasks}
