"""``tagger tag --workers``: a text tagged by several processes, each with the model, in the text's order."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from tagger.cli.formats import Document, View, conll_block, jsonl_line
from tagger.cli.input import read_tokens
from tagger.errors import InputError
from tagger.runtime.tagger import Tagger
from tagger.signals import interrupts_blocked
from tagger.text.documents import Chunk, chunk_sentences, cut_chunks
from tagger.text.sentence import Sentence

STYLES = ("jsonl", "conll")
LINE_CHARACTERS = 1 << 19  # of ready tokens that go to a worker together


@dataclass(frozen=True, slots=True)
class Job:
    """What every worker is told once.

    Attributes:
        model: The model's folder.
        scheme: How tags of spans are written.
        precision: Of the recurrent weights.
        view: The tasks that are written.
        style: One of ``STYLES``.
        is_pretokenized: Whether a line is a sentence of ready tokens.
        has_scores: Whether tags get their probabilities.
        n_best: How many alternatives each sentence gets.
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
    cache_megabytes: int


@dataclass(frozen=True, slots=True)
class _Part:
    """A chunk of a document, and what of the output depends on where it stands.

    Attributes:
        chunk: The text.
        name: The document's name, where there are several.
        number: Place of the document among all.
        is_first: Whether the document begins with it.
    """

    chunk: Chunk
    name: str | None
    number: int
    is_first: bool


def tag_in_workers(documents: Sequence[Document], job: Job, workers: int) -> Iterator[str]:
    """Yield what ``FORMATS[job.style]`` yields for these documents, in larger pieces.

    Args:
        documents: What to tag.
        job: How.
        workers: How many processes.

    Raises:
        InputError: As ``Tagger`` does, or if a worker ended before its work was done.
    """
    # A new interpreter for each: a copy of this one would have its threads' locks, but not its threads.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin, initargs=(job,))
    waiting: deque[Future[str]] = deque()
    try:
        for part in _parts(documents, is_pretokenized=job.is_pretokenized):
            with interrupts_blocked():  # a submission may start a worker
                waiting.append(pool.submit(_tag, part))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise InputError(
            "A worker process ended before its work was done, perhaps for want of memory; use fewer of them."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _parts(documents: Sequence[Document], *, is_pretokenized: bool) -> Iterator[_Part]:
    cut: Callable[[Iterable[str]], Iterator[Chunk]] = _line_chunks if is_pretokenized else cut_chunks
    for number, document in enumerate(documents):
        name = document.name if len(documents) > 1 else None
        is_first = True
        for chunk in cut(document.lines):
            yield _Part(chunk, name, number, is_first)
            own = chunk.text[chunk.own]
            is_first = is_first and not (own.strip(" \t\n\r\f\v") if is_pretokenized else own.strip())


def _line_chunks(pieces: Iterable[str]) -> Iterator[Chunk]:
    """Whole lines, so many as make a chunk."""
    held: list[str] = []
    start = count = 0
    for piece in pieces:
        held.append(piece)
        count += len(piece)
        if count >= LINE_CHARACTERS and piece.endswith("\n"):
            yield Chunk("".join(held), start, slice(0, count))
            start, held, count = start + count, [], 0
    if held:
        yield Chunk("".join(held), start, slice(0, count))


_state: tuple[Job, Tagger] | None = None  # of a worker process


def _begin(job: Job) -> None:
    global _state
    tagger = Tagger.load(
        job.model,
        scheme=job.scheme,
        precision=job.precision,
        threads=1,
        cache_megabytes=job.cache_megabytes,
    )
    _state = (job, tagger)
    gc.freeze()  # the model stays, and need not be looked through again and again


def _tag(part: _Part) -> str:
    assert _state is not None
    job, tagger = _state
    sentences: Iterable[Sentence]
    if job.is_pretokenized:
        sentences = read_tokens(part.chunk.text.splitlines(keepends=True), start=part.chunk.start)
    else:
        sentences = chunk_sentences(part.chunk, tagger.tokenizer)
    tagged = tagger.tag_sentences(sentences, n_best=job.n_best, scores=job.has_scores)
    lines = []
    for place, sentence in enumerate(tagged):
        is_first = part.is_first and place == 0
        if job.style == "jsonl":
            lines.append(jsonl_line(sentence, job.view, part.name, starts_document=is_first))
        else:
            begins_file = is_first and part.number == 0
            starts_document = is_first and part.number > 0
            lines.append(
                conll_block(sentence, job.view, starts_document=starts_document, begins_file=begins_file)
            )
    return "".join(lines)
