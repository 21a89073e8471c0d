"""Measure the resident memory of `tagger serve` while it answers requests of ever new words.

    python scripts/benchmarks/serving_memory.py [--model DIR] [--requests 1000000]

Each request has one sentence of 14 words, all of them new. Memory should not rise over the second half.
"""

import argparse
import json
import time
from itertools import islice
from pathlib import Path

import numpy as np
from load import SENTENCE_WORDS, run_closed_loop, served, texts
from measurement import fix_threads, parser, show, show_machine, write_results
from memory import MEGABYTE, slope, thin

INTERVAL = 500  # requests between samples
SERVER = ("-m", "tagger", "serve", "--port", "0", "--seconds", "600")  # however busy the machine is


def main() -> None:
    options = parse()
    fix_threads(options.threads)
    show_machine()
    row = measure(options)
    show("memory of `tagger serve`", [row], COLUMNS)
    settings = {name: getattr(options, name) for name in ("threads", "requests", "clients")}
    print(
        write_results(
            "serving_memory", options.results, [row], settings | {"model": Path(options.model).name}
        )
    )


def parse() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--model", default="en", help="folder or name of our model [en]")
    options.add_argument("--requests", type=int, default=1_000_000, help="number of requests [1000000]")
    options.add_argument("--clients", type=int, default=64, help="number of connections [64]")
    return options.parse_args()


def measure(options: argparse.Namespace) -> dict[str, object]:
    """Sample the server's memory, as a function of the number of answers."""
    requests = (json.dumps({"text": text}).encode() for text in texts(SENTENCE_WORDS, interval=1))
    samples: list[tuple[int, int]] = []
    with served(*SERVER, "-m", str(options.model)) as (address, process):

        def on_answer(number: int) -> None:
            if number % INTERVAL == 0:
                samples.append((number, process.memory_info().rss))

        loaded, start = process.memory_info().rss, time.perf_counter()
        run_closed_loop(
            address, islice(requests, options.requests), clients=options.clients, on_answer=on_answer
        )
        seconds = time.perf_counter() - start
    answers, resident = np.array(samples, float).T
    half = answers >= options.requests / 2
    return {
        "name": f"{options.requests:,} requests",
        "loaded_mb": loaded / MEGABYTE,
        "half_mb": float(resident[half][0]) / MEGABYTE,
        "end_mb": float(resident[-1]) / MEGABYTE,
        "maximum_mb": float(resident.max()) / MEGABYTE,
        "slope_mb_per_million": slope(answers[half] / 1e6, resident[half] / MEGABYTE),
        "seconds": seconds,
        "samples": thin(samples),
    }


COLUMNS = {
    "name": "",
    "loaded_mb": "after loading, MB",
    "half_mb": "after half, MB",
    "end_mb": "at the end, MB",
    "maximum_mb": "peak, MB",
    "slope_mb_per_million": "second half, MB per million",
    "seconds": "s",
}

if __name__ == "__main__":
    main()
