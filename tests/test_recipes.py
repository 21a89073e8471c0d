"""The recipes outside tagging, on tiny synthetic data: each model learns, and sees only its own context."""

import csv
import gzip
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import missing_word
import numpy as np
import power
import pytest
import sentiment
import torch
import typer
from hold_out import hold_out
from missing_word import EDGE, SIDES, UNKNOWN, Guesser, encode, guess, hide, pad
from power import NEXT, PAST, QUARTER, YEAR, Forecaster, cut, divide, read_hours, scale, window_starts
from sentiment import PADDING, Classifier, Settings, collate
from sentiment import encode as encode_reviews
from typer.testing import CliRunner

pytestmark = pytest.mark.slow

HOURS = YEAR + QUARTER + 60 * 24


def run(recipe: Callable[..., None], *words: object) -> str:
    """Run a recipe; return its output."""
    app = typer.Typer()
    app.command()(recipe)
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def household(folder: Path) -> Path:
    """Hourly power of a household: a daily cycle with noise."""
    generator = np.random.default_rng(3)
    start = datetime(2006, 12, 16, 17)
    path = folder / "household.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["datetime", "power", "voltage"])
        for hour in range(HOURS):
            now = start + timedelta(hours=hour)
            used = 60 * (1 + np.sin(now.hour / 24 * 2 * np.pi)) + generator.normal()
            writer.writerow([now, used, 14000 + generator.normal()])
    return path


def test_every_third_sentence_is_held_out_unchanged(tmp_path):
    blocks = [f"# {number}\nw{number}\tB-X\tO\nend O O" for number in range(1, 8)]
    (tmp_path / "all.conll").write_text("\n \n\n".join(blocks) + "\n")
    hold_out(tmp_path / "all.conll", tmp_path / "out", every=3)
    train, dev = ((tmp_path / "out" / f"{name}.txt").read_text() for name in ("train", "dev"))
    assert dev == "".join(blocks[index] + "\n\n" for index in (2, 5))
    assert train == "".join(blocks[index] + "\n\n" for index in (0, 1, 3, 4, 6))


class TestPower:
    def test_hours_are_read_with_their_time_of_day_and_week(self, household):
        values, times = read_hours(household)
        assert values.shape == (HOURS, 2)
        assert times.shape == (HOURS, 4)
        np.testing.assert_allclose(times[7], times[7 + 7 * 24], atol=1e-5)
        assert np.abs(times[7] - times[7 + 24]).max() > 0.1
        np.testing.assert_allclose(times[:, :2] ** 2 + times[:, 2:] ** 2, 1.0, atol=1e-5)

    def test_the_scaling_does_not_depend_on_later_hours(self, household):
        values, _ = read_hours(household)
        end = HOURS - YEAR - QUARTER
        changed = values.copy()
        changed[end:] *= 100
        np.testing.assert_array_equal(scale(values, end)[:end], scale(changed, end)[:end])
        np.testing.assert_allclose(scale(values, end)[:end].mean(axis=0), 0, atol=1e-3)

    def test_no_train_window_contains_a_dev_or_test_hour(self, household):
        values, times = read_hours(household)
        splits = divide(values, times)
        dev, test = HOURS - YEAR - QUARTER, HOURS - YEAR
        assert 0 <= splits["train"].min() < PAST
        assert splits["train"].max() + PAST + NEXT <= dev
        assert dev <= splits["dev"].min() + PAST
        assert splits["dev"].max() + PAST + NEXT <= test
        assert test <= splits["test"].min() + PAST
        assert splits["test"].max() + PAST + NEXT <= HOURS
        start = datetime(2006, 12, 16, 17)
        assert {(start + timedelta(hours=int(one) + PAST)).hour for one in splits["test"]} == {0}
        assert len(splits["test"]) in (364, 365)

    def test_windows_contain_consecutive_hours(self):
        hours = np.arange(400, dtype=np.float32)[:, None]
        starts = window_starts(200, 400, 50)
        past, ahead = cut(hours, starts)
        assert starts.tolist() == [32, 82, 132, 182]
        assert past[1, :, 0].tolist() == list(range(82, 250))
        assert ahead[1].tolist() == list(range(250, 274))

    @pytest.mark.parametrize("direction", ["forward", "backward", "bidirectional"])
    def test_a_forecast_depends_only_on_its_own_past(self, direction):
        torch.manual_seed(0)
        model = Forecaster(1, direction).eval()
        hours = np.random.default_rng(0).normal(size=(300, 1)).astype(np.float32)
        starts = np.array([20])
        changed = hours.copy()
        changed[20 + PAST :] = 9.0
        changed[:20] = 9.0
        with torch.inference_mode():
            assert torch.equal(model(cut(hours, starts)[0]), model(cut(changed, starts)[0]))

    def test_the_recipe_learns_a_daily_cycle_and_writes_its_figures(self, household, tmp_path):
        figures = tmp_path / "power.json"
        text = run(power.main, household, "--json", figures, "--seeds", 1, "--epochs", 18)
        rows = json.loads(figures.read_text())
        errors = {name: row["mean absolute error, kW"] for name, row in rows.items()}
        assert list(errors) == [
            "repeat the last day",
            "repeat the last week",
            "LSTM, forward",
            "LSTM, forward, as wide as both",
            "LSTM, backward",
            "BiLSTM",
        ]
        assert errors["repeat the last day"] < 0.1  # noise only
        assert f"{errors['BiLSTM']:.4f}" in text
        assert errors["BiLSTM"] < 0.3  # the mean as a constant forecast has an error of 0.64


class TestMissingWord:
    @pytest.mark.parametrize("direction", list(SIDES.values()))
    def test_the_scores_of_a_position_never_depend_on_its_word(self, direction):
        torch.manual_seed(0)
        model = Guesser(12, 8, direction).eval()
        ids = torch.tensor([[EDGE, 3, 4, 5, 6, EDGE], [EDGE, 7, 8, EDGE, UNKNOWN, UNKNOWN]])
        lengths = torch.tensor([6, 4])
        everywhere = torch.ones(2, 4, dtype=torch.bool)
        with torch.inference_mode():
            before = model(ids, lengths, everywhere).reshape(2, 4, -1)
            for row, length in enumerate(lengths.tolist()):
                for position in range(1, length - 1):
                    changed = ids.clone()
                    changed[row, position] = 11
                    after = model(changed, lengths, everywhere).reshape(2, 4, -1)
                    assert torch.equal(before[row, position - 1], after[row, position - 1])
                    seen = {
                        other
                        for other in range(1, length - 1)
                        if not torch.equal(before[row, other - 1], after[row, other - 1])
                    }
                    left, right = set(range(1, position)), set(range(position + 1, length - 1))
                    expected = {"forward": right, "backward": left, "bidirectional": left | right}
                    assert seen == expected[direction]

    def test_only_scored_words_are_hidden(self):
        ids = {"a": 2, ",": 3}
        batch = pad([encode(text.split(), ids) for text in ("a , x", "a", "x ,")], [2, 0])
        is_target, words = hide(*batch, torch.tensor([False, False, True, True]))
        assert is_target.tolist() == [[False, True, False], [True, True, False]]
        assert words.tolist() == [3, 2, 3]
        is_target, words = hide(*batch, torch.tensor([False, False, True, False]))
        assert words.tolist() == [2]

    def test_each_model_learns_from_its_own_context(self, tmp_path, monkeypatch):
        """The middle word depends on both neighbours: either one narrows it down, only both determine it."""
        generator = np.random.default_rng(1)
        lines = [
            f"x{number % 4} m{(number % 4) * 4 + other} y{other}"
            for number, other in enumerate(generator.integers(4, size=400).tolist())
        ]
        corpus = tmp_path / "corpus.conll"
        corpus.write_text("".join("\n".join(line.split()) + "\n\n" for line in lines))
        figures = tmp_path / "figures.json"
        monkeypatch.setattr(missing_word, "DEMO", "x1 ___ y2")
        monkeypatch.setattr(missing_word, "BATCH_TOKENS", 60)
        words = ["--train", corpus, "--dev", corpus, "--json", figures, "--epochs", 15, "--hidden", 16]
        text = run(missing_word.main, *words)
        rows = json.loads(figures.read_text())
        assert rows["both"]["demo"][0] == "m6"
        assert rows["both"]["accuracy at 1"] > rows["left"]["accuracy at 1"] + 0.1
        assert rows["both"]["perplexity"] < min(rows[side]["perplexity"] for side in ("left", "right"))
        assert set(rows["left"]["demo"][:4]) == {"m4", "m5", "m6", "m7"}
        assert set(rows["right"]["demo"][:4]) == {"m2", "m6", "m10", "m14"}
        assert "guesses for: x1 ___ y2" in text

    def test_running_text_is_split_into_words_and_sentences(self, write_file):
        path = write_file("The boys went home. They slept!", "story.txt")
        assert missing_word.read_words(path) == [["the", "boys", "went", "home", "."], ["they", "slept", "!"]]

    def test_guesses_are_words(self):
        torch.manual_seed(0)
        names = ["", "", *"abcdef"]
        ids = {name: index for index, name in enumerate(names) if name}
        assert set(guess(Guesser(8, 4, "bidirectional"), "a ___ b", names, ids)) <= set("abcdef")


class TestSentiment:
    REVIEWS = ((["a", "a", "b", "c"], 1), (["b", "a", "z"], 0))

    def test_reviews_are_encoded_as_their_last_words(self):
        settings = Settings(words=2, max_words=3)
        ids, lengths, labels = collate(encode_reviews(self.REVIEWS, self.REVIEWS[:1], settings))
        assert ids.tolist() == [[2, 3, 1], [3, 2, 1]]
        assert (lengths.tolist(), labels.tolist()) == ([3, 3], [1.0, 0.0])

    def test_without_a_folder_datasets_provides_the_reviews(self, monkeypatch):
        rows = {"train": [{"text": "Bad<br />plot", "label": 0}], "test": [{"text": "A joy", "label": 1}]}
        monkeypatch.setattr("datasets.load_dataset", lambda name, split: {"imdb": rows}[name][split])
        assert sentiment.read_reviews(None, "train") == [(["bad", "plot"], 0)]
        assert sentiment.read_reviews(None, "test") == [(["a", "joy"], 1)]

    def test_crops_start_at_every_position(self):
        torch.manual_seed(0)
        crops = [sentiment.crop(torch.arange(6), 1.0, 4)[0].tolist() for _ in range(60)]
        assert {tuple(one) for one in crops} == {(0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5)}
        assert sentiment.crop(torch.arange(3), 1.0, 4)[0].tolist() == [0, 1, 2]
        assert sentiment.crop(torch.arange(3), 0.0, None)[0].tolist() == [0, 1, 2]

    def test_the_last_fifth_of_each_label_is_held_out(self):
        reviews = [([str(number)], label) for label in (0, 1) for number in range(10)]
        train, held = sentiment.hold_out(reviews)
        assert held == [(["8"], 0), (["9"], 0), (["8"], 1), (["9"], 1)]
        assert sorted(train + held) == sorted(reviews)

    @pytest.mark.parametrize("pooling", ["final", "all"])
    @pytest.mark.parametrize("merge_mode", ["concat", "sum", "mul", "ave"])
    def test_padding_does_not_change_logits(self, pooling, merge_mode):
        torch.manual_seed(0)
        model = Classifier(Settings(merge_mode=merge_mode, pooling=pooling, words=8)).eval()
        short = torch.tensor([[3, 4, 5]])
        padded = torch.tensor([[3, 4, 5, PADDING, PADDING], [2, 2, 2, 2, 2]])
        with torch.inference_mode():
            alone, batched = model(short, torch.tensor([3])), model(padded, torch.tensor([3, 5]))
        torch.testing.assert_close(alone[0], batched[0])

    def test_the_final_state_depends_most_on_the_last_word_read(self):
        """The forward state hardly depends on the first of many words, the backward state on the last."""
        torch.manual_seed(0)
        for direction, far, near in (("forward", 0, -1), ("backward", -1, 0)):
            model = Classifier(Settings(direction=direction, words=8)).eval()
            vectors = torch.randn(1, 30, 128, requires_grad=True)
            _, final = model.encoder(vectors, torch.tensor([30]))
            final[direction].sum().backward()
            size = vectors.grad[0].norm(dim=1)
            assert size[near] > 10 * size[far]

    def test_the_recipe_classifies_reviews(self, tmp_path, monkeypatch):
        generator = np.random.default_rng(0)
        for split, count in (("train", 300), ("test", 60)):
            with gzip.open(tmp_path / f"{split}.jsonl.gz", "wt", encoding="utf-8") as file:
                for number in range(count):
                    words = generator.choice(["plot", "cast", "scene"], size=6).tolist()
                    words[int(generator.integers(6))] = ("dull", "bright")[number % 2]
                    line = {"label": ("neg", "pos")[number % 2], "text": f"{' '.join(words)}<br />The end."}
                    file.write(json.dumps(line) + "\n")
        quick = Settings(words=20, epochs=20)
        monkeypatch.setattr(sentiment, "ROWS", {"quick": quick})
        figures = tmp_path / "figures.json"
        text = run(sentiment.main, tmp_path, "--json", figures)
        scores = json.loads(figures.read_text())["quick"]["accuracy"]
        assert len(scores) == 20
        assert scores[-1] > 0.95
        assert f"{scores[-1]:.4f}" in text
