"""Models that come with the package, and how a model is named: by its folder or by its name there."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from tagger.errors import InputError

DEFAULT = "en"  # what `tagger tag` tags with when no model is named


def included_folder() -> Path:
    """Where the package has its models, a folder each; it need not be there."""
    return Path(str(files("tagger") / "models"))


def included_models() -> list[str]:
    """The names of the models in the package."""
    return sorted(path.parent.name for path in included_folder().glob("*/config.json"))


def find_model(name: str | Path) -> Path:
    """The folder of a model: the path itself where there is one, else the model of this name in the package.

    Raises:
        InputError: There is neither.
    """
    if os.path.lexists(str(name)):  # Path.exists raises where access is denied, and takes "" for a dot
        return Path(name)
    included = included_models()
    if str(name) in included:
        return included_folder() / name
    known = f"the models in the package are {', '.join(included)}" if included else "the package has no model"
    raise InputError(
        f"{name}: there is no such folder, and {known}; give the folder that `tagger train --output` wrote."
    )
