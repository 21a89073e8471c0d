"""``tagger bulk --engine ray``: the files of processes, whatever is killed."""

import json
import os
import random
import subprocess
import sys
import time

import psutil
import pytest
from command_line import run
from input_errors import check

from tagger.corpus.text_tables import open_table
from tagger.errors import InputError
from tagger.runtime.bulk_plan import Shard
from tagger.runtime.options import TagOptions

pytest.importorskip("ray", reason="ray is not installed")
several = pytest.mark.skipif("TAGGER_RAY" not in os.environ, reason="takes minutes (set TAGGER_RAY=1)")
TEXTS = ["Ada met Otto in Oslo.", "Mia saw the sea near Bonn.", None, "The New Lima ship left"]


@pytest.fixture
def table(tmp_path):
    """Write a table of 150 shards."""
    records = [{"id": number, "body": TEXTS[number % 4]} for number in range(6000)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return tmp_path / "a.jsonl"


@pytest.fixture(scope="module")
def nodes():
    """Start a cluster of three nodes, the driver's without CPUs; yield it, and end all its processes."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        others = set(psutil.Process().children(recursive=True))
        small = {"object_store_memory": 100_000_000, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
        started = set(psutil.Process().children(recursive=True)) - others
        try:
            for _ in range(2):
                cluster.add_node(num_cpus=1, object_store_memory=100_000_000)
            started = set(psutil.Process().children(recursive=True)) - others
            patch.setenv("RAY_ADDRESS", cluster.address)
            yield cluster
        finally:
            cluster.shutdown()
            left = psutil.wait_procs(started, timeout=60)[1]
    assert [process for process in left if process.status() != psutil.STATUS_ZOMBIE] == []


def arguments(model, table, output, *more):
    names = ("--text-column", "body", "--output", output, "--shard-megabytes", 0.002)
    return ["bulk", "-m", model, table, *names, *more]


def start(*words):
    return subprocess.Popen(
        [sys.executable, "-m", "tagger", *map(str, words)], stderr=subprocess.PIPE, text=True
    )


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "plan.json"}


def wait_for_files(process, folder, count):
    deadline = time.monotonic() + 300
    while process.poll() is None and len(list(folder.glob("part-*"))) < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)  # polls the condition


def actors():
    """Return the processes that have tagged or wait for a shard."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::MapWorker"):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


@pytest.mark.slow
def test_the_files_are_those_of_processes_whatever_is_killed(model, table, nodes, tmp_path):
    assert run(*arguments(model, table, tmp_path / "whole"))[0] == 0
    generator, out = random.Random(1), tmp_path / "out"
    process = start(*arguments(model, table, out, "--engine", "ray", "--workers", 2))
    try:
        wait_for_files(process, out, 10)
        generator.choice(actors()).kill()
        wait_for_files(process, out, 60)
        nodes.remove_node(generator.choice(sorted(nodes.worker_nodes, key=id)), allow_graceful=False)
        _, error = process.communicate(timeout=300)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, "shards tagged: 6,000 rows" in error) == (0, True), error
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.slow
@several
def test_a_killed_driver_resumes_to_the_same_files(model, table, nodes, tmp_path):
    run(*arguments(model, table, tmp_path / "whole"))
    out = tmp_path / "out"
    command = arguments(model, table, out, "--engine", "ray", "--workers", 2)
    process = start(*command)
    try:
        wait_for_files(process, out, 20)
    finally:
        process.kill()
        process.communicate()
    assert len(list(out.glob("part-*"))) < len(contents(tmp_path / "whole"))
    process = start(*command, "--resume")
    assert (process.communicate(timeout=300)[1], process.returncode)[1] == 0
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.slow
@several
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Ray itself
def test_an_error_of_an_actor_is_that_of_the_run(model, table, nodes, tmp_path):
    from tagger.integrations.ray_data import tag_in_actors

    tables = [open_table(table, "body", None, ["spans"])]
    table.unlink()
    with pytest.raises(InputError) as error:
        list(tag_in_actors(tables, [Shard(0, 0, None)], tmp_path, TagOptions(model=model), 1))
    check(error.value, "file.missing", file=table)


def test_without_ray_one_sentence_names_the_extra(model, table, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "tagger.integrations.ray_data", raising=False)
    code, _, error = run(*arguments(model, table, tmp_path / "out", "--engine", "ray"))
    assert (code, error.count("\n")) == (2, 1)
    assert "Install the extra `ray`" in error


def test_an_unreachable_cluster_is_an_error(model, table, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    code, _, error = run(*arguments(model, table, tmp_path / "out", "--engine", "ray"))
    assert (code, error.count("\n"), "RAY_ADDRESS" in error) == (2, 1, True), error
