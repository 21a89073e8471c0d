"""Run the app with uvicorn: limits on headers, and an orderly end."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
from asyncio import TimerHandle, Transport
from collections.abc import Callable
from contextlib import ExitStack
from types import FrameType

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tagger.errors import InputError
from tagger.serving.gate import Gate

HEADER_BYTES = 65_536
HEADER_SECONDS = 10.0
MESSAGE_BYTES = 65_536  # of a WebSocket client
POLL_SECONDS = 0.02  # while the server waits for the last answers
# While the model's thread runs Python code, the event loop waits this long for the interpreter's lock; the
# default of 5 ms would delay every answer.
SWITCH_SECONDS = 0.0005
YOUNG_OBJECTS = 5_000  # new objects before a collection; a batch of sentences has thousands
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class LimitedProtocol(HttpToolsProtocol):
    """HTTP connection that bounds the size of a request's headers and the time to send them."""

    _timer: TimerHandle | None = None
    _bytes = 0  # received while the headers are incomplete

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Wait for the headers of the first request."""
        super().connection_made(transport)
        self._start_timer()

    def on_message_begin(self) -> None:
        """Wait for the rest of a request's headers."""
        super().on_message_begin()
        self._start_timer()

    def on_headers_complete(self) -> None:
        """Stop waiting for headers."""
        self._stop_timer()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting for headers."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse bytes; reject headers that are too large."""
        super().data_received(data)
        if self._timer is not None:
            self._bytes += len(data)
            if self._bytes > HEADER_BYTES and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE)
                self.transport.close()

    def _start_timer(self) -> None:
        if self._timer is None:
            self._bytes = 0
            self._timer = self.loop.call_later(HEADER_SECONDS, self._close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self.transport.close()


class Server(uvicorn.Server):
    """Server that answers all admitted requests after SIGTERM or Ctrl-C, for a limited time.

    Meanwhile ``/health/ready`` and new requests get status 503; at the end of the time, the requests that
    are left get it too. A second signal ends the process at once.

    Args:
        gate: The app.
        host: The address to bind.
        port: The port; 0 for a free one.
        drain_seconds: Maximum time to answer the admitted requests.
        on_start: Called with the URL when the server accepts requests.

    Raises:
        InputError: The address cannot be bound.
    """

    def __init__(
        self, gate: Gate, *, host: str, port: int, drain_seconds: float, on_start: Callable[[str], object]
    ) -> None:
        config = uvicorn.Config(
            gate,
            http=LimitedProtocol,
            loop="uvloop" if sys.platform != "win32" else "asyncio",
            ws="websockets-sansio",
            ws_max_size=MESSAGE_BYTES,
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)
        self._gate = gate
        self._drain_seconds = drain_seconds
        self._on_start = on_start
        self._socket = _bind(host, port)
        self._drained: asyncio.Task[None] | None = None

    def serve_until_signal(self) -> None:
        """Serve until SIGTERM or Ctrl-C, and answer the admitted requests."""
        sys.setswitchinterval(SWITCH_SECONDS)
        # A collection that visits the models' objects stops all threads for up to a tenth of a second.
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS)
        self.run(sockets=[self._socket])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Load the app, then tell that the server accepts requests."""
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        host, port = self._socket.getsockname()[:2]
        self._on_start(f"http://{f'[{host}]' if ':' in host else host}:{port}")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end at the first signal; end the process at the second."""
        if self._gate.is_draining:
            os._exit(128 + sig)
        self._gate.drain()
        if self.started:
            self._loop.call_soon_threadsafe(self._start_drain)
        else:
            self.should_exit = True

    def _start_drain(self) -> None:
        self._drained = self._loop.create_task(self._drain())

    async def _drain(self) -> None:
        end = self._loop.time() + self._drain_seconds
        while self._gate.count and self._loop.time() < end:
            await asyncio.sleep(POLL_SECONDS)
        self._gate.stop()
        self.should_exit = True


def _bind(host: str, port: int) -> socket.socket:
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        with ExitStack() as stack:
            listening = stack.enter_context(socket.socket(family, kind, protocol))
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            stack.pop_all()  # keep it open
    except (OSError, OverflowError, UnicodeError) as error:
        problem = getattr(error, "strerror", None) or error
        raise InputError(
            f"cannot listen ({problem}). Pass another --host or --port.",
            code="option.value",
            where=f"{host}:{port}",
            option="--port",
        ) from None
    return listening
