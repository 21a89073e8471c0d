"""Computations of the benchmarks, checked against their definitions; nothing is timed here."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from kernels import make_inputs
from material import Corpus
from measurement import Timing, estimate, interleave, rates, shares, show, text_of, write_results
from memory import NEW_WORD_INTERVAL, letters, pieces, slope
from peers import (
    PEERS,
    Peer,
    TrainingSetup,
    extract_features,
    find_peers,
    limited_batches,
    load_training_facts,
)
from plot import Point, draw, points_of
from scaling import blocks, shuffled

RECORD = {
    "rows": [
        {"name": "tagger 100", "words_per_second": estimate([9e4, 1e5, 1.1e5]), "f1": 0.93},
        {"name": "other <1>", "words_per_second": estimate([9e3, 1e4, 2e4]), "f1": 0.9},
        {"name": "without a score", "words_per_second": estimate([1.0])},
    ]
}


def seconds(*values: float) -> list[Timing]:
    return [Timing(wall=value, processor=value) for value in values]


class TestEstimate:
    def test_the_interval_contains_the_median_of_the_runs(self):
        runs = [3.0, 1.0, 2.0, 5.0, 4.0]
        result = estimate(runs)
        assert result["median"] == 3.0
        assert result["runs"] == runs
        assert min(runs) <= result["low"] <= result["median"] <= result["high"] <= max(runs)

    def test_the_interval_agrees_with_enumeration_of_all_resamples(self):
        """Three runs have 27 resamples, which give exact quantiles."""
        runs = [1.0, 2.0, 4.0]
        medians = [np.median([a, b, c]) for a in runs for b in runs for c in runs]
        result = estimate(runs)
        assert (result["low"], result["high"]) == (np.quantile(medians, 0.025), np.quantile(medians, 0.975))

    @pytest.mark.slow
    def test_the_coverage_of_the_interval_is_near_its_confidence(self):
        generator = np.random.default_rng(4)
        draws = [estimate(generator.normal(10, 1, 15)) for _ in range(200)]
        covered = sum(draw["low"] <= 10 <= draw["high"] for draw in draws)
        assert 0.88 <= covered / 200 <= 1.0

    def test_one_run_has_no_spread_and_no_runs_raise(self):
        assert estimate([2.0]) == {"median": 2.0, "low": 2.0, "high": 2.0, "runs": [2.0]}
        with pytest.raises(ValueError, match="no runs"):
            estimate([])

    def test_the_estimate_is_deterministic(self):
        assert estimate([1.0, 3.0, 2.0]) == estimate([1.0, 3.0, 2.0])


class TestSpeeds:
    def test_rates_are_work_over_seconds(self):
        assert rates(100, seconds(2.0, 4.0, 5.0))["runs"] == [50.0, 25.0, 20.0]

    def test_rates_use_the_requested_clock(self):
        timings = [Timing(wall=4.0, processor=2.0)]
        assert rates(100, timings)["runs"] == [25.0]
        assert rates(100, timings, by="processor")["runs"] == [50.0]

    def test_shares_are_taken_round_by_round(self):
        """Both are half as fast in the second round, as on a busy machine; the share stays the same."""
        result = shares(seconds(4.0, 8.0, 4.0), seconds(1.0, 2.0, 1.0))
        assert result["runs"] == [0.25, 0.25, 0.25]

    def test_shares_by_processor_time_ignore_wall_time(self):
        result = shares([Timing(wall=9.0, processor=4.0)], [Timing(wall=1.0, processor=2.0)], by="processor")
        assert result["runs"] == [0.5]

    def test_unequal_numbers_of_rounds_raise(self):
        with pytest.raises(ValueError, match="zip"):
            shares(seconds(1.0), seconds(1.0, 2.0))


class TestInterleave:
    def test_each_runs_once_per_round_and_warm_ups_are_not_timed(self):
        calls: list[str] = []
        runs = {name: (lambda name=name: calls.append(name)) for name in "abc"}
        timings = interleave(runs, repeats=4, warmups=2)
        assert {name: len(its) for name, its in timings.items()} == {"a": 4, "b": 4, "c": 4}
        rounds = [calls[start : start + 3] for start in range(0, len(calls), 3)]
        assert len(rounds) == 6
        assert all(sorted(one) == ["a", "b", "c"] for one in rounds)
        assert len({tuple(one) for one in rounds}) > 1

    def test_the_order_does_not_use_the_global_random_state(self):
        state = random.getstate()
        interleave({"a": int}, repeats=1)
        assert random.getstate() == state


class TestResults:
    def test_a_file_contains_rows_settings_machine_and_versions(self, tmp_path):
        rows = [{"name": "one", "words_per_second": estimate([1.0, 2.0])}, {"name": "two"}]
        path = write_results("speed", tmp_path / "new", rows, {"threads": 2})
        record = json.loads(path.read_text(encoding="utf-8"))
        assert path.name == "speed.json"
        assert record["rows"] == rows
        assert record["settings"] == {"threads": 2}
        assert record["machine"]["cores"] >= 1
        assert record["versions"]["numpy"] == np.__version__

    def test_a_table_omits_empty_columns(self, capsys):
        show("speeds", [{"name": "one", "f1": 0.5}, {"name": "two"}], {"name": "", "f1": "F1", "mb": "MB"})
        printed = capsys.readouterr().out
        assert "F1" in printed
        assert "MB" not in printed

    @pytest.mark.parametrize(
        ("figure", "text"),
        [
            (None, ""),
            ("name", "name"),
            (1234567, "1,234,567"),
            (123456.7, "123,457"),
            (12.34, "12.3"),
            (1.234, "1.23"),
            (0.91234, "0.9123"),
            (-1561.2, "-1,561"),
            (0.0, "0.0000"),
            ({"median": 2.0, "low": 1.0, "high": 3.0, "runs": [1.0, 3.0]}, "2.00 [1.00, 3.00]"),
            ({"median": 2.0, "low": 2.0, "high": 2.0, "runs": [2.0]}, "2.00"),
        ],
    )
    def test_figures_have_three_or_four_significant_digits(self, figure, text):
        assert text_of(figure) == text


class TestTexts:
    def test_all_sentences_come_before_any_repeats(self):
        sentences = [[f"{number}:{index}" for index in range(3)] for number in range(5)]
        text = list(shuffled(sentences, 32, seed=1))
        assert sum(map(len, text)) == 32
        assert sorted(text[:5]) == sentences == sorted(text[5:10])

    def test_blocks_contain_every_sentence_once_in_order(self, monkeypatch):
        monkeypatch.setattr("scaling.BLOCK_WORDS", 4)
        sentences = [["a"] * size for size in (1, 3, 2, 5, 1)]
        cut = list(blocks(iter(sentences)))
        assert [[len(sentence) for sentence in block] for block in cut] == [[1, 3], [2, 5], [1]]

    def test_batches_of_kernels_group_sentences_by_length(self):
        lengths = [*range(1, 101), 3]
        batches = make_inputs(lengths, width=4)
        assert [batch.vectors.shape for batch in batches] == [(63, 64, 4), (100, 37, 4)]
        assert [length for batch in batches for length in batch.lengths] == sorted(lengths)


class TestMemory:
    def test_a_repeated_text_keeps_adding_new_words(self):
        text = "one or two words here\n\nthree words there"
        sent = list(pieces(text, 20_000))
        assert 20_000 <= sum(map(len, sent)) < 20_100
        halves = [b"".join(half).split() for half in (sent[: len(sent) // 2], sent)]
        known, all_words = (set(half) for half in halves)
        assert len(all_words) - len(known) > len(halves[0]) / (2 * NEW_WORD_INTERVAL)

    def test_numbers_in_letters_are_all_different(self):
        assert len({letters(number) for number in range(2000)}) == 2000

    def test_the_slope_is_that_of_a_line(self):
        sent = np.arange(5.0)
        assert slope(sent, 3 * sent + 100) == pytest.approx(3.0)
        assert slope(sent[:2], sent[:2]) is None
        assert slope(np.ones(5), sent) is None


class TestPeers:
    @staticmethod
    def setup(folder: Path, *, minutes: float) -> TrainingSetup:
        train = Corpus([["a"]] * 70, [["O"]] * 70)
        return TrainingSetup(folder, train, folder / "vectors", epochs=2, minutes=minutes, threads=1)

    def test_every_epoch_contains_every_sentence_once(self, tmp_path):
        batches = list(limited_batches(self.setup(tmp_path, minutes=60), "one"))
        indices = [index for _, batch in batches for index in batch]
        assert sorted(indices[:70]) == sorted(indices[70:]) == list(range(70))
        assert indices[:70] != indices[70:]
        assert [done for done, _ in batches] == sorted(done for done, _ in batches)
        assert load_training_facts(tmp_path, "one") == {"epochs": 2}

    def test_training_stops_at_the_time_limit_and_saves_its_facts(self, tmp_path):
        assert not list(limited_batches(self.setup(tmp_path, minutes=0), "one"))
        assert load_training_facts(tmp_path, "one") == {"epochs": 0}
        assert load_training_facts(tmp_path, "other") == {}

    def test_features_are_those_of_a_word_and_its_neighbours(self):
        first, second = extract_features(["U.N.", "said"])
        assert first["upper"] is True
        assert first["before:edge"] is True
        assert first["after:lower"] == second["lower"] == "said"
        assert second["before:lower"] == "u.n."
        assert second["last2"] == "id"

    def test_a_peer_that_is_not_installed_is_skipped_with_a_message(self, tmp_path, monkeypatch, capsys):
        def missing(_: TrainingSetup) -> Peer:
            raise ImportError("No module named 'other'")

        monkeypatch.setitem(PEERS, "other", ("other-package", missing))
        assert find_peers(self.setup(tmp_path, minutes=1), ["other"]) == {}
        assert "pip install other-package" in capsys.readouterr().out


class TestPlot:
    def test_points_are_the_rows_with_speed_and_score(self):
        assert [point.name for point in points_of(RECORD)] == ["tagger 100", "other <1>"]
        assert points_of(RECORD)[0] == Point("tagger 100", 1e5, 9e4, 1.1e5, 0.93)

    def test_the_plot_labels_every_point_and_is_reproducible(self, tmp_path):
        for name in ("one.svg", "two.svg"):
            draw(points_of(RECORD), 2, tmp_path / name)
        picture = (tmp_path / "one.svg").read_text(encoding="utf-8")
        assert picture.startswith("<?xml")
        assert "tagger 100" in picture
        assert "other &lt;1&gt;" in picture
        assert picture == (tmp_path / "two.svg").read_text(encoding="utf-8")
