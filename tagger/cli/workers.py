"""``tagger tag --workers``: a text tagged by several processes, each with the model, in the text's order."""

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
from tagger.text.documents import Chunk, chunk_stretches, cut_chunks
from tagger.text.sentence import Sentence

CHARACTERS = 1 << 18  # that go to a worker together


@dataclass(frozen=True, slots=True)
class Job:
    """What every worker is told once.

    Attributes:
        model: The model's folder.
        scheme: How tags of spans are written.
        precision: Of the recurrent weights.
        view: The tasks that are written.
        style: One of ``formats.BY_SENTENCE``.
        is_pretokenized: Whether a line is a sentence of ready tokens.
        has_scores: Whether tags get their probabilities.
        n_best: How many alternatives each sentence gets.
        min_score: The least score of a span that is given out, or of each label's spans.
        candidates: The least probability of candidate spans, 0 for none.
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
class _Part:
    """A part of a document, and what of the output depends on where it stands.

    Attributes:
        content: The text, or sentences that are ready.
        name: The document's name, where there are several.
        number: Place of the document among all.
        begin: Where in the document the sentences begin that are the part's own.
        is_first: Whether the document begins with it.
    """

    content: Chunk | list[Sentence]
    name: str | None
    number: int
    begin: int
    is_first: bool


@dataclass(frozen=True, slots=True)
class _Written:
    """The lines of a part.

    Attributes:
        output: The lines.
        error: What ended the work before the part's end, if anything did.
        left_out: Why sentences were left out.
    """

    output: str
    error: str
    left_out: list[str]


def tag_in_workers(
    documents: Sequence[Document], job: Job, workers: int, tokenize: TextTokenizer
) -> Iterator[str]:
    """Yield what ``FORMATS[job.style]`` yields for these documents, in larger pieces.

    Args:
        documents: What to tag.
        job: How.
        workers: How many processes.
        tokenize: The model's, for texts that can only be cut into sentences here.

    Raises:
        InputError: As ``Tagger`` does, or if a worker ended before its work was done.
    """
    # A new interpreter for each: a copy of this one would have its threads' locks, but not its threads.
    with interrupts_blocked():
        pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin, initargs=(job,))
    waiting: deque[Future[_Written]] = deque()
    is_done = False
    try:
        for part in _parts(documents, job, tokenize):
            with interrupts_blocked():  # a submission may start a worker
                waiting.append(pool.submit(_tag, part))
            if len(waiting) > 2 * workers:
                yield from _checked(waiting.popleft().result(), job.view)
        while waiting:
            yield from _checked(waiting.popleft().result(), job.view)
        is_done = True
    except BrokenProcessPool:
        raise InputError(
            "A worker process ended before its work was done, perhaps for want of memory; use fewer of them."
        ) from None
    finally:
        if not is_done:  # nobody waits for what they are at
            for worker in active_children():
                worker.terminate()
        pool.shutdown(cancel_futures=True)


def _checked(written: _Written, view: View) -> Iterator[str]:
    """Yield what a worker wrote, then raise the error that ended its work, if there was one."""
    yield written.output
    view.errors.extend(map(InputError, written.left_out))
    if written.error:
        raise InputError(written.error)


def _parts(documents: Sequence[Document], job: Job, tokenize: TextTokenizer) -> Iterator[_Part]:
    size = CHARACTERS // max(1, job.n_best)  # alternatives make much output of little text
    for number, document in enumerate(documents):
        name = document.name if len(documents) > 1 else None
        is_first = True
        found = cut_chunks(document.lines, tokenize, size=size, has_lines=job.is_pretokenized)
        begin = 0
        for content in found:
            yield _Part(content, name, number, begin, is_first)
            if isinstance(content, Chunk):
                begin = content.start + content.own.stop
            is_first = is_first and isinstance(content, Chunk) and _is_blank(content, job)


def _is_blank(chunk: Chunk, job: Job) -> bool:
    own = chunk.text[chunk.own]
    return not (own.strip(" \t\n\r\f\v") if job.is_pretokenized else own.strip())


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


def _tag(part: _Part) -> _Written:
    assert _state is not None
    job, tagger = _state
    written: list[str] = []
    ended_by = ""
    end = part.content.start + part.content.own.stop if isinstance(part.content, Chunk) else math.inf
    try:
        found = _sentences(part.content, job, tagger.tokenizer)
        for sentence in tagger.tag_sentences(
            found,
            n_best=job.n_best,
            scores=job.has_scores,
            min_score=job.min_score,
            candidates=job.candidates,
        ):
            if part.begin <= sentence.text_start < end:
                written.append(_line(sentence, part, job, is_first=part.is_first and not written))
    except InputError as error:
        ended_by = str(error)
    left_out = list(map(str, job.view.errors))
    job.view.errors.clear()
    return _Written("".join(written), ended_by, left_out)


def _sentences(content: Chunk | list[Sentence], job: Job, tokenize: TextTokenizer) -> Iterable[Sentence]:
    """What is to be tagged for a part's own sentences: their stretches of the document, as a whole."""
    if isinstance(content, list):
        return content
    if job.is_pretokenized:
        found = read_tokens(content.text.splitlines(keepends=True), start=content.start)
    else:
        found = (sentence.shifted(content.start) for sentence in tokenize(content.text))
    return chunk_stretches(content, found)


def _line(sentence: Sentence, part: _Part, job: Job, *, is_first: bool) -> str:
    if job.style == "jsonl":
        return jsonl_line(sentence, job.view, part.name, starts_document=is_first or sentence.starts_document)
    starts_document = part.number > 0 if is_first else sentence.starts_document
    return conll_block(sentence, job.view, starts_document=starts_document)
