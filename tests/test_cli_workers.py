"""``tagger tag --workers``: the output equals that of one process."""

import json
import os
import pickle
import random
import signal
import subprocess
import sys

import pytest
from command_line import input_error, rows, run
from hypothesis import given, settings
from hypothesis import strategies as st
from input_errors import check

from tagger.cli import workers
from tagger.text.blocks import cut_blocks
from tagger.text.tokenizer import Tokenizer

pytestmark = pytest.mark.slow

TEXT = "Ada met Otto in Oslo. Then  Otto left\nfor Lima,\tand Ada stayed.\r\n\r\n  Mia saw the sea 🌊!\n"
PIECES = ["Ada met Otto. ", "He left\n", "\n", "for Oslo, ", "Dr. Mia ", "x " * 9]


@pytest.fixture
def texts(tmp_path):
    (tmp_path / "a.txt").write_text("\ufeff" + TEXT * 40)
    (tmp_path / "b.txt").write_text(" \n\n")
    (tmp_path / "c.txt").write_text("\n\n" + TEXT * 3)
    return [tmp_path / name for name in ("a.txt", "b.txt", "c.txt")]


@pytest.mark.parametrize("options", [(), ("--pretokenized", "--scores")])
def test_output_agrees_with_one_process(model, texts, options):
    for style in ("jsonl", "conll"):
        command = ("tag", "-m", model, *texts, "--format", style, *options)
        code, output, error = run(*command, "--workers", 2)
        assert (code, error) == (0, "")
        assert output == run(*command)[1]


class Done:
    """Stand-in for a completed future."""

    def __init__(self, value: object) -> None:
        self.value = pickle.loads(pickle.dumps(value))  # as sent through a pipe

    def result(self) -> object:
        return self.value


class Pool:
    """Stand-in for a process pool that runs in this process, so that tests can patch modules."""

    def __init__(self, workers, context, initializer, initargs):
        initializer(*initargs)

    def submit(self, function, *arguments):
        return Done(function(*arguments))

    def shutdown(self, cancel_futures):
        assert cancel_futures


@pytest.fixture
def _in_one_process(monkeypatch):
    monkeypatch.setattr(workers, "ProcessPoolExecutor", Pool)


@pytest.mark.usefixtures("_in_one_process")
def test_output_does_not_depend_on_block_size(model, texts, monkeypatch):
    monkeypatch.setattr(workers, "BLOCK_CHARACTERS", 60)
    for options in ((), ("--pretokenized",)):
        command = ("tag", "-m", model, *texts, "--format", "jsonl", *options)
        assert run(*command, "--workers", 3)[1] == run(*command)[1]


def sentences_of(blocks, tokenizer):
    for block in blocks:
        sentences = block.sentences
        if sentences is None:
            sentences = (one.shifted(block.text_start) for one in tokenizer.tokenize(block.text))
            sentences = block.select(sentences)
        yield from (one for one in sentences if block.begin <= one.text_start < block.end)


def test_workers_use_the_context_of_the_whole_document(model, tmp_path, monkeypatch):
    generator = random.Random(1)
    words = ["Ada", "ADA", "Otto", "Lund", "met", "in", "saw", "the", "."]
    lines = [
        " ".join(generator.choices(words, k=9)) + " .\n" * (1 + generator.randrange(2)) for _ in range(900)
    ]
    (tmp_path / "long.txt").write_text("".join(lines))
    (tmp_path / "unbroken.txt").write_text("".join(lines).replace("\n", " "))
    monkeypatch.setattr(workers, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(workers, "BLOCK_CHARACTERS", 700)
    for name, options in (("long", ()), ("unbroken", ()), ("long", ("--pretokenized",))):
        command = ("tag", "-m", model, tmp_path / f"{name}.txt", "--format", "jsonl", "--scores", *options)
        assert scores_of(run(*command, "--workers", 2)[1]) == pytest.approx(
            scores_of(run(*command)[1]), abs=1e-4
        )


def scores_of(output):
    return [
        s for line in output.splitlines() for scores in json.loads(line)["scores"].values() for s in scores
    ]


@settings(max_examples=60)
@given(st.lists(st.sampled_from(PIECES), max_size=80), st.integers(20, 200))
def test_blocks_and_their_sentences_cover_the_document(pieces, size):
    text, tokenizer = "".join(pieces), Tokenizer()
    blocks = list(cut_blocks(pieces, tokenizer.tokenize, size=size, around=10_000))
    assert text.startswith("".join(block.own_text for block in blocks))
    assert list(sentences_of(blocks, tokenizer)) == [one.shifted(0) for one in tokenizer.tokenize(text)]


@pytest.mark.parametrize(
    "text",
    [
        "hello my world and " * 3000,
        "x" * 60_000,
        "He left. Ada\nstayed, \n" * 3000,
        "Ada met Otto.\n\n" * 3000,
    ],
    ids=["no end", "one word", "no blank line", "blank lines"],
)
def test_every_character_is_tagged_once(text):
    tokenizer = Tokenizer()
    lines = text.splitlines(keepends=True)
    blocks = list(cut_blocks(lines, tokenizer.tokenize, size=1000, around=500))
    assert len(blocks) > 1 or len(lines) == 1
    sentences = list(sentences_of(blocks, tokenizer))
    assert "".join(token for sentence in sentences for token in sentence.tokens) == "".join(text.split())
    for sentence in sentences:
        assert all(text[a:b] == t for t, (a, b) in zip(sentence.tokens, sentence.offsets, strict=True))


def test_incompatible_options_are_rejected(model):
    for options, code, fragment in (
        (["--workers", 0], "option.value", "(got 0)"),
        (["--workers", 2, "--format", "html"], "option.conflict", "(got html)"),
        (["--workers", 2, "--stream", "--format", "conll"], "option.conflict", "--stream"),
    ):
        error = input_error("tag", "-m", model, *options)
        check(error, code, option="--workers", mentions=fragment)


@pytest.mark.usefixtures("_in_one_process")
def test_output_before_an_error_is_written(model, tmp_path, monkeypatch):
    monkeypatch.setattr("tagger.runtime.labeller.MOST_POINTERS", 400)
    (tmp_path / "a.txt").write_text("Ada met Otto .\n" * 3 + "Ada " * 400 + "\n")
    command = ("tag", "-m", model, tmp_path / "a.txt", "--format", "jsonl", "--pretokenized", "--n-best", "5")
    one, several = (run(*command, "--workers", count) for count in (1, 2))
    assert one[0] == several[0] == 2
    assert one[2] == several[2]
    assert len(rows(one[1])) == len(rows(several[1])) == 3


@pytest.mark.parametrize("count", [1, 2])
def test_an_error_of_a_worker_keeps_its_code(model, tmp_path, count):
    (tmp_path / "a.txt").write_text("Ada " * 100_000)
    command = (
        "tag",
        "-m",
        model,
        tmp_path / "a.txt",
        "--format",
        "jsonl",
        "--pretokenized",
        "--n-best",
        "900",
    )
    error = input_error(*command, "--workers", count)
    assert (error.code, error.option) == ("input.size", "n_best")


def end(*_: object) -> None:
    os._exit(1)


def test_a_killed_worker_is_reported(model, monkeypatch, texts):
    monkeypatch.setattr(workers, "_tag_block", end)
    code, _, error = run("tag", "-m", model, texts[0], "--format", "conll", "--workers", 2)
    assert (code, "A worker process ended early" in error) == (2, True)


def test_an_interrupt_prints_nothing(model, tmp_path):
    """Interrupt all processes while workers still import modules, as Ctrl-C in a terminal does."""
    end, begin = os.pipe()
    command = [sys.executable, "-m", "tagger", "tag", "-m", str(model), "--format", "conll", "--workers", "2"]
    with (
        subprocess.Popen(
            command, stdin=end, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        ) as running,
        os.fdopen(begin, "wb") as pipe,
    ):
        os.close(end)
        pipe.write(("Ada met Otto in Oslo.\n" * 60_000).encode())  # returns once most of it is read
        os.killpg(running.pid, signal.SIGINT)
        assert running.communicate() == (b"", b"")
        assert running.returncode == 130
