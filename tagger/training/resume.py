"""Find the run to resume in a folder, and check that it had the same options and data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tagger.bundle import holds_bundle
from tagger.config import Config, TrainConfig
from tagger.errors import InputError
from tagger.training.checkpoint import (
    CHECKPOINT,
    RESTART,
    Checkpoint,
    describe_options,
    differences,
    load_checkpoint,
)
from tagger.training.schedules import cosine_cycle

LENGTH_OPTIONS = ("train.epochs", "train.warm_restarts")  # options that may change when a run is resumed


def find_checkpoint(output: Path, resume: bool | None) -> Checkpoint | None:
    """Return the checkpoint to resume from, if any.

    Raises:
        InputError: ``resume`` is None and the folder has an unfinished run, or ``resume`` is True and the
            folder has a model but no checkpoint.
    """
    if resume is False:
        return None
    checkpoint = load_checkpoint(output)
    if resume and checkpoint is None and holds_bundle(output):
        raise InputError(
            "the folder has a model but no checkpoint to resume from. Omit --resume to train a new model.",
            code="run.exists",
            where=output,
            option="--resume",
        )
    if resume is None and checkpoint and not checkpoint.is_finished:
        done = len(checkpoint.epochs)
        raise InputError(
            f"the folder has an unfinished run ({done} epoch{'s' * (done != 1)} done). Resume it with "
            "--resume, or replace it with --restart.",
            code="run.exists",
            where=output,
            option="--resume",
        )
    return checkpoint if resume else None


def require_same(run: Mapping[str, str], earlier: Checkpoint, config: TrainConfig, output: Path) -> None:
    """Check that a run can be resumed with these options and data.

    Another number of epochs is allowed if the epochs already done would be the same.

    Raises:
        InputError: Other options or data differ, or the epochs already done would differ.
    """
    # An option that a newer version of tagger has added had the effect of its default.
    before = {**describe_options(Config()), **earlier.run}
    problems = differences(run, before)
    if not problems:
        return
    kind = "finished" if earlier.is_finished else "unfinished"
    if not differences({**run, **{name: before[name] for name in LENGTH_OPTIONS}}, before):
        problem = _find_length_problem(earlier, config, output)
        if not problem:
            return
        problems.append(problem)
    raise InputError(
        f"cannot resume the {kind} run in this folder: {'; '.join(problems)}. Use the same settings and "
        "files, or replace the run with --restart.",
        code="run.mismatch",
        where=output,
        option="--restart",
    )


def _find_length_problem(earlier: Checkpoint, config: TrainConfig, output: Path) -> str:
    """Return why a run cannot be resumed with another number of epochs; empty if it can."""
    before, done = _earlier_schedule(earlier, config, output), len(earlier.epochs)
    begun = done + bool(earlier.snapshot and earlier.snapshot.values["step"])
    if begun > config.epochs:
        return f"it has already trained {begun} epochs"
    if earlier.is_finished and earlier.snapshot is None:
        return "an earlier version of tagger trained it and saved no state to resume from"
    cycles = [[cosine_cycle(one, epoch) for epoch in range(1, begun + 1)] for one in (before, config)]
    if config.schedule != "cosine" or cycles[0] == cycles[1]:
        return ""
    problem = f"its cosine schedule over {before.epochs} epochs cannot be extended"
    if not earlier.is_finished:
        return problem
    restarts = ",".join(map(str, (*before.warm_restarts, before.epochs)))
    return f"{problem}, but --set train.warm_restarts={restarts} adds a cosine cycle over the new epochs"


def _earlier_schedule(earlier: Checkpoint, config: TrainConfig, output: Path) -> TrainConfig:
    """Return the training options of an earlier run that differs in its length only.

    Raises:
        InputError: The checkpoint has invalid options.
    """
    try:
        values = {name.partition(".")[2]: json.loads(earlier.run[name]) for name in LENGTH_OPTIONS}
        return TrainConfig.model_validate(config.model_dump() | values)
    except (KeyError, ValueError):
        raise InputError(
            f"the checkpoint is damaged (its options are invalid). {RESTART}",
            code="run.damaged",
            where=output / CHECKPOINT,
        ) from None
