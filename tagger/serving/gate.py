"""ASGI middleware between the server and the routes: who may enter, how many, how large, for how long."""

from __future__ import annotations

import asyncio
import hmac
from base64 import b64decode
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Literal
from urllib.parse import urlsplit

from starlette.middleware.cors import CORSMiddleware

from tagger.serving.monitoring import Monitor
from tagger.serving.page_routes import PAGE_FILES
from tagger.serving.problems import problem_response

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
End = Literal["gone", "late", "stopped"]

STREAMED = "/tag/stream"  # its body has no maximum size, and it may take longer than other requests
READY = ("/health/ready", "/v2/health/ready")
PROBES = ("/health/live", "/v2/health/live", *READY)
OPEN_TO_ALL = frozenset((*PROBES, *PAGE_FILES))  # the user of a page enters a token once it is there
RETRY = {"Retry-After": "1"}
CLOSE = {"Connection": "close"}  # after a body that is not read to its end
ENDS = {
    "late": "the request took too long and was not tagged. Send less text at once.",
    "stopped": "the server stops. Try again later.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of requests.

    Attributes:
        waiting: Maximum number of requests that are admitted and not yet answered.
        waiting_bytes: While the bodies of admitted requests have this size in total, others are refused. It
            bounds the wait, since the time of a request is proportional to its text.
        streams: Maximum number of streamed texts and of WebSocket connections, together.
        body_bytes: Maximum size of a body.
        body_seconds: Maximum time to send a body; for a streamed body, to send the next piece.
        seconds: Maximum time to answer, after the body.
    """

    waiting: int = 256
    waiting_bytes: int = 1 << 18
    streams: int = 8
    body_bytes: int = 1 << 20
    body_seconds: float = 10.0
    seconds: float = 30.0


class _Visit:
    """An admitted request, which can be ended from outside."""

    def __init__(self) -> None:
        self.task = asyncio.current_task()
        self.end: End | None = None
        self.has_answer = False
        self.size = 0  # of the body

    def cut(self, end: End) -> None:
        """End the request, unless something else has ended it."""
        if self.end is None and self.task is not None:
            self.end = end
            self.task.cancel()


class Gate:
    """Admit requests to an ASGI app.

    Requests beyond the limit are refused before their body is read. A request whose client has gone is
    cancelled, so that it is not tagged.

    Args:
        app: The app.
        limits: The limits.
        monitor: Counts the requests.
        token: The bearer token, or password of Basic authentication, of all requests but health probes and
            files of the page; None for none.
        origins: Origins of other pages that may send requests (CORS); ``*`` for all.
    """

    def __init__(
        self,
        app: App,
        limits: Limits,
        monitor: Monitor,
        *,
        token: str | None = None,
        origins: Sequence[str] = (),
    ) -> None:
        self._app = app
        self._origins = origins
        self._entry: App = self._enter
        if origins:  # outside of the limits, so that a page can read why it was refused
            self._entry = CORSMiddleware(
                self._enter, allow_origins=list(origins), allow_methods=["*"], allow_headers=["*"]
            )
        self._limits = limits
        self._monitor = monitor
        self._token = token.encode() if token else None
        self._visits: set[_Visit] = set()
        self._streams: set[_Visit] = set()
        self._bytes = 0  # of the bodies of admitted requests
        self.is_draining = False

    @property
    def count(self) -> int:
        """The number of admitted requests and streams that are not yet answered."""
        return len(self._visits) + len(self._streams)

    def drain(self) -> None:
        """Admit no more requests."""
        self.is_draining = True

    def stop(self) -> None:
        """Answer all admitted requests with status 503."""
        for visit in [*self._visits, *self._streams]:
            visit.cut("stopped")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an HTTP request or a WebSocket connection."""
        await self._entry(scope, receive, send)

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._connect(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        begin = perf_counter()
        status = 500

        async def send_counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._admit(scope, receive, send_counted)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._monitor.count_request(route, status, perf_counter() - begin)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._is_authorized(scope):
            headers = {"WWW-Authenticate": "Bearer"}
            await problem_response(401, "the bearer token is missing or wrong. Send it.", headers)(
                scope, receive, send
            )
            return
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            if self.is_draining and scope["path"] in READY:
                await self._refuse(scope, receive, send)
            else:
                await self._app(scope, receive, send)
            return
        is_stream = scope["path"] == STREAMED
        visits, most = (
            (self._streams, self._limits.streams) if is_stream else (self._visits, self._limits.waiting)
        )
        if self.is_draining or len(visits) >= most or self._bytes >= self._limits.waiting_bytes:
            await self._refuse(scope, receive, send)
            return
        visit = _Visit()
        visits.add(visit)
        self._monitor.set_waiting(len(self._visits))
        try:
            await self._visit(visit, scope, receive, send, is_stream=is_stream)
        finally:
            visits.remove(visit)
            self._bytes -= visit.size
            self._monitor.set_waiting(len(self._visits))

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        detail = "the server stops." if self.is_draining else "too many requests are waiting."
        await problem_response(503, f"{detail} Try again later.", RETRY)(scope, receive, send)

    async def _visit(
        self, visit: _Visit, scope: Scope, receive: Receive, send: Send, *, is_stream: bool
    ) -> None:
        async def send_noted(message: Message) -> None:
            visit.has_answer = True
            await send(message)

        try:
            if is_stream:
                await self._stream(scope, receive, send_noted)
            else:
                await self._tag(visit, scope, receive, send_noted)
        except asyncio.CancelledError:
            if visit.end is None or visit.task is None:
                raise
            visit.task.uncancel()
            if visit.end != "gone" and not visit.has_answer:
                await problem_response(503, ENDS[visit.end], RETRY)(scope, receive, send)

    async def _tag(self, visit: _Visit, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, then answer in time, as long as the client waits."""
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                body = await self._read_body(scope, receive, visit)
        except TimeoutError:
            rejection = problem_response(408, "the body arrives too slowly. Send it faster.", CLOSE)
        else:
            if body is not None:
                await self._answer_body(visit, body, scope, receive, send)
                return
            detail = f"the body must have at most {self._limits.body_bytes} bytes. Send less text at once."
            rejection = problem_response(413, detail, CLOSE)
        await rejection(scope, receive, send)

    async def _answer_body(
        self, visit: _Visit, body: bytes, scope: Scope, receive: Receive, send: Send
    ) -> None:
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._limits.seconds, visit.cut, "late")
        watch = loop.create_task(_watch_client(receive, visit))
        try:
            await self._app(scope, _replay(body), send)
        finally:
            timer.cancel()
            watch.cancel()

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a body of any size whose pieces arrive in time, to a client that reads in time."""

        async def receive_in_time() -> Message:
            try:
                async with asyncio.timeout(self._limits.body_seconds):
                    return await receive()
            except TimeoutError:
                return {"type": "http.disconnect"}

        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(self._limits.body_seconds):
                await send(message)

        await self._app(scope, receive_in_time, send_in_time)

    async def _read_body(self, scope: Scope, receive: Receive, visit: _Visit) -> bytes | None:
        """Return the body, or None if it is too large."""
        most = self._limits.body_bytes
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > most:
            return None
        self._count_bytes(visit, int(declared))
        pieces, size, has_more = [], 0, True
        while has_more:
            message = await receive()
            if message["type"] == "http.disconnect":
                visit.end = "gone"
                raise asyncio.CancelledError
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > most:
                return None
            self._count_bytes(visit, size)
            has_more = message.get("more_body", False)
        return b"".join(pieces)

    def _count_bytes(self, visit: _Visit, size: int) -> None:
        """Count the declared size of a body, or what has arrived of it if that is more."""
        self._bytes += max(0, size - visit.size)
        visit.size = max(visit.size, size)

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Accept or refuse a WebSocket connection."""
        is_free = not self.is_draining and len(self._streams) < self._limits.streams
        if not self._is_authorized(scope) or not self._is_known(scope) or not is_free:
            await receive()  # the connection request
            await send({"type": "websocket.close", "code": 1008 if is_free else 1013})
            return
        visit = _Visit()
        self._streams.add(visit)
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            if visit.end is None or visit.task is None:
                raise
            visit.task.uncancel()
            await send({"type": "websocket.close", "code": 1001})
        finally:
            self._streams.remove(visit)

    def _is_known(self, scope: Scope) -> bool:
        """Return True for a WebSocket from our page or no page; browsers do not check its origin."""
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"").decode("latin-1")
        is_ours = urlsplit(origin).netloc == headers.get(b"host", b"").decode("latin-1")
        return not origin or is_ours or origin in self._origins or "*" in self._origins

    def _is_authorized(self, scope: Scope) -> bool:
        if self._token is None or scope["path"] in OPEN_TO_ALL:
            return True
        scheme, _, token = dict(scope["headers"]).get(b"authorization", b"").partition(b" ")
        if scheme.lower() == b"basic":  # all that Label Studio can send; the password is the token
            try:
                token = b64decode(token).partition(b":")[2]
            except ValueError:
                return False
        # Compares in a time that does not depend on the number of equal characters.
        return scheme.lower() in (b"bearer", b"basic") and hmac.compare_digest(token.strip(), self._token)


def _replay(body: bytes) -> Receive:
    """Return a function that receives a body that was read before."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()  # ``_watch_client`` waits for the end of the connection
        raise AssertionError

    return receive


async def _watch_client(receive: Receive, visit: _Visit) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    visit.cut("gone")
