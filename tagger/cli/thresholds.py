"""Score thresholds on the command line, one for all labels and one for each: ``--min-score 0.5,PER=0.9``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Annotated

import typer

from tagger.errors import InputError
from tagger.runtime.arguments import (
    LEAST_CANDIDATE,
    MinScore,
    require_candidates,
    require_label,
    require_probability,
)

MinScoreOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="X|LABEL=X",
        help="Leave out spans whose score is lower, from 0 to 1; LABEL=X for one label (repeatable, or with "
        "commas). Tags of tasks without spans stay.",
        show_default=False,
    ),
]
CandidatesOption = Annotated[
    float,
    typer.Option(
        metavar="X",
        help="Write every span whose score is at least X, overlapping ones too, in jsonl; from "
        f"{LEAST_CANDIDATE:g} to 1.",
        show_default=False,
    ),
]


def parse_min_score(values: Iterable[str] | None) -> dict[str, float]:
    """Read the values of ``--min-score``.

    Args:
        values: Numbers and ``LABEL=NUMBER``, by repeating the option, with commas, or both.

    Returns:
        The score threshold of each label that is named; that of all others has the key ``""``.

    Raises:
        InputError: A value is no probability, or a label has two.
    """
    thresholds: dict[str, float] = {}
    for item in (part.strip() for value in values or () for part in value.split(",")):
        label, _, number = item.rpartition("=")
        name = f"--min-score {label}".rstrip()
        try:
            score = float(number)
        except ValueError:
            raise InputError(
                f"--min-score must be a number or LABEL=NUMBER (got {item!r}). Use 0.5, or 0.5,PER=0.9."
            ) from None
        if label in thresholds:
            raise InputError(
                f"{name} must have one value (got {thresholds[label]:g} and {score:g}). Give one."
            )
        thresholds[label] = require_probability(score, name)
    return thresholds


def resolve_min_score(thresholds: Mapping[str, float], labels: Collection[str]) -> MinScore:
    """Return a threshold for all labels, or where labels are named one for each.

    Args:
        thresholds: What ``parse_min_score`` returned.
        labels: The labels of the model's spans.

    Raises:
        InputError: A named label is none of them.
    """
    own = {label: score for label, score in thresholds.items() if label}
    for label in own:
        require_label(label, labels, "--min-score")
    others = thresholds.get("", 0.0)
    return {**dict.fromkeys(labels, others), **own} if own else others


def require_candidates_option(threshold: float, style: str) -> None:
    """Refuse a threshold of candidates that is out of bounds, or that the format has no place for.

    Raises:
        InputError: It is such.
    """
    require_candidates(threshold, "--candidates")
    if threshold and style != "jsonl":
        raise InputError(f"The format {style} does not hold --candidates; use --format jsonl.")
