"""Choose the sentences of a pool that are worth annotating next."""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tagger.annotation.annotation_cost import PRIOR, AnnotationCost
from tagger.annotation.near_duplicates import NearDuplicates, find_shingles
from tagger.annotation.strategies import STRATEGIES, StrategyName
from tagger.errors import InputError
from tagger.runtime.model_calibration import Watch
from tagger.runtime.options import TagOptions
from tagger.runtime.sentence_tagger import choose_tasks
from tagger.runtime.tagger import Tagger
from tagger.text.documents import cut_document_windows
from tagger.text.sentence import Sentence

Arm = Literal["chosen", "random"]
Ints = NDArray[np.int64]
DIGITS = 6  # significant digits of a priority; the others depend on how the network batches sentences
SMALLEST_BLOCK = 1000  # candidates that the first pass over the pool compares with each other, at least
LARGEST_BLOCK = 1 << 17  # candidates of a later pass, at most: about 40 MB


@dataclass(frozen=True, slots=True)
class Choice:
    """A sentence to annotate.

    Attributes:
        index: Its index in the pool.
        sentence: The sentence as a document of its own, with the tags, spans and probabilities that the model
            proposes.
        arm: ``random`` if it belongs to the random share, else ``chosen``.
        strategy: The strategy of the arm.
        priority: The sentence's priority, by the strategy of the batch.
    """

    index: int
    sentence: Sentence
    arm: Arm
    strategy: StrategyName
    priority: float


def select(
    pool: Iterable[Sentence],
    tagger: Tagger,
    *,
    task: str,
    n_tokens: int | None = None,
    n_sentences: int | None = None,
    strategy: StrategyName = "uncertainty",
    random_share: float = 0.2,
    seed: int = 1,
    cost: AnnotationCost = PRIOR,
    excluded: Iterable[Sentence] = (),
    watch: Watch = iter,
) -> list[Choice]:
    """Choose a batch of sentences to annotate.

    The random share are the first sentences in ``random_order``, whatever the model and the strategy: it
    measures models on the pool without bias, and it is the control of the strategy. The strategy ranks all
    other sentences. It leaves out near-duplicates of a sentence that is excluded, random or ranks higher.
    No arm has sentences without tokens, or with the tokens of an excluded sentence.

    A batch ends when it has reached the budget. A last sentence that exceeds the number of tokens belongs to
    it: without such sentences, the random share would favour short ones.

    Memory holds some 50 bytes for each sentence of the pool, and the sentences that compete for the budget.

    Args:
        pool: The sentences, which the function iterates several times.
        tagger: The model.
        task: The task of the model to annotate.
        n_tokens: The budget as a number of tokens.
        n_sentences: The budget as a number of sentences, if it is not a number of tokens.
        strategy: A key of ``STRATEGIES``.
        random_share: Share of the budget that is drawn at random, from 0 to 1.
        seed: Seed of ``random_order``. It must be the same for all batches of a pool.
        cost: The cost of annotation.
        excluded: Sentences that have labels.
        watch: Receives the sentences as they are ranked and yields them unchanged, e.g. to show progress.

    Returns:
        The choices, best first. Both arms are spread over the list, so that an interrupted annotation has
        about the random share too.

    Raises:
        TypeError: The pool can be iterated only once.
        InputError: The budget or the random share is out of bounds, or the model lacks the task.
    """
    budget = _require_budget(n_tokens, n_sentences)
    if isinstance(pool, Iterator):
        raise TypeError("pool must be iterable several times (got an iterator). Pass a list.")
    if not 0 <= random_share <= 1:
        raise InputError(
            f"the random share must be from 0 to 1 (got {random_share:g}). Choose another one.",
            code="option.value",
            option="--random-share",
        )
    choose_tasks(tagger, [task])
    labelled = {one.tokens for one in excluded}
    priorities, lengths, is_open = array("d"), array("i"), bytearray()
    options = STRATEGIES[strategy].options
    sentences: Iterable[Sentence] = pool if options is None else tagger.annotate(pool, options)
    for sentence, draw in zip(watch(iter(sentences)), _draws(seed), strict=False):
        value = STRATEGIES[strategy].priority(sentence, task, cost, draw) if sentence.tokens else 0.0
        priorities.append(float(f"{value:.{DIGITS}g}"))
        lengths.append(len(sentence))
        is_open.append(bool(sentence.tokens) and sentence.tokens not in labelled)

    sizes = np.array(lengths, np.int32) if n_tokens else np.ones(len(lengths), np.int32)
    candidates = np.frombuffer(is_open, np.bool_)
    order = random_order(len(lengths), seed)
    drawn = _fill(order[candidates[order]], sizes, round(random_share * budget)).tolist()
    candidates[drawn] = False
    order = np.argsort(-np.frombuffer(priorities), kind="stable")
    taken = NearDuplicates()
    for tokens in labelled:
        taken.add(find_shingles(tokens))
    rest = budget - int(sizes[drawn].sum())
    chosen = _fill_distinct(pool, order[candidates[order]], sizes, rest, drawn, taken)

    proposals = _propose(pool, tagger, task, {*drawn, *chosen})
    arms: list[tuple[Arm, StrategyName, Sequence[int]]] = [
        ("random", "random", drawn),
        ("chosen", strategy, chosen),
    ]
    placed = [
        ((rank + 0.5) / len(indices), Choice(index, proposals[index], arm, name, priorities[index]))
        for arm, name, indices in arms
        for rank, index in enumerate(indices)
    ]
    return [choice for _, choice in sorted(placed, key=itemgetter(0))]


def random_order(n_sentences: int, seed: int) -> Ints:
    """Return the indices (N,) of a pool of N sentences in random order.

    Its first n sentences are a uniform sample of the pool: also of those, some may have been chosen by a
    strategy before their turn. Sentences that are appended to the pool do not change the order of the others.
    """
    draws = np.fromiter(_draws(seed), np.float64, n_sentences)
    return np.argsort(draws, kind="stable")


def _draws(seed: int) -> Iterator[float]:
    source = random.Random(seed)  # Python guarantees its sequence for later versions, numpy does not
    while True:
        yield source.random()


def _require_budget(n_tokens: int | None, n_sentences: int | None) -> int:
    numbers = [number for number in (n_tokens, n_sentences) if number is not None]
    if len(numbers) != 1 or numbers[0] < 1:
        given = " and ".join(f"{number:,}" for number in numbers) or "none"
        raise InputError(
            f"the budget must be one number, at least 1, of tokens or of sentences (got {given}). Pass one.",
            code="option.value",
            option="--tokens",
        )
    return numbers[0]


def _fill(order: Ints, sizes: NDArray[np.int32], budget: int) -> Ints:
    """Return the first sentences of an order (N,) whose sizes reach a budget."""
    if budget <= 0:
        return order[:0]
    return order[: int(np.searchsorted(np.cumsum(sizes[order]), budget)) + 1]


def _fill_distinct(
    pool: Iterable[Sentence],
    order: Ints,
    sizes: NDArray[np.int32],
    budget: int,
    drawn: Sequence[int],
    taken: NearDuplicates,
) -> list[int]:
    """Return the first sentences of an order (N,) whose sizes reach a budget, without near-duplicates.

    Args:
        pool: The sentences.
        order: Their indices, best first.
        sizes: The sizes of all sentences.
        budget: The budget.
        drawn: Indices of sentences that are chosen already.
        taken: The excluded sentences; the chosen ones are added.
    """
    chosen: list[int] = []
    if budget > 0:
        for shingles in _read_shingles(pool, drawn):
            taken.add(shingles)
    n_candidates = SMALLEST_BLOCK
    while budget > 0 and len(order):
        # One block is enough, unless most of its sentences are near-duplicates.
        block = order[: max(n_candidates, len(_fill(order, sizes, 2 * budget)))].tolist()
        order = order[len(block) :]
        n_candidates = min(2 * n_candidates, LARGEST_BLOCK)
        for index, shingles in zip(block, _read_shingles(pool, block), strict=True):
            if budget > 0 and not taken.has_similar(shingles):
                taken.add(shingles)
                chosen.append(index)
                budget -= int(sizes[index])
    return chosen


def _read_shingles(pool: Iterable[Sentence], indices: Sequence[int]) -> list[array[int]]:
    """Return the shingles of some sentences of a pool, in the order of the indices."""
    requested = frozenset(indices)
    shingles = {index: find_shingles(one.tokens) for index, one in enumerate(pool) if index in requested}
    return [shingles[index] for index in indices]


def _propose(pool: Iterable[Sentence], tagger: Tagger, task: str, indices: set[int]) -> dict[int, Sentence]:
    """Return some sentences of a pool as the model tags them in their documents."""
    proposals: dict[int, Sentence] = {}
    first = 0
    for window in cut_document_windows(pool):
        own = [number for number in range(len(window)) if first + number in indices]
        if own:
            tagged = list(tagger.annotate(window, TagOptions(has_scores=True)))
            proposals |= {first + number: _alone(tagged[number], task) for number in own}
        first += len(window)
    return proposals


def _alone(sentence: Sentence, task: str) -> Sentence:
    """Return a sentence as a document of its own, with the tags of one task."""
    start = sentence.text_start
    spans = [
        replace(span, start_char=span.start_char - start, end_char=span.end_char - start)
        for span in sentence.spans.get(task, ())
    ]
    alone = replace(sentence.shifted(-start), starts_document=True, source=sentence.source)
    return alone.with_tags(
        {task: sentence.tags[task]},
        {task: spans} if task in sentence.spans else None,
        tag_scores={task: sentence.tag_scores[task]},
    )
