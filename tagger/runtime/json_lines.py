"""Write tagged sentences as the JSON lines of ``tagger tag --format jsonl``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from tagger.corpus.jsonl import json_line
from tagger.corpus.records import sentence_values
from tagger.runtime.options import TagOptions
from tagger.text.sentence import Sentence, Span

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
    """Return the line of a sentence, see ``sentence_lines``.

    Args:
        sentence: The tagged sentence.
        options: The tasks to write.
        document: The document's name if there are several documents.
        is_first: True for the first sentence of a document.
    """
    if is_first and not sentence.starts_document:
        sentence = replace(sentence, starts_document=True)
    values = sentence_values(sentence, options.task_names, digits=SCORE_DIGITS)
    if sentence.candidates:
        values["candidates"] = {
            task: [_candidate_values(span, sentence) for span in sentence.candidates[task]]
            for task in options.task_names
            if task in sentence.candidates
        }
    return json_line(values if document is None else values | {"document": document})


def _candidate_values(span: Span, sentence: Sentence) -> dict[str, object]:
    start, end = span.start_char, span.end_char
    text = sentence.text[start - sentence.text_start : end - sentence.text_start]
    score = None if span.score is None else round(span.score, SCORE_DIGITS)
    return {"start": start, "end": end, "label": span.label, "text": text, "score": score}
