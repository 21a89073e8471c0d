"""Targets for formats of running text: no silent loss of spans, consistent tags, and exact round trips."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from inputs import attempt

from tagger.corpus.files import FORMATS
from tagger.corpus.placement import Document, documents
from tagger.corpus.reading import OnMisaligned, Reading, Writing
from tagger.errors import InputError, raise_error
from tagger.text.schemes import spans_to_tags
from tagger.text.sentence import Sentence

BORDER = b"\n%%%\n"  # separates text and annotations of a brat input


def jsonl(data: bytes, folder: Path) -> None:
    """Read JSON lines or arrays: records of tagger, of annotation tools, and tokens with tags."""
    check_round_trip("jsonl", data, folder, without_source)


def csv(data: bytes, folder: Path) -> None:
    """Read tables of tokens, or of texts with spans."""
    check_round_trip("csv", data, folder, contents)


def check_round_trip(name: str, data: bytes, folder: Path, view: Callable[[list[Sentence]], object]) -> None:
    """Read data, write the sentences and read them again; ``view`` of both must be equal."""
    path, output = folder / f"input.{name}", folder / f"output.{name}"
    path.write_bytes(data)
    for sentences in readings(name, path):
        write(name, sentences, output)
        assert view(read(name, output)) == view(sentences)


def running_text(name: str, data: bytes, folder: Path) -> None:
    """Read a file in a format that holds texts with spans."""
    path = folder / f"input.{name}"
    path.write_bytes(data)
    for sentences in readings(name, path):
        check_documents(name, sentences, folder / f"output.{name}")


def brat(data: bytes, folder: Path) -> None:
    """Read a text and its standoff annotations."""
    text, _, annotations = data.partition(BORDER)
    pair = folder / "pair"
    pair.mkdir(exist_ok=True)
    (pair / "a.txt").write_bytes(text)
    (pair / "a.ann").write_bytes(annotations)
    for sentences in readings("brat", pair):
        output = folder / "output"
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir()
        check_documents("brat", sentences, output)


def readings(name: str, path: Path) -> list[list[Sentence]]:
    """Read a file with every option for misaligned spans; check each, return those without problems."""
    results = []
    for on_misaligned in get_args(OnMisaligned):
        problems: list[InputError] = []
        warnings: list[str] = []
        reading = Reading(
            tasks=(), on_misaligned=on_misaligned, on_error=problems.append, warn=warnings.append
        )
        sentences = attempt(lambda reading=reading: list(FORMATS[name].read(path, reading)))
        if sentences is None:
            continue
        assert all(len(message.splitlines()) == 1 for message in [*map(str, problems), *warnings])
        for sentence in sentences:
            check_sentence(sentence)
        assert sentences or problems
        # Without a problem collector, the reader raises on the first problem.
        strict = attempt(
            lambda reading=reading: list(FORMATS[name].read(path, replace(reading, on_error=raise_error)))
        )
        assert (strict is None) == bool(problems)
        if strict is not None:
            assert strict == sentences
            results.append(sentences)
    return results


def check_sentence(sentence: Sentence) -> None:
    assert sentence.tokens
    assert all(sentence.tokens)
    assert sorted(sentence.offsets) == list(sentence.offsets)
    start = sentence.text_start
    for token, (first, last) in zip(sentence.tokens, sentence.offsets, strict=True):
        assert sentence.text[first - start : last - start] == token
    for task, spans in sentence.spans.items():
        for span in spans:
            assert span.start_char == sentence.offsets[span.start][0]
            assert span.end_char == sentence.offsets[span.end - 1][1]
        assert len(sentence.tags[task]) == len(sentence)
        if all(tag == "O" or tag[:2] in ("B-", "I-") for tag in sentence.tags[task]):
            assert spans_to_tags(spans, len(sentence), "IOB2").count("O") == sum(
                not any(span.start <= index < span.end for span in spans) for index in range(len(sentence))
            )


def check_documents(name: str, sentences: Sequence[Sentence], output: Path) -> None:
    """Check the round trip of texts and spans; sentence boundaries may differ."""
    # The output does not name tasks without spans.
    named = dict.fromkeys(task for sentence in sentences for task in sentence.spans)
    tasks = tuple(task for task in named if any(one.spans[task] for one in sentences))
    write(name, sentences, output)
    expected = [text_and_spans(one) for one in documents(sentences, tasks)]
    assert [text_and_spans(one) for one in documents(read(name, output), tasks)] == expected


def text_and_spans(document: Document) -> tuple[str, dict[str, list[tuple[int, int, str]]]]:
    return document.text, {
        task: [(span.start, span.end, span.label) for span in spans] for task, spans in document.spans.items()
    }


def write(name: str, sentences: Sequence[Sentence], output: Path) -> None:
    writing = Writing(tasks=tuple(dict.fromkeys(task for sentence in sentences for task in sentence.tags)))
    known = FORMATS[name]
    if known.write_folder:
        known.write_folder(sentences, output, writing)
    elif known.write:
        with output.open("w", encoding="utf-8", newline="") as file:
            known.write(sentences, file, writing)


def read(name: str, path: Path) -> list[Sentence]:
    return list(FORMATS[name].read(path, Reading(tasks=())))


def contents(sentences: Sequence[Sentence]) -> list[tuple[object, ...]]:
    """Return the sentence fields that a table contains; offsets within documents are not among them."""
    return [(one.tokens, dict(one.tags), one.starts_document) for one in sentences]


def without_source(sentences: Sequence[Sentence]) -> list[Sentence]:
    return [replace(sentence, source="") for sentence in sentences]
