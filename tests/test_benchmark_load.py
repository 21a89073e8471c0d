"""The load of the server's benchmarks, sent to a server that notes what it receives; nothing is timed."""

import json
import shutil
from itertools import islice, pairwise

import numpy as np
import pytest
from load import (
    Answers,
    bodies,
    poisson_times,
    require_wrk,
    run_closed_loop,
    run_open_loop,
    run_wrk,
    served,
    texts,
)
from servers import serve
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from tagger import Tagger

SERVER = """
import http.server
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
print("listening on http://127.0.0.1:%d" % server.server_port, file=__import__("sys").stderr, flush=True)
server.serve_forever()
"""


@pytest.fixture
def noted():
    """Yield the address of a server, and the numbers in the bodies that it has received."""
    numbers = []

    async def tag(request):
        number = json.loads(await request.body())["text"]
        numbers.append(number)
        # Long answers arrive in several pieces.
        return JSONResponse({"x": "y" * 200_000 if number == "0" else ""}, 503 if number == "3" else 200)

    with serve(Starlette(routes=[Route("/tag", tag, methods=["POST"])])) as address:
        yield address, numbers


def numbered(count):
    return bodies(map(str, range(count)), count)


def test_arrivals_are_those_of_a_poisson_process():
    times = poisson_times(200, 50)
    gaps = np.diff(times)
    assert abs(len(times) - 10_000) < 400  # four standard deviations
    assert times.min() >= 0
    assert times.max() <= 50
    assert (gaps >= 0).all()
    # Exponential gaps: the standard deviation is the mean, and one in e exceeds it.
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)
    assert (gaps > gaps.mean()).mean() == pytest.approx(np.exp(-1), rel=0.05)
    assert poisson_times(200, 50).tolist() == times.tolist()


@pytest.mark.parametrize("size", [14, 500])
def test_texts_have_the_requested_number_of_tokens(model, size):
    tagger = Tagger.load(model)
    for text in islice(texts(size), 5):
        assert sum(map(len, tagger.tag(text))) == size


def test_new_words_are_new():
    words = [
        word.rstrip(".").lower() for text in islice(texts(14, interval=1), 2000) for word in text.split()
    ]
    assert len(set(words)) > 0.999 * len(words)  # a suffix may make another word
    some = [word for text in islice(texts(14), 2000) for word in text.split()]
    assert len(set(some)) < 0.5 * len(some)


def test_an_open_loop_sends_each_request_once_and_notes_its_status(noted):
    address, numbers = noted
    answers = run_open_loop(address, numbered(50), np.linspace(0, 0.05, 50))
    assert sorted(map(int, numbers)) == list(range(50))
    assert answers.status.tolist() == [503 if number == 3 else 200 for number in range(50)]
    assert (answers.sent >= answers.scheduled).all()
    assert (answers.received > answers.sent).all()


def test_requests_are_repeated(noted):
    address, numbers = noted
    run_open_loop(address, numbered(2), np.zeros(5))
    assert sorted(numbers) == ["0", "0", "0", "1", "1"]


def test_latency_counts_from_the_scheduled_time():
    answers = Answers(*np.array([[1.0, 2.0], [1.5, 2.0], [3.0, 2.25]]), np.array([200, 503]))
    assert answers.milliseconds(200).tolist() == [2000]
    assert answers.milliseconds(200, 503).tolist() == [2000, 250]
    assert answers.delays.tolist() == [500, 0]


def test_a_closed_loop_sends_each_request_once(noted):
    address, numbers = noted
    counts = []
    requests = [body for number, body in enumerate(numbered(30)) if number != 3]
    run_closed_loop(address, iter(requests), clients=4, on_answer=counts.append)
    assert sorted(map(int, numbers)) == [number for number in range(30) if number != 3]
    assert counts == list(range(1, 30))


def test_an_error_ends_a_closed_loop(noted):
    with pytest.raises(RuntimeError, match="status 503"):
        run_closed_loop(noted[0], iter(numbered(30)), clients=4, on_answer=int)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_wrk_sends_the_requests_in_turn(noted):
    address, numbers = noted
    result = run_wrk(address, numbered(3), clients=1, seconds=1)
    assert {(int(after) - int(before)) % 3 for before, after in pairwise(numbers)} == {1}
    assert result.rate > 0
    assert 0 < result.p50 <= result.p99
    with pytest.raises(SystemExit, match="requests failed"):
        run_wrk(address, numbered(4), clients=1, seconds=1)


def test_wrk_is_missed_in_one_line(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match="wrk is not installed"):
        require_wrk()


def test_a_server_runs_as_long_as_it_is_used():
    with served("-c", SERVER) as (address, process):
        assert address.startswith("http://127.0.0.1:")
        assert process.is_running()
    assert not process.is_running()
    with pytest.raises(SystemExit, match="ended with 3"), served("-c", "raise SystemExit(3)"):
        pass
