"""Reproduce the accuracy table of docs/accuracy.md, and measure the effect of single options on dev.

python scripts/experiments/accuracy.py CORPORA VECTORS OUTPUT [--only NAME]… [--trial NAME]… [--seeds N]

CORPORA contains conll2003/eng.train and eng.testa, conll2000/train.txt, ud_ewt/en_ewt-ud-{train,dev}.conllu;
VECTORS is GloVe 6B 100d as text. Without --trial, only the recipe is trained. Interrupted runs are resumed
and finished runs are reused. --keep FILE.json saves the figures.
"""

import argparse
import json
import statistics
import warnings
from pathlib import Path
from typing import Any

from held_out import hold_out_chunks
from rich.console import Console
from rich.table import Table

from tagger import train

RECIPES = Path(__file__).resolve().parent.parent / "recipes"
# For each recipe: train file, dev file, measure of each task, and number of seeds in docs/accuracy.md.
CORPORA = {
    "conll2003": ("conll2003/eng.train", "conll2003/eng.testa", {"ner": "f1"}, 5),
    "ud_ewt": (
        "ud_ewt/en_ewt-ud-train.conllu",
        "ud_ewt/en_ewt-ud-dev.conllu",
        {"pos": "accuracy", "xpos": "accuracy"},
        3,
    ),
    "conll2000": ("train.txt", "dev.txt", {"chunk": "f1"}, 3),
}
TRIALS: dict[str, dict[str, Any]] = {
    "recipe": {},
    "sentence": {"context": "sentence"},
    "one-width": {"character_width": 3},
    "no-characters": {"characters": "none"},
    "character-lstm": {"characters": "lstm"},
    "two-layers": {"layers": 2, "layer_dropout": 0.3},
    "word-dropout": {"word_dropout": 0.05},
    "no-average": {"ema": 0.0},
    "adamw": {"optimizer": "adamw", "learning_rate": 0.002},
}


def measure(name: str, trial: str, seed: int, arguments: argparse.Namespace) -> list[dict[str, object]]:
    """Train one model unless it is finished, and return the dev scores of each task."""
    train_file, dev_file, measures, _ = CORPORA[name]
    root = arguments.output / "held_out" if name == "conll2000" else arguments.corpora
    folder = arguments.output / f"{name}-{trial}-{seed}"
    print(folder, flush=True)
    train(
        root / train_file,
        dev=root / dev_file,
        vectors=arguments.vectors,
        config=RECIPES / f"{name}.toml",
        output=folder,
        resume=True,
        progress=True,
        seed=seed,
        **TRIALS[trial],
    )
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    epochs = [json.loads(line) for line in lines]
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return [
        {
            "corpus": name,
            "task": task,
            "trial": trial,
            "seed": seed,
            "best": metrics["dev"][task][measure],
            "last": epochs[-1]["dev"][task][measure],
            "epochs": len(epochs),
            "seconds": round(sum(epoch["seconds"] for epoch in epochs), 1),
        }
        for task, measure in measures.items()
    ]


def show(runs: list[dict[str, object]]) -> None:
    table = Table("corpus", "task", "trial", "seeds", "best epoch", "sd", "last epoch", title="dev")
    for row in dict.fromkeys((run["corpus"], run["task"], run["trial"]) for run in runs):
        row_runs = [run for run in runs if (run["corpus"], run["task"], run["trial"]) == row]
        best, last = ([float(str(run[key])) for run in row_runs] for key in ("best", "last"))
        spread = f"{statistics.stdev(best):.4f}" if len(row_runs) > 1 else ""
        means = (f"{statistics.mean(best):.4f}", spread, f"{statistics.mean(last):.4f}")
        table.add_row(*map(str, row), str(len(row_runs)), *means)
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--only", action="append", choices=list(CORPORA), default=[])
    parser.add_argument("--trial", action="append", choices=list(TRIALS), default=[])
    parser.add_argument("--seeds", type=int, help="number of seeds [as in docs/accuracy.md]")
    parser.add_argument("--keep", type=Path, metavar="FILE.json")
    arguments = parser.parse_args()
    warnings.filterwarnings("error", "training was interrupted")  # Ctrl-C ends the script
    arguments.output.mkdir(parents=True, exist_ok=True)
    names = arguments.only or list(CORPORA)
    if "conll2000" in names:
        hold_out_chunks(arguments.corpora, arguments.output / "held_out", parser)
    runs: list[dict[str, object]] = []
    for name in names:
        for trial in arguments.trial or ["recipe"]:
            for seed in range(1, (arguments.seeds or CORPORA[name][3]) + 1):
                runs += measure(name, trial, seed, arguments)
                if arguments.keep:
                    arguments.keep.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")
    show(runs)


if __name__ == "__main__":
    main()
