"""The experiment on active learning: its rounds on a synthetic corpus, and its tables."""

import json
from itertools import pairwise

import active_learning
import learning_curves
import pytest
from active_learning import VARIANTS, Variant, choose, count_tokens, parse, read_data, read_rounds, run_corpus
from hypothesis import given
from hypothesis import strategies as st
from learning_curves import find_crossing, interpolate, summarise, tables
from scipy import stats

from tagger import Tagger
from tagger.storage import claim_folder

TINY = {"hidden_size": 4, "word_size": 4, "characters": "none", "min_steps": 2, "context": "sentence"}
PEOPLE = ("Ada", "Otto", "Mia", "Ida", "Jon", "Eva")
VERBS = ("met", "saw", "found", "heard", "called")


class TestRounds:
    @pytest.fixture
    def corpora(self, tmp_path, monkeypatch, model):
        """Return a folder of synthetic corpora; models are tiny, or start from one instead of en."""
        monkeypatch.setattr(active_learning, "SMALL", TINY)
        for name in ("random from en", "uncertainty from en"):
            monkeypatch.setitem(VARIANTS, name, VARIANTS[name]._replace(start=str(model)))
        blocks = [
            f"{one} B-PER\n{verb} O\nno O\n{other} B-PER\n"
            for one in PEOPLE
            for verb in VERBS
            for other in PEOPLE
        ]
        for name, count in (("train.txt", 150), ("test.txt", 20)):
            path = tmp_path / "corpora" / "wolof_ner" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(blocks[:count]), encoding="utf-8")
        return path.parent.parent

    @pytest.fixture
    def options(self, corpora, tmp_path):
        words = ["--seeds", "1", "--epochs", "1", "--tokens", "20,40,60"]
        return parse([str(corpora), str(tmp_path / "out"), *words])

    @pytest.mark.slow
    def test_chains_grow_as_planned_and_resume_to_the_same_rounds(self, options, monkeypatch):
        monkeypatch.setattr(active_learning, "CERTAIN", 0.0)  # partial: three of four tokens
        run_corpus("wolof_ner", options)
        folder = options.output / "rounds" / "wolof_ner"
        rounds = read_rounds(folder)
        assert list(dict.fromkeys(one["variant"] for one in rounds)) == list(VARIANTS)
        for variant in VARIANTS:
            chain = [one for one in rounds if one["variant"] == variant]
            if variant == "full":
                assert [(one["sentences"], one["tokens"]) for one in chain] == [(150, 600)]
                continue
            assert len(chain) == 3
            for one, target in zip(chain, (20, 40, 60), strict=True):
                assert target <= one["tokens"] < target + 4
                assert 0 <= one["f1"] <= 1
            for one, other in pairwise(chain):
                assert len({index for index, _ in one["next"]}) == len(one["next"]) == other["sentences"]
                assert one["next"] == other["next"][: len(one["next"])] or not other["next"]
            assert (chain[-1]["tokens"] < 4 * chain[-1]["sentences"]) == (variant == "partial")
        firsts = {tuple(index for index, _ in one["next"][:5]) for one in rounds if one["next"]}
        assert len(firsts) == 1

        before = {path: json.loads(path.read_text()) for path in folder.glob("*/*.json")}
        (folder / "uncertainty-1" / "1.json").unlink()
        (folder / "partial-1" / "2.json").unlink()
        run_corpus("wolof_ner", options)
        after = {path: json.loads(path.read_text()) for path in folder.glob("*/*.json")}
        for one in (*before.values(), *after.values()):
            del one["train_seconds"]
        assert after == before

        options.epochs = 2
        with pytest.raises(SystemExit, match="other options"):
            run_corpus("wolof_ner", options)

    def test_a_chain_of_another_process_is_left_to_it(self, options):
        options.variant = ["random", "longest"]
        folder = options.output / "rounds" / "wolof_ner"
        with claim_folder(folder / "random-1"):
            run_corpus("wolof_ner", options)
        assert {one["variant"] for one in read_rounds(folder)} == {"longest"}
        run_corpus("wolof_ner", options)
        assert {one["variant"] for one in read_rounds(folder)} == {"random", "longest"}

    def test_partial_annotation_labels_the_uncertain_tokens(self, corpora, model):
        pool = read_data(corpora / "wolof_ner", "train.txt", "test.txt").pool
        tagger = Tagger.load(model, threads=1)
        chosen = choose(pool, tagger, Variant("uncertainty", is_partial=True), [(0, None)], 30, seed=1)
        assert 30 <= count_tokens(pool, chosen) < 34
        for index, tokens in chosen:
            (tagged,) = tagger.tag_sentences([pool[index]], scores=True)
            scores = tagged.tag_scores["ner"]
            uncertain = {token for token in range(4) if scores[token] < active_learning.CERTAIN}
            assert set(tokens) == uncertain | set(sorted(range(4), key=scores.__getitem__)[:3])
            labelled = active_learning.with_labels(pool[index], tokens)
            for token, tag in enumerate(labelled.tags["ner"]):
                assert tag == (pool[index].tags["ner"][token] if token in tokens else "?")

    def test_the_test_part_of_wikigold_is_its_last_fifth(self, corpora):
        pool, test = read_data(corpora / "wolof_ner", "train.txt", None)
        assert (len(pool), len(test)) == (120, 30)
        assert [one.tokens for one in (*pool, *test)] == [
            one.tokens for one in read_data(corpora / "wolof_ner", "train.txt", "test.txt").pool
        ]


def chain(*points):
    return [
        {"sentences": sentences, "tokens": 10 * sentences, "seconds": 60 * sentences, "f1": f1}
        for sentences, f1 in points
    ]


def rounds_of(variant, seed, *points):
    return [{"variant": variant, "seed": seed, "next": [], **one} for one in chain(*points)]


points = st.lists(
    st.tuples(st.integers(1, 300), st.floats(0, 1)), min_size=1, max_size=6, unique_by=lambda one: one[0]
).map(sorted)


class TestTables:
    @given(points, st.floats(0, 1))
    def test_a_crossing_is_the_first_point_of_the_curve_with_this_f1(self, curve, f1):
        found = find_crossing(chain(*curve), f1)
        first, last = curve[0][0], curve[-1][0]
        sentences = [first + (last - first) * step / 2000 for step in range(2001)]
        values = [interpolate(chain(*curve), "sentences", one) for one in sentences]
        reached = [one for one, value in zip(sentences, values, strict=True) if value >= f1]
        if found is None:
            assert not reached
        else:
            assert all(one >= found - 1e-6 for one in reached)
            assert interpolate(chain(*curve), "sentences", found) == pytest.approx(f1, abs=1e-6) or (
                found == first
            )

    def test_curves_end_with_their_rounds(self):
        curve = chain((10, 0.2), (30, 0.4))
        assert interpolate(curve, "tokens", 200) == pytest.approx(0.3)
        assert interpolate(curve, "tokens", 99) is None
        assert interpolate(curve, "tokens", 301) is None

    def test_differences_are_paired_t_intervals(self):
        f1 = {"random": (0.50, 0.58, 0.61), "uncertainty": (0.55, 0.60, 0.68)}
        rounds = [
            one
            for name, values in f1.items()
            for seed, value in enumerate(values)
            for one in rounds_of(name, seed, (100, value), (200, value))
        ]
        rounds += rounds_of("full", 0, (999, 0.7)) + rounds_of("full", 1, (999, 0.6))
        summary = summarise(rounds)
        gain = summary["units"]["tokens"]["gains"]["uncertainty - random"]["1000"]
        interval = stats.ttest_rel(f1["uncertainty"], f1["random"]).confidence_interval()
        assert (gain["low"], gain["high"]) == pytest.approx((interval.low, interval.high))
        assert summary["units"]["tokens"]["f1"]["random"]["4000"] is None
        # 0.9 of full is 0.63 for the first seed and 0.54 for the second; the third has no full training.
        assert summary["reached"] == {
            "random": {"0": None, "1": 100.0},
            "uncertainty": {"0": None, "1": 100.0},
        }
        lines = tables(summary).splitlines()
        assert lines[0] == "| F1 by tokens | 1,000 | 2,000 | 4,000 | 8,000 | 16,000 |"
        assert lines[2].startswith("| random | 56.3 ± ")
        assert any(line.startswith("| uncertainty - random | +4.7 [") for line in lines)
        assert lines[-1] == "| uncertainty | 100 (1 of 2 seeds) |"

    def test_the_contrasts_are_variants(self):
        assert {name for pair in learning_curves.CONTRASTS for name in pair} < set(VARIANTS)
