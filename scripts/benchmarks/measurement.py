"""What all benchmarks share: threads, interleaved runs, medians with intervals, tables, JSON files.

A machine is seldom quiet, so what is compared takes turns within one run, and ratios are taken round by
round; what the machine was and how busy is written beside the figures.
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

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
CONFIDENCE = 0.95
RESAMPLES = 9_999
PACKAGES = (
    "tagger",
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
"""They choose the kernels that numpy computes with, and may slow them, so they are written down."""

Cell = str | int | float | None
Clock = Literal["wall", "processor"]


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds that one run took by the clock, and of processors, those of child processes included."""

    wall: float
    processor: float


class Estimate(TypedDict):
    """A median over runs with its bootstrap interval (95 %)."""

    median: float
    low: float
    high: float
    runs: list[float]


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--threads", type=int, default=2, help="of everything that is measured [2]")
    options.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON files")
    return options


def fix_threads(count: int) -> None:
    """Start this script anew with ``count`` threads for every library, unless it was started so.

    Libraries read these variables when they are loaded, and numpy is by then.
    """
    wanted = dict.fromkeys(THREAD_VARIABLES, str(count))
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | wanted)


def time_once(run: Callable[[], object]) -> Timing:
    """Time one run; its result is let go only after the clock has stopped."""
    processor, wall = _processor_seconds(), time.perf_counter()
    result = run()
    timing = Timing(time.perf_counter() - wall, _processor_seconds() - processor)
    del result
    return timing


def interleave(
    runs: Mapping[str, Callable[[], object]], *, repeats: int = 5, warmups: int = 1, seed: int = 1
) -> dict[str, list[Timing]]:
    """Time several things in turns, each once a round, in an order that is drawn anew every round.

    Args:
        runs: What is timed, by name.
        repeats: Rounds that count.
        warmups: Rounds before them that do not.
        seed: Of the order.
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
    """The median of runs and its bootstrap interval (Efron 1979, percentile method, seed fixed)."""
    runs = [float(value) for value in values]
    if not runs:
        raise ValueError("there are no runs to take a median of")
    drawn = np.random.default_rng(0).choice(runs, (RESAMPLES, len(runs)))  # (resamples, runs)
    edge = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.median(drawn, axis=1), [edge, 1 - edge]).tolist()
    return {"median": float(np.median(runs)), "low": low, "high": high, "runs": runs}


def rates(count: int, timings: Iterable[Timing]) -> Estimate:
    """How many a second, by the clock, when every run did ``count`` of them."""
    return estimate(count / timing.wall for timing in timings)


def shares(ours: Sequence[Timing], theirs: Sequence[Timing], *, by: Clock = "wall") -> Estimate:
    """Our speed as a share of theirs, round by round, when both do the same amount of work.

    Args:
        ours: Our runs.
        theirs: Their runs, in the same rounds.
        by: ``processor`` asks what was spent instead of how long it took, which a busy machine changes less;
            a thread that waits for another may spend, too.
    """
    pairs = zip(ours, theirs, strict=True)
    return estimate(getattr(other, by) / getattr(own, by) for own, other in pairs)


def versions() -> dict[str, str]:
    """Python and every package here that figures depend on, "" where one is not installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = ""
    commit = subprocess.run(
        ["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return found | {"commit": commit.stdout.strip()}


def machine() -> dict[str, Cell]:
    """What this machine is, and how busy it is just now (load average: processes over the last minute)."""
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
    """Write ``NAME.json`` with its rows, the settings, the machine and the versions; return its path."""
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
        title: Stands above it.
        rows: A mapping each; what a row lacks stays empty.
        columns: From keys of the rows to headings; those that no row has are left out.
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
    """Print the machine and the versions, as they are written to JSON."""
    for facts in (machine(), versions()):
        print(" · ".join(f"{name} {value}" for name, value in facts.items() if value not in ("", None)))


def text_of(figure: object) -> str:
    """A figure as tables show it, with three or four digits that count; an interval stands in brackets."""
    if figure is None:
        return ""
    if isinstance(figure, Mapping):
        middle, low, high = (text_of(figure[key]) for key in ("median", "low", "high"))
        return middle if len(figure["runs"]) == 1 else f"{middle} [{low}, {high}]"
    if isinstance(figure, float):
        decimals = next((count for count, least in ((0, 100), (1, 10), (2, 1)) if abs(figure) >= least), 4)
        return f"{figure:,.{decimals}f}"
    return f"{figure:,}" if isinstance(figure, int) else str(figure)


def _processor_seconds() -> float:
    spent = os.times()  # in hundredths of a second, which is too coarse for this process
    return time.process_time() + spent.children_user + spent.children_system


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _blas() -> str:
    """The library that numpy multiplies matrices with, and the kind of processor whose kernels it chose."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return ""
    found = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return ", ".join(
        dict.fromkeys(f"{library['internal_api']} {library.get('architecture', '')}" for library in found)
    )


def _memory_gigabytes() -> Cell:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError, OSError):
        return None
