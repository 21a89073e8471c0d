"""Measure the time of a training epoch on a CoNLL file, with the settings of NCRF++ and of the recipe.

    python scripts/benchmarks/training.py --train eng.train --vectors glove.6B.100d.txt

The settings of NCRF++ are those of its demo on CoNLL-2003: 100 units per direction, a character CNN with 50
filters, no casing, plain SGD in batches of 10, no clipping, no weight average. The recipe is
scripts/recipes/conll2003.toml. The time of an epoch includes all its steps (batches, loss, gradient, update),
but neither reading files nor scoring dev. Settings take turns. On a busy machine, processor seconds are more
reliable than wall-clock seconds.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measurement import Timing, estimate, fix_threads, parser, show, show_machine, write_results

from tagger.config import Config
from tagger.config_loading import load_config
from tagger.training.loop import EpochRecord, train
from tagger.training.preparation import prepare

RECIPE = Path(__file__).resolve().parent.parent / "recipes" / "conll2003.toml"
SETTINGS: dict[str, dict[str, Any]] = {
    "NCRF++": {
        "model.hidden_size": 100,
        "model.character_width": 3,
        "model.casing_size": 0,
        "model.context": "sentence",
        "train.learning_rate": 0.015,
        "train.schedule": "inverse_time",
        "train.momentum": 0.0,
        "train.clip": 0.0,
        "train.ema": 0.0,
    },
    "recipe": {},
}


COLUMNS = {
    "name": "",
    "units": "units per direction",
    "batch": "batch",
    "seconds": "s",
    "processor": "processor s",
}


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--train", type=Path, required=True, help="CoNLL-2003 file to train on")
    options.add_argument("--vectors", type=Path, required=True, help="static word vectors")
    options.add_argument("--epochs", type=int, default=3, help="epochs of each setting [3]")
    options.set_defaults(threads=1)
    arguments = options.parse_args()
    fix_threads(arguments.threads)
    show_machine()
    # Skip vectors of words that are not in train: training does not use them, and reading them is slow.
    common = {
        "model.vectors_limit": 0,
        "train.threads": arguments.threads,
        "train.epochs": arguments.epochs,
    }
    configs = {name: load_config(RECIPE, {**common, **changes}) for name, changes in SETTINGS.items()}
    running = {name: time_epochs(config, arguments) for name, config in configs.items()}
    timings: dict[str, list[Timing]] = {name: [] for name in configs}
    for _ in range(arguments.epochs):
        for name, epochs in running.items():
            timings[name].append(next(epochs))
    rows = [
        {
            "name": name,
            "units": configs[name].model.hidden_size,
            "batch": configs[name].train.batch_size,
            "seconds": estimate(timing.wall for timing in epochs),
            "processor": estimate(timing.processor for timing in epochs),
        }
        for name, epochs in timings.items()
    ]
    show(f"one training epoch, threads: {arguments.threads}", rows, COLUMNS)
    settings = {"threads": arguments.threads, "epochs": arguments.epochs}
    print(write_results("training", arguments.results, rows, settings))


def time_epochs(config: Config, files: argparse.Namespace) -> Iterator[Timing]:
    """Train; yield the timing of each epoch."""
    preparation = prepare(config, [files.train], [], files.vectors)
    start = time.perf_counter(), time.process_time()
    for record in train(preparation, config):
        if isinstance(record, EpochRecord):
            yield Timing(time.perf_counter() - start[0], time.process_time() - start[1])
            start = time.perf_counter(), time.process_time()


if __name__ == "__main__":
    main()
