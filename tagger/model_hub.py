"""Models of the Hugging Face hub: names, downloads and the local cache.

``Tagger.load`` and every command resolve a model's name with ``included.find_model``. The lookup on the hub
is part of it and thus in the layer of bundles, below ``runtime``. Uploads need model cards, and no lower
layer needs uploads: they are in ``integrations.publishing``.

The files are in huggingface_hub's cache, where `hf cache` lists and removes them. A pull requests only the
bundle's own files, by name. It downloads ``config.json`` last and then stores the commit of a branch or tag:
a model that is found without a request is complete.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from tagger.bundle_files import LARGEST_FILE
from tagger.bundle_schema import CONFIG, METRICS, TENSORS, VOCABULARY
from tagger.errors import InputError
from tagger.features import contextual
from tagger.hub_client import hub_requests
from tagger.storage import write_whole, writing

CARD = "README.md"
ENCODER_FILES = tuple(f"{contextual.ENCODER}/{name}" for name in contextual.FILES)
# Maximum bytes of a file, compared with the hub's list before anything is downloaded.
MAX_BYTES = {
    TENSORS: 1 << 33,
    VOCABULARY: 1 << 30,
    METRICS: LARGEST_FILE,
    CARD: LARGEST_FILE,
    CONFIG: LARGEST_FILE,
    f"{contextual.ENCODER}/{contextual.MODEL}": 1 << 31,  # the limit of the graph's own format
    f"{contextual.ENCODER}/{contextual.TOKENIZER}": contextual.MAX_TOKENIZER_BYTES,
    f"{contextual.ENCODER}/{contextual.CONFIG}": contextual.MAX_CONFIG_BYTES,
}
REQUIRED = (TENSORS, VOCABULARY, METRICS, CONFIG)
_ADDRESS = re.compile(r"(?P<name>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>\w[\w./-]*))?", re.ASCII)
_LONGEST_ADDRESS = 200  # characters; the hub accepts names of 96
_COMMIT = re.compile("[0-9a-f]{40}")
_SNAPSHOTS = "snapshots"  # folder of a repository in the cache, with a folder for each commit
_TIMEOUT_SECONDS = 10.0


class HubAddress(NamedTuple):
    """A model on the hub.

    Attributes:
        name: ``USER/NAME``.
        revision: A commit, tag or branch; None for the main branch.
    """

    name: str
    revision: str | None

    def __str__(self) -> str:
        return f"{self.name}@{self.revision}" if self.revision else self.name


def parse_hub_address(text: str) -> HubAddress | None:
    """Parse ``USER/NAME`` or ``USER/NAME@REVISION``; None for any other text, such as a path."""
    match = _ADDRESS.fullmatch(text)
    if not match or len(text) > _LONGEST_ADDRESS or ".." in text or "--" in match["name"]:
        return None
    return HubAddress(match["name"], match["revision"])


def require_hub_address(text: str) -> HubAddress:
    """Parse the address of a model on the hub.

    Raises:
        InputError: It cannot be one.
    """
    address = parse_hub_address(text)
    if address is None:
        raise InputError(
            "this cannot be a model of the hub. Write USER/NAME or USER/NAME@REVISION.",
            code="argument.value",
            where=text,
        )
    return address


def find_pulled(address: HubAddress) -> Path | None:
    """Return the folder of a model in the cache, without a request; None if it is not there or incomplete.

    Raises:
        InputError: huggingface_hub is not installed, or a file is a link to somewhere else.
    """
    with hub_requests(address, "file.unreadable") as hub:
        found = hub.try_to_load_from_cache(address.name, CONFIG, revision=address.revision)
    if not isinstance(found, str):
        return None
    folder = Path(found).parent
    if not all((folder / name).is_file() for name in REQUIRED):
        return None
    require_own_files(folder)
    return folder


def pull_model(address: HubAddress) -> Path:
    """Download a model to the cache and return its folder; cached files are not transferred again.

    Nothing of the repository is executed, and only the bundle's own files are downloaded. After an
    interruption or error, an earlier model is unchanged and ``find_pulled`` does not find the new one.

    Raises:
        InputError: huggingface_hub is not installed; the hub cannot be reached, or has no such model or
            revision; it is not a model of this package; a file is too large; the cache cannot be written.
    """
    with hub_requests(address, "file.unreadable") as hub:
        api = hub.HfApi()
        info = api.model_info(address.name, revision=address.revision, timeout=_TIMEOUT_SECONDS)
        commit = str(info.sha)
        entries = api.get_paths_info(address.name, list(MAX_BYTES), revision=commit)
        sizes = {entry.path: entry.size for entry in entries if isinstance(entry, hub.hf_api.RepoFile)}
        _check_sizes(sizes, address)
        # config.json is the last of MAX_BYTES' model files and must be the last of all.
        names = [*(name for name in MAX_BYTES if name in sizes and name != CONFIG), CONFIG]
        paths = [api.hf_hub_download(address.name, name, revision=commit) for name in names]
        folder = Path(paths[-1]).parent
    require_own_files(folder)
    revision = address.revision or "main"
    if not _COMMIT.fullmatch(revision):
        reference = folder.parent.parent / "refs" / revision
        with writing(reference):
            reference.parent.mkdir(parents=True, exist_ok=True)
        write_whole(reference, commit.encode())
    return folder


def find_hub_model(address: HubAddress) -> Path:
    """Return the folder of a model that was pulled, else pull it.

    Raises:
        InputError: See ``pull_model``.
    """
    return find_pulled(address) or pull_model(address)


def display_name(folder: Path) -> str:
    """Return the name of a model's folder; for a folder of the cache, the model's name on the hub."""
    real = Path(os.path.realpath(folder))
    if real.parent.name != _SNAPSHOTS:
        return real.name
    return real.parent.parent.name.removeprefix("models--").replace("--", "/")


def model_files(folder: Path) -> list[str]:
    """Return the names of the bundle's own files that exist in a folder, with those of its encoder."""
    return [name for name in MAX_BYTES if os.path.lexists(folder / name)]


def require_own_files(folder: Path) -> None:
    """Check that a model's files are in its folder, or in the repository of the cache that the folder is in.

    Links of the cache lead from a snapshot to its blobs. Another link could publish or read any file.

    Raises:
        InputError: A file is a link to somewhere else, or not a regular file.
    """
    real = Path(os.path.realpath(folder))
    root = real.parent.parent if real.parent.name == _SNAPSHOTS else real
    for name in model_files(folder):
        target = Path(os.path.realpath(folder / name))
        if not target.is_relative_to(root) or not target.is_file():
            raise InputError(
                "must be a file of the model (got a link to somewhere else). Delete the folder, and pull the "
                "model again.",
                code="bundle.damaged",
                where=folder / name,
            )


def _check_sizes(sizes: dict[str, Any], address: HubAddress) -> None:
    missing = [name for name in REQUIRED if name not in sizes]
    if missing:
        raise InputError(
            f"the repository has no file {missing[0]}, so that it is not a model of tagger. Check the name.",
            code="bundle.missing",
            where=address,
        )
    for name, size in sizes.items():
        if size > MAX_BYTES[name]:
            raise InputError(
                f"{name} must have at most {MAX_BYTES[name]:,} bytes (got {size:,}). Nothing was downloaded; "
                "check the name.",
                code="input.size",
                where=address,
            )
