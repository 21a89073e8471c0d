"""Tag one shard of a bulk run: a function of plan, model and input that writes one file."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from tagger.corpus.table_writing import TaggedRow, error_line, write_parquet_table, write_text_table
from tagger.corpus.text_tables import TextRow, TextTable
from tagger.features.vocab import Task
from tagger.runtime.bulk_plan import Shard
from tagger.runtime.min_score import MinScore
from tagger.runtime.options import TagOptions
from tagger.runtime.sentence_tagger import SentenceTagger
from tagger.runtime.tagged_tables import tag_rows, tag_texts
from tagger.runtime.tagger import Tagger
from tagger.storage import open_text, replace_file, write_whole


@dataclass(frozen=True, slots=True)
class ShardCounts:
    """What a shard held.

    Attributes:
        n_rows: The rows that were tagged, null texts included.
        n_errors: The rows that could not be tagged.
        n_words: The words of the texts, separated by white space.
    """

    n_rows: int
    n_errors: int
    n_words: int


def load_tagger(options: TagOptions) -> Tagger:
    """Load the model of a run in a worker process, which has one thread and keeps it until its end."""
    tagger = Tagger.load(
        options.model,
        scheme=options.scheme,
        precision=options.precision,
        threads=1,
        cache_megabytes=options.cache_megabytes,
    )
    gc.freeze()  # the model lives as long as the process: exclude it from garbage collection
    return tagger


def errors_file(output: Path) -> Path:
    """Return the file of a shard's rows that cannot be tagged, which exists if there are any."""
    return output.with_suffix(".errors.jsonl")


def tag_shard(
    tagger: SentenceTagger,
    table: TextTable,
    shard: Shard,
    folder: Path,
    tasks: Sequence[Task],
    min_score: MinScore = 0.0,
) -> ShardCounts:
    """Tag a shard and write its file: to a temporary file, which is synced and then renamed.

    The bytes depend on the arguments only, not on what was tagged before or in which process: each shard is
    tagged with an empty word cache, because the size of a batch of new words changes scores by rounding.
    Rows that cannot be tagged go to ``part-NUMBER.errors.jsonl``, which is complete before the shard's file.

    Args:
        tagger: The model, with one thread.
        table: The table of the shard.
        shard: The shard.
        folder: The output folder.
        tasks: The tasks, one for each of ``table.new_columns``.
        min_score: Score threshold of the spans, see ``Tagger.tag_sentences``.

    Raises:
        InputError: The table cannot be read, or the file cannot be written.
    """
    fresh = deepcopy(tagger)  # shares the weights
    output = folder / shard.file_name(table)
    errors: list[str] = []
    n_rows = n_words = 0

    def report(row: TextRow) -> None:
        errors.append(error_line(row, table))

    def count(rows: Iterable[TaggedRow]) -> Iterator[TaggedRow]:
        nonlocal n_rows, n_words
        for row, spans in rows:
            n_rows, n_words = n_rows + 1, n_words + len((row.text or "").split())
            yield row, spans

    tagged = tag_rows(
        table.rows(shard.part),
        table.new_columns,
        lambda blocks: (tag_texts(fresh, texts, tasks, min_score) for texts in blocks),
        report,
    )
    with replace_file(output, follows_links=False) as path:
        if table.format == "parquet":
            write_parquet_table(count(tagged), table, path)
        else:
            with open_text(path, is_compressed=False) as file:
                write_text_table(count(tagged), table, file, table.format)
        if errors:
            write_whole(errors_file(output), "".join(errors).encode())
    return ShardCounts(n_rows, len(errors), n_words)
