"""The on-disk format of models: a folder with safetensors and JSON files, which cannot execute code."""

from __future__ import annotations

import json
import mmap
import os
import shutil
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from tagger.bundle_files import (
    MAX_KEYS,
    damaged,
    parse_metrics,
    parse_object,
    parse_vocabulary,
    read_stored,
    require_stored,
)
from tagger.bundle_schema import (
    CONFIG,
    EARLIER_FROZEN,
    FORMAT,
    FORMAT_VERSION,
    FROZEN,
    METRICS,
    TENSORS,
    VOCABULARY,
    EncoderInfo,
    Header,
    migrate,
)
from tagger.config import Config
from tagger.errors import InputError
from tagger.features.contextual import ENCODER, keep_encoder
from tagger.features.vocab import Vocabulary, restore_vocabulary
from tagger.storage import write_synced, writing
from tagger.validation import first_problem

T = TypeVar("T")
MAPPED = FROZEN  # the memory-mapped tensor: the frozen word vectors, of which few rows are read
SCALES = ".scales"  # suffix of an int8 tensor's name for its row scales
# A save moves the files to their final names in this order, config.json last.
FILES = (TENSORS, VOCABULARY, METRICS, "README.md", CONFIG)
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
        is_shrunk: True if tensors may be stored in half precision, and word vectors as int8. After loading,
            all tensors are float32 except the frozen word vectors (see ``frozen_vectors``).
        encoder: The contextual encoder; None without.
    """

    config: Config
    vocabulary: Vocabulary
    tokenizer: Mapping[str, Any]
    tensors: Mapping[str, NDArray[Any]]
    metrics: Mapping[str, Any]
    card: str
    temperatures: Mapping[str, float] = field(default_factory=dict)
    is_shrunk: bool = False
    encoder: EncoderInfo | None = None

    def temperature(self, task: str) -> float:
        """Return the temperature of a task."""
        return self.temperatures.get(task, 1.0)


def save_bundle(bundle: Bundle, folder: Path) -> None:
    """Save a bundle atomically: after an interruption, the folder holds the complete old or new model.

    A contextual encoder is linked in the folder's ``encoder``, or copied from another file system.

    Raises:
        InputError: The folder cannot be written, it has a sub-folder with the name of a file, or the encoder
            is missing or another one.
    """
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in bundle.tensors.items()}
    vocabulary = asdict(bundle.vocabulary)
    identity = identify(tensors, vocabulary)
    header = Header(
        **dict(bundle.config),
        identity=identity,
        tokenizer=dict(bundle.tokenizer),
        temperatures=dict(bundle.temperatures),
        is_shrunk=bundle.is_shrunk,
        encoder=bundle.encoder,
    )
    contents = {
        TENSORS: save(tensors, metadata={"identity": identity}),
        VOCABULARY: _dump({"identity": identity, **vocabulary}),
        METRICS: _dump(bundle.metrics),
        "README.md": bundle.card.encode(errors="backslashreplace"),
        CONFIG: _dump(header.model_dump(mode="json")),
    }
    staged = folder / STAGED
    try:
        with writing(folder):
            for path in (folder / name for name in FILES):
                if path.is_dir():
                    raise InputError(
                        "must be a file (got a folder). Name another --output.",
                        code="bundle.output",
                        where=path,
                        option="--output",
                    )
            _require_real(folder / COMPLETE)
            _finish_save(folder)
            if bundle.encoder and bundle.config.model.encoder:
                folder.mkdir(parents=True, exist_ok=True)
                keep_encoder(Path(bundle.config.model.encoder), folder / ENCODER, bundle.encoder.identity)
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

    The function does not write to another user's folder; it then reads the committed files in place. The
    frozen word vectors are memory-mapped: do not write to their file while the bundle is in use. Saving
    another model to the folder is safe, since it replaces the files.

    Raises:
        InputError: The folder holds no bundle, has a newer format, or mixes files of different models.
    """
    _require_real(folder / COMPLETE)
    with suppress(OSError):  # a read-only folder is read without changes
        if not hasattr(os, "geteuid") or folder.stat().st_uid == os.geteuid():  # Windows has no user ids
            _finish_save(folder)
    values = {CONFIG: _load_json(folder, CONFIG)}
    version = _read_version(folder, values[CONFIG])
    values[TENSORS], identity = _load_tensors(folder)
    values[VOCABULARY] = parse_vocabulary(_find(folder, VOCABULARY), values[TENSORS])
    values[METRICS] = parse_metrics(_find(folder, METRICS))
    identities = [values[CONFIG].get("identity"), values[VOCABULARY].pop("identity", None)]
    if identities != [identity, identity]:
        raise InputError(
            "the files are of different models. Copy the whole folder again.",
            code="bundle.damaged",
            where=folder,
        )
    migrate(values, version)
    header = _validate(Header.from_json, values[CONFIG], _find(folder, CONFIG), depth=2)
    vocabulary = _validate(restore_vocabulary, values[VOCABULARY], _find(folder, VOCABULARY))
    if {task.name for task in vocabulary.tasks} != set(header.data.tasks):
        raise damaged(_find(folder, VOCABULARY), "the tasks must be those of config.json")
    tensors = values[TENSORS]
    model = header.model
    if model.encoder and (folder / ENCODER).is_dir():
        model = model.model_copy(update={"encoder": str(folder / ENCODER)})
    return Bundle(
        config=Config(data=header.data, model=model, train=header.train),
        vocabulary=vocabulary,
        tokenizer=header.tokenizer,
        tensors=_widen(tensors) if header.is_shrunk else tensors,
        metrics=values[METRICS],
        card=_load_card(folder),
        temperatures=header.temperatures,
        is_shrunk=header.is_shrunk,
        encoder=header.encoder,
    )


def read_header(folder: Path) -> bytes:
    """Return a saved model's config.json: all options, and a digest of weights and vocabulary.

    Raises:
        InputError: It cannot be read.
    """
    return read_stored(_find(folder, CONFIG))


def _validate(
    validate: Callable[[dict[str, Any]], T], values: dict[str, Any], path: Path, *, depth: int | None = None
) -> T:
    """Call a validator of pydantic; raise ``InputError`` for the first problem."""
    try:
        return validate(values)
    except ValidationError as error:
        raise damaged(path, first_problem(error, depth=depth)[1]) from None


def holds_bundle(folder: Path) -> bool:
    """True if the folder holds a model, complete or not, so that an output may overwrite it."""
    complete = folder / COMPLETE
    if complete.is_dir() and not complete.is_symlink():  # a committed save was interrupted
        return True
    try:
        return _load_json(folder, CONFIG).get("format") == FORMAT
    except InputError:
        return False


def _read_version(folder: Path, header: Mapping[str, Any]) -> int:
    """Return the format version of a header."""
    if header.get("format") != FORMAT:
        raise InputError(
            "config.json must be that of a tagger model. Pass a folder that `tagger train` wrote.",
            code="bundle.missing",
            where=folder,
        )
    version = header.get("format_version")
    if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
        raise InputError(
            f"the format version must be at most {FORMAT_VERSION} (got {version!r}). Install a matching "
            "version of tagger.",
            code="bundle.version",
            where=folder,
        )
    return version


def _finish_save(folder: Path) -> None:
    """Move the remaining files of a committed save to their final names."""
    complete = folder / COMPLETE
    for name in FILES:
        with suppress(FileNotFoundError):
            (complete / name).replace(folder / name)
    with suppress(FileNotFoundError):
        complete.rmdir()


def _require_real(complete: Path) -> None:
    """Check that the folder of a committed save is a real folder: a link would move files from elsewhere.

    Raises:
        InputError: It is a link or file.
    """
    with suppress(OSError):  # it does not exist, or the model cannot be read
        if not stat.S_ISDIR(complete.lstat().st_mode):
            raise InputError(
                "must be a folder (got a link or file). Delete it, or copy the model again; do not trust the "
                "source of this model.",
                code="bundle.damaged",
                where=complete,
            )


def _find(folder: Path, name: str) -> Path:
    """Return the path of a file: in the folder of a committed save until it is moved, else in place."""
    path = folder / COMPLETE / name
    # Path.exists raises if access is denied.
    is_pending = os.path.exists(path) and not path.parent.is_symlink()  # noqa: PTH110
    return path if is_pending else folder / name


def identify(tensors: Mapping[str, NDArray[Any]], vocabulary: Mapping[str, Any]) -> str:
    """Return a digest of the content. Three files store it, to detect files of different models."""
    import hashlib  # imported late: only saving needs it, and it loads OpenSSL

    digest = hashlib.sha256(_dump(vocabulary))
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].tobytes())
    return digest.hexdigest()


def _load_json(folder: Path, name: str) -> dict[str, Any]:
    path = _find(folder, name)
    return parse_object(path, read_stored(path), max_keys=MAX_KEYS)


def _load_tensors(folder: Path) -> tuple[dict[str, NDArray[Any]], str | None]:
    """Load the weights and the identity of their model."""
    path = _find(folder, TENSORS)
    require_stored(path)
    try:
        with safe_open(path, framework="np") as file:
            tensors = {
                name: _map(path, name, _MAPPED_TYPES[file.get_slice(name).get_dtype()])
                if name in (MAPPED, EARLIER_FROZEN) and file.get_slice(name).get_dtype() in _MAPPED_TYPES
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


def frozen_vectors(tensors: Mapping[str, NDArray[Any]], rows: Any = slice(None)) -> NDArray[np.float16]:
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
