"""Targets for raw text: offsets match the tokens of any text, and no visible character is lost."""

from __future__ import annotations

import dataclasses
import random
import unicodedata
import zlib
from collections.abc import Sequence
from pathlib import Path

from inputs import as_text

from tagger.text.documents import stream_sentences
from tagger.text.sentence import Sentence
from tagger.text.tokenizer import Tokenizer

OPTIONS = [field.name for field in dataclasses.fields(Tokenizer) if field.name.startswith("split_")]
CONVENTIONS = (
    Tokenizer(),
    Tokenizer(newlines="boundary", longest=3, **dict.fromkeys(OPTIONS, False)),
    Tokenizer(newlines="space", **dict.fromkeys(OPTIONS, True)),
)
WINDOW = 2_048
# Long enough for quadratic running time to exceed the limit.
LONG = 30_000


def tokenizer(data: bytes, _: Path) -> None:
    """Check offsets, and that tokens cover every visible character, under three sets of options."""
    text = as_text(data)
    for convention in CONVENTIONS:
        sentences = convention.tokenize(text)
        check_cover(text, sentences)
        assert all(len(sentence) <= convention.longest for sentence in sentences)
        shifted = convention.tokenize(text, start=7)
        for sentence, moved in zip(sentences, shifted, strict=True):
            assert moved.offsets == tuple((start + 7, end + 7) for start, end in sentence.offsets)


def long_text(data: bytes, _: Path) -> None:
    """Tokenise a repeated text; the time limit of the fuzzer detects slow inputs."""
    text = as_text(data[:200])
    text *= LONG // max(1, len(text))
    for convention in CONVENTIONS[:2]:
        offsets = [offset for sentence in convention.tokenize(text) for offset in sentence.offsets]
        assert offsets == sorted(offsets)


def stream(data: bytes, _: Path) -> None:
    """Check that text streamed in any pieces gives the sentences of the whole text where guaranteed."""
    text = as_text(data)
    text *= 1 + 3 * WINDOW // max(1, len(text))
    convention = CONVENTIONS[0]
    whole = convention.tokenize(text)
    generator = random.Random(zlib.crc32(data))
    cuts = sorted(generator.choices(range(len(text) + 1), k=20))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    for blocks in (text.splitlines(keepends=True), pieces, [text]):
        streamed = list(stream_sentences(blocks, convention.tokenize, window=WINDOW))
        if is_guaranteed(text, whole):
            assert streamed == whole
        else:
            check_cover(text, streamed)


def is_guaranteed(text: str, whole: Sequence[Sentence]) -> bool:
    """Return True if no sentence and no 33 lines exceed a quarter of the window."""
    lines = text.split("\n")
    widest = max(sum(map(len, lines[first : first + 33])) for first in range(len(lines)))
    return 4 * max((len(s.text) for s in whole), default=0) <= WINDOW and 4 * (widest + 33) <= WINDOW


def check_cover(text: str, sentences: Sequence[Sentence]) -> None:
    """Check that sentences and tokens are in order, match their offsets and cover every visible character."""
    covered = bytearray(len(text))
    position = 0
    for sentence in sentences:
        start, end = sentence.text_start, sentence.text_start + len(sentence.text)
        assert position <= start
        assert text[start:end] == sentence.text
        assert len(sentence.tokens) == len(sentence.offsets) > 0
        position = start
        for token, (first, last) in zip(sentence.tokens, sentence.offsets, strict=True):
            assert position <= first < last <= end
            assert text[first:last] == token
            assert not any(map(str.isspace, token))
            covered[first:last] = b"\1" * (last - first)
            position = last
        position = end
    for index, character in enumerate(text):
        if not covered[index] and not character.isspace():
            assert unicodedata.category(character) in ("Cc", "Cf"), f"{character!r} at {index} is lost"
