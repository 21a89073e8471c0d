"""``tagger tag --stream``, compared with the API and the plain command, and through pipes."""

import json
import os
import re
import signal
import subprocess
import sys
from unittest.mock import patch

import pytest
from command_line import input_error, rows, run
from hypothesis import given, settings
from hypothesis import strategies as st
from input_errors import check

from tagger import StreamingTagger, Tagger
from tagger.cli.input import STDIN, read_lines
from tagger.cli.stream_output import drop_borders
from tagger.corpus.files import read_sentences
from tagger.runtime.live_text import LOOKAHEAD, Word, cut_words, read_words
from tagger.text.tokenizer import Tokenizer

TEXT = (
    "Ada met Otto in Oslo.  Then Dr. Mia left\nfor\tNew Lima; it was 5. Otto sang.\r\n\r\nThe sea (at Bonn)!"
)
SPACE = re.compile(r"\s+")
TOKENIZE = Tokenizer().tokenize


def stream(model, *options, stdin):
    return run("tag", "-m", model, "--stream", *options, stdin=stdin.encode())


def sentences_of(words):
    """Group words into sentences at each None."""
    sentences = [[]]
    for word in words:
        if word is None:
            sentences.append([])
        else:
            sentences[-1].append(word)
    return [sentence for sentence in sentences if sentence]


def cut(text, pieces=None, tokenize=TOKENIZE):
    words = read_words([text] if pieces is None else pieces, SPACE)
    return sentences_of(cut_words(words, tokenize))


@pytest.mark.parametrize("lookahead", [0, 1, 3, 100])
def test_streaming_agrees_with_the_api(model, lookahead):
    code, output, error = stream(model, "--lookahead", lookahead, "--format", "jsonl", stdin=TEXT)
    assert (code, error) == (0, "")
    tagger = Tagger.load(model)
    streaming = StreamingTagger(tagger, lookahead=lookahead)
    expected = [
        {
            "text": word.text,
            "start": word.start,
            "end": word.end,
            "sentence": number,
            "tags": dict(one.tags),
        }
        for number, sentence in enumerate(cut(TEXT, tokenize=tagger.tokenizer))
        for word, one in zip(sentence, streaming.tag([word.text for word in sentence]), strict=True)
    ]
    assert rows(output) == expected
    assert all(TEXT[row["start"] : row["end"]] == row["text"] for row in expected)
    assert expected[-1]["sentence"] == 3


def test_unlimited_lookahead_agrees_with_the_plain_command(model):
    plain = run("tag", "-m", model, "--format", "conll", stdin=TEXT.encode())[1]
    assert stream(model, "--lookahead", 1000, stdin=TEXT) == (0, plain, "")
    tokens = "Ada met Otto .\nThe sea\nnear Lima\n\nMia sang\n"
    lines = tokens.replace("\n\n", "\x00").replace("\n", " ").replace("\x00", "\n")
    plain = run("tag", "-m", model, "--format", "conll", "--pretokenized", stdin=lines.encode())[1]
    assert stream(model, "--lookahead", 1000, "--pretokenized", stdin=tokens) == (0, plain, "")


def test_columns_and_options(model, tmp_path):
    code, output, _ = stream(model, stdin=TEXT)
    assert (code, output) == stream(model, "--lookahead", LOOKAHEAD, "--format", "conll", stdin=TEXT)[:2]
    (tmp_path / "out").write_text(output)
    sentences = list(read_sentences(tmp_path / "out", columns="token,pos,ner"))
    assert [list(s.tokens) for s in sentences] == [[word.text for word in sentence] for sentence in cut(TEXT)]
    (tmp_path / "a.txt").write_text(TEXT, newline="")
    options = ("--task", "ner", "--scheme", "BIOES", "--format", "jsonl")
    code, output, _ = stream(model, *options, stdin=TEXT)
    assert {tuple(row["tags"]) for row in rows(output)} == {("ner",)}
    file = ("--output", tmp_path / "out")
    assert run("tag", "-m", model, tmp_path / "a.txt", "--stream", *options, *file) == (0, "", "")
    assert (tmp_path / "out").read_text() == output


def test_incompatible_options_are_rejected(model, tmp_path):
    (tmp_path / "a.txt").write_text("Ada")
    for options, option, fragment in (
        (["--lookahead", "1"], "--lookahead", "(got --lookahead 1 only)"),
        (["--stream", "--format", "html"], "--stream", "(got html)"),
        (["--stream", "--scores"], "--stream", "--scores"),
        (["--stream", "--n-best", "2"], "--stream", "--n-best"),
        (["--stream", "--n-best", "2", "--format", "jsonl"], "--stream", "--n-best"),
        (["--stream", tmp_path / "a.txt", "-"], "--stream", "one text"),
    ):
        error = input_error("tag", "-m", model, *options)
        check(error, "option.conflict", option=option, mentions=fragment)
    assert "must be at least 0 (got -1)" in str(
        input_error("tag", "-m", model, "--stream", "--lookahead", "-1")
    )
    error = input_error("tag", "-m", model, "--stream", tmp_path / "none")
    check(error, "file.missing", file=tmp_path / "none", option="--text")


@pytest.mark.parametrize("text", ["", " \n\n\t\n", "\ufeff"])
def test_empty_input_gives_empty_output(model, text):
    for options in ([], ["--pretokenized"], ["--format", "jsonl"]):
        assert stream(model, *options, stdin=text) == (0, "", "")


def test_text_before_undecodable_bytes_is_tagged(model, tmp_path):
    command = ("tag", "-m", model, "--stream", "--format", "jsonl")
    code, output, error = run(*command, stdin=b"\xc3\x89mile sang\nin Os\xfflo")
    assert [row["text"] for row in rows(output)] == ["Émile", "sang", "in", "Os"]
    assert (code, error.partition(" is not")[0]) == (
        2,
        "tagger: standard input:2: byte 6 of the line (0xff)",
    )
    code, output, error = run(*command, stdin=b"Ada \xc3")
    assert (code, error.partition(" is not")[0]) == (2, "tagger: standard input:1: byte 5 of the line (0xc3)")
    (tmp_path / "out").write_text("earlier")
    message = str(input_error(*command, "--output", tmp_path / "out", stdin=b"Ada \xff"))
    assert message.startswith("standard input:1: byte")
    assert [row["text"] for row in rows((tmp_path / "out").read_text())] == ["Ada"]


def test_write_errors_name_the_file(model, tmp_path):
    for path in (tmp_path, tmp_path / "none" / "out", "/dev/full"):
        error = input_error("tag", "-m", model, "--stream", "--output", path, stdin=b"Ada met Otto.")
        message = str(error)
        assert message.startswith(f"{path}: cannot be written (")


# Words and sentences


def test_sentence_ends_agree_with_the_tokenizer():
    def texts(text):
        return [" ".join(word.text for word in sentence) for sentence in cut(text)]

    assert texts("She scored twice. Dr. Ada left.") == ["She scored twice .", "Dr. Ada left ."]
    assert texts("Who?\nMe!") == ["Who ?", "Me !"]
    assert texts("one\ntwo\n\nthree \n \n four\u2029five") == ["one two", "three", "four", "five"]
    # Only the next word shows that this sentence has ended.
    assert texts("It is in the U.S. The sea.") == ["It is in the U.S.", "The sea ."]
    assert texts("It is in the U.S. Senate.") == ["It is in the U.S. Senate ."]
    assert texts("It was 5. Then 6.") == ["It was 5 .", "Then 6 ."]
    assert texts("東京。大阪") == ["東 京 。", "大 阪"]


@settings(max_examples=150)
@given(
    st.lists(
        st.sampled_from(
            ["Ada", "Dr.", "U.S.", "(the", "5.", "e.g.", "3.5%", "don't", "\ufeff", '"', "end.Begin"]
        )
        | st.sampled_from([" ", "\n", "\r\n", "\n\n", "\t", ". ", "!\n", "\u00a0", "\u2028"])
        | st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
        max_size=16,
    ),
    st.data(),
)
def test_tokens_do_not_depend_on_pieces_and_lose_no_text(parts, data):
    text = "".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    whole = cut(text)
    assert cut(text, pieces) == whole
    end = 0
    for word in (word for sentence in whole for word in sentence):
        assert text[word.start : word.end] == word.text != ""
        assert word.start >= end
        end = word.end
    tokens = [word.text for sentence in whole for word in sentence]
    # Tokens may differ from those of the whole text, where the tokenizer sees what follows, but no
    # character is lost.
    plain = [token for sentence in Tokenizer().tokenize(text) for token in sentence.tokens]
    assert "".join(tokens) == "".join(plain)


def test_a_word_is_complete_when_white_space_follows():
    words = read_words(iter(["Ad", "a", " ", "met", "\n", "\n", "x"]), SPACE)
    assert list(words) == [Word("Ada", 0), Word("met", 4), None, Word("x", 9, is_last=True)]


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_borders_among_ready_tokens_end_sentences_however_the_text_arrives(size):
    text = "Ada\n-DOCSTART- -X- O\nO -DOCSTART- O\n\ufeffMia\n-DOCSTART-"
    words = drop_borders(read_words((text[i : i + size] for i in range(0, len(text), size)), SPACE))
    found = [[(word.text, word.start) for word in sentence] for sentence in sentences_of(words)]
    start = text.index("Mia")
    assert found == [[("Ada", 0)], [("O", 21), ("-DOCSTART-", 23), ("O", 34), ("Mia", start)]]


def test_a_very_long_word_is_split():
    words = list(read_words(("x" * 1000 for _ in range(200)), SPACE))
    assert len(words) > 2
    assert "".join(word.text for word in words) == "x" * 200_000
    assert [word.start for word in words[1:]] == [word.end for word in words[:-1]]


# Through pipes


def start(model, *options):
    command = [sys.executable, "-m", "tagger", "tag", "-m", str(model), "--stream", *options]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    # Unbuffered: otherwise `communicate` misses what `readline` has read ahead.
    return subprocess.Popen(command, bufsize=0, **pipes)


def send(running, text):
    running.stdin.write(text.encode())
    running.stdin.flush()


@pytest.mark.slow
@pytest.mark.parametrize("lookahead", [0, 1])
@pytest.mark.parametrize("format", ["conll", "jsonl"])
def test_a_word_is_tagged_before_the_next_one_is_written(model, format, lookahead):
    words = ["Ada", "met", "Otto", "in", "Oslo"]
    lines = []
    with start(model, "--lookahead", str(lookahead), "--format", format) as running:
        for number, word in enumerate(words):
            send(running, f"{word} ")
            if number >= lookahead:
                lines.append(running.stdout.readline().decode())
        send(running, "today. ")  # ends the sentence
        lines += [running.stdout.readline().decode() for _ in range(2 + lookahead)]
        rest, error = running.communicate()
    assert (running.returncode, error) == (0, b"")
    result = [json.loads(line)["text"] if format == "jsonl" else line.split(" ")[0] for line in lines]
    assert result == [*words, "today", "."]
    whole = stream(model, "--lookahead", lookahead, "--format", format, stdin=f"{' '.join(words)} today. ")
    assert "".join(lines) + rest.decode() == whole[1]


def test_a_non_blocking_pipe_is_read_to_its_end():
    """Read from a non-blocking pipe, as some programs leave theirs."""
    end, begin = os.pipe()
    os.set_blocking(end, False)
    with os.fdopen(end) as stdin, patch("sys.stdin", stdin):
        pieces = read_lines(STDIN, is_live=True)
        os.write(begin, b"Ada ")
        assert next(pieces) == "Ada "
        assert os.get_blocking(end)
        os.close(begin)
        assert list(pieces) == []


@pytest.mark.slow
def test_an_interrupt_prints_nothing(model):
    with start(model, "--lookahead", "0") as running:
        send(running, "Ada ")
        assert running.stdout.readline().startswith(b"Ada ")
        running.send_signal(signal.SIGINT)
        assert running.communicate() == (b"", b"")
        assert running.returncode == 130


@pytest.mark.slow
def test_a_closed_pipe_ends_without_error(model):
    with start(model, "--lookahead", "0") as running:
        send(running, "Ada ")
        assert running.stdout.readline().startswith(b"Ada ")
        running.stdout.close()
        send(running, "met Otto ")
        running.stdin.close()
        assert running.stderr.read() == b""
        assert running.wait(timeout=60) == 0


@pytest.mark.slow
def test_a_closed_standard_output_is_reported_in_one_line(model):
    command = [sys.executable, "-m", "tagger", "tag", "-m", str(model), "--stream"]
    done = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *command], input=b"Ada met Otto.", capture_output=True, env=os.environ
    )
    assert done.returncode == 2
    assert done.stderr.startswith(b"tagger: standard output: cannot read or write")
    assert done.stderr.count(b"\n") == 1
