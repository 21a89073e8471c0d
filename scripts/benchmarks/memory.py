"""Measure the memory of tagging: a streamed text, a process that tags new texts, and one long sentence.

    python scripts/benchmarks/memory.py --model DIR --text moby_dick.txt [--megabytes 1000]

Stream: the text is repeated and sent to the standard input of `tagger tag`. One word in 50 is replaced by a
new word, to reveal memory that grows with the number of distinct words. Resident memory is sampled
throughout; it should not rise over the second half of the text. Process: it tags texts of --characters
characters in which every word is new, with library defaults and two threads. Sentence: it contains the words
of the text in order.
"""

import argparse
import itertools
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import material
import numpy as np
import psutil
from measurement import fix_threads, parser, show, show_machine, write_results

from tagger import Tagger

MEGABYTE = 1_000_000
SECONDS = 0.1  # between samples
NEW_WORD_INTERVAL = 50  # one word in this many is new
Row = dict[str, object]


def main() -> None:
    options = parse()
    fix_threads(options.threads)
    if options.library_only:  # a process started by ``measure_process``
        return tag_new_texts(options)
    if options.sentence_only:
        return tag_one_sentence(options)
    show_machine()
    rows = [measure_stream(options), measure_library(options), measure_sentence(options)]
    show("memory of `tagger tag`", rows, COLUMNS)
    settings = {name: getattr(options, name) for name in ("threads", "megabytes", "words")}
    print(write_results("memory", options.results, rows, settings | {"model": options.model.name}))
    return None


def parse() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--model", type=Path, required=True)
    options.add_argument("--text", type=Path, required=True, help="raw text, UTF-8")
    options.add_argument("--megabytes", type=int, default=1000, help="size of the streamed text [1000]")
    options.add_argument("--words", type=int, default=100_000, help="length of the long sentence [100000]")
    options.add_argument("--characters", type=int, default=3000, help="length of each new text [3000]")
    options.add_argument("--library-only", action="store_true", help=argparse.SUPPRESS)
    options.add_argument("--sentence-only", action="store_true", help=argparse.SUPPRESS)
    return options.parse_args()


def pieces(text: str, size: int, every: int = NEW_WORD_INTERVAL) -> Iterator[bytes]:
    """Repeat a text up to about ``size`` bytes; one word in ``every`` is replaced by a new word."""
    counter = itertools.count()

    def renew(match: re.Match[str]) -> str:
        count = next(counter)
        return match[0] if count % every else match[0] + letters(count // every)

    sent = 0
    for paragraph in itertools.cycle(text.split("\n\n")):
        piece = (re.sub(r"\b[A-Za-z]{3,}\b", renew, paragraph) + "\n\n").encode()
        yield piece
        sent += len(piece)
        if sent >= size:
            return


def letters(number: int) -> str:
    """Write a number in letters; different numbers give different strings."""
    text = ""
    while True:
        number, digit = divmod(number, 26)
        text += chr(ord("a") + digit)
        if not number:
            return text


def measure_stream(options: argparse.Namespace) -> Row:
    text = options.text.read_text(encoding="utf-8")
    size = options.megabytes * MEGABYTE
    process = subprocess.Popen(
        [sys.executable, "-m", "tagger", "tag", "-m", str(options.model), "--format", "conll"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    progress = [0]

    def send() -> None:
        assert process.stdin is not None
        with process.stdin as pipe:
            for piece in pieces(text, size):
                pipe.write(piece)
                progress[0] += len(piece)

    sender = threading.Thread(target=send, daemon=True)
    start = time.perf_counter()
    sender.start()
    samples = sample(process, progress)
    seconds = time.perf_counter() - start
    if process.wait():
        sys.exit(f"tagger tag ended with {process.returncode}")
    sender.join()
    sent, resident = np.array(samples, float).T / MEGABYTE  # both in MB
    half = (sent >= sent[-1] / 2) & (sent < sent[-1])  # without the end, when the process exits
    return {
        "name": f"{progress[0] / MEGABYTE:,.0f} MB of text as a stream",
        "maximum_mb": float(resident.max()),
        "slope_mb_per_gb": slope(sent[half] / 1000, resident[half]),
        "seconds": seconds,
        "samples": thin(samples),
    }


def sample(process: subprocess.Popen[bytes], progress: list[int]) -> list[tuple[int, int]]:
    """Sample sent bytes and resident bytes until the process ends."""
    watched = psutil.Process(process.pid)
    samples = []
    while process.poll() is None:
        try:
            samples.append((progress[0], watched.memory_info().rss))
        except psutil.NoSuchProcess:
            break
        time.sleep(SECONDS)
    return [pair for pair in samples if pair[1]]  # a process that has just ended reports no memory


def slope(sent: np.ndarray, resident: np.ndarray) -> float | None:
    """Fit the slope by least squares; None if there are too few samples."""
    if len(sent) < 3 or np.ptp(sent) == 0:
        return None
    return float(np.polyfit(sent, resident, 1)[0])


def thin(samples: list[tuple[int, int]], limit: int = 200) -> list[tuple[int, int]]:
    return samples[:: -(-len(samples) // limit)]


def measure_sentence(options: argparse.Namespace) -> Row:
    """Measure peak memory and the memory after loading (``loaded_mb``) in a separate process."""
    return measure_process(f"one sentence of {options.words:,} words", "--sentence-only")


def measure_library(options: argparse.Namespace) -> Row:
    """Measure the peak memory of a process that tags new texts, a hundredth of the stream in total."""
    return measure_process(f"texts of {options.characters:,} characters, all words new", "--library-only")


def measure_process(name: str, option: str) -> Row:
    """Run this script with one more option in a process that prints what it loaded, its peak and its time."""
    command = [sys.executable, *sys.argv, option]
    loaded, peak, seconds = map(float, subprocess.check_output(command, text=True).split())
    return {"name": name, "maximum_mb": peak, "loaded_mb": loaded, "seconds": seconds}


def tag_new_texts(options: argparse.Namespace) -> None:
    tagger = Tagger.load(options.model, threads=2)
    loaded, start = psutil.Process(os.getpid()).memory_info().rss / MEGABYTE, time.perf_counter()
    text = options.text.read_text(encoding="utf-8")
    pending = ""
    for piece in pieces(text, options.megabytes * MEGABYTE // 100, every=1):
        pending += piece.decode()
        while len(pending) >= options.characters:
            material.touch(tagger.tag(pending[: options.characters]))
            pending = pending[options.characters :]
    print(loaded, peak_bytes() / MEGABYTE, time.perf_counter() - start)


def peak_bytes() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def tag_one_sentence(options: argparse.Namespace) -> None:
    words = itertools.islice(itertools.cycle(options.text.read_text(encoding="utf-8").split()), options.words)
    sentence = list(words)
    tagger = Tagger.load(options.model, threads=options.threads)
    loaded = psutil.Process(os.getpid()).memory_info().rss / MEGABYTE
    start = time.perf_counter()
    material.touch(tagger.tag_tokens([sentence]))
    seconds = time.perf_counter() - start
    print(loaded, peak_bytes() / MEGABYTE, seconds)


COLUMNS = {
    "name": "",
    "maximum_mb": "peak, MB",
    "loaded_mb": "after loading, MB",
    "slope_mb_per_gb": "second half, MB/GB",
    "seconds": "s",
}

if __name__ == "__main__":
    main()
