"""The experiment on accuracy: its figures are those of the models that it keeps."""

import json
import sys
from pathlib import Path

import accuracy
import pytest
from command_line import SMALL

from tagger import Tagger
from tagger.corpus.files import read_sentences
from tagger.runtime.evaluation import evaluate

WORDS = {"the": ("DET", "DT"), "cat": ("NOUN", "NN"), "cats": ("NOUN", "NNS"), "ran": ("VERB", "VBD")}


def conllu(*sentences: str) -> str:
    lines = []
    for sentence in sentences:
        for number, word in enumerate(sentence.split(), start=1):
            upos, xpos = WORDS[word]
            lines.append("\t".join([str(number), word, "_", upos, xpos, "_", "_", "_", "_", "_"]))
        lines.append("")
    return "\n".join(lines) + "\n"


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    folder = tmp_path / "corpora" / "ud_ewt"
    folder.mkdir(parents=True)
    (folder / "en_ewt-ud-train.conllu").write_text(conllu("the cat ran", "the cats ran", "cats ran"))
    (folder / "en_ewt-ud-dev.conllu").write_text(conllu("the cat ran", "cats ran", "ran the cats"))
    (tmp_path / "vectors.txt").write_text("the 0.1 0.2\ncat 0.3 0.1\nran 0.2 0.4\n")
    return folder.parent


def test_each_task_has_the_score_of_the_model_that_is_kept(corpora, tmp_path, monkeypatch, capfd):
    settings = [f"{name}={json.dumps(value)}" for name, value in SMALL.items()]
    monkeypatch.setitem(accuracy.TRIALS, "recipe", [*settings, "train.epochs=4"])
    kept = tmp_path / "kept.json"
    words = [
        corpora,
        tmp_path / "vectors.txt",
        tmp_path / "m",
        "--only",
        "ud_ewt",
        "--seeds",
        "1",
        "--keep",
        kept,
    ]
    monkeypatch.setattr(sys, "argv", ["accuracy.py", *map(str, words)])
    accuracy.main()
    runs = json.loads(kept.read_text())
    assert [(one["task"], one["seed"], one["epochs"]) for one in runs] == [("pos", 1, 4), ("xpos", 1, 4)]
    dev = read_sentences(corpora / "ud_ewt" / "en_ewt-ud-dev.conllu", tasks=("pos", "xpos"))
    scores = evaluate(Tagger.load(tmp_path / "m" / "ud_ewt-recipe-1"), dev)["tasks"]
    for one in runs:
        assert one["best"] == pytest.approx(scores[one["task"]]["accuracy"])
    assert "xpos" in capfd.readouterr().out
