"""Options with a fixed list of choices: the error for another value, and shell completion."""

import os
import subprocess
import sys
from typing import get_args

import pytest
from command_line import run_error

from tagger.config import Direction, HeadKind, Match, MergeMode
from tagger.corpus.files import FormatName
from tagger.corpus.reading import Offsets, OffsetUnit, OnMisaligned, Unit
from tagger.shrinking import StoredPrecision


@pytest.mark.parametrize(
    ("arguments", "option", "choices"),
    [
        ("train --train a --output x", "direction", Direction),
        ("train --train a --output x", "format", FormatName),
        ("train --train a --output x", "head", HeadKind),
        ("train --train a --output x", "merge-mode", MergeMode),
        ("train --train a --output x", "on-misaligned", OnMisaligned),
        ("compare --train a --dev b --output x", "match", Match),
        ("evaluate m a", "format", FormatName),
        ("evaluate m a", "offsets", Offsets),
        ("evaluate m a", "on-misaligned", OnMisaligned),
        ("check a", "format", FormatName),
        ("check a", "offsets", Offsets),
        ("convert a b", "from", FormatName),
        ("convert a b", "offsets", Offsets),
        ("convert a b", "offsets-out", OffsetUnit),
        ("convert a b", "on-misaligned", OnMisaligned),
        ("convert a b", "to", FormatName),
        ("convert a b", "unit", Unit),
        ("shrink m out", "precision", StoredPrecision),
    ],
)
def test_an_unknown_choice_is_rejected_and_the_choices_are_listed(arguments, option, choices):
    names = list(get_args(choices))
    message = run_error(*arguments.split(), f"--{option}", f"{names[0]},x")
    listed = ", ".join(map(repr, names))
    command = arguments.split()[0]
    assert message == (
        f"Invalid value for '--{option}': '{names[0]},x' is not one of {listed}; see tagger {command} --help"
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("convert a b --to c", ["conll", "conllu", "csv"]),
        ("convert a b --offsets-out u", ["utf16"]),
        ("train --head ", ["crf", "softmax"]),
    ],
)
def test_choices_are_completed(words, expected):
    line = f"tagger {words}"
    completion = {
        "_TAGGER_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
    }
    command = [sys.executable, "-m", "tagger"]
    done = subprocess.run(
        command, env={**os.environ, **completion}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.split() == expected
