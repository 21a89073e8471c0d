"""Random choices for each epoch and batch: order, casings, lookaheads, and words replaced by UNK."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tagger.config import TrainConfig
from tagger.features.batching import Batch, shuffled_batches
from tagger.features.vocab import UNKNOWN
from tagger.network.bilstm import Blocks
from tagger.text.casing import RECASINGS
from tagger.training.preparation import Preparation

# Lookaheads in words that `train.lookahead = "random"` samples from; None for the whole sentence.
LOOKAHEADS = (0, 1, 2, 4, 8, None)


def draw_batches(
    lengths: Sequence[int], config: TrainConfig, generator: np.random.Generator
) -> list[list[int]]:
    """Draw the batches of one epoch; repeat passes over all sentences up to ``config.min_steps`` batches.

    Args:
        lengths: Tokens of each sentence.
        config: Batch size and minimum number of steps.
        generator: Random generator for the order of each pass.

    Returns:
        The sentence indices of each batch; every index occurs equally often.
    """
    batches = shuffled_batches(lengths, config.batch_size, config.batch_tokens, generator)
    while 0 < len(batches) < config.min_steps:
        batches += shuffled_batches(lengths, config.batch_size, config.batch_tokens, generator)
    return batches


def draw_inputs(
    preparation: Preparation,
    config: TrainConfig,
    batches: Sequence[Sequence[int]],
    generator: np.random.Generator,
) -> Iterator[tuple[Batch, Blocks | None]]:
    """Build each batch and sample its casings, the words replaced by UNK, and its lookahead.

    Args:
        preparation: The data.
        config: Shares of recased sentences and of replaced words; training of the lookahead.
        batches: The sentence indices of each batch.
        generator: Random generator; each batch draws from it only when it is requested.
    """
    # Words of train have the lower ids; words that only the vectors file has come after them.
    vocabulary = preparation.vocabulary
    singletons = np.zeros(len(vocabulary.words) + len(vocabulary.frozen_words), np.bool_)
    singletons[list(preparation.unvectored_singletons)] = True
    for indices in batches:
        casings = (
            draw_casings(len(indices), config.case_augmentation, generator)
            if config.case_augmentation
            else None
        )
        batch = preparation.train.batch(indices, casings)
        _mask_singletons(batch, singletons, config.singleton_unknown, generator)
        yield batch, draw_blocks(generator) if config.lookahead == "random" else None


def draw_blocks(generator: np.random.Generator) -> Blocks | None:
    """Sample the lookahead of the backward direction for one batch; None for whole sentences.

    A lookahead of k words splits sentences into blocks of k + 1 words, from a random offset. The words of a
    block see k, k - 1, …, 0 of the next words, exactly as in the window of a streaming tagger that must emit
    the tag of its first word (see ``runtime.stream``). A single pass over the batch suffices.
    """
    lookahead = LOOKAHEADS[generator.integers(len(LOOKAHEADS))]
    return None if lookahead is None else Blocks(lookahead + 1, int(generator.integers(lookahead + 1)) + 1)


def draw_casings(count: int, share: float, generator: np.random.Generator) -> list[int]:
    """Sample a casing for each sentence: its index in ``RECASINGS``, or -1 for the original casing.

    Args:
        count: Number of sentences.
        share: Expected share of recased sentences, in [0, 1); all casings are equally likely.
        generator: Random generator.
    """
    sampled = generator.integers(len(RECASINGS), size=count)
    is_recased = generator.random(count) < share
    return [int(casing) if is_other else -1 for casing, is_other in zip(sampled, is_recased, strict=True)]


def _mask_singletons(
    batch: Batch, singletons: NDArray[np.bool_], share: float, generator: np.random.Generator
) -> None:
    """Replace a share of the words that train has once by UNK, to train the vector of UNK."""
    indices = np.flatnonzero(singletons[batch.words])
    batch.words[indices[generator.random(len(indices)) < share]] = UNKNOWN
