"""Files of JSON records, a line each or one array, ours or of annotation tools; and what doccano imports."""

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
from tagger.corpus.records import Records, require_no_columns, sentence_values
from tagger.errors import InputError, Refuse
from tagger.text.sentence import Sentence


def read_jsonl(path: str | Path, reading: Reading) -> Iterator[Sentence]:
    """Read sentences from a file of JSON records, one record at a time.

    The records are one a line (blank lines are none), the elements of one array, the ``annotations`` of
    ner-annotator's ``{"classes": […], "annotations": [[text, {"entities": …}], null, …]}``, or objects over
    several lines. All but the first are held in memory as a string.

    Args:
        path: The file; may be packed with gzip.
        reading: See ``records.read_record``, which tells what a record may be.

    Raises:
        InputError: If columns are named; while reading, if the file cannot be read or holds no sentence.
            Whatever else is wrong goes to ``reading.refuse``.
    """
    require_no_columns(reading, path)
    is_empty = True
    unannotated = 0
    records = Records(path, reading)
    for where, record in json_records(path, reading.refuse):
        if record is None:
            unannotated += 1
            continue
        for sentence in records.read(record, where):
            is_empty = False
            yield sentence
    records.finish()
    if unannotated:
        reading.note(f"{path}: {unannotated:,} records are null (not annotated) and were left out.")
    if is_empty:
        reading.refuse(f"{path}: the file holds no sentence; give a file of JSON records with annotations.")


def json_records(path: str | Path, refuse: Refuse) -> Iterator[tuple[str, object]]:
    """Yield the records of a file of JSON, each with ``file:line`` of its beginning; see ``read_jsonl``."""
    lines = numbered_lines(path, refuse=refuse)
    number, first = next(((number, line) for number, line in lines if line and not line.isspace()), (0, ""))
    if not number:
        return
    if _is_whole_file(first):
        content = "\n" * (number - 1) + "\n".join([first, *(line for _, line in lines)])
        yield from json_elements(path, content, refuse)
        return
    for place, line in chain([(number, first)], lines):
        if not line or line.isspace():
            continue
        where = f"{path}:{place}"
        try:
            record = parse_json(line, where)
        except InputError as error:
            refuse(str(error))
        else:
            yield from _annotations(record, where)


def json_elements(path: str | Path, content: str, refuse: Refuse) -> Iterator[tuple[str, object]]:
    """Yield the elements of a JSON array, or JSON values one after another, each with ``file:line``."""
    place = _skip_space(content, 0)
    is_array = content[place : place + 1] == "["
    place = _skip_space(content, place + is_array)
    line, counted = 1, 0
    while place < len(content) if not is_array else content[place : place + 1] != "]":
        line, counted = line + content.count("\n", counted, place), place
        try:
            value, place = _DECODER.raw_decode(content, place)
        except (ValueError, RecursionError) as error:
            refuse(f"{path}:{line}: what begins here is not JSON ({error}); export the file again.")
            return
        yield from _annotations(value, f"{path}:{line}")
        place = _skip_space(content, place)
        if is_array and content[place : place + 1] == ",":
            place = _skip_space(content, place + 1)
        elif is_array and content[place : place + 1] != "]":
            refuse(f"{path}:{line}: no comma or ] follows what begins here; export the file again.")
            return
    if is_array and _skip_space(content, place + 1) < len(content):
        refuse(f"{path}:{line}: something follows the closing ]; export the file again.")


def write_jsonl(sentences: Iterable[Sentence], file: TextIO, writing: Writing) -> None:
    """Write a line a sentence, as ``tagger tag`` does; all that a sentence holds comes back.

    Offsets always count characters.
    """
    for sentence in sentences:
        file.write(json_line(sentence_values(sentence, writing.tasks)))


def write_doccano(sentences: Iterable[Sentence], file: TextIO, writing: Writing) -> None:
    """Write lines ``{"text": …, "label": [[start, end, label], …]}`` for doccano, one a document or sentence.

    Raises:
        InputError: If there is not one task, or a sentence has no spans for it.
    """
    for document, spans in documents_of_one_task(sentences, writing, "A doccano file"):
        at = measure(document.text, writing.offsets)
        labels = [[at(span.start), at(span.end), span.label] for span in spans]
        file.write(json_line({"text": document.text, "label": labels}))


_ENCODER = json.JSONEncoder(ensure_ascii=False)
_SPACE = " \t\n\r"  # of JSON


def json_line(value: object) -> str:
    """Return the value as one line of JSON, with its line end."""
    return _ENCODER.encode(value) + "\n"


def parse_json(line: str, where: str) -> object:
    """Return what a line of JSON holds.

    Raises:
        InputError: If it is not JSON, with the column; NaN and Infinity are not.
    """
    try:
        return json.loads(line, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{where}: column {error.colno} is not JSON ({error.msg}); give one record a line."
        ) from None
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits; thousands of brackets
        raise InputError(f"{where}: the line cannot be read as JSON ({error}); correct it.") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


_DECODER = json.JSONDecoder()


def _is_whole_file(line: str) -> bool:
    """Whether the first line of a file begins or holds a JSON value that is not a record of its own."""
    try:
        value = json.loads(line, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        return error.pos >= len(line.rstrip())  # the value goes on in the next line
    except (ValueError, RecursionError):
        return False
    is_pair = isinstance(value, list) and len(value) == 2 and isinstance(value[1], dict)
    return isinstance(value, list) and not (is_pair and isinstance(value[0], str))


def _annotations(value: object, where: str) -> Iterator[tuple[str, object]]:
    """Yield the records of ner-annotator's file, or any other value unchanged."""
    if isinstance(value, dict) and "classes" in value and isinstance(value.get("annotations"), list):
        yield from ((where, one) for one in value["annotations"])
    else:
        yield where, value


def _skip_space(content: str, place: int) -> int:
    while content[place : place + 1] in _SPACE and place < len(content):
        place += 1
    return place
