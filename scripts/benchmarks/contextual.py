"""What the states of a contextual encoder add on CoNLL-2003 dev, by size of the train split.

python scripts/benchmarks/contextual.py CONLL2003_FOLDER ENCODER VECTORS WORK [--int8 ENCODER]

ENCODER is a folder that `tagger encoder export` wrote, VECTORS a file of word vectors. An interrupted run
continues at the next call.
"""

from collections.abc import Sequence
from pathlib import Path

from measurement import Estimate, fix_threads, parser, rates, show, show_machine, time_once, write_results

from tagger import Sentence, Tagger, read_corpus, train

# Number of sentences, epochs (fewer than by default) and True for word vectors.
TRIALS = ((500, 20, True), (2000, 12, False), (2000, 12, True), (14041, 5, False), (14041, 12, True))
SPEED_TRIAL = (2000, 12, True)  # also has the int8 encoder, if given
SPEED_SENTENCES = 800
RUNS = 3
COLUMNS = {
    "sentences": "sentences",
    "epochs": "epochs",
    "has_vectors": "word vectors",
    "encoder": "encoder",
    "f1": "dev F1",
    "words_per_second": "words/s of processor time",
}


def main() -> None:
    options = parser(__doc__)
    options.add_argument("corpus", type=Path)
    options.add_argument("encoder", type=Path)
    options.add_argument("vectors", type=Path)
    options.add_argument("work", type=Path)
    options.add_argument("--int8", type=Path, metavar="ENCODER", help="the same encoder in int8, for one row")
    options.set_defaults(threads=1)
    arguments = options.parse_args()
    fix_threads(arguments.threads)
    show_machine()
    sentences = read_corpus(arguments.corpus / "eng.train", task="ner")
    dev = read_corpus(arguments.corpus / "eng.testa", task="ner")
    rows: list[dict[str, object]] = []
    for size, epochs, has_vectors in TRIALS:
        is_timed = (size, epochs, has_vectors) == SPEED_TRIAL
        encoders = {"none": None, "f32": arguments.encoder}
        if is_timed and arguments.int8:
            encoders["int8"] = arguments.int8
        for name, encoder in encoders.items():
            folder = arguments.work / f"{size}-{epochs}-{has_vectors}-{name}"
            model = train(
                sentences[:size],
                dev=dev,
                vectors=arguments.vectors if has_vectors else None,
                encoder=str(encoder) if encoder else None,
                epochs=epochs,
                output=folder,
                resume=True,
            )
            row = {"sentences": size, "epochs": epochs, "has_vectors": has_vectors, "encoder": name}
            row["f1"] = model.bundle.metrics["score"]
            if is_timed and encoder:
                row["words_per_second"] = speed(folder, dev[:SPEED_SENTENCES], arguments.threads)
            rows.append(row)
            show("CoNLL-2003 dev", rows, COLUMNS)
            settings = {"threads": arguments.threads, "speed_sentences": SPEED_SENTENCES}
            write_results("contextual", arguments.results, rows, settings)


def speed(folder: Path, sentences: Sequence[Sentence], threads: int) -> Estimate:
    """Estimate a model's words per second of processor time."""
    tagger = Tagger.load(folder, threads=threads)
    timings = [time_once(lambda: list(tagger.tag_sentences(sentences))) for _ in range(RUNS)]
    return rates(sum(map(len, sentences)), timings, by="processor")


if __name__ == "__main__":
    main()
