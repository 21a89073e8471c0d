"""Unusual command lines, outputs that fail, streams that close, signals: nothing is lost or left lying."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from command_line import OPTIONS, refusal, rows, run, train

from tagger.cli.main import main

SENTENCE = "Ada met Otto in Oslo.\n\n"
LONG = SENTENCE * 3000  # its tags fill every buffer between two processes many times


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "tagger", *map(str, arguments)]


# Names


NAMES = [b"two words.txt", b"\"quoted\" 'twice'.txt", b"line\nend.txt", b"caf\xe9.txt", b"\x1b[31mred.txt"]
NAMES += ["\u202eolleh.txt".encode(), b"-dash.txt", b"100%.txt", b"[bold]x.txt", b"x" * 200 + b".txt"]


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_files_of_any_name_are_read_and_named(corpus, model, tmp_path, name):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    path.write_text("Ada met Otto.\n")
    shown = os.fsdecode(name)
    for output in ((), ("--output", tmp_path / "out")):
        code, written, error = run("tag", model, path, "-", *output, stdin=b"Oslo.")
        assert (code, error) == (0, "")
        found = rows((tmp_path / "out").read_text() if output else written)
        assert [row["document"] for row in found] == [shown, "standard input"]
        for format in ("html", "text", "conll"):
            assert run("tag", model, path, "-", "--format", format, *output, stdin=b"Oslo.")[::2] == (0, "")
    message = refusal("tag", model, f"{path}.missing")
    # Whoever sees the message sees which file it was, even where the name has no glyphs of its own.
    seen = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in shown)
    assert message.startswith(f"{tmp_path}/{seen}.missing: ")
    assert refusal("info", f"{path}.missing").endswith("give the folder that `tagger train --output` wrote.")


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_a_model_of_files_of_any_name_is_trained_and_described(corpus, tmp_path, name):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    path.write_bytes((corpus / "train.conll").read_bytes())
    folder = f"{path}.model"
    options = ("--columns", "token,pos,ner", "--epochs", "1", "--output", folder)
    code, _, error = train("--train", path, "--dev", path, *options)
    assert (code, error) == (0, "")
    assert json.loads(run("info", folder, "--json")[1])["data"]["train"]["file"] == os.fsdecode(name)
    assert run("info", folder)[::2] == (0, "")
    assert run("evaluate", folder, path)[::2] == (0, "")


def test_things_of_another_kind_are_refused(corpus, model, tmp_path):
    text = corpus / "dev.conll"
    assert refusal("tag", "-m", text, "--input", "text", text).startswith(
        f"{text}/config.json: cannot be read (Not a directory); give"
    )
    assert refusal("info", "/dev/null").startswith("/dev/null/config.json: cannot be read (Not a directory)")
    assert refusal("tag", model, corpus) == f"{corpus}: this is a folder; name a file in it."
    assert refusal("evaluate", model, corpus).startswith(f"{corpus}: this is a folder. Name a file in it")
    assert refusal("evaluate", model, "/dev/null").startswith("/dev/null: the file has no sentences. Give")
    assert refusal("tag", model, "--output", corpus, stdin=b"Ada").startswith(f"{corpus}: this is a folder;")
    (tmp_path / "loop").symlink_to("loop")
    assert refusal("tag", model, tmp_path / "loop").startswith(f"{tmp_path}/loop: there is no such file;")
    assert refusal("tag", "-m", tmp_path / "loop", "--input", "text", text).startswith(
        f"{tmp_path}/loop/config.json: cannot be read ("
    )
    assert refusal("tag", tmp_path / "loop", text).startswith(f"{tmp_path}/loop: there is no such file;")
    assert run("tag", model, "--output", tmp_path / "loop", stdin=b"Ada") == (0, "", "")
    assert (tmp_path / "loop").read_text() == run("tag", model, stdin=b"Ada")[1]
    assert [path.name for path in tmp_path.iterdir()] == ["loop"]


def test_a_device_and_a_pipe_are_texts(model, tmp_path):
    assert run("tag", model, "/dev/null") == (0, "", "")
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=(SENTENCE,))
    writer.start()
    output = run("tag", model, tmp_path / "pipe")
    writer.join()
    assert output == run("tag", model, stdin=SENTENCE.encode())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_what_may_not_be_read_or_written_is_named(corpus, model, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text(SENTENCE)
    secret.chmod(0)
    assert "cannot be read (Permission denied)" in refusal("tag", model, secret)
    assert "cannot be read (Permission denied)" in refusal("evaluate", model, secret)
    tmp_path.chmod(0o500)
    assert "cannot be written (Permission denied)" in refusal(
        "tag", model, "--output", tmp_path / "out", stdin=b"Ada"
    )
    words = ("--train", corpus / "train.conll", "--output", tmp_path / "model")
    assert "cannot be written (Permission denied)" in refusal("train", *words)
    tmp_path.chmod(0o700)


# Outputs that fail


def in_shell(
    redirection: str, *arguments: object, before: str = "", folder: Path | None = None
) -> subprocess.CompletedProcess:
    """Run a command as a shell starts it."""
    words = ["sh", "-c", f'{before} exec "$@" {redirection}', "sh", *command(*arguments)]
    return subprocess.run(
        words, input=SENTENCE.encode(), capture_output=True, timeout=120, check=False, cwd=folder
    )


def test_a_file_that_may_not_grow_leaves_the_earlier_output(model, tmp_path):
    (tmp_path / "long.txt").write_text(LONG)
    output = tmp_path / "out.jsonl"
    output.write_text("earlier")
    done = in_shell("", "tag", model, tmp_path / "long.txt", "--output", output, before="ulimit -f 100;")
    assert (done.returncode, done.stdout) == (2, b"")
    message = f"tagger: {output}: cannot be written (File too large); free space or name another place"
    assert done.stderr.decode() == f"{message} (what was there before is whole).\n"
    assert output.read_text() == "earlier"
    assert {path.name for path in tmp_path.iterdir()} == {"long.txt", "out.jsonl"}


def test_a_standard_output_that_may_not_grow_is_named(model, tmp_path):
    (tmp_path / "long.txt").write_text(LONG)
    arguments = ("tag", model.resolve(), tmp_path / "long.txt")
    done = in_shell("> out.jsonl", *arguments, before="ulimit -f 100;", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        b"tagger: standard output: cannot be used (File too large); check it and the space there.\n"
    )


@pytest.mark.parametrize("format", ["jsonl", "conll", "text", "html"])
def test_a_reader_that_stops_in_the_middle_ends_tagging_quietly(model, tmp_path, format):
    (tmp_path / "long.txt").write_text(LONG)
    words = command("tag", model, tmp_path / "long.txt", "--format", format)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert len(running.stdout.read(50_000)) == 50_000
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait(timeout=60) == 0


@pytest.mark.parametrize("arguments", ["tag {model}", "info {model}", "info {model} --json", "--help"])
def test_a_closed_standard_output_is_one_line(model, arguments):
    done = in_shell(">&-", *arguments.format(model=model).split())
    assert done.returncode == 2
    assert done.stderr.startswith(b"tagger: standard output: cannot be used (")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_do_not_spoil_what_is_written_to_files(corpus, model, tmp_path, redirection):
    done = in_shell(redirection, "tag", model, "--output", tmp_path / "out.jsonl")
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "out.jsonl").read_text() == run("tag", model, stdin=SENTENCE.encode())[1]
    files = ("--train", corpus / "train.conll", "--columns", "token,pos,ner", "--output", tmp_path / "model")
    done = in_shell(redirection, "train", *OPTIONS, *files)
    assert (done.returncode, done.stderr) == (0, b"")
    assert run("info", tmp_path / "model")[0] == 0


def test_a_closed_standard_error_keeps_the_exit_code(model):
    done = in_shell("2>&-", "tag", model, "missing.txt")
    assert (done.returncode, done.stdout, done.stderr) == (2, b"", b"")


# Signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_the_earlier_output_and_no_other_file(model, tmp_path, number):
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("whoever runs these tests has its processes ignore the signal")
    output = tmp_path / "out.jsonl"
    output.write_text("earlier")
    os.mkfifo(tmp_path / "pipe")
    words = command("tag", model, tmp_path / "pipe", "--output", output)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        with (tmp_path / "pipe").open("w") as pipe:
            pipe.write(LONG)  # comes back when most of it was read, so the command is at work
            running.send_signal(number)
            found, error = running.communicate(timeout=60)
        assert (running.returncode, found, error) == (128 + number, b"", b"")
    assert output.read_text() == "earlier"
    assert {path.name for path in tmp_path.iterdir()} == {"pipe", "out.jsonl"}


def test_the_callers_handlers_are_as_before(model):
    before = signal.getsignal(signal.SIGTERM)
    assert run("info", model)[0] == 0
    assert signal.getsignal(signal.SIGTERM) is before
    mine = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        handler = signal.getsignal(signal.SIGTERM)
        assert run("info", model)[0] == 0
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, mine)


def test_a_command_may_run_in_any_thread(tmp_path, capsys):
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(main(["info", str(tmp_path)])))
    thread.start()
    thread.join()
    assert codes == [2]
    assert "config.json: cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        ("train --train a --output x --output y", "--output"),
        ("train --train a --output x --resume --restart", "--resume/--restart"),
        ("train --train a --output x --set train.epochs=1 --set train.epochs=2", "--set train.epochs"),
        ("compare --train a --dev b --output x --seeds 1 --seeds 2", "--seeds"),
        ("tag -m en --model en text", "--model/-m"),
        ("tag --format jsonl --format conll text", "--format"),
        ("evaluate en a --json --json", "--json"),
        ("check a --scheme IOB1 --scheme IOB2", "--scheme"),
        ("convert a b --from conll --from conllu", "--from"),
    ],
)
def test_an_option_that_is_no_list_is_given_once(arguments, option):
    assert refusal(*arguments.split()) == f"{option} is given twice. Give it once."
