"""Plot of a run's learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tagger.errors import printable
from tagger.storage import write_whole
from tagger.training.loop import EpochRecord

# Okabe and Ito's palette, safe for colour-blind readers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def draw_curves(records: Sequence[EpochRecord], path: Path) -> None:
    """Plot loss and dev scores over epochs, and mark the best epoch.

    Args:
        records: The epochs so far; not empty.
        path: SVG file to write; it replaces an earlier one atomically.

    Raises:
        InputError: The file cannot be written.
    """
    has_dev = bool(records[0].dev)
    # Create the Figure without pyplot, which would change matplotlib's global state.
    figure = Figure(figsize=(9 if has_dev else 5, 3.4), layout="constrained")
    panels = figure.subplots(1, 2 if has_dev else 1, squeeze=False)[0]
    epochs = [record.epoch for record in records]
    panels[0].plot(epochs, [record.loss for record in records], color=COLOURS[0], marker=".")
    _label(panels[0], "training loss per sentence")
    if has_dev:
        for number, task in enumerate(records[0].dev):
            key = "f1" if "f1" in records[0].dev[task] else "accuracy"
            scores = [record.dev[task][key] for record in records]
            # Escape $: matplotlib would render a name such as $a$ as a formula.
            name = f"{printable(task)} {'F1' if key == 'f1' else key}".replace("$", r"\$")
            panels[1].plot(epochs, scores, color=COLOURS[number % len(COLOURS)], marker=".", label=name)
        best = [record.epoch for record in records if record.is_best][-1:]
        for epoch in best:
            panels[1].axvline(epoch, color="0.6", linestyle=":", label=f"best: epoch {epoch}")
        _label(panels[1], "score on dev")
        figure.legend(loc="outside lower center", ncols=4)
    content = BytesIO()
    figure.savefig(content, format="svg", metadata={"Date": None})
    write_whole(path, content.getvalue())


def _label(panel: Axes, title: str) -> None:
    panel.set_title(title)
    panel.set_xlabel("epoch")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.grid(visible=True, alpha=0.3)
