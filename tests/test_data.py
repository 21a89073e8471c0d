"""The corpus in data/ has the properties that its README states."""

import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from tagger.corpus.files import read_sentences
from tagger.text.schemes import tags_to_spans
from tagger.text.sentence import Sentence

DATA = Path(__file__).resolve().parent.parent / "data"
PARTS = ("train", "dev", "test")
UPOS = {"ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT"}
UPOS |= {"SCONJ", "SYM", "VERB", "X"}
LABELS = {"PER", "ORG", "LOC", "MISC"}


@pytest.fixture(scope="module")
def corpus() -> dict[str, list[Sentence]]:
    return {
        part: list(read_sentences(DATA / f"{part}.conll", columns="token,pos,ner", tasks=("pos", "ner")))
        for part in PARTS
    }


def comment(sentence: Sentence, key: str) -> str | None:
    return next((c.partition(" = ")[2] for c in sentence.comments if c.startswith(f"# {key}")), None)


def test_tags_are_those_of_the_guidelines(corpus):
    for sentence in (sentence for part in corpus.values() for sentence in part):
        assert set(sentence.tags["pos"]) <= UPOS, sentence.source
        spans = tags_to_spans(
            sentence.tags["ner"], "IOB2", mode="strict", tokens=sentence.tokens, where=sentence.source
        )
        assert {span.label for span in spans} <= LABELS, sentence.source


def test_no_document_and_no_sentence_stands_twice(corpus):
    documents = Counter(comment(s, "newdoc id") for part in corpus.values() for s in part)
    del documents[None]
    assert set(documents.values()) == {1}
    assert len({name.partition("-")[0] for name in documents}) >= 7  # kinds of text
    sentences = Counter(s.tokens for part in corpus.values() for s in part)
    assert [tokens for tokens, count in sentences.items() if count > 1] == []


def test_enough_sentences_need_their_right_context(corpus):
    readings: dict[str, Counter[str]] = defaultdict(Counter)
    marked = 0
    for sentence in (sentence for part in corpus.values() for sentence in part):
        word = comment(sentence, "right_context")
        if word is None:
            continue
        marked += 1
        tag = sentence.tags["ner"][sentence.tokens.index(word)]
        readings[word][tag.partition("-")[2] or "O"] += 1
    assert marked >= 150
    assert [word for word, found in readings.items() if len(found) < 2] == []


def test_the_counts_of_the_readme_are_those_of_the_files(corpus):
    assert sum(len(part) for part in corpus.values()) >= 600
    rows = re.findall(r"^\| `(\w+)\.conll` \|(.*)\|$", (DATA / "README.md").read_text(), re.MULTILINE)
    stated = {part: [int(n.replace(",", "")) for n in cells.split("|")] for part, cells in rows}
    found = {}
    for part, sentences in corpus.items():
        spans = Counter(s.label for x in sentences for s in tags_to_spans(x.tags["ner"], "IOB2"))
        found[part] = [
            sum(comment(s, "newdoc id") is not None for s in sentences),
            len(sentences),
            sum(len(s) for s in sentences),
            *(spans[label] for label in ("PER", "ORG", "LOC", "MISC")),
            sum(comment(s, "right_context") is not None for s in sentences),
        ]
    assert stated == found
