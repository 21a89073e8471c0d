"""``tagger bulk``: shards, processes, kills and resuming."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import psutil
import pytest
from command_line import input_error, rows, run
from input_errors import check

from tagger.cli import bulk
from tagger.cli.bulk import ENGINES, EngineName
from tagger.runtime.bulk_shards import ShardCounts

TEXTS = ["Ada met Otto in Oslo.", "Mia saw the sea near Bonn.", None, "The New Lima ship left"]


@pytest.fixture
def table(tmp_path):
    records = [{"id": number, "body": TEXTS[number % 4]} for number in range(400)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return tmp_path / "a.jsonl"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "plan.json"}


def command(model, table, output, *more):
    names = ("--text-column", "body", "--output", output)
    return ("bulk", "-m", model, table, *names, "--shard-megabytes", 0.002, *more)


def test_the_shards_are_the_output_of_tag(model, table, tmp_path):
    code, output, error = run(*command(model, table, tmp_path / "out"))
    assert (code, output) == (0, "")
    assert error.startswith("tagger: 9 of 9 shards tagged: 400 rows, 1,600 words, ")
    parts = contents(tmp_path / "out")
    assert sorted(parts) == [f"part-{number:06d}.jsonl" for number in range(9)]
    found = rows(b"".join(parts[name] for name in sorted(parts)).decode())
    expected = rows(run("tag", "-m", model, table, "--text-column", "body")[1])
    for row, other in zip(found, expected, strict=True):
        for span in other["spans"] or ():
            span["score"] = pytest.approx(span["score"], abs=1e-5)
        assert row == other


def test_resuming_and_changes(model, table, tmp_path):
    out = tmp_path / "out"
    run(*command(model, table, out))
    whole = contents(out)
    check(input_error(*command(model, table, out)), "run.exists", file=out, option="--resume")
    for name in ("part-000003.jsonl", "part-000008.jsonl"):
        (out / name).unlink()
    (out / ".part-000007.errors.jsonl.0123abcd.new").write_text("of a killed worker")
    code, _, error = run(*command(model, table, out, "--resume"))
    assert code == 0
    assert "2 of 9 shards" in error
    assert contents(out) == whole
    error = input_error(*command(model, table, out, "--resume", "--min-score", "0.5"))
    check(error, "run.mismatch", file="plan.json", option="--resume", mentions="min score")


def test_rows_that_cannot_be_tagged(model, table, tmp_path):
    with table.open("a") as file:
        file.write('{"id": "bad", "body": 3}\n')
    for more in ((), ("--resume",)):  # the exit code is that of the whole run
        code, _, error = run(*command(model, table, tmp_path / "out", "--id-column", "id", *more))
        assert code == 1
        assert "errors.jsonl" in error
    (bad,) = rows((tmp_path / "out" / "part-000008.errors.jsonl").read_text())
    assert (bad["row"], bad["id"], bad["code"]) == (401, "bad", "corpus.record")


def test_the_size_of_a_shard_must_be_positive(model, table, tmp_path):
    for size in ("0", "-1", "nan", "inf"):
        arguments = ("--text-column", "body", "--output", tmp_path / "out", "--shard-megabytes", size)
        error = input_error("bulk", "-m", model, table, *arguments)
        check(error, "option.value", option="--shard-megabytes", mentions=size)


def test_the_progress_has_speed_and_time_left(monkeypatch):
    now = 100.0
    monkeypatch.setattr(bulk, "monotonic", lambda: now)
    progress = bulk._Progress(4)
    now += 10
    progress.add(ShardCounts(n_rows=5, n_errors=1, n_words=2_000))
    assert progress.describe() == "5 rows, 2,000 words, 200 words/s, 0:00:30 left"
    for _ in range(3):
        progress.add(ShardCounts(n_rows=5, n_errors=0, n_words=2_000))
    assert progress.describe() == "20 rows, 8,000 words, 800 words/s"


def test_every_engine_has_a_name():
    assert set(ENGINES) == set(get_args(EngineName))


@pytest.mark.slow
def test_processes_write_the_same_bytes(model, table, tmp_path):
    run(*command(model, table, tmp_path / "one"))
    assert run(*command(model, table, tmp_path / "two", "--workers", 2))[0] == 0
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def start(*arguments):
    command = [sys.executable, "-m", "tagger", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def wait_for(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)  # polls the condition


def workers_of(process):
    """Return the ids of the worker processes that a process has started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


@pytest.mark.slow
@pytest.mark.parametrize("n_shards", [0, 2, 5])
def test_a_killed_driver_resumes_to_the_same_bytes(model, table, tmp_path, n_shards):
    run(*command(model, table, tmp_path / "whole"))
    out = tmp_path / "out"
    process = start(*command(model, table, out))
    try:
        wait_for(lambda: process.poll() is not None or len(list(out.glob("part-*"))) >= n_shards)
    finally:
        process.kill()
        process.wait()
    assert run(*command(model, table, out, "--resume"))[0] == 0
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's /proc")
def test_a_killed_worker_ends_the_run_which_resumes_to_the_same_bytes(model, table, tmp_path):
    table.write_text(table.read_text() * 20)
    run(*command(model, table, tmp_path / "whole"))
    out = tmp_path / "out"
    process = start(*command(model, table, out, "--workers", 2))
    try:
        wait_for(lambda: process.poll() is not None or len(list(out.glob("part-*"))) >= 2)
        os.kill(workers_of(process)[0], signal.SIGKILL)
        assert process.wait(timeout=60) == 2
    finally:
        process.kill()
        process.wait()
    assert len(list(out.glob("part-*"))) < len(contents(tmp_path / "whole"))
    assert run(*command(model, table, out, "--resume", "--workers", 2))[0] == 0
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's /proc")
def test_workers_end_after_their_driver_was_killed(model, table, tmp_path):
    table.write_text(table.read_text() * 20)
    process = start(*command(model, table, tmp_path / "out", "--workers", 2))
    try:
        wait_for(lambda: process.poll() is not None or len(list((tmp_path / "out").glob("part-*"))) >= 2)
        workers = [psutil.Process(number) for number in workers_of(process)]
        assert len(workers) == 2
    finally:
        process.kill()
        process.wait()
    assert psutil.wait_procs(workers, timeout=60)[1] == []
