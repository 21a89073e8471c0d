"""Label Studio: its JSON and JSON-MIN exports, and the predictions that it imports as pre-annotations.

See https://labelstud.io/guide/export and https://labelstud.io/guide/predictions. Its offsets count
characters or, in labels that a browser made, UTF-16 code units.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
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
    Note,
    Region,
    in_text,
    is_cancelled,
    is_region_list,
    is_repeated,
    listed_under,
    read_regions,
)
from tagger.corpus.tokens import flat_task
from tagger.corpus.values import listed, mapping, string
from tagger.errors import InputError
from tagger.text.sentence import Sentence


def read_labelstudio(path: str | Path, reading: Reading) -> Iterator[Sentence]:
    """Read sentences from an export of Label Studio, one of its tasks (texts) at a time.

    Of each text's annotations (``completions`` in old exports) that were not cancelled the ground truth is
    read, else the first. Where nobody annotated a text in the file the first prediction of each is read.
    Texts that were skipped are left out, and in a file with annotations those without any, too; drafts are
    never read. The name of the control tag (``from_name``) is the task of its spans; the usual ``label``
    stands for ``ner``, or for the only requested task. The text is ``data.text``, or the only string in
    ``data``, or the one that the spans' own texts fit. Labels of hypertext are read where the text has no
    markup and the export has ``globalOffsets``, else refused. Everything that is not read, such as choices
    and relations, is told to ``reading.note``. The file is held in memory as a string, since exports often
    are one single line; of its values one text at a time.

    Args:
        path: The file; may be packed with gzip.
        reading: The tasks; how to tokenise; what the offsets count; what becomes of problems.

    Raises:
        InputError: If columns are named; while reading, if the file cannot be read, or if its spans are
            called ``label`` and several tasks without ``ner`` are requested. Whatever else is wrong goes to
            ``reading.refuse``.
    """
    require_no_columns(reading, path)
    content = "\n".join(line for _, line in numbered_lines(path, refuse=reading.refuse))
    if not content.lstrip(" \t\n\r").startswith("["):
        reading.refuse(
            f"{path}: the file does not begin with [, as exports of Label Studio do; give one, or say the "
            "file's own format."
        )
        content = "[]"
    export = _survey(path, content, reading)
    units = OffsetUnits(reading, path)
    is_empty = True
    seen: set[object] = (
        set()
    )  # numbers of the texts of a JSON-MIN export, which repeats them for each annotator
    for number, (where, value) in enumerate(json_elements(path, content, reading.refuse), 1):
        try:
            text, regions = _text_andread_regions(value, export, f"{where}: text {number}", reading.note)
        except InputError as error:
            reading.refuse(str(error))
            continue
        if regions is None or is_repeated(value, seen, f"{where}: text {number}", reading.note):
            continue
        spans = _spans(text, regions, export.tasks, units, reading)
        found = place_spans(text, spans, reading, where)
        if not found:
            reading.note(f"{where}: text {number}: {NO_TOKEN}")
        is_empty = is_empty and not found
        yield from found
    if export.predicted and not export.is_annotated:
        reading.note(
            f"{path}: nobody annotated a text; the first predictions of {export.predicted:,} texts are read "
            "as if they were gold."
        )
    if export.left_out:
        reading.note(
            f"{path}: the data under {listed(export.left_out)} were left out; no sentence holds them."
        )
    if is_empty:
        reading.refuse(f"{path}: the file holds no sentence; give a JSON export of Label Studio.")


def is_export(value: object) -> bool | None:
    """Whether the first value of a JSON array is a task of Label Studio; None if it says nothing."""
    if not isinstance(value, Mapping):
        return False
    if isinstance(value.get("data"), Mapping):
        return True
    lists = [one for one in value.values() if isinstance(one, Sequence) and not isinstance(one, str)]
    if any(map(is_region_list, lists)) or any(
        isinstance(one, Mapping) and "result" in one for its in lists for one in its
    ):
        return True
    return None if TEXT in value and not any(lists) else False


def write_labelstudio(sentences: Iterable[Sentence], file: TextIO, writing: Writing) -> None:
    """Write texts with their spans as predictions, which Label Studio shows its annotators.

    The spans' control tag is called ``label`` if ``ner`` is the only task, else as their task; the text's
    object tag is called ``text``. A text's score is that of its least certain span.

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
        {
            "id": f"{task}-{number}",
            "from_name": names[task],
            "to_name": TEXT,
            "type": "labels",
            "value": {
                "start": at(span.start),
                "end": at(span.end),
                "text": document.text[span.start : span.end],
                "labels": [span.label],
            },
            **({} if span.score is None else {"score": span.score}),
        }
        for task, spans in document.spans.items()
        for number, span in enumerate(spans, 1)
    ]
    score = {"score": min(scores)} if scores else {}
    return {"model_version": "tagger", **score, "result": result}


def _survey(path: str | Path, content: str, reading: Reading) -> Export:
    """Read an export for what its texts share; what is wrong in it is told when the texts are read."""

    def ignore(_: str) -> None:
        pass

    export = Export()
    names: set[str] = set()
    keys: Counter[str] = Counter()
    for where, value in json_elements(path, content, ignore):
        with suppress(InputError):
            values = mapping(value, "text", where)
            annotations = listed_under(values, ANNOTATIONS, where)
            export.is_annotated |= any(not is_cancelled(one) for one in annotations)
            export.predicted += not annotations and bool(listed_under(values, PREDICTIONS, where))
            regions = read_regions(values, export, where, ignore) or ()
            names.update(region.name for region in regions)
            data = mapping(values.get("data", values), "data", where)
            keys.update(_fitting_keys(data, [one.values for one in regions]))
    if keys:
        export.key = max(keys, key=lambda name: (name == TEXT, keys[name]))
    export.tasks.update(_tasks_by_name(path, names, reading))
    return export


def _tasks_by_name(path: str | Path, names: set[str], reading: Reading) -> dict[str, str]:
    """Return for each name of a control tag the task of its spans, for those that are requested."""
    if not names:
        return {task: task for task in reading.tasks or ("ner",)}
    tasks = {name: name for name in sorted(names) if not reading.tasks or name in reading.tasks}
    if DEFAULT_NAME in names and DEFAULT_NAME not in reading.tasks:
        tasks[DEFAULT_NAME] = "ner" if "ner" in reading.tasks else flat_task(reading, path)
    for task in reading.tasks:
        if task not in tasks.values():
            reading.refuse(
                f"{path}: there are no spans of the task {task!r}, those of the file are of "
                f"{listed(sorted(names))}; ask for one of these."
            )
            tasks[task] = task
    return tasks


def _fitting_keys(data: Mapping[str, object], regions: Sequence[Mapping[str, object]]) -> list[str]:
    """The keys of the strings that hold a text which the regions are said to cover."""
    given = [" ".join(text.split()) for one in regions if isinstance(text := one.get("text"), str)]
    texts = {key: " ".join(one.split()) for key, one in data.items() if isinstance(one, str)}
    return [key for key, text in texts.items() if given and all(one in text for one in given)]


def _text_andread_regions(
    value: object, export: Export, where: str, note: Note
) -> tuple[str, list[Region] | None]:
    """Return a text and what is marked in it; None if it is no gold annotation."""
    values = mapping(value, "text", where)
    data = mapping(values.get("data", values), "data", where)
    key = export.key if export.key in data else TEXT
    if key not in data:
        texts = [name for name, one in data.items() if isinstance(one, str)]
        if len(texts) != 1 or "data" not in values:
            raise InputError(
                f"{where}: the data has {len(texts)} strings and none is called {TEXT!r} (the keys are "
                f"{listed(data)}); rename the one to read to {TEXT!r}."
            )
        key = texts[0]
    text = string(data[key], key, where)
    others = (name for name in data if name != key and name not in BOOKKEEPING)
    export.left_out.update(
        dict.fromkeys(name for name in others if data[name] and not is_region_list(data[name]))
    )
    regions = read_regions(values, export, where, note)
    return text, None if regions is None else [in_text(region, text) for region in regions]


def _spans(
    text: str,
    regions: Iterable[Region],
    tasks: Mapping[str, str],
    units: OffsetUnits,
    reading: Reading,
) -> dict[str, list[TextSpan]]:
    """Read the spans by task, counted in characters; one that is wrong is refused by itself."""
    raw: list[tuple[str, TextSpan]] = []
    for region in regions:
        if region.name not in tasks:
            continue
        for label in region.labels or [None]:
            try:
                raw.append((tasks[region.name], read_span({**region.values, "label": label}, region.where)))
            except InputError as error:
                reading.refuse(str(error))
    spans: dict[str, list[TextSpan]] = {task: [] for task in tasks.values()}
    if not raw:
        return spans
    ruler = Ruler(text, units.choose(text, [span for _, span in raw], raw[0][1].where))
    for task, span in raw:
        try:
            (converted,) = ruler.convert([span])
            require_text(converted, text)
        except InputError as error:
            reading.refuse(str(error))
        else:
            spans[task].append(converted)
    return spans
