"""``tagger tag --workers``: tag documents with several processes, keeping the order of the text."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

from tagger.cli.formats import FORMATS, Document
from tagger.cli.input import read_tokens
from tagger.corpus.text_tables import TextTable
from tagger.errors import InputError, OnError, ignore
from tagger.runtime.bulk_plan import Shard
from tagger.runtime.bulk_shards import ShardCounts, load_tagger, tag_shard
from tagger.runtime.document_pipe import TextTokenizer
from tagger.runtime.options import TagOptions
from tagger.runtime.tagged_tables import TextCells, tag_texts
from tagger.runtime.tagger import Tagger
from tagger.signals import interrupts_blocked
from tagger.text.blocks import Block, cut_blocks
from tagger.text.sentence import Sentence

# Text size of one block. Documents are cut into blocks, since one long file would otherwise occupy a single
# process. Moby-Dick four times in one file (4.9 million characters), two workers: the busiest process needs
# 8.9 seconds of processor time with blocks and 15.2 without; tagging in one process needs 14.9.
BLOCK_CHARACTERS = 1 << 18
Arguments = TypeVar("Arguments", bound=tuple[Any, ...])
Result = TypeVar("Result")
_Output = tuple[str, list[InputError], InputError | None]
"""A block's lines, the errors of skipped sentences, and the error that ended the block early."""


def tag_in_workers(
    documents: Sequence[Document],
    options: TagOptions,
    workers: int,
    tokenize: TextTokenizer,
    on_error: OnError,
    on_block: Callable[[int], object] = ignore,
) -> Iterator[str]:
    """Yield the output of ``FORMATS[options.format]`` for these documents, in larger pieces.

    Args:
        documents: The documents to tag.
        options: The options, which each worker receives once.
        workers: Number of processes.
        tokenize: The tokenizer of the model, for texts that must be split into sentences in this process.
        on_error: Receives an error for each sentence that the format cannot hold; the others are written.
        on_block: Receives the number of characters of each finished block.

    Raises:
        InputError: ``Tagger`` rejects the input, or a worker process ended early.
    """
    calls = _blocks(documents, options, tokenize)
    for (block, *_), result in map_in_workers(_tag_block, calls, options, workers):
        yield from _checked(result, on_error)
        on_block(block.size)


def map_in_workers(
    function: Callable[..., Result], calls: Iterable[Arguments], options: TagOptions, workers: int
) -> Iterator[tuple[Arguments, Result]]:
    """Yield the arguments and the result of each call, in order; each worker loads the model once.

    Args:
        function: A function of a module that can use the worker's ``_state``.
        calls: The arguments of each call, at most ``2 * workers + 1`` ahead of their results.
        options: The options, which each worker receives once.
        workers: Number of processes.

    Raises:
        InputError: A worker process ended early.
    """
    # Spawn new interpreters: a fork would copy the locks of other threads, but not the threads.
    with interrupts_blocked():
        pool = ProcessPoolExecutor(
            workers, get_context("spawn"), initializer=_start_worker, initargs=(options,)
        )
    pending: deque[tuple[Arguments, Future[Result]]] = deque()
    is_done = False
    try:
        for arguments in calls:
            with interrupts_blocked():  # submit may start a worker
                pending.append((arguments, pool.submit(function, *arguments)))
            if len(pending) > 2 * workers:
                first, future = pending.popleft()
                yield first, future.result()
        while pending:
            first, future = pending.popleft()
            yield first, future.result()
        is_done = True
    except BrokenProcessPool:
        raise InputError(
            "A worker process ended early, perhaps because memory ran out. Use fewer --workers.",
            code="run.failed",
            option="--workers",
        ) from None
    finally:
        if not is_done:  # their results are no longer needed
            for worker in active_children():
                worker.terminate()
        pool.shutdown(cancel_futures=True)


def _checked(result: _Output, on_error: OnError) -> Iterator[str]:
    """Yield the output of a worker, then raise its error, if it has one."""
    output, skipped, error = result
    yield output
    for one in skipped:
        on_error(one)
    if error:
        raise error


def _blocks(
    documents: Sequence[Document], options: TagOptions, tokenize: TextTokenizer
) -> Iterator[tuple[Block, str | None, int, bool]]:
    """Yield the arguments of ``_tag_block`` for each block of the documents."""
    size = BLOCK_CHARACTERS // max(1, options.n_best)  # n-best output is much larger than its text
    for number, document in enumerate(documents):
        name = document.name if len(documents) > 1 else None
        is_first = True
        for block in cut_blocks(document.lines, tokenize, size=size, has_lines=options.is_pretokenized):
            yield block, name, number, is_first
            is_first = is_first and block.sentences is None and _is_blank(block, options)


def _is_blank(block: Block, options: TagOptions) -> bool:
    return not (block.own_text.strip(" \t\n\r\f\v") if options.is_pretokenized else block.own_text.strip())


def tag_texts_in_worker(texts: Sequence[str]) -> list[TextCells]:
    """Tag texts of a table in a worker process, see ``tag_texts``."""
    assert _state is not None
    options, tagger = _state
    return tag_texts(tagger, texts, options.tasks, options.min_score)


def tag_shard_in_worker(table: TextTable, shard: Shard, folder: Path) -> ShardCounts:
    """Tag a shard of a bulk run in a worker process, see ``tag_shard``."""
    assert _state is not None
    options, tagger = _state
    return tag_shard(tagger, table, shard, folder, options.tasks, options.min_score)


_state: tuple[TagOptions, Tagger] | None = None  # set in each worker process


def _start_worker(options: TagOptions) -> None:
    global _state
    if parent := parent_process():
        Thread(target=_end_with, args=(parent,), daemon=True).start()
    _state = (options, load_tagger(options))


def _end_with(parent: BaseProcess) -> None:
    """End this process when its parent was killed: the pool's pipes stay open in the other workers."""
    parent.join()
    os._exit(1)


def _tag_block(block: Block, name: str | None, number: int, is_first: bool) -> _Output:
    """Tag a block in a worker process.

    Args:
        block: The block.
        name: The document's name, if there are several documents.
        number: Index of the document.
        is_first: True if the document starts with this block.
    """
    assert _state is not None
    options, tagger = _state
    write = FORMATS[options.format].write_sentence
    assert write is not None
    lines: list[str] = []
    skipped: list[InputError] = []
    try:
        for sentence in tagger.annotate(_sentences(block, options, tagger.tokenizer), options):
            if block.begin <= sentence.text_start < block.end:
                lines.append(write(sentence, options, skipped.append, name, number, is_first and not lines))
    except InputError as error:
        return "".join(lines), skipped, error
    return "".join(lines), skipped, None


def _sentences(block: Block, options: TagOptions, tokenize: TextTokenizer) -> Iterable[Sentence]:
    """Return the sentences to tag for a block: its own, and the rest of their document windows."""
    if block.sentences is not None:
        return block.sentences
    if options.is_pretokenized:
        sentences = read_tokens(block.text.splitlines(keepends=True), start=block.text_start)
    else:
        sentences = (sentence.shifted(block.text_start) for sentence in tokenize(block.text))
    return block.select(sentences)
