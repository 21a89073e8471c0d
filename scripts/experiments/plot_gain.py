"""Draw what the backward pass adds, from the `results.json` files of the comparisons.

python scripts/experiments/plot_gain.py [--results DIR] [--output docs/gain.svg]
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib import rcParams
from matplotlib.figure import Figure

FOLDER = Path(__file__).resolve().parent
TASKS = {"ner": "NER, F1", "chunk": "chunks, F1", "pos": "UPOS, accuracy"}
HEADS = {"softmax": "softmax", "crf": "CRF"}
COLOURS = {"forward": "#3b5b78", "bidirectional": "#b3261e"}


@dataclass(frozen=True, slots=True)
class Gain:
    """Mean dev scores, in percent, of a forward and of a bidirectional model."""

    name: str
    forward: float
    bidirectional: float


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--results", type=Path, default=FOLDER / "results")
    options.add_argument("--output", type=Path, default=FOLDER.parents[1] / "docs" / "gain.svg")
    paths = options.parse_args()
    draw([gain for task in TASKS for gain in read_gains(paths.results, task)], paths.output)
    print(paths.output)


def read_gains(results: Path, task: str, features: str = "words") -> list[Gain]:
    """Read one task's gains, one per head, from ``results/TASK-FEATURES/results.json``."""
    record = json.loads((results / f"{task}-{features}" / "results.json").read_text(encoding="utf-8"))
    means = {
        (row["variant"]["head"], row["variant"]["direction"]): 100 * row["scores"]["dev"]["mean"]
        for row in record["rows"]
        if row["variant"]["lookahead"] == "full"
    }
    return [
        Gain(f"{TASKS[task]}, {name}", means[head, "forward"], means[head, "bidirectional"])
        for head, name in HEADS.items()
    ]


def draw(gains: Sequence[Gain], output: Path) -> None:
    """Write an SVG with one line per gain, from the forward score to the bidirectional score."""
    rcParams["svg.hashsalt"] = "tagger"  # identical figures give an identical file
    rcParams["svg.fonttype"] = "none"  # keep text as text
    figure = Figure(figsize=(7.2, 2.8), layout="constrained")
    axes = figure.subplots()
    rows = range(len(gains))
    axes.hlines(rows, [g.forward for g in gains], [g.bidirectional for g in gains], "#999999", linewidth=2)
    for direction, colour in COLOURS.items():
        scores = [getattr(gain, direction) for gain in gains]
        axes.scatter(scores, rows, s=45, color=colour, label=direction, zorder=3)
    for row, gain in enumerate(gains):
        text = f"+{gain.bidirectional - gain.forward:.2f}"
        axes.annotate(text, (gain.bidirectional, row), (8, 0), textcoords="offset points", va="center")
    axes.set_yticks(rows, [gain.name for gain in gains])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("dev score in percent, word vectors as the only features")
    axes.grid(axis="x", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower left", frameon=False)
    figure.savefig(output, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
