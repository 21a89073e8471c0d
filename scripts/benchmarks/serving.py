"""Measure `tagger serve`: throughput, latency under a given load, and overload; needs wrk.

    python scripts/benchmarks/serving.py [--model DIR] [--spacy DIR]

Texts are the words of this project's corpus, one word in 50 replaced by a new word. Closed loops (wrk):
requests of one sentence of 14 words from 64 clients, with the default batches and with `--max-batch 1`, and
from one client; texts of 500 words. Servers take turns, and ratios are computed round by round. Open loops:
Poisson arrivals at 70 % of the capacity that wrk measured, and at ten times the capacity, also with
`--max-waiting 16`; latency counts from the scheduled arrival.

--spacy adds a spaCy pipeline, as `peers.py` trains one, behind the plainest FastAPI handler. Compare it to a
model of the same data (--model).

To look for requests that the server answers with status 500, or other than its OpenAPI description says:

    tagger serve --port 8000 & schemathesis run http://127.0.0.1:8000/openapi.json --max-time 120
"""

import argparse
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from load import (
    SENTENCE_WORDS,
    ClosedLoop,
    bodies,
    poisson_times,
    require_wrk,
    run_open_loop,
    run_wrk,
    served,
    texts,
)
from measurement import estimate, fix_threads, parser, show, show_machine, write_results
from numpy.typing import NDArray
from pydantic import BaseModel

TEXT_WORDS = 500
CLIENTS = 64
LOAD, OVERLOAD = 0.7, 10
FEW = "--max-waiting 16"
BODIES = 4000  # distinct requests of a run
TARGETS = {
    "requests/s, 64 clients": ">= 1,000",
    "ratio to --max-batch 1": ">= 3",
    "words/s, texts of 500 words": ">= 100,000",
    "p50, one client, ms": "<= 3",
    "p99 / p50 at 70 %": "<= 5",
    "refusals at 10 x, maximum, ms": "<= 10",
}
COLUMNS = {"name": "", "value": "", "target": "target"}
MEGABYTE = 1_000_000
Row = dict[str, object]
Server = tuple[str, psutil.Process]


class TextBody(BaseModel):
    """The body of a request to spaCy's server."""

    text: str


def main() -> None:
    options = parse()
    if options.spacy_only:  # a process started by ``start_servers``
        return serve_spacy(options.spacy)
    require_wrk()
    fix_threads(options.threads)
    show_machine()
    with ExitStack() as stack:
        servers = start_servers(options, stack)
        rows, sentences, long_texts = measure_throughput(servers, options)
        rows += measure_open_loop(servers["tagger"], sentences, options)
        rows += measure_overload(servers, long_texts, options)
    for row in rows:
        row["target"] = TARGETS.get(str(row["name"]))
    show(f"tagger serve, model {options.model}", rows, COLUMNS)
    settings = {name: getattr(options, name) for name in ("threads", "rounds", "seconds")}
    print(write_results("serving", options.results, rows, settings | {"model": Path(options.model).name}))
    return None


def parse() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--model", default="en", help="folder or name of our model [en]")
    options.add_argument("--spacy", type=Path, help="folder of a spaCy pipeline with ner")
    options.add_argument("--rounds", type=int, default=3, help="rounds of wrk [3]")
    options.add_argument("--seconds", type=float, default=5, help="duration of each run of wrk [5]")
    options.add_argument("--open-seconds", type=float, default=20, help="duration of an open loop [20]")
    options.add_argument("--spacy-only", action="store_true", help=argparse.SUPPRESS)
    return options.parse_args()


def start_servers(options: argparse.Namespace, stack: ExitStack) -> dict[str, Server]:
    """Start one server per compared program; servers without requests take no processor time."""
    ours = ["-m", "tagger", "serve", "-m", str(options.model), "--port", "0"]
    commands = {
        "tagger": ours,
        "--max-batch 1": [*ours, "--max-batch", "1"],
        FEW: [*ours, *FEW.split()],
    }
    if options.spacy:
        commands["spaCy"] = [__file__, "--spacy", str(options.spacy), "--spacy-only"]
    return {name: stack.enter_context(served(*command)) for name, command in commands.items()}


def serve_spacy(folder: Path) -> None:
    """Serve a spaCy pipeline as its users would at first."""
    import uvicorn
    from fastapi import FastAPI
    from peers import load_spacy

    app, nlp = FastAPI(), load_spacy(folder)

    @app.post("/tag")
    def tag(body: TextBody) -> dict[str, Any]:
        entities = nlp(body.text).ents
        return {
            "entities": [
                {"text": one.text, "label": one.label_, "start": one.start_char, "end": one.end_char}
                for one in entities
            ]
        }

    uvicorn.run(app, port=0, access_log=False)


def measure_throughput(
    servers: Mapping[str, Server], options: argparse.Namespace
) -> tuple[list[Row], float, float]:
    """Return rows, and the requests per second of our server for sentences and for long texts."""
    sentences, long_texts = texts(SENTENCE_WORDS), texts(TEXT_WORDS)
    runs: dict[tuple[str, str], list[ClosedLoop]] = {}
    processor: dict[str, list[float]] = {}  # milliseconds per sentence from 64 clients
    compared = [name for name in servers if name != FEW]

    def run(kind: str, source: Iterator[str], clients: int) -> None:
        for name in compared:
            address, process = servers[name]
            requests, before = bodies(source, BODIES), process.cpu_times()
            result = run_wrk(address, requests, clients=clients, seconds=options.seconds)
            runs.setdefault((name, kind), []).append(result)
            if kind == "sentence":
                after = process.cpu_times()
                spent = after.user + after.system - before.user - before.system
                processor.setdefault(name, []).append(1000 * spent / (result.rate * options.seconds))

    for _ in range(options.rounds):
        run("sentence", sentences, CLIENTS)
        run("text", long_texts, CLIENTS)
        run("one", sentences, 1)
    rows: list[Row] = []
    for name in compared:
        suffix = "" if name == "tagger" else f", {name}"
        by_kind = {kind: runs[name, kind] for kind in ("sentence", "text", "one")}
        per_text = [TEXT_WORDS * run.rate for run in by_kind["text"]]
        rows += [
            {
                "name": f"requests/s, 64 clients{suffix}",
                "value": estimate(run.rate for run in by_kind["sentence"]),
            },
            {"name": f"processor ms per request, 64 clients{suffix}", "value": estimate(processor[name])},
            {"name": f"words/s, texts of 500 words{suffix}", "value": estimate(per_text)},
            {"name": f"p50, one client, ms{suffix}", "value": estimate(run.p50 for run in by_kind["one"])},
        ]
        if name != "tagger":
            pairs = zip(runs["tagger", "sentence"], by_kind["sentence"], strict=True)
            rows.append(
                {"name": f"ratio to {name}", "value": estimate(one.rate / other.rate for one, other in pairs)}
            )
    capacity = {kind: np.median([run.rate for run in runs["tagger", kind]]) for kind in ("sentence", "text")}
    return rows, float(capacity["sentence"]), float(capacity["text"])


def measure_open_loop(server: Server, capacity: float, options: argparse.Namespace) -> list[Row]:
    """Measure the latency of sentences at 70 % of the capacity."""
    times = poisson_times(LOAD * capacity, options.open_seconds)
    answers = run_open_loop(server[0], bodies(texts(SENTENCE_WORDS), BODIES), times)
    p50, p99 = percentiles(answers.milliseconds(200), 50, 99)
    return [
        {"name": "p50 at 70 %, ms", "value": p50},
        {"name": "p99 at 70 %, ms", "value": p99},
        {"name": "p99 / p50 at 70 %", "value": p99 / p50},
        {"name": "p99 of the generator's delay at 70 %, ms", "value": percentiles(answers.delays, 99)[0]},
    ]


def measure_overload(
    servers: Mapping[str, Server], capacity: float, options: argparse.Namespace
) -> list[Row]:
    """Offer ten times the capacity of long texts, which a generator in Python can.

    Accepted requests wait for all that are admitted before them: their latency depends on --max-waiting.
    """
    requests = bodies(texts(TEXT_WORDS), BODIES)
    calm = run_open_loop(
        servers["tagger"][0], requests, poisson_times(LOAD * capacity, options.open_seconds)
    ).milliseconds(200)
    p50, p99 = percentiles(calm, 50, 99)
    rows: list[Row] = [
        {"name": "p50 of texts at 70 %, ms", "value": p50},
        {"name": "p99 of texts at 70 %, ms", "value": p99},
    ]
    times = poisson_times(OVERLOAD * capacity, options.open_seconds)
    for suffix, (address, process) in (("", servers["tagger"]), (f", {FEW}", servers[FEW])):
        before = process.memory_info().rss
        answers = run_open_loop(address, requests, times)
        after = process.memory_info().rss
        accepted, refused = answers.milliseconds(200), answers.milliseconds(503)
        middle, high = percentiles(refused, 50, 99)
        figures = {
            "accepted/s at 10 x": len(accepted) / options.open_seconds,
            "p99 of texts accepted at 10 x, ms": percentiles(accepted, 99)[0],
            "refused/s at 10 x": len(refused) / options.open_seconds,
            "refusals at 10 x, p50, ms": middle,
            "refusals at 10 x, p99, ms": high,
            "refusals at 10 x, maximum, ms": float(refused.max(initial=0)),
            "other answers at 10 x": len(answers.status) - len(accepted) - len(refused),
            "p99 of the generator's delay at 10 x, ms": percentiles(answers.delays, 99)[0],
            "memory before 10 x, MB": before / MEGABYTE,
            "memory after 10 x, MB": after / MEGABYTE,
        }
        rows += [{"name": f"{name}{suffix}", "value": value} for name, value in figures.items()]
    return rows


def percentiles(values: NDArray[np.float64], *percents: float) -> list[float]:
    return (
        [float(value) for value in np.percentile(values, percents)]
        if len(values)
        else [0.0 for _ in percents]
    )


if __name__ == "__main__":
    main()
