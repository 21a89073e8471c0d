"""Long sentences, lines, words and documents are tagged completely, in bounded memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bundles import make_bundle
from command_line import rows, run

from tagger import Tagger
from tagger.cli import input as input_module
from tagger.cli.formats import Document, text_pieces
from tagger.cli.input import read_tokens
from tagger.errors import raise_error
from tagger.features.batching import WordTable
from tagger.features.vocab import Task
from tagger.runtime.options import TagOptions
from tagger.text.documents import stream_sentences
from tagger.text.sentence import Sentence
from tagger.text.tokenizer import Tokenizer

pytestmark = pytest.mark.slow

WORDS = ["Ada", "met", "Otto", "in", "Oslo", "and", "then", "Mia", "saw", "the", "sea", "near", "New", "Lima"]
# A process that loads a model, tags once and runs the code of a test. It prints by how many bytes its peak
# memory grew (VmHWM, since ru_maxrss begins with the parent's peak).
PROBE = """
import json, sys
from pathlib import Path
from tagger import Tagger
from tagger.cli.main import main

def peak():
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])

model, *arguments = sys.argv[1:]
tagger = Tagger.load(model)
tagger.tag("Ada met Otto.", n_best=5, scores=True)
before = peak()
"""
OPTIONS = TagOptions(tasks=(Task("ner", ("O", "B-PER", "I-PER"), "IOB2"),))
linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")


def probe(code: str, *arguments: object) -> tuple[str, int]:
    """Return what the code printed, and the growth of the process's peak memory in bytes."""
    command = [sys.executable, "-c", PROBE + code + "\nsys.stderr.write(str(peak() - before))"]
    done = subprocess.run(
        [*command, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, int(done.stderr)


@linux
def test_a_sentence_of_100_000_tokens(pos_model):
    """Per token less than 1,500 bytes for strings, tags, scores and probabilities; no unit of the network."""
    code = """
tokens = json.loads(arguments[0]) * 10_000
(sentence,) = tagger.tag_tokens([tokens], scores=True)
print(len(sentence), len(sentence.tags["pos"]), len(sentence.tag_scores["pos"]))
print(all(sentence.text[a:b] == token for token, (a, b) in zip(tokens, sentence.offsets, strict=True)))
print(min(sentence.tag_scores["pos"]) > 0.0, max(sentence.tag_scores["pos"]) <= 1.0)
"""
    output, grown = probe(code, pos_model, json.dumps(WORDS[:10]))
    assert output.split() == ["100000"] * 3 + ["True"] * 3
    assert grown < 100_000 * 1500


@linux
def test_alternatives_of_a_long_sentence(pos_model):
    code = """
tokens = json.loads(arguments[0]) * 1_000
(sentence,) = tagger.tag_tokens([tokens], n_best=5)
best = sentence.alternatives["pos"]
print(len({one.tags for one in best}), {len(one.tags) for one in best}, best[0].tags == sentence.tags["pos"])
"""
    output, grown = probe(code, pos_model, json.dumps(WORDS))
    assert output == "5 {14000} True\n"
    assert grown < 14_000 * (16 * 8 + 1500)


def test_a_long_sentence_is_tagged_as_torch_and_the_plain_recursion_tag_it():
    network, bundle = make_bundle(context="sentence")
    tokens = WORDS * 400
    table = WordTable(bundle.vocabulary)
    emissions = network.emissions(table.batch([table.rows(tokens)]))
    (sentence,) = Tagger(bundle, scheme="BIOES").tag_tokens([tokens])
    for task in bundle.vocabulary.tasks:
        transitions = network.transitions()[task.name]
        best, before = transitions.start + emissions[task.name][0, 0].astype(np.float64), []
        for scores in emissions[task.name][0, 1:]:
            onward = best[:, None] + transitions.scores
            before.append(onward.argmax(axis=0))
            best = onward.max(axis=0) + scores
        ids = [int((best + transitions.end).argmax())]
        for origins in reversed(before):
            ids.append(int(origins[ids[-1]]))
        expected = [task.tags[number] for number in reversed(ids)]
        differing = sum(one != other for one, other in zip(expected, sentence.tags[task.name], strict=True))
        assert differing <= 5, "more than near ties that float32 may turn"


# Many sentences on one line; a line without any end of a sentence; one word; blank lines.
TEXTS = {
    "line": ("Ada met Otto in Oslo. Then Mia saw the sea. " * 8_000, 96_000),
    "no end": ("ab cd efg " * 80_000, 240_000),
    "word": ("a" * 10_000_000, None),
    "blank": ("\n" * 1_000_000, 0),
}


@linux
@pytest.mark.parametrize("name", TEXTS)
def test_a_document_of_any_shape_is_tagged_in_bounded_memory(pos_model, tmp_path, name):
    """The tagger holds a few windows of 65,536 tokens in total, less than 1,250 bytes per token.

    "no end" grew by 53 to 61 MB on an idle machine, and by 67 MB on a busy one.
    """
    text, tokens = TEXTS[name]
    (tmp_path / "in.txt").write_text(text)
    files = (tmp_path / "in.txt", "--output", tmp_path / "out.jsonl", "--scores")
    options = () if name == "no end" else ("--n-best", "2")
    _, grown = probe('assert main(["tag", "-m", model, *arguments]) == 0', pos_model, *files, *options)
    assert grown < 65_536 * 1250
    found = rows((tmp_path / "out.jsonl").read_text())
    places = [(token["start"], token["end"]) for row in found for token in row["tokens"]]
    assert tokens in (None, len(places))
    assert "".join(text[start:end] for start, end in places) == "".join(text.split())
    assert all(len(row["scores"]["pos"]) == len(row["tokens"]) for row in found)


def test_a_long_pretokenized_line_is_split(model, monkeypatch):
    found = list(read_tokens(["Ada met " * 55_000, "Otto\n"]))
    assert [len(sentence) for sentence in found] == [100_000, 10_001]
    monkeypatch.setattr(input_module, "LONGEST_LINE", 2)
    text = "Ada met Otto in Oslo"
    found = rows(run("tag", "-m", model, "--pretokenized", stdin=text.encode())[1])
    assert [row["text"] for row in found] == ["Ada met", "Otto in", "Oslo"]
    assert [text[token["start"] : token["end"]] for row in found for token in row["tokens"]] == text.split()


def test_blank_lines_do_not_reach_the_tokenizer():
    seen = []

    def tokenize(text):
        seen.append(text)
        return Tokenizer().tokenize(text)

    lines = ["\n"] * 500 + ["Ada sang.\n", " \n", *["\n"] * 500, "Otto left."]
    found = list(stream_sentences(lines, tokenize))
    assert seen == ["Ada sang.\n", "Otto left."]
    assert ["".join(lines)[s.text_start :][: len(s.text)] for s in found] == ["Ada sang.", "Otto left."]


def test_text_without_spans_is_written_sentence_by_sentence():
    def tag(pieces):
        for number, _ in enumerate(pieces):
            place = 4 * number
            yield Sentence(("Ada",), ((place, place + 3),), "Ada", place, spans={"ner": ()})

    read = 0

    def lines():
        nonlocal read
        for _ in range(100):
            read += 1
            yield "Ada\n"

    output = text_pieces([Document("", lines())], tag, OPTIONS, raise_error)
    assert (next(output), read) == ("Ada", 1)
    assert "Ada" + "".join(output) == "Ada\n" * 100


HOSTILE = {
    "marks": "a" + "\u0301" * 30,
    "joined emoji": "\U0001f468\u200d",
    "punctuation": "!?.,;:'\"()[]{}-_/*&%$#@^~`|<>=",
    "initials": "a.",
    "no spaces": "漢字かな",
    "short sentences": "Go. ",
    "addresses": "http://a.b/c?d=e&f@g.h",
    "numbers": "1,000.00-",
    "lines": "ab\n",
    "blank lines": "a\n\n",
    "zero width": "\u200b",
    "spaces": ".    \n  ",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_work_for_hostile_text_grows_as_the_text(monkeypatch, name):
    """Counts characters given to the tokenizer, and tokens given to the network and the decoders."""
    _, bundle = make_bundle()
    tagger = Tagger(bundle, threads=1)
    work = {"characters": 0, "tokens": 0, "decoded": 0}
    emissions, annotate = tagger.engine.emissions, tagger._labeller.annotators[0].annotate

    def tokenize(text):
        work["characters"] += len(text)
        return Tokenizer().tokenize(text)

    def counted_emissions(window):
        work["tokens"] += len(window.words.tokens)
        return emissions(window)

    def counted_annotate(scores, *others, **options):
        work["decoded"] += len(scores)
        return annotate(scores, *others, **options)

    monkeypatch.setattr(tagger.engine, "emissions", counted_emissions)
    monkeypatch.setattr(tagger._labeller.annotators[0], "annotate", counted_annotate)
    for size in (10_000, 40_000):
        work.update(characters=0, tokens=0, decoded=0)
        text = (HOSTILE[name] * size)[:size]
        pieces = text.splitlines(keepends=True)
        found = list(
            tagger.tag_sentences(stream_sentences(pieces, tokenize, window=2048), n_best=2, scores=True)
        )
        tokens = sum(map(len, found))
        assert work["characters"] <= 4 * size
        assert work["tokens"] == work["decoded"] == tokens <= size
