"""Train a joint POS and NER tagger on the corpus in data/, forward and bidirectional, and compare both.

python scripts/quickstart.py [--epochs N] [--output runs/quickstart] [--keep FILE.json]
"""

import argparse
import json
import time
import warnings
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tagger import Sentence, train

ROOT = Path(__file__).resolve().parent.parent
PARAGRAPH = (
    "Jordan scored twice in the final minutes, and Chelsea smiled at him from the stand. "
    "Jordan has closed its border with Syria, May said on Tuesday; May 4 will be wet in Leeds. "
    "Dr. Grace Okafor of the University of Cork sent the German translation to Apple for $ 20.\n"
)


def make_span_table(sentences: list[Sentence]) -> Table:
    table = Table("characters", "label", "score", "text")
    for sentence in sentences:
        for span in sentence.spans["ner"]:
            text = PARAGRAPH[span.start_char : span.end_char]
            table.add_row(f"{span.start_char}-{span.end_char}", span.label, f"{span.score:.2f}", text)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "quickstart")
    parser.add_argument("--keep", type=Path, metavar="FILE.json", help="save the scores of both models")
    arguments = parser.parse_args()
    warnings.filterwarnings("error", "training was interrupted")  # Ctrl-C ends the script
    console = Console()
    start = time.monotonic()
    scores = {}
    for direction in ("forward", "bidirectional"):
        console.rule(f"training: {direction}")
        model = train(
            ROOT / "data" / "train.conll",
            dev=ROOT / "data" / "dev.conll",
            config=ROOT / "scripts" / "recipes" / "quickstart.toml",
            direction=direction,
            epochs=arguments.epochs,
            output=arguments.output / direction,
            resume=False,
            progress=True,
        )
        scores[direction] = model.evaluate(ROOT / "data" / "test.conll").to_dict()
    if arguments.keep:
        arguments.keep.write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")

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

    console.rule("a paragraph tagged by the bidirectional model")
    sentences = model.tag(PARAGRAPH)
    for sentence in sentences:
        console.print(*map("/".join, zip(sentence.tokens, sentence.tags["pos"], strict=True)), markup=False)
    console.print(make_span_table(sentences))
    console.print(
        f"Models: {arguments.output}/forward and {arguments.output}/bidirectional "
        f"({time.monotonic() - start:.0f} s in total)"
    )


if __name__ == "__main__":
    main()
