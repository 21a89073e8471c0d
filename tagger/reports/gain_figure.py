"""Draw F1 of the versions of a model by the tokens, sentences and minutes of annotation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tagger.storage import replace_file

# Colours from the colour-blind-safe palette of Okabe and Ito.
ARMS = {"chosen": ("#009E73", "s", -0.01), "random": ("#D55E00", "x", 0.01)}
"""Colour, marker and shift of each arm to the right, as a share of the axis: both have the same amount."""
VERSIONS = "#0072B2"


@dataclass(frozen=True, slots=True)
class GainPoint:
    """A score after some annotation.

    Attributes:
        label: Name of the model; may be empty.
        amounts: The amount of annotation by unit.
        f1: The score, a fraction.
        low: Lower end of its interval.
        high: Upper end.
    """

    label: str
    amounts: Mapping[str, float]
    f1: float
    low: float
    high: float


def draw_gain(
    versions: Sequence[GainPoint],
    controls: Mapping[str, Sequence[GainPoint]],
    path: Path,
    *,
    units: Sequence[str],
) -> None:
    """Draw a panel per unit to a file; an earlier file is replaced atomically.

    Args:
        versions: The versions of the model.
        controls: Scores of the controls by arm, a key of ``ARMS``.
        path: The output file, which ends in ``.svg`` or ``.png``.
        units: The units; the amounts of each version have all of them.

    Raises:
        InputError: The picture cannot be written.
    """
    figure = _draw(versions, controls, units)
    file_format = path.suffix[1:].lower()
    metadata = {"Date": None} if file_format == "svg" else None
    with replace_file(path) as temporary:
        figure.savefig(temporary, format=file_format, metadata=metadata, dpi=150)


def _draw(
    versions: Sequence[GainPoint], controls: Mapping[str, Sequence[GainPoint]], units: Sequence[str]
) -> Figure:
    # A Figure without pyplot does not change matplotlib's global state.
    figure = Figure(figsize=(12.0, 4.0), layout="constrained")
    for number, unit in enumerate(units, 1):
        panel = figure.add_subplot(1, len(units), number)
        length = max((point.amounts[unit] for point in versions), default=0.0)
        _plot(panel, unit, "versions", versions, VERSIONS, "o", 0)
        for arm, points in controls.items():
            colour, marker, share = ARMS[arm]
            _plot(panel, unit, f"control, {arm}", points, colour, marker, share * length)
        for point in versions:
            place = (point.amounts[unit], point.f1)
            panel.annotate(point.label, place, xytext=(5, 5), textcoords="offset points", fontsize=8)
        panel.set_xlabel(f"{unit} of annotation")
        panel.set_ylabel("F1 on the random share")
        panel.set_ylim(-0.02, 1.1)  # leaves space for the label of a perfect version
        panel.grid(visible=True, alpha=0.3)
        panel.legend(loc="lower right", fontsize=8)
    return figure


def _plot(
    panel: Axes, unit: str, name: str, points: Sequence[GainPoint], colour: str, marker: str, shift: float
) -> None:
    known = [point for point in points if unit in point.amounts]
    panel.errorbar(
        [point.amounts[unit] + shift for point in known],
        [point.f1 for point in known],
        # A bootstrap interval need not contain the score itself.
        yerr=[
            [max(0.0, point.f1 - point.low) for point in known],
            [max(0.0, point.high - point.f1) for point in known],
        ],
        label=name,
        color=colour,
        marker=marker,
        linestyle="-" if name == "versions" else "none",
        capsize=3,
    )
