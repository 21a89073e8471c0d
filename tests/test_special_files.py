"""Devices, sockets and endless files are errors for every path; pipes are read."""

import gzip
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command_line import OPTIONS, input_error, run, run_error

from tagger.config_loading import load_config
from tagger.corpus.files import FORMATS, read_sentences
from tagger.corpus.lines import numbered_lines
from tagger.errors import InputError
from tagger.features.vectors import read_vectors
from tagger.training.checkpoint import CHECKPOINT, load_checkpoint

COLUMNS = ("--columns", "token,pos,ner")


@contextmanager
def piped(content: bytes) -> Iterator[str]:
    """Yield a path whose content can be read once, like the shell's ``<(command)``."""
    ours, theirs = os.pipe()

    def write() -> None:
        with os.fdopen(theirs, "wb") as pipe:
            pipe.write(content)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield f"/dev/fd/{ours}"
    finally:
        os.close(ours)
        writer.join()


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/full", "socket"])
def test_devices_and_sockets_are_errors_in_every_command(corpus, model, tmp_path, device):
    if device == "socket":
        device = str(tmp_path / "socket")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(device)
    data, output = corpus / "train.conll", tmp_path / "out"
    training = ("--output", output, *OPTIONS, *COLUMNS)
    for words in (
        ("evaluate", model, device),
        *(("evaluate", model, device, "--format", name) for name in FORMATS),
        ("tag", "-m", model, device),
        ("tag", "-m", model, device, "--pretokenized"),
        ("tag", "-m", model, device, "--stream"),
        ("train", "--train", device, *training),
        ("train", "--train", data, "--dev", device, *training),
        ("train", "--train", data, "--vectors", device, *training),
        ("train", device, "--train", data, *training),
        ("compare", "--train", data, "--dev", device, *training),
        ("check", device),
        ("convert", device, tmp_path / "out.conll"),
    ):
        message = run_error(*words)
        assert message.startswith(f"{device}: "), words
        assert message.endswith("."), words


def test_a_pipe_with_the_name_of_a_checkpoint_is_an_error(tmp_path):
    os.mkfifo(tmp_path / CHECKPOINT)  # opening it would block forever
    with pytest.raises(InputError, match=rf"{CHECKPOINT}: the checkpoint is damaged \(.*not a regular file"):
        load_checkpoint(tmp_path)


def test_pipes_are_read_if_one_pass_is_enough(corpus, model, tmp_path):
    data = (corpus / "dev.conll").read_bytes()
    expected = run("evaluate", model, corpus / "dev.conll", "--json")[1].partition("tokens_per_second")[0]
    for content in (data, gzip.compress(data)):
        with piped(content) as path:
            code, output, error = run("evaluate", model, path, "--json")
        assert (code, error) == (0, "")
        assert output.partition("tokens_per_second")[0] == expected.replace("dev.conll", Path(path).name)
    with piped(b"Ada met Otto.") as path:
        assert run("tag", "-m", model, path) == run("tag", "-m", model, stdin=b"Ada met Otto.")
    for content in (b"ada 1 2\notto 3 4\n", gzip.compress(b"ada 1 2\notto 3 4\n")):
        with piped(content) as path:
            assert read_vectors(Path(path), {"ada"}, limit=9).frozen_words == ("otto",)
    with piped(b"[train]\nepochs = 7\n") as path:
        assert load_config(Path(path), {}).train.epochs == 7


@pytest.mark.parametrize("name", ["a.conll", "a.conll.gz"])
def test_a_too_long_line_is_an_error_and_not_read_completely(tmp_path, monkeypatch, name):
    monkeypatch.setattr("tagger.corpus.lines.LONGEST_LINE", 1000)
    content = b"Ada B-PER\n" + b"x" * 1000 + b"\n\n" + b"\0" * 5000
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    with pytest.raises(InputError, match=rf"{name}:2: the line has more than 1,000 bytes\. Pass a text file"):
        list(numbered_lines(tmp_path / name))
    errors: list[InputError] = []
    assert [number for number, _ in numbered_lines(tmp_path / name, on_error=errors.append)] == [1]
    assert len(errors) == 1
    with pytest.raises(InputError, match="more than 1,000 bytes"):
        list(read_sentences(tmp_path / name))
    (tmp_path / name).write_bytes(b"x" * 999 + b"\n" + b"y" * 1000)
    assert [len(line) for _, line in numbered_lines(tmp_path / name)] == [999, 1000]


def test_sparse_files_have_limits_too(corpus, model, tmp_path, monkeypatch):
    with (tmp_path / "holes").open("wb") as file:
        file.truncate(1 << 33)
    with pytest.raises(InputError, match="4,194,304 bytes") as caught:
        read_vectors(tmp_path / "holes", {"a"}, limit=1)
    assert (caught.value.code, caught.value.file) == ("vectors.format", str(tmp_path / "holes"))
    with (tmp_path / "holes").open("r+b") as file:
        file.write(b"9 2\n\xff\xff")
    with pytest.raises(InputError, match="vector 1 of 9 has no space") as caught:
        read_vectors(tmp_path / "holes", {"a"}, limit=1)
    assert (caught.value.code, caught.value.file) == ("vectors.format", str(tmp_path / "holes"))
    words = ("train", tmp_path / "holes", "--train", corpus / "train.conll", "--output", tmp_path / "m")
    error = input_error(*words)
    assert (error.code, error.file) == ("file.unreadable", str(tmp_path / "holes"))
    assert "1,048,576 bytes" in error.message
    monkeypatch.setattr("tagger.cli.input.LONGEST_TEXT_LINE", 100_000)
    message = run_error("tag", "-m", model, "--pretokenized", stdin=b"x" * 200_000)
    assert message == "line 1 of the text must have at most 100,000 characters. Write one sentence per line."
