"""Measure how speed scales with text length: words per second from a thousand to ten million words.

    python scripts/benchmarks/scaling.py --model DIR --corpus eng.train [--most 10000000]

A text consists of the sentences of the corpus, in a new random order for each pass. One tagger tags all sizes
in increasing order, after a warm-up pass over the whole corpus; the first row reports the speed of that pass.
Small sizes are repeated. The last column is the hit rate of the word cache: after the warm-up, the tagger has
seen every word of these texts, which does not hold for new texts.
"""

import argparse
import random
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import material
from material import Tokens
from measurement import Timing, fix_threads, parser, rates, show, show_machine, time_once, write_results

from tagger import Tagger

SMALLEST = 1_000
BLOCK_WORDS = 200_000  # words per call, to limit the sentences in memory
MIN_WORDS = 100_000  # minimum total words per size; small sizes are repeated, at least three times
MIN_RUNS = 3
Row = dict[str, object]


def main() -> None:
    options = parse()
    fix_threads(options.threads)
    show_machine()
    corpus = material.read_corpus(options.corpus)
    tagger = Tagger.load(options.model, threads=options.threads)
    rows = [measure(tagger, corpus.tokens, corpus.words, 1, name="first pass over the corpus")]
    size = SMALLEST
    while size <= options.most:
        runs = max(MIN_RUNS, MIN_WORDS // size) if size < options.most else 1
        rows.append(measure(tagger, corpus.tokens, size, runs, name=f"{size:,} words"))
        size *= 10
    show(f"scaling, threads: {options.threads}", rows, COLUMNS)
    settings = {name: getattr(options, name) for name in ("threads", "most")}
    print(write_results("scaling", options.results, rows, settings | {"model": options.model.name}))


def parse() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--model", type=Path, required=True)
    options.add_argument("--corpus", type=Path, required=True, help="CoNLL-2003's eng.train, or dev")
    options.add_argument(
        "--most", type=int, default=10_000_000, help="length of the largest text in words [10000000]"
    )
    return options.parse_args()


def measure(tagger: Tagger, sentences: Sequence[Tokens], size: int, runs: int, *, name: str) -> Row:
    """Tag a text of ``size`` words several times, each time with another selection and order of sentences."""
    before = material.cache_counts(tagger)
    timings = [time_text(tagger, sentences, size, seed) for seed in range(runs)]
    after = material.cache_counts(tagger)
    hits = (after[0] - before[0]) / (sum(after) - sum(before))
    return {"name": name, "words": size, "words_per_second": rates(size, timings), "cache_hits": hits}


def time_text(tagger: Tagger, sentences: Sequence[Tokens], size: int, seed: int) -> Timing:
    """Time one text, without the time to build it."""
    wall = processor = 0.0
    for block in blocks(shuffled(sentences, size, seed)):
        timing = time_once(lambda block=block: material.touch(tagger.tag_tokens(block)))
        wall, processor = wall + timing.wall, processor + timing.processor
    return Timing(wall, processor)


def shuffled(sentences: Sequence[Tokens], size: int, seed: int) -> Iterator[Tokens]:
    """Yield sentences with ``size`` words in total, in random order; all come before any repeats."""
    generator = random.Random(seed)
    passes = iter(lambda: generator.sample(sentences, len(sentences)), None)
    left = size
    for sentence in chain.from_iterable(passes):
        yield sentence[:left]
        left -= len(sentence)
        if left <= 0:
            return


def blocks(sentences: Iterator[Tokens]) -> Iterator[list[Tokens]]:
    block: list[Tokens] = []
    words = 0
    for sentence in sentences:
        block.append(sentence)
        words += len(sentence)
        if words >= BLOCK_WORDS:
            yield block
            block, words = [], 0
    if block:
        yield block


COLUMNS = {"name": "", "words_per_second": "words/s", "cache_hits": "cache hit rate"}

if __name__ == "__main__":
    main()
