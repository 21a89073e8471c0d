"""The contextual encoder of a run, and the cache of its states."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tagger.bundle_schema import EncoderInfo
from tagger.config import Config
from tagger.features.contextual import ContextualEncoder
from tagger.features.contextual_cache import StateFile


class StateCache:
    """Reads the states of sentences from the cache, and computes missing ones.

    Args:
        folder: The encoder's folder.
        identity: Its expected digest, see ``ContextualEncoder``.

    Attributes:
        info: The encoder.
    """

    def __init__(self, folder: Path, identity: str | None = None) -> None:
        encoder = ContextualEncoder(folder, threads=os.cpu_count() or 1, identity=identity)
        self.info = EncoderInfo(identity=encoder.identity, n_layers=encoder.n_layers, size=encoder.size)
        self._file = StateFile(cache_folder(), encoder)

    def read(self, sentences: Sequence[Sequence[str]]) -> list[NDArray[np.float16]]:
        """Return the states (T, L, D) of each sentence, memory-mapped."""
        return self._file.read(sentences)


def find_cache(config: Config, trained: EncoderInfo | None = None) -> StateCache | None:
    """Return the states of the config's encoder; None without one.

    Args:
        config: All options.
        trained: The encoder of a trained model, which it must be; None for a new model.

    Raises:
        InputError: The encoder cannot be used, or it is another one.
    """
    if config.model.encoder is None:
        return None
    return StateCache(Path(config.model.encoder), trained.identity if trained else None)


def states_of(info: EncoderInfo | None) -> tuple[int, int] | None:
    """Return number and size of an encoder's states per token."""
    return (info.n_layers, info.size) if info else None


def cache_folder() -> Path:
    """Return the folder of cached states: ``TAGGER_CACHE``, by default ``~/.cache/tagger``."""
    return Path(os.environ.get("TAGGER_CACHE") or Path.home() / ".cache" / "tagger")
