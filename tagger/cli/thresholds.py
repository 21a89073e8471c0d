"""Score thresholds on the command line, for all labels or by label: ``--min-score 0.5,PER=0.9``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Annotated

import typer

from tagger.errors import InputError
from tagger.runtime.arguments import (
    LEAST_CANDIDATE,
    require_candidates,
    require_label,
    require_probability,
)
from tagger.runtime.min_score import MinScore

MinScoreOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="X|LABEL=X",
        help="Score threshold of spans, from 0 to 1; LABEL=X for one label (repeatable, or with commas). "
        "Tasks without spans are not affected.",
        show_default=False,
    ),
]
CandidatesOption = Annotated[
    float,
    typer.Option(
        metavar="X",
        help="Write all spans with a score of at least X, including overlapping ones (jsonl); from "
        f"{LEAST_CANDIDATE:g} to 1.",
        show_default=False,
    ),
]


def parse_min_score(values: Iterable[str] | None) -> dict[str, float]:
    """Parse the values of ``--min-score``.

    Args:
        values: Numbers and ``LABEL=NUMBER``; the option may be repeated, and values may be joined by commas.

    Returns:
        The score threshold of each named label; the key ``""`` holds the threshold of all other labels.

    Raises:
        InputError: A value is not a probability, or a label has two values.
    """
    thresholds: dict[str, float] = {}
    for item in (item.strip() for value in values or () for item in value.split(",")):
        label, _, number = item.rpartition("=")
        name = f"--min-score {label}".rstrip()
        try:
            score = float(number)
        except ValueError:
            raise InputError(
                f"--min-score must be a number or LABEL=NUMBER (got {item!r}). Write 0.5, or 0.5,PER=0.9.",
                code="option.type",
                option="--min-score",
            ) from None
        if label in thresholds:
            raise InputError(
                f"{name} must have one value (got {thresholds[label]:g} and {score:g}). Give one of them.",
                code="option.conflict",
                option="--min-score",
            )
        thresholds[label] = require_probability(score, name)
    return thresholds


def resolve_min_score(thresholds: Mapping[str, float], labels: Collection[str]) -> MinScore:
    """Return one threshold for all labels or, if labels are named, a threshold for each label.

    Args:
        thresholds: The result of ``parse_min_score``.
        labels: The span labels of the model.

    Raises:
        InputError: The model has no span label of a given name.
    """
    by_label = {label: score for label, score in thresholds.items() if label}
    for label in by_label:
        require_label(label, labels, "--min-score")
    others = thresholds.get("", 0.0)
    return {**dict.fromkeys(labels, others), **by_label} if by_label else others


def require_candidates_option(threshold: float, style: str) -> None:
    """Check the threshold of candidate spans.

    Raises:
        InputError: The threshold is out of bounds, or the output format cannot hold candidates.
    """
    require_candidates(threshold, "--candidates")
    if threshold and style != "jsonl":
        message = f"--candidates needs --format jsonl (got {style}). Pass --format jsonl."
        raise InputError(message, code="option.conflict", option="--candidates")
