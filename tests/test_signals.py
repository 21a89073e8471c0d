"""SIGINT and SIGTERM at any moment: exit code 130 or 143, and nothing on standard error."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tagger.cli.main import main
from tagger.signals import exit_code, interrupts_blocked, interrupts_deferred, signals_handled

pytestmark = pytest.mark.slow

# Sends the signal at one of the program's imports or file openings; the first one is its start.
PROGRAM = """
import os, sys
number, moment, sys.argv = int(sys.argv[1]), int(sys.argv[2]), ["tagger", *sys.argv[3:]]
count, is_started = 0, False
def watch(event, given):
    global count, is_started
    is_started = is_started or (event == "import" and given[0] == "tagger.errors")
    if is_started and event in ("import", "open", "os.listdir", "_posixsubprocess.fork_exec"):
        count += 1
        if count == moment:
            os.kill(os.getpid(), number)
sys.addaudithook(watch)
from tagger.cli.main import main
code = main()
if moment == 0:
    print("moments", count)
is_started, moment = False, -1
sys.exit(code)
"""
MOMENTS = 5


def start(number: int, moment: int, *words: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", PROGRAM, str(number), str(moment), *map(str, words)]
    return subprocess.run(command, capture_output=True, timeout=120, check=False, input="", text=True)


@pytest.fixture(scope="module")
def text(folder: Path) -> Path:
    (folder / "a.txt").write_text("Ada met Otto in Oslo.\n" * 15_000)
    return folder / "a.txt"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_at_any_moment_ends_the_program_silently(model, text, tmp_path, workers):
    (tmp_path / "out").write_text("earlier")
    words = ("tag", "-m", model, text, "--workers", workers, "--output", tmp_path / "out")
    whole = start(signal.SIGTERM, 0, *words)
    assert (whole.returncode, whole.stderr) == (0, "")
    moments = int(whole.stdout.split()[-1])
    assert moments > 30
    contents = {"earlier", (tmp_path / "out").read_text()}
    for step in range(MOMENTS):
        moment = 1 + step * (moments - 1) // (MOMENTS - 1)
        number = (signal.SIGTERM, signal.SIGINT)[(step + workers) % 2]
        done = start(number, moment, *words)
        assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", ""), moment
        assert (tmp_path / "out").read_text() in contents
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


class Sender:
    """Raise a signal in the destructor, where Python drops exceptions."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def test_a_signal_in_a_destructor_is_not_lost(monkeypatch, capfd):
    reached: list[int] = []

    def work(*_: object, **__: object) -> None:
        Sender()
        reached.append(1)
        signal.pause()
        reached.append(2)

    monkeypatch.setattr("tagger.cli.app.app", work)
    assert main([]) == 143
    assert reached in ([1], [])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("error", [ImportError("half"), SystemError("NULL"), ValueError("odd"), None])
def test_the_exit_code_is_that_of_the_signal_for_any_exception(monkeypatch, capfd, error):
    def work(*_: object, **__: object) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            if error:
                raise error from None

    monkeypatch.setattr("tagger.cli.app.app", work)
    assert main([]) == 143
    assert capfd.readouterr() == ("", "")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_deferred_interruptions_are_raised_at_the_end_of_the_block():
    def run(hold: object) -> Iterator[str]:
        with signals_handled(is_program=False):
            try:
                with hold:
                    os.kill(os.getpid(), signal.SIGTERM)
                    yield "held"
                yield "lost"
            except KeyboardInterrupt:
                yield f"interrupted {exit_code(0)}"

    for hold in (interrupts_deferred(), interrupts_blocked()):
        assert list(run(hold)) == ["held", "interrupted 143"]
    with interrupts_blocked():  # child processes inherit this
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == {signal.SIGINT}
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()


def test_an_ignored_signal_stays_ignored(monkeypatch):
    def work(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("tagger.cli.app.app", work)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a program that a shell starts with &
    try:
        assert main([]) == 0
    finally:
        signal.signal(signal.SIGINT, before)
    assert main([]) == 130
