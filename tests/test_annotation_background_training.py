"""Training in a child process: its states, annotation meanwhile, and what ends the process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from annotation_projects import SETTINGS, annotate_corpus
from command_line import SMALL
from input_errors import raises

from tagger.annotation.background_training import BackgroundTraining, TrainingStatus
from tagger.annotation.model_versions import find_active
from tagger.annotation.project_records import Decision
from tagger.annotation.store import AnnotationStore
from tagger.corpus.loading import read_corpus

pytestmark = pytest.mark.slow
LONG = SMALL | {"train.epochs": 100_000}
TIMEOUT_SECONDS = 300
PARENT = """
import json, sys
from pathlib import Path
from tagger.annotation.background_training import BackgroundTraining

if __name__ == "__main__":
    location, folder, changes = sys.argv[1:]
    training = BackgroundTraining(location, Path(folder), changes=json.loads(changes), niceness=1)
    training.start()
    while training.status().state == "starting":
        pass
    print(training._process.pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def location(tmp_path, corpus):
    with AnnotationStore.create(tmp_path / "case.db", SETTINGS) as store:
        annotate_corpus(store, read_corpus(corpus / "train.conll", columns="token,pos,ner"))
    return tmp_path / "case.db"


def wait(condition):
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not (result := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)  # between two looks; the condition decides
    return result


def test_people_annotate_while_a_model_is_trained(location, tmp_path):
    training = BackgroundTraining(location, tmp_path / "models", changes=LONG, niceness=0)
    assert training.status() == TrainingStatus()
    assert training.stop() == TrainingStatus()
    training.start()
    try:
        with raises("run.exists"):
            training.start()
        wait(lambda: training.status().state == "training")
        with AnnotationStore(location) as store:
            store.record(store.lease("bob", 1, arm="audit").key, Decision(None))
            assert training.status().is_running
            other = BackgroundTraining(location, tmp_path / "models", changes=LONG, niceness=0)
            other.start()
            wait(lambda: not other.status().is_running)
            assert other.status().state == "failed"
            assert "another process is writing to this folder" in other.status().problem
            wait(lambda: training.status().epoch > 1)
            stopped = training.stop()
            assert (stopped.state, stopped.epochs, store.models()) == ("stopped", 100_000, [])
            # The options of an unfinished run cannot change, so that the new one has to replace it.
            training = BackgroundTraining(location, tmp_path / "models", changes=SMALL, niceness=0)
            training.start(restart=True)
            finished = wait(lambda: None if training.status().is_running else training.status())
            assert (finished.state, finished.epoch, finished.problem) == ("finished", 3, "")
            assert finished.version == find_active(store)
    finally:
        training.stop(seconds=0)


def test_the_child_ends_with_its_parent(location, tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    changes = str(LONG).replace("'", '"')
    parent = subprocess.Popen(
        [sys.executable, script, location, tmp_path / "models", changes],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    child = 0
    try:
        child = int(parent.stdout.readline())
        niceness = os.getpriority(os.PRIO_PROCESS, child) - os.getpriority(os.PRIO_PROCESS, parent.pid)
        assert niceness > 0
        parent.send_signal(signal.SIGKILL)
        parent.wait(TIMEOUT_SECONDS)
        wait(lambda: not is_alive(child))
        child = 0
    finally:
        parent.kill()
        parent.communicate()
        if child and is_alive(child):
            os.kill(child, signal.SIGKILL)
    with AnnotationStore(location) as store:
        assert store.models() == []


def test_a_server_that_trains_in_the_background_imports_nothing_for_training():
    code = "import sys; from tagger.annotation import background_training; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"torch", "scipy", "matplotlib", "typer", "fastapi"}


def is_alive(process):
    """True if a process runs; a zombie, whose parent does not ask for its exit code, does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_process_that_fails_or_is_killed_says_so(location, tmp_path):
    training = BackgroundTraining(
        location, tmp_path / "models", changes=LONG | {"train.epochs": -1}, niceness=0
    )
    training.start()
    wait(lambda: not training.status().is_running)
    assert training.status().state == "failed"
    assert "train.epochs must be" in training.status().problem
    training = BackgroundTraining(location, tmp_path / "models", changes=LONG, niceness=0)
    training.start(restart=True)
    try:
        wait(lambda: training.status().state == "training")
        training._process.kill()
        wait(lambda: not training.status().is_running)
        assert training.status().problem == "the process ended early (exit code -9)"
    finally:
        training.stop(seconds=0)
