"""The experiment on small data: splits, table and features, and one run on synthetic files."""

import argparse
import json
from pathlib import Path

import pytest
import small_data
from command_line import SMALL
from peers import extract_features
from rivals import RIVALS, SEEDLESS, add_vectors, hand_features, shape
from small_data import FOLDS, SETTINGS, SYSTEMS, fold, markdown, split_of, summarise

from tagger.config_loading import load_config
from tagger.text.sentence import from_tokens

pytestmark = pytest.mark.slow


def run(setting: str, system: str, seed: int, f1: float) -> dict[str, object]:
    return {"setting": setting, "system": system, "seed": seed, "f1": f1}


class TestSplits:
    @pytest.mark.parametrize("count", [5, 7, 1_399])
    def test_folds_partition_the_sentences_in_order(self, count):
        sentences = [from_tokens([str(number)]) for number in range(count)]
        splits = [fold(sentences, number) for number in range(1, FOLDS + 1)]
        assert [one for split in splits for one in split.test] == sentences
        for split in splits:
            assert len(split.test) in (count // FOLDS, count // FOLDS + 1)
            indices = [int(one.tokens[0]) for one in split.train]
            assert indices == sorted({*range(count)} - {int(one.tokens[0]) for one in split.test})

    def test_train_holds_the_first_sentences_with_tags_as_iob2(self, made_corpora):
        split = split_of("conll2003-100", made_corpora)
        assert len(split.train) == 100
        assert split.train[0].tags == {"ner": ("B-PER", "I-PER", "B-PER", "O")}
        assert [one.starts_document for one in split.train[:3]] == [True, False, True]
        assert len(split.test) == 4

    def test_every_setting_has_one_column(self):
        assert all(sum(name.startswith(column) for column in small_data.COLUMNS) == 1 for name in SETTINGS)


@pytest.fixture(scope="module")
def made_corpora(folder: Path) -> Path:
    """Corpora in the expected layout: sentences of one pattern with different names, in IOB1 and IOB2."""
    iob1 = [
        f"Ada NNP I-NP I-PER\nB{n} NNP I-NP I-PER\nOtto NNP I-NP B-PER\nsang VB O O\n" for n in range(104)
    ]
    iob1[1] += "\n-DOCSTART- -X- O O\n"
    iob2 = [f"In\tO\nTown{n}\tB-LOC\nHill\tI-LOC\n" for n in range(20)]
    for name, sentences in (
        ("conll2003/eng.train", iob1),
        ("conll2003/eng.testa", iob1[100:]),
        ("wikigold/train.iob2", iob2),
    ):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(sentences), encoding="utf-8")
    return folder


class TestTable:
    def test_folds_are_averaged_by_seed_and_incomplete_seeds_are_omitted(self):
        folds = [name for name in SETTINGS if name.startswith("wikigold")]
        runs = [run(name, "tagger", seed, 0.5 + seed / 10) for name in folds for seed in (1, 2)]
        runs += [run(folds[0], "tagger", 3, 0.9), run("conll2003-100", "crfsuite", 1, 0.25)]
        ours, theirs = summarise(runs)
        assert (ours["seeds"], ours["f1"]) == (2, pytest.approx(0.65))
        assert ours["sd_seeds"] == pytest.approx(0.1 / 2**0.5)
        assert ours["runs"] == {name: [0.6, 0.7] for name in folds}
        assert (theirs["column"], theirs["seeds"], theirs["sd_seeds"]) == ("conll2003-100", 1, None)

    def test_the_table_has_one_line_per_finished_system(self):
        runs = [run("conll2003-100", "tagger", seed, f1) for seed, f1 in ((1, 0.5), (2, 0.52))]
        lines = markdown(summarise([*runs, run("conll2003-500", "spacy", 1, 0.6)])).splitlines()
        assert [line.count("|") for line in lines] == [6] * 4
        assert lines[2] == "| tagger |  | 51.00 ± 1.41 (2) |  |  |"
        assert lines[3] == "| spacy |  |  | 60.00 (1) |  |"


class TestRivals:
    def test_the_table_knows_all_names(self):
        assert set(RIVALS) < set(SYSTEMS)
        assert set(SEEDLESS) < set(RIVALS)

    @pytest.mark.parametrize(
        ("word", "expected"), [("McAdam", "XxXx"), ("F1-2000", "Xd-d"), ("...", "."), ("", "")]
    )
    def test_shapes(self, word, expected):
        assert shape(word) == expected

    def test_features_include_those_of_the_benchmark_and_a_window_of_two_words(self):
        tokens = ["In", "New", "York"]
        rows = hand_features(tokens)
        assert all(
            own.items() <= row.items() for own, row in zip(extract_features(tokens), rows, strict=True)
        )
        assert (rows[0]["before2"], rows[0]["after2"], rows[2]["before2"]) == ("<s>", "york", "in")
        assert rows[1]["shapes after"] == "Xx Xx"
        assert rows[0]["bigram before"] == "<s> in"

    def test_vectors_of_the_token_and_its_neighbours_become_features(self):
        rows = add_vectors([{}, {}, {}], ["In", "Xyz", "York"], {"in": [1.0, 2.0], "york": [3.0, 4.0]})
        assert rows[0] == {"v0": 1.0, "v1": 2.0}
        assert rows[1] == {"before v0": 1.0, "before v1": 2.0, "after v0": 3.0, "after v1": 4.0}
        assert rows[2] == {"v0": 3.0, "v1": 4.0}


class TestRuns:
    def test_vectors_are_reduced_to_all_forms_of_the_words(self, write_file, tmp_path):
        lines = ["york 1 2\n", "York 3 4\n", "2000 1 1\n", "0000 2 2\n", "other 5 6\n"]
        path = write_file("".join(lines), "vectors.txt")
        cut = small_data.cut_vectors(path, {"York", "2000"}, tmp_path / "cut.txt")
        assert cut.read_text(encoding="utf-8") == "".join(lines[:4])

    def test_tagger_is_trained_without_dev_and_run_again_only_for_other_options(
        self, made_corpora, tmp_path, write_file
    ):
        vectors = write_file("in 0.5 0.25\nsang 0.1 0.3\n", "vectors.txt")
        config = load_config(None, {**SMALL, "data.tasks": ("ner",), "data.columns": "token,ner"})
        options = argparse.Namespace(vectors=vectors, output=tmp_path / "output")
        split = split_of("wikigold-2", made_corpora)
        result = small_data.measure("tagger", "wikigold-2", split, 3, config, options)
        assert result["f1"] == 1.0
        assert result["test"] == {"sentences": 4, "tokens": 12, "spans": 4}
        assert list((tmp_path / "output" / "work").iterdir()) == []
        path = write_file(json.dumps(result), "run.json")
        other = load_config(None, {**SMALL, "train.seed": 5, "data.columns": "token,ner"})
        assert small_data.is_done(path, "tagger", other)
        assert small_data.is_done(path, "spacy", config)
        assert not small_data.is_done(path, "tagger", load_config(None, {**SMALL, "train.epochs": 99}))
        assert not small_data.is_done(tmp_path / "none.json", "spacy", config)
