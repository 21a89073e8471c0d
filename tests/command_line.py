"""Shared code of the command-line tests: a synthetic corpus, models trained on it, and a command runner."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from itertools import product
from pathlib import Path
from unittest.mock import patch

from tagger.cli.app import app
from tagger.cli.main import main
from tagger.errors import InputError, escape_line

SMALL = {
    "model.hidden_size": 8,
    "model.word_size": 8,
    "model.character_hidden": 4,
    "model.dropout": 0.1,
    "train.epochs": 3,
    "train.batch_size": 4,
    "train.optimizer": "adamw",
    "train.learning_rate": 0.02,
    "train.schedule": "inverse_time",
    "train.ema": 0.0,
    "train.min_steps": 0,
}


def options(changes: dict[str, object] | None = None) -> list[str]:
    """Return ``--set`` options for the settings of ``SMALL``, with changes."""
    settings = SMALL | (changes or {})
    return [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]


OPTIONS = options()

PEOPLE = ("Ada", "Otto", "Mia", "Émile")
PLACES = ("Oslo", "Lima", "Bonn")


class Terminal(io.TextIOWrapper):
    """A stream that reports to be a terminal."""

    def isatty(self) -> bool:
        return True


def run(
    *arguments: object, stdin: bytes = b"", terminal: bool = False, encoding: str = "ascii"
) -> tuple[int, str, str]:
    """Run a command; return its exit code, standard output (UTF-8) and standard error."""
    out, err = io.BytesIO(), io.StringIO()
    stream = (Terminal if terminal else io.TextIOWrapper)(out, encoding=encoding, errors="strict")
    input_stream = io.TextIOWrapper(io.BytesIO(stdin))
    with patch("sys.stdin", input_stream), redirect_stdout(stream), redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
        stream.flush()
    return code, out.getvalue().decode("utf-8"), err.getvalue()


def run_error(*arguments: object, stdin: bytes = b"") -> str:
    """Return the error message of a command, which must print only this line and exit with code 2."""
    code, output, error = run(*arguments, stdin=stdin)
    assert (code, output) == (2, ""), error
    assert error.startswith("tagger: ")
    assert error.endswith("\n")
    assert error.count("\n") == 1
    assert error[:-1].isprintable()
    return error[len("tagger: ") : -1]


def input_error(*arguments: object, stdin: bytes = b"") -> InputError:
    """Return the InputError of a command, whose text must be the only line that the command prints."""
    raised = []

    def watch(**options: object) -> object:
        try:
            return app(**options)
        except InputError as error:
            raised.append(error)
            raise

    with patch("tagger.cli.app.app", watch):
        message = run_error(*arguments, stdin=stdin)
    (error,) = raised
    assert message == escape_line(str(error))
    return error


def rows(output: str) -> list[dict]:
    """Parse JSON lines, split only at line feeds."""
    assert output == "" or output.endswith("\n")
    return [json.loads(line) for line in output.split("\n")[:-1]]


def write_corpus(folder: Path) -> Path:
    """Write train (36 sentences), dev (12) and an empty file, with columns token, pos, ner in IOB2."""
    sentences = []
    for number, (person, place) in enumerate(product(PEOPLE, PLACES * 4)):
        other = PEOPLE[(number * 7 + 1) % len(PEOPLE)]
        sentences.append(
            (
                f"{person} PROPN B-PER\nmet VERB O\n{other} PROPN B-PER\nin ADP O\n"
                f"{place} PROPN B-LOC\n. PUNCT O",
                f"In ADP O\n{place} PROPN B-LOC\n{person} PROPN B-PER\nsang VERB O\n! PUNCT O",
                f"{person} PROPN B-PER\nsaw VERB O\nthe DET O\nsea NOUN O\nnear ADP O\n{place} PROPN B-LOC",
                f"The DET O\nNew PROPN B-LOC\n{place} PROPN I-LOC\nship NOUN O\nleft VERB O",
            )[number % 4]
        )
    (folder / "train.conll").write_text("\n\n".join(sentences[:36]) + "\n\n", encoding="utf-8")
    (folder / "dev.conll").write_text("\n\n".join(sentences[36:]) + "\n\n", encoding="utf-8")
    (folder / "empty.conll").write_text("")
    return folder


def train(*arguments: object, terminal: bool = False) -> tuple[int, str, str]:
    """Run ``tagger train`` with small layer sizes."""
    return run("train", *OPTIONS, *arguments, terminal=terminal, encoding="utf-8")


def train_joint_model(corpus: Path) -> Path:
    """Train a joint pos and ner model on the synthetic corpus."""
    folder = corpus / "model"
    files = ("--train", corpus / "train.conll", "--dev", corpus / "dev.conll", "--output", folder)
    code, _, error = train(*files, "--columns", "token,pos,ner", "--task", "pos,ner")
    assert (code, error) == (0, "")
    return folder


def train_pos_model(corpus: Path) -> Path:
    """Train a pos model without a dev split."""
    folder = corpus / "pos"
    files = ("--train", corpus / "train.conll", "--output", folder)
    assert train(*files, "--columns", "token,pos,_", "--task", "pos")[0] == 0
    return folder
