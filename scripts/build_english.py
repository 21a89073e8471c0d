"""Build the English model in tagger/models/en from corpora, texts and word vectors.

python scripts/build_english.py CORPORA VECTORS ENCODER TEXTS.jsonl… [--own N] [--output DIR] [--work DIR]

CORPORA contains ud_ewt/en_ewt-ud-{train,dev}.conllu (Universal Dependencies, English EWT),
uner_ewt/{train.prelim,dev}.iob2 (Universal NER on the same sentences) and wikigold/train.iob2; VECTORS is
glove.6B.100d.txt; `tagger encoder export` writes ENCODER, and english_sources.py and english_neighbours.py
write TEXTS.

Teachers with the encoder learn from the corpora. The mean of their probabilities on TEXTS and on N texts of
the project's own (english_texts.py), and the corpora, train the model; its last epochs are on the corpora
alone. Then it is made small.

With --work, the whole models are kept in that folder; run the same command again to resume an interrupted
training.
"""

import argparse
import json
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from english_card import Step, write_english_card
from english_texts import make_texts
from rich.console import Console
from rich.table import Table

from tagger import Sentence, Tagger, distil, read_corpus, train
from tagger.bundle import FILES, Bundle, save_bundle
from tagger.config_loading import parse_setting
from tagger.runtime.model_evaluation import evaluate
from tagger.shrinking import StoredPrecision, shrink_bundle
from tagger.text.casing import RECASINGS, recase
from tagger.text.sentence import UNKNOWN_TAG
from tagger.training.temperatures import THRESHOLD_GRID

ROOT = Path(__file__).resolve().parent.parent
RECIPE = ROOT / "scripts" / "recipes" / "english.toml"
UD = "ud_ewt/en_ewt-ud-{split}.conllu"
NAMES = {"train": "uner_ewt/train.prelim.iob2", "dev": "uner_ewt/dev.iob2"}
WIKIGOLD = "wikigold/train.iob2"
TEACHERS, TEACHER_EPOCHS = 2, 10
GOLD_PASSES = 2  # over the labelled data in each epoch of the student
LAST_EPOCHS = 4  # on the labelled data alone
OWN_TEXTS = 12_000
WORDS = 32_000  # words from the vectors file that are not in train
LARGEST_MEGABYTES = 12  # maximum total size of the files, which the wheel contains
PRECISIONS: tuple[StoredPrecision, ...] = ("f32", "f16", "int8")


def sentence_id(sentence: Sentence) -> str:
    """Return the value of the comment ``# sent_id``."""
    return next(comment for comment in sentence.comments if "sent_id" in comment).partition("=")[2].strip()


def merge(corpora: Path, split: str) -> Iterator[Sentence]:
    """Add the names of Universal NER to the sentences of UD EWT; skip sentences with different tokens."""
    names = read_corpus(corpora / NAMES[split], columns="token,ner")
    by_id = {sentence_id(sentence): sentence for sentence in names}
    skipped = 0
    for sentence in read_corpus(corpora / UD.format(split=split), task="pos"):
        named = by_id.get(sentence_id(sentence))
        if named and named.tokens == sentence.tokens:
            yield sentence.with_tags({"pos": sentence.tags["pos"], "ner": named.tags["ner"]})
        else:
            skipped += 1
    print(f"{split}: skipped {skipped} sentences whose tokens differ between the two corpora")


def read_wikigold(corpora: Path) -> Iterator[Sentence]:
    """Read Wikigold with unknown parts of speech; MISC, which Universal NER lacks, becomes O."""
    for sentence in read_corpus(corpora / WIKIGOLD, columns="token,ner"):
        names = ["O" if tag.endswith("-MISC") else tag for tag in sentence.tags["ner"]]
        yield sentence.with_tags({"pos": [UNKNOWN_TAG] * len(names), "ner": names})


def read_texts(path: Path) -> Iterator[str]:
    """Read the texts of a JSON lines file."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["text"]


def recased(sentences: Iterable[Sentence], casing: str) -> list[Sentence]:
    return [replace(sentence, tokens=recase(sentence, casing)) for sentence in sentences]


def score(tagger: Tagger, dev: Sequence[Sentence]) -> dict[str, dict[str, Any]]:
    """Evaluate on dev in its original and in every other casing, by task."""
    versions = {"unchanged": list(dev)} | {casing: recased(dev, casing) for casing in RECASINGS}
    return {name: tagger.evaluate(sentences).to_dict() for name, sentences in versions.items()}


def try_steps(
    bundle: Bundle, work: Path, dev: Sequence[Sentence], words: int
) -> Iterator[tuple[Step, Bundle]]:
    """Yield the whole model and each step of shrinking it, with scores; the last bundle is the final one."""
    for count in (None, words):
        for precision in PRECISIONS if count else PRECISIONS[:1]:
            smaller = shrink_bundle(bundle, words=count, precision=precision)
            folder = work / "steps" / f"{count or 'all'}_{precision}"
            save_bundle(smaller, folder)
            size = sum((folder / file).stat().st_size for file in FILES)
            scores = score(Tagger.load(folder), dev)
            yield Step(len(smaller.vocabulary.frozen_words), precision, size, scores), smaller


def show(steps: Iterable[Step]) -> None:
    casings = ("unchanged", *RECASINGS)
    table = Table("words", "stored as", "MB", *casings, title="UPOS accuracy and NER F1 on dev")
    for step in steps:
        table.add_row(f"{step.words:,}", step.precision, f"{step.size / 1e6:.1f}", *step.pairs())
    Console().print(table)


def build(arguments: argparse.Namespace, work: Path) -> None:
    splits = {split: list(merge(arguments.corpora, split)) for split in NAMES}
    dev = splits["dev"]
    gold = [*splits["train"], *read_wikigold(arguments.corpora)]
    texts = [text for path in arguments.texts for text in read_texts(path)]
    texts += make_texts(seed=1, count=arguments.own) if arguments.own else ()
    options: dict[str, Any] = {"dev": dev, "vectors": arguments.vectors, "config": RECIPE}
    options |= {"resume": True, "progress": True, **dict(map(parse_setting, arguments.set))}
    taught = {**options, "train.epochs": arguments.teacher_epochs, "model.encoder": str(arguments.encoder)}
    teachers = []
    for seed in range(1, 1 + arguments.teachers):
        teachers.append(train(gold, seed=seed, output=work / f"teacher-{seed}", **taught))
        for casing, tasks in score(teachers[-1], dev).items():
            print(f"teacher {seed}, {casing}: {tasks['pos']['accuracy']:.4f}, {tasks['ner']['f1']:.4f}")
    student = distil(teachers, texts, gold=gold * GOLD_PASSES, output=work / "student", **options)
    last = {**options, "vectors": None, "train.epochs": arguments.last_epochs}
    model = train(gold, init_from=student, output=work / "model", **last)
    results = list(try_steps(model.bundle, work, dev, arguments.words))
    steps, smallest = [step for step, _ in results], results[-1][1]
    show(steps)
    final = Tagger.load(work / "steps" / f"{arguments.words}_{PRECISIONS[-1]}")
    calibrations = evaluate(final, dev, has_calibration=True).calibrations
    metrics = {
        **smallest.metrics,
        "dev": steps[-1].scores["unchanged"],
        "thresholds": {name: one.against(THRESHOLD_GRID) for name, one in calibrations.items()},
    }
    card = write_english_card(smallest, steps, texts=len(texts) - arguments.own, own_texts=arguments.own)
    save_bundle(replace(smallest, metrics=metrics, card=card), arguments.output)
    size = sum((arguments.output / file).stat().st_size for file in FILES)
    print(f"{arguments.output}: {size / 1e6:.1f} MB (at most {LARGEST_MEGABYTES} MB for the wheel)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("texts", type=Path, nargs="*")
    parser.add_argument("--own", type=int, default=OWN_TEXTS, help="number of the project's own texts")
    parser.add_argument("--teachers", type=int, default=TEACHERS)
    parser.add_argument("--teacher-epochs", type=int, default=TEACHER_EPOCHS)
    parser.add_argument("--last-epochs", type=int, default=LAST_EPOCHS)
    parser.add_argument("--output", type=Path, default=ROOT / "tagger" / "models" / "en")
    parser.add_argument(
        "--work", type=Path, help="folder for intermediate files, outside the project [temporary]"
    )
    parser.add_argument("--words", type=int, default=WORDS, metavar="N")
    parser.add_argument(
        "--set", action="append", default=[], metavar="key=value", help="option of tagger train"
    )
    arguments = parser.parse_args()
    warnings.filterwarnings("error", "training was interrupted")  # Ctrl-C ends the script
    warnings.filterwarnings("ignore", ".* have the unknown tag")  # Wikigold's parts of speech
    if arguments.work:
        build(arguments, arguments.work)
    else:
        with tempfile.TemporaryDirectory() as work:
            build(arguments, Path(work))


if __name__ == "__main__":
    main()
