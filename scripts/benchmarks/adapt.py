"""Adapt the English model to newswire, and report what it gains and forgets.

python scripts/benchmarks/adapt.py CONLL2003_FOLDER UNER_DEV [--sentences 1000] [--set train.epochs=10]

The new data are the first sentences of eng.train without MISC, which the English model lacks; the old dev set
is that of the English model's own training data.
"""

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tagger import Sentence, Tagger, measure_forgetting, read_corpus, train
from tagger.config_loading import parse_setting


def without_misc(sentences: Iterable[Sentence]) -> list[Sentence]:
    """Return the sentences with the tags of MISC replaced by O."""
    return [
        replace(one, tags={"ner": tuple("O" if tag.endswith("MISC") else tag for tag in one.tags["ner"])})
        for one in sentences
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("old_dev", type=Path)
    parser.add_argument("--sentences", type=int, default=1000)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    new = without_misc(read_corpus(arguments.corpus / "eng.train", task="ner"))[: arguments.sentences]
    dev = without_misc(read_corpus(arguments.corpus / "eng.testa", task="ner"))
    before = Tagger.load("en")
    after = train(new, init_from=before, **dict(map(parse_setting, arguments.set)))
    for one in measure_forgetting(before, after, {"old dev": arguments.old_dev, "new dev": dev}):
        print(f"{one.split:<8} {one.task} {one.label:<5} {one.before:.4f} -> {one.after:.4f}")


if __name__ == "__main__":
    main()
