"""Measure `tagger bulk` against `tagger tag --workers`: words per second, processor time, cost and memory.

    python scripts/benchmarks/bulk.py --text moby_dick.txt [--words 5000000] [--price 0.04]

The table repeats the paragraphs of the text; one word in 50 is new. All commands start with empty
caches and take turns; their times include the start of processes and of Ray. Memory is the resident memory of
all processes together; its peaks in both halves of a run show growth. --price is the price of one core for an
hour, in any currency.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import psutil
from measurement import (
    Timing,
    estimate,
    fix_threads,
    parser,
    rates,
    shares,
    show,
    show_machine,
    write_results,
)
from memory import MEGABYTE, pieces

SECONDS = 0.2  # between samples
ENDLESS = 10**15
Samples = list[tuple[float, float]]  # seconds since the start, resident bytes


def main() -> None:
    options = parse()
    fix_threads(1)  # per process
    show_machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = folder / "table.jsonl"
        n_words = write_table(options.text, table, n_words=options.words)
        commands = {
            "tag": ["tag", table, "--output", folder / "tag" / "table.jsonl"],
            "bulk, processes": ["bulk", table, "--output", folder / "processes"],
            "bulk, Ray": ["bulk", table, "--output", folder / "ray", "--engine", "ray"],
        }
        timings: dict[str, list[Timing]] = {name: [] for name in commands}
        peaks: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(options.repeats):
            for name, command in commands.items():
                output = Path(command[3])
                folder_of_output = output.parent if output.suffix else output
                shutil.rmtree(folder_of_output, ignore_errors=True)
                folder_of_output.mkdir()
                arguments = [*command, "--text-column", "text", "-m", options.model]
                timing, samples = run([*arguments, "--workers", options.workers])
                timings[name].append(timing)
                peaks[name].append(halves(samples))
    rows: list[dict[str, object]] = []
    for name, runs in timings.items():
        per_million = estimate(run.processor / n_words * 1e6 for run in runs)
        rows.append(
            {
                "name": name,
                "seconds": estimate(run.wall for run in runs),
                "words_per_second": rates(n_words, runs),
                "share": shares(runs, timings["tag"]),
                "processor_share": shares(runs, timings["tag"], by="processor"),
                "processor_per_million": per_million,
                "cost_per_million": per_million["median"] / 3600 * options.price,
                "first_half_mb": estimate(first for first, _ in peaks[name]),
                "second_half_mb": estimate(second for _, second in peaks[name]),
            }
        )
    show("`tagger bulk`", rows, COLUMNS)
    settings = {name: getattr(options, name) for name in ("workers", "repeats", "price")} | {"words": n_words}
    print(write_results("bulk", options.results, rows, settings | {"model": Path(options.model).name}))


def parse() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--text", type=Path, required=True, help="raw text, UTF-8")
    options.add_argument("--model", default="en", help="folder or name of our model [en]")
    options.add_argument("--words", type=int, default=5_000_000, help="words of the table [5000000]")
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--price", type=float, default=0.04, help="price of a core for an hour [0.04]")
    return options.parse_args()


def write_table(text: Path, path: Path, *, n_rows: int | None = None, n_words: int | None = None) -> int:
    """Write paragraphs as the column ``text`` of a JSONL table, up to a number; return its words."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        paragraphs = pieces(text.read_text(encoding="utf-8"), ENDLESS)
        for number, piece in enumerate(islice(paragraphs, n_rows), 1):
            paragraph = piece.decode().strip()
            file.write(json.dumps({"id": number, "text": paragraph}) + "\n")
            count += len(paragraph.split())
            if n_words and count >= n_words:
                break
    return count


def run(arguments: list[object]) -> tuple[Timing, Samples]:
    """Run a command to its end; sample processor time and memory of its processes, which may outlive it."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "tagger", *map(str, arguments)])
    root = psutil.Process(process.pid)
    processor: dict[int, float] = {}  # of each process, when it was last seen
    samples: Samples = []
    while process.poll() is None:
        resident = 0
        for one in [root, *root.children(recursive=True)] if root.is_running() else []:
            try:
                with one.oneshot():
                    times = one.cpu_times()
                    processor[one.pid] = times.user + times.system
                    resident += one.memory_info().rss
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
        samples.append((time.perf_counter() - start, resident))
        time.sleep(SECONDS)
    if process.returncode:
        sys.exit(f"{' '.join(map(str, arguments))} ended with {process.returncode}")
    return Timing(time.perf_counter() - start, sum(processor.values())), samples


def halves(samples: Samples) -> tuple[float, float]:
    """Return the peak in each half of the time, in MB."""
    middle = samples[-1][0] / 2
    first = max(resident for seconds, resident in samples if seconds <= middle)
    second = max(resident for seconds, resident in samples if seconds > middle)
    return first / MEGABYTE, second / MEGABYTE


COLUMNS = {
    "name": "",
    "seconds": "s",
    "words_per_second": "words/s",
    "share": "of `tag`, by time",
    "processor_share": "by processor time",
    "processor_per_million": "processor s per million words",
    "cost_per_million": "cost per million words",
    "first_half_mb": "peak, first half, MB",
    "second_half_mb": "second half, MB",
}

if __name__ == "__main__":
    main()
