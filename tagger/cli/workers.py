"""``tagger tag --workers``: tag documents with several processes, keeping the order of the text."""

from __future__ import annotations

import gc
import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path

from tagger.cli.formats import Document, View, conll_block, jsonl_line
from tagger.cli.input import read_tokens
from tagger.errors import InputError
from tagger.runtime.arguments import MinScore
from tagger.runtime.tagger import Tagger, TextTokenizer
from tagger.signals import interrupts_blocked
from tagger.text.documents import TextBlock, cut_blocks, window_sentences
from tagger.text.sentence import Sentence

BLOCK_CHARACTERS = 1 << 18  # text size of one block


@dataclass(frozen=True, slots=True)
class Job:
    """Settings that each worker receives once.

    Attributes:
        model: The model folder.
        scheme: The tag scheme of the output.
        precision: The precision of the LSTM weights.
        view: The tasks to write.
        style: The output format, one of ``formats.BY_SENTENCE``.
        is_pretokenized: True if each line is a pretokenized sentence.
        has_scores: True to write the probability of each tag.
        n_best: Number of tag sequences per sentence.
        min_score: The score threshold of spans, for all labels or by label.
        candidates: The score threshold of candidate spans; 0 for none.
        cache_megabytes: See ``Tagger``.
    """

    model: Path
    scheme: str
    precision: str
    view: View
    style: str
    is_pretokenized: bool
    has_scores: bool
    n_best: int
    min_score: MinScore
    candidates: float
    cache_megabytes: int


@dataclass(frozen=True, slots=True)
class _Block:
    """A block of a document, with the position that its output depends on.

    Attributes:
        content: The text, or tokenized sentences.
        name: The document name, if there are several documents.
        number: Index of the document.
        begin: Character offset in the document of the first sentence that this block writes.
        is_first: True if the document starts with this block.
    """

    content: TextBlock | list[Sentence]
    name: str | None
    number: int
    begin: int
    is_first: bool


@dataclass(frozen=True, slots=True)
class _Output:
    """The output of one block.

    Attributes:
        output: The lines.
        error: The error that stopped the worker before the end of the block, or "".
        skipped: One message for each skipped sentence.
    """

    output: str
    error: str
    skipped: list[str]


def tag_in_workers(
    documents: Sequence[Document], job: Job, workers: int, tokenize: TextTokenizer
) -> Iterator[str]:
    """Yield the output of ``FORMATS[job.style]`` for these documents, in larger pieces.

    Args:
        documents: The documents to tag.
        job: The settings of the workers.
        workers: Number of processes.
        tokenize: The tokenizer of the model, for texts that must be split into sentences in this process.

    Raises:
        InputError: ``Tagger`` rejects the input, or a worker process ended early.
    """
    # Spawn new interpreters: a fork would copy the locks of other threads, but not the threads.
    with interrupts_blocked():
        pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start_worker, initargs=(job,))
    pending: deque[Future[_Output]] = deque()
    is_done = False
    try:
        for block in _blocks(documents, job, tokenize):
            with interrupts_blocked():  # submit may start a worker
                pending.append(pool.submit(_tag_block, block))
            if len(pending) > 2 * workers:
                yield from _checked(pending.popleft().result(), job.view)
        while pending:
            yield from _checked(pending.popleft().result(), job.view)
        is_done = True
    except BrokenProcessPool:
        raise InputError(
            "A worker process ended early, perhaps because memory ran out. Use fewer --workers."
        ) from None
    finally:
        if not is_done:  # their results are no longer needed
            for worker in active_children():
                worker.terminate()
        pool.shutdown(cancel_futures=True)


def _checked(result: _Output, view: View) -> Iterator[str]:
    """Yield the output of a worker, then raise its error, if it has one."""
    yield result.output
    view.errors.extend(map(InputError, result.skipped))
    if result.error:
        raise InputError(result.error)


def _blocks(documents: Sequence[Document], job: Job, tokenize: TextTokenizer) -> Iterator[_Block]:
    size = BLOCK_CHARACTERS // max(1, job.n_best)  # n-best output is much larger than its text
    for number, document in enumerate(documents):
        name = document.name if len(documents) > 1 else None
        is_first = True
        contents = cut_blocks(document.lines, tokenize, size=size, has_lines=job.is_pretokenized)
        begin = 0
        for content in contents:
            yield _Block(content, name, number, begin, is_first)
            if isinstance(content, TextBlock):
                begin = content.start + content.own.stop
            is_first = is_first and isinstance(content, TextBlock) and _is_blank(content, job)


def _is_blank(block: TextBlock, job: Job) -> bool:
    own = block.text[block.own]
    return not (own.strip(" \t\n\r\f\v") if job.is_pretokenized else own.strip())


_state: tuple[Job, Tagger] | None = None  # set in each worker process


def _start_worker(job: Job) -> None:
    global _state
    tagger = Tagger.load(
        job.model,
        scheme=job.scheme,
        precision=job.precision,
        threads=1,
        cache_megabytes=job.cache_megabytes,
    )
    _state = (job, tagger)
    gc.freeze()  # the model lives as long as the process: exclude it from garbage collection


def _tag_block(block: _Block) -> _Output:
    assert _state is not None
    job, tagger = _state
    lines: list[str] = []
    error_message = ""
    end = block.content.start + block.content.own.stop if isinstance(block.content, TextBlock) else math.inf
    try:
        sentences = _sentences(block.content, job, tagger.tokenizer)
        for sentence in tagger.tag_sentences(
            sentences,
            n_best=job.n_best,
            scores=job.has_scores,
            min_score=job.min_score,
            candidates=job.candidates,
        ):
            if block.begin <= sentence.text_start < end:
                lines.append(_line(sentence, block, job, is_first=block.is_first and not lines))
    except InputError as error:
        error_message = str(error)
    skipped = list(map(str, job.view.errors))
    job.view.errors.clear()
    return _Output("".join(lines), error_message, skipped)


def _sentences(content: TextBlock | list[Sentence], job: Job, tokenize: TextTokenizer) -> Iterable[Sentence]:
    """Return the sentences to tag for a block: its own, and the rest of their document windows."""
    if isinstance(content, list):
        return content
    if job.is_pretokenized:
        sentences = read_tokens(content.text.splitlines(keepends=True), start=content.start)
    else:
        sentences = (sentence.shifted(content.start) for sentence in tokenize(content.text))
    return window_sentences(content, sentences)


def _line(sentence: Sentence, block: _Block, job: Job, *, is_first: bool) -> str:
    if job.style == "jsonl":
        return jsonl_line(
            sentence, job.view, block.name, starts_document=is_first or sentence.starts_document
        )
    starts_document = block.number > 0 if is_first else sentence.starts_document
    return conll_block(sentence, job.view, starts_document=starts_document)
