"""The versions of a project's model: the active one, the first one, and how a new one compares."""

from __future__ import annotations

from pathlib import Path

from tagger.annotation import project_progress
from tagger.annotation.project_records import ModelVersion
from tagger.annotation.store import AnnotationStore
from tagger.corpus.project_database import lock_project
from tagger.included import find_model


def find_active(store: AnnotationStore) -> ModelVersion | None:
    """Return the active version of the model."""
    return next((version for version in store.models() if version.is_active), None)


def start_with(store: AnnotationStore, model: str) -> ModelVersion:
    """Activate a model, unless the project has it already: then a better version may be active.

    Args:
        store: The project.
        model: Folder or name of the model.

    Returns:
        The active version.

    Raises:
        InputError: There is no such model.
    """
    path = find_model(model)
    name = str(path.resolve()) if path == Path(model) else model
    with store.writing() as connection:
        lock_project(connection)  # another process may add the same model
        if all(version.folder != name for version in project_progress.list_models(connection)):
            number = project_progress.insert_model(connection, name, {}, store.clock())
            project_progress.activate_model(connection, number)
        return next(one for one in project_progress.list_models(connection) if one.is_active)


def describe_version(version: ModelVersion) -> str:
    """Describe in one sentence how a version that ``update_model`` returned compares with the one before."""
    scores = version.scores
    before, difference = scores["before"], scores["difference"]
    outcome = f"version {version.version} {'becomes' if scores['is_better'] else 'does not become'} active"
    reasons = []
    if before is None:
        reasons.append("no version was active")
    if n_sentences := scores["sentences"]:
        plural = "s" * (n_sentences != 1)
        reasons.append(f"F1 {scores['f1']:.3f} on the {n_sentences:,} sentence{plural} of the random share")
    else:
        reasons.append("the random share has no annotations")
    if difference:
        interval = f"95 % interval {difference['low']:+.3f} to {difference['high']:+.3f}"
        reasons.append(
            f"{before['f1']:.3f} of version {before['version']}, difference {difference['value']:+.3f} "
            f"({interval}, p = {difference['p_value']:.2g})"
        )
    return f"{outcome}: {', '.join(reasons)}"
