"""Kill parts of `tagger bulk` at random moments, resume it, and compare its files with an undisturbed run's.

    python scripts/benchmarks/bulk_kills.py --text moby_dick.txt [--kills 50] [--victim worker]…

Victims: a worker process or the driver of the engine `processes`, and with Ray a worker (ray-worker), the
driver (ray-driver) or one of two nodes that are not the driver's (ray-node). One kill in five is at a random
time of the run, its start included; the others follow a random number of finished shards. A run that has
failed is resumed by processes. Exits with code 1 if a file differs. Needs the extra `ray`.
"""

import argparse
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
from bulk import write_table
from measurement import parser, show, show_machine, write_results

VICTIMS = ("worker", "driver", "ray-worker", "ray-driver", "ray-node")
WORKER_NAMES = {"processes": "spawn_main", "ray": "ray::MapWorker"}
N_SHARDS = 20
Row = dict[str, object]


def main() -> None:
    options = parse()
    show_machine()
    os.environ.update(OMP_NUM_THREADS="1", RAY_USAGE_STATS_ENABLED="0")
    victims = options.victim or VICTIMS
    generator = random.Random(options.seed)
    counts = {victim: Counter[str]() for victim in victims}
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder), options)
        for number in range(options.kills):
            victim = victims[number % len(victims)]
            result = trial.kill(victim, generator)
            counts[victim].update(result)
            print(f"{number + 1} of {options.kills}: {victim}, {result}", flush=True)
    rows: list[Row] = [{"name": victim, **counts[victim]} for victim in victims]
    show("kills of `tagger bulk`", rows, COLUMNS)
    settings = {name: getattr(options, name) for name in ("kills", "rows", "seed")}
    print(write_results("bulk_kills", options.results, rows, settings))
    sys.exit(any(row.get("equal") != row["kills"] for row in rows))


def parse() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--text", type=Path, required=True, help="raw text, UTF-8")
    options.add_argument("--kills", type=int, default=50, help="number of kills [50]")
    options.add_argument("--victim", action="append", choices=VICTIMS, help="kill only this (repeatable)")
    options.add_argument("--rows", type=int, default=2000, help="paragraphs in the table [2000]")
    options.add_argument("--seed", type=int, default=1)
    return options.parse_args()


class Trial:
    """A table, its tagged files from an undisturbed run, and disturbed runs that must write the same.

    Args:
        folder: Folder for all files.
        options: The command line.
    """

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self._folder = folder
        self._table = folder / "table.jsonl"
        write_table(options.text, self._table, n_rows=options.rows)
        self._megabytes = self._table.stat().st_size / N_SHARDS / 1e6
        self._seconds: dict[str, float] = {}
        self.wanted: dict[str, bytes] = {}
        for engine in WORKER_NAMES:
            start = time.perf_counter()
            subprocess.run(self._command(engine, folder / engine), check=True)
            self._seconds[engine] = time.perf_counter() - start
            files = contents(folder / engine)
            assert not self.wanted or files == self.wanted, "Ray and processes write different files"
            self.wanted = files

    def kill(self, victim: str, generator: random.Random) -> dict[str, int]:
        """Start a run, kill the victim at a random moment, resume if the run has failed, and compare."""
        engine = "ray" if victim.startswith("ray") else "processes"
        output = self._folder / f"killed-{generator.getrandbits(64):016x}"
        nodes = ray_nodes() if victim == "ray-node" else contextlib.nullcontext()
        with nodes as cluster:
            environment = os.environ | ({"RAY_ADDRESS": cluster.address} if cluster else {})
            process = subprocess.Popen(self._command(engine, output), env=environment)
            self._wait(process, output, self._seconds[engine], generator)
            n_before = len(list(output.glob("part-*")))
            if cluster:
                cluster.remove_node(generator.choice(cluster.workers), allow_graceful=False)
                was_killed = True
            else:
                was_killed = kill_process(process, victim, WORKER_NAMES[engine], generator)
            code = process.wait(timeout=600)
        if code:
            subprocess.run([*self._command("processes", output), "--resume"], check=True)
        is_equal = contents(output) == self.wanted
        return {
            "kills": 1,
            "missed": int(not was_killed),
            "early": int(n_before == 0),
            "late": int(n_before == len(self.wanted)),
            "resumed": int(code != 0),
            "equal": int(is_equal),
        }

    def _wait(
        self, process: subprocess.Popen[bytes], output: Path, seconds: float, generator: random.Random
    ) -> None:
        """Wait until a random time within ``seconds``, or a random number of shards, or the end."""
        deadline = time.monotonic() + 600
        n_shards = 0 if generator.random() < 0.2 else generator.randrange(1, N_SHARDS)
        while n_shards and len(list(output.glob("part-*"))) < n_shards and time.monotonic() < deadline:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.01)
                return
        limit = self._seconds["processes"] / N_SHARDS if n_shards else seconds
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=generator.uniform(0, limit))

    def _command(self, engine: str, output: Path) -> list[str]:
        arguments = ["bulk", self._table, "--text-column", "text", "--output", output, "--engine", engine]
        arguments += ["--workers", 2, "--shard-megabytes", self._megabytes]
        return [sys.executable, "-m", "tagger", *map(str, arguments)]


def contents(folder: Path) -> dict[str, bytes]:
    """Return the shards of a run; workers of a killed driver may still write temporary files."""
    return {path.name: path.read_bytes() for path in folder.glob("part-*")}


def kill_process(process: subprocess.Popen[bytes], victim: str, name: str, generator: random.Random) -> bool:
    """Kill the driver, or one of its workers; return False if there is none."""
    try:
        driver = psutil.Process(process.pid)
        workers = [
            child
            for child in driver.children(recursive=True)
            if any(name in part for part in child.cmdline())
        ]
        target = driver if victim.endswith("driver") else generator.choice(workers)
        target.kill()
    except (psutil.NoSuchProcess, psutil.ZombieProcess, IndexError):
        return False
    return True


class Cluster:
    """Three Ray nodes on this machine: the driver's without workers, and two with one CPU each."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster as LocalCluster

        store = {"object_store_memory": 100_000_000, "include_dashboard": False}
        self._cluster = LocalCluster(initialize_head=True, head_node_args={"num_cpus": 0, **store})
        self.workers = [self._cluster.add_node(num_cpus=1, object_store_memory=10**8) for _ in range(2)]
        self._cluster.wait_for_nodes()
        self.address = self._cluster.address
        self.remove_node = self._cluster.remove_node
        self.shutdown = self._cluster.shutdown


@contextlib.contextmanager
def ray_nodes() -> Iterator[Cluster]:
    """Start the nodes; end all their processes afterwards."""
    cluster = Cluster()
    try:
        yield cluster
    finally:
        cluster.shutdown()


COLUMNS = {
    "name": "victim",
    "kills": "kills",
    "missed": "no victim yet or any more",
    "early": "before the first file",
    "late": "after the last file",
    "resumed": "resumed",
    "equal": "equal files",
}

if __name__ == "__main__":
    main()
