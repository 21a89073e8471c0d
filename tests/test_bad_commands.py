"""Unusual command lines, failing outputs, closed streams and signals: no data is lost, no file is left."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from command_line import OPTIONS, rows, run, run_error, train

from tagger.cli.main import main

pytestmark = pytest.mark.slow

SENTENCE = "Ada met Otto in Oslo.\n\n"
LONG = SENTENCE * 3000  # its output exceeds every pipe buffer many times


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "tagger", *map(str, arguments)]


# Names


NAMES = [b"two words.txt", b"\"quoted\" 'twice'.txt", b"line\nend.txt", b"caf\xe9.txt", b"\x1b[31mred.txt"]
NAMES += ["\u202eolleh.txt".encode(), b"-dash.txt", b"100%.txt", b"[bold]x.txt", b"x" * 200 + b".txt"]


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_tagging_supports_files_of_any_name(corpus, model, tmp_path, name):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    path.write_text("Ada met Otto.\n")
    shown = os.fsdecode(name)
    for output in ((), ("--output", tmp_path / "out")):
        code, written, error = run("tag", "-m", model, path, "-", *output, stdin=b"Oslo.")
        assert (code, error) == (0, "")
        records = rows((tmp_path / "out").read_text() if output else written)
        assert [row["document"] for row in records] == [shown, "standard input"]
        for format in ("html", "text", "conll"):
            assert run("tag", "-m", model, path, "-", "--format", format, *output, stdin=b"Oslo.")[::2] == (
                0,
                "",
            )
    message = run_error("tag", "-m", model, f"{path}.missing")
    # The message identifies the file, even if its name has unprintable characters.
    escaped = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in shown)
    assert message.startswith(f"{tmp_path}/{escaped}.missing: ")
    assert run_error("info", f"{path}.missing").endswith(
        "Pass the folder that `tagger train --output` wrote."
    )


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_training_supports_files_of_any_name(corpus, tmp_path, name):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    path.write_bytes((corpus / "train.conll").read_bytes())
    folder = f"{path}.model"
    options = ("--columns", "token,pos,ner", "--epochs", "1", "--output", folder)
    code, _, error = train("--train", path, "--dev", path, *options)
    assert (code, error) == (0, "")
    assert json.loads(run("info", folder, "--json")[1])["data"]["train"]["file"] == os.fsdecode(name)
    assert run("info", folder)[::2] == (0, "")
    assert run("evaluate", folder, path)[::2] == (0, "")


def test_wrong_kinds_of_files_are_rejected(corpus, model, tmp_path):
    text = corpus / "dev.conll"
    assert run_error("tag", "-m", text, "--input", "text", text).startswith(
        f"{text}/config.json: cannot be read (Not a directory). Pass"
    )
    assert run_error("info", "/dev/null").startswith(
        "/dev/null/config.json: cannot be read (Not a directory)"
    )
    assert run_error("tag", "-m", model, corpus) == f"{corpus}: this is a folder. Name a file in it."
    assert run_error("evaluate", model, corpus).startswith(f"{corpus}: this is a folder. Name a file in it")
    assert run_error("evaluate", model, "/dev/null").startswith("/dev/null: the file has no sentences. Pass")
    assert run_error("tag", "-m", model, "--output", corpus, stdin=b"Ada").startswith(
        f"{corpus}: must be a file (got a folder)."
    )
    (tmp_path / "loop").symlink_to("loop")
    assert run_error("tag", "-m", model, tmp_path / "loop").startswith(
        f"{tmp_path}/loop: there is no such file."
    )
    assert run_error("tag", "-m", tmp_path / "loop", "--input", "text", text).startswith(
        f"{tmp_path}/loop/config.json: cannot be read ("
    )
    assert run("tag", "-m", model, "--output", tmp_path / "loop", stdin=b"Ada") == (0, "", "")
    assert (tmp_path / "loop").read_text() == run("tag", "-m", model, stdin=b"Ada")[1]
    assert [path.name for path in tmp_path.iterdir()] == ["loop"]


def test_devices_and_pipes_are_read_as_text(model, tmp_path):
    assert run("tag", "-m", model, "/dev/null") == (0, "", "")
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=(SENTENCE,))
    writer.start()
    output = run("tag", "-m", model, tmp_path / "pipe")
    writer.join()
    assert output == run("tag", "-m", model, stdin=SENTENCE.encode())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_permission_errors_name_the_file(corpus, model, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text(SENTENCE)
    secret.chmod(0)
    assert "cannot be read (Permission denied)" in run_error("tag", "-m", model, secret)
    assert "cannot be read (Permission denied)" in run_error("evaluate", model, secret)
    tmp_path.chmod(0o500)
    assert "cannot be written (Permission denied)" in run_error(
        "tag", "-m", model, "--output", tmp_path / "out", stdin=b"Ada"
    )
    words = ("--train", corpus / "train.conll", "--output", tmp_path / "model")
    assert "cannot be written (Permission denied)" in run_error("train", *words)
    tmp_path.chmod(0o700)


# Outputs that fail


def in_shell(
    redirection: str, *arguments: object, before: str = "", folder: Path | None = None
) -> subprocess.CompletedProcess:
    """Run a command in a shell."""
    words = ["sh", "-c", f'{before} exec "$@" {redirection}', "sh", *command(*arguments)]
    return subprocess.run(
        words, input=SENTENCE.encode(), capture_output=True, timeout=120, check=False, cwd=folder
    )


def test_a_size_limit_keeps_the_existing_output(model, tmp_path):
    (tmp_path / "long.txt").write_text(LONG)
    output = tmp_path / "out.jsonl"
    output.write_text("earlier")
    done = in_shell(
        "", "tag", "-m", model, tmp_path / "long.txt", "--output", output, before="ulimit -f 100;"
    )
    assert (done.returncode, done.stdout) == (2, b"")
    message = f"tagger: {output}: cannot be written (File too large). Free space or name another path;"
    assert done.stderr.decode() == f"{message} an earlier file is unchanged.\n"
    assert output.read_text() == "earlier"
    assert {path.name for path in tmp_path.iterdir()} == {"long.txt", "out.jsonl"}


def test_a_size_limit_on_standard_output_is_reported(model, tmp_path):
    (tmp_path / "long.txt").write_text(LONG)
    arguments = ("tag", "-m", model.resolve(), tmp_path / "long.txt")
    done = in_shell("> out.jsonl", *arguments, before="ulimit -f 100;", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        b"tagger: standard output: cannot read or write (File too large). "
        b"Check the path and the free space.\n"
    )


@pytest.mark.parametrize("format", ["jsonl", "conll", "text", "html"])
def test_a_closed_pipe_ends_tagging_without_error(model, tmp_path, format):
    (tmp_path / "long.txt").write_text(LONG)
    words = command("tag", "-m", model, tmp_path / "long.txt", "--format", format)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert len(running.stdout.read(50_000)) == 50_000
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait(timeout=60) == 0


@pytest.mark.parametrize("arguments", ["tag -m {model}", "info {model}", "info {model} --json", "--help"])
def test_a_closed_standard_output_is_one_line(model, arguments):
    done = in_shell(">&-", *arguments.format(model=model).split())
    assert done.returncode == 2
    assert done.stderr.startswith(b"tagger: standard output: cannot read or write (")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_do_not_corrupt_output_files(corpus, model, tmp_path, redirection):
    done = in_shell(redirection, "tag", "-m", model, "--output", tmp_path / "out.jsonl")
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "out.jsonl").read_text() == run("tag", "-m", model, stdin=SENTENCE.encode())[1]
    files = ("--train", corpus / "train.conll", "--columns", "token,pos,ner", "--output", tmp_path / "model")
    done = in_shell(redirection, "train", *OPTIONS, *files)
    assert (done.returncode, done.stderr) == (0, b"")
    assert run("info", tmp_path / "model")[0] == 0


def test_a_closed_standard_error_keeps_the_exit_code(model):
    done = in_shell("2>&-", "tag", "-m", model, "missing.txt")
    assert (done.returncode, done.stdout, done.stderr) == (2, b"", b"")


# Signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_keeps_the_existing_output_and_leaves_no_file(model, tmp_path, number):
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("the test runner ignores this signal")
    output = tmp_path / "out.jsonl"
    output.write_text("earlier")
    os.mkfifo(tmp_path / "pipe")
    words = command("tag", "-m", model, tmp_path / "pipe", "--output", output)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        with (tmp_path / "pipe").open("w") as pipe:
            pipe.write(LONG)  # returns once most of it is read, so the command is running
            running.send_signal(number)
            output_bytes, error = running.communicate(timeout=60)
        assert (running.returncode, output_bytes, error) == (128 + number, b"", b"")
    assert output.read_text() == "earlier"
    assert {path.name for path in tmp_path.iterdir()} == {"pipe", "out.jsonl"}


def test_signal_handlers_are_restored(model):
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


def test_a_command_runs_in_any_thread(tmp_path, capsys):
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
        ("train --train a --output x --task ner --task pos,ner", "--task ner"),
    ],
)
def test_repeated_options_are_rejected_unless_they_are_lists(arguments, option):
    assert run_error(*arguments.split()) == f"{option} is given twice. Give it once."
