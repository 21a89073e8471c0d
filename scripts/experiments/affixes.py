"""Compare affix sizes on small corpora without word vectors.

python scripts/experiments/affixes.py CORPORA OUTPUT [--sizes 0,5,10] [--seeds N] [--set KEY=VALUE]…

CORPORA contains hungarian_pos, vietnamese_pos, wolof_ner and hausa_ner; of the last two, only the first 1,500
sentences of train are used. There is no dev split: each model is scored on test after its last epoch, by
accuracy (pos) or span F1 (ner). OUTPUT has one JSON file per run; finished runs are reused, so each value of
--set needs its own OUTPUT.
"""

import argparse
import itertools
import json
import time
from pathlib import Path

from tagger import train
from tagger.config_loading import parse_setting
from tagger.corpus.conll import read_conll
from tagger.corpus.conllu import read_conllu
from tagger.storage import write_whole

CORPORA = {
    "hungarian_pos": ("train300.conllu", "test.conllu"),
    "vietnamese_pos": ("train.conllu", "test.conllu"),
    "wolof_ner": ("train.txt", "test.txt"),
    "hausa_ner": ("train.txt", "test.txt"),
    "hungarian_pos_all": ("train.conllu", "test.conllu"),
}
MOST_NER_SENTENCES = 1_500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--sizes", default="0,5,10", help="values of model.affix_size [0,5,10]")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", action="append", choices=CORPORA, help="use only this corpus (repeatable)")
    parser.add_argument("--set", action="append", default=[], dest="settings", help="as of `tagger train`")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    sizes = [int(size) for size in options.sizes.split(",")]
    runs = itertools.product(range(1, options.seeds + 1), options.only or CORPORA, sizes)
    for seed, name, size in runs:
        path = options.output / f"{name}-{size}-{seed}.json"
        if not path.is_file():
            run = measure(options.corpora, name, size, seed, options.settings)
            write_whole(path, json.dumps(run).encode() + b"\n")
        print(path.read_text(encoding="utf-8"), end="", flush=True)


def measure(corpora: Path, name: str, size: int, seed: int, settings: list[str]) -> dict[str, object]:
    """Train one model and score it on test."""
    train_file, test_file = CORPORA[name]
    folder = corpora / name.removesuffix("_all")
    if "_ner" in name:
        task, metric = "ner", "f1"
        split, test = (list(read_conll(folder / one, tasks=(task,))) for one in (train_file, test_file))
        split = split[:MOST_NER_SENTENCES]
    else:
        task, metric = "pos", "accuracy"
        split, test = (read_conllu(folder / one) for one in (train_file, test_file))
    start = time.process_time()
    config = {**dict(map(parse_setting, settings)), "model.affix_size": size, "train.seed": seed}
    model = train(split, task=task, config=config, progress=False)
    seconds = time.process_time() - start
    score = getattr(model.evaluate(test)[task], metric)
    return {
        "corpus": name,
        "affix_size": size,
        "seed": seed,
        "settings": settings,
        metric: score,
        "training_seconds": round(seconds, 1),
    }


if __name__ == "__main__":
    main()
