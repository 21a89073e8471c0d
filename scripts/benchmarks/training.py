"""Measure how long an epoch of training takes on a CoNLL file, at NCRF++'s settings and at the recipe's.

    python scripts/benchmarks/training.py --train eng.train --vectors glove.6B.100d.txt

NCRF++'s settings are those of its demo on CoNLL-2003: 100 units a direction, a character CNN with 50 filters,
no casing, plain SGD in batches of 10, no clipping, no average of the weights. The recipe is
scripts/recipes/conll2003.toml. An epoch is all its steps: batches, loss, gradient, update; neither reading
files nor scoring dev. Settings take turns, and of several epochs the fastest counts; the others are in the
JSON file, with CPU seconds, which say more than seconds by the clock where other programs run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tagger.config import Config, load_config
from tagger.training.loop import EpochRecord, train
from tagger.training.preparation import prepare

HERE = Path(__file__).resolve().parent
RECIPE = HERE.parent / "recipes" / "conll2003.toml"
SETTINGS: dict[str, dict[str, Any]] = {
    "NCRF++": {
        "model.hidden_size": 100,
        "model.casing_size": 0,
        "train.momentum": 0.0,
        "train.clip": 0.0,
        "train.ema": 0.0,
    },
    "recipe": {},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", type=Path, required=True, help="CoNLL-2003 file to train on")
    parser.add_argument("--vectors", type=Path, required=True, help="static word vectors")
    parser.add_argument("--epochs", type=int, default=3, help="epochs of each setting (3)")
    parser.add_argument("--threads", type=int, default=1, help="of torch (1)")
    parser.add_argument("--json", type=Path, default=HERE / "results" / "training.json", help="file to write")
    arguments = parser.parse_args()

    # Vectors of words that train lacks play no part in training, and take long to read.
    common = {"model.vectors_limit": 0, "train.threads": arguments.threads, "train.epochs": arguments.epochs}
    configs = {name: load_config(RECIPE, {**common, **changes}) for name, changes in SETTINGS.items()}
    epochs = {name: measured(config, arguments) for name, config in configs.items()}
    results: dict[str, Any] = {name: [] for name in configs}
    for _ in range(arguments.epochs):
        for name, times in epochs.items():
            results[name].append(next(times))
    machine = describe_machine()
    report = {"machine": machine, "threads": arguments.threads, "epochs": results}
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    show(results, configs, machine)


def measured(config: Config, files: argparse.Namespace) -> Iterator[dict[str, float]]:
    """Train; yield the seconds of each epoch as it is done."""
    preparation = prepare(config, files.train, None, files.vectors)
    begun_wall, begun_cpu = time.perf_counter(), time.process_time()
    for record in train(preparation, config):
        if isinstance(record, EpochRecord):
            wall, cpu = time.perf_counter() - begun_wall, time.process_time() - begun_cpu
            yield {"wall_seconds": wall, "cpu_seconds": cpu, "loss": record.loss}
            begun_wall, begun_cpu = time.perf_counter(), time.process_time()


def describe_machine() -> dict[str, str | int | None]:
    info = Path("/proc/cpuinfo")
    names = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    model = next((line.partition(": ")[2] for line in names if line.startswith("model name")), "")
    return {
        "processor": model or platform.processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "numpy", "pytorch-crf")},
    }


def show(results: dict[str, Any], configs: dict[str, Config], machine: dict[str, Any]) -> None:
    table = Table(title="Seconds an epoch", caption=", ".join(f"{k} {v}" for k, v in machine.items()))
    for name in ("settings", "units a direction", "batch", "wall", "CPU"):
        table.add_column(name, justify="left" if name == "settings" else "right")
    for name, epochs in results.items():
        shape = (str(configs[name].model.hidden_size), str(configs[name].train.batch_size))
        lowest = (f"{min(epoch[key] for epoch in epochs):.1f}" for key in ("wall_seconds", "cpu_seconds"))
        table.add_row(name, *shape, *lowest)
    Console().print(table)


if __name__ == "__main__":
    main()
