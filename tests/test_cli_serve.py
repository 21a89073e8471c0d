"""``tagger serve`` as a process: it starts, answers, and ends in order."""

import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from command_line import run, run_error
from servers import LONGEST_WAIT, request

pytestmark = pytest.mark.slow


class Running:
    """A server process on a free port."""

    def __init__(self, model, *options, **variables):
        command = [sys.executable, "-m", "tagger", "serve", "-m", str(model), "--port", "0", *options]
        environment = os.environ | variables
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        line = self.process.stderr.readline()
        match = re.search(r"serving \S+ on (http://127\.0\.0\.1:\d+)", line)
        assert match, line + self.process.stderr.read()
        self.address = match[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(LONGEST_WAIT)
        self.process.stderr.close()

    def signal(self, number):
        self.process.send_signal(number)

    def end(self):
        return self.process.wait(LONGEST_WAIT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_starts_tags_and_ends(model, number):
    with Running(model) as server:
        assert request(server.address, "/health/ready") == (200, b"ready\n")
        lines = {"Accept": "application/x-ndjson"}
        status, answer = request(server.address, "/tag", {"text": "Ada met Otto."}, lines)
        expected = run("tag", "-m", model, "--format", "jsonl", "--text", "Ada met Otto.")[1]
        assert (status, answer.decode()) == (200, expected)
        server.signal(number)
        assert server.end() == 0
        assert server.process.stderr.read() == ""


def test_a_second_signal_ends_the_process_at_once(model):
    with Running(model, "--drain-seconds", "1000", "--max-bytes", "100000000") as server:
        body = {"text": "Ada met Otto in Oslo. " * 400_000}
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(request, server.address, "/tag", body)
            while b"tagger_waiting_requests 1.0" not in request(server.address, "/metrics")[1]:
                assert not answer.done()
            server.signal(signal.SIGTERM)
            while request(server.address, "/health/ready")[0] != 503:
                assert not answer.done()
            server.signal(signal.SIGTERM)
            assert server.end() == 128 + signal.SIGTERM
            assert isinstance(answer.exception(), OSError)


def test_the_token_comes_from_the_environment(model):
    with Running(model, TAGGER_TOKEN="sesame") as server:
        assert request(server.address, "/tag", {"text": "Ada"})[0] == 401
        headers = {"Authorization": "Bearer sesame"}
        assert request(server.address, "/tag", {"text": "Ada"}, headers)[0] == 200


def test_invalid_options_are_errors(model, monkeypatch):
    assert "cannot listen" in run_error("serve", "-m", model, "--host", "no.such.host.invalid")
    assert "no such folder" in run_error("serve", "-m", "missing")
    assert "two models must not have the same name" in run_error("serve", "-m", model, "-m", model)
    monkeypatch.setenv("TAGGER_TOKEN", " ")
    assert "TAGGER_TOKEN: must be printable" in run_error("serve", "-m", model)


def test_a_missing_package_is_named(model, monkeypatch):
    find_spec = __import__("importlib.util").util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "uvicorn" else find_spec(name)
    )
    message = "`tagger serve` needs the package uvicorn. Install the extra `serve` (see README)."
    assert run_error("serve", "-m", model) == message


def test_serving_loads_no_torch():
    code = "import sys; from tagger.serving import http_app, server; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "torch" not in output.split()


def test_a_compared_model_is_shown_by_the_page(model, pos_model):
    with Running(model, "--compare", str(pos_model)) as server:
        status, listed = request(server.address, "/page/models")
        assert status == 200
        assert [one["name"] for one in listed["models"]] == [model.name]
        assert listed["compare"]["name"] == pos_model.name
        assert [task["name"] for task in listed["compare"]["tasks"]] == ["pos"]
        thresholds = {task["name"]: task["thresholds"] for task in listed["models"][0]["tasks"]}
        assert [point["min_score"] for point in thresholds["ner"]][-2:] == [0.95, 0.99]
        status, answer = request(server.address, "/next-words", {"text": "Ada met", "model": pos_model.name})
        assert status == 200
        assert [len(prefix["tags"]["pos"]) for prefix in answer["sentences"][0]["prefixes"]] == [1, 2]
        status, problem = request(server.address, "/next-words", {"text": "Ada", "model": "other"})
        assert (status, problem["code"]) == (404, "bundle.missing")
        assert request(server.address, "/next-words", {"texts": "Ada"})[0] == 422
