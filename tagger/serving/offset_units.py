"""Offsets of tagged sentences in UTF-16 code units (JavaScript, Java, C#) or bytes of UTF-8 (Go, Rust)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tagger.corpus.offsets import measure
from tagger.corpus.reading import OffsetUnit

_SPANS = ("spans", "candidates")


def convert_document(
    document: str, sentences: Iterable[Mapping[str, Any]], unit: OffsetUnit
) -> Iterator[dict[str, Any]]:
    """Convert the offsets of the sentences of a document; the time is linear in its length.

    Args:
        document: The text in which the offsets of the sentences count characters (code points). For
            pretokenized sentences: their texts, joined by a line end if their offsets are those of lines.
        sentences: The values of each sentence (``line_values`` or ``sentence_values``), which stay unchanged.
        unit: The unit of the new offsets.

    Yields:
        The same values with offsets in the unit, for which the document's text in that encoding, from
        ``start`` to ``end``, is the text of the sentence, token or span. A lone surrogate, which has no
        encoding, counts as U+FFFD.
    """
    if unit == "characters":
        yield from map(dict, sentences)
        return
    at = measure(document, unit)
    for sentence in sentences:
        values = dict(sentence, start=at(sentence["start"]))
        values["tokens"] = _convert(sentence["tokens"], at)
        for name in _SPANS:
            if name in sentence:
                values[name] = {task: _convert(spans, at) for task, spans in sentence[name].items()}
        yield values


def _convert(ranges: Iterable[Mapping[str, Any]], at: Callable[[int], int]) -> list[dict[str, Any]]:
    return [{**one, "start": at(one["start"]), "end": at(one["end"])} for one in ranges]
