"""Cache of contextual states on disk, shared by runs and processes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from threading import Lock

import numpy as np

from tagger.features.contextual import ContextualEncoder, States
from tagger.storage import exclusive, make_own_folder, writing

_BLOCK = 512  # sentences per append: a killed run loses at most these


class StateFile:
    """The states of sentences in growing files of one encoder, memory-mapped for reading; thread-safe.

    A sentence's states are found by a digest of its token ids: sentences that the encoder cannot distinguish
    share them, for instance the casings of a sentence if it lowercases. Writers append a block of states and
    then its index entries, so that a killed process leaves at most states without an entry. Several processes
    may write at the same time: each has its own file.

    Args:
        folder: Folder of all cached states.
        encoder: The encoder.
    """

    def __init__(self, folder: Path, encoder: ContextualEncoder) -> None:
        self._folder = folder / encoder.identity[:32]
        self._encoder = encoder
        self._shape = (encoder.n_layers, encoder.size)
        self._row_bytes = 2 * encoder.n_layers * encoder.size  # of float16
        self._places: dict[str, tuple[Path, int]] = {}  # file and first row of each sentence's states
        self._sizes: dict[Path, int] = {}  # bytes of the index files when they were read
        self._own = self._folder / f"{os.getpid()}-{os.urandom(4).hex()}"
        self._lock = Lock()

    def read(self, sentences: Sequence[Sequence[str]]) -> list[States]:
        """Return the states (T, L, D) of each sentence; missing ones are computed and added.

        Raises:
            InputError: The cache cannot be written.
        """
        keys = list(map(self._key, sentences))
        with self._lock, writing(self._folder):
            self._complete(dict(zip(keys, sentences, strict=True)))
        files: dict[Path, States] = {}
        result = []
        for key, words in zip(keys, sentences, strict=True):
            path, begin = self._places[key]
            if not words:  # an empty file cannot be mapped
                result.append(np.zeros((0, *self._shape), np.float16))
                continue
            if path not in files:
                files[path] = np.memmap(path, np.float16, "r").reshape(-1, *self._shape)
            result.append(files[path][begin : begin + len(words)])
        return result

    def _key(self, words: Sequence[str]) -> str:
        ids = json.dumps(self._encoder.tokens(words), separators=(",", ":"))
        return hashlib.sha256(ids.encode()).hexdigest()[:32]

    def _complete(self, sentences: Mapping[str, Sequence[str]]) -> None:
        """Add missing states in blocks; processes that need the same sentences take turns and share them."""
        missing = {key: words for key, words in sentences.items() if key not in self._places}
        while missing:
            make_own_folder(self._folder)
            with exclusive(self._folder / "lock"):
                self._read_entries()
                missing = {key: words for key, words in missing.items() if key not in self._places}
                if missing:
                    self._add(dict(islice(missing.items(), _BLOCK)))

    def _read_entries(self) -> None:
        """Read the entries of all index files that are new or have grown."""
        for index in sorted(self._folder.glob("*.index")):
            size, data = index.stat().st_size, index.with_suffix(".states")
            if self._sizes.get(index) == size or not data.exists():
                continue
            self._sizes[index] = size
            rows = data.stat().st_size // self._row_bytes
            for line in index.read_text(encoding="ascii").splitlines():
                key, _, place = line.partition(" ")
                begin, _, count = place.partition(" ")
                if count.isdecimal() and int(begin) + int(count) <= rows:  # the last line may be incomplete
                    self._places.setdefault(key, (data, int(begin)))

    def _add(self, sentences: Mapping[str, Sequence[str]]) -> None:
        """Compute states and append them to the file of this object."""
        states_path, index_path = self._own.with_suffix(".states"), self._own.with_suffix(".index")
        with open(states_path, "ab") as data, open(index_path, "a", encoding="ascii") as index:  # noqa: PTH123
            row = data.tell() // self._row_bytes
            data.truncate(row * self._row_bytes)  # after a failed write
            entries = []
            for key, states in zip(sentences, self._encoder.encode(list(sentences.values())), strict=True):
                data.write(states.tobytes())
                entries.append(f"{key} {row} {len(states)}\n")
                row += len(states)
            data.flush()
            os.fsync(data.fileno())
            index.writelines(entries)
