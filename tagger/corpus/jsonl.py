"""Read and write JSON records, one per line or in one array; and write doccano's import format."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NoReturn, TextIO

from tagger.corpus.lines import numbered_lines
from tagger.corpus.offsets import measure
from tagger.corpus.placement import documents_of_one_task
from tagger.corpus.reading import Reading, Writing
from tagger.corpus.records import Records, require_no_columns
from tagger.errors import InputError, OnError
from tagger.text.sentence import Sentence, sentence_values


def read_jsonl(path: str | Path, reading: Reading) -> Iterator[Sentence]:
    """Read sentences from a file of JSON records, one record at a time.

    The records are one per line (blank lines are skipped), the elements of one array, the ``annotations`` of
    ner-annotator's ``{"classes": […], "annotations": [[text, {"entities": …}], null, …]}``, or objects that
    span several lines. All layouts except the first are held in memory as a string.

    Args:
        path: The file, which may be compressed with gzip.
        reading: The reader options. ``records.read_record`` lists the supported records.

    Raises:
        InputError: If columns are named; while reading, if the file cannot be read or has no sentences.
            All other errors go to ``reading.on_error``.
    """
    require_no_columns(reading, path)
    is_empty = True
    unannotated = 0
    records = Records(path, reading)
    for where, record in json_records(path, reading.on_error):
        if record is None:
            unannotated += 1
            continue
        for sentence in records.read(record, where):
            is_empty = False
            yield sentence
    records.finish()
    if unannotated:
        reading.warn(f"{path}: {unannotated:,} records are null (not annotated) and were skipped.")
    if is_empty:
        reading.on_error(
            InputError(
                "the file has no sentences. Pass a file of JSON records with annotations.",
                code="corpus.empty",
                where=path,
            )
        )


def json_records(path: str | Path, on_error: OnError) -> Iterator[tuple[str, object]]:
    """Yield the records of a JSON file, each with the ``file:line`` of its start (see ``read_jsonl``)."""
    lines = numbered_lines(path, on_error=on_error)
    number, first = next(((number, line) for number, line in lines if line and not line.isspace()), (0, ""))
    if not number:
        return
    if _is_whole_file(first):
        content = "\n" * (number - 1) + "\n".join([first, *(line for _, line in lines)])
        yield from json_elements(path, content, on_error)
        return
    for line_number, line in chain([(number, first)], lines):
        if not line or line.isspace():
            continue
        where = f"{path}:{line_number}"
        try:
            record = parse_json(line, where)
        except InputError as error:
            on_error(error)
        else:
            yield from _annotations(record, where)


def json_elements(path: str | Path, content: str, on_error: OnError) -> Iterator[tuple[str, object]]:
    """Yield the elements of a JSON array, or concatenated JSON values, each with its ``file:line``."""
    position = _skip_space(content, 0)
    is_array = content[position : position + 1] == "["
    position = _skip_space(content, position + is_array)
    line, counted = 1, 0
    while position < len(content) if not is_array else content[position : position + 1] != "]":
        line, counted = line + content.count("\n", counted, position), position
        try:
            value, position = _DECODER.raw_decode(content, position)
        except (ValueError, RecursionError) as error:
            on_error(
                InputError(
                    f"the value that begins here is not JSON ({error}). Export the file again.",
                    code="corpus.format",
                    where=f"{path}:{line}",
                )
            )
            return
        yield from _annotations(value, f"{path}:{line}")
        position = _skip_space(content, position)
        if is_array and content[position : position + 1] == ",":
            position = _skip_space(content, position + 1)
        elif is_array and content[position : position + 1] != "]":
            on_error(
                InputError(
                    "no comma or ] follows the value that begins here. Export the file again.",
                    code="corpus.format",
                    where=f"{path}:{line}",
                )
            )
            return
    if is_array and _skip_space(content, position + 1) < len(content):
        on_error(
            InputError(
                "there is text after the closing ]. Export the file again.",
                code="corpus.format",
                where=f"{path}:{line}",
            )
        )


def write_jsonl(sentences: Iterable[Sentence], file: TextIO, writing: Writing) -> None:
    """Write one line per sentence, as ``tagger tag`` does. Reading the file restores the sentences in full.

    Offsets always count characters.
    """
    for sentence in sentences:
        file.write(json_line(sentence_values(sentence, writing.tasks)))


def write_doccano(sentences: Iterable[Sentence], file: TextIO, writing: Writing) -> None:
    """Write lines ``{"text": …, "label": [[start, end, label], …]}`` for doccano, one per text.

    Raises:
        InputError: If there is not exactly one task, or a sentence has no spans for the task.
    """
    for document, spans in documents_of_one_task(sentences, writing, "A doccano file"):
        at = measure(document.text, writing.offsets)
        labels = [[at(span.start), at(span.end), span.label] for span in spans]
        file.write(json_line({"text": document.text, "label": labels}))


_ENCODER = json.JSONEncoder(ensure_ascii=False)
_SPACE = " \t\n\r"  # JSON white space


def json_line(value: object) -> str:
    """Encode a value as one line of JSON, with a line end."""
    return _ENCODER.encode(value) + "\n"


def parse_json(line: str, where: str) -> object:
    """Parse a line of JSON.

    Raises:
        InputError: If it is not JSON, with the column. NaN and Infinity are not JSON.
    """
    try:
        return json.loads(line, parse_constant=_reject_constant)
    except json.JSONDecodeError as error:
        raise InputError(
            f"column {error.colno} is not JSON ({error.msg}). Write one record per line.",
            code="corpus.record",
            where=where,
        ) from None
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits; thousands of brackets
        raise InputError(
            f"the line cannot be read as JSON ({error}). Correct it.", code="corpus.record", where=where
        ) from None


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


_DECODER = json.JSONDecoder()


def _is_whole_file(line: str) -> bool:
    """Return True if the first line begins or holds a JSON value that is not a single record."""
    try:
        value = json.loads(line, parse_constant=_reject_constant)
    except json.JSONDecodeError as error:
        return error.pos >= len(line.rstrip())  # the value continues on the next line
    except (ValueError, RecursionError):
        return False
    is_pair = isinstance(value, list) and len(value) == 2 and isinstance(value[1], dict)
    return isinstance(value, list) and not (is_pair and isinstance(value[0], str))


def _annotations(value: object, where: str) -> Iterator[tuple[str, object]]:
    """Yield the records of a ner-annotator file, or any other value unchanged."""
    if isinstance(value, dict) and "classes" in value and isinstance(value.get("annotations"), list):
        yield from ((where, record) for record in value["annotations"])
    else:
        yield where, value


def _skip_space(content: str, position: int) -> int:
    while content[position : position + 1] in _SPACE and position < len(content):
        position += 1
    return position
