"""``tagger annotate``: a page on which people label the sentences that a model learns most from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tagger import __version__
from tagger.annotation.strategies import STRATEGIES, StrategyName
from tagger.cli.console import require_extra
from tagger.cli.output import print_message
from tagger.cli.serve import TOKEN, HostOption, PortOption, read_token
from tagger.cli.train import EXTRA
from tagger.errors import InputError
from tagger.included import find_model
from tagger.runtime.options import TagOptions
from tagger.runtime.sentence_tagger import select_tasks
from tagger.runtime.tagger import Tagger
from tagger.text.sentence import UNKNOWN_TAG

DEFAULT_TASK = "ner"

EXAMPLES = f"""Examples:

tagger annotate pool.jsonl --labels PER,ORG,LOC -m en --project case.db

tagger annotate --project case.db --port 8080

{TOKEN}=secret tagger annotate --project postgresql://team@db/case --host 0.0.0.0"""


def annotate_command(
    project: Annotated[
        str,
        typer.Option(
            metavar="FILE|URL",
            help="The project: an SQLite file, created if it is new, or a PostgreSQL database.",
        ),
    ],
    pool: Annotated[
        Path | None,
        typer.Argument(
            metavar="[POOL]",
            help="Texts to annotate: a file in any format of `convert`; known documents are not added again.",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="Labels, in the order of their keys. A project keeps those that it was created with.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="Model folder or name that proposes and chooses; without one, sentences come at random.",
            show_default=False,
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Task of a new project; by default the model's first one with spans, or {DEFAULT_TASK}.",
            show_default=False,
        ),
    ] = None,
    strategy: Annotated[
        StrategyName,
        typer.Option(metavar="|".join(STRATEGIES), help="How to choose sentences, as for `select`."),
    ] = "uncertainty",
    random_share: Annotated[
        float,
        typer.Option(metavar="X", min=0.0, max=1.0, help="Share of sentences drawn at random, from 0 to 1."),
    ] = 0.2,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of the models that the page trains; by default case.models for case.db.",
        ),
    ] = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
) -> None:
    """Annotate text on a page, with a model's proposals.

    The page needs the keyboard only. It stores each decision in the project
    before it shows the next sentence, and trains the next version of the
    model while people annotate (extra `train`). If the variable TAGGER_TOKEN
    is set, the page asks for this token.
    """
    require_extra(
        "annotate",
        "sqlalchemy",
        "fastapi",
        "uvicorn",
        "httptools",
        "websockets",
        "prometheus_client",
        extra="annotate",
    )
    # Slow imports.
    from tagger.annotation.background_training import BackgroundTraining
    from tagger.annotation.model_versions import start_with
    from tagger.annotation.project_files import read_pool
    from tagger.annotation.store import AnnotationStore
    from tagger.corpus.project_documents import ProjectSettings
    from tagger.serving.annotation_desk import Desk
    from tagger.serving.annotation_routes import LOOPBACK, make_annotation_gate
    from tagger.serving.server import Server

    token = read_token()
    if labels is None:
        store = AnnotationStore(project)
    else:
        name, scheme = _find_task(model, task)
        store = AnnotationStore.create(project, ProjectSettings(name, _parse_labels(labels), scheme))
    with store:
        if pool is not None:
            added = store.add_pool(read_pool(pool))
            print_message(f"{store.name}: {added:,} sentences added")
        if model is not None:
            active = start_with(store, model)
            print_message(f"{store.name}: version {active.version} of the model proposes spans")
        folder = _find_models_folder(project, output)
        gate = make_annotation_gate(
            Desk(
                store,
                strategy=strategy,
                random_share=random_share,
                training=BackgroundTraining(project, folder) if folder else None,
            ),
            version=__version__,
            token=token,
            hosts=LOOPBACK if host in LOOPBACK and token is None else (),
        )
        Server(
            gate,
            host=host,
            port=port,
            drain_seconds=10.0,
            on_start=lambda url: print_message(f"annotating {store.name} on {url}"),
        ).serve_until_signal()


def _find_models_folder(project: str, output: Path | None) -> Path | None:
    """Return the folder of the models; None, with a message, if the page cannot train any."""
    from tagger.annotation.model_updates import models_folder

    try:
        require_extra("annotate", *EXTRA)
        return output or models_folder(project)
    except InputError as error:
        print_message(f"the page trains no models: {error}")
        return None


def _find_task(model: str | None, task: str | None) -> tuple[str, str | None]:
    """Return the task of a new project and its scheme, None for one tag per token."""
    if model is None:
        return task or DEFAULT_TASK, "IOB2"
    tagger = Tagger.load(find_model(model))
    chosen = TagOptions(tasks=select_tasks(tagger, [task] if task else None)).text_task
    return chosen.name, "IOB2" if chosen.scheme else None


def _parse_labels(text: str) -> tuple[str, ...]:
    labels = tuple(label.strip() for label in text.split(","))
    is_valid = all(label.isprintable() and label and label not in ("O", UNKNOWN_TAG) for label in labels)
    if not is_valid or len(set(labels)) < len(labels):
        raise InputError(
            f"--labels must be different printable names other than O and {UNKNOWN_TAG} (got {text!r}). "
            "Write PER,ORG,LOC for example.",
            code="option.value",
            option="--labels",
        )
    return labels
