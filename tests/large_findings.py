"""Shared by the tests of pages: random findings of a large grid, with names that break unescaped pages."""

import random
from dataclasses import replace

from comparisons import make_comparison

from tagger.evaluation.significance import estimate
from tagger.experiments.contrasts import ConfusionChange, Contrast, Example, GroupGain, Prediction
from tagger.experiments.findings import Findings, Gain, LookaheadCurve, LookaheadPoint, Row
from tagger.experiments.grid import build_grid
from tagger.experiments.results import Comparison

NASTY = [
    "<script>alert(1)</script>",
    "</title></style><img src='x'>",
    "\"'&amp;|`*_",
    "a\0b\r\n|",
    "\u202eabc",
    "\ud800",
    "ORGANISATION-OF-MANY-NATIONS-" * 4,
    "‏שלום",
]
WORDS = ("Word", "w" * 90, "<b>", "Ada", "\u202eflow", "said", "on", "Monday", ".", *NASTY)
BUCKETS = {
    "vocabulary": ["seen", "unseen"],
    "position": ["whole sentence", "first", "second", "third", "middle", "last", "final punctuation"],
    "length": ["1-5", "6-10", "11-20", "21-30", "31+"],
    "span": ["borders", "type, where the borders are right"],
}


def make_large(labels: int = 17, *, seeds: int = 5, sentences: int = 200) -> tuple[Comparison, Findings]:
    """Make a span comparison of 3 directions, 4 merge modes and 2 heads, and its findings.

    Args:
        labels: Number of labels; the first ones break pages that do not escape them.
        seeds: Number of seeds of every variant.
        sentences: Number of gained sentences per head.
    """
    draw = random.Random(1)
    names = [*NASTY, *(f"LABEL-{number}" for number in range(labels))][:labels]
    variants = build_grid(
        ("forward", "backward", "bidirectional"),
        ("concat", "sum", "mul", "ave"),
        ("softmax", "crf"),
        has_lookahead=True,
    )
    rows = [_row(variant, seeds, draw) for variant in variants]
    gains, contrasts = [], []
    for head in ("softmax", "crf"):
        forward, backward, both = [one for one in variants if one.head == head][:3]
        gains += [
            Gain(base, both, split, _draw(draw, 0.01, seeds), 0.2 * draw.random(), draw.random())
            for split in ("dev", "test")
            for base in (forward, backward)
        ]
        contrasts.append(_contrast(forward, both, names, seeds, sentences, draw))
    curves = [_curve(one, seeds, draw) for one in variants if one.direction == "bidirectional"]
    comparison = replace(make_comparison(), task=NASTY[0])
    comparison.settings["files"]["train"] |= {"file": NASTY[1], "sentences": 14_041, "tokens": 203_621}
    return comparison, Findings(rows, gains, contrasts, curves)


def _draw(draw, middle, seeds):
    return estimate([middle + draw.gauss(0, 0.004) for _ in range(seeds)])


def _row(variant, seeds, draw):
    is_both = variant.direction == "bidirectional"
    middle = 0.88 + 0.03 * is_both
    encoder = 241_600 * (1 + is_both)
    return Row(
        variant=variant,
        seeds=seeds,
        scores={split: _draw(draw, middle, seeds) for split in ("dev", "test")},
        curve=[middle * (1 - 0.5**epoch) for epoch in range(1, 31)],
        hidden_size=200,
        parameters={"encoder": encoder, "words": 2_100_000, "heads": 3_800, "all": encoder + 2_103_800},
        seconds_per_epoch=41.7 + 30 * is_both,
        training_tokens_per_second=4_800.4,
        tagging_tokens_per_second=21_000.6,
    )


def _contrast(base, other, names, seeds, sentences, draw):
    return Contrast(
        base=base,
        other=other,
        seeds=seeds,
        groups=[
            GroupGain(
                kind,
                bucket,
                draw.randrange(1, 6_000),
                base=_draw(draw, low := draw.uniform(0.3, 0.95), seeds),
                other=_draw(draw, low + 0.02, seeds),
                difference=_draw(draw, 0.02 * draw.gauss(0.5, 1), seeds),
            )
            for kind, buckets in {"label": names, **BUCKETS}.items()
            for bucket in buckets
        ],
        gained=[_evidence(number, names, draw) for number in range(sentences)],
        lost=[_evidence(number, names, draw) for number in range(sentences // 3)],
        confusions=[
            ConfusionChange("wrong type", gold, predicted, 9 * draw.random(), 5 * draw.random())
            for gold, predicted in zip(names, [*names[1:], None], strict=True)
        ],
    )


def _evidence(number, names, draw):
    tokens = [draw.choice(WORDS) for _ in range(draw.randrange(3, 60))]
    gold, wrong = (["O"] * len(tokens) for _ in range(2))
    gold[:2] = [f"B-{draw.choice(names)}", "O"]
    gold[2] = wrong[2] = f"B-{draw.choice(names)}"
    wrong[:2] = [f"B-{(label := draw.choice(names))}", f"I-{label}"]
    return Example(f"/a/folder/{NASTY[2]}.conll:{number}", tokens, gold, Prediction(wrong, 3))


def _curve(variant, seeds, draw):
    points = [
        LookaheadPoint(
            words,
            _draw(draw, 0.91 - 0.03 * 0.5 ** (9 if words is None else words), seeds),
            None if words is None else 60.4 + 9 * words,
            1 - 0.5 ** (9 if words is None else words),
        )
        for words in (0, 1, 2, 4, 8, None)
    ]
    return LookaheadCurve(variant, points, half=1, most=4)
