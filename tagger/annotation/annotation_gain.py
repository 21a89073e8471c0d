"""The gain of annotation: F1 of each model version by the effort, and the choice against random sentences."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tagger.annotation.project_records import ModelVersion
from tagger.annotation.random_share import (
    MIN_SUPPORT,
    Effort,
    Origin,
    ShareScore,
    count_items,
    read_origins,
    read_share,
    score_items,
)
from tagger.annotation.store import AnnotationStore
from tagger.errors import InputError, ignore
from tagger.evaluation.significance import bootstrap_interval, randomisation_test
from tagger.included import find_model
from tagger.runtime.tagger import Tagger
from tagger.text.sentence import Sentence

Unit = Literal["tokens", "sentences", "minutes"]
FOLDS = 3  # of the random share in a control: two train, one measures
NO_EFFORT = Effort(0, 0, 0.0)

_Counts = NDArray[np.int64]
_ROUNDING = 1e-9  # of sums of seconds


@dataclass(frozen=True, slots=True)
class VersionGain:
    """The quality of a version, and what its training annotations cost.

    Attributes:
        version: The version.
        trained_on: Effort of its training annotations in this project.
        score: Its score on the random share; None if the model cannot be read.
        problem: Why the model cannot be read.
    """

    version: ModelVersion
    trained_on: Effort
    score: ShareScore | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Control:
    """Models trained on as much chosen and random annotation.

    Attributes:
        unit: What is equal.
        amount: The amount in this unit, mean over the folds.
        chosen: Score of the models trained on the first chosen sentences.
        random: Score of the models trained on random sentences.
        low: Lower end of the 95 % bootstrap interval of the difference, chosen minus random.
        high: Upper end.
        p_value: Of the difference, by approximate randomisation over sentences.
    """

    unit: Unit
    amount: float
    chosen: ShareScore
    random: ShareScore
    low: float
    high: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Gain:
    """The gain of a project.

    Attributes:
        versions: The versions of the model, first ones first.
        share: Effort of the random share, which trains no version.
        controls: Comparisons with the random arm; empty if not requested.
        warning: Why the figures are uncertain, in one sentence; may be empty.
    """

    versions: tuple[VersionGain, ...]
    share: Effort
    controls: tuple[Control, ...]
    warning: str

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def measure_gain(store: AnnotationStore) -> Gain:
    """Score all versions of a project's model on its present random share.

    The random share is a uniform sample of the pool, apart from sentences that had been chosen before their
    turn, and no version has been trained on it. Each figure therefore estimates the quality on the whole pool
    without bias; that of a version which was activated because it was the best of many is slightly too high.

    Args:
        store: The project.

    Raises:
        InputError: The project has no version.
    """
    versions = store.models()
    if not versions:
        raise InputError(
            "the project has no model yet. Train one with `tagger retrain`.",
            code="bundle.missing",
            where=store.name,
        )
    share = read_share(store, is_random=True)
    rows = []
    for version in versions:
        trained_on = Effort(**version.scores["trained_on"]) if "trained_on" in version.scores else NO_EFFORT
        try:
            tagger = Tagger.load(find_model(version.folder))
        except InputError as error:
            rows.append(VersionGain(version, trained_on, None, str(error)))
            continue
        score = score_items(count_items(tagger, share.sentences, store.settings))
        rows.append(VersionGain(version, trained_on, score))
    support = max((row.score.support for row in rows if row.score), default=0)
    return Gain(tuple(rows), share.effort, (), _warn(share.effort, support))


def measure_control(
    store: AnnotationStore,
    *,
    changes: Mapping[str, Any] | None = None,
    on_model: Callable[[str], object] = ignore,
) -> tuple[Control, ...]:
    """Compare the chosen sentences with as many random ones, by training models on both.

    The random share is cut into ``FOLDS`` folds. For each fold, one model is trained on the random sentences
    of the other folds, and for each unit one on the first chosen sentences that reach the same amount. All
    start from version 1 if it was not trained in this project, else from random weights, and are scored on
    the fold. The models are thrown away.

    Args:
        store: The project.
        changes: Options of the config by dotted name.
        on_model: Receives a description of each model before it is trained.

    Returns:
        A comparison for each unit in which there are enough chosen sentences.

    Raises:
        InputError: The random share has fewer sentences than folds, or an option is invalid.
    """
    origins = read_origins(store)
    share = sorted(
        read_share(store, is_random=True).sentences, key=lambda sentence: origins[sentence.source].rank
    )
    if len(share) < FOLDS:
        raise InputError(
            f"the control needs at least {FOLDS} annotated sentences of the random share (got {len(share)}). "
            "Annotate more.",
            code="corpus.empty",
            where=store.name,
            option="--control",
        )
    chosen = sorted(
        (one for one in read_share(store, is_random=False).sentences if origins[one.source].arm == "chosen"),
        key=lambda sentence: origins[sentence.source].rank,
    )
    folds = [share[number::FOLDS] for number in range(FOLDS)]
    rests = [[one for rank, one in enumerate(share) if rank % FOLDS != number] for number in range(FOLDS)]
    initial = next((one.folder for one in store.models() if "trained_on" not in one.scores), None)

    def count(sentences: Sequence[Sentence], fold: Sequence[Sentence], name: str) -> _Counts:
        from tagger.api import train  # torch is slow to import

        on_model(f"{name}: {len(sentences):,} sentences")
        scheme = store.settings.scheme or "none"
        options = {"data.scheme": scheme, **(changes or {})}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # notes on the data, for instance on unknown tags
            tagger = train(
                [replace(one, starts_document=True) for one in sentences],
                task=store.settings.task,
                init_from=None if initial is None else find_model(initial),
                config=options,
                progress=False,
            )
        return count_items(tagger, fold, store.settings)

    base = np.concatenate([count(rest, fold, "random") for fold, rest in zip(folds, rests, strict=True)])
    controls = []
    for unit, measure in UNITS.items():
        amounts = [sum(measure(one, origins[one.source]) for one in rest) for rest in rests]
        prefixes = [_take(chosen, amount, unit, origins) for amount in amounts]
        if not all(prefixes):
            continue
        counts = np.concatenate(
            [
                count(prefix or [], fold, f"chosen, {unit}")
                for prefix, fold in zip(prefixes, folds, strict=True)
            ]
        )
        controls.append(
            Control(
                unit,
                float(np.mean(amounts)),
                score_items(counts),
                score_items(base),
                *bootstrap_interval(counts, base),
                randomisation_test(base[None], counts[None]),
            )
        )
    return tuple(controls)


UNITS: dict[Unit, Callable[[Sentence, Origin], float]] = {
    "tokens": lambda sentence, _: len(sentence),
    "sentences": lambda *_: 1,
    "minutes": lambda _, origin: origin.seconds / 60,
}
"""The amount of one sentence in each unit."""


def _take(
    chosen: Sequence[Sentence], amount: float, unit: Unit, origins: Mapping[str, Origin]
) -> Sequence[Sentence] | None:
    """Return the first sentences that reach an amount; None if all together do not, or the amount is 0."""
    totals: Iterator[float] = accumulate(UNITS[unit](one, origins[one.source]) for one in chosen)
    reached = next((number for number, total in enumerate(totals, 1) if total >= amount - _ROUNDING), None)
    return chosen[:reached] if reached and amount else None


def _warn(share: Effort, support: int) -> str:
    if not share.sentences:
        return "The random share has no annotations, so that F1 cannot be estimated; annotate some of it."
    if support < MIN_SUPPORT:
        return (
            f"The random share has only {support:,} gold items in {share.sentences:,} sentences, too few to "
            f"tell models apart; annotate it until it has {MIN_SUPPORT} or more."
        )
    return ""
