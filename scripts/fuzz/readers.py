"""Targets for file readers: accepted files are read completely, with valid offsets, and round-trip."""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

import numpy as np
from inputs import Choices, attempt
from numpy.typing import NDArray

from tagger.corpus.conll import read_conll, write_conll
from tagger.corpus.conllu import read_conllu, write_conllu
from tagger.corpus.files import read_sentences
from tagger.corpus.inspection import inspect_files
from tagger.corpus.loading import load_split
from tagger.corpus.project_tables import METADATA
from tagger.corpus.projects import write_project
from tagger.corpus.reading import Writing
from tagger.errors import InputError
from tagger.features.vectors import read_vectors
from tagger.text.schemes import belongs_to
from tagger.text.sentence import Sentence, from_tokens

COLUMNS = ((None, ()), (None, ("ner",)), ("token,pos,ner", ("ner",)), ("ner=0,token=-1", ("ner",)))
SUFFIXES = (".conll", ".conllu", ".txt", ".json", ".jsonl", ".csv", ".tsv", ".conllup")
TASKS = (("ner",), ("pos",), ("pos", "ner"), ("mood",))
WORDS = frozenset(["a", "the", "Ann", "new york"])
GZIP = b"\x1f\x8b"

Read = Callable[[Path], Iterator[Sentence]]
Write = Callable[[Iterable[Sentence], TextIO], None]


def conll(data: bytes, folder: Path) -> None:
    """Read column files, with and without column names."""
    path = folder / "input.conll"
    path.write_bytes(data)
    for columns, tasks in COLUMNS:
        sentences = attempt(sentences_of, partial(read_conll, columns=columns, tasks=tasks), path)
        if sentences is None:
            continue
        check_offsets(sentences)
        assert all(s.text[a - s.text_start : b - s.text_start] == t for s, t, (a, b) in each_token(sentences))
        check_lines_of_columns(lines_of(data), sentences)
        names = tuple(sentences[0].tags)
        read = partial(read_conll, columns=",".join(("token", *names)), tasks=names)
        for separator in " \t":
            write = partial(write_conll, columns=names, separator=separator)
            check_round_trip(sentences, folder / "output.conll", read, write)


def conllu(data: bytes, folder: Path) -> None:
    """Read CoNLL-U, with all columns and with tokens only."""
    path = folder / "input.conllu"
    path.write_bytes(data)
    sentences = attempt(sentences_of, read_conllu, path)
    tokens = attempt(sentences_of, partial(read_conllu, tasks=()), path)
    if sentences is None or tokens is None:
        assert sentences is tokens
        return
    assert tokens == [replace(sentence, tags={}) for sentence in sentences]
    check_offsets(sentences)
    check_lines_of_conllu(lines_of(data), sentences)
    check_round_trip(sentences, folder / "output.conllu", read_conllu, write_conllu)


def loading(data: bytes, folder: Path) -> None:
    """Load any file as a split: tags belong to its scheme, and inspection counts the same sentences."""
    choices = Choices(data)
    path = folder / f"split{choices.pick(SUFFIXES)}"
    tasks = choices.pick(TASKS)
    path.write_bytes(data[2:])
    problems: list[InputError] = []
    (facts,) = inspect_files([str(path)], problems.append).files
    assert all(
        len(message.splitlines()) == 1 for message in (*map(str, problems), *facts.notes, facts.summary)
    )
    split = attempt(load_split, [path], tasks)
    if split is None:
        return
    for sentence in split.sentences:
        for task in tasks:
            scheme = split.schemes[task]
            assert len(sentence.tags[task]) == len(sentence)
            assert scheme is None or all(belongs_to(tag, scheme) for tag in sentence.tags[task])
    assert problems or facts.sentences == len(split.sentences)  # of columns that the tasks do not need


def vectors(data: bytes, folder: Path) -> None:
    """Read word vectors: all are finite, have one width and equal a row of the file."""
    path = folder / "vectors.txt"
    path.write_bytes(data)
    for limit, normalise in ((1_000, str), (2, str.lower)):
        table = attempt(read_vectors, path, WORDS, limit=limit, normalise=normalise)
        if table is None:
            continue
        assert table.size >= 1
        assert table.frozen.shape == (len(table.frozen_words), table.size)
        assert len(set(table.frozen_words)) == len(table.frozen_words) <= limit
        assert not WORDS & set(table.frozen_words)
        assert table.trainable.keys() <= WORDS
        rows = list(table.trainable.values())
        assert all(row.shape == (table.size,) and np.isfinite(row).all() for row in rows)
        assert np.isfinite(table.frozen).all()
        content = unpacked(data)
        for word, row in table.trainable.items():
            of_lower_case = [
                r for w, r in zip(table.frozen_words, table.frozen, strict=True) if w == word.lower()
            ]
            assert has_vector(content, row) or any(np.array_equal(row, other) for other in of_lower_case), (
                word
            )


def project(data: bytes, folder: Path) -> None:
    """Read an annotation project with damaged bytes, or with other values in the columns of its tables."""
    path, choices = folder / "input.db", Choices(data)
    content = bytearray(_whole_project())
    has_values = choices.pick([False, True])
    while choices and not has_values:
        start, damage = choices.number(len(content)), choices.take(1 + choices.number(32))
        content[start : start + len(damage)] = damage
    path.write_bytes(content)
    columns = [(table.name, column.name) for table in METADATA.sorted_tables for column in table.c]
    with closing(sqlite3.connect(path)) as database:
        while choices:
            table, column = choices.pick(columns)
            value = choices.take(choices.number(64)).decode(errors="replace")
            with suppress(sqlite3.Error):  # its own constraints
                database.execute(f"UPDATE {table} SET {column} = ?", [value])
        database.commit()
    sentences = attempt(sentences_of, partial(read_sentences, format="project"), path)
    if sentences is not None:
        check_offsets(sentences)


@cache
def _whole_project() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "whole.db"
        tagged = [from_tokens(["Ann", "ran", "."]).with_tags({"ner": ["B-PER", "O", "?"]})] * 2
        write_project(tagged, path, Writing(tasks=("ner",)))
        return path.read_bytes()


def sentences_of(read: Read, path: Path) -> list[Sentence]:
    return list(read(path))


def unpacked(data: bytes) -> bytes:
    return gzip.decompress(data) if data.startswith(GZIP) else data


def lines_of(data: bytes) -> list[str]:
    """Return the lines of an accepted file."""
    return [line.removeprefix("\ufeff").rstrip("\r") for line in unpacked(data).decode().split("\n")]


def each_token(sentences: Iterable[Sentence]) -> Iterator[tuple[Sentence, str, tuple[int, int]]]:
    for sentence in sentences:
        for token, offset in zip(sentence.tokens, sentence.offsets, strict=True):
            yield sentence, token, offset


def check_offsets(sentences: Sequence[Sentence]) -> None:
    """Check that tokens exist, tags match their number, and offsets are in order and inside the text."""
    assert sentences
    assert sentences[0].starts_document
    for sentence in sentences:
        assert sentence.tokens
        assert all(sentence.tokens)
        assert all(len(tags) == len(sentence) and all(tags) for tags in sentence.tags.values())
        assert list(sentence.offsets) == sorted(sentence.offsets)
    for sentence, _, (start, end) in each_token(sentences):
        assert 0 <= start - sentence.text_start < end - sentence.text_start <= len(sentence.text)


def check_lines_of_columns(lines: Sequence[str], sentences: Sequence[Sentence]) -> None:
    """Check that every line is a token or blank, unless it starts like a comment or document boundary."""
    starts = {int(sentence.source.rpartition(":")[2]): sentence for sentence in sentences}
    comments = []
    number = 1
    while number <= len(lines):
        line = lines[number - 1]
        if number in starts:
            sentence = starts.pop(number)
            stop = number + len(sentence)
            for token, its_line in zip(sentence.tokens, lines[number - 1 : stop - 1], strict=True):
                assert token in its_line
            after = lines[stop - 1] if stop <= len(lines) else ""
            is_end = not after.strip() or "-DOCSTART-" in after.split()
            assert is_end, f"line {stop} is not in its sentence"
            number = stop
            continue
        if line.startswith("#") and "-DOCSTART-" not in line:  # with it, the line may be a document boundary
            comments.append(line)
        is_skipped = not line.strip() or line.startswith("#") or "-DOCSTART-" in line.split()
        assert is_skipped, f"line {number} is lost"
        number += 1
    assert not starts
    read = [comment for sentence in sentences for comment in sentence.comments if "-DOCSTART-" not in comment]
    assert read == comments[: len(read)]


def check_lines_of_conllu(lines: Sequence[str], sentences: Sequence[Sentence]) -> None:
    """Check that every line is a token, an extra line or blank, unless it is a comment."""
    expected = [line for line in lines if line.strip() and line[0] != "#"]
    read: list[str] = []
    for sentence in sentences:
        extra = list(sentence.extra_lines)
        for index in range(len(sentence) + 1):
            while extra and extra[0][0] == index:
                read.append(extra.pop(0)[1])
            read += [f"\t{token}\t" for token in sentence.tokens[index : index + 1]]
        assert not extra
    assert len(read) == len(expected)
    assert all(piece in line for piece, line in zip(read, expected, strict=True))
    comments = [line for line in lines if line.strip() and line[0] == "#"]
    read = [comment for sentence in sentences for comment in sentence.comments]
    assert read == comments[: len(read)]


def check_round_trip(sentences: Sequence[Sentence], path: Path, read: Read, write: Write) -> None:
    """Check that written sentences are read back unchanged, except for comments."""
    if not attempt(write_file, sentences, path, write):
        return
    once = list(read(path))
    assert list(map(without_source, once)) == list(map(without_source, sentences))
    assert attempt(write_file, once, path, write), "sentences read back cannot be written again"
    assert list(read(path)) == once


def write_file(sentences: Iterable[Sentence], path: Path, write: Write) -> bool:
    with path.open("w", encoding="utf-8", newline="") as file:
        write(sentences, file)
    return True


def without_source(sentence: Sentence) -> Sentence:
    return replace(sentence, source="", comments=())


def has_vector(content: bytes, row: NDArray[np.float32]) -> bool:
    """Return True if the file contains the vector, as raw values or at the end of a text line."""
    if row.astype("<f4").tobytes() in content:
        return True
    for line in content.translate(bytes.maketrans(b"\t,;[]()", b" " * 7)).split(b"\n"):
        fields = b" ".join(line.split()).rsplit(b" ", len(row))
        try:
            values = np.array([float(field) for field in fields[1:]])
        except ValueError:
            continue
        if len(values) == len(row) and np.array_equal(values.astype(np.float32), row):
            return True
    return False
