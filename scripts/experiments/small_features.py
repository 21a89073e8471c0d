"""Compare recipes for small corpora without word vectors.

python scripts/experiments/small_features.py CORPORA OUTPUT [--recipe NAME]… [--seeds N] [--set KEY=VALUE]…

CORPORA contains hungarian_pos, vietnamese_pos, wolof_ner and hausa_ner; of the last two, only the first 1,500
sentences of train are used. There is no dev split: each model is scored on test after its last epoch, by
accuracy (pos) or span F1 (ner). OUTPUT has one JSON file per run; finished runs are reused, so each value of
--set needs its own OUTPUT.
"""

import argparse
import itertools
import json
import time
import tomllib
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
}
MOST_NER_SENTENCES = 1_500
RECIPE = Path(__file__).parents[1] / "recipes" / "small.toml"
SHORT = {"model.hidden_size": 100, "train.epochs": 15}
RECIPES = {
    "default": {},
    "short": SHORT,
    "affixes": {**SHORT, "model.affix_size": 10},
    "linear": {**SHORT, "model.linear": True},
    "both": {**SHORT, "model.linear": True, "model.affix_size": 10},
    "small": {
        f"{section}.{key}": value
        for section, options in tomllib.loads(RECIPE.read_text(encoding="utf-8")).items()
        for key, value in options.items()
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument(
        "--recipe", action="append", choices=RECIPES, help="use only this recipe (repeatable)"
    )
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", action="append", choices=CORPORA, help="use only this corpus (repeatable)")
    parser.add_argument("--set", action="append", default=[], dest="settings", help="as of `tagger train`")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    runs = itertools.product(range(1, options.seeds + 1), options.recipe or RECIPES, options.only or CORPORA)
    for seed, recipe, name in runs:
        path = options.output / f"{name}-{recipe}-{seed}.json"
        if not path.is_file():
            settings = {**RECIPES[recipe], **dict(map(parse_setting, options.settings))}
            run = {"recipe": recipe, **measure(options.corpora, name, {**settings, "train.seed": seed})}
            write_whole(path, json.dumps(run).encode() + b"\n")
        print(path.read_text(encoding="utf-8"), end="", flush=True)


def measure(corpora: Path, name: str, settings: dict[str, object]) -> dict[str, object]:
    """Train one model and score it on test."""
    train_file, test_file = (corpora / name / file for file in CORPORA[name])
    if name.endswith("_ner"):
        task, metric = "ner", "f1"
        split, test = (list(read_conll(file, tasks=(task,))) for file in (train_file, test_file))
        split = split[:MOST_NER_SENTENCES]
    else:
        task, metric = "pos", "accuracy"
        split, test = read_conllu(train_file), read_conllu(test_file)
    start = time.process_time()
    model = train(split, task=task, config=settings, progress=False)
    seconds = time.process_time() - start
    score = getattr(model.evaluate(test)[task], metric)
    return {"corpus": name, "settings": settings, metric: score, "training_seconds": round(seconds, 1)}


if __name__ == "__main__":
    main()
