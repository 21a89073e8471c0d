"""JSON lines: a record a line, ours or those of annotation tools; and what doccano imports."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NoReturn, TextIO

from tagger.corpus.lines import numbered_lines
from tagger.corpus.placement import documents_of_one_task
from tagger.corpus.reading import Reading, Writing
from tagger.corpus.records import KEYS, read_record, require_no_columns, sentence_values
from tagger.errors import InputError
from tagger.text.sentence import Sentence

_MOST_KEYS = 10  # that are named of those that no sentence has a place for


def read_jsonl(path: str | Path, reading: Reading) -> Iterator[Sentence]:
    """Read sentences from a file with a JSON record a line, one record at a time; blank lines are none.

    Args:
        path: The file; may be packed with gzip.
        reading: See ``records.read_record``, which tells what a record may be.

    Raises:
        InputError: If columns are named; while reading, if the file cannot be read or holds no sentence.
            Whatever else is wrong goes to ``reading.refuse``.
    """
    require_no_columns(reading, path)
    is_empty = True
    others: dict[str, None] = {}  # a set that keeps its order
    for number, line in numbered_lines(path, refuse=reading.refuse):
        if not line or line.isspace():
            continue
        where = f"{path}:{number}"
        try:
            record = parse_json(line, where)
        except InputError as error:
            reading.refuse(str(error))
            continue
        if isinstance(record, Mapping):
            others.update(dict.fromkeys(key for key in record if key not in KEYS))
        for sentence in read_record(record, reading, where):
            is_empty = False
            yield sentence
    if others:
        named = ", ".join(list(others)[:_MOST_KEYS])
        reading.note(f"{path}: what records hold as {named} was left out; no sentence has a place for it.")
    if is_empty:
        reading.refuse(f"{path}: the file holds no sentence; give a file with a JSON record a line.")


def write_jsonl(sentences: Iterable[Sentence], file: TextIO, writing: Writing) -> None:
    """Write a line a sentence, as ``tagger tag`` does; all that a sentence holds comes back."""
    for sentence in sentences:
        file.write(json_line(sentence_values(sentence, writing.tasks)))


def write_doccano(sentences: Iterable[Sentence], file: TextIO, writing: Writing) -> None:
    """Write lines ``{"text": …, "label": [[start, end, label], …]}`` for doccano, one a document or sentence.

    Raises:
        InputError: If there is not one task, or a sentence has no spans for it.
    """
    for document, spans in documents_of_one_task(sentences, writing, "A doccano file"):
        labels = [[span.start, span.end, span.label] for span in spans]
        file.write(json_line({"text": document.text, "label": labels}))


_ENCODER = json.JSONEncoder(ensure_ascii=False)


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
