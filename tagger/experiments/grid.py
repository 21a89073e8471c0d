"""Build the grid of variants, and choose the size of each so that their scores are comparable."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from tagger.config import Config, Direction, HeadKind, MergeMode, ModelConfig
from tagger.errors import InputError
from tagger.experiments.results import Match, Variant
from tagger.features.vocab import Vocabulary
from tagger.runtime.weights import tensor_shapes

MATCHES: tuple[Match, ...] = ("hidden", "width", "parameters")


def build_grid(
    directions: Sequence[Direction],
    merge_modes: Sequence[MergeMode],
    heads: Sequence[HeadKind],
    *,
    has_lookahead: bool = False,
) -> list[Variant]:
    """Build all variants: for each head every direction, for each bidirectional one every merge mode.

    Args:
        directions: Encoder directions.
        merge_modes: Merge modes of the bidirectional variants.
        heads: Output heads.
        has_lookahead: True to add, for the first merge mode, a bidirectional variant trained with a random
            lookahead.
    """
    variants = []
    for head in heads:
        for direction in directions:
            if direction != "bidirectional":
                variants.append(Variant(direction, None, head))
                continue
            variants += [Variant(direction, merge_mode, head) for merge_mode in merge_modes]
            if has_lookahead:
                variants.append(Variant(direction, merge_modes[0], head, "random"))
    return list(dict.fromkeys(variants))


def configure(variant: Variant, config: Config, *, hidden_size: int, seed: int) -> Config:
    """Return the options of one run: the common options, changed for the variant.

    A softmax head decodes without tag scheme constraints: constrained decoding would carry evidence from
    later words back to earlier ones, which a unidirectional model must not see.
    """
    model = {
        "direction": variant.direction,
        "merge_mode": variant.merge_mode or config.model.merge_mode,
        "head": variant.head,
        "constrain": config.model.constrain and variant.head == "crf",
        "hidden_size": hidden_size,
        "context": "sentence",  # document context would leak the right context: it includes later occurrences
    }
    train = {"seed": seed, "lookahead": variant.lookahead}
    return config.model_copy(
        update={
            "model": config.model.model_copy(update=model),
            "train": config.train.model_copy(update=train),
        }
    )


def count_parameters(model: ModelConfig, vocabulary: Vocabulary, word_size: int) -> dict[str, int]:
    """Count the trained parameters of the ``encoder``, the ``heads``, the ``words``, and ``all``.

    Args:
        model: Model options, which determine the shapes.
        vocabulary: Words, characters and tasks of the model.
        word_size: Width of the word vectors.
    """
    counts = dict.fromkeys(("encoder", "heads", "words"), 0)
    for name, shape in tensor_shapes(model, vocabulary, word_size).items():
        if name == "words.frozen":
            continue
        counts[name.partition(".")[0]] += math.prod(shape)
    return {**counts, "all": sum(counts.values())}


def match_hidden_sizes(
    variants: Sequence[Variant], config: Config, match: Match, vocabulary: Vocabulary, word_size: int
) -> dict[Variant, int]:
    """Choose the hidden size per direction of each variant, so that all match in one respect.

    The reference is the bidirectional encoder with ``model.hidden_size`` units per direction and merge mode
    concat. The other variants match its units per direction (``hidden``), its output width (``width``), or,
    as closely as possible, its number of trained parameters with the same head (``parameters``).

    Args:
        variants: The grid.
        config: Options of all runs.
        match: The matched quantity.
        vocabulary: Vocabulary of all runs.
        word_size: Width of the word vectors.
    """
    size = config.model.hidden_size

    def count(variant: Variant, hidden_size: int) -> int:
        model = configure(variant, config, hidden_size=hidden_size, seed=0).model
        return count_parameters(model, vocabulary, word_size)["all"]

    sizes = {}
    for variant in variants:
        reference = replace(variant, direction="bidirectional", merge_mode="concat")
        is_reference = variant.direction == "bidirectional" and variant.merge_mode == "concat"
        if match == "hidden" or is_reference:
            sizes[variant] = size
        elif match == "width":
            sizes[variant] = 2 * size
        else:
            sizes[variant] = _nearest(partial(count, variant), count(reference, size))
    return sizes


def _nearest(count: Callable[[int], int], target: int) -> int:
    """Find the size (from 1) at which an increasing function is closest to a target; ties: the smaller."""
    sizes = range(1, target + 1)  # a layer with this many units has at least this many parameters
    index = bisect_left(sizes, target, key=count)
    return min(sizes[max(0, index - 1) : index + 1], key=lambda size: abs(count(size) - target))


def require_comparable(config: Config) -> None:
    """Check that all runs would share their schedule and their only task.

    Raises:
        InputError: Early stopping is on, or there is not exactly one task.
    """
    if config.train.patience:
        raise InputError(
            "train.patience must be 0, because all runs of a comparison share their schedule "
            f"(got {config.train.patience}). Leave it at 0."
        )
    if len(config.data.tasks) != 1:
        raise InputError(
            f"data.tasks: a comparison must have exactly one task (got {len(config.data.tasks)}: "
            f"{', '.join(config.data.tasks)}). Run one comparison per task, each with its own --output."
        )
