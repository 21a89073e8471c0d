"""Models that take less room: fewer fixed word vectors, tensors in half precision or 8 bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tagger.bundle import MAPPED, SCALES, Bundle, fixed_vectors

StoredPrecision = Literal["f32", "f16", "int8"]
WORD_TABLES = ("words.trained.weight", MAPPED)
_LARGEST = np.finfo(np.float16).max
_MOST = 127  # of 8 bits; the same above and below 0


def shrink_bundle(bundle: Bundle, *, words: int | None = None, precision: StoredPrecision = "f16") -> Bundle:
    """A smaller copy of a model, as it is to be saved; it tags once it was saved and loaded.

    Args:
        bundle: The model; one that was shrunk before is shrunk further.
        words: How many of the words stay that only the vectors file knows, the first of it, which are the
            most frequent ones in the usual files; all when not said.
        precision: ``f32`` leaves the trained weights as they are; ``f16`` stores them in half precision;
            ``int8`` stores word vectors in 8 bits and a scale a row (the largest value of a row becomes 127),
            and the other weights in half precision. Values beyond the range of a type are clipped.
    """
    plain = restore_bundle(bundle)
    kept = plain.vocabulary.fixed_words[:words]
    tensors = {**plain.tensors, MAPPED: plain.tensors[MAPPED][: len(kept)]}
    if precision != "f32":
        tensors = {
            name: np.clip(one, -_LARGEST, _LARGEST).astype(np.float16) for name, one in tensors.items()
        }
    if precision == "int8":
        for name in WORD_TABLES:
            source = plain.tensors[name][: len(tensors[name])]
            tensors[name], tensors[name + SCALES] = quantise_rows(source)
    return replace(
        plain,
        vocabulary=plain.vocabulary.with_fixed_words(kept),
        tensors=tensors,
        metrics=_with_note(plain.metrics, len(kept), precision),
        is_shrunk=precision != "f32",
    )


def restore_bundle(bundle: Bundle) -> Bundle:
    """A model that was loaded, as one that was never shrunk: of the same values, in types of full size."""
    tensors = {name: one for name, one in bundle.tensors.items() if name != MAPPED + SCALES}
    return replace(bundle, tensors={**tensors, MAPPED: fixed_vectors(bundle.tensors)}, is_shrunk=False)


def quantise_rows(values: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Rows (N, D) in 8 bits and the (N,) scales that give them back, each value within half of its scale."""
    wide = values.astype(np.float32)
    scales = np.abs(wide).max(axis=1, initial=0.0) / np.float32(_MOST)
    divisors = np.where(scales > 0, scales, np.float32(1))[:, None]
    return np.clip(np.rint(wide / divisors), -_MOST, _MOST).astype(np.int8), scales.astype(np.float32)


def _with_note(metrics: Mapping[str, Any], words: int, precision: str) -> dict[str, Any]:
    """What a run measured, and that the model was shrunk since."""
    noted = {**metrics, "shrunk": {"fixed_words": words, "precision": precision}}
    data = metrics.get("data")
    if isinstance(data, dict) and isinstance(data.get("vectors"), dict):
        noted["data"] = {**data, "vectors": {**data["vectors"], "kept": words}}
    return noted
