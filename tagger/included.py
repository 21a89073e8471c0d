"""Included models (installed, or of a checkout), and the lookup of a model by folder or name."""

from __future__ import annotations

import os
from functools import cache
from importlib.metadata import entry_points
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from tagger.bundle import holds_bundle
from tagger.errors import InputError
from tagger.model_hub import display_name, find_hub_model, parse_hub_address

DEFAULT = "en"  # the model of `tagger tag` without --model
GROUP = "tagger.models"  # entry points: a model's name, and the import package whose folder is the model


def included_folder() -> Path:
    """Return the folder that contains the models of a checkout; wheels do not contain it."""
    return Path(str(files("tagger") / "models"))


def included_models() -> dict[str, Path]:
    """Return the folder of each included model by name. Models of a checkout precede installed ones."""
    checkout = {path.parent.name: path.parent for path in included_folder().glob("*/config.json")}
    return dict(sorted({**_installed_models(), **checkout}.items()))


@cache
def _installed_models() -> dict[str, Path]:
    """Return the folder of each model with an entry point, without importing any package."""
    folders = {}
    for point in entry_points(group=GROUP):
        spec = find_spec(point.module)
        if spec and spec.submodule_search_locations:
            folders[point.name] = Path(next(iter(spec.submodule_search_locations)))
    return folders


def included_name(folder: Path) -> str | None:
    """Return the name of the included model in this folder, an absolute path; None for other folders."""
    names = (name for name, path in included_models().items() if path.resolve() == folder)
    return next(names, None)


def model_name(folder: Path) -> str:
    """Return the name of an included model or of a model of the hub, else that of the folder."""
    return included_name(folder.resolve()) or display_name(folder)


def find_model(name: str | os.PathLike[str]) -> Path:
    """Return the folder of a model: the path itself, or the included model or model of the hub of this name.

    A path takes precedence over an included model if it contains a model, and always over the hub. A
    name on the hub is ``USER/NAME`` or ``USER/NAME@REVISION``. Only a model that was not pulled before is
    requested from the hub; other names never are.

    Args:
        name: A folder, or the name of an included model or of a model of the hub.

    Raises:
        TypeError: The name is neither a string nor a path.
        InputError: There is neither a folder nor a model of this name, or it cannot be downloaded.
    """
    if not isinstance(name, str | os.PathLike):
        raise TypeError(
            f"path must be a str or Path (got {type(name).__name__}). Pass a model's folder, or its name."
        )
    path, included = Path(name), included_models()
    if str(name) in included and not holds_bundle(path):
        return included[str(name)]
    if os.path.lexists(str(name)):  # Path.exists raises if access is denied, and reads "" as "."
        return path
    if str(name) == DEFAULT:
        return find_included(DEFAULT)  # raises
    known = f"the included models are {', '.join(included)}" if included else "no models are included"
    address = parse_hub_address(str(name))
    if address:
        try:
            return find_hub_model(address)
        except InputError as error:
            raise InputError(
                f"there is no such folder or included model ({known}), and {error.message}",
                code="bundle.missing" if error.code == "package.missing" else error.code,
                where=name,
            ) from None
    raise InputError(
        f"there is no such folder or included model ({known}). Pass the folder that `tagger train --output` "
        "wrote.",
        code="bundle.missing",
        where=name,
    )


def find_included(name: str, *, option: str = "") -> Path:
    """Return the folder of an included model, independent of the working directory.

    Args:
        name: The model's name.
        option: The option that names another model, for the error.

    Raises:
        InputError: The model is not installed.
    """
    included = included_models()
    if name not in included:
        other = f" or pass {option}" if option else ""
        raise InputError(
            f"the model is not installed. Install the extra `en` (see README){other}.",
            code="bundle.missing",
            where=name,
            option=option,
        )
    return included[name]


def default_model() -> Path:
    """Return the folder of the default model; see ``find_included``."""
    return find_included(DEFAULT, option="--model")
