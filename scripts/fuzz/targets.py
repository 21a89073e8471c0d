"""Fuzz targets by name: a target takes bytes and its own folder, and raises if a property is violated.

To add a target, write the function, add an entry here, and put small inputs into ``seeds/NAME/``. A file
format of running text needs no function of its own, see ``records.running_text``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import models
import readers
import records
import sequences
import texts

TARGETS: dict[str, Callable[[bytes, Path], None]] = {
    "conll": readers.conll,
    "conllu": readers.conllu,
    "loading": readers.loading,
    "jsonl": records.jsonl,
    "csv": records.csv,
    "labelstudio": partial(records.running_text, "labelstudio"),
    "brat": records.brat,
    "project": readers.project,
    "vectors": readers.vectors,
    "tokenizer": texts.tokenizer,
    "long_text": texts.long_text,
    "stream": texts.stream,
    "config": models.config,
    "bundle": models.bundle,
    "schemes": sequences.schemes,
    "decoding": sequences.decoding,
}
