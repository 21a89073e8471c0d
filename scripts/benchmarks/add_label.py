"""Add a label to a model without the old corpus: hold MISC out of CoNLL-2003, then add it.

python scripts/benchmarks/add_label.py CONLL2003_FOLDER WORK_FOLDER [--vectors FILE] [--sentences 300 3000]

The old model learns PER, ORG and LOC from the first sentences, the new data mark MISC only in the last ones.
Compared on eng.testa: the old model; partial annotation; the same sentences with all labels; and the same
sentences read as if unmarked tokens were O.
"""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from tagger import Sentence, Tagger, read_corpus, train

MOST_NEW = 3_200  # sentences at the end of eng.train that the old model does not see


def keep_labels(sentences: Iterable[Sentence], labels: Sequence[str]) -> list[Sentence]:
    """Return the sentences with the tags of other labels replaced by O."""
    return [
        replace(one, tags={"ner": tuple(tag if tag[2:] in labels else "O" for tag in one.tags["ner"])})
        for one in sentences
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--sentences", type=int, nargs="+", default=[300, 3000])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--hidden", type=int, default=100)
    parser.add_argument("--soft-weight", type=float, default=1.0)
    parser.add_argument("--rate", type=float, default=0.005)
    parser.add_argument("--ways", nargs="+", default=["partial", "full", "naive"])
    arguments = parser.parse_args()
    corpus = read_corpus(arguments.corpus / "eng.train", task="ner")
    dev = read_corpus(arguments.corpus / "eng.testa", task="ner")
    old_data, new_data = corpus[:-MOST_NEW], corpus[-MOST_NEW:]
    folder = arguments.work / f"old-{arguments.hidden}"
    if (folder / "config.json").exists():
        old = Tagger.load(folder)
    else:
        old = train(
            keep_labels(old_data, ("PER", "ORG", "LOC")), vectors=arguments.vectors, output=folder,
            hidden_size=arguments.hidden, epochs=8,
        )  # fmt: skip
    report("old model", old, dev)
    for count in arguments.sentences:
        marked = keep_labels(new_data[:count], ("MISC",))
        ways = {
            "partial": (marked, {"partial": True, "soft_weight": arguments.soft_weight}),
            "full": (new_data[:count], {}),
            "naive": (marked, {}),
        }
        for name in arguments.ways:
            data, options = ways[name]
            model = train(
                data, init_from=old, epochs=arguments.epochs, learning_rate=arguments.rate, **options
            )
            report(f"{count} sentences, {name}", model, dev)


def report(name: str, model: Tagger, dev: Sequence[Sentence]) -> None:
    """Print F1 of the old labels together, and of MISC."""
    by_label = model.evaluate(dev).ner.by_label
    scores = {label: f"{by_label[label].f1:.4f}" for label in ("PER", "ORG", "LOC", "MISC")}
    total = sum(one.support for label, one in by_label.items() if label != "MISC")
    old = sum(one.f1 * one.support for label, one in by_label.items() if label != "MISC") / total
    print(f"{name:<28} old labels {old:.4f}  {scores}", flush=True)


if __name__ == "__main__":
    main()
