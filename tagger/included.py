"""Models that come with the package, and how a model is named: by its folder or by its name there."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from tagger.bundle import holds_bundle
from tagger.errors import InputError

DEFAULT = "en"  # what `tagger tag` tags with when no model is named


def included_folder() -> Path:
    """Where the package has its models, a folder each; it need not be there."""
    return Path(str(files("tagger") / "models"))


def included_models() -> list[str]:
    """The names of the models in the package."""
    return sorted(path.parent.name for path in included_folder().glob("*/config.json"))


def find_model(name: str | os.PathLike[str]) -> Path:
    """Return the folder of a model: the path itself, or the model of this name in the package.

    A path with the name of a model in the package comes first only if it holds a model.

    Args:
        name: A folder, or the name of a model in the package.

    Raises:
        TypeError: The name is neither a string nor a path.
        InputError: There is no such folder and no such model.
    """
    if not isinstance(name, str | os.PathLike):
        raise TypeError(
            f"path must be a str or Path (got {type(name).__name__}). Pass a model's folder, or its name."
        )
    path, included = Path(name), included_models()
    is_included = str(name) in included
    if is_included and not holds_bundle(path):
        return included_folder() / path
    if os.path.lexists(str(name)):  # Path.exists raises where access is denied, and takes "" for a dot
        return path
    known = f"the models in the package are {', '.join(included)}" if included else "the package has no model"
    raise InputError(
        f"{name}: there is no such folder, and {known}; give the folder that `tagger train --output` wrote."
    )


def default_model() -> Path:
    """Return the folder of the default model; the working directory plays no part.

    Raises:
        InputError: The package does not have it.
    """
    if DEFAULT not in included_models():
        raise InputError(
            f"{DEFAULT}: the package does not have this model, the default. Give one with --model."
        )
    return included_folder() / DEFAULT
