"""Simulate annotation with gold labels: which sentences to label first, from which model, and how fully.

python scripts/experiments/active_learning.py CORPORA OUTPUT [--corpus NAME]… [--variant NAME]… [--seeds 3]

CORPORA contains conll2003/eng.train and eng.testa, wikigold/train.iob2 (the last fifth is the test part),
hausa_ner and wolof_ner with train.txt and test.txt. A chain is a corpus, a variant and a seed. It starts with
random sentences, the same for all variants. In each round it trains a model on all labelled sentences, scores
it, and selects the sentences of the next round with it. Each round trains from random weights or from
the packaged model `en`, for a fixed number of epochs, without a dev split and without vectors: see SMALL.

The variants are those of VARIANTS. `partial` labels only the least certain tokens of each sentence and those
with a probability below CERTAIN; the others get the unknown tag `?`. Its number of tokens is that of labelled
ones, but its seconds are those of whole sentences, which must be read. `full` has all sentences.

Each round is a file in OUTPUT/rounds, so that a call continues interrupted chains. Several calls share the
work: each takes chains that no other process holds. A call uses one core. At the end it prints the tables of
all finished rounds and writes them to OUTPUT/CORPUS.json; `--tables` does only this.
"""

import argparse
import json
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "benchmarks"))  # code that the experiments share with the benchmarks

from learning_curves import summarise, tables  # noqa: E402
from measurement import fix_threads, versions  # noqa: E402

from tagger import Sentence, Tagger, train  # noqa: E402
from tagger.annotation.annotation_cost import PRIOR  # noqa: E402
from tagger.annotation.selection import Choice, random_order, select  # noqa: E402
from tagger.annotation.strategies import LEAST_CERTAIN, StrategyName  # noqa: E402
from tagger.corpus.loading import load_split  # noqa: E402
from tagger.errors import InputError  # noqa: E402
from tagger.storage import claim_folder, write_whole  # noqa: E402
from tagger.text.schemes import convert_tags  # noqa: E402
from tagger.text.sentence import UNKNOWN_TAG  # noqa: E402

TASK = "ner"
TOKENS = (500, 1_500, 4_000, 10_000, 24_000)  # labelled tokens of the rounds
EPOCHS = 10
# Of models from random weights; the rest is default. The linear part makes up for the small number of epochs.
SMALL = {"hidden_size": 100, "context": "sentence", "linear": True}
CERTAIN = 0.9  # probability from which `partial` labels no token
FILES = {
    "conll2003": ("eng.train", "eng.testa"),
    "wikigold": ("train.iob2", None),
    "hausa_ner": ("train.txt", "test.txt"),
    "wolof_ner": ("train.txt", "test.txt"),
}
Round = dict[str, Any]
Labelled = list[tuple[int, list[int] | None]]  # indices of sentences, and of their labelled tokens or None


class Variant(NamedTuple):
    """How a chain chooses sentences, where its models start, and if it labels only some tokens."""

    strategy: StrategyName
    start: str | None = None
    is_partial: bool = False


VARIANTS = {
    "random": Variant("random"),
    "uncertainty": Variant("uncertainty"),
    "mnlp": Variant("mnlp"),
    "longest": Variant("longest"),
    "partial": Variant("uncertainty", is_partial=True),
    "random from en": Variant("random", start="en"),
    "uncertainty from en": Variant("uncertainty", start="en"),
    "full": Variant("random"),
}
CONTAMINATED = {("wikigold", "en")}  # the model has learnt from the corpus


class Data(NamedTuple):
    """The sentences of a corpus, each a document, with tags in IOB2."""

    pool: list[Sentence]
    test: list[Sentence]


def main() -> None:
    options = parse()
    fix_threads(1)
    for name in options.corpus or FILES:
        if not options.tables:
            run_corpus(name, options)
        rounds = read_rounds(options.output / "rounds" / name)
        if rounds:
            summary = summarise(rounds)
            values = {"versions": versions(), "options": settings(options), **summary}
            write_whole(options.output / f"{name}.json", json.dumps(values, indent=1).encode() + b"\n")
            print(f"\n## {name}\n\n{tables(summary)}", flush=True)


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--corpus", action="append", choices=FILES, help="run only this corpus (repeatable)")
    parser.add_argument(
        "--variant", action="append", choices=VARIANTS, help="run only this variant (repeatable)"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument(
        "--tokens",
        type=lambda text: tuple(map(int, text.split(","))),
        default=TOKENS,
        help="labelled tokens of the rounds, with commas",
    )
    parser.add_argument("--tables", action="store_true", help="train nothing, print the tables")
    return parser.parse_args(words)


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options that determine a round."""
    return {"epochs": options.epochs, "tokens": list(options.tokens), **SMALL}


def run_corpus(name: str, options: argparse.Namespace) -> None:
    """Run the chains of a corpus that no other process holds, the first seed of all variants first."""
    data = None
    for seed, variant in product(range(1, options.seeds + 1), options.variant or VARIANTS):
        if (name, VARIANTS[variant].start) in CONTAMINATED:
            continue
        folder = options.output / "rounds" / name / f"{variant.replace(' ', '-')}-{seed}"
        try:
            with claim_folder(folder):
                data = data or read_data(options.corpora / name, *FILES[name])
                for one in run_chain(data, variant, seed, folder, options):
                    print(
                        f"{name}, {variant}, seed {seed}: {one['sentences']:,} sentences, "
                        f"{one['tokens']:,} tokens, F1 {one['f1']:.4f} ({one['train_seconds']:.0f} s)",
                        flush=True,
                    )
        except InputError as error:
            if error.code != "run.exists":
                raise


def read_data(folder: Path, train_file: str, test_file: str | None) -> Data:
    """Read the pool and the test part of a corpus."""
    pool = read(folder / train_file)
    if test_file:
        return Data(pool, read(folder / test_file))
    return Data(pool[: len(pool) * 4 // 5], pool[len(pool) * 4 // 5 :])


def read(path: Path) -> list[Sentence]:
    split = load_split([path], [TASK])
    scheme = str(split.schemes[TASK])
    return [
        replace(one, tags={TASK: tuple(convert_tags(one.tags[TASK], scheme, "IOB2"))}, starts_document=True)
        for one in split.sentences
    ]


def run_chain(
    data: Data, variant: str, seed: int, folder: Path, options: argparse.Namespace
) -> Iterator[Round]:
    """Yield the rounds of a chain that have no file yet, after writing the file."""
    labelled = first_sentences(data.pool, options.tokens[0], seed)
    targets: Sequence[int] = options.tokens
    if variant == "full":
        labelled, targets = [(index, None) for index in range(len(data.pool))], [0]
    for number, following in enumerate([*targets[1:], None]):
        path = folder / f"{number}.json"
        if path.is_file():
            one = json.loads(path.read_text(encoding="utf-8"))
            if one["options"] != settings(options):
                raise SystemExit(f"{path}: the round has other options. Name another OUTPUT.")
        else:
            one = run_round(data, variant, seed, labelled, following, options)
            write_whole(path, json.dumps({"round": number, **one}).encode() + b"\n")
            yield one
        labelled = [(index, tokens) for index, tokens in one["next"]]
        if not labelled:  # the pool is exhausted
            return


def run_round(
    data: Data,
    variant: str,
    seed: int,
    labelled: Labelled,
    following: int | None,
    options: argparse.Namespace,
) -> Round:
    """Train and score a model on labelled sentences, and choose those of the next round.

    Args:
        data: The corpus.
        variant: A key of ``VARIANTS``.
        seed: The seed.
        labelled: The labelled sentences.
        following: The number of labelled tokens of the next round; None for the last round.
        options: The options of the script.
    """
    start = time.process_time()
    sentences = [with_labels(data.pool[index], tokens) for index, tokens in labelled]
    lengths = [len(data.pool[index]) for index, _ in labelled]
    n_tokens = count_tokens(data.pool, labelled)
    model = fit(sentences, VARIANTS[variant], seed, options.epochs)
    seconds = time.process_time() - start
    chosen: Labelled = []
    if following is not None:
        chosen = choose(data.pool, model, VARIANTS[variant], labelled, following - n_tokens, seed)
    return {
        "variant": variant,
        "seed": seed,
        "options": settings(options),
        "sentences": len(labelled),
        "tokens": n_tokens,
        "seconds": sum(map(PRIOR.seconds, lengths)),
        "f1": model.evaluate(data.test)[TASK].f1,
        "train_seconds": round(seconds, 1),
        "next": [*labelled, *chosen] if chosen else [],
    }


def first_sentences(pool: Sequence[Sentence], n_tokens: int, seed: int) -> Labelled:
    """Return the first sentences in random order with at least this number of tokens."""
    labelled: Labelled = []
    for index in random_order(len(pool), seed).tolist():
        labelled.append((index, None))
        if count_tokens(pool, labelled) >= n_tokens:
            break
    return labelled


def count_tokens(pool: Sequence[Sentence], labelled: Labelled) -> int:
    """Return the number of labelled tokens."""
    return sum(len(pool[index]) if tokens is None else len(tokens) for index, tokens in labelled)


def with_labels(sentence: Sentence, tokens: Sequence[int] | None) -> Sentence:
    """Return a sentence with the unknown tag for all tokens except these."""
    if tokens is None:
        return sentence
    tags = [UNKNOWN_TAG] * len(sentence)
    for token in tokens:
        tags[token] = sentence.tags[TASK][token]
    return replace(sentence, tags={TASK: tuple(tags)})


def fit(sentences: Sequence[Sentence], variant: Variant, seed: int, epochs: int) -> Tagger:
    """Train a model."""
    options: dict[str, Any] = {"init_from": variant.start} if variant.start else dict(SMALL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about unknown tags
        model = train(
            sentences, task=TASK, scheme="IOB2", seed=seed, epochs=epochs, progress=False, **options
        )
    return Tagger(model.bundle, threads=1)


def choose(
    pool: Sequence[Sentence], model: Tagger, variant: Variant, labelled: Labelled, n_tokens: int, seed: int
) -> Labelled:
    """Choose sentences with this number of tokens to label, or more by one sentence."""
    is_random = variant.strategy == "random"
    # Partial annotation labels at least a few tokens of a sentence, and few sentences are longer than 200.
    n_candidates = n_tokens * 200 // LEAST_CERTAIN if variant.is_partial else n_tokens
    choices = select(
        pool,
        model,
        task=TASK,
        n_tokens=min(max(1, n_candidates), sum(map(len, pool))),
        strategy=variant.strategy,
        random_share=1.0 if is_random else 0.0,
        seed=seed,
        excluded=[pool[index] for index, _ in labelled],
    )
    chosen: Labelled = []
    for choice in choices:
        if count_tokens(pool, chosen) >= n_tokens:
            break
        chosen.append((choice.index, uncertain_tokens(choice) if variant.is_partial else None))
    return chosen


def uncertain_tokens(choice: Choice) -> list[int]:
    """Return the tokens that partial annotation labels: the least certain ones and all uncertain ones."""
    scores = choice.sentence.tag_scores[TASK]
    order = sorted(range(len(scores)), key=scores.__getitem__)
    return sorted(
        token for rank, token in enumerate(order) if rank < LEAST_CERTAIN or scores[token] < CERTAIN
    )


def read_rounds(folder: Path) -> list[Round]:
    """Read the rounds of a corpus, in the order of ``VARIANTS``."""
    rounds = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*/*.json"))]
    return sorted(rounds, key=lambda one: list(VARIANTS).index(one["variant"]))


if __name__ == "__main__":
    main()
