"""``tagger retrain``: train the next version of an annotation project's model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tagger.cli.output import print_message
from tagger.cli.train import EXTRA, Settings, read_changes
from tagger.errors import InputError

EXAMPLES = """Examples:

tagger retrain case.db --init-from en

tagger retrain case.db --set train.epochs=20

tagger retrain case.db --activate 1"""

ProjectName = Annotated[
    str, typer.Argument(metavar="PROJECT", help="Annotation project: its SQLite file, or postgresql://…")
]


def retrain_command(
    project: ProjectName,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of the project's models; by default case.models for case.db."
        ),
    ] = None,
    init_from: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Model to start from, which becomes active unless the project has it already. By default, "
            "the active version, or random weights if there is none.",
        ),
    ] = None,
    set: Settings = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Discard an unfinished run; by default it is resumed.")
    ] = False,
    activate: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Make version N the active one, without training.", show_default=False
        ),
    ] = None,
) -> None:
    """Train the next version of a project's model while annotation goes on.

    Training starts from the active version and uses all accepted sentences
    outside the random share. The new version becomes active if its F1 on the
    random share is higher. Ctrl-C stops after the current step; the same
    command resumes the run.
    """
    from tagger.cli.console import require_extra

    require_extra("retrain", "sqlalchemy", extra="annotate")
    from tagger.annotation.model_updates import Phase, models_folder, update_model
    from tagger.annotation.model_versions import describe_version
    from tagger.annotation.store import AnnotationStore

    if activate is not None:
        _require_alone(output, init_from, set, is_restart=restart)
        with AnnotationStore(project) as store:
            store.activate(activate)
        print_message(f"version {activate} is active")
        return
    require_extra("retrain", *EXTRA)
    from tagger.cli.watch import StopSignals

    changes = read_changes({}, set)
    with AnnotationStore(project) as store, StopSignals() as signals:

        def show(phase: Phase, epoch: int, epochs: int) -> None:
            signals.is_polled = phase == "training"
            print_message(f"epoch {epoch}/{epochs}" if phase == "training" else "comparing the models")

        version = update_model(
            store,
            output or models_folder(project),
            initial=init_from,
            changes=changes,
            restart=restart,
            is_stopped=lambda: signals.is_requested,
            on_phase=show,
        )
    if version is None:
        print_message("stopped; run the same command to resume, or with --restart to begin again")
        raise typer.Exit(signals.exit_code)
    typer.echo(describe_version(version))


def _require_alone(
    output: Path | None, init_from: str | None, settings: list[str] | None, *, is_restart: bool
) -> None:
    """Reject options of a training with ``--activate``."""
    if output or init_from or settings or is_restart:
        raise InputError(
            "--activate trains nothing. Leave the other options out.",
            code="option.conflict",
            option="--activate",
        )
