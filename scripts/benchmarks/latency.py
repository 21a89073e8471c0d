"""Measure the latency of one sentence, and the start-up time of a command.

    python scripts/benchmarks/latency.py --model DIR --dev eng.testa

Sentences have 20 words each: the words of dev in order, regrouped. Each sentence is tagged alone with
`Tagger.tag_tokens`, and as raw text with `Tagger.tag`. Start-up is timed over whole processes, which take
turns: `echo TEXT | tagger tag -m MODEL`, `import tagger`, and a Python that does nothing. The process that
imports tagger also reports the time of the import alone; it must not load torch.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import material
import numpy as np
from measurement import estimate, fix_threads, interleave, parser, show, show_machine, write_results

from tagger import Tagger

WORDS = 20
TARGETS = {
    "tag_tokens, median": 1.0,
    "tag_tokens, 99th percentile": 3.0,
    "echo TEXT | tagger tag": 700.0,
    "import tagger, inside the process": 150.0,
}
"""Milliseconds."""
IMPORT = (
    "import sys, time; start = time.perf_counter(); import tagger; print(time.perf_counter() - start); "
    "sys.exit('torch' in sys.modules)"
)
COLUMNS = {"name": "", "milliseconds": "ms", "processor_milliseconds": "processor ms", "target": "target"}
Row = dict[str, object]


def main() -> None:
    options = parse()
    fix_threads(options.threads)
    show_machine()
    rows = [*measure_sentences(options), *measure_starts(options)]
    for row in rows:
        row["target"] = TARGETS.get(str(row["name"]))
    show(f"latency, threads: {options.threads}", rows, COLUMNS)
    settings = {name: getattr(options, name) for name in ("threads", "sentences", "repeats", "starts")}
    print(write_results("latency", options.results, rows, settings | {"model": options.model.name}))


def parse() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--model", type=Path, required=True)
    options.add_argument("--dev", type=Path, required=True, help="CoNLL-2003's eng.testa")
    options.add_argument(
        "--sentences", type=int, default=2000, help="maximum number of sentences of 20 words [2000]"
    )
    options.add_argument("--repeats", type=int, default=5, help="passes over the sentences [5]")
    options.add_argument("--starts", type=int, default=11, help="processes of each kind [11]")
    return options.parse_args()


def measure_sentences(options: argparse.Namespace) -> list[Row]:
    """Estimate the median and the 99th percentile, each computed per pass, over all passes.

    The first pass is reported separately: only there, the word cache is empty.
    """
    corpus = material.read_corpus(options.dev)
    sentences = list(material.running_words(corpus.tokens, WORDS))[: options.sentences]
    texts = [" ".join(words) for words in sentences]
    by_tokens, by_text = (Tagger.load(options.model, threads=options.threads) for _ in range(2))
    tags: dict[str, Callable[[int], object]] = {
        "tag_tokens": lambda index: by_tokens.tag_tokens([sentences[index]]),
        "tag, raw text": lambda index: by_text.tag(texts[index]),
    }
    passes: dict[str, list[list[float]]] = {name: [] for name in tags}
    for _ in range(1 + options.repeats):
        for name, tag in tags.items():
            passes[name].append([milliseconds(tag, index) for index in range(len(sentences))])
    return [
        {"name": f"{name}{suffix}, {figure}", "milliseconds": estimate(np.percentile(times, percent, axis=1))}
        for name, (first, *later) in passes.items()
        for suffix, times in (("", later), (", first pass", [first]))
        for figure, percent in (("median", 50), ("99th percentile", 99))
    ]


def milliseconds(tag: Callable[[int], object], index: int) -> float:
    start = time.perf_counter()
    tag(index)
    return 1000 * (time.perf_counter() - start)


def measure_starts(options: argparse.Namespace) -> list[Row]:
    text = " ".join(material.read_corpus(options.dev, 2).tokens[-1]) + "\n"
    inside: list[float] = []

    def start(*arguments: str, text_input: str = "") -> str:
        ran = subprocess.run(
            [sys.executable, *arguments], input=text_input, capture_output=True, text=True, check=False
        )
        if ran.returncode:
            sys.exit(f"{' '.join(arguments)} failed (torch must not be loaded): {ran.stderr}")
        return ran.stdout

    runs: dict[str, Callable[[], object]] = {
        "echo TEXT | tagger tag": lambda: start(
            "-m", "tagger", "tag", "-m", str(options.model), text_input=text
        ),
        "import tagger, whole process": lambda: inside.append(float(start("-c", IMPORT))),
        "Python that does nothing": lambda: start("-c", "pass"),
    }
    timings = interleave(runs, repeats=options.starts)
    rows: list[Row] = [
        {
            "name": name,
            "milliseconds": in_milliseconds([timing.wall for timing in rounds]),
            "processor_milliseconds": 1000 * min(timing.processor for timing in rounds),
        }
        for name, rounds in timings.items()
    ]
    return [
        *rows,
        {"name": "import tagger, inside the process", "milliseconds": in_milliseconds(inside[1:])},
    ]


def in_milliseconds(seconds: Sequence[float]) -> object:
    return estimate(1000 * value for value in seconds)


if __name__ == "__main__":
    main()
