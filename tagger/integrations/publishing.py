"""Publish a model on the Hugging Face hub, with the metadata of its card."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tagger.bundle import Bundle, read_header
from tagger.bundle_schema import CONFIG
from tagger.errors import InputError
from tagger.features.contextual import ENCODER
from tagger.hub_client import hub_requests, short_reason
from tagger.model_hub import (
    CARD,
    ENCODER_FILES,
    REQUIRED,
    HubAddress,
    model_files,
    require_hub_address,
    require_own_files,
)
from tagger.runtime.tagger import Tagger
from tagger.training.card import card_metadata, cell


def push_model(
    folder: Path,
    name: str,
    *,
    license: str | None = None,
    dataset: str | None = None,
    is_private: bool = False,
) -> HubAddress:
    """Upload a model to the hub in one commit and return its address with the commit.

    Only the bundle's own files are uploaded, with an encoder if the model has one. The repository is created
    if it does not exist.

    Args:
        folder: The model.
        name: ``USER/NAME`` on the hub.
        license: Identifier of the model's licence on the hub, such as ``cc-by-sa-4.0``; by default, that of
            the card's metadata, as in a model that was pulled.
        dataset: Name of the dev data in the card's metadata, for instance a dataset on the hub; by default,
            the name of its file.
        is_private: True to make a new repository private.

    Raises:
        InputError: The folder holds no valid model; a file is a link to somewhere else; no licence is given;
            huggingface_hub is not installed; there is no token, or it may not write; the hub cannot be
            reached, rejects the card, or has a repository of this name that is not a model of this package.
    """
    address = require_hub_address(name)
    if address.revision:
        raise InputError(
            f"a model is pushed to the main branch (got the revision {address.revision!r}). Write USER/NAME.",
            code="argument.value",
            where=name,
        )
    require_own_files(folder)
    bundle = Tagger.load(folder, threads=1).bundle  # rejects models that cannot tag
    with hub_requests(name, "bundle.output") as hub:
        card = _write_card(bundle, address.name, license, dataset, hub)
        if not hub.get_token():
            raise InputError(
                "there is no token for the hub. Log in with `hf auth login`, or set HF_TOKEN.",
                code="bundle.output",
                where=name,
            )
        api = hub.HfApi()
        api.create_repo(name, private=is_private or None, exist_ok=True)
        _require_model_or_empty(api.list_repo_files(name), name)
        contents: dict[str, Any] = {
            file: os.path.realpath(folder / file)
            for file in model_files(folder)
            if bundle.encoder or file not in ENCODER_FILES
        }
        if bundle.encoder:
            contents[CONFIG], card = _hide_encoder_path(folder, card)
        contents[CARD] = card.encode(errors="backslashreplace")
        operations = [hub.CommitOperationAdd(*each) for each in contents.items()]
        try:
            commit = api.create_commit(name, operations, commit_message="Upload a model of tagger")
        except ValueError as error:  # the hub's validation of the metadata, before the upload
            raise InputError(
                f"the hub rejects the card ({short_reason(error)}). Correct --license or --dataset.",
                code="bundle.output",
                where=name,
                option="--license",
            ) from None
    return HubAddress(address.name, commit.oid)


def _write_card(bundle: Bundle, name: str, license: str | None, dataset: str | None, hub: Any) -> str:
    """Return the model's card with metadata; huggingface_hub parses earlier metadata and checks the new."""
    try:
        metadata = card_metadata(name.partition("/")[2], bundle.config, bundle.metrics, dataset)
        card = hub.ModelCard(bundle.card, ignore_metadata_errors=True)
        merged = card.data.to_dict() | metadata | ({"license": license} if license else {})
        card.data = hub.ModelCardData(**merged)
    except Exception as error:  # yaml's errors are not ValueErrors
        raise InputError(
            f"the metadata of the model's card cannot be written ({short_reason(error)}). Copy or train the "
            "model again.",
            code="bundle.damaged",
            where=name,
        ) from None
    if not card.data.license:
        raise InputError(
            "a model on the hub needs a licence. Name it with --license, for instance --license mit.",
            code="option.value",
            where=name,
            option="--license",
        )
    return str(card)


def _hide_encoder_path(folder: Path, card: str) -> tuple[bytes, str]:
    """Return config.json and the card with the encoder's place in the model, not its path on this machine."""
    values = json.loads(read_header(folder))
    row = "| model.encoder | {} |"
    card = card.replace(row.format(cell(values["model"]["encoder"])), row.format(ENCODER))
    values["model"]["encoder"] = ENCODER
    return json.dumps(values, indent=1).encode(), card


def _require_model_or_empty(present: list[str], name: str) -> None:
    """Check that a repository is new or a model of this package: its files would be overwritten.

    Raises:
        InputError: It has other files.
    """
    if set(present) - {".gitattributes", CARD} and not set(REQUIRED) <= set(present):
        raise InputError(
            "the repository has other files and is not a model of tagger. Name another one.",
            code="bundle.output",
            where=name,
        )
