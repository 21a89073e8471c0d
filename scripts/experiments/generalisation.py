"""Compare training options on four dev sets that share fewer and fewer words and topics with train.

python scripts/experiments/generalisation.py CORPORA VECTORS WORK [--set KEY=VALUE]… [--seeds N] [--epochs N]
    [--common KEY=VALUE]… [--screen] [--every N]

CORPORA contains conll2003 and wikigold. The scores are span F1 on CoNLL-2003 dev, on its entities with a word
that train lacks, on all of Wikigold, and on a topic split: documents of eng.train are clustered by topic, and
whole clusters with about 15 % of the sentences are held out. One model is trained on all of eng.train for the
first three sets, another on the rest of the topic split for the last. --screen trains only the latter,
scores it on all four sets, and takes half the time; --every N trains on every Nth document only, and --common
sets an option of all runs, such as a smaller size. No set selects an epoch. WORK has one JSON file per run;
finished runs are reused. The table has the mean differences from the runs without --set and the same seeds.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import TfidfVectorizer

from tagger import Sentence, Tagger, read_corpus, train
from tagger.config_loading import parse_setting
from tagger.storage import write_whole

SETS = {"dev": "dev", "unseen": "unseen words", "wikigold": "Wikigold", "topics": "topic split"}
CLUSTERS = 20
HELD_OUT = 0.15  # share of the sentences
Run = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--set", action="append", default=[], dest="settings", help="as of `tagger train`")
    parser.add_argument("--common", action="append", default=[], help="as --set, of the baseline too")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=12, help="the full recipe has 40 [12]")
    parser.add_argument("--screen", action="store_true", help="train only on the rest of the topic split")
    parser.add_argument("--every", type=int, default=1, help="train on every Nth document only [1]")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    data = None
    for seed in range(1, options.seeds + 1):
        path = options.work / f"{name_of(options)}-{seed}.json"
        if not path.is_file():
            data = data or Data(options.corpora)
            run = measure(data, options, seed)
            write_whole(path, json.dumps(run).encode() + b"\n")
    paths = sorted(options.work.glob("*.json"))
    print(table([json.loads(path.read_text(encoding="utf-8")) for path in paths]))


def name_of(options: argparse.Namespace) -> str:
    """Return the name of a run without its seed."""
    settings = ",".join(sorted(options.settings)).replace("/", "_") or "baseline"
    mode = [str(options.epochs), *sorted(options.common)]
    mode += ["screen"] * options.screen + [f"every{options.every}"] * (options.every > 1)
    return "-".join([settings, *mode])


class Data:
    """The corpora and the topic split.

    Args:
        corpora: Folder of the corpora.
    """

    def __init__(self, corpora: Path) -> None:
        self.train = read_corpus(corpora / "conll2003" / "eng.train", task="ner")
        self.dev = read_corpus(corpora / "conll2003" / "eng.testa", task="ner")
        self.wikigold = read_corpus(corpora / "wikigold" / "train.iob2", columns="token,ner")
        self.rest, self.held_out = split_topics(self.train)


def split_topics(sentences: Sequence[Sentence]) -> tuple[list[Sentence], list[Sentence]]:
    """Hold out whole clusters of documents with together at most 15 % of the sentences.

    Returns:
        The sentences of the other clusters, and those of the clusters held out, both in file order.
    """
    documents = split_documents(sentences)
    texts = [" ".join(token for one in document for token in one.tokens) for document in documents]
    features = TfidfVectorizer(sublinear_tf=True, min_df=3, max_df=0.3).fit_transform(texts)
    clusters = KMeans(CLUSTERS, n_init=3, random_state=0).fit_predict(features)
    sizes = [
        sum(len(one) for one, cluster in zip(documents, clusters, strict=True) if cluster == number)
        for number in range(CLUSTERS)
    ]
    held_out: set[int] = set()
    for number in range(CLUSTERS):  # k-means numbers the clusters at random
        if sum(sizes[one] for one in held_out) + sizes[number] <= HELD_OUT * len(sentences):
            held_out.add(number)
    parts: tuple[list[Sentence], list[Sentence]] = ([], [])
    for document, cluster in zip(documents, clusters, strict=True):
        parts[cluster in held_out].extend(document)
    return parts


def split_documents(sentences: Sequence[Sentence]) -> list[list[Sentence]]:
    """Return the sentences of each document."""
    documents: list[list[Sentence]] = []
    for sentence in sentences:
        if sentence.starts_document or not documents:
            documents.append([])
        documents[-1].append(sentence)
    return documents


def measure(data: Data, options: argparse.Namespace, seed: int) -> Run:
    """Train one or two models and score them."""
    start = time.process_time()
    config = {
        "train.epochs": options.epochs,
        "train.seed": seed,
        **dict(map(parse_setting, options.common + options.settings)),
    }

    def fit(split: Sequence[Sentence]) -> Tagger:
        split = [one for document in split_documents(split)[:: options.every] for one in document]
        return train(split, task="ner", vectors=options.vectors, config=config, progress=False)

    transfer = fit(data.rest)
    model = transfer if options.screen else fit(data.train)
    dev = model.evaluate(data.dev).ner
    scores = {
        "dev": dev.f1,
        "unseen": dev.metrics["unseen"]["f1"],
        "wikigold": model.evaluate(data.wikigold).ner.f1,
        "topics": transfer.evaluate(data.held_out).ner.f1,
    }
    return {
        "settings": sorted(options.settings),
        "epochs": options.epochs,
        "common": sorted(options.common),
        "trained_on": "rest of the topic split" if options.screen else "all",
        "every": options.every,
        "seed": seed,
        **{name: round(score, 5) for name, score in scores.items()},
        "processor_seconds": round(time.process_time() - start, 1),
    }


def table(runs: Sequence[Run]) -> str:
    """Format the mean F1 of the baseline, and the mean differences from it, in points."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        title = ", ".join([f"{run['epochs']} epochs (of 40 in the full recipe)", *run["common"]])
        title += f", trained on {run['trained_on']}" + f", one document in {run['every']}" * (
            run["every"] > 1
        )
        groups.setdefault(title, []).append(run)
    lines = []
    for title, group in groups.items():
        baseline = {run["seed"]: run for run in group if not run["settings"]}
        lines += ["", title, "", "| options | " + " | ".join(SETS.values()) + " | seeds |"]
        lines.append("|---" * (len(SETS) + 2) + "|")
        for settings in sorted({tuple(run["settings"]) for run in group}):
            pairs = [
                (run, baseline[run["seed"]])
                for run in group
                if tuple(run["settings"]) == settings and run["seed"] in baseline
            ]
            if pairs:
                cells = [cell(pairs, name) for name in SETS]
                lines.append(f"| {' '.join(settings) or 'baseline'} | {' | '.join(cells)} | {len(pairs)} |")
    return "\n".join(lines)


def cell(pairs: Sequence[tuple[Run, Run]], name: str) -> str:
    """Format a mean difference over seeds with its sign, or the mean if the run is the baseline itself."""
    if pairs[0][0] is pairs[0][1]:
        return f"{100 * statistics.fmean(run[name] for run, _ in pairs):.2f}"
    return f"{100 * statistics.fmean(run[name] - base[name] for run, base in pairs):+.2f}"


if __name__ == "__main__":
    main()
