"""Distil the English model into a student without word vectors; measure how often both agree.

python scripts/benchmarks/distil.py NEWS.jsonl.gz [--documents 3000] [--epochs 6]

NEWS has one JSON record with a "text" per line. The last 200 of the documents are held out.
"""

import gzip
import json
import time
from itertools import islice
from pathlib import Path

from measurement import fix_threads, parser, show, write_results

from tagger import Tagger, distil

HELD_OUT = 200  # documents


def main() -> None:
    options = parser(__doc__)
    options.add_argument("news", type=Path)
    options.add_argument("--teacher", default="en")
    options.add_argument("--documents", type=int, default=3000)
    options.add_argument("--epochs", type=int, default=6)
    options.add_argument("--hidden", type=int, default=200)
    options.set_defaults(threads=1)
    arguments = options.parse_args()
    fix_threads(arguments.threads)
    with gzip.open(arguments.news, "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in islice(lines, arguments.documents + HELD_OUT)]
    teacher = Tagger.load(arguments.teacher)
    start = time.perf_counter()
    student = distil(
        teacher, texts[:-HELD_OUT], epochs=arguments.epochs, hidden_size=arguments.hidden, patience=0
    )
    print(f"distilled from {len(texts) - HELD_OUT:,} documents in {time.perf_counter() - start:,.0f} s")
    taught = [sentence for document in teacher.pipe(texts[-HELD_OUT:]) for sentence in document]
    learnt = list(student.tag_sentences(taught))  # its tokenizer may split other tokens
    rows = []
    for task in teacher.tasks:
        pairs = [
            pair
            for one, other in zip(taught, learnt, strict=True)
            for pair in zip(one.tags[task.name], other.tags[task.name], strict=True)
        ]
        rows.append(
            {"task": task.name, "tokens": len(pairs), "equal": sum(a == b for a, b in pairs) / len(pairs)}
        )
    show(
        "tags that equal the teacher's",
        rows,
        {"task": "", "tokens": "held-out tokens", "equal": "equal tags"},
    )
    settings = {
        name: getattr(arguments, name) for name in ("teacher", "documents", "epochs", "hidden", "threads")
    }
    print(write_results("distil", arguments.results, rows, settings))


if __name__ == "__main__":
    main()
