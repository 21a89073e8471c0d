"""The checkpoint of a training run: its training state, and a description of the options and data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from tagger.bundle import identify
from tagger.config import Config
from tagger.errors import InputError
from tagger.features.vectors import Vectors
from tagger.storage import open_input, write_whole
from tagger.training.encoded_split import EncodedSplit
from tagger.training.preparation import Preparation
from tagger.training.progress import Progress, Snapshot
from tagger.training.schema import SavedState, SavedTraining, require_consecutive, require_equal, validate

CHECKPOINT = "checkpoint.safetensors"
FORMAT = "tagger checkpoint 3"
RESTART = "Train again with --restart."
# Options that do not change the trained weights.
_WITHOUT_EFFECT = ("checkpoint_minutes", "tensorboard")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The saved state of a run.

    Attributes:
        run: Everything that determines the run's result (see ``describe_run``).
        epochs: The lines of ``metrics.jsonl``, one for each finished epoch.
        snapshot: The training state to resume from; None before the first step.
        is_finished: True if the run is over.
    """

    run: Mapping[str, Any]
    epochs: Sequence[Mapping[str, Any]] = ()
    snapshot: Snapshot | None = None
    is_finished: bool = False


def describe_run(config: Config, preparation: Preparation, processes: int) -> dict[str, str]:
    """Describe everything that determines the result of a run, by user-facing names.

    Args:
        config: All options.
        preparation: The data; file names are ignored, only the content counts.
        processes: Number of training processes.
    """
    return describe_options(config) | data_digests(preparation) | {"the number of processes": str(processes)}


def describe_options(config: Config) -> dict[str, str]:
    """Describe all options that affect the trained weights, as JSON text by dotted name."""
    return {
        f"{section}.{key}": json.dumps(value, ensure_ascii=False)
        for section, values in config.model_dump(mode="json").items()
        for key, value in values.items()
        if key not in _WITHOUT_EFFECT
    }


def data_digests(preparation: Preparation, test: EncodedSplit | None = None) -> dict[str, str]:
    """Compute digests of the content of all splits and the vectors; file names are ignored.

    Args:
        preparation: Train split, dev split and vectors.
        test: The test split, if any.
    """
    # The keys are part of the checkpoint format.
    described = {
        "the train split": _split_digest(preparation.train),
        "the dev split": _split_digest(preparation.dev) if preparation.dev else "none",
        "the vectors": _vectors_digest(preparation.vectors) if preparation.vectors else "none",
    }
    if preparation.initial:
        described["the initial model"] = identify(
            preparation.initial.tensors, asdict(preparation.initial.vocabulary)
        )
    if preparation.encoder:
        described["the contextual encoder"] = preparation.encoder.identity
    if preparation.train.soft:
        described["the soft tags"] = _digest(
            (one.tags.tobytes() if one else b"") for soft in preparation.train.soft.values() for one in soft
        )
    return described | ({"the test split": _split_digest(test)} if test else {})


def differences(run: Mapping[str, str], earlier: Mapping[str, str]) -> list[str]:
    """List the differences between two runs as phrases: ``train.epochs is 30, was 20``."""
    return [
        f"{name} is {run.get(name, 'missing')}, was {earlier.get(name, 'missing')}"
        for name in {**run, **earlier}
        if run.get(name) != earlier.get(name)
    ]


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write the folder's checkpoint atomically; if writing fails, the earlier one stays unchanged.

    Raises:
        InputError: The checkpoint cannot be written.
    """
    snapshot = checkpoint.snapshot
    state = {
        "run": dict(checkpoint.run),
        "epochs": list(checkpoint.epochs),
        "is_finished": checkpoint.is_finished,
        "progress": snapshot.values if snapshot else None,
    }
    metadata = {"format": FORMAT, "state": json.dumps(state, ensure_ascii=False)}
    tensors = {name: tensor.contiguous() for name, tensor in (snapshot.tensors if snapshot else {}).items()}
    write_whole(folder / CHECKPOINT, save(tensors, metadata))


def load_checkpoint(
    folder: Path, *, kind: type[SavedState] = SavedTraining, remedy: str = RESTART
) -> Checkpoint | None:
    """Read and validate the folder's checkpoint.

    Args:
        folder: The folder of the run.
        kind: Pydantic model of the checkpoint's JSON values.
        remedy: End of the error message for a damaged checkpoint: what to do.

    Returns:
        The checkpoint, or None if the folder has none.

    Raises:
        InputError: The file is damaged or is not a checkpoint of this version.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    with _checkpoint_errors(path, remedy):
        open_input(
            path, is_stored=True
        ).close()  # rejects pipes and devices, which safe_open would read forever
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            require_equal("format", metadata.get("format"), FORMAT)
            state = json.loads(metadata.get("state", ""))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
        validate(kind, state)
        _require_consistent(state)
        snapshot = Snapshot(tensors, state["progress"]) if state["progress"] else None
        return Checkpoint(state["run"], state["epochs"], snapshot, state["is_finished"])


def restore_progress(progress: Progress, snapshot: Snapshot, folder: Path, *, remedy: str = RESTART) -> None:
    """Restore the training state of a checkpoint of the same data and options.

    Args:
        progress: A new training state, built for these data and options.
        snapshot: The snapshot of the folder's checkpoint.
        folder: The folder of the run.
        remedy: As in ``load_checkpoint``.

    Raises:
        InputError: The checkpoint is damaged: a tensor is missing, has a wrong shape or type, or contains NaN
            or infinity.
    """
    with _checkpoint_errors(folder / CHECKPOINT, remedy):
        progress.restore(snapshot)


@contextmanager
def _checkpoint_errors(path: Path, remedy: str) -> Iterator[None]:
    """Convert errors from reading a checkpoint to an ``InputError`` with the file and the remedy."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, RecursionError, SafetensorError) as error:
        reason = " ".join(str(error).split()).encode("unicode_escape").decode()
        raise InputError(
            f"the checkpoint is damaged ({reason}). {remedy}", code="run.damaged", where=path
        ) from None


def _require_consistent(state: Mapping[str, Any]) -> None:
    """Check that the values of a checkpoint are consistent.

    Raises:
        ValueError: Two values contradict each other.
    """
    epochs, progress = state["epochs"], state["progress"]
    require_consecutive(epochs)
    for number, epoch in enumerate(epochs):
        kinds, first = (
            {name: "f1" in task for name, task in one.get("dev", {}).items()} for one in (epoch, epochs[0])
        )
        require_equal(f"epochs.{number}.dev", kinds, first)
    if progress:
        require_equal("progress.epoch", progress["epoch"], len(epochs) + 1)
        for counter in ("sentences", "tokens"):
            require_equal(f"progress.{counter} > 0", progress[counter] > 0, progress["step"] > 0)
    elif not state["is_finished"]:
        require_equal("epochs without progress", epochs, [])


def _split_digest(split: EncodedSplit) -> str:
    """Return the number of sentences of a split, and a digest of its tokens and of the tasks' tags."""
    digest = _digest(
        json.dumps([sentence.tokens, [sentence.tags[task] for task in split.schemes]]).encode()
        for sentence in split.sentences
    )
    return f"{len(split.sentences):,} sentences ({digest})"


def _vectors_digest(vectors: Vectors) -> str:
    def content() -> Iterator[bytes]:
        for word, values in vectors.trainable.items():
            yield word.encode(errors="surrogatepass") + values.tobytes()
        yield json.dumps(vectors.frozen_words).encode()
        yield vectors.frozen.tobytes()

    words = len(vectors.trainable) + len(vectors.frozen_words)
    return f"{words:,} words ({_digest(content())})"


def _digest(pieces: Iterator[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=6)
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
