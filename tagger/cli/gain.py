"""``tagger gain``: what annotation has gained, by tokens, sentences and minutes."""

from __future__ import annotations

import json as json_format
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from tagger.cli.evaluate import check_outputs, require_picture
from tagger.cli.output import print_message
from tagger.cli.retrain import ProjectName
from tagger.cli.train import EXTRA, Settings, read_changes
from tagger.errors import InputError

EXAMPLES = """Examples:

tagger gain case.db

tagger gain case.db --control --figure gain.svg

tagger gain case.db --json > gain.json"""


def gain_command(
    project: ProjectName,
    control: Annotated[
        bool,
        typer.Option(
            "--control",
            help="Train models on as many random as chosen tokens, sentences and minutes, and compare them.",
        ),
    ] = False,
    set: Settings = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    figure: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw F1 by annotation effort to an .svg or .png file."),
    ] = None,
) -> None:
    """Show F1 of each model version by the annotation that it was trained on.

    F1 is measured on the random share, which trains no version, with 95 %
    bootstrap intervals. Minutes include skipped and changed sentences.
    """
    from tagger.cli.console import require_extra

    require_extra("gain", "sqlalchemy", extra="annotate")
    require_extra("gain", *(EXTRA if control else ("scipy",)))
    if set and not control:
        raise InputError(
            "--set needs --control: nothing else is trained. Leave it out.",
            code="option.conflict",
            option="--set",
        )
    if figure:
        require_picture("gain", "--figure", figure)
        check_outputs([Path(project)], [figure])
    from tagger.annotation.annotation_gain import measure_control, measure_gain
    from tagger.annotation.store import AnnotationStore

    changes = read_changes({}, set)
    with AnnotationStore(project) as store:
        gain = measure_gain(store)
        if control:
            controls = measure_control(
                store, changes=changes, on_model=lambda name: print_message(f"training {name}")
            )
            gain = replace(gain, controls=controls)
    from tagger.cli.gain_display import draw_figure, show_gain

    if figure:
        draw_figure(gain, figure)
    if json:
        typer.echo(json_format.dumps(gain.to_dict(), indent=2))
        return
    show_gain(gain, has_controls=control)
