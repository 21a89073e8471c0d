"""How well a temperature carries over: fitted to one half of a file, measured on the other, both ways.

    python scripts/experiments/calibration.py MODEL FILE [--task ner] [--halves sentences] [--save OTHER]

Prints for each task and half the temperature, and the expected calibration error of spans (tokens where tags
mark none) of the other half, at temperature 1 and at the fitted one. With --save the model, with the
temperatures of the whole file, is written to another folder: so a model gets them that was trained without.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

from tagger import Tagger
from tagger.bundle import save_bundle
from tagger.corpus.files import FORMATS, find_format, read_sentences
from tagger.runtime.model_calibration import fit_temperatures, measure_calibration
from tagger.text.sentence import Sentence

HALVES = ("documents", "sentences")


def cut_halves(sentences: Sequence[Sentence], by: str) -> list[list[Sentence]]:
    """Every other document, or every other sentence, and the rest."""
    places = list(accumulate(one.starts_document for one in sentences))
    if by == "sentences":
        places = list(range(len(sentences)))
    return [[one for one, n in zip(sentences, places, strict=True) if n % 2 == half] for half in (0, 1)]


def main() -> None:
    """Measure, print, and save if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("file", type=Path, help="sentences with gold tags that the model was not trained on")
    parser.add_argument("--task", action="append", help="only this task (repeatable)")
    parser.add_argument("--halves", choices=HALVES, default="documents")
    parser.add_argument("--save", type=Path, metavar="MODEL", help="write the calibrated model there")
    arguments = parser.parse_args()
    tagger = Tagger.load(arguments.model)
    tasks = arguments.task or [task.name for task in tagger.tasks]
    sentences = read(tagger, arguments.file, tasks)
    halves = cut_halves(sentences, arguments.halves)
    if not all(halves):
        parser.error(f"{arguments.file} cannot be halved by {arguments.halves}")
    print("| task | fitted to | temperature | measured on | ECE before | ECE after |")
    print("|---|---|---|---|---|---|")
    for fitted, measured in (halves, halves[::-1]):
        temperatures = fit_temperatures(tagger, fitted, tasks=tasks)
        found = measure_calibration(tagger.with_temperatures(temperatures), measured, tasks=tasks)
        for task, one in found.items():
            before, after = one.errors
            what = "spans" if one.has_spans else "tokens"
            print(
                f"| {task} | {len(fitted):,} sentences | {temperatures[task]:g} | {len(measured):,} sentences"
                f", {len(one.is_right):,} {what} | {before:.4f} | {after:.4f} |"
            )
    if arguments.save:
        temperatures = fit_temperatures(tagger, sentences, tasks=tasks)
        save_bundle(replace(tagger.bundle, temperatures=temperatures), arguments.save)


def read(tagger: Tagger, file: Path, tasks: Sequence[str]) -> list[Sentence]:
    """The file's sentences, read as the model's own corpus was."""
    data = tagger.bundle.config.data
    has_columns = FORMATS[find_format(file, data.format)].has_columns
    columns = data.columns if has_columns else None
    return list(read_sentences(file, columns=columns, tasks=tasks, format=data.format))


if __name__ == "__main__":
    main()
