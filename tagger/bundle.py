"""The on-disk format of models: a folder with safetensors and JSON files, which cannot execute code."""

from __future__ import annotations

import json
import mmap
import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from tagger.bundle_files import LARGEST_FILE, damaged, parse_object, read_stored, require_stored
from tagger.config import Config, restore_config
from tagger.decoding.temperature import HIGHEST, LOWEST
from tagger.errors import InputError
from tagger.features.vocab import Vocabulary
from tagger.storage import write_synced, writing
from tagger.text.tokenizer import Tokenizer

FORMAT = "tagger"
FORMAT_VERSION = 2
SHRUNK_VERSION = 3  # version of shrunk models, see ``tagger.shrinking``
MAPPED = "words.fixed"  # the frozen word vectors: a large tensor, of which few rows are read
SCALES = ".scales"  # suffix of an int8 tensor's name for its row scales
# Limits of vocab.json per tensor row: words have 10 bytes on average, and rarely a comma.
MOST_BYTES_A_ROW = 256
MOST_COMMAS_A_ROW, MORE_COMMAS = 4, 1 << 18
# Limits of metrics.json, which can have any values, so that it can be written again and printed.
MOST_DIGITS, MOST_DEPTH = 18, 40
# In the order in which a save moves them to their final names: config.json last.
FILES = ("model.safetensors", "vocab.json", "metrics.json", "README.md", "config.json")
# A save writes its files to the first of these sub-folders; renaming it to the second commits the save.
STAGED = ".saving"
COMPLETE = ".complete"


@dataclass(frozen=True)
class Bundle:
    """A complete model.

    Attributes:
        config: The options of the training run.
        vocabulary: Ids of words, characters and tags.
        tokenizer: Settings of the tokenizer, learnt from the train split.
        tensors: The weights by the names of ``TaggingModel.state_dict``.
        metrics: The metrics of the training run, as JSON values.
        card: The model card, as Markdown.
        temperatures: For each task, the divisor of its scores that calibrates probabilities (see
            ``decoding.temperature``), by default 1.
        is_shrunk: True if tensors can be stored in half precision and word vectors as int8. Such a model has
            its own format version, so that older programs reject it. Loaded tensors are float32 all the
            same, except the frozen word vectors (see ``fixed_vectors``).
    """

    config: Config
    vocabulary: Vocabulary
    tokenizer: Mapping[str, Any]
    tensors: Mapping[str, NDArray[Any]]
    metrics: Mapping[str, Any]
    card: str
    temperatures: Mapping[str, float] = field(default_factory=dict)
    is_shrunk: bool = False

    def temperature(self, task: str) -> float:
        """Return the temperature of a task."""
        return self.temperatures.get(task, 1.0)


def save_bundle(bundle: Bundle, folder: Path) -> None:
    """Save a bundle atomically: after an interruption, the folder holds the complete old or new model.

    Raises:
        InputError: The folder cannot be written, or it has a sub-folder with the name of a file.
    """
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in bundle.tensors.items()}
    vocabulary = bundle.vocabulary.to_json()
    identity = _identify(tensors, vocabulary)
    header = {
        "format": FORMAT,
        "format_version": SHRUNK_VERSION if bundle.is_shrunk else FORMAT_VERSION,
        "identity": identity,
        "tokenizer": dict(bundle.tokenizer),
        "temperatures": dict(bundle.temperatures),
        **bundle.config.model_dump(mode="json"),
    }
    contents = {
        "model.safetensors": save(tensors, metadata={"identity": identity}),
        "vocab.json": _dump({"identity": identity, **vocabulary}),
        "metrics.json": _dump(bundle.metrics),
        "README.md": bundle.card.encode(errors="backslashreplace"),
        "config.json": _dump(header),
    }
    staged = folder / STAGED
    try:
        with writing(folder):
            for path in (folder / name for name in FILES):
                if path.is_dir():
                    raise InputError(f"{path}: must be a file (got a folder). Name another --output.")
            _require_real(folder / COMPLETE)
            _finish_save(folder)
            if staged.is_symlink():
                staged.unlink()
            shutil.rmtree(staged, ignore_errors=True)  # left by a killed save
            staged.mkdir(parents=True)
            for name in FILES:
                write_synced(staged / name, contents[name])
            staged.replace(folder / COMPLETE)
            _finish_save(folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def load_bundle(folder: Path) -> Bundle:
    """Load a bundle, after finishing a committed save that was interrupted.

    In a folder of another user, nothing is written: committed files are read from where they are. The frozen
    word vectors are memory-mapped: do not write to their file while the bundle is in use. Saving another
    model there is safe, since it replaces the files.

    Raises:
        InputError: The folder holds no bundle, has a newer format, or mixes files of different models.
    """
    _require_real(folder / COMPLETE)
    with suppress(OSError):  # a read-only folder is read without changes
        if folder.stat().st_uid == os.geteuid():
            _finish_save(folder)
    header, version = _load_header(folder)
    identity = header.pop("identity", None)
    tokenizer = header.pop("tokenizer", {})
    _check_tokenizer(folder, tokenizer)
    temperatures = header.pop("temperatures", {})  # older models lack it
    tensors, weights_identity = _load_tensors(folder)
    words = _load_vocabulary(folder, tensors)
    identities = [identity, words.pop("identity", None)]
    if identities != [weights_identity, weights_identity]:
        raise InputError(f"{folder}: the files are of different models. Copy the whole folder again.")
    if version == 1:  # a single filter width
        for kind in ("weight", "bias"):
            if (old := f"words.characters.filters.{kind}") in tensors:
                tensors[f"words.characters.filters.0.{kind}"] = tensors.pop(old)
    try:
        vocabulary = Vocabulary.from_json(words)
    except InputError as error:
        raise damaged(_find(folder, "vocab.json"), str(error)) from None
    is_shrunk = version == SHRUNK_VERSION
    config = restore_config(header, str(_find(folder, "config.json")))
    if {task.name for task in vocabulary.tasks} != set(config.data.tasks):
        raise damaged(_find(folder, "vocab.json"), "the tasks must be those of config.json")
    _check_temperatures(_find(folder, "config.json"), temperatures, config.data.tasks)
    return Bundle(
        config=config,
        vocabulary=vocabulary,
        tokenizer=tokenizer,
        tensors=_widen(tensors) if is_shrunk else tensors,
        metrics=_load_metrics(folder),
        card=_load_card(folder),
        temperatures=temperatures,
        is_shrunk=is_shrunk,
    )


def holds_bundle(folder: Path) -> bool:
    """True if the folder holds a model, complete or not, so that an output may overwrite it."""
    complete = folder / COMPLETE
    if complete.is_dir() and not complete.is_symlink():  # a committed save was interrupted
        return True
    try:
        return _load_json(folder, "config.json").get("format") == FORMAT
    except InputError:
        return False


def _load_header(folder: Path) -> tuple[dict[str, Any], int]:
    """Return the entries of config.json without its format, and the format version."""
    header = _load_json(folder, "config.json")
    if header.pop("format", None) != FORMAT:
        raise InputError(
            f"{folder}: config.json must be that of a tagger model. Pass a folder that `tagger train` wrote."
        )
    version = header.pop("format_version", None)
    if type(version) is not int or not 1 <= version <= SHRUNK_VERSION:
        raise InputError(
            f"{folder}: the format version must be at most {SHRUNK_VERSION} (got {version!r}). Install a "
            f"matching version of tagger."
        )
    if version == 1 and isinstance(header.get("model"), dict):
        header["model"].setdefault("context", "sentence")  # version 1 had no document context
    return header, version


def _finish_save(folder: Path) -> None:
    """Move the remaining files of a committed save to their final names."""
    complete = folder / COMPLETE
    for name in FILES:
        with suppress(FileNotFoundError):
            (complete / name).replace(folder / name)
    with suppress(FileNotFoundError):
        complete.rmdir()


def _require_real(complete: Path) -> None:
    """Check that the folder of a committed save is not a link or file; files would be moved from elsewhere.

    Raises:
        InputError: It is a link or file.
    """
    with suppress(OSError):  # it does not exist, or the model cannot be read
        if not stat.S_ISDIR(complete.lstat().st_mode):
            raise InputError(
                f"{complete}: must be a folder (got a link or file). Delete it, or copy the model again; "
                "do not trust the source of this model."
            )


def _find(folder: Path, name: str) -> Path:
    """Return the path of a file: in the folder of a committed save if it was not moved yet, else in place."""
    path = folder / COMPLETE / name
    # Path.exists raises if access is denied.
    is_pending = os.path.exists(path) and not path.parent.is_symlink()  # noqa: PTH110
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
            f"{folder}: config.json has invalid tokenizer settings (got {settings!r}). Copy or train the "
            f"model again."
        ) from None


def _check_temperatures(path: Path, temperatures: Any, tasks: Sequence[str]) -> None:
    if not isinstance(temperatures, dict):
        raise damaged(path, f"temperatures must be an object of numbers by task (got {temperatures!r})")
    for task, value in temperatures.items():
        if task not in tasks:
            raise damaged(path, f"temperatures.{task} must be one of the model's tasks")
        # isinstance accepts bool as int; NaN compares as false.
        if type(value) not in (int, float) or not LOWEST <= value <= HIGHEST:
            raise damaged(path, f"temperatures.{task} must be from {LOWEST} to {HIGHEST} (got {value!r})")


def _identify(tensors: Mapping[str, NDArray[Any]], vocabulary: Mapping[str, Any]) -> str:
    """Return a digest of the content, stored in three files to detect files of different models."""
    import hashlib  # imported late: only saving needs it, and it loads OpenSSL

    digest = hashlib.sha256(_dump(vocabulary))
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].tobytes())
    return digest.hexdigest()


def _load_json(folder: Path, name: str) -> dict[str, Any]:
    path = _find(folder, name)
    return parse_object(path, read_stored(path))


def _load_vocabulary(folder: Path, tensors: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Load vocab.json; a file with many more entries than tensor rows is an error before parsing.

    Parsed JSON takes twenty times the memory of its text.
    """
    path = _find(folder, "vocab.json")
    rows = sum(len(tensor) for tensor in tensors.values() if tensor.ndim and tensor.size)
    content = read_stored(path, most=LARGEST_FILE + MOST_BYTES_A_ROW * rows)
    if content.count(b",") > MORE_COMMAS + MOST_COMMAS_A_ROW * rows:
        raise damaged(path, f"the file has many more entries than the {rows:,} rows of all tensors")
    return parse_object(path, content)


def _load_metrics(folder: Path) -> dict[str, Any]:
    path = _find(folder, "metrics.json")
    metrics = parse_object(path, read_stored(path), most_digits=MOST_DIGITS)
    if not _is_shallow(metrics, MOST_DEPTH):
        raise damaged(path, f"values must be nested at most {MOST_DEPTH} deep")
    return metrics


def _is_shallow(values: Any, depth: int) -> bool:
    inner = values.values() if isinstance(values, dict) else values if isinstance(values, list) else ()
    return depth > 0 and all(_is_shallow(one, depth - 1) for one in inner)


def _load_tensors(folder: Path) -> tuple[dict[str, NDArray[Any]], str | None]:
    """Load the weights and the identity of their model."""
    path = _find(folder, "model.safetensors")
    require_stored(path)
    try:
        with safe_open(path, framework="np") as file:
            tensors = {
                name: _map(path, name, _MAPPED_TYPES[file.get_slice(name).get_dtype()])
                if name == MAPPED and file.get_slice(name).get_dtype() in _MAPPED_TYPES
                else file.get_tensor(name)
                for name in file.keys()  # noqa: SIM118, not a dict
            }
            identity = (file.metadata() or {}).get("identity")
    except OSError as error:
        raise damaged(path, f"cannot be read ({error})") from None
    # TypeError for types that numpy lacks, ValueError for names that are not UTF-8.
    except (TypeError, AttributeError, SafetensorError, ValueError) as error:
        raise damaged(path, repr(str(error))[1:-1]) from None  # repr: the message can quote any name
    if not all(map(str.isprintable, tensors)):
        raise damaged(path, "a tensor's name contains a non-printable character")
    return tensors, identity


_MAPPED_TYPES: dict[str, type[np.generic]] = {"F16": np.float16, "I8": np.int8}


def _map(path: Path, name: str, dtype: type[np.generic]) -> NDArray[Any]:
    """Memory-map a tensor of a file that safetensors has validated; all processes share the memory.

    safetensors itself copies tensors. The format is eight bytes with the header's size, a JSON header and the
    data, see https://github.com/huggingface/safetensors#format.
    """
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(size))[name]
    shape = tuple(entry["shape"])
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, "r", 8 + size + entry["data_offsets"][0], shape)


def _widen(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Convert the tensors of a shrunk model to float32, except the frozen word vectors."""
    widened = {}
    for name, tensor in tensors.items():
        scales = tensors.get(name + SCALES)
        if name == MAPPED:
            widened[name] = tensor
        elif tensor.dtype == np.int8 and scales is not None and scales.shape == tensor.shape[:1]:
            widened[name] = tensor.astype(np.float32) * scales.astype(np.float32)[:, None]
        elif tensor.dtype == np.float16:
            widened[name] = tensor.astype(np.float32)
        else:
            widened[name] = tensor
    used = [name + SCALES for name in tensors if name != MAPPED and tensors[name].dtype == np.int8]
    return {name: tensor for name, tensor in widened.items() if name not in used}


def fixed_vectors(tensors: Mapping[str, NDArray[Any]], rows: Any = slice(None)) -> NDArray[np.float16]:
    """Return frozen word vectors in half precision, also if they are stored as int8.

    A shrunk model thus gives the same results as a model that stores these values in half precision.

    Args:
        tensors: The tensors of a loaded bundle.
        rows: Index of the rows to return, by default all.
    """
    values, scales = tensors[MAPPED][rows], tensors.get(MAPPED + SCALES)
    if scales is not None:
        with np.errstate(over="ignore"):  # callers check for infinity
            values = (values * scales[rows][:, None]).astype(np.float16)
    return np.asarray(values)


def forget_pages(tensor: NDArray[Any]) -> None:
    """Release the memory pages of a memory-mapped tensor; later reads load them again.

    The system reads sixteen pages at a time, so scattered rows would soon make the whole file resident.
    """
    if isinstance(tensor.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
        tensor.base.madvise(mmap.MADV_DONTNEED)


def _load_card(folder: Path) -> str:
    path = _find(folder, "README.md")
    return read_stored(path).decode(errors="replace") if path.exists() else ""


def _dump(values: Mapping[str, Any]) -> bytes:
    text = json.dumps(values, ensure_ascii=False, indent=1, allow_nan=False)
    # The name of a corpus file can contain bytes that are not UTF-8; JSON accepts the escapes.
    return text.encode(errors="backslashreplace")
