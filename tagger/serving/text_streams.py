"""Texts that arrive in pieces: long documents over HTTP, and text that is being written over a WebSocket."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import CancelledError
from itertools import islice
from queue import SimpleQueue
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response, WebSocket
from pydantic import BaseModel, StrictStr, ValidationError
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.websockets import WebSocketDisconnect

from tagger.corpus.jsonl import json_line
from tagger.errors import InputError
from tagger.runtime.json_lines import sentence_lines
from tagger.runtime.live_text import LOOKAHEAD, SPACE, cut_words, read_words, tag_words, word_lines
from tagger.runtime.options import TagOptions
from tagger.runtime.sentence_tagger import select_tasks
from tagger.runtime.stream import StreamingTagger
from tagger.serving.gate import STREAMED, Receive, Scope, Send
from tagger.serving.problems import describe_invalid, problem
from tagger.serving.service import ServedModel, Service
from tagger.text.documents import stream_sentences

JSON_LINES = "application/x-ndjson"
LONGEST_LINE = 1 << 20  # bytes
BLOCK_LINES = 64  # lines of the answer that are sent together
LONGEST_LOOKAHEAD = 100  # words; each word takes time proportional to it
MOST_PIECES = 16  # messages of a client that wait to be tagged


class DocumentLine(BaseModel):
    """A line of a body of JSON lines."""

    text: StrictStr


def stream_routes(service: Service) -> APIRouter:
    """Return the routes for texts that arrive in pieces."""
    router = APIRouter()

    async def tag_stream(
        request: Request,
        model: Annotated[str | None, Query(description="Name of a model; by default the first.")] = None,
        task: Annotated[list[str] | None, Query(description="Tasks to write; by default all.")] = None,
        scores: Annotated[bool, Query(description="Return the probability of each tag.")] = False,
        min_score: Annotated[float, Query(ge=0, le=1, description="Score threshold of spans.")] = 0.0,
    ) -> Response:
        """Tag a long document (`text/plain`) or many (`application/x-ndjson` with a `text` per line).

        The body has no maximum size; the answer begins before the body ends. It has the lines of
        `tagger tag --format jsonl`; documents of JSON lines are named by their index. An error after the
        first line is a last line with the key `error`.
        """
        chosen = service.find(model)
        options = TagOptions(tasks=select_tasks(chosen.tagger, task))
        pieces = _ThreadReader(request).pieces()
        is_lines = JSON_LINES in request.headers.get("content-type", "")
        write = _write_documents if is_lines else _write_document
        lines = write(chosen, pieces, options, scores, min_score)
        return _DuplexResponse(iterate_in_threadpool(_blocks(lines)), media_type=JSON_LINES)

    content = {"text/plain": {"schema": {"type": "string"}}, JSON_LINES: {"schema": {"type": "string"}}}
    router.add_api_route(
        STREAMED,
        tag_stream,
        methods=["POST"],
        summary="Tag long texts",
        response_class=Response,
        openapi_extra={"requestBody": {"required": True, "content": content}},
    )

    async def live(websocket: WebSocket) -> None:
        query = websocket.query_params
        await websocket.accept()
        try:
            model = service.find(query.get("model"))
            options = TagOptions(tasks=select_tasks(model.tagger, query.getlist("task")))
            streaming = StreamingTagger(model.tagger, lookahead=_lookahead(query.get("lookahead")))
        except InputError as error:
            await websocket.send_json({"error": problem(422, str(error), error.code)})
            await websocket.close(1008)
            return
        await _tag_live(websocket, model, streaming, options)

    router.add_api_websocket_route("/live", live)
    return router


def _lookahead(value: str | None) -> int:
    if value is None:
        return LOOKAHEAD
    if value.isascii() and value.isdigit() and len(value) < 4 and int(value) <= LONGEST_LOOKAHEAD:
        return int(value)
    raise InputError(
        f"lookahead must be a number of words from 0 to {LONGEST_LOOKAHEAD} (got {value[:20]!r}). Send one.",
        code="argument.value",
    )


class _DuplexResponse(StreamingResponse):
    """Response that is sent while the body arrives; its base would wait for the client's end, and drop it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        await self.stream_response(send)


class _ThreadReader:
    """Read a request's body from another thread than that of the event loop."""

    def __init__(self, request: Request) -> None:
        self._loop = asyncio.get_running_loop()
        self._stream: AsyncIterator[bytes] = request.stream()

    def pieces(self) -> Iterator[bytes]:
        """Yield the body's pieces; call from a thread."""
        while True:
            try:
                piece = asyncio.run_coroutine_threadsafe(_next(self._stream), self._loop).result()
            except (ClientDisconnect, CancelledError):
                raise InputError(
                    "the body ended early, or a piece of it took too long. Send it again.", code="input.size"
                ) from None
            if piece is None:
                return
            yield piece


async def _next(stream: AsyncIterator[bytes]) -> bytes | None:
    return await anext(stream, None)


def _write_document(
    model: ServedModel, pieces: Iterable[bytes], options: TagOptions, scores: bool, min_score: float
) -> Iterator[str]:
    sentences = stream_sentences(_lines(_decode(pieces)), model.tagger.tokenizer)
    tagged = model.tagger.tag_sentences(sentences, scores=scores, min_score=min_score)
    return _with_error(sentence_lines(tagged, options))


def _write_documents(
    model: ServedModel, pieces: Iterable[bytes], options: TagOptions, scores: bool, min_score: float
) -> Iterator[str]:
    def texts() -> Iterator[str]:
        for number, line in enumerate(_lines(_decode(pieces)), start=1):
            if line.strip():
                try:
                    yield DocumentLine.model_validate_json(line).text
                except ValidationError as error:
                    raise InputError(
                        describe_invalid(error.errors()), code="corpus.record", where=f"line {number}"
                    ) from None

    documents = model.tagger.pipe(texts(), batch_size=BLOCK_LINES, scores=scores, min_score=min_score)
    return _with_error(
        line
        for number, sentences in enumerate(documents)
        for line in sentence_lines(sentences, options, str(number))
    )


def _decode(pieces: Iterable[bytes]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for piece in pieces:
            yield decoder.decode(piece)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise InputError("the body must be UTF-8. Encode it.", code="corpus.encoding") from None


def _lines(pieces: Iterable[str]) -> Iterator[str]:
    """Yield lines with their ends; a line of more than ``LONGEST_LINE`` characters is split."""
    pending = ""
    for piece in pieces:
        pending += piece
        *lines, pending = pending.split("\n")
        yield from (f"{line}\n" for line in lines)
        if len(pending) > LONGEST_LINE:
            yield pending
            pending = ""
    if pending:
        yield pending


def _with_error(lines: Iterable[str]) -> Iterator[str]:
    try:
        yield from lines
    except InputError as error:
        yield json_line({"error": problem(422, str(error), error.code)})


def _blocks(lines: Iterator[str]) -> Iterator[str]:
    while block := "".join(islice(lines, BLOCK_LINES)):
        yield block


async def _tag_live(
    websocket: WebSocket, model: ServedModel, streaming: StreamingTagger, options: TagOptions
) -> None:
    """Send the lines of ``tagger tag --stream`` for text messages until the client sends an empty one."""
    loop = asyncio.get_running_loop()
    pieces: SimpleQueue[str] = SimpleQueue()
    free = asyncio.Semaphore(MOST_PIECES)

    def take() -> str:
        piece = pieces.get()
        loop.call_soon_threadsafe(free.release)
        return piece

    def tag() -> None:
        words = read_words(iter(take, ""), SPACE)
        tagged = tag_words(cut_words(words, model.tagger.tokenizer), streaming)
        for line in word_lines(tagged, options):
            asyncio.run_coroutine_threadsafe(websocket.send_text(line), loop).result()

    async def receive() -> None:
        try:
            while piece := await websocket.receive_text():
                await free.acquire()
                pieces.put(piece)
        except (WebSocketDisconnect, KeyError):  # the client has gone, or has sent bytes
            pass
        finally:
            pieces.put("")

    receiving = asyncio.create_task(receive())
    try:
        await run_in_threadpool(tag)
        await websocket.close()
    except (WebSocketDisconnect, RuntimeError):  # the client has gone
        pass
    finally:
        receiving.cancel()
        pieces.put("")
