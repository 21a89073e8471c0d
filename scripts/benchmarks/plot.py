"""Plot words per second against F1 from the JSON files of `throughput.py`.

python scripts/benchmarks/plot.py [--results DIR] [--output speed.svg]
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib import rcParams
from matplotlib.figure import Figure
from measurement import RESULTS

OURS = "tagger"
COLOURS = {True: "#b3261e", False: "#3b5b78"}
"""Colours of tagger (True) and of other taggers (False)."""


@dataclass(frozen=True, slots=True)
class Point:
    """One tagger: words per second with their interval, and F1 on dev."""

    name: str
    speed: float
    low: float
    high: float
    f1: float


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--results", type=Path, default=RESULTS)
    options.add_argument("--output", type=Path, help="SVG file [speed.svg next to the JSON files]")
    paths = options.parse_args()
    record = json.loads((paths.results / "throughput-peers.json").read_text(encoding="utf-8"))
    output = paths.output or paths.results / "speed.svg"
    draw(points_of(record), record["settings"]["threads"], output)
    print(output)


def points_of(record: dict[str, object]) -> list[Point]:
    """Select rows with speed and score; skip other precisions, whose points would overlap."""
    rows = record["rows"]
    if not isinstance(rows, list):
        raise TypeError(f"rows must be a list (got {type(rows).__name__})")
    return [
        Point(row["name"], speed["median"], speed["low"], speed["high"], row["f1"])
        for row in rows
        if (speed := row.get("words_per_second")) and row.get("f1") is not None and "," not in row["name"]
    ]


def draw(points: Sequence[Point], threads: int, output: Path) -> None:
    """Write the plot: speed on a logarithmic axis, with its 95 % interval as an error bar."""
    rcParams["svg.hashsalt"] = OURS  # makes the file reproducible
    rcParams["svg.fonttype"] = "none"  # keeps text as text
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xscale("log")
    for point in points:
        colour = COLOURS[point.name.startswith(OURS)]
        bar = [[point.speed - point.low], [point.high - point.speed]]
        axes.errorbar([point.speed], [100 * point.f1], xerr=bar, fmt="o", color=colour, capsize=2)
        is_ours = point.name.startswith(
            OURS
        )  # our points are close together, so their labels go to the right
        axes.annotate(
            point.name,
            (point.speed, 100 * point.f1),
            textcoords="offset points",
            xytext=(8, -3) if is_ours else (0, 7),
            ha="left" if is_ours else "center",
            color=colour,
            fontsize=9,
        )
    axes.set_xlabel(f"words per second (logarithmic), threads: {threads}")
    axes.set_ylabel("F1 on dev, %")
    axes.margins(0.2, 0.2)
    axes.grid(visible=True, which="both", linewidth=0.3, alpha=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(output, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
