"""Smaller models: fewer frozen word vectors, and tensors in half precision or int8."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tagger.bundle import MAPPED, SCALES, Bundle, frozen_vectors

StoredPrecision = Literal["f32", "f16", "int8"]
WORD_TABLES = ("words.trainable.weight", MAPPED)
_LARGEST = np.finfo(np.float16).max
_MOST = 127  # largest int8 value; the range is symmetric


def shrink_bundle(bundle: Bundle, *, words: int | None = None, precision: StoredPrecision = "f16") -> Bundle:
    """Return a smaller copy of a model in its stored form: save and load it before tagging.

    Args:
        bundle: The model, which may already be shrunk.
        words: Number of frozen vectors to keep, by default all. The first ones in the vectors file are kept;
            in most files these are the most frequent words.
        precision: ``f32`` keeps the trained weights unchanged. ``f16`` stores them in half precision.
            ``int8`` stores word vectors as int8 with a scale per row (the largest value of a row becomes
            127), and other weights in half precision. Values beyond the range of a type are clipped.
    """
    plain = restore_bundle(bundle)
    kept = plain.vocabulary.frozen_words[:words]
    tensors = {**plain.tensors, MAPPED: plain.tensors[MAPPED][: len(kept)]}
    if precision != "f32":
        tensors = {
            name: np.clip(tensor, -_LARGEST, _LARGEST).astype(np.float16) for name, tensor in tensors.items()
        }
    if precision == "int8":
        for name in WORD_TABLES:
            source = plain.tensors[name][: len(tensors[name])]
            tensors[name], tensors[name + SCALES] = quantise_rows(source)
    return replace(
        plain,
        vocabulary=plain.vocabulary.with_frozen_words(kept),
        tensors=tensors,
        metrics=_with_note(plain.metrics, len(kept), precision),
        is_shrunk=precision != "f32",
    )


def restore_bundle(bundle: Bundle) -> Bundle:
    """Convert a loaded model to full-size types, with the same values."""
    tensors = {name: tensor for name, tensor in bundle.tensors.items() if name != MAPPED + SCALES}
    return replace(bundle, tensors={**tensors, MAPPED: frozen_vectors(bundle.tensors)}, is_shrunk=False)


def quantise_rows(values: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Quantise rows (N, D) to int8 with scales (N,); the error of a value is at most half of its scale."""
    wide = values.astype(np.float32)
    scales = np.abs(wide).max(axis=1, initial=0.0) / np.float32(_MOST)
    divisors = np.where(scales > 0, scales, np.float32(1))[:, None]
    return np.clip(np.rint(wide / divisors), -_MOST, _MOST).astype(np.int8), scales.astype(np.float32)


def _with_note(metrics: Mapping[str, Any], words: int, precision: str) -> dict[str, Any]:
    """Return a run's metrics with a note that the model was shrunk."""
    noted = {**metrics, "shrunk": {"frozen_words": words, "precision": precision}}
    data = metrics.get("data")
    if isinstance(data, dict) and isinstance(data.get("vectors"), dict):
        noted["data"] = {**data, "vectors": {**data["vectors"], "frozen": words}}
    return noted
