"""Whether speed holds as texts grow: words a second from a thousand words to ten million.

    python scripts/benchmarks/scaling.py --model DIR --corpus eng.train [--most 10000000]

A text is the corpus's sentences in an order drawn anew for each pass over them. One tagger does all sizes,
from small to large, once it is warm: after a pass over the whole corpus, whose speed stands in the first row.
Small sizes are repeated. Where the tagger tells of a word cache, the share of words that were found in it
stands beside; a warm tagger has seen every word of these texts, which no new text can promise.
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
CHUNK_WORDS = 200_000  # are tagged in one call, so that not all sentences are held at once
AT_LEAST_WORDS = 100_000  # a size is repeated until so many were tagged, and at least three times
FEWEST_RUNS = 3
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
        runs = max(FEWEST_RUNS, AT_LEAST_WORDS // size) if size < options.most else 1
        rows.append(measure(tagger, corpus.tokens, size, runs, name=f"{size:,} words"))
        size *= 10
    show(f"scaling, threads: {options.threads}", rows, COLUMNS)
    settings = {name: getattr(options, name) for name in ("threads", "most")}
    print(write_results("scaling", options.results, rows, settings | {"model": options.model.name}))


def parse() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--model", type=Path, required=True)
    options.add_argument("--corpus", type=Path, required=True, help="CoNLL-2003's eng.train, or dev")
    options.add_argument("--most", type=int, default=10_000_000, help="words of the largest text [10000000]")
    return options.parse_args()


def measure(tagger: Tagger, sentences: Sequence[Tokens], size: int, runs: int, *, name: str) -> Row:
    """Tag a text of ``size`` words several times, cut and shuffled otherwise each time."""
    before = material.cache_counts(tagger)
    timings = [time_text(tagger, sentences, size, seed) for seed in range(runs)]
    after = material.cache_counts(tagger)
    hits = (after[0] - before[0]) / (sum(after) - sum(before))
    return {"name": name, "words": size, "words_per_second": rates(size, timings), "cache_hits": hits}


def time_text(tagger: Tagger, sentences: Sequence[Tokens], size: int, seed: int) -> Timing:
    """Seconds for one text, without those that its making took."""
    wall = processor = 0.0
    for chunk in chunks(shuffled(sentences, size, seed)):
        timing = time_once(lambda chunk=chunk: material.touch(tagger.tag_tokens(chunk)))
        wall, processor = wall + timing.wall, processor + timing.processor
    return Timing(wall, processor)


def shuffled(sentences: Sequence[Tokens], size: int, seed: int) -> Iterator[Tokens]:
    """Sentences in random order, all of them before any comes again, with ``size`` words in all."""
    generator = random.Random(seed)
    passes = iter(lambda: generator.sample(sentences, len(sentences)), None)
    left = size
    for sentence in chain.from_iterable(passes):
        yield sentence[:left]
        left -= len(sentence)
        if left <= 0:
            return


def chunks(sentences: Iterator[Tokens]) -> Iterator[list[Tokens]]:
    chunk: list[Tokens] = []
    words = 0
    for sentence in sentences:
        chunk.append(sentence)
        words += len(sentence)
        if words >= CHUNK_WORDS:
            yield chunk
            chunk, words = [], 0
    if chunk:
        yield chunk


COLUMNS = {"name": "", "words_per_second": "words/s", "cache_hits": "found in the cache"}

if __name__ == "__main__":
    main()
