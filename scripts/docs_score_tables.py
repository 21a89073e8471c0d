"""Tables of scores in accuracy.md and comparison.md; docs_tables.py describes their use."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from docs_tables import BENCHMARKS, EXPERIMENTS, SCRIPTS, read, table

SYSTEMS = {  # a system's name in small_data/runs.json, and its text in the docs
    "tagger": "tagger",
    "spacy": "spaCy 3.8.18 `ner`, width 96, depth 4, the same vectors",
    "crfsuite+vectors": "sklearn-crfsuite, hand-written features and the same vectors",
    "crfsuite": "sklearn-crfsuite, hand-written features",
}


def ranged(values: Sequence[float], digits: int) -> tuple[str, str]:
    """Return the mean, and the lowest and the highest value in brackets."""
    low, high, mean = min(values), max(values), statistics.fmean(values)
    return f"{mean:.{digits}f}", f" ({low:.{digits}f} to {high:.{digits}f})"


def small_data() -> None:
    """Write F1 after training on few sentences, next to other taggers."""
    runs = read(EXPERIMENTS / "small_data" / "runs.json")
    settings = ("conll2003-100", "conll2003-500", "conll2003-2000", "wikigold")

    def cells(system: str) -> Iterable[str]:
        for setting in settings:
            own = [
                run["f1"] for run in runs if run["system"] == system and run["setting"].startswith(setting)
            ]
            mean, interval = ranged(own, 4)
            yield (f"**{mean}**" if system == "tagger" else mean) + (interval if len(own) > 1 else "")

    table(
        [
            "F1",
            "CoNLL-2003, first 100 sentences",
            "first 500",
            "first 2,000",
            "Wikigold, mean of five folds (lowest to highest)",
        ],
        ([text, *cells(system)] for system, text in SYSTEMS.items()),
    )


def label_errors() -> None:
    """Write how well corrupted labels are found."""
    record = read(BENCHMARKS / "label_errors.json")
    kinds = ("type", "border", "missing", "spurious")  # a quarter of the corruptions each

    def cells(name: str) -> Iterable[str]:
        own = [row for row in record["rows"] if row["name"] == name]
        for key in ("average_precision", "precision_at_200"):
            yield "".join(ranged([row[key] for row in own], 3))
        yield f"{100 * statistics.fmean(row[f'found_{kind}'] for row in own for kind in kinds):.0f} %"

    table(
        ["", "average precision", "precision of the first 200", "corruptions listed"],
        [["GloVe 6B", *cells("margin with vectors")], ["no pretrained vectors", *cells("margin")]],
    )


def recipes() -> None:
    """Write what directions score in the recipes outside tagging."""
    folder = SCRIPTS / "recipes" / "results"
    reviews, words, power = (read(folder / f"{name}.json") for name in ("sentiment", "missing_word", "power"))

    def accuracy(name: str) -> str:
        return f"{reviews[name]['accuracy'][-1]:.4f}"

    def word(side: dict[str, Any]) -> str:
        return f"{side['accuracy at 1']:.4f}, {side['accuracy at 5']:.4f}, {side['perplexity']:.1f}"

    def error(name: str) -> str:
        return f"{power[name]['mean absolute error, kW']:.4f}"

    forward = accuracy("forward's final state")
    merged = f"{accuracy('classic: both, concat')} concat, **{accuracy('both, sum')}** sum"
    table(
        ["recipe", "forward", "backward", "bidirectional"],
        [
            [
                "`sentiment.py`: film reviews, test accuracy after the last of 4 epochs "
                "(final states of 64 units)",
                f"**{forward}**",
                accuracy("backward's final state"),
                f"{merged}, {accuracy('both, mul')} mul, {accuracy('both, ave')} ave",
            ],
            [
                "`missing_word.py`: predict a hidden word of UD EWT from its left context, right "
                "context or both: accuracy at 1, at 5, perplexity",
                *(word(words[side]) for side in ("left", "right", "both")),
            ],
            [
                "`power.py`: household power, 24 hours from 168, mean absolute error in kW, 3 seeds",
                f"{error('LSTM, forward')}; same width as bidirectional "
                f"**{error('LSTM, forward, as wide as both')}**",
                error("LSTM, backward"),
                error("BiLSTM"),
            ],
        ],
    )
