"""The script that builds the English model, on synthetic corpora."""

import sys
from pathlib import Path

import pytest
from build_english import NAMES, UD, WIKIGOLD, main, merge, read_wikigold, recased
from command_line import run
from encoders import make_bert

from tagger.bundle import load_bundle

pytestmark = pytest.mark.slow

PEOPLE = ("Ada", "Otto", "Mia", "Emil")
SENTENCES = [
    [(name, "PROPN", "B-PER"), ("saw", "VERB", "O"), ("Oslo", "PROPN", "B-LOC"), (".", "PUNCT", "O")]
    for name in PEOPLE
]


@pytest.fixture
def made_corpora(tmp_path) -> Path:
    """Both corpora and Wikigold; in Universal NER, sentence s1 has a different token and s9 is missing."""
    for split, path in NAMES.items():
        ud, uner = tmp_path / UD.format(split=split), tmp_path / path
        for one in (ud, uner):
            one.parent.mkdir(exist_ok=True)
        blocks, named = [], []
        for index, rows in enumerate([*SENTENCES, SENTENCES[0]]):
            name = "s9" if index == len(SENTENCES) else f"s{index}"
            lines = [
                f"{number}\t{token}\t_\t{pos}\t_\t_\t_\t_\t_\t{'SpaceAfter=No' if token == 'Oslo' else '_'}"
                for number, (token, pos, _) in enumerate(rows, 1)
            ]
            text = f"{rows[0][0]} saw Oslo."
            blocks.append("\n".join([f"# sent_id = {name}", f"# text = {text}", *lines]))
            if name != "s9":
                other = [("Xy" if name == "s1" and token == "saw" else token, tag) for token, _, tag in rows]
                body = [f"{token}\t{tag}" for token, tag in other]
                named.append("\n".join([f"# sent_id = {name}", f"# text = {text}", *body]))
        ud.write_text("\n\n".join(blocks) + "\n\n")
        uner.write_text("\n\n".join(reversed(named)) + "\n\n")
    (tmp_path / WIKIGOLD).parent.mkdir()
    (tmp_path / WIKIGOLD).write_text("Oslo\tB-LOC\nhas\tO\nOslo\tB-MISC\n\n")
    words = ["saw", "oslo", ".", "bonn", "lima", "ship", "sea"]
    vectors = "".join(f"{word} {index / 9} {1 - index / 9} 0.5\n" for index, word in enumerate(words))
    (tmp_path / "vectors.txt").write_text(vectors)
    return tmp_path


def test_sentences_are_joined_by_their_ids(made_corpora, capsys):
    merged = list(merge(made_corpora, "train"))
    assert [sentence.tokens[0] for sentence in merged] == ["Ada", "Mia", "Emil"]
    assert all(sentence.tags["pos"] == ("PROPN", "VERB", "PROPN", "PUNCT") for sentence in merged)
    assert all(sentence.tags["ner"] == ("B-PER", "O", "B-LOC", "O") for sentence in merged)
    assert "train: skipped 2 sentences whose tokens differ" in capsys.readouterr().out
    assert recased(merged, "upper")[0].tokens == ("ADA", "SAW", "OSLO", ".")


def test_a_model_is_built_with_its_card(made_corpora, monkeypatch, capfd):
    monkeypatch.setenv("TAGGER_CACHE", str(made_corpora / "cache"))
    encoder = made_corpora / "encoder"
    assert run("encoder", "export", make_bert(made_corpora / "bert"), encoder, "--layers", "2")[0] == 0
    texts = made_corpora / "texts.jsonl"
    texts.write_text('{"text": "Mia saw Rome. Otto sank."}\n')
    options = ["model.hidden_size=4", "train.epochs=2", "train.case_augmentation=0.5"]
    command = [
        "build_english.py",
        str(made_corpora),
        str(made_corpora / "vectors.txt"),
        str(encoder),
        str(texts),
        "--own",
        "0",
        "--teacher-epochs",
        "1",
        "--last-epochs",
        "1",
        "--output",
        str(made_corpora / "en"),
    ]
    command += ["--words", "2", "--work", str(made_corpora / "work")]
    monkeypatch.setattr(sys, "argv", [*command, *(word for one in options for word in ("--set", one))])
    main()
    assert "teacher 2, lower: " in capfd.readouterr().out
    bundle = load_bundle(made_corpora / "en")
    assert bundle.is_shrunk
    assert bundle.vocabulary.frozen_words == ("bonn", "lima")
    assert bundle.metrics["shrunk"] == {"frozen_words": 2, "precision": "int8"}
    assert set(bundle.metrics["dev"]) == {"pos", "ner"}
    assert bundle.encoder is None
    (sentence,) = read_wikigold(made_corpora)
    assert sentence.tags == {"pos": ("?", "?", "?"), "ner": ("B-LOC", "O", "O")}
    assert bundle.metrics["data"]["dev"]["sentences"] == 3
    for text in (
        "CC BY-SA 4.0",
        "| 1 texts without labels |",
        "PDDL",
        "| lower-cased |",
        "| 2 | int8 |",
        "50% of the sentences",
        "## Limits",
    ):
        assert text in bundle.card
    assert "$" not in bundle.card
