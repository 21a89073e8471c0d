"""The accuracy experiment: its figures are the scores of the saved models."""

import json
import sys
from pathlib import Path

import accuracy
import pytest
from command_line import SMALL

from tagger import Tagger
from tagger.corpus.conllu import write_conllu
from tagger.corpus.files import read_sentences
from tagger.runtime.model_evaluation import evaluate
from tagger.text.sentence import from_tokens

pytestmark = pytest.mark.slow

WORDS = {"the": ("DET", "DT"), "cat": ("NOUN", "NN"), "cats": ("NOUN", "NNS"), "ran": ("VERB", "VBD")}


def write(path: Path, *texts: str) -> None:
    sentences = []
    for text in texts:
        upos, xpos = zip(*(WORDS[word] for word in text.split()), strict=True)
        sentences.append(from_tokens(text.split()).with_tags({"pos": upos, "xpos": xpos}))
    with path.open("w", encoding="utf-8") as file:
        write_conllu(sentences, file)


@pytest.fixture
def made_corpora(tmp_path: Path) -> Path:
    folder = tmp_path / "corpora" / "ud_ewt"
    folder.mkdir(parents=True)
    write(folder / "en_ewt-ud-train.conllu", "the cat ran", "the cats ran", "cats ran")
    write(folder / "en_ewt-ud-dev.conllu", "the cat ran", "cats ran", "ran the cats")
    (tmp_path / "vectors.txt").write_text("the 0.1 0.2\ncat 0.3 0.1\nran 0.2 0.4\n")
    return folder.parent


def test_each_task_has_the_score_of_the_saved_model(made_corpora, tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(accuracy.TRIALS, "recipe", SMALL | {"train.epochs": 4})
    kept = tmp_path / "kept.json"
    words = [made_corpora, tmp_path / "vectors.txt", tmp_path / "m", "--keep", kept]
    words += ["--only", "ud_ewt", "--seeds", 1]
    monkeypatch.setattr(sys, "argv", ["accuracy.py", *map(str, words)])
    accuracy.main()
    runs = json.loads(kept.read_text())
    assert [(one["task"], one["seed"], one["epochs"]) for one in runs] == [("pos", 1, 4), ("xpos", 1, 4)]
    dev = read_sentences(made_corpora / "ud_ewt" / "en_ewt-ud-dev.conllu", tasks=("pos", "xpos"))
    scores = evaluate(Tagger.load(tmp_path / "m" / "ud_ewt-recipe-1"), dev).scores
    for one in runs:
        assert one["best"] == pytest.approx(scores[one["task"]]["accuracy"])
    assert "xpos" in capfd.readouterr().out
