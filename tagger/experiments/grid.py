"""The grid: which variants there are, and how large each is so that they can be compared."""

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
    """All variants, in the order of the arguments: heads, in them directions, in them merge modes.

    Args:
        directions: Ways to read.
        merge_modes: For the bidirectional ones.
        heads: What scores the tags.
        has_lookahead: Whether the bidirectional variants of the first merge mode are trained a second time,
            with a random lookahead.
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
    """The options of one run: those of all runs, and what makes the variant.

    A softmax head chooses each tag alone here: decoding under the constraints of a tag scheme carries what
    later words say back to earlier ones, just what a one-way model must not see.
    """
    model = {
        "direction": variant.direction,
        "merge_mode": variant.merge_mode or config.model.merge_mode,
        "head": variant.head,
        "constrain": config.model.constrain and variant.head == "crf",
        "hidden_size": hidden_size,
        "context": "sentence",  # a word's later mentions are what stands to its right, too
    }
    train = {"seed": seed, "lookahead": variant.lookahead}
    return config.model_copy(
        update={
            "model": config.model.model_copy(update=model),
            "train": config.train.model_copy(update=train),
        }
    )


def count_parameters(model: ModelConfig, vocabulary: Vocabulary, word_size: int) -> dict[str, int]:
    """Trained numbers of the ``encoder``, the ``heads``, the ``words`` and ``all`` of them.

    Args:
        model: The network's shape.
        vocabulary: Its words, characters and tasks.
        word_size: Width of its word vectors.
    """
    counts = dict.fromkeys(("encoder", "heads", "words"), 0)
    for name, shape in tensor_shapes(model, vocabulary, word_size).items():
        if name == "words.fixed":
            continue
        counts[name.partition(".")[0]] += math.prod(shape)
    return {**counts, "all": sum(counts.values())}


def match_hidden_sizes(
    variants: Sequence[Variant], config: Config, match: Match, vocabulary: Vocabulary, word_size: int
) -> dict[Variant, int]:
    """For each variant the hidden size per direction with which it has what is held equal.

    The measure of all is the bidirectional encoder with ``model.hidden_size`` units a direction that are
    concatenated: the others have as many units a direction (``hidden``), outputs as wide (``width``), or the
    number of trained parameters that is nearest to it under the same head (``parameters``).

    Args:
        variants: The grid.
        config: Options of all runs.
        match: What is held equal.
        vocabulary: The vocabulary of all runs.
        word_size: Width of their word vectors.
    """
    size = config.model.hidden_size

    def count(variant: Variant, hidden_size: int) -> int:
        model = configure(variant, config, hidden_size=hidden_size, seed=0).model
        return count_parameters(model, vocabulary, word_size)["all"]

    sizes = {}
    for variant in variants:
        measure = replace(variant, direction="bidirectional", merge_mode="concat")
        is_measure = variant.direction == "bidirectional" and variant.merge_mode == "concat"
        if match == "hidden" or is_measure:
            sizes[variant] = size
        elif match == "width":
            sizes[variant] = 2 * size
        else:
            sizes[variant] = _nearest(partial(count, variant), count(measure, size))
    return sizes


def _nearest(count: Callable[[int], int], wanted: int) -> int:
    """The number from 1 on for which a rising function comes nearest to a value; of two the smaller."""
    sizes = range(1, wanted + 1)  # no layer of as many units has fewer parameters
    place = bisect_left(sizes, wanted, key=count)
    return min(sizes[max(0, place - 1) : place + 1], key=lambda size: abs(count(size) - wanted))


def require_comparable(config: Config) -> None:
    """Refuse options under which runs would not share their schedule.

    Raises:
        InputError: One of them is set.
    """
    if config.train.patience:
        raise InputError(
            f"train.patience is {config.train.patience}, but all runs of a comparison share their schedule; "
            "leave it at 0."
        )
    if len(config.data.tasks) != 1:
        raise InputError(
            f"A comparison is of one task, not of {len(config.data.tasks)} ({', '.join(config.data.tasks)}); "
            "make one for each, with an --output of its own."
        )
