"""A whole comparison: its grid made run by run, none of them twice, and all of them together."""

from __future__ import annotations

import os
import platform
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tagger.corpus.loading import name_files
from tagger.errors import InputError
from tagger.evaluation.tasks import main_score
from tagger.experiments.grid import require_comparable
from tagger.experiments.material import RUNS, Job, Material, Request, gather_material, require_local_features
from tagger.experiments.results import Comparison, GoldPart, Measure, Run
from tagger.experiments.run_files import load_run
from tagger.experiments.run_training import forget_checkpoint
from tagger.experiments.run_workers import Event, make_runs
from tagger.storage import claim_folder, make_own_folder, writing
from tagger.training.preparation import Part
from tagger.training.processes import is_alone


@dataclass(frozen=True, slots=True)
class GridRecord:
    """What will be made, before the first run.

    Attributes:
        jobs: All runs of the grid, seed by seed.
        finished: Scores on dev of those that an earlier call has made, by name.
        summary: A line for each corpus file: its format, columns, schemes and labels.
        notes: What reading the files changed or left out.
    """

    jobs: Sequence[Job]
    finished: dict[str, float]
    summary: Sequence[str] = ()
    notes: Sequence[str] = ()


def compare(request: Request, *, processes: int = 1) -> Generator[GridRecord | Event, None, Comparison]:
    """Make the runs of a grid that are not there yet, and put all of them together.

    It may be broken off at any time: finished runs are kept in ``output/runs``, one file each, and a later
    call goes on; a longer grid takes up those of a shorter one.

    Args:
        request: What is asked for.
        processes: How many runs are made side by side.

    Yields:
        First a ``GridRecord``, then what happened.

    Returns:
        The comparison.

    Raises:
        InputError: A file cannot be used, the runs would not be comparable, the folder holds runs that
            were made with something else, or another call is making runs in it.
    """
    require_comparable(request.config)
    if not is_alone():
        raise InputError(
            "A comparison makes each run in one process; call it without torchrun or accelerate launch (and "
            "without WORLD_SIZE in the environment), and let --jobs make runs side by side."
        )
    with writing(request.output / RUNS):
        make_own_folder(request.output / RUNS)
    with claim_folder(request.output / RUNS):
        material = gather_material(request)
        require_local_features(material)
        jobs = material.jobs()
        runs = _load_runs(material, jobs)
        finished = {name: main_score(run.scores["dev"]) for name, run in runs.items()}
        test = material.test
        summary = (*material.preparation.summary, *(test.summary if test else ()))
        notes = (*material.preparation.notes, *(test.notes if test else ()))
        yield GridRecord(jobs, finished, summary, notes)
        missing = [job for job in jobs if job.name not in runs]
        yield from make_runs(missing, material, processes)
        return _put_together(material, jobs, runs | _load_runs(material, missing))


def _load_runs(material: Material, jobs: Sequence[Job]) -> dict[str, Run]:
    """Those of the runs that are finished, by name."""
    runs = {}
    for job in jobs:
        run = load_run(job, material)
        if run:
            runs[job.name] = run
            forget_checkpoint(job, material)
    return runs


def _put_together(material: Material, jobs: Sequence[Job], runs: Mapping[str, Run]) -> Comparison:
    request = material.request
    for job in jobs:
        if job.name not in runs:
            raise InputError(f"{material.folder / job.name}.json: the file is gone; call again.")
    ordered = sorted(jobs, key=lambda job: (request.variants.index(job.variant), job.seed))
    return Comparison(
        task=request.config.data.tasks[0],
        measure=_measure(material),
        match=request.match,
        settings=_describe_settings(material),
        gold={name: _gold(part, _file(request, name)) for name, part in material.scored_parts.items()},
        runs=[runs[job.name] for job in ordered],
    )


def _measure(material: Material) -> Measure:
    (scheme,) = material.preparation.train.schemes.values()
    return "f1" if scheme else "accuracy"


def _file(request: Request, part: str) -> str:
    """The names of a part's files."""
    return name_files(
        {"train": request.train_files, "dev": request.dev_files, "test": request.test_files}[part]
    )


def _gold(part: Part, file: str) -> GoldPart:
    (scheme,) = part.schemes.values()
    return GoldPart(file, part.sentences, scheme, part.table.vocabulary.mark_seen(part.sentences))


def _describe_settings(material: Material) -> dict[str, Any]:
    """What all runs share, as JSON values."""
    request = material.request
    parts = {"train": material.preparation.train, **material.scored_parts}
    files: dict[str, Any] = {
        name: {
            "file": _file(request, name),
            "sentences": len(part.sentences),
            "tokens": sum(part.lengths),
            "content": material.digests[f"the {name} part"],
        }
        for name, part in parts.items()
    }
    if request.vectors_file:
        files["vectors"] = {"file": request.vectors_file.name, "content": material.digests["the vectors"]}
    return {
        "config": request.config.model_dump(mode="json"),
        "seeds": request.seeds,
        "files": files,
        "machine": {"architecture": platform.machine(), "processors": os.cpu_count()},
    }
