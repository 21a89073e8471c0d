"""Display of ``tagger gain``: tables and a figure of the versions and of the controls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich import box
from rich.table import Table

from tagger.annotation.annotation_gain import UNITS, Gain
from tagger.annotation.random_share import Effort, ShareScore
from tagger.cli.console import make_console
from tagger.errors import printable

_INTERVAL = "95 % interval"


def show_gain(gain: Gain, *, has_controls: bool) -> None:
    """Print the tables.

    Args:
        gain: What to print.
        has_controls: True if controls were requested.
    """
    console = make_console()
    versions = [
        (
            f"{row.version.version}{' (active)' if row.version.is_active else ''}",
            *_effort(row.trained_on),
            *_score(row.score),
        )
        for row in gain.versions
    ]
    console.print(_table(["version", *UNITS, "F1", _INTERVAL], versions))
    for row in gain.versions:
        if row.problem:
            console.print(f"version {row.version.version}: {printable(row.problem)}", soft_wrap=True)
    tokens, sentences, minutes = _effort(gain.share)
    console.print(
        f"F1 is that of the random share ({tokens} tokens, {sentences} sentences, {minutes} minutes), which "
        "trains no version",
        soft_wrap=True,
    )
    if gain.controls:
        controls = [
            (
                f"{control.amount:,.1f} {control.unit}",
                f"{control.chosen.f1:.4f}",
                f"{control.random.f1:.4f}",
                f"{control.chosen.f1 - control.random.f1:+.4f}",
                f"{control.low:+.4f} to {control.high:+.4f}",
                f"{control.p_value:.2g}",
            )
            for control in gain.controls
        ]
        names = ["trained on", "F1 chosen", "F1 random", "difference", _INTERVAL, "p"]
        console.print(_table(names, controls))
    elif has_controls:
        console.print("too few chosen sentences for a comparison with the random share")
    if gain.warning:
        console.print(gain.warning, soft_wrap=True)


def draw_figure(gain: Gain, path: Path) -> None:
    """Draw the scores of the versions and of the controls to an ``.svg`` or ``.png`` file.

    Raises:
        InputError: The picture cannot be written.
    """
    from tagger.reports.gain_figure import GainPoint, draw_gain  # matplotlib is slow to import

    def point(label: str, amounts: Mapping[str, float], score: ShareScore | None) -> list[GainPoint]:
        if score is None or score.low is None or score.high is None:
            return []
        return [GainPoint(label, amounts, score.f1, score.low, score.high)]

    versions, arms = list[GainPoint](), dict[str, list[GainPoint]]()
    for row in gain.versions:
        effort = row.trained_on
        amounts = {"tokens": effort.tokens, "sentences": effort.sentences, "minutes": effort.seconds / 60}
        versions += point(str(row.version.version), amounts, row.score)
    for control in gain.controls:
        for arm, score in (("chosen", control.chosen), ("random", control.random)):
            arms.setdefault(arm, []).extend(point("", {control.unit: control.amount}, score))
    draw_gain(versions, arms, path, units=tuple(UNITS))


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for number, name in enumerate(names):
        table.add_column(name, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    return table


def _effort(effort: Effort) -> tuple[str, str, str]:
    return f"{effort.tokens:,}", f"{effort.sentences:,}", f"{effort.seconds / 60:,.1f}"


def _score(score: ShareScore | None) -> tuple[str, str]:
    if score is None or score.low is None:
        return "", ""
    return f"{score.f1:.4f}", f"{score.low:.4f} to {score.high:.4f}"
