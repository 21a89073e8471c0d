"""Shared by the tests of findings and pages: comparisons of simulated runs with really computed scores.

Nothing is trained. Every gold item has a random ease, which depends on the item, the direction and the seed.
A run gets an item wrong if the ease is below the hardness for its variant. As a result, the runs
of a variant make similar errors, unidirectional models make more errors at the end of the sentence without
context, and equal arguments give equal comparisons.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

from tagger.evaluation.tasks import score_task
from tagger.experiments.grid import build_grid
from tagger.experiments.results import Comparison, GoldSplit, Lookahead, Run
from tagger.text.schemes import convert_tags
from tagger.text.sentence import from_tokens

# Brackets enclose spans, followed by the label; a slash separates a word from its part of speech.
TEXTS = """\
[Mira/PROPN Holm/PROPN]PER left/VERB [Port/PROPN Vell/PROPN]LOC for/ADP [Acme/PROPN]ORG ./PUNCT
[Ruiz/PROPN]PER agreed/VERB ./PUNCT
Why/ADV not/PART ?/PUNCT
Rain/NOUN
[Lima/PROPN]LOC
[Jordan/PROPN]LOC signed/VERB the/DET treaty/NOUN on/ADP Monday/PROPN ./PUNCT
[Jordan/PROPN]PER scored/VERB twice/ADV for/ADP [Harbour/PROPN United/PROPN]ORG ./PUNCT
[Victoria/PROPN]LOC lies/VERB on/ADP the/DET coast/NOUN ./PUNCT
[Victoria/PROPN Lund/PROPN]PER lies/VERB to/ADP her/PRON editor/NOUN ./PUNCT
The/DET old/ADJ man/VERB the/DET boats/NOUN ./PUNCT
The/DET boats/NOUN left/VERB before/ADP dawn/NOUN ./PUNCT
[Washington/PROPN]ORG refused/VERB to/PART comment/VERB ./PUNCT
[Washington/PROPN]PER crossed/VERB the/DET river/NOUN at/ADP night/NOUN ./PUNCT
Her/PRON duck/NOUN swam/VERB away/ADV ./PUNCT
[Ada/PROPN]PER and/CCONJ [Ruiz/PROPN]PER met/VERB in/ADP [New/PROPN Lima/PROPN]LOC ./PUNCT
[Danish/ADJ]MISC cheese/NOUN sells/VERB well/ADV in/ADP [Oslo/PROPN]LOC ,/PUNCT said/VERB \
[Holm/PROPN]PER ./PUNCT
Set/VERB the/DET set/NOUN aside/ADV and/CCONJ watch/VERB the/DET watch/NOUN ./PUNCT
[North/PROPN Sea/PROPN Cup/PROPN]MISC :/PUNCT [Vell/PROPN Rovers/PROPN]ORG 2/NUM ,/PUNCT [Acme/PROPN]ORG \
1/NUM
A/DET long/ADJ drought/NOUN dried/VERB the/DET wells/NOUN near/ADP [Port/PROPN Vell/PROPN]LOC ./PUNCT
[Paris/PROPN]PER laughed/VERB ;/PUNCT her/PRON sister/NOUN did/AUX not/PART ./PUNCT
[Paris/PROPN]LOC laughed/VERB at/ADP the/DET minister/NOUN ./PUNCT
Prices/NOUN fell/VERB ,/PUNCT the/DET [Bank/PROPN of/ADP Vell/PROPN]ORG said/VERB on/ADP Friday/PROPN \
./PUNCT
[Georgia/PROPN]LOC 's/PART parliament/NOUN met/VERB early/ADV ./PUNCT
[Georgia/PROPN Quist/PROPN]PER 's/PART brother/NOUN runs/VERB a/DET bakery/NOUN in/ADP [Lima/PROPN]LOC \
./PUNCT
No/DET [Swedish/ADJ]MISC player/NOUN won/VERB ./PUNCT
[Chelsea/PROPN]ORG lost/VERB ./PUNCT
[Chelsea/PROPN Marsh/PROPN]PER lost/VERB her/PRON keys/NOUN ./PUNCT
They/PRON can/AUX fish/VERB here/ADV ./PUNCT
They/PRON can/VERB fish/NOUN here/ADV ./PUNCT
Time/NOUN flies/VERB ./PUNCT
[Houston/PROPN]LOC was/AUX flooded/VERB again/ADV ./PUNCT
[Houston/PROPN]PER sang/VERB in/ADP [Oslo/PROPN]LOC and/CCONJ [Vell/PROPN]LOC ./PUNCT
The/DET [Acme/PROPN Group/PROPN]ORG closed/VERB its/PRON plant/NOUN in/ADP [Quist/PROPN]LOC ,/PUNCT \
moved/VERB the/DET machines/NOUN to/ADP [New/PROPN Lima/PROPN]LOC ,/PUNCT and/CCONJ told/VERB the/DET \
two/NUM hundred/NUM workers/NOUN of/ADP the/DET town/NOUN ,/PUNCT whom/PRON [Mayor/PROPN Lund/PROPN]PER \
had/AUX met/VERB on/ADP Tuesday/PROPN ,/PUNCT that/SCONJ they/PRON could/AUX follow/VERB ./PUNCT
[Marsh/PROPN]PER ,/PUNCT who/PRON plays/VERB for/ADP [Harbour/PROPN United/PROPN]ORG ,/PUNCT missed/VERB \
the/DET second/ADJ half/NOUN of/ADP the/DET [Nordic/ADJ]MISC final/NOUN because/SCONJ of/ADP a/DET \
cold/NOUN ./PUNCT
[Sofia/PROPN]LOC voted/VERB in/ADP May/PROPN ./PUNCT
[Sofia/PROPN]PER voted/VERB by/ADP post/NOUN from/ADP her/PRON flat/NOUN in/ADP [Oslo/PROPN]LOC last/ADJ \
week/NOUN ./PUNCT
"""
UNSEEN = {"Quist", "Vell", "Lund", "Rovers", "drought", "bakery", "Nordic", "flooded", "Sofia", "duck"}
LABELS = ("LOC", "MISC", "ORG", "PER")
DEV_SHARE = 3  # every third sentence belongs to test, the others to dev
HARDNESS = {"forward": 0.38, "backward": 0.37, "bidirectional": 0.33}
EASIER = {"crf": 0.04, "softmax": 0.0, "sum": -0.02, "mul": -0.05, "ave": -0.02, "random": -0.03}
MISLEADING = {"Chelsea", "watch"}  # words that only bidirectional models get wrong
LOOKAHEAD = ("0", "1", "2", "4", "8", "full")


def make_comparison(
    kind: str = "spans",
    *,
    directions: Sequence[str] = ("forward", "backward", "bidirectional"),
    merge_modes: Sequence[str] = ("concat", "sum"),
    heads: Sequence[str] = ("softmax", "crf"),
    seeds: Sequence[int] = (1, 2, 3),
    has_lookahead: bool = True,
    has_test: bool = True,
    scheme: str = "IOB1",
) -> Comparison:
    """Make a comparison of a span task (``kind="spans"``) or of part-of-speech tags (``"tags"``).

    Args:
        kind: Kind of the task.
        directions: Encoder directions.
        merge_modes: Merge modes of the bidirectional variants.
        heads: Output heads.
        seeds: Seeds of each variant.
        has_lookahead: True to score lookaheads, and to add variants trained with a random lookahead.
        has_test: True to add a test split.
        scheme: Scheme of the gold tags of a span task.
    """
    is_spans = kind == "spans"
    gold = {name: _gold_split(name, scheme if is_spans else None) for name in ("dev", "test")[: 1 + has_test]}
    variants = build_grid(directions, merge_modes, heads, has_lookahead=has_lookahead)
    runs = [_run(variant, seed, gold, has_lookahead) for variant in variants for seed in seeds]
    files = {
        name: {
            "file": split.file,
            "sentences": len(split.sentences),
            "tokens": sum(map(len, split.sentences)),
        }
        for name, split in gold.items()
    }
    return Comparison(
        task="ner" if is_spans else "pos",
        measure="f1" if is_spans else "accuracy",
        match="hidden",
        settings={
            "config": {"model": {"hidden_size": 100}, "train": {"epochs": 8}},
            "seeds": len(seeds),
            "files": {"train": {"file": "train.conll", "sentences": 400, "tokens": 3200}, **files},
            "machine": {"architecture": "x86_64", "processors": 2},
        },
        gold=gold,
        runs=runs,
    )


def gold_tags(split: GoldSplit) -> list[tuple[str, ...]]:
    """Return the gold tags of the only task of a split."""
    return [next(iter(sentence.tags.values())) for sentence in split.sentences]


def rescored(run: Run, gold: dict[str, GoldSplit], predictions: dict[str, list[list[str]]]) -> Run:
    """Replace the predictions of a run, and compute their scores."""
    scores = {
        name: score_task(
            gold_tags(gold[name]), predictions[name], scheme=gold[name].scheme, seen=gold[name].seen
        )
        for name in predictions
    }
    return replace(run, predictions=predictions, scores=scores)


def _gold_split(name, scheme):
    sentences, seen, line = [], [], 1
    for number, text in enumerate(TEXTS.splitlines()):
        if (number % DEV_SHARE == DEV_SHARE - 1) != (name == "test"):
            continue
        words, parts_of_speech, tags = _read(text)
        own = {"pos": parts_of_speech} if scheme is None else {"ner": convert_tags(tags, "IOB2", scheme)}
        sentences.append(replace(from_tokens(words).with_tags(own), source=f"{name}.conll:{line}"))
        seen.append([word not in UNSEEN for word in words])
        line += len(words) + 1
    return GoldSplit(f"{name}.conll", sentences, scheme, seen)


def _read(text):
    """Parse a text into words, parts of speech and IOB2 tags."""
    words, parts_of_speech, tags, pending = [], [], [], []
    is_inside = False
    for piece in text.split():
        is_inside = is_inside or piece.startswith("[")
        bare, _, label = piece.removeprefix("[").partition("]")
        word, _, part_of_speech = bare.rpartition("/")
        words.append(word)
        parts_of_speech.append(part_of_speech)
        pending.append("")
        if label or not is_inside:
            marks = ["B", *"I" * (len(pending) - 1)]
            tags += [f"{mark}-{label}" for mark in marks] if is_inside else ["O"]
            pending, is_inside = [], False
    return words, parts_of_speech, tags


def _run(variant, seed, gold, has_lookahead):
    is_both = variant.direction == "bidirectional"
    predictions = {
        name: [
            _predict(tags, split.scheme, variant, seed, " ".join(sentence.tokens))
            for sentence, tags in zip(split.sentences, gold_tags(split), strict=True)
        ]
        for name, split in gold.items()
    }
    size = 160_000 * (1 + is_both)
    parameters = {"encoder": size, "heads": 2_000 * (1 + is_both), "words": 30_000}
    blank = Run(
        variant=variant,
        seed=seed,
        hidden_size=100,
        parameters={**parameters, "all": sum(parameters.values())},
        scores={},
        curve=[],
        seconds_per_epoch=6.5 + 4 * is_both + (variant.head == "crf") + seed / 10,
        training_tokens_per_second=8000.0 - 3000 * is_both - 10 * seed,
        tagging_tokens_per_second=40000.0 - 15000 * is_both - 50 * seed,
        lookahead={},
        predictions={},
    )
    run = rescored(blank, gold, predictions)
    score = run.scores["dev"]["f1" if gold["dev"].scheme else "accuracy"]
    lookahead = _lookahead(variant, seed, score) if is_both and has_lookahead else {}
    return replace(run, curve=_curve(score, seed), lookahead=lookahead)


def _curve(score, seed):
    """Make a learning curve of eight epochs that ends at the score."""
    return [
        {
            "epoch": epoch,
            "loss": 4.0 / epoch + 0.01 * seed,
            "score": score * (1 - 0.6 ** (epoch - 1) * (8 - epoch) / 10),
            "seconds": 6.0 + 0.1 * (epoch % 3),
        }
        for epoch in range(1, 9)
    ]


def _lookahead(variant, seed, score):
    """Make scores that rise to that of whole sentences, faster for models trained with random lookahead."""
    lost = 0.06 if variant.lookahead == "random" else 0.15
    results = {}
    for words in LOOKAHEAD:
        share = 0.0 if words == "full" else 0.45 ** int(words)
        microseconds = None if words == "full" else 60.0 + 14 * int(words) + seed
        results[words] = Lookahead(score * (1 - lost * share), microseconds)
    return results


def _predict(tags, scheme, variant, seed, sentence):
    """Simulate the tags that a run of the variant predicts for a sentence; IOB2 for spans."""
    predicted = list(tags) if scheme is None else convert_tags(tags, scheme, "IOB2")
    names = (variant.direction, variant.merge_mode, variant.head, variant.lookahead)
    hardness = HARDNESS[variant.direction] - sum(EASIER.get(name, 0.0) for name in names)
    for index, (word, tag) in enumerate(zip(sentence.split(), list(predicted), strict=True)):
        by_item, by_direction, by_seed = (
            random.Random(f"{sentence} {index} {source}") for source in ("item", variant.direction, seed)
        )
        start, end = index / len(tags), (len(tags) - 1 - index) / len(tags)
        context = {"forward": start, "backward": end, "bidirectional": 0.5}[variant.direction]
        ease = (
            0.25 * by_item.random() + 0.35 * by_direction.random() + 0.15 * by_seed.random() + 0.25 * context
        )
        if word in MISLEADING:
            ease = float(variant.direction != "bidirectional")
        if ease >= hardness:
            continue
        if scheme is None:
            predicted[index] = by_item.choice(["NOUN", "VERB", "PROPN", "ADJ"])
        elif tag.startswith("B-"):
            _spoil_span(predicted, index, by_item)
        elif tag == "O" and by_item.random() < 0.15:
            predicted[index] = f"B-{by_item.choice(LABELS)}"
    return predicted


def _spoil_span(tags, start, random_source):
    """Change the label or the end of the span at ``start``, or remove the span."""
    end = next(
        (index for index in range(start + 1, len(tags)) if not tags[index].startswith("I-")), len(tags)
    )
    draw = random_source.random()
    if draw < 0.6:
        label = random_source.choice([label for label in LABELS if label != tags[start][2:]])
        tags[start:end] = [f"B-{label}", *[f"I-{label}"] * (end - start - 1)]
    elif draw < 0.8 and end - start > 1:
        tags[end - 1] = "O"
    else:
        tags[start:end] = ["O"] * (end - start)
