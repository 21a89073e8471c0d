"""Convert JSON records of annotation tools to sentences; ``text.sentence.sentence_values`` is the reverse.

All offsets count characters (code points, as in Python) and are half-open.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tagger.corpus.offsets import OffsetUnits, Ruler, is_same_text
from tagger.corpus.placement import TextSpan, attach_spans, place_spans
from tagger.corpus.reading import Reading
from tagger.corpus.token_records import TokenRecords, is_token_record
from tagger.corpus.tokens import flat_task, raw_tokens, read_tokens, values_by_task
from tagger.corpus.values import integer, join_names, label, mapping, probability, sequence, string
from tagger.errors import InputError
from tagger.text.schemes import split_tag
from tagger.text.sentence import Sentence

SPAN_LISTS = ("spans", "entities", "ents", "label", "labels", "annotations")
"""Keys of a record's list of spans."""
_APPROVER = "annotation_approver"
KEYS = {
    *("text", "data", "start", "starts_document", "text_before", "tokens", "tags", "scores", "n_best"),
    *("comments", "extra_lines", "relations", *SPAN_LISTS),
    *("answer", "status", "is_confirmed", "confirmed", _APPROVER),
}
"""All keys of a record that are read or reported. Other keys belong to annotation tools and are ignored."""

_NOT_GOLD: dict[str, frozenset[object]] = {
    "answer": frozenset(["reject", "ignore"]),  # Prodigy
    "status": frozenset(["discarded", "draft", "pending", "rejected", "ignored", "skipped"]),  # Argilla
    "is_confirmed": frozenset([False]),  # doccano
    "confirmed": frozenset([False]),
}
"""Values, in lower case, that annotation tools write for records without an accepted annotation."""
GOLD_KEYS = (*_NOT_GOLD, _APPROVER)
"""Keys that tell if a record is gold."""

NO_TOKEN = "the text has no tokens and was skipped."
"""Warning about a text without sentences."""
NO_SPANS = "the record has no list of spans; it is read as text without spans."
"""Warning about a record that is not annotated."""


class Records:
    """Read the records of one file and report frequent warnings once per file.

    Args:
        path: The file, for messages.
        reading: The reader options.
    """

    def __init__(self, path: str | Path, reading: Reading) -> None:
        self._path = path
        self._reading = reading
        self._units = OffsetUnits(reading, path)
        self._tokens = TokenRecords(path, reading)
        self._not_gold: dict[str, tuple[int, str]] = {}  # reason: number of records, location of the first
        self._others: dict[str, None] = {}  # an ordered set

    def read(self, record: object, where: str) -> list[Sentence]:
        """Read the sentences of one record (see ``read_record``)."""
        try:
            values = _values(record, where)
            reason = _reason_not_gold(values)
            if reason is not None:
                self._count(reason, where)
                return []
            if isinstance(record, Mapping) and record.get(_APPROVER, "") is None:
                self._count(_APPROVER, where)
            if is_token_record(values):
                sentences, used = self._tokens.read(values, where)
                used.update(GOLD_KEYS)
                self._others.update(dict.fromkeys(key for key in values if key not in used))
                return sentences
            self._others.update(dict.fromkeys(key for key in values if key not in KEYS))
            return self._read_text(values, where)
        except InputError as error:
            self._reading.on_error(error)
            return []

    def finish(self) -> None:
        """Report the warnings that were counted."""
        for reason, (count, first) in self._not_gold.items():
            records = "1 record" if count == 1 else f"{count:,} records"
            if reason == _APPROVER:
                message = f"{records} without {_APPROVER} (first at {first}) read as gold."
            else:
                message = f"{records} with {reason} skipped (first at {first}); only accepted ones are gold."
            self._reading.warn(f"{self._path}: {message}")
        self._tokens.finish()
        if self._others:
            self._reading.warn(
                f"{self._path}: the record keys {join_names(self._others)} were ignored; sentences have no "
                "field for them."
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
                reading.warn(f"{where}: {NO_SPANS}")
            sentences = place_spans(text, spans, reading, where)
        else:
            unaligned = [sentence] if len(sentence) else []
            sentences = attach_spans(unaligned, text, spans, reading, text_start=start)
        if not sentences:
            reading.warn(f"{where}: {NO_TOKEN}")
        tags = {} if sentence is None else sentence.tags
        return [aligned for aligned in sentences if _tags_match_spans(aligned, tags, reading)]

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
        """Convert the offsets of spans and tokens to characters. Invalid spans are reported one by one."""
        evidence = [span for task_spans in spans.values() for span in task_spans]
        evidence += tokens or () if is_exact else ()
        ruler = Ruler(text, self._units.choose(text, evidence, where, text_start=start), start)
        result: dict[str, list[TextSpan]] = {}
        for task, task_spans in spans.items():
            result[task] = []
            for span in task_spans:
                try:
                    (converted,) = ruler.convert([span])
                    require_text(converted, text, text_start=start)
                except InputError as error:
                    self._reading.on_error(error)
                else:
                    result[task].append(converted)
        return result, None if tokens is None else ruler.convert(tokens)


def read_record(record: object, reading: Reading, where: str) -> list[Sentence]:
    """Read the sentences of one record. Its keys determine the dialect.

    - tagger's own, one sentence per record (see ``sentence.sentence_values``): ``{"text", "start", "tokens":
      [{"text", "start", "end"}], "tags": {task: […]}, "spans": {task: [{"start", "end", "label",
      "score"}]}}``. A record with ``start`` above 0 continues the previous document, unless it has
      ``starts_document``.
    - Prodigy: ``{"text", "tokens": [{"text", "start", "end"}], "spans": [{"start", "end", "label"}]}``.
    - doccano: ``{"text", "label": [[start, end, label]]}``, also ``labels``, and ``data`` for ``text``; with
      relations ``{"text", "entities": [{"start_offset", "end_offset", "label"}]}``.
    - spaCy: ``[text, {"entities": [[start, end, label]]}]``, ``{"text", "ents": [{"start", "end",
      "label"}]}``.
    - Tokens without offsets (see ``token_records``): ``{"tokens": [str], "ner_tags": [tag]}`` and GLiNER's
      ``{"tokenized_text": [str], "ner": [[first, last, label]]}``.

    A text without tokens is a document and is tokenized. A plain list of spans belongs to the only requested
    task, by default ``ner``. The reader reads the requested tasks, by default all. It skips records that the
    annotator rejected, ignored, discarded or did not confirm (``_NOT_GOLD``).

    Args:
        record: A JSON value. Keys whose value is None count as absent.
        reading: The reader options.
        where: ``file:line`` of the record.

    Returns:
        The record's sentences. The list is empty if the text has no tokens, if the record is not gold, or if
        it is invalid and ``reading.on_error`` returns.
    """
    records = Records(where, reading)
    sentences = records.read(record, where)
    records.finish()
    return sentences


def require_no_columns(reading: Reading, path: str | Path) -> None:
    """Raise InputError if the options name columns for a format that has none."""
    if reading.columns is not None:
        raise InputError(
            "the format has no columns. Leave them out, or choose the format conll.",
            code="corpus.columns",
            where=path,
            option="--columns",
        )


def read_span(values: object, where: str) -> TextSpan:
    """Read a span: ``[start, end, label]``, or a mapping with these keys and optional ``text`` and ``score``.

    Args:
        values: The span.
        where: ``file:line``, stored in the span.

    Raises:
        InputError: If the value is not a span, or the label is not valid in a tag.
    """
    if not isinstance(values, Mapping):
        triple = sequence(values, "span", where)
        if len(triple) != 3:
            raise InputError(
                f"a span must be [start, end, label] (got {values!r:.60}). Correct it.",
                code="corpus.record",
                where=where,
            )
        values = dict(zip(("start", "end", "label"), triple, strict=True))
    fields = mapping(values, "span", where)
    labels = fields.get("labels")
    if "label" not in fields and isinstance(labels, Sequence) and len(labels) == 1:  # Label Studio's spelling
        fields["label"] = labels[0]
    return TextSpan(
        integer(fields.get("start", fields.get("start_offset")), "start of a span", where),
        integer(fields.get("end", fields.get("end_offset")), "end of a span", where),
        label(fields.get("label"), where),
        probability(fields["score"], "score of a span", where) if "score" in fields else None,
        where,
        string(fields["text"], "text of a span", where) if "text" in fields else None,
    )


def require_text(span: TextSpan, text: str, *, text_start: int = 0) -> None:
    """Raise InputError if a span inside the text does not cover its declared text."""
    first, last = span.start - text_start, span.end - text_start
    if span.text is None or not 0 <= first <= last <= len(text):
        return
    if not is_same_text(span.text, text[first:last]):
        raise InputError(
            f"the span [{span.start}, {span.end}) ({span.label}) should cover {span.text!r} "
            f"(got {text[first:last]!r}). Correct the offsets, or set their unit with --offsets.",
            code="corpus.offsets",
            where=span.where,
            option="--offsets",
        )


def _values(record: object, where: str) -> dict[str, object]:
    """Return the record as a mapping without None values."""
    if isinstance(record, Sequence) and not isinstance(record, str) and len(record) == 2:
        text, annotations = record
        if isinstance(text, str) and isinstance(annotations, Mapping):
            record = {**annotations, "text": text}
    if not isinstance(record, Mapping):
        raise InputError(
            "a record must be an object with a text and its spans, or [text, "
            f'{{"entities": [[start, end, label]]}}] (got {record!r:.60}). Correct it.',
            code="corpus.record",
            where=where,
        )
    return mapping(record, "record", where)


def _reason_not_gold(values: Mapping[str, object]) -> str | None:
    """Return why a record is not gold, or None if no key says so."""
    for key, rejected in _NOT_GOLD.items():
        value = values.get(key)
        if isinstance(value, str | bool) and (value.lower() if isinstance(value, str) else value) in rejected:
            return f"{key} {json.dumps(value)}"
    return None


def _text_name(values: Mapping[str, object]) -> str:
    """Return the name of the text in messages. Without a text, the name lists the record's keys."""
    if not values or "text" in values or "data" in values:
        return "text"
    return f"text and no tokens (the keys are {join_names(values)})"


def _spans(values: Mapping[str, object], reading: Reading, where: str) -> dict[str, list[TextSpan]]:
    """Read the record's spans by task. Invalid spans are reported one by one."""
    if values.get("relations"):
        reading.warn(f"{where}: the relations were skipped; sentences have no field for them.")
    if isinstance(values.get("spans"), Mapping):
        lists = values_by_task(values, "spans", reading, where)
    else:
        names = [name for name in SPAN_LISTS if name in values]
        if len(names) > 1:
            raise InputError(
                f"the record has both {names[0]!r} and {names[1]!r}. Keep one of them.",
                code="corpus.record",
                where=where,
            )
        lists = {flat_task(reading, where): values[name] for name in names}
    result: dict[str, list[TextSpan]] = {task: [] for task in lists}
    for task, spans in lists.items():
        for span in sequence(spans, "list of spans", where):
            try:
                result[task].append(read_span(span, where))
            except InputError as error:
                reading.on_error(error)
    return result


def _require_tasks(tasks: set[str], reading: Reading, where: str) -> None:
    for task in reading.tasks:
        if task not in tasks:
            raise InputError(
                f"the record has no tags for the task {task!r}. Request a task that it has, or add "
                f"its spans under one of {', '.join(SPAN_LISTS)}, with an empty list for no spans.",
                code="corpus.task",
                where=where,
            )


def _tags_match_spans(sentence: Sentence, tags: Mapping[str, Sequence[str]], reading: Reading) -> bool:
    """Return True if the record's tags and spans give each token the same label, else report an error."""
    for task in tags.keys() & sentence.spans.keys():
        tag_labels = [split_tag(tag)[1] for tag in tags[task]]
        span_labels = [""] * len(tag_labels)
        for span in sentence.spans[task]:
            span_labels[span.start : span.end] = [span.label] * (span.end - span.start)
        if tag_labels != span_labels:
            index = next(index for index, label in enumerate(tag_labels) if label != span_labels[index])
            reading.on_error(
                InputError(
                    f"the tag {tags[task][index]!r} of {sentence.tokens[index]!r} contradicts "
                    f"the spans of {task}. Correct one of them, or leave out the tags or the spans.",
                    code="corpus.labels",
                    where=sentence.source,
                )
            )
            return False
    return True
