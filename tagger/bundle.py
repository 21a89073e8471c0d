"""The one on-disk format of a model: safetensors and JSON in a folder, nothing that can run code."""

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
SHRUNK_VERSION = 3  # of a model that takes less room, see ``tagger.shrinking``
MAPPED = "words.fixed"  # the one tensor that is large, and of which hardly any row is ever read
SCALES = ".scales"  # behind the name of a tensor of 8 bits: what each of its rows is to be multiplied with
# Bounds of vocab.json for each row of a tensor: words have 10 bytes on average, and hardly a comma.
MOST_BYTES_A_ROW = 256
MOST_COMMAS_A_ROW, MORE_COMMAS = 4, 1 << 18
# Of metrics.json, whose values are free: what can be written again, and printed with decimals.
MOST_DIGITS, MOST_DEPTH = 18, 40
# In the order in which they are moved into place: config.json last.
FILES = ("model.safetensors", "vocab.json", "metrics.json", "README.md", "config.json")
# A save writes its files into the first of these sub-folders; renaming it to the second commits them.
STAGED = ".saving"
COMPLETE = ".complete"


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
        temperatures: For each task what its scores are divided by before they become probabilities, so that
            these mean what they say (see ``decoding.temperature``); 1 for a task that is not named.
        is_shrunk: Whether tensors may be stored in half precision and word vectors in 8 bits: such a model is
            of another version, which programs that know nothing of it refuse. What is loaded is float32 all
            the same, but for the fixed word vectors (see ``fixed_vectors``).
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
        """The temperature of a task."""
        return self.temperatures.get(task, 1.0)


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
                    raise InputError(
                        f"{path} is a folder, a file of the model has that name; use another --output."
                    )
            _require_real(folder / COMPLETE)
            _finish_save(folder)
            if staged.is_symlink():
                staged.unlink()
            shutil.rmtree(staged, ignore_errors=True)  # what a killed save left
            staged.mkdir(parents=True)
            for name in FILES:
                write_synced(staged / name, contents[name])
            staged.replace(folder / COMPLETE)
            _finish_save(folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle; a save that was committed and then interrupted is finished first.

    Nothing is written into a folder that another user owns: the committed files are read where they are.
    The fixed word vectors stay in their file: do not write into it while the bundle is in use. Saving another
    model there is safe, as it puts new files in the place of the old ones.

    Raises:
        InputError: The folder is no bundle, has a newer format, or its files do not belong together.
    """
    _require_real(folder / COMPLETE)
    with suppress(OSError):  # a folder that cannot be written is read as it stands
        if folder.stat().st_uid == os.geteuid():
            _finish_save(folder)
    header, version = _load_header(folder)
    identity = header.pop("identity", None)
    tokenizer = header.pop("tokenizer", {})
    _check_tokenizer(folder, tokenizer)
    temperatures = header.pop("temperatures", {})  # which older models lack
    tensors, weights_identity = _load_tensors(folder)
    words = _load_vocabulary(folder, tensors)
    identities = [identity, words.pop("identity", None)]
    if identities != [weights_identity, weights_identity]:
        raise InputError(f"{folder}: the files are of different models; copy the whole folder again.")
    if version == 1:  # filters of one width
        for part in ("weight", "bias"):
            if (old := f"words.characters.filters.{part}") in tensors:
                tensors[f"words.characters.filters.0.{part}"] = tensors.pop(old)
    try:
        vocabulary = Vocabulary.from_json(words)
    except InputError as error:
        raise damaged(_find(folder, "vocab.json"), str(error)) from None
    is_shrunk = version == SHRUNK_VERSION
    config = restore_config(header, str(_find(folder, "config.json")))
    if {task.name for task in vocabulary.tasks} != set(config.data.tasks):
        raise damaged(_find(folder, "vocab.json"), "its tasks are not those of config.json")
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
    """Whether the folder's files are those of a model, whole or not: an output may replace them."""
    if (folder / COMPLETE).is_dir() and not (
        folder / COMPLETE
    ).is_symlink():  # a save that was broken off after it was committed
        return True
    try:
        return _load_json(folder, "config.json").get("format") == FORMAT
    except InputError:
        return False


def _load_header(folder: Path) -> tuple[dict[str, Any], int]:
    """What config.json holds in addition to its format, and the version of that."""
    header = _load_json(folder, "config.json")
    if header.pop("format", None) != FORMAT:
        raise InputError(
            f"{folder}: config.json is not that of a tagger model; give a folder that train wrote."
        )
    version = header.pop("format_version", None)
    if type(version) is not int or not 1 <= version <= SHRUNK_VERSION:
        raise InputError(
            f"{folder}: the model has format version {version!r}, this program reads up to {SHRUNK_VERSION}; "
            f"install a matching version of tagger."
        )
    if version == 1 and isinstance(header.get("model"), dict):
        header["model"].setdefault("context", "sentence")  # there was nothing else
    return header, version


def _finish_save(folder: Path) -> None:
    """Move the files of a committed save into place, as far as that is not done."""
    complete = folder / COMPLETE
    for name in FILES:
        with suppress(FileNotFoundError):
            (complete / name).replace(folder / name)
    with suppress(FileNotFoundError):
        complete.rmdir()


def _require_real(complete: Path) -> None:
    """Refuse a link or file in place of the folder of a committed save: files would be moved from elsewhere.

    Raises:
        InputError: It is one of these.
    """
    with suppress(OSError):  # there is none, or its model cannot be read
        if not stat.S_ISDIR(complete.lstat().st_mode):
            raise InputError(
                f"{complete}: must be a folder (got a link or file). Delete it, or copy the model again; "
                "do not trust where it came from."
            )


def _find(folder: Path, name: str) -> Path:
    """Where a file is: among those of a committed save that are not in place yet, or in place."""
    path = folder / COMPLETE / name
    # Path.exists raises where access is denied.
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
            f"{folder}: config.json's tokenizer {settings!r} is none of this program; "
            f"copy or train the model again."
        ) from None


def _check_temperatures(path: Path, temperatures: Any, tasks: Sequence[str]) -> None:
    if not isinstance(temperatures, dict):
        raise damaged(path, f"temperatures = {temperatures!r} are no numbers by tasks")
    for task, value in temperatures.items():
        if task not in tasks:
            raise damaged(path, f"temperatures.{task} is of none of the model's tasks")
        # A bool is an int to isinstance; NaN compares as false.
        if type(value) not in (int, float) or not LOWEST <= value <= HIGHEST:
            raise damaged(path, f"temperatures.{task} = {value!r} is no number from {LOWEST} to {HIGHEST}")


def _identify(tensors: Mapping[str, NDArray[Any]], vocabulary: Mapping[str, Any]) -> str:
    """A digest of the content, kept in three files so that files of different models are never mixed."""
    import hashlib  # here, since only saving needs it and it loads OpenSSL

    digest = hashlib.sha256(_dump(vocabulary))
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].tobytes())
    return digest.hexdigest()


def _load_json(folder: Path, name: str) -> dict[str, Any]:
    path = _find(folder, name)
    return parse_object(path, read_stored(path))


def _load_vocabulary(folder: Path, tensors: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """The values of vocab.json; a file of many more entries than the tensors have rows is refused unparsed.

    Python's objects take twenty times the memory of their JSON.
    """
    path = _find(folder, "vocab.json")
    rows = sum(len(tensor) for tensor in tensors.values() if tensor.ndim and tensor.size)
    content = read_stored(path, most=LARGEST_FILE + MOST_BYTES_A_ROW * rows)
    if content.count(b",") > MORE_COMMAS + MOST_COMMAS_A_ROW * rows:
        raise damaged(path, f"it has many more entries than the {rows:,} rows of all tensors")
    return parse_object(path, content)


def _load_metrics(folder: Path) -> dict[str, Any]:
    path = _find(folder, "metrics.json")
    metrics = parse_object(path, read_stored(path), most_digits=MOST_DIGITS)
    if not _is_shallow(metrics, MOST_DEPTH):
        raise damaged(path, f"values are nested more than {MOST_DEPTH} deep")
    return metrics


def _is_shallow(values: Any, depth: int) -> bool:
    inner = values.values() if isinstance(values, dict) else values if isinstance(values, list) else ()
    return depth > 0 and all(_is_shallow(one, depth - 1) for one in inner)


def _load_tensors(folder: Path) -> tuple[dict[str, NDArray[Any]], str | None]:
    """The weights, and the identity of the model that they are of."""
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
    # The first for types that numpy lacks, the last for names that are no UTF-8.
    except (TypeError, AttributeError, SafetensorError, ValueError) as error:
        raise damaged(path, repr(str(error))[1:-1]) from None  # it may quote any name; a line it must be
    if not all(map(str.isprintable, tensors)):
        raise damaged(path, "a tensor's name holds what cannot be printed")
    return tensors, identity


_MAPPED_TYPES: dict[str, type[np.generic]] = {"F16": np.float16, "I8": np.int8}


def _map(path: Path, name: str, dtype: type[np.generic]) -> NDArray[Any]:
    """A tensor of a file that safetensors has found sound, left in the file and shared by all processes.

    safetensors itself copies what it reads. The format is eight bytes of the header's size, a header of JSON,
    and the data, see https://github.com/huggingface/safetensors#format.
    """
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(size))[name]
    shape = tuple(entry["shape"])
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, "r", 8 + size + entry["data_offsets"][0], shape)


def _widen(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The tensors of a shrunk model as the network computes with them; the fixed word vectors as they are."""
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
    """Some rows of the fixed word vectors, in half precision also where they are stored in 8 bits.

    So a shrunk model gives the same results as one that stores these values in half precision.

    Args:
        tensors: Those of a loaded bundle.
        rows: Which rows.
    """
    values, scales = tensors[MAPPED][rows], tensors.get(MAPPED + SCALES)
    if scales is not None:
        with np.errstate(over="ignore"):  # whoever reads them looks for infinity
            values = (values * scales[rows][:, None]).astype(np.float16)
    return np.asarray(values)


def forget_pages(tensor: NDArray[Any]) -> None:
    """Give back the memory of what was read of a tensor that is left in its file; it can be read again.

    Pages come in sixteens, so that some scattered rows would soon make the whole file resident.
    """
    if isinstance(tensor.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
        tensor.base.madvise(mmap.MADV_DONTNEED)


def _load_card(folder: Path) -> str:
    path = _find(folder, "README.md")
    return read_stored(path).decode(errors="replace") if path.exists() else ""


def _dump(values: Mapping[str, Any]) -> bytes:
    text = json.dumps(values, ensure_ascii=False, indent=1, allow_nan=False)
    # The name of a corpus file may hold what is no UTF-8; JSON reads the escape.
    return text.encode(errors="backslashreplace")
