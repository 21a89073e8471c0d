"""Train a joint POS and NER tagger on the corpus in data/, forward and bidirectional, and compare both.

python scripts/quickstart.py [--epochs N] [--output runs/quickstart]
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tagger import Tagger
from tagger.corpus.files import read_sentences
from tagger.runtime.model_evaluation import evaluate

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = "token,pos,ner"
PARAGRAPH = (
    "Jordan scored twice in the final minutes, and Chelsea smiled at him from the stand. "
    "Jordan has closed its border with Syria, May said on Tuesday; May 4 will be wet in Leeds. "
    "Dr. Grace Okafor of the University of Cork sent the German translation to Apple for $ 20.\n"
)


def train(direction: str, output: Path, epochs: int) -> None:
    command = [sys.executable, "-m", "tagger", "train", str(ROOT / "scripts/recipes/quickstart.toml")]
    command += ["--train", str(ROOT / "data/train.conll"), "--dev", str(ROOT / "data/dev.conll")]
    command += ["--direction", direction, "--epochs", str(epochs), "--output", str(output)]
    subprocess.run(command, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "quickstart")
    arguments = parser.parse_args()
    console = Console()
    start = time.monotonic()
    scores = {}
    for direction in ("forward", "bidirectional"):
        console.rule(f"training: {direction}")
        folder = arguments.output / direction
        train(direction, folder, arguments.epochs)
        sentences = read_sentences(ROOT / "data" / "test.conll", columns=COLUMNS, tasks=("pos", "ner"))
        scores[direction] = evaluate(Tagger.load(folder), list(sentences)).scores

    console.rule("what the backward pass adds")
    table = Table("score on data/test.conll", "forward", "bidirectional", "backward pass adds")
    rows = {
        "NER F1": ("ner", "f1"),
        "NER precision": ("ner", "precision"),
        "NER recall": ("ner", "recall"),
        "POS accuracy": ("pos", "accuracy"),
    }
    for name, (task, key) in rows.items():
        one, both = scores["forward"][task][key], scores["bidirectional"][task][key]
        table.add_row(name, f"{one:.4f}", f"{both:.4f}", f"{both - one:+.4f}")
    console.print(table)

    model = str(arguments.output / "bidirectional")
    for style in ("text", "jsonl"):
        console.rule(f"tagger tag -m {model} --format {style}")
        sys.stdout.flush()
        command = [sys.executable, "-m", "tagger", "tag", "-m", model, "--format", style]
        subprocess.run(command, input=PARAGRAPH.encode(), check=True)
    console.rule()
    console.print(
        f"Models: {arguments.output}/forward and {model} ({time.monotonic() - start:.0f} s in total)"
    )


if __name__ == "__main__":
    main()
