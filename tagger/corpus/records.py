"""One record of JSON values, as annotation tools write them a line, to sentences; and our own from sentences.

All offsets count characters (code points, as Python counts them) and are half-open.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tagger.corpus.offsets import OffsetUnits, Ruler, is_same_text
from tagger.corpus.placement import TextSpan, attach_spans, place_spans, span_range
from tagger.corpus.reading import Reading
from tagger.corpus.token_records import TokenRecords, is_token_record
from tagger.corpus.tokens import flat_task, of_tasks, raw_tokens, read_tokens
from tagger.corpus.values import integer, label, listed, mapping, probability, sequence, string
from tagger.errors import InputError
from tagger.text.schemes import split_tag
from tagger.text.sentence import Sentence, Span

SPAN_LISTS = ("spans", "entities", "ents", "label", "labels", "annotations")
"""Keys under which records keep their spans."""
_APPROVER = "annotation_approver"
KEYS = {
    *("text", "data", "start", "starts_document", "text_before", "tokens", "tags", "scores", "n_best"),
    *("comments", "extra_lines", "relations", *SPAN_LISTS),
    *("answer", "status", "is_confirmed", "confirmed", _APPROVER),
}
"""All keys of a record that are read or told of; others, as an annotation tool's own, have no place."""

_NOT_GOLD: dict[str, frozenset[object]] = {
    "answer": frozenset(["reject", "ignore"]),  # Prodigy
    "status": frozenset(["discarded", "draft", "pending", "rejected", "ignored", "skipped"]),  # Argilla
    "is_confirmed": frozenset([False]),  # doccano
    "confirmed": frozenset([False]),
}
"""What annotation tools write in records that nobody accepted, in lower case."""
GOLD_KEYS = (*_NOT_GOLD, _APPROVER)
"""Keys that say whether a record is gold."""

NO_TOKEN = "the text holds no token and was passed over."
"""What is noted of a text that becomes no sentence."""


class Records:
    """Reads the records of one file, and notes once a file whatever stands in many of them.

    Args:
        path: The file, for messages.
        reading: The tasks; how to tokenise; what the offsets count; what becomes of problems.
    """

    def __init__(self, path: str | Path, reading: Reading) -> None:
        self._path = path
        self._reading = reading
        self._units = OffsetUnits(reading, path)
        self._tokens = TokenRecords(path, reading)
        self._not_gold: dict[str, tuple[int, str]] = {}  # reason: how many records, place of the first
        self._others: dict[str, None] = {}  # a set that keeps its order

    def read(self, record: object, where: str) -> list[Sentence]:
        """Read the sentences of one record, see ``read_record``."""
        try:
            values = _values(record, where)
            reason = _reason_not_gold(values)
            if reason is not None:
                self._count(reason, where)
                return []
            if isinstance(record, Mapping) and record.get(_APPROVER, "") is None:
                self._count(_APPROVER, where)
            if is_token_record(values):
                found, used = self._tokens.read(values, where)
                used.update(GOLD_KEYS)
                self._others.update(dict.fromkeys(key for key in values if key not in used))
                return found
            self._others.update(dict.fromkeys(key for key in values if key not in KEYS))
            return self._read_text(values, where)
        except InputError as error:
            self._reading.refuse(str(error))
            return []

    def finish(self) -> None:
        """Note what was counted."""
        for reason, (count, first) in self._not_gold.items():
            records = "1 record" if count == 1 else f"{count:,} records"
            if reason == _APPROVER:
                message = f"{records} without {_APPROVER} (first at {first}), read as gold all the same."
            else:
                message = f"{records} with {reason} left out (first at {first}); only accepted ones are gold."
            self._reading.note(f"{self._path}: {message}")
        self._tokens.finish()
        if self._others:
            self._reading.note(
                f"{self._path}: what records hold as {listed(self._others)} was left out; no sentence has a "
                "place for it."
            )

    def _count(self, reason: str, where: str) -> None:
        count, first = self._not_gold.get(reason, (0, where))
        self._not_gold[reason] = (count + 1, first)

    def _read_text(self, values: Mapping[str, object], where: str) -> list[Sentence]:
        """Read a record of running text, with or without tokens."""
        reading = self._reading
        text = string(values.get("text", values.get("data")), _text_name(values), where)
        start = integer(values.get("start", 0), "start", where)
        raw = raw_tokens(values, where)
        spans, tokens = self._in_characters(
            text, start, _spans(values, reading, where), raw, where, is_exact="extra_lines" not in values
        )
        sentence = None if tokens is None else read_tokens(values, text, start, tokens, reading, where)
        _require_tasks({*spans, *({} if sentence is None else sentence.tags)}, reading, where)
        if sentence is None:
            if not any(name in values for name in SPAN_LISTS):
                reading.note(f"{where}: the record has no list of spans; it is read as a text without any.")
            found = place_spans(text, spans, reading, where)
        else:
            given = [sentence] if len(sentence) else []
            found = attach_spans(given, text, spans, reading, text_start=start)
        if not found:
            reading.note(f"{where}: {NO_TOKEN}")
        tags = {} if sentence is None else sentence.tags
        return [one for one in found if _has_one_meaning(one, tags, reading)]

    def _in_characters(
        self,
        text: str,
        start: int,
        spans: Mapping[str, Sequence[TextSpan]],
        tokens: Sequence[TextSpan] | None,
        where: str,
        *,
        is_exact: bool,
    ) -> tuple[dict[str, list[TextSpan]], Sequence[TextSpan] | None]:
        """Return the spans and tokens counted in characters; a span that is wrong is refused by itself."""
        given = [span for its in spans.values() for span in its]
        evidence = [*given, *(tokens or ())] if is_exact else given
        ruler = Ruler(text, self._units.choose(text, evidence, where, text_start=start), start)
        found: dict[str, list[TextSpan]] = {}
        for task, its in spans.items():
            found[task] = []
            for span in its:
                try:
                    (converted,) = ruler.convert([span])
                    require_text(converted, text, text_start=start)
                except InputError as error:
                    self._reading.refuse(str(error))
                else:
                    found[task].append(converted)
        return found, None if tokens is None else ruler.convert(tokens)


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
    - Tokens without offsets, see ``token_records``: ``{"tokens": [str], "ner_tags": [tag]}`` and GLiNER's
      ``{"tokenized_text": [str], "ner": [[first, last, label]]}``.

    A text without tokens is a document and is tokenised. A plain list of spans belongs to the only task asked
    for, to ``ner`` if none is. Of a record's tasks those asked for are read, or all if none is. A record that
    its annotator rejected, ignored, discarded or did not confirm (``_NOT_GOLD``) is left out.

    Args:
        record: What JSON holds; a value that is None counts as absent.
        reading: The tasks; how to tokenise; what becomes of problems.
        where: ``file:line`` of the record.

    Returns:
        The record's sentences; none if its text holds no token, if it is not gold, or if it was refused and
        ``reading.refuse`` returned.
    """
    records = Records(where, reading)
    found = records.read(record, where)
    records.finish()
    return found


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


def require_no_columns(reading: Reading, path: str | Path) -> None:
    """Raise InputError if columns are named for a format that has none."""
    if reading.columns is not None:
        raise InputError(f"{path}: the format has no columns; leave them out, or say the format conll.")


def read_span(values: object, where: str) -> TextSpan:
    """Read a span: ``[start, end, label]``, or a mapping with these and perhaps ``text`` and ``score``.

    Args:
        values: The span.
        where: ``file:line``, kept in the span.

    Raises:
        InputError: If it is none, or no tag can hold its label.
    """
    if not isinstance(values, Mapping):
        triple = sequence(values, "span", where)
        if len(triple) != 3:
            raise InputError(f"{where}: the span {values!r:.60} is not [start, end, label]; write it so.")
        values = dict(zip(("start", "end", "label"), triple, strict=True))
    its = mapping(values, "span", where)
    labels = its.get("labels")
    if "label" not in its and isinstance(labels, Sequence) and len(labels) == 1:  # as Label Studio writes it
        its["label"] = labels[0]
    return TextSpan(
        integer(its.get("start", its.get("start_offset")), "start of a span", where),
        integer(its.get("end", its.get("end_offset")), "end of a span", where),
        label(its.get("label"), where),
        probability(its["score"], "score of a span", where) if "score" in its else None,
        where,
        string(its["text"], "text of a span", where) if "text" in its else None,
    )


def require_text(span: TextSpan, text: str, *, text_start: int = 0) -> None:
    """Raise InputError if a span inside the text does not cover what it is said to cover."""
    first, last = span.start - text_start, span.end - text_start
    if span.text is None or not 0 <= first <= last <= len(text):
        return
    if not is_same_text(span.text, text[first:last]):
        raise InputError(
            f"{span.where}: the span [{span.start}, {span.end}) ({span.label}) should be {span.text!r}, but "
            f"the text has {text[first:last]!r} there; correct the offsets, or say what they count with "
            "--offsets."
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


def _reason_not_gold(values: Mapping[str, object]) -> str | None:
    """Why a record is no gold annotation, None if nothing says that it is not."""
    for key, rejected in _NOT_GOLD.items():
        value = values.get(key)
        if isinstance(value, str | bool) and (value.lower() if isinstance(value, str) else value) in rejected:
            return f"{key} {json.dumps(value)}"
    return None


def _text_name(values: Mapping[str, object]) -> str:
    """What to call the text in messages; where there is none, with what the record has instead."""
    if not values or "text" in values or "data" in values:
        return "text"
    return f"text and no tokens (the keys are {listed(values)})"


def _spans(values: Mapping[str, object], reading: Reading, where: str) -> dict[str, list[TextSpan]]:
    """Read the record's spans by task; one that is wrong is refused by itself."""
    if values.get("relations"):
        reading.note(f"{where}: the relations were left out; no sentence holds them.")
    if isinstance(values.get("spans"), Mapping):
        lists = of_tasks(values, "spans", reading, where)
    else:
        names = [name for name in SPAN_LISTS if name in values]
        if len(names) > 1:
            raise InputError(f"{where}: the record has {names[0]!r} and {names[1]!r}; keep one of them.")
        lists = {flat_task(reading, where): values[name] for name in names}
    found: dict[str, list[TextSpan]] = {task: [] for task in lists}
    for task, spans in lists.items():
        for span in sequence(spans, "list of spans", where):
            try:
                found[task].append(read_span(span, where))
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
