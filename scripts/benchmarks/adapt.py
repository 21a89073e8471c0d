"""Adapt the English model to newswire, and report what it gains and forgets.

python scripts/benchmarks/adapt.py CONLL2003_FOLDER UNER_DEV [--sentences 1000] [--set train.epochs=10]

The new data are the first sentences of eng.train without MISC, which the English model lacks; the old dev set
is that of the English model's own training data.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from measurement import fix_threads, parser, show, write_results

from tagger import Sentence, Tagger, measure_forgetting, read_corpus, train
from tagger.config_loading import parse_setting


def without_misc(sentences: Iterable[Sentence]) -> list[Sentence]:
    """Return the sentences with the tags of MISC replaced by O."""
    return [
        replace(one, tags={"ner": tuple("O" if tag.endswith("MISC") else tag for tag in one.tags["ner"])})
        for one in sentences
    ]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("corpus", type=Path)
    options.add_argument("old_dev", type=Path)
    options.add_argument("--sentences", type=int, default=1000)
    options.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options.set_defaults(threads=1)
    arguments = options.parse_args()
    fix_threads(arguments.threads)
    new = without_misc(read_corpus(arguments.corpus / "eng.train", task="ner"))[: arguments.sentences]
    dev = without_misc(read_corpus(arguments.corpus / "eng.testa", task="ner"))
    before = Tagger.load("en")
    after = train(new, init_from=before, **dict(map(parse_setting, arguments.set)))
    splits = {"old dev": arguments.old_dev, "new dev": dev}
    rows = [one.to_dict() for one in measure_forgetting(before, after, splits)]
    show("adapt the English model", rows, {name: name for name in rows[0]})
    settings = {name: getattr(arguments, name) for name in ("sentences", "set", "threads")}
    print(write_results("adapt", arguments.results, rows, settings))


if __name__ == "__main__":
    main()
