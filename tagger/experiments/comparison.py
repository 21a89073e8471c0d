"""Run a comparison: train the missing runs of its grid, and combine all runs."""

from __future__ import annotations

import os
import platform
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tagger.corpus.loading import name_files
from tagger.errors import InputError
from tagger.evaluation.tasks import main_score
from tagger.experiments.grid import (
    RUNS,
    ComparisonData,
    Job,
    Request,
    load_data,
    require_comparable,
    require_local_features,
)
from tagger.experiments.results import Comparison, GoldSplit, Measure, Run, load_run
from tagger.experiments.run_training import Event, remove_checkpoint, train_runs
from tagger.storage import claim_folder, make_own_folder, writing
from tagger.training.encoded_split import EncodedSplit
from tagger.training.processes import is_alone


@dataclass(frozen=True, slots=True)
class GridRecord:
    """The plan of a comparison, emitted before the first run.

    Attributes:
        jobs: All runs of the grid, seed by seed.
        finished: Dev scores of the runs that an earlier call has finished, by run name.
        summary: One line for each corpus file: its format, columns, schemes and labels.
        notes: What reading the files changed or left out.
    """

    jobs: Sequence[Job]
    finished: dict[str, float]
    summary: Sequence[str] = ()
    notes: Sequence[str] = ()


def compare(request: Request, *, processes: int = 1) -> Generator[GridRecord | Event, None, Comparison]:
    """Train the missing runs of a grid, and combine all runs.

    A comparison can be interrupted at any time. It keeps each finished run as a file in ``output/runs``; a
    later call resumes from there, also with a larger grid.

    Args:
        request: Arguments of the comparison.
        processes: Number of runs to train in parallel.

    Yields:
        One ``GridRecord``, then the events of the runs.

    Returns:
        The comparison.

    Raises:
        InputError: A file is unusable, the runs would not be comparable, the folder has runs with other data
            or options, or another process is writing to it.
    """
    require_comparable(request.config)
    if not is_alone():
        raise InputError(
            "A comparison trains each run in a single process. Start it without torchrun or accelerate "
            "launch (and without WORLD_SIZE in the environment), and use --jobs to train runs in parallel.",
            code="option.conflict",
            option="--jobs",
        )
    with writing(request.output / RUNS):
        make_own_folder(request.output / RUNS)
    with claim_folder(request.output / RUNS):
        data = load_data(request)
        require_local_features(data)
        jobs = data.jobs()
        runs = _load_runs(data, jobs)
        finished = {name: main_score(run.scores["dev"]) for name, run in runs.items()}
        test = data.test
        summary = (*data.preparation.summary, *(test.summary if test else ()))
        notes = (*data.preparation.notes, *(test.notes if test else ()))
        yield GridRecord(jobs, finished, summary, notes)
        missing = [job for job in jobs if job.name not in runs]
        yield from train_runs(missing, data, processes)
        return _combine(data, jobs, runs | _load_runs(data, missing))


def _load_runs(data: ComparisonData, jobs: Sequence[Job]) -> dict[str, Run]:
    """Load the finished runs, by name."""
    runs = {}
    for job in jobs:
        run = load_run(job, data)
        if run:
            runs[job.name] = run
            remove_checkpoint(job, data)
    return runs


def _combine(data: ComparisonData, jobs: Sequence[Job], runs: Mapping[str, Run]) -> Comparison:
    request = data.request
    for job in jobs:
        if job.name not in runs:
            raise InputError(
                "the run file was removed during the comparison. Run the same command again.",
                code="file.missing",
                where=data.folder / f"{job.name}.json",
            )
    ordered = sorted(jobs, key=lambda job: (request.variants.index(job.variant), job.seed))
    return Comparison(
        task=request.config.data.tasks[0],
        measure=_measure(data),
        match=request.match,
        settings=_describe_settings(data),
        gold={name: _gold(split, _file(request, name)) for name, split in data.scored_splits.items()},
        runs=[runs[job.name] for job in ordered],
    )


def _measure(data: ComparisonData) -> Measure:
    (scheme,) = data.preparation.train.schemes.values()
    return "f1" if scheme else "accuracy"


def _file(request: Request, split: str) -> str:
    """Return the names of the files of a split."""
    return name_files(
        {"train": request.train_files, "dev": request.dev_files, "test": request.test_files}[split]
    )


def _gold(split: EncodedSplit, file: str) -> GoldSplit:
    (scheme,) = split.schemes.values()
    return GoldSplit(file, split.sentences, scheme, split.table.vocabulary.mark_seen(split.sentences))


def _describe_settings(data: ComparisonData) -> dict[str, Any]:
    """Return the settings that all runs share, as JSON values."""
    request = data.request
    splits = {"train": data.preparation.train, **data.scored_splits}
    files: dict[str, Any] = {
        name: {
            "file": _file(request, name),
            "sentences": len(split.sentences),
            "tokens": sum(split.lengths),
            "content": data.digests[f"the {name} split"],
        }
        for name, split in splits.items()
    }
    if request.vectors_file:
        files["vectors"] = {"file": request.vectors_file.name, "content": data.digests["the vectors"]}
    return {
        "config": request.config.model_dump(mode="json"),
        "seeds": request.seeds,
        "files": files,
        "machine": {"architecture": platform.machine(), "processors": os.cpu_count()},
    }
