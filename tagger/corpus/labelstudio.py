"""Label Studio: its JSON and JSON-MIN exports, and the predictions that it imports as pre-annotations.

See https://labelstud.io/guide/export and https://labelstud.io/guide/predictions. Its offsets count code
points.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from tagger.corpus.lines import numbered_lines
from tagger.corpus.placement import Document, TextSpan, documents, place_spans
from tagger.corpus.reading import Reading, Writing
from tagger.corpus.records import NO_TOKEN, flat_task, read_span, require_no_columns, require_text
from tagger.corpus.values import mapping, sequence, string
from tagger.errors import InputError, Refuse
from tagger.text.sentence import Sentence

DEFAULT_NAME = "label"
"""What Label Studio's template for named entities calls its labels; other names are names of tasks."""

_TEXT = "text"
_SPACE = " \t\n\r"  # of JSON

Note = Callable[[str], object]


def read_labelstudio(path: str | Path, reading: Reading) -> Iterator[Sentence]:
    """Read sentences from an export of Label Studio, one of its tasks (texts) at a time.

    Of each text the first annotation that was not cancelled is read, or its first prediction if nobody
    annotated it. The name of the control tag (``from_name``) is the task of its spans; the usual ``label``
    stands for ``ner``, or for the only task that is asked for. The text is ``data.text``, or the only string
    in ``data``. What is no labelled span (choices, relations), other annotations, and texts that nobody
    annotated (read as texts without spans) or that were skipped (left out) are told to ``reading.note``. The
    file is held in memory as a string, since exports often are one single line; of what it says one text at
    a time.

    Args:
        path: The file; may be packed with gzip.
        reading: The tasks; how to tokenise; what becomes of problems.

    Raises:
        InputError: If columns are named; while reading, if the file cannot be read, or if its spans are
            called ``label`` and several tasks without ``ner`` are asked for. Whatever else is wrong goes to
            ``reading.refuse``.
    """
    require_no_columns(reading, path)
    content = "\n".join(line for _, line in numbered_lines(path, refuse=reading.refuse))
    tasks = _tasks_by_name(path, content, reading)
    is_empty = True
    for number, (where, value) in enumerate(_elements(path, content, reading.refuse), 1):
        try:
            text, regions = _text_and_regions(value, f"{where}: text {number}", reading.note)
        except InputError as error:
            reading.refuse(str(error))
            continue
        if regions is None:
            continue
        spans = _spans(text, regions, tasks, reading)
        found = place_spans(text, spans, reading, where)
        if not found:
            reading.note(f"{where}: text {number}: {NO_TOKEN}")
        is_empty = is_empty and not found
        yield from found
    if is_empty:
        reading.refuse(f"{path}: the file holds no sentence; give a JSON export of Label Studio.")


def write_labelstudio(sentences: Iterable[Sentence], file: TextIO, writing: Writing) -> None:
    """Write texts with their spans as predictions, which Label Studio shows its annotators.

    The spans' control tag is called ``label`` if ``ner`` is the only task, else as their task; the text's
    object tag is called ``text``. A text's score is that of its least certain span.

    Raises:
        InputError: If a sentence has no spans for a task.
    """
    separator = "[\n"
    for document in documents(sentences, writing.tasks, writing.unit):
        values = {"data": {_TEXT: document.text}, "predictions": [_prediction(document)]}
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


def _prediction(document: Document) -> dict[str, object]:
    names = {task: DEFAULT_NAME if list(document.spans) == ["ner"] else task for task in document.spans}
    scores = [span.score for spans in document.spans.values() for span in spans if span.score is not None]
    result = [
        {
            "id": f"{task}-{number}",
            "from_name": names[task],
            "to_name": _TEXT,
            "type": "labels",
            "value": {
                "start": span.start,
                "end": span.end,
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


def _elements(path: str | Path, content: str, refuse: Refuse) -> Iterator[tuple[str, object]]:
    """Yield the elements of a JSON array, each with ``file:line`` of its beginning."""
    decoder = json.JSONDecoder()
    place = _skip_space(content, 0)
    if content[place : place + 1] != "[":
        refuse(
            f"{path}: the file does not begin with [; give Label Studio's JSON export, or say the format "
            "jsonl."
        )
        return
    place = _skip_space(content, place + 1)
    line, counted = 1, 0
    while content[place : place + 1] != "]":
        line, counted = line + content.count("\n", counted, place), place
        try:
            value, place = decoder.raw_decode(content, place)
        except (ValueError, RecursionError) as error:
            refuse(f"{path}:{line}: what begins here is not JSON ({error}); export the file again.")
            return
        yield f"{path}:{line}", value
        place = _skip_space(content, place)
        if content[place : place + 1] == ",":
            place = _skip_space(content, place + 1)
        elif content[place : place + 1] != "]":
            refuse(f"{path}:{line}: no comma or ] follows what begins here; export the file again.")
            return
    if _skip_space(content, place + 1) < len(content):
        refuse(f"{path}:{line}: something follows the closing ]; export the file again.")


def _skip_space(content: str, place: int) -> int:
    while content[place : place + 1] in _SPACE and place < len(content):
        place += 1
    return place


def _tasks_by_name(path: str | Path, content: str, reading: Reading) -> dict[str, str]:
    """Return for each name of a control tag the task of its spans, for those that are asked for."""

    def ignore(_: str) -> None:
        pass

    names: set[str] = set()
    for where, value in _elements(path, content, ignore):
        with suppress(InputError):  # is told when the text itself is read
            names.update(region.name for region in _text_and_regions(value, where, ignore)[1] or ())
    if not names:
        return {task: task for task in reading.tasks or ("ner",)}
    tasks = {name: name for name in sorted(names) if not reading.tasks or name in reading.tasks}
    if DEFAULT_NAME in names and DEFAULT_NAME not in reading.tasks:
        tasks[DEFAULT_NAME] = "ner" if "ner" in reading.tasks else flat_task(reading, path)
    for task in reading.tasks:
        if task not in tasks.values():
            reading.refuse(
                f"{path}: there are no spans of the task {task!r}, those of the file are of "
                f"{', '.join(sorted(names))}; ask for one of these."
            )
            tasks[task] = task
    return tasks


def _text_and_regions(value: object, where: str, note: Note) -> tuple[str, list[_Region] | None]:
    """Return a text and what is marked in it; None if its annotators skipped it."""
    values = mapping(value, "text", where)
    if "data" not in values:
        return string(values.get(_TEXT), _TEXT, where), list(_minimal_regions(values, where))
    data = mapping(values["data"], "data", where)
    texts = [_TEXT] if _TEXT in data else [key for key, one in data.items() if isinstance(one, str)]
    if len(texts) != 1:
        raise InputError(
            f"{where}: the data has {len(texts)} strings and none is called {_TEXT!r}; rename the one to "
            "read."
        )
    text = string(data[texts[0]], texts[0], where)
    results = _results(values, where, note)
    if results is None:
        return text, None
    regions = []
    for one in results:
        result = mapping(one, "result", where)
        if result.get("type") != "labels":
            note(f"{where}: a result of type {result.get('type')!r} was left out; it is no labelled span.")
            continue
        its = mapping(result.get("value"), "value of a result", where)
        if "score" in result:
            its = {**its, "score": result["score"]}
        name = string(result.get("from_name", DEFAULT_NAME), "from_name", where)
        regions.append(_Region(name, its, sequence(its.get("labels"), "list of labels", where), where))
    return text, regions


def _results(values: Mapping[str, object], where: str, note: Note) -> Sequence[object] | None:
    """Return what the annotation or prediction to be read says; None if all annotations were cancelled."""

    def listed(name: str) -> list[dict[str, object]]:
        return [
            mapping(one, name, where)
            for one in sequence(values.get(name, ()), f"list of {name}", where)
            if not isinstance(one, int)  # predictions may be listed by their numbers alone
        ]

    annotations = listed("annotations")
    chosen = [one for one in annotations if not one.get("was_cancelled")]
    if annotations and not chosen:
        note(f"{where}: the text was left out; its annotators skipped it.")
        return None
    chosen = chosen or listed("predictions")
    if not chosen:
        note(f"{where}: nobody annotated the text; it is read as one without spans.")
        return ()
    if len(chosen) > 1:
        note(f"{where}: the first of {len(chosen)} annotations is read, the others were left out.")
    return sequence(chosen[0].get("result", ()), "result", where)


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
    text: str, regions: Iterable[_Region], tasks: Mapping[str, str], reading: Reading
) -> dict[str, list[TextSpan]]:
    """Read the spans by task; one that is wrong is refused by itself."""
    spans: dict[str, list[TextSpan]] = {task: [] for task in tasks.values()}
    for region in regions:
        if region.name not in tasks:
            continue
        bare = {name: value for name, value in region.values.items() if name != "text"}
        for label in region.labels or [None]:
            try:
                span = read_span({**bare, "label": label}, text, region.where)
                _require_words(region, span, text)
            except InputError as error:
                reading.refuse(str(error))
            else:
                spans[tasks[region.name]].append(span)
    return spans


def _require_words(region: _Region, span: TextSpan, text: str) -> None:
    r"""Compare a span with its text, but for white space: browsers change it, and ``\n`` may be escaped."""
    if "text" in region.values:
        given = string(region.values["text"], "text of a span", region.where)
        there = text[max(span.start, 0) : max(span.end, 0)]
        if given.replace("\\n", " ").split() != there.replace("\\n", " ").split():
            require_text(given, span, text)
