"""Tag the documents of all waiting requests together, with two threads per model.

While a thread tags a batch, the next requests gather; a request that finds the threads idle is tagged at
once. There is no timer. The second thread works only while the first tags many characters: it tokenizes and
writes while the network of the first runs without the interpreter's lock, and short requests do not wait for
long ones. With both threads for short requests, batches would be half as large, and throughput lower.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeAlias

from tagger.runtime.options import TagOptions
from tagger.runtime.tagger import Tagger
from tagger.text.documents import stream_sentences
from tagger.text.sentence import Sentence

Document: TypeAlias = str | list[Sentence]
"""A raw text, or the pretokenized sentences of a document."""
Finish = Callable[[list[list[Sentence]]], Any]
"""What to make of the tagged sentences of a request's documents, in the thread of the batch."""

THREADS = 2
LONG_BATCH = 8_000  # characters, from which on a batch does not keep the next from starting


@dataclass(frozen=True, slots=True)
class Job:
    """The documents of one request.

    Attributes:
        documents: The documents.
        options: Checked options.
        finish: What to make of the tagged documents.
        future: Receives the result of ``finish``, or the request's error. A request that is cancelled
            before its turn is not tagged.
        size: The number of characters of all documents.
    """

    documents: Sequence[Document]
    options: TagOptions
    finish: Finish
    future: asyncio.Future[Any]
    size: int

    @property
    def group(self) -> tuple[object, ...]:
        """Options that differ between jobs which cannot be tagged in one call."""
        options, min_score = self.options, self.options.min_score
        thresholds = tuple(sorted(min_score.items())) if isinstance(min_score, Mapping) else min_score
        return options.scheme, options.n_best, options.has_scores, thresholds, options.candidates


class Batcher:
    """Tag documents of concurrent requests in batches; used from one event loop.

    Args:
        tagger: The model.
        max_batch: Maximum number of requests per batch.
        max_characters: A batch ends when its documents have this many characters; a longer request is a
            batch of its own.
        on_batch: Called in the event loop with the number of requests and tokens of each batch.
    """

    def __init__(
        self,
        tagger: Tagger,
        *,
        max_batch: int,
        max_characters: int,
        on_batch: Callable[[int, int], object],
    ) -> None:
        self._first = tagger
        self._taggers = {tagger.scheme: tagger}
        self._max_batch = max_batch
        self._max_characters = max_characters
        self._on_batch = on_batch
        self._waiting: deque[Job] = deque()
        self._is_starting = False
        self._running = 0  # batches
        self._short_running = 0  # batches of less than ``LONG_BATCH`` characters
        self._batches: SimpleQueue[list[Job] | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        for _ in range(THREADS):
            # A daemon thread, so that a process that has to end does not wait for a long document.
            Thread(target=self._work, name="tagger", daemon=True).start()

    def close(self) -> None:
        """End the threads after their current batches."""
        for _ in range(THREADS):
            self._batches.put(None)

    async def tag(self, documents: Sequence[Document], options: TagOptions, finish: Finish) -> Any:
        """Tag documents, each on its own, and return the result of ``finish``.

        Args:
            documents: The documents.
            options: Checked options, with the scheme of the tags.
            finish: What to make of the tagged sentences of each document; runs in a thread.

        Raises:
            InputError: A document cannot be tagged with these options.
        """
        job = Job(
            documents, options, finish, self._loop.create_future(), sum(map(_count_characters, documents))
        )
        self._waiting.append(job)
        if self._is_free and not self._is_starting:
            self._is_starting = True
            self._loop.call_soon(self._start_batches)  # with the other requests of this turn of the loop
        return await job.future

    @property
    def _is_free(self) -> bool:
        return self._running < THREADS and not self._short_running

    def _start_batches(self) -> None:
        self._is_starting = False
        while self._is_free and (batch := self._take()):
            self._running += 1
            self._short_running += _is_short(batch)
            self._batches.put(batch)

    def _take(self) -> list[Job]:
        batch: list[Job] = []
        characters = 0
        while self._waiting and len(batch) < self._max_batch and characters < self._max_characters:
            job = self._waiting.popleft()
            if job.future.done():  # its client has gone, or its time is over
                continue
            characters += job.size
            if batch and characters > self._max_characters:
                self._waiting.appendleft(job)
                break
            batch.append(job)
        return batch

    def _work(self) -> None:
        while (batch := self._batches.get()) is not None:
            outcomes, tokens = self._tag_batch(batch)
            try:
                self._loop.call_soon_threadsafe(self._end_batch, batch, outcomes, tokens)
            except RuntimeError:  # the loop has ended
                return

    def _end_batch(self, batch: list[Job], outcomes: list[Any], tokens: int) -> None:
        for job, outcome in zip(batch, outcomes, strict=True):
            if job.future.done():
                continue
            if isinstance(outcome, BaseException):
                job.future.set_exception(outcome)
            else:
                job.future.set_result(outcome)
        self._running -= 1
        self._short_running -= _is_short(batch)
        self._on_batch(len(batch), tokens)
        self._start_batches()

    def _tag_batch(self, batch: list[Job]) -> tuple[list[Any], int]:
        """Return the result or the exception of each job, and the number of tokens."""
        outcomes: dict[int, Any] = {}
        documents: dict[int, list[list[Sentence]]] = {}
        groups: dict[tuple[object, ...], list[int]] = {}
        tokens = 0
        for index, job in enumerate(batch):
            try:
                documents[index] = [self._tokenize(one, job.options.scheme) for one in job.documents]
            except Exception as error:
                outcomes[index] = error
                continue
            tokens += sum(len(sentence) for document in documents[index] for sentence in document)
            groups.setdefault(job.group, []).append(index)
        for group in groups.values():
            try:
                tagged = self._tag_jobs([documents[index] for index in group], batch[group[0]].options)
                results = dict(zip(group, tagged, strict=True))
            except Exception:  # find out which of the jobs it was
                results = {index: self._tag_alone(documents[index], batch[index].options) for index in group}
            for index, result in results.items():
                outcomes[index] = _finish(batch[index], result)
        return [outcomes[index] for index in range(len(batch))], tokens

    def _tag_alone(self, documents: list[list[Sentence]], options: TagOptions) -> Any:
        try:
            return next(self._tag_jobs([documents], options))
        except Exception as error:
            return error

    def _tokenize(self, document: Document, scheme: str) -> list[Sentence]:
        if isinstance(document, str):
            # As ``tagger tag --text`` reads a text, so that the sentences of a very long one are the same.
            return list(stream_sentences([f"{document}\n"], self._tagger(scheme).tokenizer))
        return document

    def _tag_jobs(
        self, jobs: list[list[list[Sentence]]], options: TagOptions
    ) -> Iterator[list[list[Sentence]]]:
        """Return the tagged documents of each job; all of them are tagged before the first is returned."""
        sentences = chain.from_iterable(chain.from_iterable(jobs))
        tagged = iter(list(self._tagger(options.scheme).annotate(sentences, options)))
        return iter([[list(islice(tagged, len(document))) for document in job] for job in jobs])

    def _tagger(self, scheme: str) -> Tagger:
        if scheme not in self._taggers:
            self._taggers[scheme] = self._first.with_scheme(scheme)
        return self._taggers[scheme]


def _count_characters(document: Document) -> int:
    if isinstance(document, str):
        return len(document)
    return sum(len(sentence.text) for sentence in document)


def _is_short(batch: list[Job]) -> bool:
    return sum(job.size for job in batch) < LONG_BATCH


def _finish(job: Job, result: Any) -> Any:
    if isinstance(result, Exception):
        return result
    try:
        return job.finish(result)
    except Exception as error:
        return error
