"""Measure how long an epoch of training takes on a CoNLL file, at NCRF++'s settings and at the recipe's.

    python scripts/benchmarks/training.py --train eng.train --vectors glove.6B.100d.txt

NCRF++'s settings are those of its demo on CoNLL-2003: 100 units a direction, a character CNN with 50 filters,
no casing, plain SGD in batches of 10, no clipping, no average of the weights. The recipe is
scripts/recipes/conll2003.toml. An epoch is all its steps: batches, loss, gradient, update; neither reading
files nor scoring dev. Settings take turns; processor seconds say more than seconds by the clock where other
programs run meanwhile.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measurement import Timing, estimate, fix_threads, parser, show, show_machine, write_results

from tagger.config import Config, load_config
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
    "units": "units a direction",
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
    given = options.parse_args()
    fix_threads(given.threads)
    show_machine()
    # Vectors of words that train lacks play no part in training, and take long to read.
    common = {"model.vectors_limit": 0, "train.threads": given.threads, "train.epochs": given.epochs}
    configs = {name: load_config(RECIPE, {**common, **changes}) for name, changes in SETTINGS.items()}
    running = {name: time_epochs(config, given) for name, config in configs.items()}
    timings: dict[str, list[Timing]] = {name: [] for name in configs}
    for _ in range(given.epochs):
        for name, epochs in running.items():
            timings[name].append(next(epochs))
    rows = [
        {
            "name": name,
            "units": configs[name].model.hidden_size,
            "batch": configs[name].train.batch_size,
            "seconds": estimate(timing.wall for timing in its),
            "processor": estimate(timing.processor for timing in its),
        }
        for name, its in timings.items()
    ]
    show(f"an epoch of training, threads: {given.threads}", rows, COLUMNS)
    settings = {"threads": given.threads, "epochs": given.epochs}
    print(write_results("training", given.results, rows, settings))


def time_epochs(config: Config, files: argparse.Namespace) -> Iterator[Timing]:
    """Train; yield the seconds of each epoch as it is done."""
    preparation = prepare(config, [files.train], [], files.vectors)
    begun = time.perf_counter(), time.process_time()
    for record in train(preparation, config):
        if isinstance(record, EpochRecord):
            yield Timing(time.perf_counter() - begun[0], time.process_time() - begun[1])
            begun = time.perf_counter(), time.process_time()


if __name__ == "__main__":
    main()
