"""Label Studio: its JSON and JSON-MIN exports, and the predictions that it imports as pre-annotations.

See https://labelstud.io/guide/export and https://labelstud.io/guide/predictions. Its offsets count
characters or, in labels that a browser made, UTF-16 code units.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TextIO

from tagger.corpus.jsonl import json_elements
from tagger.corpus.lines import numbered_lines
from tagger.corpus.offsets import OffsetUnits, Ruler, measure
from tagger.corpus.placement import Document, TextSpan, documents, place_spans
from tagger.corpus.reading import OffsetUnit, Reading, Writing
from tagger.corpus.records import NO_TOKEN, read_span, require_no_columns, require_text
from tagger.corpus.tokens import flat_task
from tagger.corpus.values import listed, mapping, sequence, string
from tagger.errors import InputError
from tagger.text.sentence import Sentence

DEFAULT_NAME = "label"
"""What Label Studio's template for named entities calls its labels; other names are names of tasks."""

_TEXT = "text"
_ANNOTATIONS = ("annotations", "completions")
_PREDICTIONS = ("predictions",)
_LABEL_TYPES = ("labels", "hypertextlabels", "paragraphlabels")
_MARKUP = re.compile(r"<[A-Za-z/!]|&#?\w+;")

Note = Callable[[str], object]


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
            f"{path}: the file does not begin with [; give Label Studio's JSON export, or say the format "
            "jsonl."
        )
        content = "[]"
    export = _survey(path, content, reading)
    units = OffsetUnits(reading, path)
    is_empty = True
    for number, (where, value) in enumerate(json_elements(path, content, reading.refuse), 1):
        try:
            text, regions = _text_and_regions(value, export, f"{where}: text {number}", reading.note)
        except InputError as error:
            reading.refuse(str(error))
            continue
        if regions is None:
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
    if is_empty:
        reading.refuse(f"{path}: the file holds no sentence; give a JSON export of Label Studio.")


def is_export(value: object) -> bool | None:
    """Whether the first value of a JSON array is a task of Label Studio; None if it says nothing."""
    if not isinstance(value, Mapping):
        return False
    if isinstance(value.get("data"), Mapping) or any(name in value for name in _ANNOTATIONS):
        return True
    lists = [one for one in value.values() if isinstance(one, Sequence) and not isinstance(one, str)]
    if any(isinstance(one, Mapping) and "labels" in one for its in lists for one in its):
        return True
    return None if _TEXT in value and not any(lists) else False


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
        values = {"data": {_TEXT: document.text}, "predictions": [_prediction(document, unit)]}
        file.write(separator + json.dumps(values, ensure_ascii=False))
        separator = ",\n"
    file.write("[]\n" if separator == "[\n" else "\n]\n")


@dataclass(frozen=True, slots=True)
class _Region:
    """What an annotator marked: the name of the control tag, the values of the span, its labels and place."""

    name: str
    values: Mapping[str, object]
    labels: Sequence[object]
    where: str
    is_hypertext: bool = False


@dataclass(slots=True)
class _Export:
    """What the texts of one export share.

    Attributes:
        tasks: For each requested control tag the task of its spans.
        key: What the data call the text.
        is_annotated: Whether somebody annotated a text and did not cancel it.
        predicted: How many texts have predictions but no annotation.
    """

    tasks: dict[str, str] = field(default_factory=dict)
    key: str = _TEXT
    is_annotated: bool = False
    predicted: int = 0


def _prediction(document: Document, unit: OffsetUnit) -> dict[str, object]:
    at = measure(document.text, unit)
    names = {task: DEFAULT_NAME if list(document.spans) == ["ner"] else task for task in document.spans}
    scores = [span.score for spans in document.spans.values() for span in spans if span.score is not None]
    result = [
        {
            "id": f"{task}-{number}",
            "from_name": names[task],
            "to_name": _TEXT,
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


def _survey(path: str | Path, content: str, reading: Reading) -> _Export:
    """Read an export for what its texts share; what is wrong in it is told when the texts are read."""

    def ignore(_: str) -> None:
        pass

    export = _Export()
    names: set[str] = set()
    keys: Counter[str] = Counter()
    for where, value in json_elements(path, content, ignore):
        with suppress(InputError):
            values = mapping(value, "text", where)
            annotations = _listed(values, _ANNOTATIONS, where)
            export.is_annotated |= any(not _is_cancelled(one) for one in annotations)
            export.predicted += not annotations and bool(_listed(values, _PREDICTIONS, where))
            regions = _regions(values, export, where, ignore) or ()
            names.update(region.name for region in regions)
            data = mapping(values.get("data", values), "data", where)
            keys.update(_fitting_keys(data, [one.values for one in regions]))
    if keys:
        export.key = max(keys, key=lambda name: (name == _TEXT, keys[name]))
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


def _text_and_regions(
    value: object, export: _Export, where: str, note: Note
) -> tuple[str, list[_Region] | None]:
    """Return a text and what is marked in it; None if it is no gold annotation."""
    values = mapping(value, "text", where)
    data = mapping(values.get("data", values), "data", where)
    key = _TEXT if _TEXT in data else export.key
    if key not in data:
        texts = [name for name, one in data.items() if isinstance(one, str)]
        if len(texts) != 1 or "data" not in values:
            raise InputError(
                f"{where}: the data has {len(texts)} strings and none is called {_TEXT!r} (the keys are "
                f"{listed(data)}); rename the one to read to {_TEXT!r}."
            )
        key = texts[0]
    text = string(data[key], key, where)
    regions = _regions(values, export, where, note)
    return text, None if regions is None else [_in_text(region, text) for region in regions]


def _regions(values: Mapping[str, object], export: _Export, where: str, note: Note) -> list[_Region] | None:
    """Return what is marked in a text; None if it is no gold annotation."""
    if "data" not in values:
        return list(_minimal_regions(values, where))
    results = _results(values, export, where, note)
    if results is None:
        return None
    regions = []
    for one in results:
        result = mapping(one, "result", where)
        kind = result.get("type")
        if kind not in _LABEL_TYPES:
            note(f"{where}: a result of type {kind!r} was left out; it is no labelled span.")
            continue
        its = mapping(result.get("value"), "value of a result", where)
        if "score" in result:
            its = {**its, "score": result["score"]}
        name = string(result.get("from_name", DEFAULT_NAME), "from_name", where)
        labels = sequence(its.get(str(kind), its.get("labels")), "list of labels", where)
        regions.append(_Region(name, its, labels, where, is_hypertext=kind != "labels"))
    return regions


def _in_text(region: _Region, text: str) -> _Region:
    """Return a region with offsets in the text.

    Raises:
        InputError: If its offsets count in a page that the text is the source of.
    """
    if not region.is_hypertext:
        return region
    offsets = region.values.get("globalOffsets")
    if not isinstance(offsets, Mapping) or _MARKUP.search(text):
        raise InputError(
            f"{region.where}: the label {region.labels!r:.60} marks hypertext or a dialogue "
            "(hypertextlabels, paragraphlabels), and its offsets count in the page that a browser shows, not "
            "in the text; label plain text (Text with Labels) and export that."
        )
    return replace(region, values={**region.values, **offsets})


def _is_cancelled(annotation: Mapping[str, object]) -> bool:
    return bool(annotation.get("was_cancelled") or annotation.get("skipped"))


def _listed(values: Mapping[str, object], names: Sequence[str], where: str) -> list[dict[str, object]]:
    """Return the annotations or predictions under any of these names."""
    return [
        mapping(one, name, where)
        for name in names
        for one in sequence(values.get(name, ()), f"list of {name}", where)
        if not isinstance(one, int)  # predictions may be listed by their numbers alone
    ]


def _results(
    values: Mapping[str, object], export: _Export, where: str, note: Note
) -> Sequence[object] | None:
    """Return the results of the annotation or prediction to be read; None if no annotation is gold."""
    annotations = _listed(values, _ANNOTATIONS, where)
    chosen = [one for one in annotations if not _is_cancelled(one)]
    if annotations and not chosen:
        note(f"{where}: the text was left out; its annotators skipped it.")
        return None
    if not chosen and export.is_annotated:
        has = [name for name in (*_PREDICTIONS, "drafts") if values.get(name)]
        but = f" (its {' and '.join(has)} are no gold annotations)" if has else ""
        note(f"{where}: nobody annotated the text{but}; it was left out.")
        return None
    if not chosen:
        chosen = _listed(values, _PREDICTIONS, where)
        if not chosen:
            note(f"{where}: nobody annotated the text; it is read as one without spans.")
            return ()
        return sequence(chosen[0].get("result", ()), "result", where)
    truths = [one for one in chosen if one.get("ground_truth") is True]
    read = (truths or chosen)[0]
    if len(chosen) > 1:
        which = "ground truth" if truths else "first"
        named = f", number {read['id']}," if isinstance(read.get("id"), int) else ""
        by = f" by {_annotator(read)}" if _annotator(read) else ""
        note(
            f"{where}: the {which} of {len(chosen)} annotations{named}{by} is read, the others were left out."
        )
    return sequence(read.get("result", ()), "result", where)


def _annotator(annotation: Mapping[str, object]) -> str:
    """The name, address or number of an annotator, if the annotation says it."""
    by = annotation.get("completed_by")
    if isinstance(by, Mapping):
        by = by.get("email", by.get("id"))
    return repr(by) if isinstance(by, str | int) else ""


def _minimal_regions(values: Mapping[str, object], where: str) -> Iterator[_Region]:
    """Yield the regions of a JSON-MIN task: under each control tag's name a list of values."""
    for name, its in values.items():
        if isinstance(its, Sequence) and not isinstance(its, str):
            for one in its:
                if isinstance(one, Mapping) and "labels" in one:
                    value = mapping(one, name, where)
                    labels = sequence(value.get("labels"), "list of labels", where)
                    yield _Region(name, value, labels, where)


def _spans(
    text: str,
    regions: Iterable[_Region],
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
