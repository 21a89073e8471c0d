"""What the states of a contextual encoder add on CoNLL-2003 dev, by size of the train split.

python scripts/benchmarks/contextual.py CONLL2003_FOLDER ENCODER WORK [--vectors FILE] [--sizes 500 2000]

ENCODER is a folder that `tagger encoder export` wrote. A run that is interrupted continues at the next call.
"""

import argparse
import time
from pathlib import Path

from tagger import Tagger, read_corpus, train

EPOCHS = {500: 20, 2000: 12, 14041: 12}  # fewer than in the default recipe, for both models
SPEED_SENTENCES = 800


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(EPOCHS))
    parser.add_argument("--epochs", type=int, help="for all sizes")
    arguments = parser.parse_args()
    sentences = read_corpus(arguments.corpus / "eng.train", task="ner")
    dev = read_corpus(arguments.corpus / "eng.testa", task="ner")
    for size in arguments.sizes:
        epochs = arguments.epochs or EPOCHS.get(size, 12)
        for name, encoder in (("with", str(arguments.encoder)), ("without", None)):
            folder = arguments.work / f"{size}-{epochs}-{bool(arguments.vectors)}-{name}"
            model = train(
                sentences[:size], dev=dev, vectors=arguments.vectors, encoder=encoder, epochs=epochs,
                output=folder, resume=True,
            )  # fmt: skip
            metrics = model.bundle.metrics
            print(
                f"{size:>6} sentences, {epochs} epochs, {name:<7} dev F1 {metrics['score']:.4f}", flush=True
            )
            measure_speed(folder, dev[:SPEED_SENTENCES])


def measure_speed(folder: Path, sentences: list) -> None:
    """Print the words per second of a model with one and two threads."""
    count = sum(map(len, sentences))
    for threads in (1, 2):
        tagger = Tagger.load(folder, threads=threads)
        start = time.perf_counter()
        list(tagger.tag_sentences(sentences))
        print(f"       {threads} threads: {count / (time.perf_counter() - start):,.0f} words/s", flush=True)


if __name__ == "__main__":
    main()
