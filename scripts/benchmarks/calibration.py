"""Measure how well temperatures generalise: fit them on one half of a file, evaluate on the other, and swap.

    python scripts/benchmarks/calibration.py MODEL FILE [--task ner] [--halves sentences] [--save OTHER]

Prints for each task and half the fitted temperature, and the expected calibration error on the other half
(of spans, or of tokens for tasks without spans), at temperature 1 and at the fitted one; and precision and
recall by score threshold on the whole file, at the model's own temperature. With --save, the model is written
to another folder with temperatures fitted on the whole file, for models trained without.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

from measurement import parser, show, write_results

from tagger import Tagger
from tagger.bundle import save_bundle
from tagger.corpus.files import FORMATS, find_format, read_sentences
from tagger.runtime.model_calibration import fit_temperatures, measure_calibration
from tagger.text.sentence import Sentence

HALVES = ("documents", "sentences")
COLUMNS = {
    "task": "task",
    "halves": "halves",
    "temperature": "temperature",
    "sentences": "measured on sentences",
    "of": "of",
    "predictions": "predictions",
    "before": "ECE before",
    "after": "ECE after",
}
THRESHOLDS = {"task": "task", "min_score": "min score", "precision": "precision", "recall": "recall"}


def cut_halves(sentences: Sequence[Sentence], by: str) -> list[list[Sentence]]:
    """Split sentences into halves: every other document or every other sentence, and the rest."""
    indices = list(accumulate(one.starts_document for one in sentences))
    if by == "sentences":
        indices = list(range(len(sentences)))
    return [[one for one, n in zip(sentences, indices, strict=True) if n % 2 == half] for half in (0, 1)]


def main() -> None:
    """Measure, print and save the calibration errors; save the model with --save."""
    options = parser(__doc__)
    options.add_argument("model", type=Path)
    options.add_argument("file", type=Path, help="labelled file that is not part of the training data")
    options.add_argument("--task", action="append", help="only this task (repeatable)")
    options.add_argument("--halves", choices=HALVES, nargs="+", default=HALVES)
    options.add_argument(
        "--save", type=Path, metavar="MODEL", help="save the calibrated model to this folder"
    )
    arguments = options.parse_args()
    tagger = Tagger.load(arguments.model, threads=arguments.threads)
    tasks = arguments.task or [task.name for task in tagger.tasks]
    sentences = read(tagger, arguments.file, tasks)
    rows = []
    for by in arguments.halves:
        halves = cut_halves(sentences, by)
        if not all(halves):
            options.error(
                f"{arguments.file}: cannot split into halves by {by}. "
                "Use a file with at least two, or another --halves."
            )
        for fitted, measured in (halves, halves[::-1]):
            temperatures = fit_temperatures(tagger, fitted, tasks=tasks)
            results = measure_calibration(tagger.with_temperatures(temperatures), measured, tasks=tasks)
            for task, calibration in results.items():
                before, after = calibration.errors
                rows.append(
                    {
                        "task": task,
                        "halves": by,
                        "temperature": temperatures[task],
                        "sentences": len(measured),
                        "of": "spans" if calibration.has_spans else "tokens",
                        "predictions": len(calibration.is_right),
                        "before": before,
                        "after": after,
                    }
                )
    thresholds = [
        {"task": task, **scores}
        for task, calibration in measure_calibration(tagger, sentences, tasks=tasks).items()
        for scores in calibration.against()
    ]
    show("expected calibration error", rows, COLUMNS)
    show(f"score thresholds, {arguments.file.name}", thresholds, THRESHOLDS)
    name = f"calibration-{arguments.model.name}"
    print(write_results(name, arguments.results, rows + thresholds, {"file": arguments.file.name}))
    if arguments.save:
        temperatures = fit_temperatures(tagger, sentences, tasks=tasks)
        save_bundle(replace(tagger.bundle, temperatures=temperatures), arguments.save)


def read(tagger: Tagger, file: Path, tasks: Sequence[str]) -> list[Sentence]:
    """Read the file with the data options of the model."""
    data = tagger.bundle.config.data
    has_columns = FORMATS[find_format(file, data.format)].has_columns
    columns = data.columns if has_columns else None
    return list(read_sentences(file, columns=columns, tasks=tasks, format=data.format))


if __name__ == "__main__":
    main()
