"""Add a label to a model without the old corpus: hold MISC out of CoNLL-2003, then add it.

python scripts/benchmarks/add_label.py CONLL2003_FOLDER WORK_FOLDER [--vectors FILE] [--sentences 300 3000]

The old model learns PER, ORG and LOC from the first sentences, the new data mark MISC only in the last ones.
Compared on eng.testa: the old model; partial annotation, with two learning rates and soft weights; the same
sentences with all labels; and the same sentences read as if unmarked tokens were O.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from measurement import fix_threads, parser, show, write_results

from tagger import Sentence, Tagger, read_corpus, train

MOST_NEW = 3_200  # sentences at the end of eng.train that the old model does not see
RATE = 0.005
WAYS: dict[str, dict[str, Any]] = {
    "partial": {"partial": True, "learning_rate": RATE},
    "full": {"learning_rate": RATE},
    "partial, faster": {"partial": True, "learning_rate": 2 * RATE},
    "partial, faster, soft weight 0.5": {"partial": True, "learning_rate": 2 * RATE, "soft_weight": 0.5},
    "naive, faster": {"learning_rate": 2 * RATE},
}
COLUMNS = {
    "sentences": "sentences",
    "way": "way",
    "old_labels": "old labels",
    **{label: label for label in ("PER", "ORG", "LOC", "MISC")},
}


def keep_labels(sentences: Iterable[Sentence], labels: Sequence[str]) -> list[Sentence]:
    """Return the sentences with the tags of other labels replaced by O."""
    return [
        replace(one, tags={"ner": tuple(tag if tag[2:] in labels else "O" for tag in one.tags["ner"])})
        for one in sentences
    ]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("corpus", type=Path)
    options.add_argument("work", type=Path)
    options.add_argument("--vectors", type=Path)
    options.add_argument("--sentences", type=int, nargs="+", default=[300, 3000])
    options.add_argument("--epochs", type=int, default=10)
    options.add_argument("--hidden", type=int, default=100)
    options.set_defaults(threads=1)
    arguments = options.parse_args()
    fix_threads(arguments.threads)
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
    rows = [{"sentences": 0, "way": "old model", **scores_of(old, dev)}]
    for count in arguments.sentences:
        full = new_data[:count]
        marked = keep_labels(full, ("MISC",))
        for way, settings in WAYS.items():
            data = full if way == "full" else marked
            model = train(data, init_from=old, epochs=arguments.epochs, **settings)
            rows.append({"sentences": count, "way": way, **settings, **scores_of(model, dev)})
            show("add a label, F1", rows, COLUMNS)
    settings = {name: getattr(arguments, name) for name in ("epochs", "hidden", "threads")}
    print(write_results("add_label", arguments.results, rows, settings))


def scores_of(model: Tagger, dev: Sequence[Sentence]) -> dict[str, float]:
    """Return F1 of the old labels together, and of each label."""
    by_label = model.evaluate(dev).ner.by_label
    total = sum(one.support for label, one in by_label.items() if label != "MISC")
    old = sum(one.f1 * one.support for label, one in by_label.items() if label != "MISC") / total
    return {"old_labels": old, **{label: one.f1 for label, one in by_label.items()}}


if __name__ == "__main__":
    main()
