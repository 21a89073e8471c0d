"""Time `tagger annotate` on a generated pool: the first sentence, each accept, memory.

    python scripts/benchmarks/annotation_pool.py --sentences 1000000

The text is generated: words of random syllables, one document per ten sentences.
"""

import argparse
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import Request, urlopen

import psutil

SYLLABLES = ["ba", "ke", "li", "mo", "nu", "pra", "sto", "ven", "dir", "gal", "ska", "tri"]
DOCUMENT = 10  # sentences
N_ACCEPTED = 200


def write_pool(path: Path, n_sentences: int) -> None:
    source = random.Random(1)
    words = ["".join(source.choices(SYLLABLES, k=source.randint(1, 3))) for _ in range(20_000)]
    with path.open("w") as file:
        for _ in range(n_sentences // DOCUMENT):
            sentences = [source.choices(words, k=source.randint(4, 16)) for _ in range(DOCUMENT)]
            text = " ".join(" ".join(one).capitalize() + "." for one in sentences)
            file.write(json.dumps({"text": text}) + "\n")


def post(address: str, name: str, **body: object) -> dict:
    request = Request(
        f"{address}/annotation/{name}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urlopen(request, timeout=600) as response:
        return json.load(response)


def accept(address: str, answer: dict) -> dict:
    work = {"n_tokens": len(answer["tokens"]), "spans": []}
    post(address, "decide", key=answer["lease"]["key"], work=work, seconds=1)
    return post(address, "next", annotator="ada")


def timed(function, *arguments, **named):
    start = time.monotonic()
    result = function(*arguments, **named)
    return result, time.monotonic() - start


def measure(address: str, process: psutil.Process) -> None:
    print(f"memory at the start: {process.memory_info().rss / 1e6:.0f} MB")
    answer, seconds = timed(post, address, "next", annotator="ada")
    start = time.monotonic() - seconds
    while not answer["lease"]:
        time.sleep(0.1)
        answer = post(address, "next", annotator="ada")
    print(f"first sentence after {time.monotonic() - start:.1f} s", flush=True)
    times, progress = [], []
    for _ in range(N_ACCEPTED):
        answer, seconds = timed(accept, address, answer)
        times.append(seconds)
        _, seconds = timed(lambda: urlopen(f"{address}/annotation/progress", timeout=600).read())
        progress.append(seconds)
        if not answer["lease"]:
            break
    for name, values in (("accept and next", times), ("progress", progress)):
        print(f"{name}: median {1000 * statistics.median(values):.0f} ms, max {1000 * max(values):.0f} ms")
    print(
        f"accepted: {len(times)}; memory of the server: {process.memory_info().rss / 1e6:.0f} MB", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sentences", type=int, default=1_000_000)
    parser.add_argument("--model", default="en")
    parser.add_argument("--project", type=Path, help="file of an earlier run, or of a new one to keep")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        project, pool = options.project or Path(name, "case.db"), Path(name, "pool.jsonl")
        command = [sys.executable, "-m", "tagger", "annotate", "--project", project, "--port", "0"]
        if not project.exists():
            write_pool(pool, options.sentences)
            command += [pool, "--labels", "PER,LOC", "--model", options.model]
        start = time.monotonic()
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
            try:
                for line in server.stderr:
                    print(f"{time.monotonic() - start:.0f} s: {line.rstrip()}", flush=True)
                    if match := re.search(r" on (http://\S+)", line):
                        break
                measure(match[1], psutil.Process(server.pid))
            finally:
                server.kill()
        print(f"project: {project.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
