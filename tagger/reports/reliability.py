"""Draw reliability diagrams, and precision and recall by score threshold."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tagger.evaluation.calibration import reliability
from tagger.reports.matrix import short_name
from tagger.runtime.model_calibration import Calibration
from tagger.storage import replace_file

BEFORE, AFTER = "#D55E00", "#0072B2"  # from the colour-blind-safe palette of Okabe and Ito
PRECISION, RECALL, F1 = "#0072B2", "#E69F00", "#009E73"
CURVE_POINTS = 201


def draw_reliability(calibrations: Mapping[str, Calibration], path: Path, *, min_score: float = 0.0) -> None:
    """Draw the calibration of all tasks to a file; an earlier file is replaced atomically.

    Args:
        calibrations: The calibration of each task; not empty.
        path: The output file, which ends in ``.svg`` or ``.png``.
        min_score: Score threshold to mark, if it is above 0.

    Raises:
        InputError: The picture cannot be written.
    """
    figure = reliability_figure(calibrations, min_score=min_score)
    file_format = path.suffix[1:].lower()
    metadata = {"Date": None} if file_format == "svg" else None
    with replace_file(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # drawn as a box
        figure.savefig(temporary, format=file_format, metadata=metadata, dpi=150)


def reliability_figure(calibrations: Mapping[str, Calibration], *, min_score: float = 0.0) -> Figure:
    """Return a figure with each task's reliability diagram, bin counts, and precision-recall curves.

    The diagram (Guo et al. 2017, figure 1) has a point per bin: the mean score and the accuracy of its
    predictions. Points below the diagonal indicate overconfident scores.
    """
    # A Figure without pyplot does not change matplotlib's global state.
    figure = Figure(figsize=(9.0, 4.6 * len(calibrations)), layout="constrained")
    grid = figure.add_gridspec(
        2 * len(calibrations), 2, height_ratios=[3, 1] * len(calibrations), width_ratios=[1, 1]
    )
    for number, (task, calibration) in enumerate(calibrations.items()):
        top = figure.add_subplot(grid[2 * number, 0])
        _draw_diagram(top, short_name(task), calibration)
        _draw_counts(figure.add_subplot(grid[2 * number + 1, 0], sharex=top), calibration)
        curve = figure.add_subplot(grid[2 * number : 2 * number + 2, 1])
        _draw_curve(curve, short_name(task), calibration, min_score)
    return figure


def _sides(calibration: Calibration) -> list[tuple[str, str, NDArray[np.float32], float]]:
    """Return name, colour, scores and calibration error, at temperature 1 and the model's temperature."""
    before, after = calibration.errors
    if calibration.temperature == 1:
        return [("not calibrated", BEFORE, calibration.before, before)]
    return [
        ("before", BEFORE, calibration.before, before),
        (f"after, temperature {calibration.temperature:g}", AFTER, calibration.after, after),
    ]


def _draw_diagram(panel: Axes, task: str, calibration: Calibration) -> None:
    panel.plot([0, 1], [0, 1], color="0.6", linestyle=":", linewidth=1)
    for name, colour, scores, error in _sides(calibration):
        bins = reliability(calibration.is_right, scores)
        means = [one["score"] for one in bins if one["score"] is not None]
        shares = [one["right"] for one in bins if one["right"] is not None]
        label = f"{name}: ECE {error:.4f}"
        panel.plot(means, shares, color=colour, marker="o", markersize=4, linewidth=1.2, label=label)
    panel.set_ylim(-0.02, 1.02)
    panel.set_ylabel("accuracy")
    panel.set_title(f"{task}: {_predictions(calibration)}", parse_math=False)
    panel.tick_params(labelbottom=False)
    panel.grid(visible=True, alpha=0.3)
    panel.legend(loc="upper left", fontsize=8)


def _draw_counts(panel: Axes, calibration: Calibration) -> None:
    sides = _sides(calibration)
    for number, (_, colour, scores, _) in enumerate(sides):
        bins = reliability(calibration.is_right, scores)
        width = (bins[0]["high"] - bins[0]["low"]) * 0.9 / len(sides)
        positions = [one["low"] + 0.05 / len(bins) + (number + 0.5) * width for one in bins]
        panel.bar(positions, [one["count"] for one in bins], width=width, color=colour)
    panel.set_yscale("symlog", linthresh=1)
    panel.set_xlim(-0.02, 1.02)
    panel.set_xlabel("score")
    panel.set_ylabel("count")
    panel.grid(visible=True, alpha=0.3, axis="y")


def _draw_curve(panel: Axes, task: str, calibration: Calibration, min_score: float) -> None:
    thresholds = np.linspace(0.0, 1.0, CURVE_POINTS).tolist()
    points = calibration.against(thresholds)
    precision: list[Any] = [one["precision"] if one["found"] else None for one in points]
    panel.plot(thresholds, precision, color=PRECISION, label="precision")
    panel.plot(thresholds, [one["recall"] for one in points], color=RECALL, linestyle="--", label="recall")
    panel.plot(thresholds, [one["f1"] for one in points], color=F1, linestyle="-.", linewidth=1, label="F1")
    if min_score:
        panel.axvline(min_score, color="0.4", linestyle=":", label=f"--min-score {min_score:g}")
    panel.set_xlim(-0.02, 1.02)
    panel.set_ylim(-0.02, 1.02)
    panel.set_xlabel("score threshold")
    panel.set_title(f"{task}: precision and recall", parse_math=False)
    panel.grid(visible=True, alpha=0.3)
    panel.legend(loc="lower left", fontsize=8)


def _predictions(calibration: Calibration) -> str:
    unit = "spans" if calibration.has_spans else "tokens"
    return f"{len(calibration.is_right):,} predicted {unit}"
