"""Write tagged sentences as the JSON lines of ``tagger tag --format jsonl``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from tagger.corpus.jsonl import json_line
from tagger.runtime.options import TagOptions
from tagger.text.sentence import Sentence, sentence_values

SCORE_DIGITS = 6


def sentence_lines(
    sentences: Iterable[Sentence], options: TagOptions, document: str | None = None
) -> Iterator[str]:
    """Yield the line of each sentence of a document.

    Args:
        sentences: The tagged sentences of one document, with offsets into it.
        options: The tasks to write.
        document: The document's name if there are several documents.
    """
    for number, sentence in enumerate(sentences):
        yield sentence_line(sentence, options, document, is_first=number == 0)


def sentence_line(
    sentence: Sentence, options: TagOptions, document: str | None = None, *, is_first: bool = False
) -> str:
    """Return the line of a sentence, see ``line_values``."""
    return json_line(line_values(sentence, options, document, is_first=is_first))


def line_values(
    sentence: Sentence, options: TagOptions, document: str | None = None, *, is_first: bool = False
) -> dict[str, Any]:
    """Return the JSON values of a sentence's line.

    Args:
        sentence: The tagged sentence.
        options: The tasks to write.
        document: The document's name if there are several documents.
        is_first: True for the first sentence of a document.
    """
    if is_first and not sentence.starts_document:
        sentence = replace(sentence, starts_document=True)
    values = sentence_values(sentence, options.task_names, digits=SCORE_DIGITS, has_candidates=True)
    return values if document is None else values | {"document": document}
