"""The file from which a run that was broken off goes on: how far it is, and of which run it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from tagger.config import Config
from tagger.errors import InputError
from tagger.features.vectors import Vectors
from tagger.storage import open_input, write_whole
from tagger.training.preparation import Part, Preparation
from tagger.training.progress import Progress, Snapshot
from tagger.training.schema import SavedState, SavedTraining, require_consecutive, require_equal, validate

CHECKPOINT = "checkpoint.safetensors"
FORMAT = "tagger checkpoint 2"
RESTART = "Train again with --restart."
# Options that say how a run is watched, not what comes out of it.
_WITHOUT_EFFECT = ("checkpoint_minutes", "tensorboard")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A run at one moment.

    Attributes:
        run: What decides the run's outcome (see ``describe_run``).
        epochs: A line of ``metrics.jsonl`` for each epoch that is done.
        snapshot: Where to go on; None at the beginning, when there is nothing to keep.
        is_finished: Whether the run is over.
    """

    run: Mapping[str, Any]
    epochs: Sequence[Mapping[str, Any]] = ()
    snapshot: Snapshot | None = None
    is_finished: bool = False


def describe_run(config: Config, preparation: Preparation, processes: int) -> dict[str, str]:
    """All that decides what comes out of a run, by names that a user knows.

    Args:
        config: All options.
        preparation: The data; their content counts, not the files' names.
        processes: How many train together.
    """
    return describe_options(config) | describe_data(preparation) | {"the number of processes": str(processes)}


def describe_options(config: Config) -> dict[str, str]:
    """All options that have an effect on what comes out of a run."""
    return {
        f"{section}.{key}": json.dumps(value, ensure_ascii=False)
        for section, values in config.model_dump(mode="json").items()
        for key, value in values.items()
        if key not in _WITHOUT_EFFECT
    }


def describe_data(preparation: Preparation, test: Part | None = None) -> dict[str, str]:
    """Digests of the content of all parts and of the vectors; the files' names do not count.

    Args:
        preparation: Train, dev and vectors.
        test: One more part, if there is one.
    """
    described = {
        "the train part": _part_digest(preparation.train),
        "the dev part": _part_digest(preparation.dev) if preparation.dev else "none",
        "the vectors": _vectors_digest(preparation.vectors) if preparation.vectors else "none",
    }
    return described | ({"the test part": _part_digest(test)} if test else {})


def differences(run: Mapping[str, str], earlier: Mapping[str, str]) -> list[str]:
    """What two runs do not have in common, a phrase each: ``train.epochs is 30, was 20``."""
    return [
        f"{name} is {run.get(name, 'not there')}, was {earlier.get(name, 'not there')}"
        for name in {**run, **earlier}
        if run.get(name) != earlier.get(name)
    ]


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write the folder's checkpoint; wherever that breaks off, the earlier one stays as it is.

    Raises:
        InputError: It cannot be written.
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
    """Read and validate the folder's checkpoint, if there is one.

    Args:
        folder: Where it is.
        kind: Model of its JSON values.
        remedy: What a user can do about a damaged one: the end of the error message.

    Raises:
        InputError: The file is damaged or not of this program.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    with _naming(path, remedy):
        open_input(path, is_stored=True).close()  # a pipe or device has no end
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
    """Resume from a checkpoint of the same data and options.

    Args:
        progress: A new one of these data and options.
        snapshot: That of the folder's checkpoint.
        folder: Where the checkpoint is.
        remedy: As in ``load_checkpoint``.

    Raises:
        InputError: The checkpoint is damaged: a tensor is missing, has another shape or type, or holds NaN.
    """
    with _naming(folder / CHECKPOINT, remedy):
        progress.restore(snapshot)


@contextmanager
def _naming(path: Path, remedy: str) -> Iterator[None]:
    """Name the file and the remedy where reading a checkpoint fails."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, RecursionError, SafetensorError) as error:
        reason = " ".join(str(error).split()).encode("unicode_escape").decode()
        raise InputError(f"{path}: the checkpoint is damaged ({reason}). {remedy}") from None


def _require_consistent(state: Mapping[str, Any]) -> None:
    """Check values against each other.

    Raises:
        ValueError: Two of them contradict each other.
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


def _part_digest(part: Part) -> str:
    """Sentences and digest of a part's words and of the tags that are learnt or scored."""
    digest = _digest(
        json.dumps([sentence.tokens, [sentence.tags[task] for task in part.schemes]]).encode()
        for sentence in part.sentences
    )
    return f"{len(part.sentences):,} sentences ({digest})"


def _vectors_digest(vectors: Vectors) -> str:
    def content() -> Iterator[bytes]:
        for word, values in vectors.trained.items():
            yield word.encode(errors="surrogatepass") + values.tobytes()
        yield json.dumps(vectors.fixed_words).encode()
        yield vectors.fixed.tobytes()

    words = len(vectors.trained) + len(vectors.fixed_words)
    return f"{words:,} words ({_digest(content())})"


def _digest(pieces: Iterator[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=6)
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
