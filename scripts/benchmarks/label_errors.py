"""Measure how well ``tagger check --folds`` finds label errors that were put into CoNLL-2003.

    python scripts/benchmarks/label_errors.py CONLL2003 [--vectors glove.6B.100d.txt]

For each seed, the script corrupts a share of the entities of eng.train at random, a quarter in each way:
another label; a border moved by one token; the entity deleted; and a span of the same length and label added
in a random place without entities. Each sentence has at most one corruption. Models of the other folds then
score each fold. A suspicion is a hit if it overlaps a corrupted place that no earlier suspicion hit. Average
precision counts corruptions that are not listed as never found. The errors that the corpus has anyway count
as false alarms, so the figures are lower bounds.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from measurement import fix_threads, parser, show, show_machine, write_results

import tagger
from tagger import Sentence, Span
from tagger.runtime.label_errors import Suspicion, cross_validate
from tagger.text.schemes import convert_tags, spans_to_tags, tags_to_spans

TASK = "ner"
TOP = 200
Way = Literal["type", "border", "missing", "spurious"]
WAYS: tuple[Way, ...] = get_args(Way)
COLUMNS = {
    "name": "",
    "seed": "seed",
    "corruptions": "corruptions",
    "suspicions": "suspicions",
    "average_precision": "average precision",
    f"precision_at_{TOP}": f"precision at {TOP}",
    **{f"found_{way}": f"found: {way}" for way in WAYS},
}


@dataclass(frozen=True, slots=True)
class Corruption:
    """A corrupted place: tokens ``start`` to ``end`` of a sentence, before or after the corruption."""

    way: Way
    sentence: int
    start: int
    end: int


def corrupt(
    sentences: Sequence[Sentence], share: float, seed: int
) -> tuple[list[Sentence], list[Corruption]]:
    """Corrupt a share of the entities; tags are in IOB2.

    Args:
        sentences: The sentences.
        share: The number of corruptions as a share of the entities.
        seed: Seed of all random choices.

    Returns:
        The sentences with the corrupted tags, and the corruptions.
    """
    generator = random.Random(seed)
    spans = [tags_to_spans(one.tags[TASK], "IOB2") for one in sentences]
    entities = [(index, span) for index, own in enumerate(spans) for span in own]
    labels = sorted({span.label for _, span in entities})
    generator.shuffle(entities)
    corruptions: dict[int, Corruption] = {}
    total = round(share * len(entities))
    for index, span in entities:
        if len(corruptions) == total:
            break
        way = WAYS[len(corruptions) % len(WAYS)]
        if way == "spurious":  # the added span has the length and the label of the entity
            index = generator.randrange(len(sentences))
        if index in corruptions:
            continue
        others = [one for one in spans[index] if way == "spurious" or one != span]
        changed = change(span, way, others, len(sentences[index]), labels, generator)
        if changed is not None:
            spans[index] = sorted([*others, *changed], key=lambda one: one.start)
            places = [*changed, *([] if way == "spurious" else [span])]
            start, end = min(one.start for one in places), max(one.end for one in places)
            corruptions[index] = Corruption(way, index, start, end)
    corrupted = [
        replace(one, tags={**one.tags, TASK: tuple(spans_to_tags(own, len(one), "IOB2"))})
        for one, own in zip(sentences, spans, strict=True)
    ]
    return corrupted, list(corruptions.values())


def change(
    span: Span,
    way: Way,
    others: Sequence[Span],
    length: int,
    labels: Sequence[str],
    generator: random.Random,
) -> list[Span] | None:
    """Return what replaces a span: one span, or none if it is deleted; None if it cannot be changed this way.

    Args:
        span: The span.
        way: How to change it.
        others: The other spans of the sentence, which the result must not overlap.
        length: Number of tokens of the sentence.
        labels: All labels.
        generator: Source of random numbers.
    """
    start, end = span.start, span.end
    if way == "missing":
        return []
    if way == "type":
        return [replace(span, label=generator.choice([label for label in labels if label != span.label]))]
    borders = [(start - 1, end), (start + 1, end), (start, end - 1), (start, end + 1)]
    if way == "spurious":
        borders = [(first, first + end - start) for first in range(length)]
    free = [
        (first, last)
        for first, last in borders
        if 0 <= first < last <= length and all(last <= one.start or one.end <= first for one in others)
    ]
    if not free:
        return None
    first, last = generator.choice(free)
    return [replace(span, start=first, end=last)]


def mark_hits(suspicions: Sequence[Suspicion], corruptions: Sequence[Corruption]) -> list[Corruption | None]:
    """Return the corruption that each suspicion is the first to hit, or None."""
    by_sentence = {one.sentence: one for one in corruptions}
    hits = []
    for suspicion in suspicions:
        place = by_sentence.get(suspicion.sentence)
        is_hit = place and suspicion.outcome.start < place.end and place.start < suspicion.outcome.end
        hits.append(by_sentence.pop(suspicion.sentence) if is_hit else None)
    return hits


def average_precision(is_hit: Sequence[bool], total: int) -> float:
    """Return the mean over all corruptions of the precision at their rank, 0 for those not listed."""
    ranks = [rank for rank, hit in enumerate(is_hit, start=1) if hit]
    return sum(count / rank for count, rank in enumerate(ranks, start=1)) / total


def summarise(suspicions: Sequence[Suspicion], corruptions: Sequence[Corruption]) -> dict[str, float]:
    """Return the figures of a ranking."""
    hits = mark_hits(suspicions, corruptions)
    found = {way: sum(hit.way == way for hit in hits if hit) for way in WAYS}
    return {
        "corruptions": len(corruptions),
        "suspicions": len(suspicions),
        "average_precision": average_precision(list(map(bool, hits)), len(corruptions)),
        f"precision_at_{TOP}": sum(map(bool, hits[:TOP])) / TOP,
        **{f"found_{way}": found[way] / sum(one.way == way for one in corruptions) for way in WAYS},
    }


def main() -> None:
    options = parser(__doc__)
    options.add_argument("corpus", type=Path, metavar="CONLL2003", help="folder with eng.train")
    options.add_argument("--vectors", type=Path, help="static word vectors, for a second row per seed")
    options.add_argument("--share", type=float, default=0.03, help="share of corrupted entities [0.03]")
    options.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="seeds [1 2 3]")
    options.add_argument("--folds", type=int, default=3, help="folds [3]")
    options.add_argument("--epochs", type=int, default=5, help="epochs of each model [5]")
    options.add_argument("--units", type=int, default=100, help="hidden units per direction [100]")
    options.set_defaults(threads=1)
    arguments = options.parse_args()
    fix_threads(arguments.threads)
    show_machine()
    sentences = tagger.read_corpus(arguments.corpus / "eng.train", columns="token,pos,chunk,ner")
    gold = [
        replace(one, tags={TASK: tuple(convert_tags(one.tags[TASK], "IOB1", "IOB2"))}) for one in sentences
    ]
    rows = []
    for vectors in [None, *([arguments.vectors] if arguments.vectors else [])]:
        for seed in arguments.seeds:
            corrupted, corruptions = corrupt(gold, arguments.share, seed)
            suspicions = cross_validate(
                corrupted,
                lambda sentences, seed=seed, vectors=vectors: tagger.train(
                    sentences,
                    seed=seed,
                    vectors=vectors,
                    epochs=arguments.epochs,
                    hidden_size=arguments.units,
                ),
                tasks=[TASK],
                n_folds=arguments.folds,
                seed=seed,
            )
            by_gold = sorted(suspicions, key=lambda one: one.gold_probability)
            for name, ranking in (("margin", suspicions), ("probability of gold", by_gold)):
                name += " with vectors" if vectors else ""
                rows.append({"name": name, "seed": seed, **summarise(ranking, corruptions)})
            show("label errors", rows, COLUMNS)
    settings = {name: getattr(arguments, name) for name in ("share", "folds", "epochs", "units", "threads")}
    write_results("label_errors", arguments.results, rows, settings)


if __name__ == "__main__":
    main()
