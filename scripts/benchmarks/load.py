"""Load for HTTP servers: their processes, request bodies, wrk, and open and closed loops of our own.

A closed loop, as that of wrk, sends the next request after an answer, so that a slow server receives fewer
requests and its queue stays hidden. An open loop sends requests at given times, whatever the server does, and
counts latency from these times.
"""

import asyncio
import json
import re
import selectors
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, cycle, islice
from pathlib import Path
from typing import cast
from urllib.parse import SplitResult, urlsplit

import numpy as np
import psutil
from memory import NEW_WORD_INTERVAL, letters
from numpy.typing import NDArray

DATA = Path(__file__).resolve().parents[2] / "data"
SENTENCE_WORDS = 14
START_SECONDS = 60
MOST_CONNECTIONS = 900  # ``select`` allows 1024 file descriptors
WRK_SCRIPT = """
local requests, turn = {}, 0
function init(arguments)
  for line in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format("POST", "/tag", {["Content-Type"] = "application/json"}, line)
  end
end
function request()
  turn = turn % #requests + 1
  return requests[turn]
end
function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format('\\n{"requests": %d, "microseconds": %d, "failed": %d, "p50": %d, "p99": %d}\\n',
    summary.requests, summary.duration, failed, latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """Result of wrk: requests per second, and latency in milliseconds."""

    rate: float
    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Answers:
    """Result of an open loop, an entry per request: seconds since its start, and the status.

    Attributes:
        scheduled: When the request had to be sent. (N,)
        sent: When it was sent. (N,)
        received: When its answer was complete. (N,)
        status: The status of the answer. (N,)
    """

    scheduled: NDArray[np.float64]
    sent: NDArray[np.float64]
    received: NDArray[np.float64]
    status: NDArray[np.int64]

    def milliseconds(self, *statuses: int) -> NDArray[np.float64]:
        """Return the latencies, from the scheduled time, of answers with one of these statuses."""
        return 1000 * (self.received - self.scheduled)[np.isin(self.status, statuses)]

    @property
    def delays(self) -> NDArray[np.float64]:
        """Milliseconds between the scheduled time and that of sending: the delay of this generator."""
        return 1000 * (self.sent - self.scheduled)


def texts(size: int, *, interval: int = NEW_WORD_INTERVAL) -> Iterator[str]:
    """Yield texts without end: the words of this project's corpus in order, in sentences of 14 words.

    Args:
        size: The number of words of a text, the full stops included.
        interval: One word in this many is new.
    """
    lines = [line for path in sorted(DATA.glob("*.conll")) for line in path.read_text("utf-8").splitlines()]
    words = [line.split()[0] for line in lines if line and not line.startswith("#")]
    words = [word for word in words if word.isalpha()]
    numbers = count()
    renewed = (
        word if number % interval else word + letters(number // interval)
        for number, word in zip(numbers, cycle(words), strict=False)
    )
    while True:
        sentences = []
        for start in range(0, size, SENTENCE_WORDS):
            first, *others = islice(renewed, min(SENTENCE_WORDS, size - start) - 1)
            sentences.append(" ".join([first.capitalize(), *others]) + ".")
        yield " ".join(sentences)


def bodies(source: Iterator[str], number: int) -> list[bytes]:
    """Return the bodies of the next requests."""
    return [json.dumps({"text": text}).encode() for text in islice(source, number)]


@contextmanager
def served(*command: str) -> Iterator[tuple[str, psutil.Process]]:
    """Start a server that prints its address; yield the address and the process; stop it with SIGTERM."""
    with subprocess.Popen([sys.executable, *command], stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if address := re.search(r"http://[\w.:]+", line):
                    break
            else:
                sys.exit(f"{' '.join(command)} ended with {process.wait()}")
            yield address[0], psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(START_SECONDS)


def require_wrk() -> None:
    """End the program in one line if wrk is missing."""
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed. Install it, for instance with: apt-get install wrk")


def run_wrk(address: str, requests: Sequence[bytes], *, clients: int, seconds: float) -> ClosedLoop:
    """Send requests in a closed loop with wrk, one thread and ``clients`` connections."""
    with tempfile.TemporaryDirectory() as folder:
        script, lines = Path(folder, "requests.lua"), Path(folder, "requests.jsonl")
        script.write_text(WRK_SCRIPT, encoding="utf-8")
        lines.write_bytes(b"\n".join(requests))
        options = ["-t1", f"-c{clients}", f"-d{seconds:.0f}s", "--timeout", "30s", "-s", str(script)]
        output = subprocess.check_output(["wrk", *options, address, "--", str(lines)], text=True)
    result = json.loads(output.strip().splitlines()[-1])
    if result["failed"]:
        sys.exit(f"wrk: {result['failed']} of {result['requests']} requests failed")
    rate = 1e6 * result["requests"] / result["microseconds"]
    return ClosedLoop(rate, result["p50"] / 1000, result["p99"] / 1000)


class Connection(asyncio.Protocol):
    """A keep-alive connection with at most one request at a time.

    Args:
        host: The value of the header ``Host``.
        finished: Receives an error if the server closes the connection before this future is done.
        on_answer: Called with the connection and the status of each answer.
    """

    def __init__(
        self, host: str, finished: asyncio.Future[None], on_answer: Callable[["Connection", int], None]
    ) -> None:
        self._finished = finished
        self._head = (
            f"POST /tag HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: "
        )
        self._on_answer = on_answer
        self._received = b""
        self.request = 0  # index of the request, for ``on_answer``

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods only

    def send(self, body: bytes) -> None:
        """Send a request."""
        self._transport.write(f"{self._head}{len(body)}\r\n\r\n".encode() + body)

    def data_received(self, data: bytes) -> None:
        """Report an answer when it is complete."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if end and len(body) >= int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]):
            self._received = b""
            self._on_answer(self, int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        """End the load with an error if the server has closed the connection."""
        if not self._finished.done():
            self._finished.set_exception(ConnectionError("the server closed a connection"))

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()


async def connect(
    url: SplitResult, finished: asyncio.Future[None], on_answer: Callable[[Connection, int], None]
) -> Connection:
    """Open a connection; see ``Connection``."""
    _, connection = await asyncio.get_running_loop().create_connection(
        lambda: Connection(url.netloc, finished, on_answer), url.hostname, url.port
    )
    return connection


def poisson_times(rate: float, seconds: float, seed: int = 1) -> NDArray[np.float64]:
    """Draw the arrival times of a Poisson process of ``rate`` per second."""
    generator = np.random.default_rng(seed)
    number = generator.poisson(rate * seconds)
    return np.sort(generator.uniform(0, seconds, number))


def run_open_loop(address: str, requests: Sequence[bytes], times: NDArray[np.float64]) -> Answers:
    """Send a request at each of the times, in seconds from now; the requests are repeated.

    A request waits for a free connection if ``MOST_CONNECTIONS`` are busy; its latency counts from its time.
    """
    # ``select`` waits to the microsecond, epoll and uvloop only to the millisecond.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        return runner.run(_run_open(address, requests, times))


async def _run_open(address: str, requests: Sequence[bytes], times: NDArray[np.float64]) -> Answers:
    return await _OpenLoop(address, requests, times).run()


class _OpenLoop:
    """State of ``run_open_loop``."""

    def __init__(self, address: str, requests: Sequence[bytes], times: NDArray[np.float64]) -> None:
        self._loop = asyncio.get_running_loop()
        self._url = urlsplit(address)
        self._requests = requests
        self._times: list[float] = times.tolist()
        zeros = np.zeros(len(times))
        self._answers = Answers(times, zeros, zeros.copy(), zeros.astype(np.int64))
        self._due: deque[int] = deque()
        self._free: deque[Connection] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._connections = self._arrived = self._answered = 0
        self._finished: asyncio.Future[None] = self._loop.create_future()

    async def run(self) -> Answers:
        self._start = self._loop.time()
        self._arrive()
        await self._finished
        for connection in self._free:
            connection.close()
        return self._answers

    def _arrive(self) -> None:
        now = self._loop.time() - self._start
        while self._arrived < len(self._times) and self._times[self._arrived] <= now:
            self._due.append(self._arrived)
            self._arrived += 1
        if self._arrived < len(self._times):
            self._loop.call_at(self._start + self._times[self._arrived], self._arrive)
        self._send_due()

    def _send_due(self) -> None:
        while self._due and self._free:
            connection = self._free.popleft()  # the longest idle, so that the server closes none
            connection.request = self._due.popleft()
            self._answers.sent[connection.request] = self._loop.time() - self._start
            connection.send(self._requests[connection.request % len(self._requests)])
        while len(self._opening) < len(self._due) and self._connections < MOST_CONNECTIONS:
            self._connections += 1
            task = self._loop.create_task(self._connect())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _connect(self) -> None:
        self._free.append(await connect(self._url, self._finished, self._on_answer))
        self._send_due()

    def _on_answer(self, connection: Connection, status: int) -> None:
        self._answers.received[connection.request] = self._loop.time() - self._start
        self._answers.status[connection.request] = status
        self._answered += 1
        self._free.append(connection)
        if self._answered == len(self._times):
            self._finished.set_result(None)
        elif self._due:
            self._send_due()


def run_closed_loop(
    address: str, requests: Iterator[bytes], *, clients: int, on_answer: Callable[[int], object]
) -> None:
    """Send requests in a closed loop until there are no more.

    Args:
        address: The server's address.
        requests: The bodies.
        clients: Number of connections.
        on_answer: Called with the number of answers after each of them.
    """
    asyncio.run(_send_closed(address, requests, clients, on_answer))


async def _send_closed(
    address: str, requests: Iterator[bytes], clients: int, on_answer: Callable[[int], object]
) -> None:
    finished = asyncio.get_running_loop().create_future()
    answers, busy = count(1), clients

    def send_next(connection: Connection, status: int) -> None:
        nonlocal busy
        if finished.done():  # with an error
            return
        on_answer(next(answers))
        if status != 200:
            finished.set_exception(RuntimeError(f"an answer has status {status}"))
        elif (body := next(requests, None)) is not None:
            connection.send(body)
        else:
            busy -= 1
            if not busy:
                finished.set_result(None)

    connections = [await connect(urlsplit(address), finished, send_next) for _ in range(clients)]
    try:
        for connection in connections:
            connection.send(next(requests))
        await finished
    finally:
        for connection in connections:
            connection.close()
