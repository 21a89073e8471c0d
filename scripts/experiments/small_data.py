"""Compare taggers on small training sets: tagger, sklearn-crfsuite and spaCy, all with the same vectors.

python scripts/experiments/small_data.py CORPORA VECTORS OUTPUT [--only NAME]… [--systems tagger,crfsuite,…]

CORPORA contains wikigold/train.iob2, conll2003/eng.train and eng.testa; VECTORS is GloVe 6B 100d as text.

wikigold-1 … wikigold-5  five contiguous folds: trained on four, scored on the fifth
conll2003-100, -500, -2000  trained on the first sentences of eng.train, scored on eng.testa

The scored data select nothing: no system gets a dev split, and tagger is scored after its last epoch. Span F1
is computed by seqeval, which counts as conlleval does. Each run is one file in OUTPUT/runs; finished runs
with the same options are reused. The script needs a Python with the baselines installed, which `make bench`
creates; without them, --systems tagger works.
"""

import argparse
import json
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "benchmarks"))  # code that the baselines share with the benchmarks

import material  # noqa: E402
from measurement import fix_threads, versions  # noqa: E402
from rivals import RIVALS, SEEDLESS, Lesson  # noqa: E402

from tagger import Sentence  # noqa: E402
from tagger.config import Config  # noqa: E402
from tagger.config_loading import load_config  # noqa: E402
from tagger.corpus.conll import read_conll  # noqa: E402
from tagger.storage import write_whole  # noqa: E402
from tagger.text.schemes import convert_tags  # noqa: E402

TASK = material.TASK
FOLDS = 5
SIZES = (100, 500, 2_000)
SETTINGS = (*(f"wikigold-{fold}" for fold in range(1, FOLDS + 1)), *(f"conll2003-{size}" for size in SIZES))
SYSTEMS = ("tagger", *RIVALS)
COLUMNS = {"wikigold": "wikigold, 5 folds"} | {
    f"conll2003-{size}": f"conll2003, first {size:,}" for size in SIZES
}  # table columns: common prefix of the setting names, and heading
Run = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Split:
    """Train and test sentences of one setting, with tags in IOB2."""

    train: list[Sentence]
    test: list[Sentence]


def main() -> None:
    options = parse()
    fix_threads(1)
    config = recipe(options.recipe)
    for name in options.only or SETTINGS:
        split = split_of(name, options.corpora)
        for system in options.systems:
            for seed in range(1, 1 + (1 if system in SEEDLESS else options.seeds)):
                path = options.output / "runs" / name / f"{system}-{seed}.json"
                if is_done(path, system, config):
                    continue
                run = measure(system, name, split, seed, config, options)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, json.dumps(run).encode() + b"\n")
                print(
                    f"{name}, {system}, seed {seed}: F1 {run['f1']:.4f}, {run['seconds']:.0f} s", flush=True
                )
    rows = summarise(read_runs(options.output / "runs"))
    record = {"versions": versions(), "rows": rows}
    write_whole(options.output / "small_data.json", json.dumps(record, indent=1).encode() + b"\n")
    print(markdown(rows))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument(
        "--only", action="append", choices=SETTINGS, help="run only this setting (repeatable)"
    )
    parser.add_argument("--systems", type=names_of_systems, default=SYSTEMS, help="e.g. tagger,spacy [all]")
    parser.add_argument("--seeds", type=int, default=1, help="runs per setting and non-deterministic system")
    parser.add_argument("--recipe", type=Path, help="TOML options of tagger [defaults]")
    return parser.parse_args()


def names_of_systems(text: str) -> tuple[str, ...]:
    """Split names at commas; argparse reports unknown names."""
    names = tuple(text.split(","))
    if unknown := [name for name in names if name not in SYSTEMS]:
        raise argparse.ArgumentTypeError(f"unknown system {unknown[0]!r}. Choose from {', '.join(SYSTEMS)}.")
    return names


def recipe(path: Path | None) -> Config:
    """Load the options of tagger; the script sets tasks and columns."""
    return load_config(path, {"data.tasks": (TASK,), "data.columns": f"token,{TASK}"})


def split_of(name: str, corpora: Path) -> Split:
    """Read the sentences of a setting."""
    corpus, _, number = name.partition("-")
    if corpus == "wikigold":
        return fold(read(corpora / "wikigold" / "train.iob2", "IOB2"), int(number))
    train = read(corpora / "conll2003" / "eng.train", "IOB1")[: int(number)]
    return Split(train, read(corpora / "conll2003" / "eng.testa", "IOB1"))


def read(path: Path, scheme: str) -> list[Sentence]:
    """Read a file with tags of this scheme and convert them to IOB2; document boundaries are kept."""
    sentences = read_conll(path, tasks=(TASK,))
    return [
        replace(one, tags={TASK: tuple(convert_tags(one.tags[TASK], scheme, "IOB2"))}) for one in sentences
    ]


def fold(sentences: Sequence[Sentence], number: int) -> Split:
    """Hold out fold ``number`` (from 1) of five contiguous folds of about the same size."""
    start, end = (len(sentences) * index // FOLDS for index in (number - 1, number))
    return Split([*sentences[:start], *sentences[end:]], list(sentences[start:end]))


def is_done(path: Path, system: str, config: Config) -> bool:
    """Return True if a run is finished; runs of tagger must also have the same options except the seed."""
    if not path.is_file():
        return False
    run = json.loads(path.read_text(encoding="utf-8"))
    return system != "tagger" or run["config"] == options_of(config)


def options_of(config: Config) -> Run:
    """Return all options of a run as JSON values, without the seed, which is in the file name."""
    values: Run = json.loads(config.model_dump_json())
    del values["train"]["seed"]
    return values


def measure(
    system: str, name: str, split: Split, seed: int, config: Config, options: argparse.Namespace
) -> Run:
    """Train one system and score it."""
    words = {token for one in (*split.train, *split.test) for token in one.tokens}
    folder = options.output / "work" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    vectors = cut_vectors(options.vectors, words, folder / "vectors.txt")
    start = time.process_time()
    if system == "tagger":
        config = config.model_copy(update={"train": config.train.model_copy(update={"seed": seed})})
        predicted = run_tagger(split, vectors, config, folder)
    else:
        predicted = RIVALS[system](Lesson(corpus_of(split.train), tokens_of(split.test), vectors, seed))
    run: Run = {
        "setting": name,
        "system": system,
        "seed": seed,
        "f1": material.f1(corpus_of(split.test).tags, predicted),
        "seconds": round(time.process_time() - start, 1),
        "train": counts(split.train),
        "test": counts(split.test),
    }
    shutil.rmtree(folder)
    return run | ({"config": options_of(config)} if system == "tagger" else {})


def run_tagger(split: Split, vectors: Path, config: Config, folder: Path) -> list[list[str]]:
    """Train a model as `tagger train` does, load it and tag the test sentences; returns IOB2 tags."""
    from tagger import Tagger, train  # imported late: the baselines need no torch

    train(split.train, config=config, vectors=vectors, output=folder / "model", progress=True)
    tagger = Tagger.load(folder / "model", threads=1)
    tagged = tagger.tag_sentences([one.with_tags({}) for one in split.test])
    return [convert_tags(one.tags[TASK], tagger.scheme, "IOB2") for one in tagged]


def cut_vectors(path: Path, words: set[str], output: Path) -> Path:
    """Write only the vectors of these words: the same for every system, and faster to read.

    The file includes lower-cased forms and forms with digits replaced by 0, since some systems look these up.
    """
    forms = {form for word in words for form in (word, word.lower())}
    forms |= {"".join("0" if one.isdigit() else one for one in word) for word in forms}
    with path.open(encoding="utf-8") as source, output.open("w", encoding="utf-8") as target:
        target.writelines(line for line in source if line.partition(" ")[0] in forms)
    return output


def corpus_of(sentences: Sequence[Sentence]) -> material.Corpus:
    return material.Corpus(tokens_of(sentences), [list(one.tags[TASK]) for one in sentences])


def tokens_of(sentences: Sequence[Sentence]) -> list[list[str]]:
    return [list(one.tokens) for one in sentences]


def counts(sentences: Sequence[Sentence]) -> dict[str, int]:
    """Count sentences, tokens and spans."""
    spans = sum(tag.startswith("B-") for one in sentences for tag in one.tags[TASK])
    return {"sentences": len(sentences), "tokens": sum(map(len, sentences)), "spans": spans}


def read_runs(folder: Path) -> list[Run]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*/*.json"))]


def summarise(runs: Sequence[Run]) -> list[Run]:
    """Compute a row for each system and table column: mean F1 and its standard deviation over seeds.

    The folds of a corpus form one column: F1 is averaged over folds for each seed with complete folds.
    """
    rows = []
    for column in COLUMNS:
        settings = [name for name in SETTINGS if name.startswith(column)]
        for system in SYSTEMS:
            by_seed: dict[int, dict[str, float]] = {}
            for run in runs:
                if run["system"] == system and run["setting"] in settings:
                    by_seed.setdefault(run["seed"], {})[run["setting"]] = run["f1"]
            complete = {
                seed: by_setting
                for seed, by_setting in sorted(by_seed.items())
                if len(by_setting) == len(settings)
            }
            means = [statistics.fmean(by_setting.values()) for by_setting in complete.values()]
            if means:
                rows.append(
                    {
                        "column": column,
                        "system": system,
                        "f1": statistics.fmean(means),
                        "sd_seeds": statistics.stdev(means) if len(means) > 1 else None,
                        "seeds": len(means),
                        "runs": {
                            name: [by_setting[name] for by_setting in complete.values()] for name in settings
                        },
                    }
                )
    return rows


def markdown(rows: Sequence[Run]) -> str:
    """Format F1 in percent, one line per system, one column per corpus; ± standard deviation over seeds."""
    cells = {(row["system"], row["column"]): cell(row) for row in rows}
    lines = ["| F1 | " + " | ".join(COLUMNS.values()) + " |", "|---" * (1 + len(COLUMNS)) + "|"]
    for system in SYSTEMS:
        texts = [cells.get((system, column), "") for column in COLUMNS]
        if any(texts):
            lines.append(f"| {system} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def cell(row: Run) -> str:
    spread = "" if row["sd_seeds"] is None else f" ± {100 * row['sd_seeds']:.2f}"
    return f"{100 * row['f1']:.2f}{spread} ({row['seeds']})"


if __name__ == "__main__":
    main()
