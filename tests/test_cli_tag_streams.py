"""`tagger tag` reads its input lazily and survives damaged text, full disks and closed pipes."""

import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from unittest.mock import patch

import pytest
from command_line import rows, run

from tagger.cli import input as input_module
from tagger.cli.formats import Document, text_pieces
from tagger.cli.input import read_lines, read_tokens
from tagger.cli.main import main
from tagger.errors import raise_error
from tagger.features.vocab import Task
from tagger.runtime.options import TagOptions
from tagger.text.sentence import Span, from_tokens


def test_input_is_read_lazily():
    read = 0

    def lines():
        nonlocal read
        for _ in range(1000):
            read += 1
            yield "Ada\n"

    def tag(pieces):
        for number, _ in enumerate(pieces):
            yield from_tokens(["Ada"]).with_tags(
                {}, {"ner": [Span(0, 1, "PER", 1.0, 4 * number, 4 * number + 3)]}
            )

    options = TagOptions(tasks=(Task("ner", ("O", "B-PER", "I-PER"), "IOB2"),))
    output = text_pieces([Document("", lines())], tag, options, raise_error)
    while "[Ada|PER]" not in next(output):
        pass
    assert read == 1


def test_text_before_undecodable_bytes_is_tagged(model, tmp_path):
    good = "é" * 5
    (tmp_path / "bad.txt").write_bytes(good.encode() + b"\nab\xffc\n")
    (tmp_path / "other.txt").write_bytes(b"Ada sang.\n")
    code, output, error = run("tag", "-m", model, tmp_path / "bad.txt", tmp_path / "other.txt")
    assert [row["text"] for row in rows(output)] == [good, "ab", "Ada sang."]
    assert (code, error.count("\n")) == (2, 1)
    assert error.startswith(f"tagger: {tmp_path / 'bad.txt'}:2: byte 3 of the line (0xff) is not UTF-8")
    code, output, error = run("tag", "-m", model, stdin=b"Ada \xc3")
    assert [row["text"] for row in rows(output)] == ["Ada"]
    assert (code, error.partition(" is not")[0]) == (2, "tagger: standard input:1: byte 5 of the line (0xc3)")
    (tmp_path / "out").write_text("earlier")
    assert run("tag", "-m", model, tmp_path / "bad.txt", "--output", tmp_path / "out")[0] == 2
    assert (tmp_path / "out").read_text() == "earlier"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_pieces_of_long_lines_do_not_split_characters(monkeypatch, tmp_path, size):
    monkeypatch.setattr(input_module, "PIECE_BYTES", size)
    text = "aé東🌊\r\nb\u0301c\n" * 3 + "end"
    path = tmp_path / "a.txt"
    path.write_bytes(text.encode())
    assert "".join(read_lines(path)) == text
    assert [list(s.tokens) for s in read_tokens(read_lines(path))] == [["aé東🌊"], ["b\u0301c"]] * 3 + [
        ["end"]
    ]
    path.write_bytes(text.encode() + b"xy\xf0\x9f")
    with pytest.raises(ValueError, match=r"a\.txt:7: byte 6 of the line \(0xf0\)"):
        list(read_lines(path))


def test_a_full_disk_is_reported_in_one_line(model):
    class Full(io.BytesIO):
        def write(self, *_: object) -> int:
            raise OSError(28, "No space left on device")

    err = io.StringIO()
    stream = io.TextIOWrapper(Full(), write_through=True)
    with (
        patch("sys.stdin", io.TextIOWrapper(io.BytesIO(b"Ada"))),
        redirect_stdout(stream),
        redirect_stderr(err),
    ):
        assert main(["tag", "-m", str(model)]) == 2
        assert err.getvalue().startswith(
            "tagger: standard output: cannot read or write (No space left on device)."
        )
        assert err.getvalue().count("\n") == 1
    stream.detach()


@pytest.mark.slow
def test_a_closed_pipe_ends_without_error(model, tmp_path):
    (tmp_path / "long.txt").write_text("Ada met Otto in Oslo.\n\n" * 2000)
    command = [sys.executable, "-m", "tagger", "tag", "-m", str(model), str(tmp_path / "long.txt")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout.readline().startswith(b"{")
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait(timeout=60) == 0
