"""Cache of contextual states on disk, shared by runs and processes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import numpy as np

from tagger.features.contextual import ContextualEncoder, States
from tagger.storage import make_own_folder, writing

_BLOCK = 512  # sentences per append: a killed run loses at most these


class StateFile:
    """The states of sentences in growing files of one encoder, memory-mapped for reading; thread-safe.

    A sentence's states are found by a digest of its words. Writers append a block of states and then its
    index entries, so that a killed process leaves at most states without an entry. Several processes may
    write at the same time: each has its own file.

    Args:
        folder: Folder of all cached states.
        encoder: The encoder.
    """

    def __init__(self, folder: Path, encoder: ContextualEncoder) -> None:
        self._folder = folder / encoder.identity[:32]
        self._encoder = encoder
        self._shape = (encoder.n_layers, encoder.size)
        self._row_bytes = 2 * encoder.n_layers * encoder.size  # of float16
        self._places: dict[str, tuple[Path, int]] = {}
        self._own = self._folder / f"{os.getpid()}-{os.urandom(4).hex()}"
        self._lock = Lock()

    def read(self, sentences: Sequence[Sequence[str]]) -> list[States]:
        """Return the states (T, L, D) of each sentence; missing ones are computed and added.

        Raises:
            InputError: The cache cannot be written.
        """
        keys = [_key(words) for words in sentences]
        with self._lock:
            if any(key not in self._places for key in keys):
                self._places = self._index()
            missing = list({key: index for index, key in enumerate(keys) if key not in self._places}.values())
            if missing:
                self._add([keys[index] for index in missing], [sentences[index] for index in missing])
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

    def _index(self) -> dict[str, tuple[Path, int]]:
        """Return the file and the first row of each sentence's states."""
        places: dict[str, tuple[Path, int]] = {}
        for index in sorted(self._folder.glob("*.index")) if self._folder.is_dir() else ():
            data = index.with_suffix(".states")
            rows = data.stat().st_size // self._row_bytes if data.exists() else 0
            for line in index.read_text(encoding="ascii").splitlines():
                key, _, place = line.partition(" ")
                begin, _, count = place.partition(" ")
                if count.isdecimal() and int(begin) + int(count) <= rows:  # the last line may be incomplete
                    places.setdefault(key, (data, int(begin)))
        return places

    def _add(self, keys: Sequence[str], sentences: Sequence[Sequence[str]]) -> None:
        """Compute states and append them to the file of this object."""
        states_path, index_path = self._own.with_suffix(".states"), self._own.with_suffix(".index")
        with writing(self._folder):
            make_own_folder(self._folder)
            with open(states_path, "ab") as data, open(index_path, "a", encoding="ascii") as index:  # noqa: PTH123
                row = data.tell() // self._row_bytes
                data.truncate(row * self._row_bytes)  # after a failed write
                for first in range(0, len(keys), _BLOCK):
                    block = slice(first, first + _BLOCK)
                    entries = {}
                    for key, states in zip(keys[block], self._encoder.encode(sentences[block]), strict=True):
                        data.write(states.tobytes())
                        entries[key] = f"{row} {len(states)}"
                        self._places[key] = states_path, row
                        row += len(states)
                    data.flush()
                    os.fsync(data.fileno())
                    index.writelines(f"{key} {place}\n" for key, place in entries.items())
                    index.flush()


def _key(words: Sequence[str]) -> str:
    text = "\n".join(word.replace("\\", "\\\\").replace("\n", "\\n") for word in words)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]
