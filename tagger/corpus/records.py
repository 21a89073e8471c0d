"""One record of JSON values, as annotation tools write them a line, to sentences; and our own from sentences.

All offsets count characters (code points, as Python counts them) and are half-open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tagger.corpus.placement import TextSpan, attach_spans, place_spans, span_range
from tagger.corpus.reading import Reading
from tagger.corpus.values import boolean, each, integer, label, mapping, probability, sequence, string
from tagger.errors import InputError
from tagger.text.schemes import split_tag
from tagger.text.sentence import Alternative, Offset, Sentence, Span

SPAN_LISTS = ("spans", "entities", "ents", "label", "labels")
"""Keys under which records keep their spans."""
KEYS = {
    *("text", "data", "start", "starts_document", "text_before", "tokens", "tags", "scores", "n_best"),
    *("comments", "extra_lines", "relations", *SPAN_LISTS),
}
"""All keys of a record that are read or told of; others, as an annotation tool's own, have no place."""

NO_TOKEN = "the text holds no token and was passed over."
"""What is noted of a text that becomes no sentence."""


def read_record(record: object, reading: Reading, where: str) -> list[Sentence]:
    """Read the sentences of one record; its keys tell who wrote it.

    - Our own, a sentence each (see ``sentence_values``): ``{"text", "start", "tokens": [{"text", "start",
      "end"}], "tags": {task: […]}, "spans": {task: [{"start", "end", "label", "score"}]}}``. One with a
      ``start`` above 0 goes on with the document before, unless ``starts_document`` says otherwise.
    - Prodigy: ``{"text", "tokens": [{"text", "start", "end"}], "spans": [{"start", "end", "label"}]}``.
    - doccano: ``{"text", "label": [[start, end, label]]}``, also ``labels``, and ``data`` for ``text``; with
      relations ``{"text", "entities": [{"start_offset", "end_offset", "label"}]}``.
    - spaCy: ``[text, {"entities": [[start, end, label]]}]``, ``{"text", "ents": [{"start", "end",
      "label"}]}``.

    A text without tokens is a document and is tokenised. A plain list of spans belongs to the only task asked
    for, to ``ner`` if none is. Of a record's tasks those asked for are read, or all if none is.

    Args:
        record: What JSON holds; a value that is None counts as absent.
        reading: The tasks; how to tokenise; what becomes of problems.
        where: ``file:line`` of the record.

    Returns:
        The record's sentences; none if its text holds no token, or if it was refused and ``reading.refuse``
        returned.
    """
    try:
        values = _values(record, where)
        text = string(values.get("text", values.get("data")), "text", where)
        sentence = _given_tokens(values, text, reading, where) if "tokens" in values else None
        text_start = 0 if sentence is None else sentence.text_start
        spans = _spans(values, text, text_start, reading, where)
        _require_tasks({*spans, *({} if sentence is None else sentence.tags)}, reading, where)
    except InputError as error:
        reading.refuse(str(error))
        return []
    if sentence is None:
        if not any(name in values for name in SPAN_LISTS):
            reading.note(f"{where}: the record has no list of spans; it is read as a text without any.")
        found = place_spans(text, spans, reading, where)
    else:
        given = [sentence] if len(sentence) else []
        found = attach_spans(given, text, spans, reading, text_start=text_start)
    if not found:
        reading.note(f"{where}: {NO_TOKEN}")
    tags = {} if sentence is None else sentence.tags
    return [one for one in found if _has_one_meaning(one, tags, reading)]


def sentence_values(
    sentence: Sentence, tasks: Sequence[str], *, digits: int | None = None
) -> dict[str, object]:
    """A sentence as JSON values, which ``read_record`` reads.

    Args:
        sentence: The sentence; what is empty, or the same in most sentences, is not written.
        tasks: The tags and spans to write, in order, where it has them.
        digits: To how many digits probabilities are rounded; None for all they have.
    """

    def rounded(score: float | None) -> float | None:
        return score if score is None or digits is None else round(score, digits)

    def span_values(span: Span) -> dict[str, object]:
        start, end = span_range(sentence, span)
        text = sentence.text[start - sentence.text_start : end - sentence.text_start]
        score = rounded(span.score)
        return {"start": start, "end": end, "label": span.label, "text": text, "score": score}

    def shortened(probability: float) -> float:
        # Digits that count, since a sequence of many tags has a small probability.
        return probability if digits is None else float(f"{probability:.{digits}g}")

    values: dict[str, object] = {
        "text": sentence.text,
        "start": sentence.text_start,
        "tokens": [
            {"text": token, "start": start, "end": end}
            for token, (start, end) in zip(sentence.tokens, sentence.offsets, strict=True)
        ],
        "tags": {task: list(sentence.tags[task]) for task in tasks if task in sentence.tags},
        "spans": {
            task: [span_values(span) for span in sentence.spans[task]]
            for task in tasks
            if task in sentence.spans
        },
    }
    if sentence.starts_document != (sentence.text_start == 0):
        values["starts_document"] = sentence.starts_document
    optional: dict[str, object] = {
        "text_before": sentence.text_before,
        "comments": list(sentence.comments),
        "extra_lines": [list(line) for line in sentence.extra_lines],
        "scores": {
            task: list(map(rounded, sentence.tag_scores[task]))
            for task in tasks
            if task in sentence.tag_scores
        },
        "n_best": {
            task: [
                {"tags": list(one.tags), "probability": shortened(one.probability)}
                for one in sentence.alternatives[task]
            ]
            for task in tasks
            if task in sentence.alternatives
        },
    }
    return values | {name: value for name, value in optional.items() if value}


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


def require_no_columns(reading: Reading, path: str | Path) -> None:
    """Raise InputError if columns are named for a format that has none."""
    if reading.columns is not None:
        raise InputError(f"{path}: the format has no columns; leave them out, or say the format conll.")


def read_span(values: object, text: str, where: str, *, text_start: int = 0) -> TextSpan:
    """Read a span: ``[start, end, label]``, or a mapping with these and perhaps ``text`` and ``score``.

    Args:
        values: The span.
        text: What it lies in; its own ``text`` has to be what stands there.
        where: ``file:line``, kept in the span.
        text_start: Position of ``text`` in the document.

    Raises:
        InputError: If it is none, its label is empty or holds white space, or its text is another.
    """
    if not isinstance(values, Mapping):
        triple = sequence(values, "span", where)
        if len(triple) != 3:
            raise InputError(f"{where}: the span {values!r:.60} is not [start, end, label]; write it so.")
        values = dict(zip(("start", "end", "label"), triple, strict=True))
    its = mapping(values, "span", where)
    span = TextSpan(
        integer(its.get("start", its.get("start_offset")), "start of a span", where),
        integer(its.get("end", its.get("end_offset")), "end of a span", where),
        label(its.get("label"), where),
        probability(its["score"], "score of a span", where) if "score" in its else None,
        where,
    )
    if "text" in its:
        require_text(string(its["text"], "text of a span", where), span, text, text_start=text_start)
    return span


def require_text(given: str, span: TextSpan, text: str, *, text_start: int = 0) -> None:
    """Raise InputError if a span inside the text does not cover the characters that it is said to cover."""
    first, last = span.start - text_start, span.end - text_start
    if 0 <= first <= last <= len(text) and given != text[first:last]:
        raise InputError(
            f"{span.where}: the span [{span.start}, {span.end}) ({span.label}) should be {given!r}, but the "
            f"text has {text[first:last]!r} there; correct the offsets, which count characters, not bytes."
        )


def _values(record: object, where: str) -> dict[str, object]:
    """Return the record as a mapping, without the values that are None."""
    if isinstance(record, Sequence) and not isinstance(record, str) and len(record) == 2:
        text, annotations = record
        if isinstance(text, str) and isinstance(annotations, Mapping):
            record = {**annotations, "text": text}
    if not isinstance(record, Mapping):
        raise InputError(
            f"{where}: {record!r:.60} is no record; expected an object with a text and its spans, or [text, "
            '{"entities": [[start, end, label]]}].'
        )
    return mapping(record, "record", where)


def _spans(
    values: Mapping[str, object], text: str, text_start: int, reading: Reading, where: str
) -> dict[str, list[TextSpan]]:
    """Read the record's spans by task; one that is wrong is refused by itself."""
    if values.get("relations"):
        reading.note(f"{where}: the relations were left out; no sentence holds them.")
    if isinstance(values.get("spans"), Mapping):
        lists = _of_tasks(values, "spans", reading, where)
    else:
        names = [name for name in SPAN_LISTS if name in values]
        if len(names) > 1:
            raise InputError(f"{where}: the record has {names[0]!r} and {names[1]!r}; keep one of them.")
        lists = {flat_task(reading, where): values[name] for name in names}
    found: dict[str, list[TextSpan]] = {task: [] for task in lists}
    for task, spans in lists.items():
        for span in sequence(spans, "list of spans", where):
            try:
                found[task].append(read_span(span, text, where, text_start=text_start))
            except InputError as error:
                reading.refuse(str(error))
    return found


def _require_tasks(tasks: set[str], reading: Reading, where: str) -> None:
    for task in reading.tasks:
        if task not in tasks:
            raise InputError(
                f"{where}: the record has no tags of the task {task!r}; ask for a task that it has, or give "
                f"its spans under one of {', '.join(SPAN_LISTS)}, an empty list where there are none."
            )


def _has_one_meaning(sentence: Sentence, tags: Mapping[str, Sequence[str]], reading: Reading) -> bool:
    """Refuse a sentence whose spans give a token another label than the tags that stood beside them do."""
    for task in tags.keys() & sentence.spans.keys():
        its = tags[task]
        marked = [split_tag(tag)[1] for tag in its]
        spanned = [""] * len(its)
        for span in sentence.spans[task]:
            spanned[span.start : span.end] = [span.label] * (span.end - span.start)
        if marked != spanned:
            place = next(place for place, label in enumerate(marked) if label != spanned[place])
            reading.refuse(
                f"{sentence.source}: the tag {its[place]!r} of {sentence.tokens[place]!r} and the spans of "
                f"{task} do not say the same; correct one of them, or leave out the tags or the spans."
            )
            return False
    return True


def _given_tokens(values: Mapping[str, object], text: str, reading: Reading, where: str) -> Sentence:
    """Read the sentence of a record with tokens, with everything but its spans."""
    text_start = integer(values.get("start", 0), "start", where)
    if text_start < 0:
        raise InputError(f"{where}: the start is {text_start}; give the text's place in its document.")
    count = len(sequence(values["tokens"], "list of tokens", where))
    extra_lines = tuple(
        _extra_line(line, count, where)
        for line in sequence(values.get("extra_lines", ()), "list of extra lines", where)
    )
    # The words of a multi-word token need not be what the text has.
    tokens = _tokens(values["tokens"], text, text_start, where, is_exact=not extra_lines)
    return Sentence(
        tokens=tuple(token for token, _ in tokens),
        offsets=tuple(offset for _, offset in tokens),
        text=text,
        text_start=text_start,
        tags={
            task: each(tags, len(tokens), string, f"tag of {task}", where)
            for task, tags in _of_tasks(values, "tags", reading, where).items()
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
            for task, scores in _of_tasks(values, "scores", reading, where).items()
        },
        alternatives={
            task: tuple(
                _alternative(one, len(tokens), where) for one in sequence(its, "list of alternatives", where)
            )
            for task, its in _of_tasks(values, "n_best", reading, where).items()
        },
    )


def _tokens(
    values: object, text: str, text_start: int, where: str, *, is_exact: bool
) -> list[tuple[str, Offset]]:
    """Read the tokens and their places in the document.

    Raises:
        InputError: If they are not in order, leave the text or, if ``is_exact``, are not what it has there.
    """
    tokens: list[tuple[str, Offset]] = []
    start_before = end_before = text_start
    for value in sequence(values, "list of tokens", where):
        token = mapping(value, "token", where)
        form = string(token.get("text"), "text of a token", where)
        start, end = (integer(token.get(name), f"{name} of a token", where) for name in ("start", "end"))
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
                "correct the offsets, which count characters of the document, not bytes."
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


def _of_tasks(values: Mapping[str, object], name: str, reading: Reading, where: str) -> dict[str, object]:
    """Return what stands under a name for each of the tasks that are asked for."""
    its = mapping(values.get(name, {}), f"value of {name}", where)
    return {task: value for task, value in its.items() if not reading.tasks or task in reading.tasks}
