"""Draw words a second against F1 from the JSON files that `throughput.py` wrote.

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
"""Of our points, and of the others'."""


@dataclass(frozen=True, slots=True)
class Point:
    """One tagger: words a second with its interval, and F1 on dev."""

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
    options.add_argument("--output", type=Path, help="SVG file [speed.svg beside the JSON files]")
    paths = options.parse_args()
    record = json.loads((paths.results / "throughput-peers.json").read_text(encoding="utf-8"))
    output = paths.output or paths.results / "speed.svg"
    draw(points_of(record), record["settings"]["threads"], output)
    print(output)


def points_of(record: dict[str, object]) -> list[Point]:
    """The rows that have both a speed and a score, without those of other precisions, which lie too close."""
    rows = record["rows"]
    if not isinstance(rows, list):
        raise TypeError(f"rows must be a list, not {type(rows).__name__}")
    return [
        Point(row["name"], speed["median"], speed["low"], speed["high"], row["f1"])
        for row in rows
        if (speed := row.get("words_per_second")) and row.get("f1") is not None and "," not in row["name"]
    ]


def draw(points: Sequence[Point], threads: int, output: Path) -> None:
    """Write the picture; speed is on a logarithmic axis, with its 95 % interval as a bar."""
    rcParams["svg.hashsalt"] = OURS  # so that the same figures give the same file
    rcParams["svg.fonttype"] = "none"  # words stay words
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xscale("log")
    for point in points:
        colour = COLOURS[point.name.startswith(OURS)]
        bar = [[point.speed - point.low], [point.high - point.speed]]
        axes.errorbar([point.speed], [100 * point.f1], xerr=bar, fmt="o", color=colour, capsize=2)
        is_ours = point.name.startswith(OURS)  # which lie close together: their names stand beside them
        axes.annotate(
            point.name,
            (point.speed, 100 * point.f1),
            textcoords="offset points",
            xytext=(8, -3) if is_ours else (0, 7),
            ha="left" if is_ours else "center",
            color=colour,
            fontsize=9,
        )
    axes.set_xlabel(f"words a second (logarithmic), threads: {threads}")
    axes.set_ylabel("F1 on dev, %")
    axes.margins(0.2, 0.2)
    axes.grid(visible=True, which="both", linewidth=0.3, alpha=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(output, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
