"""Reproduce the comparisons of docs/comparison.md, one ``tagger compare`` command each.

python scripts/experiments/run.py CORPORA VECTORS OUTPUT [--only NAME]… [--jobs 2] [--keep DIR]

CORPORA contains conll2003/eng.train and eng.testa, conll2000/train.txt, ud_ewt/en_ewt-ud-{train,dev}.conllu;
VECTORS is GloVe 6B 100d as text. Finished runs in OUTPUT are reused. With --keep, results and reports are
copied to DIR; they contain no words of the corpora.
"""

import argparse
import shlex
import shutil
import sys
from pathlib import Path

from held_out import hold_out_chunks

from tagger.cli.main import main as tagger

HERE = Path(__file__).resolve().parent
NER = ["--task", "ner", "--columns", "token,pos,chunk,ner"]
NER += ["--train", "{corpora}/conll2003/eng.train", "--dev", "{corpora}/conll2003/eng.testa"]
CHUNK = ["--task", "chunk", "--columns", "token,pos,chunk"]
CHUNK += ["--train", "{output}/held_out/train.txt", "--dev", "{output}/held_out/dev.txt"]
POS = ["--task", "pos", "--train", "{corpora}/ud_ewt/en_ewt-ud-train.conllu"]
POS += ["--dev", "{corpora}/ud_ewt/en_ewt-ud-dev.conllu"]
LOOKAHEAD = ["--lookahead", "0,1,2,4,8,full"]
MODES = ["--directions", "bidirectional", "--merge-modes", "concat,sum,mul,ave", "--heads", "crf"]

# For each experiment: options of tagger compare, and number of seeds.
EXPERIMENTS = {
    "ner-words": (["words.toml", *NER, *LOOKAHEAD], 5),
    "chunk-words": (["words.toml", *CHUNK], 3),
    "pos-words": (["words.toml", *POS], 3),
    "ner-modes": (["words.toml", *NER, *MODES], 3),
    "ner-full": (["full.toml", *NER], 5),
    "chunk-full": (["full.toml", *CHUNK], 3),
    "pos-full": (["full.toml", *POS], 3),
}
KEPT = ("results.json", "report.md")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--only", action="append", choices=list(EXPERIMENTS), default=[])
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    names = arguments.only or list(EXPERIMENTS)
    if any(name.startswith("chunk") for name in names):
        hold_out_chunks(arguments.corpora, arguments.output / "held_out", parser)
    for name in names:
        (config, *options), seeds = EXPERIMENTS[name]
        folder = arguments.output / name
        folders = {"corpora": arguments.corpora, "output": arguments.output}
        command = ["compare", str(HERE / config), *(one.format(**folders) for one in options)]
        command += ["--vectors", str(arguments.vectors), "--match", "parameters"]
        command += ["--seeds", str(seeds)]
        command += ["--jobs", str(arguments.jobs), "--output", str(folder), "--hide-words"]
        print(shlex.join(["tagger", *command]), flush=True)
        # Run in this process: Ctrl-C then reaches only the command, which handles it.
        if code := tagger(command):
            sys.exit(code)
        if arguments.keep:
            kept = arguments.keep / name
            kept.mkdir(parents=True, exist_ok=True)
            for file in KEPT:
                shutil.copy(folder / file, kept / file)


if __name__ == "__main__":
    main()
