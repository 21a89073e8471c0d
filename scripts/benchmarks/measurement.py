"""Shared by all benchmarks: threads, interleaved runs, medians with intervals, tables, JSON files.

Machines are rarely idle. Compared runs therefore take turns, ratios are computed round by round, and the
results include the machine and its load.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np
from rich.console import Console
from rich.table import Table

import tagger

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
CONFIDENCE = 0.95
RESAMPLES = 9_999
PACKAGES = (
    "numpy",
    "onnxruntime",
    "torch",
    "sklearn-crfsuite",
    "python-crfsuite",
    "spacy",
    "thinc",
    "flair",
)
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
BLAS_VARIABLES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Variables that select the BLAS kernels of numpy and can slow them down; saved with the results."""

Cell = str | int | float | None
Clock = Literal["wall", "processor"]


@dataclass(frozen=True, slots=True)
class Timing:
    """Wall-clock and processor seconds of one run, including child processes."""

    wall: float
    processor: float


class Estimate(TypedDict):
    """A median over runs with its bootstrap interval (95 %)."""

    median: float
    low: float
    high: float
    runs: list[float]


def parser(description: str | None) -> argparse.ArgumentParser:
    """Create a parser with the options of all benchmarks."""
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--threads", type=int, default=2, help="threads of all measured programs [2]")
    options.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON files")
    return options


def fix_threads(count: int) -> None:
    """Restart this script with ``count`` threads for every library, unless they are already set.

    Libraries read these variables at import time, and numpy is already imported.
    """
    variables = dict.fromkeys(THREAD_VARIABLES, str(count))
    if any(os.environ.get(name) != value for name, value in variables.items()):
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | variables)


def time_once(run: Callable[[], object]) -> Timing:
    """Time one run, without the time to free its result."""
    processor, wall = _processor_seconds(), time.perf_counter()
    result = run()
    timing = Timing(time.perf_counter() - wall, _processor_seconds() - processor)
    del result
    return timing


def interleave(
    runs: Mapping[str, Callable[[], object]], *, repeats: int = 5, warmups: int = 1, seed: int = 1
) -> dict[str, list[Timing]]:
    """Time several runs in turns, each once per round, in a new random order every round.

    Args:
        runs: Functions to time, by name.
        repeats: Number of timed rounds.
        warmups: Number of untimed rounds before them.
        seed: Seed of the order.
    """
    generator = random.Random(seed)
    timings: dict[str, list[Timing]] = {name: [] for name in runs}
    for number in range(warmups + repeats):
        for name in generator.sample(list(runs), len(runs)):
            timing = time_once(runs[name])
            if number >= warmups:
                timings[name].append(timing)
    return timings


def estimate(values: Iterable[float]) -> Estimate:
    """Estimate the median of runs and its bootstrap interval (Efron 1979, percentile method, fixed seed)."""
    runs = [float(value) for value in values]
    if not runs:
        raise ValueError("values: no runs to estimate a median from. Pass at least one value.")
    drawn = np.random.default_rng(0).choice(runs, (RESAMPLES, len(runs)))  # (resamples, runs)
    edge = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.median(drawn, axis=1), [edge, 1 - edge]).tolist()
    return {"median": float(np.median(runs)), "low": low, "high": high, "runs": runs}


def rates(count: int, timings: Iterable[Timing], *, by: Clock = "wall") -> Estimate:
    """Estimate items per second of a clock, for runs that process ``count`` items each."""
    return estimate(count / getattr(timing, by) for timing in timings)


def shares(ours: Sequence[Timing], theirs: Sequence[Timing], *, by: Clock = "wall") -> Estimate:
    """Estimate our speed as a share of theirs, round by round, for the same amount of work.

    Args:
        ours: Timings of our runs.
        theirs: Timings of their runs in the same rounds.
        by: ``processor`` compares processor time instead of wall-clock time. It depends less on the load of
            the machine, but includes threads that wait actively for others.
    """
    pairs = zip(ours, theirs, strict=True)
    return estimate(getattr(their, by) / getattr(our, by) for our, their in pairs)


def versions() -> dict[str, str]:
    """Return the versions of Python and of all relevant packages; "" for missing packages."""
    versions_by_name = {"python": platform.python_version(), "tagger": tagger.__version__}
    for name in PACKAGES:
        try:
            versions_by_name[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions_by_name[name] = ""
    commit = subprocess.run(
        ["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return versions_by_name | {"commit": commit.stdout.strip()}


def machine() -> dict[str, Cell]:
    """Describe this machine and its current load (load average over the last minute)."""
    return {
        "processor": _processor_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": _memory_gigabytes(),
        "system": platform.platform(),
        "blas": _blas(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    } | {name.lower(): os.environ[name] for name in BLAS_VARIABLES if name in os.environ}


def write_results(
    name: str, folder: Path, rows: Sequence[Mapping[str, object]], settings: Mapping[str, object]
) -> Path:
    """Write ``NAME.json`` with rows, settings, machine and versions; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    lines = [
        f'"benchmark": {json.dumps(name)}',
        f'"machine": {json.dumps(machine())}',
        f'"versions": {json.dumps(versions())}',
        f'"settings": {json.dumps(settings)}',
        '"rows": [\n' + ",\n".join(f"  {json.dumps(row)}" for row in rows) + "\n ]",
    ]
    path.write_text("{\n " + ",\n ".join(lines) + "\n}\n", encoding="utf-8")
    return path


def show(title: str, rows: Sequence[Mapping[str, object]], columns: Mapping[str, str]) -> None:
    """Print rows as a table.

    Args:
        title: Title of the table.
        rows: One mapping per row; missing values stay empty.
        columns: Headings by row key; columns without any value are omitted.
    """
    filled = {key for row in rows for key, figure in row.items() if figure is not None}
    columns = {key: heading for key, heading in columns.items() if key in filled}
    table = Table(title=title, title_justify="left")
    for number, heading in enumerate(columns.values()):
        table.add_column(heading, justify="right" if number else "left")
    for row in rows:
        table.add_row(*(text_of(row.get(key)) for key in columns))
    Console(width=max(130, Console().width)).print(table, highlight=False)


def show_machine() -> None:
    """Print the machine and the versions that the JSON files contain."""
    for facts in (machine(), versions()):
        print(" · ".join(f"{name} {value}" for name, value in facts.items() if value not in ("", None)))


def text_of(figure: object) -> str:
    """Format a figure for tables with three or four significant digits; intervals in brackets."""
    if figure is None:
        return ""
    if isinstance(figure, Mapping):
        middle, low, high = (text_of(figure[key]) for key in ("median", "low", "high"))
        return middle if len(figure["runs"]) == 1 else f"{middle} [{low}, {high}]"
    if isinstance(figure, float):
        decimals = next((count for count, bound in ((0, 100), (1, 10), (2, 1)) if abs(figure) >= bound), 4)
        return f"{figure:,.{decimals}f}"
    return f"{figure:,}" if isinstance(figure, int) else str(figure)


def _processor_seconds() -> float:
    times = os.times()  # used for child processes only: its resolution is a hundredth of a second
    return time.process_time() + times.children_user + times.children_system


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _blas() -> str:
    """Return the BLAS library of numpy and the processor architecture of its kernels."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return ""
    libraries = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return ", ".join(
        dict.fromkeys(f"{library['internal_api']} {library.get('architecture', '')}" for library in libraries)
    )


def _memory_gigabytes() -> Cell:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError, OSError):
        return None
