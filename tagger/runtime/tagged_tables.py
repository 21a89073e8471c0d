"""Tag the rows of a table of texts, each text as a document of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tagger.corpus.table_writing import Cell, TaggedRow
from tagger.corpus.text_tables import TextRow
from tagger.features.vocab import Task
from tagger.runtime.entity_pipeline import spans_of
from tagger.runtime.json_lines import SCORE_DIGITS
from tagger.runtime.min_score import MinScore
from tagger.runtime.sentence_tagger import SentenceTagger
from tagger.text.sentence import Span

BLOCK_ROWS = 1000  # rows that are tagged together
BLOCK_CHARACTERS = 1 << 18  # a block ends when its texts reach this size

TextCells = tuple[Cell, ...]
"""The cells of one text, one per new column."""
TagBlocks = Callable[[Iterable[list[str]]], Iterable[list[TextCells]]]
"""Tags blocks of texts, in order."""


def span_columns(column: str, tasks: Sequence[str]) -> list[str]:
    """Return the name of the column of each task: ``column``, followed by the task if there are several."""
    return [column] if len(tasks) < 2 else [f"{column}_{task}" for task in tasks]


def tag_texts(
    tagger: SentenceTagger, texts: Iterable[str], tasks: Sequence[Task], min_score: MinScore = 0.0
) -> list[TextCells]:
    """Return the spans of each text, one cell per task. In a task without spans, each token is a span.

    Args:
        tagger: The model.
        texts: The texts, each a document of its own.
        tasks: The tasks.
        min_score: Score threshold of the spans, see ``Tagger.tag_sentences``.

    Raises:
        InputError: ``min_score`` is invalid.
    """
    has_scores = any(task.scheme is None for task in tasks)
    return [
        tuple(
            [_span_values(one) for sentence in sentences for one in spans_of(sentence, task)]
            for task in tasks
        )
        for sentences in tagger.pipe(texts, scores=has_scores, min_score=min_score)
    ]


def tag_rows(
    rows: Iterable[TextRow],
    columns: Sequence[str],
    tag_blocks: TagBlocks,
    on_problem: Callable[[TextRow], object],
) -> Iterator[TaggedRow]:
    """Yield the rows of a table in order, with their spans.

    Memory does not grow with the table: rows are read in blocks of at most ``BLOCK_ROWS`` rows, which end
    at ``BLOCK_CHARACTERS``.

    Args:
        rows: The rows.
        columns: The names of the new columns.
        tag_blocks: Tags blocks of texts (see ``tag_texts``), each as soon as it is read or a few later.
        on_problem: Receives each row that cannot be tagged, in order; it is not yielded.
    """
    pending: deque[list[TextRow]] = deque()

    def texts() -> Iterator[list[str]]:
        for block in _blocks(rows):
            pending.append(block)
            yield [row.text for row in block if row.text is not None]

    nulls: TextCells = (None,) * len(columns)
    for tagged in tag_blocks(texts()):
        cells = iter(tagged)
        for row in pending.popleft():
            if row.problem:
                on_problem(row)
            else:
                values = nulls if row.text is None else next(cells)
                yield row, dict(zip(columns, values, strict=True))


def _blocks(rows: Iterable[TextRow]) -> Iterator[list[TextRow]]:
    block: list[TextRow] = []
    size = 0
    for row in rows:
        block.append(row)
        size += len(row.text or row.line)
        if len(block) == BLOCK_ROWS or size >= BLOCK_CHARACTERS:
            yield block
            block, size = [], 0
    if block:
        yield block


def _span_values(span: Span) -> dict[str, Any]:
    score = None if span.score is None else round(span.score, SCORE_DIGITS)
    return {"start": span.start_char, "end": span.end_char, "label": span.label, "score": score}
