"""Models included in the package, and the lookup of a model by folder or name."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from tagger.bundle import holds_bundle
from tagger.errors import InputError
from tagger.model_hub import find_hub_model, parse_hub_address

DEFAULT = "en"  # the model of `tagger tag` without --model


def included_folder() -> Path:
    """Return the folder that contains the package's model folders; it may not exist."""
    return Path(str(files("tagger") / "models"))


def included_models() -> list[str]:
    """Return the names of the models in the package."""
    return sorted(path.parent.name for path in included_folder().glob("*/config.json"))


def find_model(name: str | os.PathLike[str]) -> Path:
    """Return the folder of a model: the path itself, or the model of this name in the package or on the hub.

    A path takes precedence over a model of the package if it contains a model, and always over the hub. A
    name on the hub is ``USER/NAME`` or ``USER/NAME@REVISION``. Only a model that was not pulled before is
    requested from the hub; other names never are.

    Args:
        name: A folder, or the name of a model in the package or on the hub.

    Raises:
        TypeError: The name is neither a string nor a path.
        InputError: There is neither a folder nor a model of this name, or it cannot be downloaded.
    """
    if not isinstance(name, str | os.PathLike):
        raise TypeError(
            f"path must be a str or Path (got {type(name).__name__}). Pass a model's folder, or its name."
        )
    path, included = Path(name), included_models()
    is_included = str(name) in included
    if is_included and not holds_bundle(path):
        return included_folder() / path
    if os.path.lexists(str(name)):  # Path.exists raises if access is denied, and reads "" as "."
        return path
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


def default_model() -> Path:
    """Return the folder of the default model, independent of the working directory.

    Raises:
        InputError: The package does not include it.
    """
    if DEFAULT not in included_models():
        raise InputError(
            "the package does not include the default model. Pass --model.",
            code="bundle.missing",
            where=DEFAULT,
            option="--model",
        )
    return included_folder() / DEFAULT
