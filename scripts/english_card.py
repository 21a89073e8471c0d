"""Write the card of the English model: fill the figures into english_card.md."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from tagger.bundle import Bundle
from tagger.training.card import cell, score_rows

TEMPLATE = Path(__file__).with_name("english_card.md")
CASINGS = {"unchanged": "unchanged", "lower": "lower-cased", "upper": "upper-cased", "title": "title-cased"}


@dataclass(frozen=True)
class Step:
    """One step of shrinking the model.

    Attributes:
        words: Number of words in addition to those of train.
        precision: Stored precision.
        size: Size of the files in bytes.
        scores: Scores of each task for each casing of dev.
    """

    words: int
    precision: str
    size: int
    scores: Mapping[str, Mapping[str, Mapping[str, Any]]]

    def pairs(self) -> list[str]:
        """Format UPOS accuracy and NER F1 of each casing."""
        return [f"{tasks['pos']['accuracy']:.4f}, {tasks['ner']['f1']:.4f}" for tasks in self.scores.values()]


def write_english_card(bundle: Bundle, steps: Sequence[Step], *, texts: int, own_texts: int) -> str:
    """Write the card as Markdown.

    Args:
        bundle: The saved model.
        steps: Steps of shrinking it, from the whole model to the saved one.
        texts: Number of unlabelled texts that the teacher tagged.
        own_texts: Number of texts of the project's own.
    """
    config, splits = bundle.config, bundle.metrics["data"]
    settings = (
        f"| {section}.{key} | {cell(value)} |"
        for section, values in config.model_dump(mode="json").items()
        for key, value in values.items()
    )
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        hidden_size=config.model.hidden_size,
        texts=f"{texts:,}",
        own_texts=f"{own_texts:,}",
        sizes=" ".join(
            f"{name.capitalize()} has {split['sentences']:,} sentences, {split['tokens']:,} tokens."
            for name, split in splits.items()
            if name in ("train", "dev")
        ),
        recased=f"{config.train.case_augmentation:.0%}",
        scores="\n".join(_scores(steps[-1])),
        steps="\n".join(_steps(steps)),
        settings="\n".join(settings),
    )


def _scores(step: Step) -> Iterator[str]:
    yield from ("| dev | UPOS accuracy | NER F1 |", "|---|---:|---:|")
    for casing, tasks in step.scores.items():
        yield f"| {CASINGS[casing]} | {tasks['pos']['accuracy']:.4f} | {tasks['ner']['f1']:.4f} |"
    for name, scores in step.scores["unchanged"].items():
        head, rows = score_rows(scores)
        yield from (
            "",
            f"### {name}, unchanged casing",
            "",
            f"| {' | '.join(head)} |",
            "|---|---:|---:|---:|---:|",
        )
        yield from (f"| {' | '.join(map(cell, row))} |" for row in rows)


def _steps(steps: Sequence[Step]) -> Iterator[str]:
    casings = " | ".join(CASINGS[casing] for casing in steps[0].scores)
    yield f"| additional words | stored as | MB | {casings} |"
    yield "|---:|---|---:|" + "---|" * len(steps[0].scores)
    for step in steps:
        yield f"| {step.words:,} | {step.precision} | {step.size / 1e6:.1f} | {' | '.join(step.pairs())} |"
