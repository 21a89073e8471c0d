"""Train the next version of a project's model, and activate it if it is better on the random share.

A run has a numbered folder with a copy of the training annotations, so that it can be resumed while
annotation goes on. It is finished when the project lists its model.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tagger.annotation import project_progress
from tagger.annotation.model_versions import find_active, start_with
from tagger.annotation.project_records import ModelVersion
from tagger.annotation.random_share import count_items, read_share, score_items
from tagger.annotation.store import AnnotationStore
from tagger.bundle import load_bundle
from tagger.config_loading import load_config
from tagger.corpus.loading import write_corpus
from tagger.errors import InputError
from tagger.included import find_model
from tagger.runtime.tagger import Tagger
from tagger.storage import claim_folder, read_input, write_whole, writing

Phase = Literal["training", "comparing"]
OnPhase = Callable[[Phase, int, int], object]
"""Receives the phase, the number of finished epochs and the maximum number of epochs."""

MODEL = "model"
_TRAIN, _RUN = "train.jsonl", "run.json"
_MAX_BYTES = 1 << 20  # of a run's description


@dataclass(frozen=True, slots=True)
class _Run:
    """A run of a project.

    Attributes:
        path: Its folder.
        initial: The model that it starts from; None for random weights.
        trained_on: The fields of the ``Effort`` of its training annotations.
    """

    path: Path
    initial: str | None
    trained_on: Mapping[str, Any]

    @property
    def model(self) -> Path:
        """The folder of the model."""
        return self.path / MODEL


def models_folder(location: str | Path) -> Path:
    """Return the default folder of a project's models: ``case.models`` for ``case.db``.

    Raises:
        InputError: The project is no file.
    """
    path = Path(location)
    if not path.is_file():
        raise InputError(
            "the project is not a file, so that its models need a folder. Name one with --output.",
            code="option.value",
            where=location,
            option="--output",
        )
    return path.with_suffix(".models")


def update_model(
    store: AnnotationStore,
    folder: Path,
    *,
    initial: str | None = None,
    changes: Mapping[str, Any] | None = None,
    restart: bool = False,
    is_stopped: Callable[[], bool] = lambda: False,
    on_phase: OnPhase = lambda *_: None,
) -> ModelVersion | None:
    """Train a model on the training annotations, starting from the active model, and compare the two.

    The new version becomes active if its score on the random share is higher, or if no version is active.
    The rule needs no significance: a switch costs nothing and can be taken back, and of two models the one
    with the higher unbiased estimate is the better bet. The interval and the p-value of the difference are
    stored with the scores. Without a random share, the present model stays.

    Training has no dev split: the random share must not choose the epoch. It keeps the weights of the last
    epoch.

    Args:
        store: The project.
        folder: The folder of the project's models. One process at a time can update it.
        initial: The model to start from, see ``start_with``. By default, training starts from the active
            version, or from random weights if the project has none.
        changes: Options of the config by dotted name. By default those of ``tagger train --init-from``.
        restart: True to discard an unfinished run. By default, it is resumed with its own annotations.
        is_stopped: Called after every step; if it returns True, the run stops and can be resumed.
        on_phase: Receives the progress.

    Returns:
        The new version; None if the run was stopped.

    Raises:
        InputError: There are no training annotations, an option is invalid, a model cannot be read, or
            another process updates the folder.
    """
    folder = folder.resolve()
    with claim_folder(folder):
        run = _find_run(store, folder, restart=restart)
        if run is None:
            active = start_with(store, initial) if initial else find_active(store)
            run = _begin_run(store, folder, active.folder if active else None)
        if not _train(run, store, changes or {}, is_stopped, on_phase):
            return None
        version = _compare(run, store)
        _remove_checkpoint(run.model)
        return version


def has_unfinished_run(store: AnnotationStore, folder: Path) -> bool:
    """Return True if the next run resumes one, with its own annotations, or another process trains it."""
    folder = folder.resolve()
    return folder.is_dir() and _find_unfinished(store, folder) is not None


def _find_unfinished(store: AnnotationStore, folder: Path) -> Path | None:
    """Return the folder of the last run if it is unfinished."""
    last = folder / str(_last_number(folder))
    is_finished = str(last / MODEL) in {version.folder for version in store.models()}
    return last if (last / _RUN).is_file() and not is_finished else None


def _find_run(store: AnnotationStore, folder: Path, *, restart: bool) -> _Run | None:
    """Return the last run if it is unfinished; with ``restart``, remove it."""
    last = _find_unfinished(store, folder)
    if last is None:
        return None
    path = last / _RUN
    if restart:
        with writing(last):
            shutil.rmtree(last)
        return None
    try:
        values = json.loads(read_input(path, max_bytes=_MAX_BYTES, is_stored=True))
        return _Run(last, values["initial"], values["trained_on"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"the unfinished run cannot be read ({error}). Discard it with --restart.",
            code="run.damaged",
            where=path,
            option="--restart",
        ) from None


def _begin_run(store: AnnotationStore, folder: Path, initial: str | None) -> _Run:
    """Create the folder of a run, with a copy of the training annotations."""
    share = read_share(store, is_random=False)
    if not share.sentences:
        raise InputError(
            "there are no accepted sentences outside the random share, which never trains. Annotate some "
            "first.",
            code="corpus.empty",
            where=store.name,
        )
    path = folder / str(_last_number(folder) + 1)
    with writing(path):
        path.mkdir()
    write_corpus(share.sentences, path / _TRAIN, task=store.settings.task)
    run = _Run(path, initial, share.effort.to_dict())
    values = {"initial": run.initial, "trained_on": run.trained_on}
    write_whole(path / _RUN, json.dumps(values).encode())  # last: a folder without it is no run
    return run


def _train(
    run: _Run,
    store: AnnotationStore,
    changes: Mapping[str, Any],
    is_stopped: Callable[[], bool],
    on_phase: OnPhase,
) -> bool:
    """Train the model of a run, or resume it; return False if it was stopped."""
    from tagger.training.initial import default_options  # torch is slow to import
    from tagger.training.loop import EpochRecord
    from tagger.training.run import DataRecord, StopRecord, run_training

    initial = load_bundle(find_model(run.initial)) if run.initial else None
    data = {"data.tasks": (store.settings.task,), "data.scheme": store.settings.scheme or "none"}
    config = load_config(None, {**data, **changes}, defaults=default_options(initial) if initial else None)
    records = run_training(
        config,
        run.model,
        train_files=[run.path / _TRAIN],
        initial=initial,
        resume=True,
        is_stopped=is_stopped,
    )
    with closing(records):
        for record in records:
            if isinstance(record, StopRecord):
                return False
            if isinstance(record, DataRecord):
                on_phase("training", len(record.earlier), config.train.epochs)
            elif isinstance(record, EpochRecord):
                on_phase("training", record.epoch, config.train.epochs)
    on_phase("comparing", config.train.epochs, config.train.epochs)
    return True


def _compare(run: _Run, store: AnnotationStore) -> ModelVersion:
    """Score the model of a run and the active one on the random share, and store the new version."""
    from tagger.evaluation.significance import bootstrap_interval, randomisation_test  # slow import of scipy

    active = find_active(store)
    share = read_share(store, is_random=True)
    counts = count_items(Tagger.load(run.model), share.sentences, store.settings)
    score = score_items(counts)
    before = difference = None
    is_better = active is None
    if active is not None and share.sentences:
        base = count_items(Tagger.load(find_model(active.folder)), share.sentences, store.settings)
        base_score = score_items(base)
        before = {"version": active.version, **base_score.to_dict()}
        low, high = bootstrap_interval(counts, base)
        difference = {
            "value": score.f1 - base_score.f1,
            "low": low,
            "high": high,
            "p_value": randomisation_test(base[None], counts[None]),
        }
        is_better = score.f1 > base_score.f1 and not math.isclose(score.f1, base_score.f1)
    elif active is not None:
        before = {"version": active.version}
    scores = {
        **score.to_dict(),
        "trained_on": run.trained_on,
        "before": before,
        "difference": difference,
        "is_better": is_better,
    }
    with store.writing() as connection:  # one transaction: a version that is better is never left inactive
        number = project_progress.insert_model(connection, str(run.model), scores, store.clock())
        if is_better:
            project_progress.activate_model(connection, number)
    return next(version for version in store.models() if version.version == number)


def _remove_checkpoint(model: Path) -> None:
    """Remove what only resumes the run; it is more than twice as large as the model."""
    from tagger.training.checkpoint import CHECKPOINT

    with suppress(OSError):
        (model / CHECKPOINT).unlink()


def _last_number(folder: Path) -> int:
    return max((int(path.name) for path in folder.iterdir() if path.name.isdecimal()), default=0)
