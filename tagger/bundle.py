"""The one on-disk format of a model: safetensors and JSON in a folder, nothing that can run code."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from tagger.config import Config
from tagger.errors import InputError
from tagger.features.vocab import UNKNOWN, Vocabulary
from tagger.text.tokenizer import Tokenizer

FORMAT = "tagger"
FORMAT_VERSION = 1
# In the order in which they are moved into place: config.json last.
FILES = ("model.safetensors", "vocab.json", "metrics.json", "README.md", "config.json")
# A save writes its files into the first of these sub-folders; renaming it to the second commits them.
STAGED = ".saving"
COMPLETE = ".complete"
_VOCABULARY = TypeAdapter(Vocabulary)


@dataclass(frozen=True)
class Bundle:
    """Everything that tagging needs.

    Attributes:
        config: The options of the run that made it.
        vocabulary: Ids of words, characters and tags.
        tokenizer: Settings of the tokenizer, learnt from the train part.
        tensors: The weights by the names of ``TaggingModel.state_dict``.
        metrics: What the run measured, JSON values.
        card: The model card, Markdown.
    """

    config: Config
    vocabulary: Vocabulary
    tokenizer: Mapping[str, Any]
    tensors: Mapping[str, NDArray[Any]]
    metrics: Mapping[str, Any]
    card: str


def save_bundle(bundle: Bundle, folder: Path) -> None:
    """Write a bundle; wherever it breaks off, the folder holds the whole earlier model or the whole new one.

    Raises:
        InputError: The folder cannot be written, or a folder has the name of one of the files.
    """
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in bundle.tensors.items()}
    vocabulary = bundle.vocabulary.to_json()
    identity = _identify(tensors, vocabulary)
    header = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "identity": identity,
        "tokenizer": dict(bundle.tokenizer),
        **bundle.config.model_dump(mode="json"),
    }
    contents = {
        "model.safetensors": save(tensors, metadata={"identity": identity}),
        "vocab.json": _dump({"identity": identity, **vocabulary}),
        "metrics.json": _dump(bundle.metrics),
        "README.md": bundle.card.encode(),
        "config.json": _dump(header),
    }
    staged = folder / STAGED
    try:
        for path in (folder / name for name in FILES):
            if path.is_dir():
                raise InputError(
                    f"{path} is a folder, a file of the model has that name; use another --output."
                )
        staged.mkdir(parents=True, exist_ok=True)
        _finish_save(folder)
        for name in FILES:
            _write_synced(staged / name, contents[name])
        staged.replace(folder / COMPLETE)
        _finish_save(folder)
    except OSError as error:
        raise InputError(
            f"{folder}: the model cannot be written ({error.strerror}); free space or use another --output."
        ) from None
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle; a save that was committed and then interrupted is finished first.

    Raises:
        InputError: The folder is no bundle, has a newer format, or its files do not belong together.
    """
    with suppress(OSError):  # a folder that cannot be written is read as it stands
        _finish_save(folder)
    header = _load_json(folder, "config.json")
    if header.pop("format", None) != FORMAT:
        raise InputError(
            f"{folder}: config.json is not that of a tagger model; give a folder that train wrote."
        )
    version = header.pop("format_version", None)
    if version != FORMAT_VERSION:
        raise InputError(
            f"{folder}: the model has format version {version!r}, this program reads {FORMAT_VERSION}; "
            f"install a matching version of tagger."
        )
    identity = header.pop("identity", None)
    tokenizer = header.pop("tokenizer", {})
    _check_tokenizer(folder, tokenizer)
    words = _load_json(folder, "vocab.json")
    weights = _find(folder, "model.safetensors")
    card = _find(folder, "README.md")
    try:
        with safe_open(weights, framework="np") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
            identities = {identity, words.get("identity"), (file.metadata() or {}).get("identity")}
        if len(identities) > 1:
            raise InputError(f"{folder}: the files are of different models; copy the whole folder again.")
        vocabulary = _VOCABULARY.validate_python(words)
        _check_vocabulary(folder, vocabulary)
        return Bundle(
            config=Config.model_validate(header),
            vocabulary=vocabulary,
            tokenizer=tokenizer,
            tensors=tensors,
            metrics=_load_json(folder, "metrics.json"),
            card=card.read_text(encoding="utf-8", errors="replace") if card.exists() else "",
        )
    except OSError as error:
        raise InputError(f"{weights}: cannot be read ({error}); copy the whole folder again.") from None
    except (ValidationError, KeyError, TypeError, SafetensorError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"{folder}: the model's files are damaged ({reason}); copy or train it again."
        ) from None


def holds_bundle(folder: Path) -> bool:
    """Whether the folder's files are those of a model, whole or not: an output may replace them."""
    if (folder / COMPLETE).is_dir():  # a save that was broken off after it was committed
        return True
    try:
        header = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(header, dict) and header.get("format") == FORMAT


def _finish_save(folder: Path) -> None:
    """Move the files of a committed save into place, as far as that is not done."""
    complete = folder / COMPLETE
    for name in FILES:
        with suppress(FileNotFoundError):
            (complete / name).replace(folder / name)
    with suppress(FileNotFoundError):
        complete.rmdir()


def _find(folder: Path, name: str) -> Path:
    """Where a file is: among those of a committed save that are not in place yet, or in place."""
    path = folder / COMPLETE / name
    is_pending = os.path.exists(path)  # noqa: PTH110, Path.exists raises where access is denied
    return path if is_pending else folder / name


def _check_tokenizer(folder: Path, settings: Any) -> None:
    known = Tokenizer().settings()
    try:
        if not isinstance(settings, dict):
            raise TypeError
        for name in settings:
            if type(settings[name]) is not type(known[name]):
                raise TypeError
        Tokenizer(**settings)
    except (KeyError, TypeError, InputError):
        raise InputError(
            f"{folder}: config.json's tokenizer {settings!r} is none of this program; "
            f"copy or train the model again."
        ) from None


def _check_vocabulary(folder: Path, vocabulary: Vocabulary) -> None:
    """Refuse ids that nothing stands for, and tasks that cannot be told apart."""
    names = {task.name for task in vocabulary.tasks}
    is_whole = names and len(names) == len(vocabulary.tasks) and all(task.tags for task in vocabulary.tasks)
    if not is_whole or min(len(vocabulary.words), len(vocabulary.characters)) <= UNKNOWN:
        raise InputError(
            f"{folder}: vocab.json has no tasks, repeats one, or lacks tags, words or characters; "
            f"copy or train the model again."
        )


def _identify(tensors: Mapping[str, NDArray[Any]], vocabulary: Mapping[str, Any]) -> str:
    """A digest of the content, kept in three files so that files of different models are never mixed."""
    digest = hashlib.sha256(_dump(vocabulary))
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].tobytes())
    return digest.hexdigest()


def _load_json(folder: Path, name: str) -> dict[str, Any]:
    path = _find(folder, name)
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); give the folder that `tagger train --output` wrote."
        ) from None
    except (ValueError, RecursionError):
        raise InputError(f"{path}: not valid JSON; copy or train the model again.") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected a JSON object; copy or train the model again.")
    return values


def _dump(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False, indent=1).encode()


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
