"""What the tests of findings and pages share: a comparison of made-up runs whose scores are really computed.

Nothing is trained. Every gold item has a difficulty, in part its own and in part the seed's, and a run has it
wrong if it is harder than the run's variant can do. So the runs of a variant err alike, models that read one
way err more at that end of a sentence from which they know nothing of the rest, and equal arguments give
equal comparisons.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

from tagger.evaluation.tasks import score_task
from tagger.experiments.grid import build_grid
from tagger.experiments.results import Comparison, GoldPart, Lookahead, Run
from tagger.text.schemes import convert_tags
from tagger.text.sentence import from_tokens

# A bracket is a span, with its label behind the word; a slash separates a word and its part of speech.
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
DEV_SHARE = 3  # every third sentence is of the test part, the others of dev
HOW_MUCH_IS_HARD = {"forward": 0.38, "backward": 0.37, "bidirectional": 0.33}
EASIER = {"crf": 0.04, "softmax": 0.0, "sum": -0.02, "mul": -0.05, "ave": -0.02, "random": -0.03}
LEADS_ASTRAY = {"Chelsea", "watch"}  # whoever reads both ways, and nobody else
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
    """A comparison of a span task (``kind="spans"``) or of parts of speech (``"tags"``).

    Args:
        kind: What is tagged.
        directions: Ways to read.
        merge_modes: Of the bidirectional variants.
        heads: What scores the tags.
        seeds: Of each variant.
        has_lookahead: Whether lookahead was tried, and trained for with the first merge mode.
        has_test: Whether there is a test part.
        scheme: Of the gold tags of a span task.
    """
    is_spans = kind == "spans"
    gold = {name: _gold_part(name, scheme if is_spans else None) for name in ("dev", "test")[: 1 + has_test]}
    variants = build_grid(directions, merge_modes, heads, has_lookahead=has_lookahead)
    runs = [_run(variant, seed, gold, has_lookahead) for variant in variants for seed in seeds]
    files = {
        name: {"file": part.file, "sentences": len(part.sentences), "tokens": sum(map(len, part.sentences))}
        for name, part in gold.items()
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


def gold_tags(part: GoldPart) -> list[tuple[str, ...]]:
    """The gold tags of the part's only task."""
    return [next(iter(sentence.tags.values())) for sentence in part.sentences]


def rescored(run: Run, gold: dict[str, GoldPart], predictions: dict[str, list[list[str]]]) -> Run:
    """The run with other predictions, and the scores of these."""
    scores = {
        name: score_task(
            gold_tags(gold[name]), predictions[name], scheme=gold[name].scheme, seen=gold[name].seen
        )
        for name in predictions
    }
    return replace(run, predictions=predictions, scores=scores)


def _gold_part(name, scheme):
    sentences, seen, line = [], [], 1
    for number, text in enumerate(TEXTS.splitlines()):
        if (number % DEV_SHARE == DEV_SHARE - 1) != (name == "test"):
            continue
        words, parts_of_speech, tags = _read(text)
        own = {"pos": parts_of_speech} if scheme is None else {"ner": convert_tags(tags, "IOB2", scheme)}
        sentences.append(replace(from_tokens(words).with_tags(own), source=f"{name}.conll:{line}"))
        seen.append([word not in UNSEEN for word in words])
        line += len(words) + 1
    return GoldPart(f"{name}.conll", sentences, scheme, seen)


def _read(text):
    """Words, their parts of speech and their IOB2 tags."""
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
            _predict(tags, part.scheme, variant, seed, " ".join(sentence.tokens))
            for sentence, tags in zip(part.sentences, gold_tags(part), strict=True)
        ]
        for name, part in gold.items()
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
    """Eight epochs that end at the score."""
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
    """Scores that rise to that of whole sentences, sooner for a model that was trained for it."""
    lost = 0.06 if variant.lookahead == "random" else 0.15
    found = {}
    for words in LOOKAHEAD:
        share = 0.0 if words == "full" else 0.45 ** int(words)
        microseconds = None if words == "full" else 60.0 + 14 * int(words) + seed
        found[words] = Lookahead(score * (1 - lost * share), microseconds)
    return found


def _predict(tags, scheme, variant, seed, sentence):
    """The tags of one sentence as a run of the variant sees them; IOB2 where they mark spans."""
    found = list(tags) if scheme is None else convert_tags(tags, scheme, "IOB2")
    names = (variant.direction, variant.merge_mode, variant.head, variant.lookahead)
    hard = HOW_MUCH_IS_HARD[variant.direction] - sum(EASIER.get(name, 0.0) for name in names)
    for place, (word, tag) in enumerate(zip(sentence.split(), list(found), strict=True)):
        own, way, drawn = (
            random.Random(f"{sentence} {place} {whose}") for whose in ("item", variant.direction, seed)
        )
        start, end = place / len(tags), (len(tags) - 1 - place) / len(tags)
        away = {"forward": start, "backward": end, "bidirectional": 0.5}[variant.direction]
        difficulty = 0.25 * own.random() + 0.35 * way.random() + 0.15 * drawn.random() + 0.25 * away
        if word in LEADS_ASTRAY:
            difficulty = float(variant.direction != "bidirectional")
        if difficulty >= hard:
            continue
        if scheme is None:
            found[place] = own.choice(["NOUN", "VERB", "PROPN", "ADJ"])
        elif tag.startswith("B-"):
            _spoil_span(found, place, own)
        elif tag == "O" and own.random() < 0.15:
            found[place] = f"B-{own.choice(LABELS)}"
    return found


def _spoil_span(tags, start, own):
    """Give the span that begins there another label, another end, or take it away."""
    end = next(
        (place for place in range(start + 1, len(tags)) if not tags[place].startswith("I-")), len(tags)
    )
    what = own.random()
    if what < 0.6:
        label = own.choice([label for label in LABELS if label != tags[start][2:]])
        tags[start:end] = [f"B-{label}", *[f"I-{label}"] * (end - start - 1)]
    elif what < 0.8 and end - start > 1:
        tags[end - 1] = "O"
    else:
        tags[start:end] = ["O"] * (end - start)
