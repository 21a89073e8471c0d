"""Search for options with Optuna: trials in a database, pruned by their dev score after each epoch.

The study follows Akiba et al. 2019, "Optuna: a next-generation hyperparameter optimization framework": TPE
(Bergstra et al. 2011, "Algorithms for hyper-parameter optimization", section 4) draws the options of a trial,
and the median rule (Golovin et al. 2017, "Google Vizier", section 3.2.1) stops it early.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tagger.config import Config
from tagger.config_loading import configure
from tagger.errors import InputError
from tagger.experiments.retraining import Data
from tagger.experiments.search_space import Choices, Space
from tagger.training.checkpoint import data_digests, describe_options, differences
from tagger.training.loop import EpochRecord, train
from tagger.training.preparation import Preparation
from tagger.training.processes import is_alone

try:
    import optuna
    from optuna.exceptions import ExperimentalWarning, OptunaError, TrialPruned, UpdateFinishedTrialError
    from optuna.trial import FrozenTrial, TrialState
    from sqlalchemy.exc import SQLAlchemyError
except ImportError as error:
    raise InputError(
        "a search needs the package optuna. Install the extra `search` (see README).",
        code="package.missing",
    ) from error

HEARTBEAT_SECONDS = 10  # between two signs of life of a running trial
LOST_SECONDS = 60  # a trial without a sign of life for so long has been killed
POLL_SECONDS = 1.0  # between two looks at the trials of other processes
LOCK_SECONDS = 120  # maximum wait for SQLite's lock
ATTEMPTS = 5  # to create the tables of a new database, which several processes may do at the same time
UNPRUNED = 0.25  # share of the epochs in which no trial is stopped: low learning rates start slowly
FINGERPRINT = "fingerprint"  # attribute of a study: everything that determines the results of its trials
COUNTED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """The arguments of a search.

    Attributes:
        config: The default: options of all trials, except those in ``space``.
        space: The options that vary.
        data: The files.
        trials: Number of trials of the study, those of other processes and earlier calls included.
        storage: URL of the database, such as ``sqlite:///search.db``.
        study: Name of the study in the database.
    """

    config: Config
    space: Space
    data: Data
    trials: int
    storage: str
    study: str


@dataclass(frozen=True, slots=True)
class Trial:
    """A finished trial.

    Attributes:
        number: Its number in the study, from 0.
        score: The dev score of its best epoch, the mean over tasks, a fraction of 1; None if it was pruned.
        epochs: Number of its epochs.
        options: The values of the searched options.
        problem: Why the options cannot be trained; empty if they can.
    """

    number: int
    score: float | None
    epochs: int
    options: Mapping[str, Any]
    problem: str


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """The study, before the first trial of this call.

    Attributes:
        finished: Number of finished trials.
        lost: Number of trials of killed processes, which do not count.
        summary: One line for each corpus file.
        notes: What reading the files changed or left out.
    """

    finished: int
    lost: int
    summary: Sequence[str]
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """A trial of this process is finished.

    Attributes:
        trial: The trial.
        finished: Number of finished trials of the study.
    """

    trial: Trial
    finished: int


@dataclass(frozen=True, slots=True)
class WaitRecord:
    """This process waits for trials of other processes, and replaces them if these are killed."""

    running: int


def search(
    request: SearchRequest,
) -> Generator[StudyRecord | TrialRecord | WaitRecord, None, list[Trial]]:
    """Run the missing trials of a study.

    Several processes may run the same study. An interrupted trial is marked as failed and does not count;
    that of a killed process is, once it gives no sign of life. All trials have the seed of the config; the
    options of a trial depend on this seed, its number and the earlier trials.

    Args:
        request: Arguments of the search.

    Yields:
        A ``StudyRecord``, then a ``TrialRecord`` after each trial, and a ``WaitRecord`` if at the end other
        processes still run trials.

    Returns:
        The trials that were not pruned, best first.

    Raises:
        InputError: A file is invalid, the database cannot be used, its study has other data or options, or
            no trial ran to its end.
    """
    if not is_alone():
        raise InputError(
            "a search trains each trial in a single process. Start it without torchrun or accelerate "
            "launch, several times with the same storage to train trials in parallel.",
            code="option.conflict",
        )
    preparation = request.data.prepare(request.config)
    fingerprint, read = _fingerprint(request, preparation), (preparation.summary, preparation.notes)
    del preparation  # a trial prepares the files for its own options
    with _storage_errors(), _quiet():
        study = _open_study(request)
        _bind(study, fingerprint, request.study)
        _fail_lost(study, {})
        yield StudyRecord(_count(study, COUNTED), _count(study, [TrialState.FAIL]), *read)
        yield from _run_trials(study, request)
        complete = [_read(trial) for trial in study.trials if trial.state is TrialState.COMPLETE]
    if not complete:
        raise InputError(
            f"no trial of the study {request.study!r} ran to its end: the options of each were invalid or "
            "diverged. Narrow the ranges of [search], and choose another --study.",
            code="run.failed",
            option="--study",
        )
    return sorted(complete, key=lambda trial: (-(trial.score or 0.0), trial.number))


def _run_trials(
    study: optuna.Study, request: SearchRequest
) -> Generator[TrialRecord | WaitRecord, None, None]:
    is_waiting, begun = False, dict[int, float]()
    while (finished := _count(study, COUNTED)) < request.trials:
        running = _count(study, [TrialState.RUNNING])
        if finished + running < request.trials:
            trial = _run_trial(study, request)
            if trial:
                yield TrialRecord(trial, _count(study, COUNTED))
            continue
        if not is_waiting:
            yield WaitRecord(running)
            is_waiting = True
        time.sleep(POLL_SECONDS)
        _fail_lost(study, begun)


def _run_trial(study: optuna.Study, request: SearchRequest) -> Trial | None:
    """Run one trial; return None if it did not count."""
    runs: list[_TrialRun] = []

    def objective(trial: optuna.Trial) -> float:
        runs.append(_TrialRun(trial, request))
        return runs[0].run()

    try:
        study.optimize(objective, n_trials=1)
    except (_SurplusError, UpdateFinishedTrialError):
        return None
    except ValueError:
        # Optuna raises it if another process has taken this one for killed and marked the trial as failed.
        if not runs or not runs[0].is_over:
            raise
        return None
    return _read(study.trials[runs[0].trial.number])


class _SurplusError(Exception):
    """Two processes began the last trial of a study at the same time; this is the second one."""


class _TrialRun:
    """One trial.

    Args:
        trial: The trial of Optuna.
        request: Arguments of the search.

    Attributes:
        trial: The trial of Optuna.
        is_over: True once the options have been trained or found invalid.
    """

    def __init__(self, trial: optuna.Trial, request: SearchRequest) -> None:
        self.trial = trial
        self.is_over = False
        self._request = request

    def run(self) -> float:
        """Train a model and return the score of its best epoch.

        Raises:
            TrialPruned: The trial was stopped early, or its options are invalid together or diverge.
            InputError: A file is invalid.
        """
        request, trial = self._request, self.trial
        earlier = trial.study.trials[: trial.number]
        if sum(one.state in (*COUNTED, TrialState.RUNNING) for one in earlier) >= request.trials:
            raise _SurplusError
        # The number, not only the seed: otherwise processes would draw the same options.
        seed = np.random.SeedSequence([request.config.train.seed, trial.number]).generate_state(1)
        trial.study.sampler = optuna.samplers.TPESampler(seed=int(seed[0]))
        try:
            options = {name: _suggest(trial, name, request.space) for name in request.space}
            return self._train(configure(request.config, options))
        except InputError as error:
            if error.code not in ("option.conflict", "run.failed"):
                raise
            trial.set_user_attr("problem", str(error))
            self.is_over = True
            raise TrialPruned from None
        except UpdateFinishedTrialError:  # another process has taken this one for killed
            self.is_over = True
            raise TrialPruned from None

    def _train(self, config: Config) -> float:
        best = 0.0
        for record in train(self._request.data.prepare(config), config):
            if isinstance(record, EpochRecord) and record.score is not None:
                best = max(best, record.score)
                self.trial.report(record.score, record.epoch)
                if record.epoch < config.train.epochs and self.trial.should_prune():
                    self.is_over = True
                    raise TrialPruned
        self.is_over = True
        return best


def _suggest(trial: optuna.Trial, name: str, space: Space) -> Any:
    option = space[name]
    if isinstance(option, Choices):
        return trial.suggest_categorical(name, option.values)
    if option.is_integer:
        return trial.suggest_int(name, int(option.low), int(option.high), log=option.is_log)
    return trial.suggest_float(name, option.low, option.high, log=option.is_log)


def _read(trial: FrozenTrial) -> Trial:
    return Trial(
        trial.number,
        score=trial.value if trial.state is TrialState.COMPLETE else None,
        epochs=len(trial.intermediate_values),
        options=trial.params,
        problem=trial.user_attrs.get("problem", ""),
    )


def _count(study: optuna.Study, states: Sequence[TrialState]) -> int:
    return len(study.get_trials(deepcopy=False, states=tuple(states)))


def _fingerprint(request: SearchRequest, preparation: Preparation) -> dict[str, str]:
    """Describe everything that determines the results of the trials, by the names of options."""
    space = {f"search.{name}": repr(option) for name, option in request.space.items()}
    return describe_options(request.config) | data_digests(preparation) | space


def _open_study(request: SearchRequest) -> optuna.Study:
    """Open a study, or create it with its database.

    Raises:
        InputError: The URL or the database cannot be used.
    """
    is_sqlite = request.storage.startswith("sqlite")
    # TypeError and ValueError: invalid parameters in the URL. RuntimeError: another version of Optuna.
    with _storage_errors(TypeError, ValueError, RuntimeError):
        for attempt in range(ATTEMPTS):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ExperimentalWarning)  # the heartbeat
                    storage = optuna.storages.RDBStorage(
                        request.storage.replace("{", "{{").replace("}", "}}"),  # Optuna formats the URL
                        engine_kwargs={"connect_args": {"timeout": LOCK_SECONDS}} if is_sqlite else None,
                        heartbeat_interval=HEARTBEAT_SECONDS,
                        grace_period=LOST_SECONDS,
                    )
                return optuna.create_study(
                    storage=storage,
                    study_name=request.study,
                    direction="maximize",
                    pruner=optuna.pruners.MedianPruner(
                        n_warmup_steps=round(UNPRUNED * request.config.train.epochs)
                    ),
                    load_if_exists=True,
                )
            except (SQLAlchemyError, OptunaError):
                if attempt == ATTEMPTS - 1:
                    raise
                time.sleep(attempt * POLL_SECONDS)
    raise AssertionError


def _bind(study: optuna.Study, fingerprint: Mapping[str, str], name: str) -> None:
    """Bind a new study to its data and options, or check those of an existing one.

    Raises:
        InputError: The study has other data or options, or is not one of this program.
    """
    if FINGERPRINT not in study.user_attrs and not study.trials:
        study.set_user_attr(FINGERPRINT, dict(fingerprint))
    different = differences(fingerprint, study.user_attrs.get(FINGERPRINT, {}))
    if different:
        raise InputError(
            f"the study {name!r} in this storage used other data or options ({'; '.join(different[:5])}). "
            "Choose another --study or --storage.",
            code="run.mismatch",
            option="--study",
        )


def _fail_lost(study: optuna.Study, begun: dict[int, float]) -> None:
    """Mark the trials of killed processes as failed.

    Args:
        study: The study.
        begun: For trials without options, when this process first saw them. If a process is killed between
            the creation of a trial and its first sign of life, Optuna does not notice.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)
    now = time.monotonic()
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if not trial.params and now - begun.setdefault(trial.number, now) > LOST_SECONDS:
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


@contextmanager
def _storage_errors(*more: type[Exception]) -> Iterator[None]:
    """Convert errors of the database to an ``InputError``, without its URL, which may hold a password."""
    kinds: tuple[type[Exception], ...] = (SQLAlchemyError, OptunaError, ImportError, *more)
    try:
        yield
    except kinds as error:
        reason = " ".join(str(error.__cause__ or error).split("\n")[0].split())
        raise InputError(
            f"the database cannot be used ({reason}). Correct --storage, for instance sqlite:///search.db, "
            "or start the database.",
            code="file.unreadable",
            where="--storage",
            option="--storage",
        ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Turn off Optuna's own messages, which repeat the records."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)
