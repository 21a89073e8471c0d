"""Findings of a comparison, checked against the scorer, brute force over sentences, and worked examples."""

from collections import Counter
from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest
from comparisons import gold_tags, make_comparison, rescored

from tagger.evaluation.breakdown import BORDERS, TYPES
from tagger.evaluation.confusion import match_task
from tagger.evaluation.significance import correct_p_values, estimate
from tagger.experiments import contrasts as contrasts_module
from tagger.experiments.findings import summarise
from tagger.experiments.grid import Variant
from tagger.experiments.results import Lookahead
from tagger.text.schemes import convert_tags

pytestmark = pytest.mark.slow

FORWARD, BACKWARD, BOTH = (
    Variant("forward", None, "crf"),
    Variant("backward", None, "crf"),
    Variant("bidirectional", "concat", "crf"),
)


@pytest.fixture(scope="module", params=["spans", "tags"])
def comparison(request):
    return make_comparison(request.param)


@pytest.fixture(scope="module")
def findings(comparison):
    return summarise(comparison)


def in_iob2(split, tags):
    """Convert gold tags to the scheme of the predicted tags."""
    return tuple(tags if split.scheme is None else convert_tags(tags, split.scheme, "IOB2"))


def with_runs(comparison, change):
    """Replace each run by the result of ``change``; None removes it."""
    return replace(comparison, runs=[new for run in comparison.runs if (new := change(run))])


def test_rows_hold_every_variant_with_its_scores_and_cost(comparison, findings):
    assert [row.variant for row in findings.rows] == comparison.variants
    for row in findings.rows:
        runs = comparison.runs_of(row.variant)
        assert row.seeds == 3
        for split in ("dev", "test"):
            assert list(row.scores[split].values) == [comparison.score(run, split) for run in runs]
        curves = [[entry["score"] for entry in run.curve] for run in runs]
        assert row.curve == pytest.approx(np.mean(curves, axis=0))
        assert row.curve[-1] == pytest.approx(row.scores["dev"].mean)
        assert row.parameters == runs[0].parameters
        assert row.seconds_per_epoch == pytest.approx(fmean(run.seconds_per_epoch for run in runs))
        assert row.tagging_tokens_per_second == fmean(run.tagging_tokens_per_second for run in runs)


def test_gains_compare_the_bidirectional_variant_with_each_direction(comparison, findings):
    assert [(gain.base.direction, gain.base.head, gain.split) for gain in findings.gains] == [
        (direction, head, split)
        for head in ("softmax", "crf")
        for direction in ("forward", "backward")
        for split in ("dev", "test")
    ]
    for gain in findings.gains:
        assert gain.other == Variant("bidirectional", "concat", gain.base.head)
        scores = [
            [comparison.score(run, gain.split) for run in comparison.runs_of(variant)]
            for variant in (gain.base, gain.other)
        ]
        assert gain.difference.values == pytest.approx(np.subtract(*reversed(scores)))
        assert gain.difference == estimate(gain.difference.values)


def test_p_values_are_corrected_for_all_gains_of_a_split(findings):
    for split in ("dev", "test"):
        gains = [gain for gain in findings.gains if gain.split == split]
        assert [gain.p_corrected for gain in gains] == correct_p_values([gain.p_value for gain in gains])
        assert any(gain.p_corrected > gain.p_value for gain in gains)


def test_the_p_value_is_that_of_exchanged_sentences():
    """Three sentences with one span each, all missed by base and found by other: 2 of 8 exchanges tie."""
    comparison = make_comparison(heads=["crf"], merge_modes=["concat"], has_test=False, seeds=[1, 2])
    split = comparison.gold["dev"]
    indices = [n for n, tags in enumerate(gold_tags(split)) if sum(tag != "O" for tag in tags) == 1][:3]
    sentences, seen = [split.sentences[n] for n in indices], [split.seen[n] for n in indices]
    small = replace(split, sentences=sentences, seen=seen)
    gold = {"dev": small}

    def change(run):
        right = [list(in_iob2(small, tags)) for tags in gold_tags(small)]
        nothing = [["O"] * len(tags) for tags in right]
        return rescored(run, gold, {"dev": nothing if run.variant == FORWARD else right})

    findings = summarise(replace(with_runs(comparison, change), gold=gold))
    first, second = findings.gains
    assert (first.base, first.difference.mean) == (FORWARD, 1.0)
    assert first.p_value == pytest.approx(2 / 8, abs=0.02)
    assert (second.base, second.p_value, second.p_corrected) == (BACKWARD, 1.0, 1.0)


def test_origins_agree_with_the_scorer(comparison, findings):
    measure, has_spans = comparison.measure, comparison.measure == "f1"
    assert [contrast.base for contrast in findings.contrasts] == [
        Variant("forward", None, head) for head in ("softmax", "crf")
    ]
    for contrast in findings.contrasts:
        kinds = [origin.kind for origin in contrast.groups]
        expected = ["label", "vocabulary", "position", "length", *["span"] * has_spans]
        assert list(dict.fromkeys(kinds)) == expected
        for origin in contrast.groups:
            assert origin.difference.mean == pytest.approx(origin.other.mean - origin.base.mean)
            for variant, scored in ((contrast.base, origin.base), (contrast.other, origin.other)):
                dev = [run.scores["dev"] for run in comparison.runs_of(variant)]
                if origin.kind == "label":
                    expected_values = [scores["by_label"][origin.bucket]["f1"] for scores in dev]
                    assert origin.support == dev[0]["by_label"][origin.bucket]["support"]
                elif origin.kind == "vocabulary":
                    expected_values = [scores[origin.bucket][measure] for scores in dev]
                    assert origin.support == dev[0][origin.bucket]["support"]
                else:
                    continue
                assert scored.values == pytest.approx(expected_values)
        for kind in expected[:4]:
            support = sum(origin.support for origin in contrast.groups if origin.kind == kind)
            assert support == comparison.runs[0].scores["dev"]["support"]


def test_types_are_judged_on_correct_boundaries():
    comparison = make_comparison()
    contrast = summarise(comparison).contrasts[0]
    borders, types = (origin for origin in contrast.groups if origin.kind == "span")
    assert (borders.bucket, types.bucket) == (BORDERS, TYPES)
    split = comparison.gold["dev"]
    same_boundaries = []
    for variant, scored in ((contrast.base, types.base), (contrast.other, types.other)):
        for run, value in zip(comparison.runs_of(variant), scored.values, strict=True):
            outcomes = match_task(gold_tags(split), run.predictions["dev"], scheme=split.scheme)
            kinds = Counter(one.kind for own in outcomes for one in own)
            same_boundaries.append(kinds["right"] + kinds["wrong type"])
            assert value == pytest.approx(kinds["right"] / same_boundaries[-1])
    assert types.support == round(fmean(same_boundaries)) < borders.support


def brute_force_examples(comparison, wrong, right):
    """Return source and gold tags of each sentence that one variant always gets wrong and the other right."""
    split = comparison.gold["dev"]
    sentences = []
    for index, tags in enumerate(gold_tags(split)):
        gold = in_iob2(split, tags)
        sides = [
            [tuple(run.predictions["dev"][index]) == gold for run in comparison.runs_of(variant)]
            for variant in (wrong, right)
        ]
        if not any(sides[0]) and all(sides[1]):
            sentences.append((split.sentences[index].source, gold))
    return sentences


def test_evidence_agrees_with_brute_force(comparison, findings):
    assert sum(len(contrast.gained) for contrast in findings.contrasts) > 2
    for contrast in findings.contrasts:
        sides = (contrast.base, contrast.other)
        for examples, (wrong, right) in (
            (contrast.gained, sides),
            (contrast.lost, sides[::-1]),
        ):
            expected = brute_force_examples(comparison, wrong, right)
            assert [(one.source, tuple(one.gold)) for one in examples] == expected
            for one in examples:
                assert len(one.tokens) == len(one.gold) == len(one.wrong.tags)
                assert tuple(one.wrong.tags) != tuple(one.gold)
                index = [s.source for s in comparison.gold["dev"].sentences].index(one.source)
                taggings = Counter(tuple(run.predictions["dev"][index]) for run in comparison.runs_of(wrong))
                assert one.wrong.runs == taggings[tuple(one.wrong.tags)] == max(taggings.values())


def test_swapping_the_models_swaps_gained_and_lost(comparison, findings):
    other_way = {"forward": "bidirectional", "bidirectional": "forward"}

    def change(run):
        variant = run.variant
        if variant.direction == "backward" or variant.merge_mode == "sum" or variant.lookahead == "random":
            return None
        direction = other_way[variant.direction]
        merge_mode = "concat" if direction == "bidirectional" else None
        return replace(run, variant=Variant(direction, merge_mode, variant.head), lookahead={})

    for before, after in zip(
        findings.contrasts, summarise(with_runs(comparison, change)).contrasts, strict=True
    ):
        assert (after.gained, after.lost) == (before.lost, before.gained)
        assert {(one.kind, one.gold, one.predicted, one.base, one.other) for one in after.confusions} == {
            (one.kind, one.gold, one.predicted, one.other, one.base) for one in before.confusions
        }


def test_illegal_tags_are_scored_and_shown_as_converted():
    comparison = make_comparison(directions=["forward", "bidirectional"], heads=["crf"])
    split = comparison.gold["dev"]

    def change(run):
        """Predict every span with an initial I; the forward model labels each X, which no gold span has."""
        tags = [in_iob2(split, own) for own in gold_tags(split)]
        broken = [[tag.replace("B-", "I-") for tag in own] for own in tags]
        if run.variant.direction == "forward":
            broken = [[tag if tag == "O" else "I-X" for tag in own] for own in tags]
        return rescored(run, comparison.gold, {**run.predictions, "dev": broken})

    (contrast,) = summarise(with_runs(comparison, change)).contrasts
    with_spans = [in_iob2(split, own) for own in gold_tags(split) if set(own) != {"O"}]
    assert [tuple(one.gold) for one in contrast.gained] == with_spans
    for one in contrast.gained:
        assert list(one.wrong.tags) == [tag if tag == "O" else f"{tag[0]}-X" for tag in one.gold]
    assert {(one.kind, one.predicted) for one in contrast.confusions} == {("wrong type", "X")}
    labels = [origin.bucket for origin in contrast.groups if origin.kind == "label"]
    assert sorted(labels) == ["LOC", "MISC", "ORG", "PER"]


def test_counts_of_vanished_confusions_agree_with_the_matcher(comparison, findings):
    split = comparison.gold["dev"]
    for contrast in findings.contrasts:
        counts = []
        for variant in (contrast.base, contrast.other):
            runs = comparison.runs_of(variant)
            outcomes = [
                match_task(gold_tags(split), run.predictions["dev"], scheme=split.scheme) for run in runs
            ]
            counts.append(Counter((one.kind, *one.labels) for run in outcomes for own in run for one in own))
        change = {key: counts[0][key] - counts[1][key] for key in counts[0] | counts[1] if key[0] != "right"}
        falls = [round(3 * (one.base - one.other)) for one in contrast.confusions]  # over all runs
        assert falls == sorted(falls, reverse=True)
        for one in contrast.confusions:
            key = (one.kind, one.gold, one.predicted)
            assert (one.base, one.other) == (counts[0][key] / 3, counts[1][key] / 3)
            del change[key]
        assert len(falls) == contrasts_module.MAX_CONFUSIONS or not any(change.values())


def test_only_the_largest_changes_are_reported(comparison, findings, monkeypatch):
    monkeypatch.setattr(contrasts_module, "MAX_CONFUSIONS", 4)
    for contrast, shorter in zip(findings.contrasts, summarise(comparison).contrasts, strict=True):
        sizes = sorted((abs(one.base - one.other) for one in contrast.confusions), reverse=True)
        assert sorted((abs(one.base - one.other) for one in shorter.confusions), reverse=True) == sizes[:4]
        assert [one for one in contrast.confusions if one in shorter.confusions] == shorter.confusions


def find_curve(scores, variant=BOTH):
    """Compute the curve of one run; on dev, forward scores 0.6 and bidirectional on whole sentences 0.8."""
    comparison = make_comparison(heads=["crf"], seeds=[1], has_test=False)
    dev = {"forward": 0.6, "bidirectional": 0.8, "backward": 0.5}

    def change(run):
        tested = {name: Lookahead(score, None) for name, score in scores.items()}
        lookahead = tested if run.variant == variant else {}
        return replace(run, scores={"dev": {"f1": dev[run.variant.direction]}}, lookahead=lookahead)

    (curve,) = summarise(with_runs(comparison, change)).lookahead
    assert curve.variant == variant
    return curve


@pytest.mark.parametrize(
    ("scores", "shares", "half", "most"),
    [
        (
            {"full": 0.8, "0": 0.5, "2": 0.71, "10": 0.79},
            {0: -0.5, 2: 0.55, 10: 0.95, None: 1.0},
            2,
            10,
        ),
        ({"0": 0.62, "4": 0.64, "full": 0.8}, {0: 0.1, 4: 0.2, None: 1.0}, None, None),
        # A lookahead does not count if a larger one falls below the share again.
        ({"0": 0.79, "1": 0.65, "2": 0.79}, {0: 0.95, 1: 0.25, 2: 0.95}, 2, 2),
        ({"0": 0.72, "full": 0.65}, {0: 0.6, None: 0.25}, None, None),
    ],
)
@pytest.mark.parametrize(
    "variant", [BOTH, replace(BOTH, merge_mode="sum"), replace(BOTH, lookahead="random")]
)
def test_lookahead_of_worked_examples(scores, shares, half, most, variant):
    curve = find_curve(scores, variant)
    assert [point.words for point in curve.points] == list(shares)
    assert [point.share for point in curve.points] == pytest.approx(list(shares.values()))
    assert (curve.half, curve.most) == (half, most)


def test_lookahead_over_seeds(comparison, findings):
    assert [curve.variant for curve in findings.lookahead] == [
        variant for variant in comparison.variants if variant.direction == "bidirectional"
    ]
    for curve in findings.lookahead:
        runs = comparison.runs_of(curve.variant)
        for point in curve.points:
            tested = [run.lookahead["full" if point.words is None else str(point.words)] for run in runs]
            assert list(point.score.values) == [one.score for one in tested]
            expected = None if point.words is None else sorted(one.microseconds for one in tested)[1]
            assert point.microseconds == expected
        assert [point.words for point in curve.points] == [0, 1, 2, 4, 8, None]
        if curve.variant.lookahead == "full":
            assert curve.points[-1].share == pytest.approx(1.0)


def test_the_share_is_none_without_a_gain():
    comparison = make_comparison(heads=["crf"], merge_modes=["concat"])
    changed = with_runs(comparison, lambda run: replace(run, scores={"dev": {"f1": 0.5}}))
    for curve in summarise(changed).lookahead:
        assert {point.share for point in curve.points} == {None}
        assert (curve.half, curve.most) == (None, None)


def test_only_common_seeds_are_compared():
    comparison = make_comparison(heads=["crf"], merge_modes=["concat"], seeds=[1, 2, 3])
    seeds = {"forward": [1, 2], "bidirectional": [2, 3], "backward": [1]}
    fewer = with_runs(comparison, lambda run: run if run.seed in seeds[run.variant.direction] else None)
    findings = summarise(fewer)
    assert [row.seeds for row in findings.rows] == [2, 1, 2, 2]
    assert {(gain.base, gain.split) for gain in findings.gains} == {(FORWARD, "dev"), (FORWARD, "test")}
    (contrast,) = findings.contrasts
    assert contrast.seeds == 1
    second = [run for run in fewer.runs if run.seed == 2 and run.variant in (FORWARD, BOTH)]
    for gain in findings.gains:
        before, after = (fewer.score(run, gain.split) for run in second)
        assert (gain.difference.mean, gain.difference.low) == (pytest.approx(after - before), None)
    for origin in contrast.groups:
        assert len(origin.base.values) == len(origin.other.values) == 1
    # The share uses the second seed only: all three variants have no other seed in common.
    before, after = (fewer.score(run) for run in second)
    for point in findings.lookahead[0].points:
        name = "full" if point.words is None else str(point.words)
        score = second[1].lookahead[name].score
        assert point.share == pytest.approx((score - before) / (after - before))


@pytest.mark.parametrize("kind", ["spans", "tags"])
@pytest.mark.parametrize(
    ("grid", "gains", "contrasts", "curves"),
    [
        ({"directions": ["forward", "backward"]}, 0, 0, 0),
        ({"directions": ["bidirectional"]}, 0, 0, 6),
        ({"directions": ["backward", "bidirectional"], "has_lookahead": False}, 4, 0, 0),
        ({"heads": ["softmax"], "seeds": [7]}, 4, 1, 3),
        ({"has_test": False, "merge_modes": ["mul", "ave"]}, 4, 2, 6),
        ({"seeds": []}, 0, 0, 0),
    ],
)
def test_findings_of_missing_variants_are_omitted(kind, grid, gains, contrasts, curves):
    comparison = make_comparison(kind, **grid)
    findings = summarise(comparison)
    assert [row.variant for row in findings.rows] == comparison.variants
    assert len(findings.gains) == gains
    assert len(findings.contrasts) == contrasts
    assert len(findings.lookahead) == curves
    modes = grid.get("merge_modes", ["concat"])
    assert {gain.other.merge_mode for gain in findings.gains} <= {modes[0]}


def test_a_split_without_scores_of_some_runs():
    comparison = make_comparison(heads=["crf"])

    def change(run):
        return replace(run, scores={"dev": run.scores["dev"]}) if run.variant == FORWARD else run

    findings = summarise(with_runs(comparison, change))
    assert [list(row.scores) for row in findings.rows[:2]] == [["dev"], ["dev", "test"]]
    assert [(gain.base, gain.split) for gain in findings.gains] == [
        (FORWARD, "dev"),
        (BACKWARD, "dev"),
        (BACKWARD, "test"),
    ]
