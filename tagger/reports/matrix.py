"""Draw confusion matrices."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tagger.errors import printable
from tagger.evaluation.confusion import Confusion
from tagger.storage import replace_file

POINTS_PER_INCH = 72
DIGIT_WIDTH = 0.62  # width of a digit divided by the font size
MAX_CHARACTERS = 24  # maximum length of a label; longer ones are truncated
LABEL_POINTS = 9  # font size of labels


def draw_matrices(confusions: Mapping[str, Confusion], path: Path) -> None:
    """Draw the confusion matrices of all tasks to a file; an earlier file is replaced atomically.

    Args:
        confusions: The confusion of each task; not empty.
        path: The output file, which ends in ``.svg`` or ``.png``.

    Raises:
        InputError: The picture cannot be written.
    """
    figure = matrix_figure(confusions)
    file_format = path.suffix[1:].lower()
    metadata = {"Date": None} if file_format == "svg" else None
    with replace_file(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # drawn as a box
        figure.savefig(temporary, format=file_format, metadata=metadata, dpi=150)


def matrix_figure(confusions: Mapping[str, Confusion]) -> Figure:
    """Return a figure with the confusion matrix of each task, one below the other.

    A cell's shade is its share of its row's gold labels: blue for correct labels, orange for wrong ones; both
    are distinct for colour-blind readers.
    """
    sizes = [max(2.0, _cell_size(one) * len(one["names"])) for one in confusions.values()]  # inches
    # A Figure without pyplot does not change matplotlib's global state.
    longest = max(len(short_name(name)) for one in confusions.values() for name in ("", *one["names"]))
    margin = 1 + longest * LABEL_POINTS * DIGIT_WIDTH / POINTS_PER_INCH
    height = sum(sizes) + margin * len(sizes)
    figure = Figure(figsize=(max(sizes) + margin, height), layout="constrained")
    panels = figure.subplots(len(sizes), 1, squeeze=False, height_ratios=sizes)[:, 0]
    for panel, (task, confusion) in zip(panels, confusions.items(), strict=True):
        _draw(panel, task, confusion)
    return figure


def _draw(panel: Axes, task: str, confusion: Confusion) -> None:
    names = [short_name(name) for name in confusion["names"]]
    counts = np.array(confusion["matrix"], np.float64).reshape(len(names), len(names))  # (gold, predicted)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = _cell_size(confusion)
    font = min(10.0, 0.92 * size * POINTS_PER_INCH / DIGIT_WIDTH / _digits(confusion))
    if names:
        is_right = np.eye(len(names), dtype=bool)[..., None]  # (gold, predicted, 1)
        colours = np.where(is_right, colormaps["Blues"](shares), colormaps["Oranges"](shares))
        panel.imshow(np.where(counts[..., None] > 0, colours, 1.0))
    for row, column in np.argwhere(counts):
        colour = "white" if shares[row, column] > 0.6 else "black"
        number = f"{int(counts[row, column])}"
        panel.text(column, row, number, ha="center", va="center", color=colour, fontsize=font)
    _name_axis(panel, names)
    panel.set_title(short_name(task), parse_math=False)
    panel.set_xlabel("predicted")
    panel.set_ylabel("gold")


def _name_axis(panel: Axes, names: Sequence[str]) -> None:
    positions = range(len(names))
    # parse_math=False: a label such as $a$ is not a formula.
    panel.set_xticks(positions, names, rotation=90, fontsize=LABEL_POINTS, parse_math=False)
    panel.set_yticks(positions, names, fontsize=LABEL_POINTS, parse_math=False)
    panel.tick_params(length=0)
    panel.set_xticks([position - 0.5 for position in positions], minor=True)
    panel.set_yticks([position - 0.5 for position in positions], minor=True)
    panel.grid(which="minor", color="0.85", linewidth=0.5)
    panel.tick_params(which="minor", length=0)


def _cell_size(confusion: Confusion) -> float:
    """Return the side of a cell in inches: small for many labels, but large enough for the numbers."""
    target = 0.6 if len(confusion["names"]) <= 8 else 0.3
    smallest = 6.5 * DIGIT_WIDTH * _digits(confusion) / POINTS_PER_INCH + 0.04  # for a font of 6.5 points
    return max(target, smallest)


def _digits(confusion: Confusion) -> int:
    """Return the number of digits of the largest count."""
    return len(str(max((count for row in confusion["matrix"] for count in row), default=0)))


def short_name(text: str) -> str:
    """Return a label for drawing: truncated if it is long, without characters that XML forbids."""
    return printable(text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…")
