"""Label Studio: read its JSON and JSON-MIN exports, and write predictions to import as pre-annotations.

See https://labelstud.io/guide/export and https://labelstud.io/guide/predictions. Offsets count characters,
or UTF-16 code units in labels made in a browser.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from tagger.corpus.jsonl import json_elements
from tagger.corpus.lines import numbered_lines
from tagger.corpus.offsets import OffsetUnits, Ruler, measure
from tagger.corpus.placement import Document, TextSpan, documents, place_spans
from tagger.corpus.reading import OffsetUnit, Reading, Writing
from tagger.corpus.records import NO_TOKEN, read_span, require_no_columns, require_text
from tagger.corpus.regions import (
    ANNOTATIONS,
    BOOKKEEPING,
    DEFAULT_NAME,
    PREDICTIONS,
    TEXT,
    Export,
    Region,
    annotations_under,
    in_text,
    is_cancelled,
    is_region_list,
    is_repeated,
    read_regions,
)
from tagger.corpus.tokens import flat_task
from tagger.corpus.values import join_names, mapping, string
from tagger.errors import InputError, Warn, ignore
from tagger.text.sentence import Sentence


def read_labelstudio(path: str | Path, reading: Reading) -> Iterator[Sentence]:
    """Read sentences from a Label Studio export, one of its tasks (texts) at a time.

    Of each text's annotations (``completions`` in old exports) that were not cancelled, the reader uses the
    ground truth, else the first. If no text of the file has annotations, it uses the first prediction of each
    text. It skips cancelled texts and, in a file with annotations, texts without any; it ignores drafts. The
    name of the control tag (``from_name``) is the task of its spans; the default name ``label`` means
    ``ner``, or the only requested task. The text is ``data.text``, or the only string in ``data``, or the one
    that contains the texts of the spans. Labels of hypertext are read if the text has no markup and the
    export has ``globalOffsets``; otherwise they are errors. Everything that is not read, such as choices and
    relations, is reported to ``reading.warn``. The file is held in memory as a string because exports often
    have a single line; its values are held one text at a time.

    Args:
        path: The file, which may be compressed with gzip.
        reading: The reader options.

    Raises:
        InputError: If columns are named; while reading, if the file cannot be read, or if its spans are
            named ``label`` and several tasks without ``ner`` are requested. All other errors go to
            ``reading.on_error``.
    """
    require_no_columns(reading, path)
    content = "\n".join(line for _, line in numbered_lines(path, on_error=reading.on_error))
    if not content.lstrip(" \t\n\r").startswith("["):
        reading.on_error(
            InputError(
                "the file does not begin with [, as Label Studio exports do. Pass an export, or choose "
                "the file's own format.",
                code="corpus.format",
                where=path,
            )
        )
        content = "[]"
    export = _survey(path, content, reading)
    units = OffsetUnits(reading, path)
    is_empty = True
    seen: set[object] = set()  # ids of the texts of a JSON-MIN export, which repeats them per annotator
    for number, (where, value) in enumerate(json_elements(path, content, reading.on_error), 1):
        try:
            text, regions = _read_text(value, export, f"{where}: text {number}", reading.warn)
        except InputError as error:
            reading.on_error(error)
            continue
        if regions is None or is_repeated(value, seen, f"{where}: text {number}", reading.warn):
            continue
        spans = _spans(text, regions, export.tasks, units, reading)
        sentences = place_spans(text, spans, reading, where)
        if not sentences:
            reading.warn(f"{where}: text {number}: {NO_TOKEN}")
        is_empty = is_empty and not sentences
        yield from sentences
    if export.n_predicted and not export.is_annotated:
        reading.warn(
            f"{path}: no text is annotated; the first predictions of {export.n_predicted:,} texts are read "
            "as gold."
        )
    if export.ignored:
        reading.warn(
            f"{path}: the data keys {join_names(export.ignored)} were ignored; sentences have no field for "
            "them."
        )
    if is_empty:
        reading.on_error(
            InputError(
                "the file has no sentences. Pass a JSON export of Label Studio.",
                code="corpus.empty",
                where=path,
            )
        )


def is_export(value: object) -> bool | None:
    """Return True if the first value of a JSON array is a Label Studio task, None if it is undecided."""
    if not isinstance(value, Mapping):
        return False
    if isinstance(value.get("data"), Mapping):
        return True
    lists = [items for items in value.values() if isinstance(items, Sequence) and not isinstance(items, str)]
    if any(map(is_region_list, lists)) or any(
        isinstance(item, Mapping) and "result" in item for items in lists for item in items
    ):
        return True
    return None if TEXT in value and not any(lists) else False


def write_labelstudio(sentences: Iterable[Sentence], file: TextIO, writing: Writing) -> None:
    """Write texts with their spans as predictions, which Label Studio shows its annotators.

    The control tag of the spans is named ``label`` if ``ner`` is the only task, else after the task. The
    object tag of the text is named ``text``. The score of a text is the lowest score of its spans.

    Raises:
        InputError: If a sentence has no spans for a task.
    """
    separator = "[\n"
    unit = writing.offsets
    for document in documents(sentences, writing.tasks, writing.unit):
        values = {"data": {TEXT: document.text}, "predictions": [_prediction(document, unit)]}
        file.write(separator + json.dumps(values, ensure_ascii=False))
        separator = ",\n"
    file.write("[]\n" if separator == "[\n" else "\n]\n")


def _prediction(document: Document, unit: OffsetUnit) -> dict[str, object]:
    at = measure(document.text, unit)
    names = {task: DEFAULT_NAME if list(document.spans) == ["ner"] else task for task in document.spans}
    scores = [span.score for spans in document.spans.values() for span in spans if span.score is not None]
    result = [
        region_of(
            replace(span, start=at(span.start), end=at(span.end), text=document.text[span.start : span.end]),
            f"{task}-{number}",
            names[task],
        )
        for task, spans in document.spans.items()
        for number, span in enumerate(spans, 1)
    ]
    score = {"score": min(scores)} if scores else {}
    return {"model_version": "tagger", **score, "result": result}


def region_of(span: TextSpan, identifier: str, from_name: str, to_name: str = TEXT) -> dict[str, object]:
    """Return a labelled region of Label Studio's results.

    Args:
        span: The span, with its text, and offsets in the unit of the result.
        identifier: The region's id, unique among the results of a text.
        from_name: The name of the control tag, ``<Labels>``.
        to_name: The name of the object tag, ``<Text>``.
    """
    return {
        "id": identifier,
        "from_name": from_name,
        "to_name": to_name,
        "type": "labels",
        "value": {"start": span.start, "end": span.end, "text": span.text, "labels": [span.label]},
        **({} if span.score is None else {"score": span.score}),
    }


def _survey(path: str | Path, content: str, reading: Reading) -> Export:
    """Collect the properties that an export's texts share; the second pass reports errors."""
    export = Export()
    names: set[str] = set()
    keys: Counter[str] = Counter()
    for where, value in json_elements(path, content, ignore):
        with suppress(InputError):
            values = mapping(value, "text", where)
            annotations = annotations_under(values, ANNOTATIONS, where)
            export.is_annotated |= any(not is_cancelled(annotation) for annotation in annotations)
            export.n_predicted += not annotations and bool(annotations_under(values, PREDICTIONS, where))
            regions = read_regions(values, export, where, ignore) or ()
            names.update(region.name for region in regions)
            data = mapping(values.get("data", values), "data", where)
            keys.update(_fitting_keys(data, [region.values for region in regions]))
    if keys:
        export.key = max(keys, key=lambda name: (name == TEXT, keys[name]))
    export.tasks.update(_tasks_by_name(path, names, reading))
    return export


def _tasks_by_name(path: str | Path, names: set[str], reading: Reading) -> dict[str, str]:
    """Map the name of each control tag to the task of its spans, for requested tasks."""
    if not names:
        return {task: task for task in reading.tasks or ("ner",)}
    tasks = {name: name for name in sorted(names) if not reading.tasks or name in reading.tasks}
    if DEFAULT_NAME in names and DEFAULT_NAME not in reading.tasks:
        tasks[DEFAULT_NAME] = "ner" if "ner" in reading.tasks else flat_task(reading, path)
    for task in reading.tasks:
        if task not in tasks.values():
            reading.on_error(
                InputError(
                    f"there are no spans of the task {task!r}; the file has spans of "
                    f"{join_names(sorted(names))}. Request one of these.",
                    code="corpus.task",
                    where=path,
                    option="--task",
                )
            )
            tasks[task] = task
    return tasks


def _fitting_keys(data: Mapping[str, object], regions: Sequence[Mapping[str, object]]) -> list[str]:
    """Return the keys of the strings that contain the texts of all regions."""
    declared = [" ".join(text.split()) for region in regions if isinstance(text := region.get("text"), str)]
    texts = {key: " ".join(value.split()) for key, value in data.items() if isinstance(value, str)}
    return [key for key, text in texts.items() if declared and all(part in text for part in declared)]


def _read_text(value: object, export: Export, where: str, warn: Warn) -> tuple[str, list[Region] | None]:
    """Return a text and its regions. The regions are None if the text has no gold annotation."""
    values = mapping(value, "text", where)
    data = mapping(values.get("data", values), "data", where)
    key = export.key if export.key in data else TEXT
    if key not in data:
        texts = [name for name, content in data.items() if isinstance(content, str)]
        if len(texts) != 1 or "data" not in values:
            raise InputError(
                f"the data must have one string or a key {TEXT!r} (got {len(texts)} strings; "
                f"the keys are {join_names(data)}). Rename the key to read to {TEXT!r}.",
                code="corpus.record",
                where=where,
            )
        key = texts[0]
    text = string(data[key], key, where)
    others = (name for name in data if name != key and name not in BOOKKEEPING)
    export.ignored.update(
        dict.fromkeys(name for name in others if data[name] and not is_region_list(data[name]))
    )
    regions = read_regions(values, export, where, warn)
    return text, None if regions is None else [in_text(region, text) for region in regions]


def _spans(
    text: str,
    regions: Iterable[Region],
    tasks: Mapping[str, str],
    units: OffsetUnits,
    reading: Reading,
) -> dict[str, list[TextSpan]]:
    """Read the spans by task, with offsets in characters. Invalid spans are reported one by one."""
    raw: list[tuple[str, TextSpan]] = []
    for region in regions:
        if region.name not in tasks:
            continue
        for label in region.labels or [None]:
            try:
                raw.append((tasks[region.name], read_span({**region.values, "label": label}, region.where)))
            except InputError as error:
                reading.on_error(error)
    spans: dict[str, list[TextSpan]] = {task: [] for task in tasks.values()}
    if not raw:
        return spans
    ruler = Ruler(text, units.choose(text, [span for _, span in raw], raw[0][1].where))
    for task, span in raw:
        try:
            (converted,) = ruler.convert([span])
            require_text(converted, text)
        except InputError as error:
            reading.on_error(error)
        else:
            spans[task].append(converted)
    return spans
