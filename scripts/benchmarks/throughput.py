"""Measure words per second: tagger against a bare LSTM, against other taggers, and as a command.

    python scripts/benchmarks/throughput.py --model DIR [--model DIR]... --train eng.train --dev eng.testa
        --vectors glove.6B.100d.txt --peers DIR --text moby_dick.txt

Four parts, each with its own table and JSON file; the rows of a table take turns in one run:

kernels  `Tagger.tag_tokens` over train and dev: strings in, `Sentence` objects out, all tags read.
         The baseline is a bare bidirectional LSTM with the sizes of the model; the table shows our speed as a
         share of its speed, by wall-clock and by processor time.
peers    The same over dev, compared with other taggers on the same strings, each with its F1 on dev. They are
         trained on train the first time and saved in the folder --peers.
documents  `Tagger.tag_sentences` over dev with its document boundaries, and `Tagger.tag` over the raw text
         --text, by processor time. The share compares with crfsuite on the same sentences, and the tags that
         int8 changes are counted. `context.py` measures the cost of document context.
command  `tagger tag` from raw text to JSON lines and to CoNLL columns, including process start-up.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import material
from kernels import KERNELS, make_inputs, sizes_of
from material import Tokens
from measurement import (
    Estimate,
    Timing,
    fix_threads,
    interleave,
    parser,
    rates,
    shares,
    show,
    show_machine,
    write_results,
)
from peers import PEERS, TrainingSetup, find_peers

from tagger import Sentence, Tagger

Row = dict[str, object]


def main() -> None:
    options = parse()
    fix_threads(options.threads)
    show_machine()
    for part in options.part or PARTS:
        rows = PARTS[part](options)
        show(f"throughput, {part}, threads: {options.threads}", rows, COLUMNS)
        print(write_results(f"throughput-{part}", options.results, rows, settings_of(options)))


def parse() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument(
        "--model", type=Path, action="append", required=True, help="trained model (repeatable)"
    )
    options.add_argument("--train", type=Path, required=True, help="CoNLL-2003's eng.train")
    options.add_argument("--dev", type=Path, required=True, help="CoNLL-2003's eng.testa")
    options.add_argument("--vectors", type=Path, help="GloVe text file, to train peers")
    options.add_argument(
        "--peers", type=Path, default=Path("runs/benchmarks/peers"), help="folder of trained peers"
    )
    options.add_argument(
        "--peer", action="append", choices=list(PEERS), help="run only this one (repeatable)"
    )
    options.add_argument("--peer-epochs", type=int, default=10)
    options.add_argument(
        "--peer-minutes", type=float, default=20.0, help="maximum training minutes of each peer [20]"
    )
    options.add_argument("--text", type=Path, help="raw text for the part `command`")
    options.add_argument("--copies", type=int, default=10, help="repetitions of the text [10]")
    options.add_argument("--sentences", type=int, help="maximum number of sentences of train and of dev")
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument(
        "--part", action="append", choices=list(PARTS), help="run only this one (repeatable)"
    )
    return options.parse_args()


def settings_of(options: argparse.Namespace) -> dict[str, object]:
    """Return the settings, with file names instead of paths: figures do not depend on folders."""
    return {
        "threads": options.threads,
        "repeats": options.repeats,
        "sentences": options.sentences,
        "copies": options.copies,
        "models": [folder.name for folder in options.model],
        "files": [path.name for path in (options.train, options.dev, options.vectors, options.text) if path],
    }


def name_of(folder: Path) -> str:
    return f"tagger {sizes_of(folder).hidden}"


def tags_of(tagger: Tagger, sentences: Sequence[Tokens]) -> Callable[[], int]:
    return lambda: material.touch(tagger.tag_tokens(sentences))


def measure_kernels(options: argparse.Namespace) -> list[Row]:
    corpora = [material.read_corpus(path, options.sentences) for path in (options.train, options.dev)]
    sentences = [tokens for corpus in corpora for tokens in corpus.tokens]
    lengths = [len(tokens) for tokens in sentences]
    rows: list[Row] = []
    for folder in options.model:
        sizes = sizes_of(folder)
        batches = make_inputs(lengths, sizes.inputs)
        tagger = Tagger.load(folder, threads=options.threads)
        runs: dict[str, Callable[[], object]] = {name_of(folder): tags_of(tagger, sentences)}
        for kernel, make in KERNELS.items():
            try:
                runs[f"{kernel} {sizes.inputs}-{sizes.hidden}"] = make(sizes, batches, options.threads)
            except ImportError as error:
                print(f"{kernel}: skipped ({error}). To include it: pip install onnx onnxruntime torch")
        timings = interleave(runs, repeats=options.repeats)
        ours = timings[name_of(folder)]
        for name, rounds in timings.items():
            rows.append(
                {
                    "name": name,
                    "words": sum(lengths),
                    "words_per_second": rates(sum(lengths), rounds),
                    "processor_seconds": min(timing.processor for timing in rounds),
                    "kernel_share": None if rounds is ours else shares(ours, rounds),
                    "processor_share": None if rounds is ours else shares(ours, rounds, by="processor"),
                }
            )
    return rows


def measure_peers(options: argparse.Namespace) -> list[Row]:
    dev = material.read_corpus(options.dev, options.sentences)
    outputs: dict[str, Callable[[], list[list[str]]]] = {}
    runs: dict[str, Callable[[], object]] = {}
    trained: dict[str, dict[str, float]] = {}
    for folder, precision in product(options.model, ("f32", "int8")):
        tagger = Tagger.load(folder, threads=options.threads, precision=precision)
        name = name_of(folder) + ("" if precision == "f32" else f", {precision}")
        runs[name] = tags_of(tagger, dev.tokens)
        outputs[name] = lambda tagger=tagger: [
            list(sentence.tags[material.TASK]) for sentence in tagger.tag_tokens(dev.tokens)
        ]
    setup = TrainingSetup(
        options.peers,
        material.read_corpus(options.train),
        options.vectors,
        options.peer_epochs,
        options.peer_minutes,
        options.threads,
    )
    for name, peer in find_peers(setup, options.peer or list(PEERS)).items():
        runs[name] = lambda peer=peer: peer.tag(dev.tokens)
        outputs[name] = lambda peer=peer: peer.to_tags(peer.tag(dev.tokens))
        trained[name] = peer.trained
    scores = {name: material.f1(dev.tags, output()) for name, output in outputs.items()}
    timings = interleave(runs, repeats=options.repeats)
    return [
        {
            "name": name,
            "words": dev.words,
            "words_per_second": rates(dev.words, rounds),
            "processor_seconds": min(timing.processor for timing in rounds),
            "f1": scores[name],
            "trained": trained.get(name),
        }
        for name, rounds in timings.items()
    ]


def measure_documents(options: argparse.Namespace) -> list[Row]:
    dev = material.read_corpus(options.dev, options.sentences)
    whole = material.read_documents(options.dev, options.sentences)
    setup = TrainingSetup(
        options.peers, material.read_corpus(options.train), None, 0, options.peer_minutes, options.threads
    )
    text = options.text.read_text(encoding="utf-8") if options.text else ""
    runs: dict[str, Callable[[], object]] = {}
    words: dict[str, int] = {}
    changed: dict[str, int] = {}
    for name, peer in find_peers(setup, ["sklearn-crfsuite"]).items():
        runs[name], words[name] = lambda peer=peer: peer.tag(dev.tokens), dev.words
    peers = list(runs)
    for folder in options.model:
        exact = Tagger.load(folder, threads=options.threads)
        rounded = Tagger.load(folder, threads=options.threads, precision="int8")
        name = name_of(folder)
        changed[f"{name}, int8"] = count_changes(exact, rounded, whole)
        for suffix, tagger in (("", exact), (", int8", rounded)):
            runs[name + suffix] = lambda tagger=tagger: material.touch(tagger.tag_sentences(whole))
            words[name + suffix] = dev.words
            if text:
                runs[f"{name}{suffix}, raw text"] = lambda tagger=tagger: material.touch(tagger.tag(text))
                words[f"{name}{suffix}, raw text"] = sum(map(len, tagger.tokenizer(text)))
    timings = interleave(runs, repeats=options.repeats)

    def peer_share(rounds: Sequence[Timing], count: int) -> Estimate | None:
        is_comparable = bool(peers) and count == dev.words
        return shares(rounds, timings[peers[0]], by="processor") if is_comparable else None

    return [
        {
            "name": name,
            "words": words[name],
            "words_per_second": rates(words[name], rounds),
            "words_per_processor_second": rates(words[name], rounds, by="processor"),
            "peer_share": peer_share(rounds, words[name]),
            "changed_tags": changed.get(name),
        }
        for name, rounds in timings.items()
    ]


def count_changes(exact: Tagger, rounded: Tagger, sentences: Sequence[Sentence]) -> int:
    """Return the number of tokens whose tags differ between two taggers."""
    pairs = zip(exact.tag_sentences(sentences), rounded.tag_sentences(sentences), strict=True)
    return sum(
        before != after
        for one, other in pairs
        for before, after in zip(one.tags[material.TASK], other.tags[material.TASK], strict=True)
    )


def measure_command(options: argparse.Namespace) -> list[Row]:
    if options.text is None:
        print("command: skipped, because --text is missing")
        return []
    with tempfile.TemporaryDirectory() as temporary:
        text = Path(temporary) / "text.txt"
        text.write_text(options.text.read_text(encoding="utf-8") * options.copies, encoding="utf-8")
        output = Path(temporary) / "output"
        runs: dict[str, Callable[[], object]] = {}
        for folder, style, workers in product(options.model, ("jsonl", "conll"), (1, options.threads)):
            command = [sys.executable, "-m", "tagger", "tag", "-m", folder, text, "--format", style]
            command += ["--workers", workers, "--output", output]
            name = f"{name_of(folder)}, {style}" + (f", {workers} workers" if workers > 1 else "")
            runs[name] = lambda command=command: subprocess.run(
                list(map(str, command)), check=True, stderr=subprocess.DEVNULL
            )
        list(runs.values())[-1]()
        with output.open(encoding="utf-8") as lines:
            words = dict.fromkeys(runs, sum(not line.isspace() for line in lines))
        timings = interleave(runs, repeats=options.repeats)
    return [
        {
            "name": name,
            "words": words[name],
            "words_per_second": rates(words[name], rounds),
            "processor_seconds": min(timing.processor for timing in rounds),
        }
        for name, rounds in timings.items()
    ]


PARTS = {
    "kernels": measure_kernels,
    "peers": measure_peers,
    "documents": measure_documents,
    "command": measure_command,
}
COLUMNS = {
    "name": "",
    "words": "words",
    "words_per_second": "words/s",
    "words_per_processor_second": "words per processor s",
    "processor_seconds": "processor s",
    "kernel_share": "kernel share",
    "processor_share": "by processor time",
    "peer_share": "of crfsuite",
    "changed_tags": "changed tags",
    "f1": "F1 on dev",
}

if __name__ == "__main__":
    main()
