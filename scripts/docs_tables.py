"""Tables of the documentation, from the JSON files of benchmarks and experiments.

python -m cogapp -I scripts -r docs/*.md docs/*/*.md      # writes them; --check instead of -r only compares

A page calls a function of this module in a comment before its table (https://cog.readthedocs.io).
"""

import json
import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cog

SCRIPTS = Path(__file__).resolve().parent
BENCHMARKS = SCRIPTS / "benchmarks" / "results"
EXPERIMENTS = SCRIPTS / "experiments" / "results"
sys.path.insert(0, str(SCRIPTS / "experiments"))

import learning_curves  # noqa: E402

Rows = dict[str, dict[str, Any]]

PEERS = {  # a row's name in throughput-peers.json, and its text in the docs
    "tagger 100": "tagger, 100 units per direction",
    "tagger 100, int8": 'same model, `precision="int8"`',
    "tagger 200": "tagger, 200 units",
    "tagger 200, int8": 'same model, `precision="int8"`',
    "sklearn-crfsuite": "sklearn-crfsuite {sklearn-crfsuite}, hand-written features",
    "spaCy ner 96x4": "spaCy {spacy} `ner`, width 96, depth 4",
    "spaCy ner 256x8": "spaCy, width 256, depth 8",
    "flair LSTM-CRF 100": "flair {flair}, LSTM-CRF of 100 units",
}
COMPARED = {  # a comparison's folder, its name, and its measure
    "ner": ("CoNLL-2003 NER", "F1"),
    "chunk": ("CoNLL-2000 chunks", "F1"),
    "pos": ("UD EWT UPOS", "accuracy"),
}
PUBLISHED = {  # Huang, Xu and Yu 2015, Tables 2 and 3: softmax, CRF
    "ner": ("75.31 → 83.52", "81.45 → 84.74"),
    "chunk": ("90.11 → 93.80", "93.13 → 94.40"),
    "pos": ("94.63 → 96.04", "95.62 → 96.11"),
}
HEADS = ("softmax", "crf")
SMALL_RECIPES = {
    "default": "`default`: 200 units, 40 epochs",
    "short": "`short`: 100 units, 15 epochs",
    "affixes": "`affixes`: `short`, affixes of size 10",
    "linear": "`linear`: `short`, linear part",
    "both": "`both`: `short`, linear part, affixes of size 10",
    "small": "`small`: `both` with 40 epochs ([`small.toml`](../scripts/recipes/small.toml))",
}
SMALL_CORPORA = ("hungarian_pos", "vietnamese_pos", "wolof_ner", "hausa_ner")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table to the page, with empty lines around it."""
    lines = [
        "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|" for cells in (columns, *rows)
    ]
    lines.insert(1, "|---" * len(columns) + "|")
    cog.outl("\n" + "\n".join(lines) + "\n")


def read(path: Path) -> Any:
    """Return the content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def benchmark(name: str) -> tuple[Rows, dict[str, str]]:
    """Return the rows of a benchmark by their names, and the versions of the packages."""
    record = read(BENCHMARKS / f"{name}.json")
    return {row["name"]: row for row in record["rows"]}, record["versions"]


def count(row: dict[str, Any], key: str = "words_per_second") -> str:
    return f"{row[key]['median']:,.0f}"


def peers() -> None:
    """Write words per second and F1 of taggers."""
    rows, versions = benchmark("throughput-peers")
    short = {"sklearn-crfsuite": "0.5"}

    def trained(row: dict[str, Any]) -> str:
        (unit, amount), *_ = (row["trained"] or {"epochs": 5}).items()  # ncrfpp.toml has 5 epochs
        return f"{amount} {unit}"

    table(
        ["", "words/s", "entity F1", "trained"],
        (
            [PEERS[name].format_map({**versions, **short}), count(row), f"{row['f1']:.4f}", trained(row)]
            for name, row in rows.items()
        ),
    )


def kernels() -> None:
    """Write words per second next to those of bare LSTMs."""
    rows, _ = benchmark("throughput-kernels")

    def cells(kernel: str) -> Iterable[str]:
        return count(rows[kernel]), f"{rows[kernel]['kernel_share']['median']:.2f}"

    table(
        ["units per direction", "tagger, words/s", "onnxruntime `LSTM`", "share", "torch `nn.LSTM`", "share"],
        (
            [
                units,
                count(rows[f"tagger {units}"]),
                *cells(f"onnxruntime LSTM 158-{units}"),
                *cells(f"torch nn.LSTM 158-{units}"),
            ]
            for units in ("100", "200")
        ),
    )


def command() -> None:
    """Write the speed of the command, latencies and memory."""
    speeds, _ = benchmark("throughput-command")
    latencies, _ = benchmark("latency")
    sizes, _ = benchmark("scaling")
    memory, _ = benchmark("memory")
    install, _ = benchmark("install_size")
    epochs, _ = benchmark("training")
    stream, sentence = memory.values()

    def both(units: int, workers: str = "") -> str:
        return " / ".join(count(speeds[f"tagger {units}, {form}{workers}"]) for form in ("conll", "jsonl"))

    def milliseconds(name: str, digits: int = 0) -> str:
        return f"{latencies[name]['milliseconds']['median']:.{digits}f}"

    texts = ", ".join(count(sizes[f"{10**power:,} words"]) for power in range(3, 8))
    seconds = " / ".join(f"{row['seconds']['median']:.1f} s" for row in epochs.values())
    single = " / ".join(milliseconds(f"tag_tokens, {name}", 2) for name in ("median", "99th percentile"))
    table(
        ["", "measured"],
        [
            [
                "`tagger tag` on ten copies of Moby-Dick "
                f"({speeds['tagger 100, conll']['words']:,} words, including process start), conll / jsonl",
                f"{both(100)} words/s; `--workers 2`: {both(100, ', 2 workers')}",
            ],
            ["same with 200 units", f"{both(200)}; `--workers 2`: {both(200, ', 2 workers')}"],
            ["one sentence of 20 words through the API, median / 99th percentile", f"{single} ms"],
            [
                "`echo TEXT \\| tagger tag -m MODEL`, cold / `import tagger`",
                f"{milliseconds('echo TEXT | tagger tag')} / "
                f"{milliseconds('import tagger, inside the process')} ms",
            ],
            ["texts of 10³, 10⁴, 10⁵, 10⁶, 10⁷ words, warm", f"{texts} words/s"],
            [
                "150 MB of text through `tagger tag`: peak resident memory, growth over the second half",
                f"{stream['maximum_mb']:.0f} MB, {stream['slope_mb_per_gb']:.0f} MB per GB",
            ],
            [
                "one sentence of 100,000 words",
                f"{sentence['maximum_mb']:.0f} MB, {sentence['seconds']:.1f} s",
            ],
            ["a tagging-only install (no torch)", f"{install['all']['mb']:.0f} MB"],
            [
                "one training epoch on CoNLL-2003, one thread: NCRF++'s settings (100 units, batch 10) / "
                "`conll2003.toml` (200 units)",
                seconds,
            ],
        ],
    )


def serving() -> None:
    """Write the speed of the server."""
    rows, _ = benchmark("serving")
    memory, _ = benchmark("serving_memory")
    (many,) = memory.values()

    def value(name: str, digits: int = 0) -> str:
        number = rows[name]["value"]
        return f"{number['median'] if isinstance(number, dict) else number:,.{digits}f}"

    def requests(suffix: str) -> str:
        time = value(f"processor ms per request, 64 clients{suffix}", 2)
        return f"{value(f'requests/s, 64 clients{suffix}')} requests/s, {time} ms of processor time each"

    table(
        ["", ""],
        [
            ["sentences of 14 words, 64 clients", requests("")],
            ["the same with `--max-batch 1`", requests(", --max-batch 1")],
            ["texts of 500 words, 64 clients", f"{value('words/s, texts of 500 words')} words/s"],
            ["one client, median", f"{value('p50, one client, ms', 1)} ms"],
            [
                "at 70 % of the capacity, median / 99th percentile",
                f"{value('p50 at 70 %, ms')} / {value('p99 at 70 %, ms')} ms",
            ],
            [
                "refusals at ten times the capacity, median / 99th percentile / maximum",
                " / ".join(value(f"refusals at 10 x, {part}, ms", 1) for part in ("p50", "p99", "maximum"))
                + " ms",
            ],
            [
                "memory before and after ten times the capacity",
                f"{value('memory before 10 x, MB')}, {value('memory after 10 x, MB')} MB",
            ],
            [
                f"{many['name']} with new words, memory after half and all of them",
                f"{many['half_mb']:.0f}, {many['end_mb']:.0f} MB",
            ],
            [
                "a spaCy pipeline (`ner`, width 96, depth 4) behind the plainest FastAPI handler, 64 clients",
                requests(", spaCy"),
            ],
        ],
    )


def bulk() -> None:
    """Write throughput, price and memory of bulk runs."""
    rows, _ = benchmark("bulk")
    names = {
        "tag": "`tagger tag --workers 2`",
        "bulk, processes": "`--engine processes --workers 2`",
        "bulk, Ray": "`--engine ray --workers 2`",
    }

    def share(name: str) -> str:
        values = rows[name]["share"]
        return (
            "1" if name == "tag" else f"{values['median']:.2f} ({values['low']:.2f} to {values['high']:.2f})"
        )

    table(
        [
            "",
            "words/s",
            "of `tag --workers 2`",
            "processor seconds per million words",
            "price per million words",
            "peak memory of all processes, first / second half",
        ],
        (
            [
                text,
                count(rows[name]),
                share(name),
                f"{rows[name]['processor_per_million']['median']:.1f}",
                f"{rows[name]['cost_per_million']:.5f}",
                f"{count(rows[name], 'first_half_mb')} / {count(rows[name], 'second_half_mb')} MB",
            ]
            for name, text in names.items()
        ),
    )


def kills() -> None:
    """Write how bulk runs survived kills."""
    rows, _ = benchmark("bulk_kills")
    victims = {
        "worker": ("a worker process", ""),
        "driver": ("the driver of processes", ""),
        "ray-worker": ("a Ray worker", ": Ray repeats its shard"),
        "ray-driver": ("the driver with Ray", ""),
        "ray-node": ("one of two Ray nodes", ": the other continues"),
    }
    table(
        ["victim", "no victim yet, or none any more", "resumed", "equal files"],
        (
            [
                text,
                str(rows[name]["missed"]),
                f"{rows[name]['resumed']}{reason}",
                f"{rows[name]['equal']} of {rows[name]['kills']}",
            ]
            for name, (text, reason) in victims.items()
        ),
    )


def gains(features: str, *, is_short: bool = False, has_published: bool = False) -> None:
    """Write scores of forward and bidirectional models, of ``words`` only or ``full`` features."""
    columns = [""]
    gain = "gain" if is_short else "gain, 95 % interval"
    for head in ("softmax", "CRF"):
        columns += [f"{head}: forward → bidirectional", gain]
    if has_published:
        columns += ["published, softmax", "published, CRF"]

    def rows() -> Iterable[list[str]]:
        for task, (name, measure) in COMPARED.items():
            record = read(EXPERIMENTS / f"{task}-{features}" / "results.json")
            cells = [f"{name}, {measure}, {record['settings']['seeds']} seeds"]
            for head in HEADS:
                cells += gain_cells(record, head, is_short=is_short)
            yield cells + list(PUBLISHED[task] if has_published else ())

    table(columns, rows())


def gain_cells(record: dict[str, Any], head: str, *, is_short: bool) -> list[str]:
    """Return the two scores and the gain of the right context."""
    means = {
        row["variant"]["direction"]: 100 * row["scores"]["dev"]["mean"]
        for row in record["rows"]
        if row["variant"]["head"] == head and row["variant"]["lookahead"] == "full"
    }
    (gain,) = (
        one["difference"]
        for one in record["gains"]
        if one["base"]["direction"] == "forward" and one["base"]["head"] == head
    )
    low, high, mean = (100 * gain[key] for key in ("low", "high", "mean"))
    interval = "" if is_short else f" ({low:.2f} to {high:.2f})"
    return [f"{means['forward']:.2f} → **{means['bidirectional']:.2f}**", f"{mean:+.2f}{interval}"]


def lookahead() -> None:
    """Write F1 by the number of known next words."""
    record = read(EXPERIMENTS / "ner-words" / "results.json")
    names = {"softmax": "softmax", "crf": "CRF"}
    training = {"full": "trained on whole sentences", "random": "trained with random lookahead"}
    points = {
        (one["variant"]["head"], one["variant"]["lookahead"]): one["points"] for one in record["lookahead"]
    }
    words = ["all" if one["words"] is None else str(one["words"]) for one in points["crf", "full"]]
    scores = [
        [f"{names[head]}, {training[kind]}, F1", *(f"{100 * one['score']['mean']:.2f}" for one in values)]
        for (head, kind), values in points.items()
    ]
    times = [
        [
            f"{names[head]}, µs per word",
            *(
                "–" if one["microseconds"] is None else f"{one['microseconds']:.0f}"
                for one in points[head, "full"]
            ),
        ]
        for head in HEADS
    ]
    table(["known next words, NER, word vectors only", *words], scores + times)


def small_features() -> None:
    """Write scores of recipes for small corpora by seed, and the mean over corpora of each complete seed."""
    folder = EXPERIMENTS / "small_features"
    runs = [read(path) for path in sorted(folder.glob("*.json"))]

    def cells(recipe: str) -> Iterable[str]:
        by_corpus = []
        for corpus in SMALL_CORPORA:
            own = [run for run in runs if (run["recipe"], run["corpus"]) == (recipe, corpus)]
            scores = [run.get("f1", run.get("accuracy")) for run in own]
            by_corpus.append(scores)
            seconds = (f"{run['training_seconds']:.0f}" for run in own)
            yield " / ".join(f"{score:.4f}" for score in scores) + f" ({' / '.join(seconds)})"
        by_seed = zip(*by_corpus, strict=False)  # as many as every corpus has
        yield " / ".join(f"{statistics.fmean(scores):.4f}" for scores in by_seed)

    table(
        ["recipe", "Hungarian", "Vietnamese", "Wolof", "Hausa", "mean"],
        ([text, *cells(recipe)] for recipe, text in SMALL_RECIPES.items()),
    )


def active_learning(corpus: str) -> None:
    """Write the tables of simulated annotation of a corpus."""
    record = read(EXPERIMENTS / "active_learning" / f"{corpus}.json")
    cog.outl(f"\n{learning_curves.tables(record)}\n")
