"""``tagger annotate`` as a process: it creates a project, opens it again, and loses nothing when killed."""

import os
import re
import subprocess
import sys
from time import monotonic, sleep

import psutil
import pytest
from annotation_desks import work_of
from command_line import run, run_error
from servers import LONGEST_WAIT, request

from tagger.annotation.store import AnnotationStore

TEXTS = '{"text": "Ada met Otto in Oslo. Otto left."}\n{"text": "Ada saw Oslo."}\n'


TIMEOUT_SECONDS = 300  # for a process of low priority


class Running:
    """A server process on a free port."""

    def __init__(self, *options):
        command = [sys.executable, "-m", "tagger", "annotate", "--port", "0", *map(str, options)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ)
        self.lines = []
        while line := self.process.stderr.readline():
            self.lines.append(line.rstrip())
            if match := re.search(r"annotating \S+ on (http://127\.0\.0\.1:\d+)", line):
                self.address = match[1]
                return
        raise AssertionError(self.lines)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(LONGEST_WAIT)
        self.process.stderr.close()

    def post(self, name, **body):
        status, answer = request(self.address, f"/annotation/{name}", body)
        assert status == 200, answer
        return answer


@pytest.mark.slow
def test_a_project_is_created_annotated_and_opened_after_a_kill(here, model):
    (here / "pool.jsonl").write_text(TEXTS)
    new = ("pool.jsonl", "--labels", "PER,LOC", "-m", model, "--project", "case.db")
    with Running(*new) as server:
        assert server.lines[0].endswith("case.db: 3 sentences added")
        assert request(server.address, "/health/ready")[0] == 200
        answer = server.post("next", annotator="ada")
        server.post("decide", key=answer["lease"]["key"], work=work_of(answer), seconds=1)
        left = server.post("next", annotator="ada")  # killed with this lease
    with Running(*new) as server:
        assert server.lines[0].endswith("case.db: 0 sentences added")
        progress = request(server.address, "/annotation/progress")[1]
        assert (progress["accepted"], len(progress["models"])) == (1, 1)
        other = server.post("next", annotator="bob")
        taken = {one["lease"]["sentence"] for one in (answer, left, other)}
        assert taken == {1, 2, 3}
        assert server.post("decide", key=left["lease"]["key"], work=None, seconds=1)
    with AnnotationStore("case.db") as store:
        assert [one.kind for one in store.annotations()] == ["accepted", "skipped"]
    assert run("convert", "case.db", "out.conll")[0] == 0


def test_invalid_options_are_errors(here, model):
    for labels in ("", "PER,", "PER,PER", "O", "?", "A\tB"):
        error = run_error("annotate", "--labels", labels, "--project", "case.db")
        assert "--labels must be different printable names" in error
    assert "case.db" in run_error("annotate", "--project", "case.db")
    assert not (here / "case.db").exists()
    assert "chunk" in run_error(
        "annotate", "--labels", "PER", "--project", "case.db", "-m", model, "--task", "chunk"
    )


def accept_all(server):
    """Accept every sentence without a span."""
    while (answer := server.post("next", annotator="ada"))["lease"] or answer["state"] == "preparing":
        if answer["lease"]:
            work = work_of(answer, spans=[])
            server.post("decide", key=answer["lease"]["key"], work=work, seconds=1)


def train(server):
    """Start a training, wait until it has copied the annotations, and return the server's child processes."""
    server.post("training/start")
    deadline = monotonic() + TIMEOUT_SECONDS
    while not (state := request(server.address, "/annotation/training")[1])["is_unfinished"]:
        assert state["is_running"], state
        assert monotonic() < deadline
        sleep(0.1)  # between two looks; the condition decides
    return psutil.Process(server.process.pid).children(recursive=True)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")
def test_a_training_ends_with_the_server_and_is_resumed(here):
    (here / "pool.jsonl").write_text('{"text": "Ada met Otto in Oslo. Otto left. Mia saw Oslo."}\n')
    with Running("pool.jsonl", "--labels", "PER,LOC", "--project", "case.db") as server:
        accept_all(server)
        children = train(server)
        assert children
        server.process.terminate()
        assert server.process.wait(LONGEST_WAIT) == 0
        assert psutil.wait_procs(children, LONGEST_WAIT)[1] == []
    with Running("--project", "case.db") as server:
        assert request(server.address, "/annotation/training")[1]["is_unfinished"]
        children = train(server)
        server.process.kill()
        assert psutil.wait_procs(children, LONGEST_WAIT)[1] == []
    with AnnotationStore("case.db") as store:
        assert store.models() == []
