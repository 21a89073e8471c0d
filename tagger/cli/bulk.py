"""``tagger bulk``: tag tables of texts in numbered shards, which can be resumed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from math import inf
from pathlib import Path
from time import monotonic
from typing import Annotated, Literal

import typer

from tagger import __version__
from tagger.cli.input import split_names
from tagger.cli.output import print_message
from tagger.cli.progress_bar import ProgressBar
from tagger.cli.tag import CACHE_MEGABYTES, ModelOption, PrecisionOption
from tagger.cli.tag_checks import require_workers
from tagger.cli.thresholds import MinScoreOption, parse_min_score, resolve_min_score
from tagger.corpus.text_tables import TextTable, open_table
from tagger.errors import InputError
from tagger.included import default_model, find_model
from tagger.runtime.bulk_plan import SHARD_BYTES, SHARD_STEM, Shard, fingerprint, make_plan, missing_shards
from tagger.runtime.bulk_shards import ShardCounts, errors_file, load_tagger, tag_shard
from tagger.runtime.options import TagOptions
from tagger.runtime.sentence_tagger import select_tasks
from tagger.runtime.tagged_tables import span_columns
from tagger.runtime.tagger import Tagger
from tagger.storage import claim_folder, remove_abandoned

EXAMPLES = """Examples:

tagger bulk 2024.jsonl 2025.jsonl --text-column body --output tagged/ --workers 2

tagger bulk articles.parquet --text-column body --output tagged/ --resume"""

MEGABYTE = 1_000_000
EngineName = Literal["processes", "ray"]


def bulk_command(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Tables: .jsonl, .csv, .tsv or .parquet.")
    ],
    text_column: Annotated[str, typer.Option(metavar="NAME", help="Column of texts.")],
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder to write the shards to.")],
    model: ModelOption = None,
    id_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column that identifies a row in the files of errors.")
    ] = None,
    spans_column: Annotated[
        str,
        typer.Option(metavar="NAME", help="Name of the new column. With several tasks, NAME_TASK for each."),
    ] = "spans",
    task: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Tasks to write; by default the first with spans (repeatable, or with commas).",
        ),
    ] = None,
    min_score: MinScoreOption = None,
    precision: PrecisionOption = "f32",
    engine: Annotated[
        EngineName,
        typer.Option(
            help="What distributes the shards: processes of this machine, or Ray, on the cluster of "
            "RAY_ADDRESS or on this machine."
        ),
    ] = "processes",
    workers: Annotated[int, typer.Option(metavar="N", help="Number of processes.")] = 1,
    shard_megabytes: Annotated[
        float, typer.Option(metavar="X", help="Size of a shard of the input; a resumed run keeps its shards.")
    ] = SHARD_BYTES / MEGABYTE,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an earlier run with the same model, options and files.")
    ] = False,
) -> None:
    """Tag tables of texts in numbered shards.

    FOLDER/plan.json cuts the tables into shards. A shard is tagged as a whole
    and written as part-NUMBER in the format of its table; the parts in order
    are the tables with a column of spans. Rows that cannot be tagged are in
    part-NUMBER.errors.jsonl; the exit code is then 1.
    """
    require_workers(workers, "jsonl", is_stream=False)
    if not 1 <= shard_megabytes * MEGABYTE < inf:
        raise InputError(
            f"--shard-megabytes must be a positive number (got {shard_megabytes}). Pass 4, for example.",
            code="option.value",
            option="--shard-megabytes",
        )
    thresholds = parse_min_score(min_score)
    names = split_names(task)
    columns = span_columns(spans_column, names)
    tables = [open_table(path, text_column, id_column, columns) for path in files]
    folder = default_model() if model is None else find_model(model)
    tagger = Tagger.load(folder, precision=precision, threads=1, cache_megabytes=CACHE_MEGABYTES)
    options = TagOptions(
        tasks=select_tasks(tagger, names),
        min_score=resolve_min_score(thresholds, tagger.labels),
        model=folder,
        scheme=tagger.scheme,
        precision=tagger.precision,
        cache_megabytes=CACHE_MEGABYTES,
    )
    options = options if names else replace(options, tasks=(options.text_task,))
    settings = {
        "version": __version__,
        "text column": text_column,
        "id column": id_column,
        "new columns": columns,
        "task": list(options.task_names),
        "min score": thresholds,
        "precision": options.precision,
    }
    with claim_folder(output):
        plan = make_plan(
            output,
            tables,
            fingerprint(folder, tables, settings),
            shard_bytes=round(shard_megabytes * MEGABYTE),
            is_resumed=resume,
        )
        missing = list(missing_shards(plan, tables, output))
        progress = _Progress(len(missing))
        with ProgressBar("tagging", [], unit="shards") as bar:
            results = ENGINES[engine](tables, missing, output, options, workers)
            for counts in bar.track(results, total=len(missing), note=progress.describe):
                progress.add(counts)
        remove_abandoned(output, SHARD_STEM)  # of workers that outlived the driver of an earlier run
        print_message(f"{len(missing):,} of {len(plan.shards):,} shards tagged: {progress.describe()}.")
        outputs = [output / shard.file_name(tables[shard.table]) for shard in plan.shards]
        if any(errors_file(path).exists() for path in outputs):
            print_message(f"some rows were not tagged; {output / '*.errors.jsonl'} list the reasons.")
            raise typer.Exit(1)


class _Progress:
    """Rows and words so far, their speed and the expected time of the rest.

    Args:
        n_shards: Number of shards to tag.
    """

    def __init__(self, n_shards: int) -> None:
        self._n_shards = n_shards
        self._n_done = self._n_rows = self._n_words = 0
        self._start = monotonic()

    def add(self, counts: ShardCounts) -> None:
        """Count a finished shard."""
        self._n_done += 1
        self._n_rows += counts.n_rows
        self._n_words += counts.n_words

    def describe(self) -> str:
        """Return the progress in words."""
        seconds = max(monotonic() - self._start, 1e-9)
        facts = f"{self._n_rows:,} rows, {self._n_words:,} words, {self._n_words / seconds:,.0f} words/s"
        n_left = self._n_shards - self._n_done
        if not n_left or not self._n_done:
            return facts
        return f"{facts}, {timedelta(seconds=round(seconds / self._n_done * n_left))} left"


def _tag_in_processes(
    tables: Sequence[TextTable], shards: Iterable[Shard], folder: Path, options: TagOptions, workers: int
) -> Iterator[ShardCounts]:
    """Tag shards in this process, or in several, and yield their counts."""
    if workers == 1:
        tagger = load_tagger(options)
        for shard in shards:
            yield tag_shard(tagger, tables[shard.table], shard, folder, options.tasks, options.min_score)
        return
    from tagger.cli.workers import map_in_workers, tag_shard_in_worker  # rarely needed

    calls = ((tables[shard.table], shard, folder) for shard in shards)
    for _, counts in map_in_workers(tag_shard_in_worker, calls, options, workers):
        yield counts


def _tag_on_ray(
    tables: Sequence[TextTable], shards: Iterable[Shard], folder: Path, options: TagOptions, workers: int
) -> Iterator[ShardCounts]:
    """Tag shards on a Ray cluster and yield their counts."""
    from tagger.integrations.ray_data import tag_in_actors  # slow to import

    return tag_in_actors(tables, shards, folder, options, workers)


ENGINES = {"processes": _tag_in_processes, "ray": _tag_on_ray}
"""What distributes shards. An engine yields the counts of each shard after its file was written."""
